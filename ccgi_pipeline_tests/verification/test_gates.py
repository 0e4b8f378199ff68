"""Verification of whole deliveries: verdicts, what is accepted, and what is known to be gone.

Belongs here: the three gates together, over files of one or several senders. Single rules are
tested with the feeds, single kinds of damage with intake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import (
    COURSE_CATALOG,
    COURSE_GRADE,
    MANIFEST,
    STUDENT,
    TEST_GRADE,
)
from ccgi_pipeline.profiles import DistrictProfile, Profiles
from ccgi_pipeline.verification.outcomes import (
    FILES_SCHEMA,
    Verification,
    judge_drop,
    nothing_known,
)
from ccgi_pipeline.verification.profile_overrides import apply_profile_overrides
from ccgi_pipeline_tests.files import (
    DISTRICT,
    ON,
    Line,
    as_bytes,
    broken_rules,
    delivered,
    good_file,
    good_lines,
    good_set,
    outcome,
    usual_name,
    verified,
    verified_together,
    zipped,
)
from ccgi_pipeline_tests.intake.changes import CHANGES, PROFILE, Change, mutated

ROSTER = usual_name(STUDENT)


def _student_file(*changed: Line) -> bytes:
    """Good student lines, one for each of ``changed``, with those cells put in."""
    lines = good_lines(STUDENT, len(changed))
    return as_bytes(
        STUDENT, [{**line, **cells} for line, cells in zip(lines, changed, strict=True)]
    )


def _transcripts(**files: bytes) -> Verification:
    """A good transcript package in which the files of some feeds (by short name) are others."""
    names = {
        feed.name.removeprefix("transcript_"): usual_name(feed)
        for feed in FAMILIES["transcript"].feeds
    }
    others = {names[feed]: content for feed, content in files.items()}
    return verified({**good_set("transcript"), **others}, "transcript")


# --- fates ----------------------------------------------------------------------------------------


@settings(PROFILE, max_examples=60)
@given(
    feed=st.sampled_from(FEEDS),
    changes=CHANGES,
    other=st.sampled_from(FEEDS),
    more=CHANGES,
)
def test_no_change_of_two_files_makes_verification_fail_or_lose_a_line(
    feed: FeedSpec, changes: list[Change], other: FeedSpec, more: list[Change]
):
    sent = {usual_name(feed): mutated(good_file(feed), changes)}
    if other.family == feed.family and other is not feed:
        sent[usual_name(other)] = mutated(good_file(other), more)
    verification = verified(sent, feed.family)
    files = verification.files
    assert files.height == len(sent)
    fates = files["accepted"] + files["rejected"] + files["removed"] + files["left_alone"]
    assert fates.to_list() == files["lines"].to_list()
    accepted = sum(int(lines["_span"].sum()) for lines in verification.accepted.values())
    assert files["accepted"].sum() == accepted
    errors = verification.findings.filter(pl.col("severity") == Severity.ERROR)
    with_errors = set(errors["_file"])
    refused = set(files.filter(pl.col("rejected") > 0)["_file"])
    if feed.family == "oneroster":  # what many lines miss is told once, where it is first named
        assert with_errors or not refused
    else:
        assert refused <= with_errors
    clean = files.filter(pl.col("verdict") == "accepted")
    assert clean["rejected"].sum() == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_accepted_lines_are_those_that_were_sent(family: str):
    verification = verified(good_set(family), family)
    for feed in FAMILIES[family].feeds:
        lines = verification.accepted[feed.name]
        sent = good_lines(feed)
        assert lines["_line"].to_list() == list(range(2, len(sent) + 2))
        for key in feed.keys:
            assert lines[key].n_unique() == len({line[key] for line in sent})


@pytest.mark.parametrize("folder", ["", "export/"], ids=["at the root", "in a folder"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_zip_is_judged_as_its_loose_files_are(family: str, folder: str):
    """Only OneRoster says where in a zip files must lie, and is told where they do not."""
    broken = {name: content.replace(b"0", b"?", 9) for name, content in good_set(family).items()}
    loose = verified(broken, family)
    packed = verified({"package.zip": zipped(broken, folder)}, family)
    misplaced = family == "oneroster" and bool(folder)
    told = [(name, "OR-PKG-FOLDER", None, None) for name in broken if misplaced]
    assert broken_rules(loose) != []
    assert sorted(broken_rules(packed), key=str) == sorted([*broken_rules(loose), *told], key=str)
    columns = ["feed", "lines", "accepted", "rejected", *([] if misplaced else ["verdict"])]
    outcomes = [night.files.select(columns).sort("feed").rows() for night in (packed, loose)]
    assert outcomes[0] == outcomes[1]


def test_a_member_of_a_zip_is_named_behind_its_zip():
    verification = verified({"package.zip": zipped({ROSTER: good_file(STUDENT)})}, "transcript")
    assert verification.files["path"].to_list() == [f"{DISTRICT}/transcript/package.zip/{ROSTER}"]


def test_a_zip_without_files_is_answered():
    verification = verified({"package.zip": zipped({})}, "transcript")
    assert verification.files.select("verdict", "lines").rows() == [("rejected", 0)]


def test_a_name_that_is_no_utf_8_does_not_stop_the_others():
    name = b"Espa\xf1ol_StudentTemplate.csv".decode(errors="surrogateescape")
    verification = verified({name: good_file(STUDENT)}, "transcript")
    assert verification.files["accepted"].to_list() == [len(good_lines(STUDENT))]


def test_files_of_an_unknown_family_are_answered():
    verification = verified({"Notes.csv": b"hello\n"}, "unknown")
    assert broken_rules(verification) == [("Notes.csv", "FILE-UNRECOGNISED", None, None)]
    assert verification.files["verdict"].to_list() == ["rejected"]


# --- verdicts -------------------------------------------------------------------------------------


def test_a_file_of_which_no_line_can_be_loaded_is_rejected():
    verification = _transcripts(student=_student_file({"StateID": "1"}, {"LastName": ""}))
    assert outcome(verification, ROSTER)["verdict"] == "rejected"


def test_a_file_of_which_a_line_can_be_loaded_is_accepted_with_findings():
    verification = _transcripts(student=_student_file({"StateID": "1"}, {}))
    assert outcome(verification, ROSTER)["verdict"] == "accepted_with_findings"


def test_a_warning_makes_a_file_accepted_with_findings_and_a_hint_does_not():
    marked = b"\xef\xbb\xbf" + good_file(STUDENT)
    warned = _student_file({"GradeLevel": "05"})
    assert outcome(_transcripts(student=marked), ROSTER)["verdict"] == "accepted"
    assert outcome(_transcripts(student=warned), ROSTER)["verdict"] == "accepted_with_findings"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ({"transcript_student": "accepted", "transcript_manifest": "accepted"}, "accepted"),
        (
            {"transcript_student": "accepted", "transcript_manifest": "rejected"},
            "accepted_with_findings",
        ),
        (
            {"transcript_student": "accepted", "transcript_manifest": "accepted_with_findings"},
            "accepted_with_findings",
        ),
        ({"transcript_student": "rejected", "transcript_manifest": "accepted"}, "rejected"),
        ({"transcript_manifest": "rejected", None: "rejected"}, "rejected"),
        ({"transcript_manifest": "accepted", None: "rejected"}, "accepted_with_findings"),
    ],
)
def test_a_drop_is_as_good_as_its_files(verdicts: Mapping[str | None, str], expected: str):
    rows = [{"feed": feed, "verdict": verdict} for feed, verdict in verdicts.items()]
    assert judge_drop(pl.DataFrame(rows, schema=FILES_SCHEMA)) == expected


# --- what is gone, and what is not ----------------------------------------------------------------


def test_a_file_whose_every_key_was_read_tells_what_is_gone():
    verification = _transcripts(student=_student_file({"LastName": ""}, {}))
    assert outcome(verification, ROSTER)["complete"] is True
    kept = verification.kept_keys[STUDENT.name]
    assert kept["StateID"].to_list() == [good_lines(STUDENT, 1)[0]["StateID"]]


@pytest.mark.parametrize(
    "content",
    [
        good_file(STUDENT)[:-60],
        b"",
        as_bytes(STUDENT, []),
        good_file(STUDENT) + b"too,short\n" * 1001,
    ],
    ids=["cut off", "empty", "header only", "too many short lines"],
)
def test_a_file_that_may_hide_any_record_does_not_tell_what_is_gone(content: bytes):
    assert outcome(_transcripts(student=content), ROSTER)["complete"] is False


@pytest.mark.parametrize(
    "content",
    [
        _student_file({}, {"StateID": ""}),
        _student_file({}, {"StateID": "12"}),
        good_file(STUDENT, 2) + b"too,short\n",
        good_file(STUDENT, 2) + b'a "stray,mark\n',
        good_file(STUDENT, 2) + b"a \x00 byte\n",
    ],
    ids=["blank key", "bad key", "short line", "stray quotation mark", "NUL"],
)
def test_a_line_whose_record_is_not_known_is_handed_on(content: bytes):
    verification = _transcripts(student=content)
    assert outcome(verification, ROSTER)["complete"] is True
    (line,) = verification.unread[STUDENT.name]["_line"]
    assert line == content.count(b"\n")


def test_every_rejected_line_with_a_key_keeps_its_record():
    changed = [{"LastName": ""}, {"PrimaryCDSCode": "99999999999999"}, {}, {"DateOfBirth": "x"}]
    kept = _transcripts(student=_student_file(*changed)).kept_keys[STUDENT.name]["StateID"]
    sent = [line["StateID"] for line in good_lines(STUDENT, 4)]
    assert kept.to_list() == [sent[0], sent[1], sent[3]]


# --- repeated keys --------------------------------------------------------------------------------


def test_of_two_students_with_one_ssid_the_first_stands():
    same = good_lines(STUDENT, 1)[0]["StateID"]
    verification = _transcripts(student=_student_file({}, {}, {"StateID": same}))
    assert verification.accepted[STUDENT.name]["_line"].to_list() == [2, 3]
    assert (ROSTER, "TR-STU-UNIQUE", 4, "StateID") in broken_rules(verification)


def test_of_two_courses_with_one_key_both_are_handed_on():
    lines = good_lines(COURSE_GRADE, 2)
    verification = _transcripts(course_grade=as_bytes(COURSE_GRADE, [*lines, lines[0]]))
    assert verification.accepted[COURSE_GRADE.name].height == 3


def test_a_line_that_cannot_be_loaded_does_not_stand_in_the_way_of_its_correction():
    same = good_lines(STUDENT, 1)[0]["StateID"]
    verification = _transcripts(student=_student_file({"LastName": ""}, {"StateID": same}))
    assert verification.accepted[STUDENT.name]["_line"].to_list() == [3]


# --- across files and senders ---------------------------------------------------------------------


def _students_known(
    feed: str, columns: tuple[str, ...], senders: Sequence[str] | None
) -> pl.DataFrame:
    if (feed, columns) == ("transcript_student", ("StateID",)):
        return pl.DataFrame({"_sender": [DISTRICT], "StateID": ["0000000077"]})
    return nothing_known(feed, columns, senders)


def test_a_course_of_a_student_who_is_known_from_before_is_no_finding():
    lines = [{**line, "StateID": "0000000077"} for line in good_lines(COURSE_GRADE, 2)]
    sent = {
        usual_name(COURSE_GRADE): as_bytes(COURSE_GRADE, lines),
        ROSTER: good_file(STUDENT),
    }
    known = verified(sent, "transcript", known=_students_known)
    unknown = verified(sent, "transcript", known=nothing_known)
    rules = {rule for _, rule, *_ in broken_rules(known)}
    assert "TR-CRS-STUDENT" not in rules
    assert "TR-CRS-STUDENT" in {rule for _, rule, *_ in broken_rules(unknown)}


def test_a_student_of_one_district_is_no_student_of_another():
    courses = {usual_name(COURSE_GRADE): good_file(COURSE_GRADE, sender="3300002")}
    verification = verified_together(
        {"3300001": good_set("transcript", "3300001"), "3300002": courses}, "transcript"
    )
    broken = {rule for _, rule, *_ in broken_rules(verification, "3300002")}
    assert "TR-CRS-STUDENT" in broken
    assert broken_rules(verification, "3300001") == []


def test_one_districts_damage_is_no_other_districts():
    damaged = dict.fromkeys(good_set("transcript"), b"\x81")
    verification = verified_together(
        {"3300001": damaged, "3300002": good_set("transcript", "3300002")}, "transcript"
    )
    assert broken_rules(verification, "3300002") == []
    files = verification.files
    assert set(files.filter(pl.col("_sender") == "3300001")["verdict"]) == {"rejected"}
    assert set(files.filter(pl.col("_sender") == "3300002")["verdict"]) == {"accepted"}


def test_a_manifest_speaks_of_its_own_package_only():
    named = as_bytes(MANIFEST, [{"FileName": ROSTER}])
    verification = verified_together(
        {
            "3300001": {usual_name(MANIFEST): named},
            "3300002": {ROSTER: good_file(STUDENT, sender="3300002")},
        },
        "transcript",
    )
    assert "TR-MAN-FILE" in {rule for _, rule, *_ in broken_rules(verification, "3300001")}


def test_a_sender_who_is_not_known_may_have_any_school():
    verification = verified({ROSTER: good_file(STUDENT)}, "transcript", sender="")
    assert verification.files["rejected"].sum() == 0


def test_two_packages_of_a_sender_are_judged_each_for_itself():
    by_day = {
        f"{feed.stems[-1]}_{day}.csv": good_file(feed)
        for day in ("20261119", "20261120")
        for feed in (STUDENT, TEST_GRADE, COURSE_CATALOG)
    }
    verification = verified(by_day, "transcript")
    assert len(delivered(by_day, "transcript")) == verification.files["drop"].n_unique()
    assert {rule for _, rule, *_ in broken_rules(verification)} == {"TR-PKG-MANIFEST"}
    assert verification.files["path"].str.extract(r"_(\d+)").to_list() == [
        *["20261119"] * 3,
        *["20261120"] * 3,
    ]


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [("consent", [True, False, None]), ("opt_out", [False, True, None])],
)
def test_a_parents_answer_is_kept_as_consent(
    meaning: Literal["consent", "opt_out"], expected: list[bool | None]
):
    profiles = Profiles(districts={DISTRICT: DistrictProfile(parent_consent_means=meaning)})
    sent = _student_file({"ParentConsent": "Y"}, {"ParentConsent": "N"}, {"ParentConsent": ""})
    meant = apply_profile_overrides(_transcripts(student=sent), profiles, ON)
    assert meant.accepted[STUDENT.name]["ParentConsent"].to_list() == expected
