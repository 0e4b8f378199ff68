"""Records that mention police involvement: which they are, and that nothing of them is kept.

Belongs here: words and phrases that do and do not mention police, and what becomes of a line with
one. The seed says no more than that an algorithm removes "any records that mention police
involvement" (Foster Focus Data Link Specifications, page 16). In doubt a record is removed:
"cardiac arrest" goes, too, since a record too few harms a child less than a record too many.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ccgi_pipeline.feeds.foster_focus import BEHAVIOR, FAMILY
from ccgi_pipeline.profiles import POLICE_WORDS, FosterFocusSettings, Profiles
from ccgi_pipeline.verification.offline_check import check
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline.verification.police_rule import mentions_police
from ccgi_pipeline.verification.receipt_html import render_check
from ccgi_pipeline.verification.receipts import as_text, format_receipt_csv, format_receipt_json
from ccgi_pipeline_tests.files import (
    ON,
    Line,
    as_bytes,
    broken_rules,
    good_lines,
    good_set,
    outcome,
    usual_name,
    verified,
)

NAME = usual_name(BEHAVIOR)
COLUMNS = ("PenaltyTypeCode", "PenaltyTypeDesc")


def _mentions(text: str | None, words: tuple[str, ...] = POLICE_WORDS) -> bool:
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    return bool(frame.select(mentions_police(["text"], words)).item())


@pytest.mark.parametrize(
    "text",
    [
        *POLICE_WORDS,
        "Police called to campus",
        "POLICE",
        "referred to the police.",
        "fight;police;suspension",
        '"Police"',
        "POLICE_CONTACT",
        "CODE_LAW_ENFORCEMENT",
        "law-enforcement referral",
        "Law  Enforcement",
        "law/enforcement",
        "law\u00a0enforcement",
        "Sheriff's office",
        "Sheriff\u2019s office",
        "sheriff\u02bcs office",
        "Sheriffs came",
        "two peace officers",
        "School Resource Officer present",
        "SRO present",
        "sro",
        "the SRO's report",
        "SROs",
        "CHP",
        "California Highway Patrol",
        "arrest",
        "was arrested",
        "Arrests",
        "cardiac arrest",
        "cardiac arrested",
        "Probation Officer notified",
        "taken to Juvenile Hall",
    ],
)
def test_a_mention_of_police_is_found(text: str):
    assert _mentions(text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Dress code policy",
        "Violation of policies",
        "Academic Probation",
        "Probation",
        "lunch at the Bistro",
        "arresting performance of Hamlet",
        "unarrested",
        "law class; enforcement of rules",
        "Officer of the student council",
        "Peace Club officer",
        "community resource",
        "CHPT",
        "detention",
    ],
)
def test_what_only_looks_like_one_is_not(text: str | None):
    assert not _mentions(text)


def test_the_words_are_a_setting_and_are_taken_literally():
    assert _mentions("Warden (a.b) called", ("a.b",))
    assert not _mentions("Warden (axb) called", ("a.b",))
    assert not _mentions("police", ("a.b",))


# --- what becomes of the line ---------------------------------------------------------------------


def _with(**cells: str) -> bytes:
    """A behavior extract whose last line has other cells."""
    *others, last = good_lines(BEHAVIOR)
    return as_bytes(BEHAVIOR, [*others, {**last, **cells}])


def _fates(verification: Verification) -> tuple[int, int, int, int]:
    file = outcome(verification, NAME)
    return file["lines"], file["accepted"], file["rejected"], file["removed"]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_line_that_mentions_police_is_removed_and_leaves_no_trace(column: str):
    verification = verified({NAME: _with(**{column: "Police report"})}, FAMILY.name)
    student = good_lines(BEHAVIOR)[-1]["SISLocalID"]
    assert _fates(verification) == (6, 5, 0, 1)
    assert outcome(verification, NAME)["verdict"] == "accepted"
    assert broken_rules(verification) == []
    assert student not in verification.accepted[BEHAVIOR.name]["SISLocalID"]


@pytest.mark.parametrize(
    "cells",
    [{"LastName": "Police"}, {"FirstName": "Sheriff"}, {"SISSchoolCode": "SRO"}],
    ids=lambda cells: next(iter(cells)),
)
def test_a_name_or_a_school_mentions_nothing(cells: Line):
    assert _fates(verified({NAME: _with(**cells)}, FAMILY.name)) == (6, 6, 0, 0)


def test_a_line_that_breaks_rules_and_mentions_police_is_only_removed():
    bad = _with(PenaltyTypeDesc="Arrested", PenEventDate="", SISLocalID="123456789", LastName="")
    verification = verified({NAME: bad}, FAMILY.name)
    assert _fates(verification) == (6, 5, 0, 1)
    assert broken_rules(verification) == []


def test_a_removed_line_is_repeated_by_none():
    first, *others = good_lines(BEHAVIOR)
    mentioning = {**first, "PenaltyTypeDesc": "Detention, Police"}
    content = as_bytes(BEHAVIOR, [mentioning, first, *others])
    verification = verified({NAME: content}, FAMILY.name)
    assert _fates(verification) == (7, 6, 0, 1)
    assert broken_rules(verification) == []


def test_every_line_is_accepted_rejected_or_removed():
    *others, fifth, sixth = good_lines(BEHAVIOR)
    lines = [*others, {**fifth, "PenaltyTypeDesc": "CHP"}, {**sixth, "PenEventDate": "soon"}]
    content = as_bytes(BEHAVIOR, lines) + b"torn off"
    assert _fates(verified({NAME: content}, FAMILY.name)) == (7, 4, 2, 1)


def test_a_file_of_nothing_else_is_accepted_and_loads_nothing():
    lines = [{**line, "PenaltyTypeDesc": "Arrest"} for line in good_lines(BEHAVIOR)]
    verification = verified({NAME: as_bytes(BEHAVIOR, lines)}, FAMILY.name)
    assert _fates(verification) == (6, 0, 0, 6)
    assert outcome(verification, NAME)["verdict"] == "accepted"


def test_other_extracts_keep_their_lines():
    sent = {
        name: content.replace(b"English", b"Police").replace(b"Unverified Absence", b"At the SRO")
        for name, content in good_set(FAMILY.name).items()
    }
    verification = verified(sent, FAMILY.name)
    assert verification.files["removed"].sum() == 0
    assert verification.files["rejected"].sum() == 0


def test_without_words_nothing_is_removed():
    profiles = Profiles(foster_focus=FosterFocusSettings(police_words=()))
    verification = verified({NAME: _with(PenaltyTypeDesc="Police")}, FAMILY.name, profiles=profiles)
    assert _fates(verification) == (6, 6, 0, 0)


def test_a_receipt_counts_removed_lines_and_says_nothing_else_of_them(tmp_path: Path):
    (tmp_path / NAME).write_bytes(_with(PenaltyTypeDesc="Police called", LastName="Canaryname"))
    checked = check([tmp_path], ON)
    (report,) = checked.files
    assert report.fates == {"accepted": 5, "rejected": 0, "removed": 1}
    assert report.findings.is_empty()
    assert checked.everything_loads
    told = [
        format_receipt_json({"drop": "x"}, checked.files).decode(),
        format_receipt_csv(checked.files).decode(),
        as_text(checked.verdict, checked.files),
        render_check(checked.verdict, checked.files),
    ]
    for answer in told:
        assert "Canaryname" not in answer
        assert "Police called" not in answer
