"""Rules of the Foster Focus specification's running text that look beyond one line.

Belongs here: rules that other extracts, the sender or the district's profile decide: which students
may be sent at all, who may send them, what a blank on a closed enrollment is, permanent unique IDs,
social security numbers, codes of their time. Does not belong here: the 41 numbered rules
(test_verify_data_meets), what one line breaks by itself (test_every_rule_bites).
"""

from __future__ import annotations

from functools import cache

import pytest

from ccgi_pipeline.feeds.foster_focus import FEEDS, NAME
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.profiles import DistrictProfile, FosterFocusProfile, Profiles
from ccgi_pipeline_tests.files import (
    DISTRICT,
    as_bytes,
    broken_rules,
    good_lines,
    outcome,
    usual_name,
    verified,
)
from ccgi_pipeline_tests.foster_focus_sets import (
    ATP,
    ATX,
    BEH,
    DEM,
    ENR,
    EXTRACTS,
    GPA,
    LINE,
    SPE,
    TRN,
    TST,
    Case,
    Night,
    added,
    changed,
    feed_of,
    removed,
)

BLANK_IS_TOLD = "a blank in a required column is told as such, too"
OPEN = {"ExitDate": "", "CompletionStatus": ""}
STRICT = FosterFocusProfile(strict=True)
BY_ID = FosterFocusProfile(unique_ids_are_permanent=True)
_SECOND_LINE = {
    ATP: {"SchoolDate": "2026-09-28", "PeriodsAttended": "6"},
    ATX: {"Period": "1"},
    TST: {"TestSubType": "CST Math"},
    GPA: {"GPATypeDescript": "Total GPA"},
    BEH: {"PenaltyTypeDesc": "Parent Conference"},
    TRN: {"CourseNumber": "M200"},
}
"""What another line of the same student says, in the extracts that may have several."""


def _same_id(extract: str) -> str:
    """The unique ID of the first student's line."""
    return good_lines(feed_of(extract), 1)[0]["UniqueID"]


def _prefix(extract: str) -> str:
    return feed_of(extract).prefix.removeprefix("FF-")


CASES = (
    *(
        Case(
            f"{_prefix(extract)}-CHILD",
            "two lines of a student who is not in demographics are told once",
            [
                changed(ATP, PeriodsAttended="6"),
                removed(*(set(EXTRACTS) - {extract})),
                added(extract, **another),
            ],
            [(extract, LINE, "SISLocalID")],
        )
        for extract, another in _SECOND_LINE.items()
    ),
    Case(
        "DEM-EXIT",
        "a student of closed enrollments has no exit date",
        [changed(DEM, ExitDate="")],
        [(DEM, LINE, "ExitDate")],
        besides={"FF-DEM-REQ-ExitDate": BLANK_IS_TOLD},
    ),
    Case(
        "DEM-STRICT-ExitDate",
        "the profile asks for the letter of the specification",
        [changed(DEM, ExitDate=""), changed(ENR, **OPEN)],
        [(DEM, LINE, "ExitDate")],
        STRICT,
        {"FF-DEM-REQ-ExitDate": BLANK_IS_TOLD},
    ),
    Case(
        "ENR-STRICT-ExitReason",
        "the profile asks for the letter of the specification",
        [changed(ENR, ExitReason="", **OPEN)],
        [(ENR, LINE, "ExitReason")],
        STRICT,
        {"FF-ENR-REQ-ExitReason": BLANK_IS_TOLD},
    ),
    *(
        Case(
            f"{_prefix(extract)}-UNIQUE",
            "two students' lines have one permanent unique ID",
            [changed(extract, UniqueID=_same_id(extract))],
            [(extract, LINE, feed_of(extract).keys[-1])],
            BY_ID,
        )
        for extract in EXTRACTS
    ),
)

ALIKE = (
    Case(
        "DEM-REQ-ExitDate",
        "an open enrollment has no exit date",
        [changed(DEM, ExitDate=""), changed(ENR, **OPEN)],
        [(DEM, LINE, "ExitDate")],
    ),
    Case(
        "ENR-REQ-ExitReason",
        "an open enrollment has no exit reason",
        [changed(ENR, ExitReason="", **OPEN)],
        [(ENR, LINE, "ExitReason")],
    ),
    *(
        Case(
            f"{_prefix(extract)}-UNIQUE",
            "two students' lines have one unique ID, which is not permanent",
            [changed(extract, UniqueID=_same_id(extract))],
        )
        for extract in EXTRACTS
    ),
    Case(
        "SPE-CODE-SEServiceCode",
        "a line that cannot be loaded stands above its correction",
        [changed(SPE, SEServiceCode="999"), added(SPE, SEServiceCode="320")],
        [(SPE, LINE, "SEServiceCode")],
    ),
    Case(
        "ENR-CODE-ExitReason",
        "a code had ended before the enrollment did",
        [changed(ENR, ExitReason="T460")],
        [(ENR, LINE, "ExitReason")],
    ),
    Case(
        "ENR-CODE-ExitReason",
        "a code was in force when the enrollment ended",
        [added(ENR, EntryDate="2016-08-15", ExitDate="2017-06-09", Grade="1", ExitReason="T460")],
    ),
    Case("ENR-CODE-ExitReason", "a reason in words", [changed(ENR, ExitReason="Moved away")]),
    Case("ENR-CODE-ExitReason", "a code in small letters", [changed(ENR, ExitReason="t160")]),
    Case(
        "ENR-CODE-CompletionStatus",
        "a code had ended before the enrollment did",
        [changed(ENR, CompletionStatus="106")],
        [(ENR, LINE, "CompletionStatus")],
    ),
    Case(
        "ENR-CODE-CompletionStatus",
        "a completion in words",
        [changed(ENR, CompletionStatus="Graduated")],
    ),
)
"""What is no more than a fault of the one cell, or nothing at all."""


@cache
def _night() -> Night:
    return Night((*CASES, *ALIKE))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_speaks_where_it_is_broken_and_no_other_does(case: Case):
    found = [place for place in _night().found(case) if place[1] not in case.besides]
    assert case.places
    assert found == case.wanted


@pytest.mark.parametrize("case", ALIKE, ids=str)
def test_what_is_right_or_wrong_in_one_cell_is_told_as_no_more_than_that(case: Case):
    assert _night().found(case) == case.wanted


# --- who may be sent, and by whom -----------------------------------------------------------------


def _alone(feed: FeedSpec, **cells: str) -> dict[str, bytes]:
    """One extract in which the last line has other cells."""
    *others, last = good_lines(feed)
    return {usual_name(feed): as_bytes(feed, [*others, {**last, **cells}])}


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
@pytest.mark.parametrize("number", ["123456789", "512010001", "899990001"])
def test_a_social_security_number_keeps_its_line_out(feed: FeedSpec, number: str):
    verification = verified(_alone(feed, SISLocalID=number), NAME)
    (place,) = broken_rules(verification)
    assert place == (usual_name(feed), f"{feed.prefix}-SSN", LINE, "SISLocalID")
    assert outcome(verification, usual_name(feed))["rejected"] == 1
    assert number not in verification.accepted[feed.name]["SISLocalID"]


@pytest.mark.parametrize(
    "number",
    ["000123456", "666123456", "912345678", "123006789", "123450000", "12345678", "1234567890"],
)
def test_a_number_that_was_never_issued_is_a_local_id(number: str):
    feed = FEEDS[0]
    assert broken_rules(verified(_alone(feed, SISLocalID=number), NAME)) == []


def test_nine_digits_are_a_local_id_where_the_profile_says_so():
    profile = DistrictProfile(foster_focus=FosterFocusProfile(nine_digit_local_ids=True))
    sent = _alone(feed_of(SPE), SISLocalID="123456789")
    profiles = Profiles(districts={DISTRICT: profile})
    assert broken_rules(verified(sent, NAME, profiles=profiles)) == []


@pytest.mark.parametrize(
    ("sender", "may"),
    [(DISTRICT, True), ("3310330", True), ("3366993", False), ("1910199", False), ("", True)],
    ids=["itself", "its county's office", "a neighbour", "another county's office", "unknown"],
)
def test_an_extract_comes_from_the_district_or_its_county(sender: str, *, may: bool):
    feed = feed_of(DEM)
    sent = {usual_name(feed): as_bytes(feed, good_lines(feed, sender=DISTRICT))}
    found = {place[1] for place in broken_rules(verified(sent, NAME, sender=sender))}
    assert found == (set() if may else {"FF-DEM-SYSTEM"})


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"TestType": "CAHSEE", "IsPassing": ""}, True),
        ({"TestSubType": "Cahsee ELA", "IsPassing": ""}, True),
        ({"TestType": "CAHSEE", "IsPassing": "0"}, False),
        ({"IsPassing": ""}, False),
    ],
    ids=["by type", "by subtype", "failed is no blank", "another test"],
)
def test_a_cahsee_score_says_whether_it_was_passed(cells: dict[str, str], *, told: bool):
    feed = feed_of(TST)
    wanted = [(usual_name(feed), "FF-TST-REQ-IsPassing", LINE, "IsPassing")]
    assert broken_rules(verified(_alone(feed, **cells), NAME)) == (wanted if told else [])
