"""Nights with Foster Focus extracts: who is linked, what is removed, what the district is told.

Belongs here: whole nights over small inboxes. How a student is compared with a child is tested in
``verification/test_child_match``, random histories in ``warehouse/test_foster_focus_histories``.
"""

from __future__ import annotations

import csv
import io
import re
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.feeds import foster_focus, foster_focus_cps
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS, ENROLLMENT_HISTORY
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.respond import write_child_match
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.load.drop_records import read_remembered_files
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.files import as_bytes, good_lines, good_set, usual_name
from ccgi_pipeline_tests.foster_focus import Line, local_id, register_line
from ccgi_pipeline_tests.nightly.inboxes import (
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    put_roster,
    student,
)
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    Outbox,
    bytes_below,
    folders_in,
    load_and_answer,
    run_night,
    writing,
)

FOLDER = "PalmSpringsUnified"
TOMORROW = ON + timedelta(days=1)


def _put(folders: PipelinePaths, name: str, content: bytes, sender: str = PALM_SPRINGS) -> None:
    family = foster_focus.NAME if sender == PALM_SPRINGS else foster_focus_cps.FEED.family
    path = folders.inbox / sender / family / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _put_lines(folders: PipelinePaths, feed: FeedSpec, lines: list[Line]) -> None:
    _put(folders, usual_name(feed), as_bytes(feed, lines))


def _put_register(folders: PipelinePaths, children: list[Line]) -> None:
    content = as_bytes(foster_focus_cps.FEED, children)
    _put(folders, "children.txt", content, foster_focus_cps.SENDER)


def _students(count: int = 6) -> list[Line]:
    return good_lines(DEMOGRAPHICS, count, PALM_SPRINGS)


def _put_all(folders: PipelinePaths) -> None:
    for name, content in good_set(foster_focus.NAME, PALM_SPRINGS).items():
        _put(folders, name, content)


def _match_report(folders: PipelinePaths, on: date = ON) -> list[dict[str, str]]:
    name = f"{on:%Y%m%d}_foster_focus_child_match.csv"
    content = (folders.outbox / FOLDER / "_receipts" / name).read_bytes().decode()
    return list(csv.DictReader(io.StringIO(content, newline=""), strict=True))


def _students_in(folders: PipelinePaths, feed: FeedSpec) -> set[str]:
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        rows = connection.execute(f'SELECT "SISLocalID" FROM {feed.name}').fetchall()  # noqa: S608
    return {student for (student,) in rows}


def _profile(folders: PipelinePaths, text: str) -> None:
    folders.warehouse.mkdir(parents=True, exist_ok=True)
    (folders.warehouse / "profiles.toml").write_text(text)


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Six students: two are children of Foster Focus, four are not, each for a reason."""
    folders = folders_in(tmp_path_factory.mktemp("linked"))
    _put_all(folders)
    students = _students()
    _put_register(
        folders,
        [
            register_line(students[0]),
            register_line(students[1], SSID=""),
            register_line(students[2], BirthDate="2009-12-31"),
            register_line(students[3], Status="inactive", StatusSince="2026-01-01"),
            register_line(students[4], Status="graduated"),
        ],
    )
    run_night(folders)
    return folders


@pytest.mark.parametrize("feed", foster_focus.FEEDS, ids=lambda feed: feed.name)
def test_only_lines_of_linked_children_are_loaded(linked: PipelinePaths, feed: FeedSpec):
    assert _students_in(linked, feed) == {local_id(0), local_id(1)}


def test_the_child_match_report_names_each_student_and_the_reason(linked: PipelinePaths):
    told = [
        (row["SISLocalID"], row["line"], row["rule"], row["field"]) for row in _match_report(linked)
    ]
    assert told == [
        (local_id(2), "4", "FF-MATCH-DISAGREE", "Birthdate"),
        (local_id(3), "5", "FF-MATCH-INACTIVE", ""),
        (local_id(4), "6", "FF-MATCH-GRADUATED", ""),
        (local_id(5), "7", "FF-MATCH-NONE", ""),
    ]
    assert all(row["reason"] and row["what to change"] for row in _match_report(linked))


@pytest.mark.parametrize(("unchanged", "names"), [("link", 2), ("copy", 1), ("anew", 1)])
def test_a_child_match_report_that_stays_the_same_needs_no_other_bytes(
    linked: PipelinePaths, tmp_path: Path, unchanged: str, names: int
):
    for name in ("inbox", "outbox", "warehouse"):
        shutil.copytree(getattr(linked, name), tmp_path / name)
    folders = folders_in(tmp_path)
    _profile(folders, f'[reports]\nunchanged = "{unchanged}"\n')
    with writing(folders) as connection:
        write_child_match(connection, folders, TOMORROW)
    reports = [*folders.outbox.rglob("*_child_match.csv")]
    assert len(reports) == 2
    assert [path.stat().st_nlink for path in reports] == [names, names]
    assert _match_report(folders, TOMORROW) == _match_report(folders)


# --- flags that disagree ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flagged(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Four students of demographics, two of them in the register, and a roster.

    The roster flags the first; it does not flag the second, whom the register does not know, nor
    the third, whose local ID has zeros before it there, and does not have the fourth. It flags two
    whom demographics lack: one is enrolled, one has left.
    """
    folders = folders_in(tmp_path_factory.mktemp("flagged"))
    students = _students(4)
    _put_lines(folders, DEMOGRAPHICS, students)
    _put_register(folders, [register_line(students[0]), register_line(students[2])])
    roster = [
        student("1000000001", PALM_SPRINGS_HIGH, LocalStudentID=local_id(0), FosterYouth="Y"),
        student("1000000002", PALM_SPRINGS_HIGH, LocalStudentID=local_id(1), FosterYouth="N"),
        student("1000000003", PALM_SPRINGS_HIGH, LocalStudentID=f"00{local_id(2)}"),
        student("1000000004", PALM_SPRINGS_HIGH, LocalStudentID="F4", FosterYouth="Y"),
        student(
            "1000000005",
            PALM_SPRINGS_HIGH,
            LocalStudentID="F5",
            FosterYouth="Y",
            EnrollmentEndDate="10/02/2026",
        ),
        student("1000000006", PALM_SPRINGS_HIGH, LocalStudentID="F6", FosterYouth="N"),
    ]
    put_roster(folders.inbox, PALM_SPRINGS, roster)
    run_night(folders, reports=[])
    return folders


def test_students_whom_only_one_file_flags_stand_in_the_child_match_report(flagged: PipelinePaths):
    told = [(row["SISLocalID"], row["line"], row["rule"]) for row in _match_report(flagged)]
    flags = [row for row in told if "MATCH-NOT-" in row[2]]
    assert sorted(flags) == sorted(
        [
            ("F4", "", "FF-MATCH-NOT-SENT"),
            (local_id(1), "", "FF-MATCH-NOT-FLAGGED"),
            (local_id(2), "", "FF-MATCH-NOT-FLAGGED"),
        ]
    )


def test_the_answer_about_flags_is_the_same_whoever_is_in_the_register(
    flagged: PipelinePaths, tmp_path: Path
):
    told = [
        (row["SISLocalID"], row["rule"])
        for row in _match_report(flagged)
        if "MATCH-NOT-" in row["rule"]
    ]
    folders = folders_in(tmp_path)
    for sent in ("transcript", foster_focus.NAME):
        shutil.copytree(flagged.inbox / PALM_SPRINGS / sent, folders.inbox / PALM_SPRINGS / sent)
    nobody = register_line(_students(1)[0], SSID="", FirstName="Else", LastName="Someone")
    _put_register(folders, [nobody])
    run_night(folders, reports=[])
    again = [
        (row["SISLocalID"], row["rule"])
        for row in _match_report(folders)
        if "MATCH-NOT-" in row["rule"]
    ]
    assert again == told != []


def test_the_receipt_has_the_fates_and_the_reasons_and_no_value(linked: PipelinePaths):
    (receipt,) = Outbox(linked.outbox).receipts(FOLDER)
    assert receipt["verdict"] == "accepted_with_findings"
    for file in receipt["files"]:
        assert file["fates"] == {"inserted": 2, "unmatched": 4}
    (demographics,) = [f for f in receipt["files"] if f["feed"] == DEMOGRAPHICS.name]
    assert [(f["rule"], f["line"]) for f in demographics["findings"]] == [
        ("FF-MATCH-DISAGREE", 4),
        ("FF-MATCH-INACTIVE", 5),
        ("FF-MATCH-GRADUATED", 6),
        ("FF-MATCH-NONE", 7),
    ]
    assert "2009" not in str(receipt)


def test_foster_youth_are_in_no_report_of_ccgi(linked: PipelinePaths):
    reports = [path for path in bytes_below(linked.outbox) if "reporting" in path]
    assert reports == []  # the district has sent no roster, so it has no reports at all


def test_the_report_is_written_every_night_even_if_nothing_came(linked: PipelinePaths):
    run_night(linked, TOMORROW, reports=[])
    assert _match_report(linked, TOMORROW) == _match_report(linked)


@pytest.mark.slow
def test_a_new_register_takes_again_what_had_noregister_line(tmp_path: Path):
    folders = folders_in(tmp_path)
    students = _students(2)
    _put_lines(folders, DEMOGRAPHICS, students)
    _put_register(folders, [register_line(students[0])])
    run_night(folders, reports=[])
    assert _students_in(folders, DEMOGRAPHICS) == {local_id(0)}
    _put_register(folders, [register_line(student) for student in students])
    run_night(folders, TOMORROW, reports=[])
    run_night(folders, TOMORROW + timedelta(days=1), reports=[])
    assert _students_in(folders, DEMOGRAPHICS) == {local_id(0), local_id(1)}
    assert _match_report(folders, TOMORROW + timedelta(days=1)) == []


@pytest.mark.slow
def test_a_line_kept_out_of_demographics_does_not_unlink_its_student(tmp_path: Path):
    folders = folders_in(tmp_path)
    students = _students(2)
    _put_register(folders, [register_line(student) for student in students])
    _put_lines(folders, DEMOGRAPHICS, students)
    run_night(folders, reports=[])
    _put_lines(folders, DEMOGRAPHICS, [students[0], {**students[1], "Lastname": ""}])
    _put_lines(folders, ENROLLMENT_HISTORY, good_lines(ENROLLMENT_HISTORY, 2, PALM_SPRINGS))
    run_night(folders, TOMORROW, reports=[])
    assert _students_in(folders, ENROLLMENT_HISTORY) == {local_id(0), local_id(1)}


@pytest.mark.slow
def test_a_student_who_left_the_demographics_is_no_longer_linked(tmp_path: Path):
    folders = folders_in(tmp_path)
    students = _students(2)
    _put_register(folders, [register_line(student) for student in students])
    _put_lines(folders, DEMOGRAPHICS, students)
    run_night(folders, reports=[])
    _put_lines(folders, DEMOGRAPHICS, students[:1])
    _put_lines(folders, ENROLLMENT_HISTORY, good_lines(ENROLLMENT_HISTORY, 2, PALM_SPRINGS))
    run_night(folders, TOMORROW, reports=[])
    assert _students_in(folders, ENROLLMENT_HISTORY) == {local_id(0)}


# --- records and their corrections ----------------------------------------------------------------


def _corrected(tmp_path: Path, profile: str = "") -> PipelinePaths:
    """The specification's example: Dewolf was wrong, it was Bullard."""
    folders = folders_in(tmp_path)
    _profile(folders, profile)
    _put_register(folders, [register_line(student) for student in _students(1)])
    _put_lines(folders, DEMOGRAPHICS, _students(1))
    (line,) = good_lines(ENROLLMENT_HISTORY, 1, PALM_SPRINGS)
    wrong = {**line, "SISSchoolCode": "30", "SchoolName": "Dewolf Continuation High"}
    right = {**line, "SISSchoolCode": "40", "SchoolName": "Bullard High"}
    _put_lines(folders, ENROLLMENT_HISTORY, [wrong])
    run_night(folders, reports=[])
    _put_lines(folders, ENROLLMENT_HISTORY, [right])
    run_night(folders, TOMORROW, reports=[])
    return folders


def _schools(folders: PipelinePaths) -> list[str]:
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        rows = connection.execute(
            f'SELECT "SchoolName" FROM {ENROLLMENT_HISTORY.name} ORDER BY 1'  # noqa: S608
        ).fetchall()
    return [school for (school,) in rows]


def _rules_told(folders: PipelinePaths, on: date) -> list[str]:
    (receipt,) = Outbox(folders.outbox).receipts(FOLDER, on)
    return [finding["rule"] for file in receipt["files"] for finding in file["findings"]]


@pytest.mark.slow
def test_with_permanent_unique_ids_the_correction_updates_the_record(tmp_path: Path):
    permanent = f"[districts.{PALM_SPRINGS}.foster_focus]\nunique_ids_are_permanent = true\n"
    folders = _corrected(tmp_path, permanent)
    assert _schools(folders) == ["Bullard High"]
    assert "FF-CORRECTION" not in _rules_told(folders, TOMORROW)


@pytest.mark.slow
def test_without_them_a_second_record_stands_and_the_receipt_says_possible_correction(
    tmp_path: Path,
):
    folders = _corrected(tmp_path)
    assert _schools(folders) == ["Bullard High", "Dewolf Continuation High"]
    assert "FF-CORRECTION" in _rules_told(folders, TOMORROW)


@pytest.mark.slow
def test_a_file_sent_again_changes_nothing(tmp_path: Path):
    folders = _corrected(tmp_path)
    before = _schools(folders)
    sent = (folders.inbox / PALM_SPRINGS / "foster_focus" / "enrollmenthistory.txt").read_bytes()
    _put(folders, "enrollment_history.txt", sent)
    run_night(folders, TOMORROW + timedelta(days=1), reports=[])
    assert _schools(folders) == before


def test_enrollments_left_open_are_closed_on_the_day_that_the_profile_names(tmp_path: Path):
    folders = folders_in(tmp_path)
    _profile(folders, f'[districts.{PALM_SPRINGS}.foster_focus]\nclose_enrollments_on = "06-12"\n')
    _put_register(folders, [register_line(student) for student in _students(1)])
    _put_lines(folders, DEMOGRAPHICS, _students(1))
    (line,) = good_lines(ENROLLMENT_HISTORY, 1, PALM_SPRINGS)
    past = {**line, "UniqueID": "past", "EntryDate": "2025-08-18", "ExitDate": ""}
    now = {**line, "UniqueID": "now", "ExitDate": ""}
    _put_lines(folders, ENROLLMENT_HISTORY, [past, now])
    run_night(folders, reports=[])
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        rows = connection.execute(
            f'SELECT "UniqueID", "ExitDate" FROM {ENROLLMENT_HISTORY.name} ORDER BY 1'  # noqa: S608
        ).fetchall()
    assert rows == [("now", None), ("past", date(2026, 6, 12))]


def test_a_file_is_known_by_the_name_that_the_profile_gives_it(tmp_path: Path):
    folders = folders_in(tmp_path)
    _profile(
        folders,
        f'[districts.{PALM_SPRINGS}.foster_focus.file_names]\ndemographics = "FY EXPORT 7"\n',
    )
    _put_register(folders, [register_line(student) for student in _students(1)])
    header_only = as_bytes(DEMOGRAPHICS, [])
    _put(folders, "FY_Export_7.txt", header_only)
    run_night(folders, reports=[])
    (receipt,) = Outbox(folders.outbox).receipts(FOLDER)
    assert receipt["files"][0]["feed"] == DEMOGRAPHICS.name


# --- police ---------------------------------------------------------------------------------------


def test_a_record_that_mentions_police_is_removed_counted_and_kept_nowhere(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_register(folders, [register_line(student) for student in _students(3)])
    _put_lines(folders, DEMOGRAPHICS, _students(3))
    lines = good_lines(foster_focus.BEHAVIOR, 3, PALM_SPRINGS)
    lines[1]["PenaltyTypeDesc"] = "Sheriff Xylophone called"
    _put_lines(folders, foster_focus.BEHAVIOR, lines)
    run_night(folders)
    assert _students_in(folders, foster_focus.BEHAVIOR) == {local_id(0), local_id(2)}
    (receipt,) = Outbox(folders.outbox).receipts(FOLDER)
    (file,) = [f for f in receipt["files"] if f["feed"] == foster_focus.BEHAVIOR.name]
    assert file["fates"] == {"inserted": 2, "removed": 1}
    assert file["lines"] == 3
    assert 3 not in [finding["line"] for finding in file["findings"]]
    kept = {
        path
        for path, content in {
            **bytes_below(folders.warehouse),
            **bytes_below(folders.outbox),
        }.items()
        if b"Xylophone" in content
    }
    assert all(path.startswith("archive/") for path in kept)  # the bytes as they came
    assert len(kept) == 1


# --- what the district's own codes stand for ------------------------------------------------------


def test_views_read_records_with_the_districts_own_codes(tmp_path: Path):
    folders = folders_in(tmp_path)
    _profile(
        folders,
        f"""
        [districts.{PALM_SPRINGS}.foster_focus.sites]
        "110" = "North Campus"
        [districts.{PALM_SPRINGS}.foster_focus.score_types]
        S = "scaled score"
        [districts.{PALM_SPRINGS}.foster_focus.gpa_types]
        "High School Academic GPA" = "academic"
        """,
    )
    _put_all(folders)
    _put_register(folders, [register_line(student) for student in _students(2)])
    run_night(folders, reports=[])
    with open_warehouse(folders.warehouse, read_only=True) as connection:

        def all_of(query: str) -> set[tuple[object, ...]]:
            return set(connection.execute(query).fetchall())

        assert all_of('SELECT "Site" FROM foster_focus_enrollment_history_by_site') == {
            ("North Campus",)
        }
        assert all_of('SELECT "GPAType" FROM foster_focus_gpa_by_type') == {("academic",)}
        assert all_of(
            'SELECT "StandardTest", "ScoreType" FROM foster_focus_test_scores_by_test'
        ) == {("CST", "scaled score")}


@pytest.mark.slow
def test_what_had_no_child_waits_for_a_new_register_and_no_longer(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_lines(folders, DEMOGRAPHICS, _students(1))
    _put_register(folders, [register_line(_students(2)[1])])
    run_night(folders, reports=[])
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        assert len(read_remembered_files(connection)) == 2


def test_an_extract_of_many_unknown_students_is_held_and_tells_nothing_of_them(tmp_path: Path):
    folders = folders_in(tmp_path)
    students = _students(30)
    _put_register(folders, [register_line(student) for student in students[:6]])
    _put_lines(folders, DEMOGRAPHICS, students)
    run_night(folders, reports=[])
    assert _students_in(folders, DEMOGRAPHICS) == set()
    assert _match_report(folders) == []
    (receipt,) = Outbox(folders.outbox).receipts(FOLDER)
    assert receipt["verdict"] == "held"
    (file,) = receipt["files"]
    assert file["fates"] == {"held": 30}
    (finding,) = file["findings"]
    assert finding["rule"] == "FILE-HELD"
    assert "not known to Foster Focus" in finding["message"]
    assert not {"24", "6"} & set(re.findall(r"\d+", finding["message"]))
    with writing(folders) as connection:
        (hold,) = approvals.read_holds(connection)
        assert hold.losses[0].cause == "24 of 30 students are not known to Foster Focus"
        answer = {"by": "A", "reason": "B", "on": TOMORROW, "profiles": Profiles()}
        approvals.decide_hold(connection, hold.drop, approvals.APPROVED, **answer)
    run_night(folders, TOMORROW, reports=[])
    assert len(_students_in(folders, DEMOGRAPHICS)) == 6
    assert len(_match_report(folders, TOMORROW)) == 24


@pytest.mark.parametrize(("known", "sent"), [(1, 20), (60, 79)], ids=["few", "a small share"])
def test_some_unknown_students_hold_nothing(tmp_path: Path, known: int, sent: int):
    folders = folders_in(tmp_path)
    students = _students(sent)
    _put_register(folders, [register_line(student) for student in students[:known]])
    _put_lines(folders, DEMOGRAPHICS, students)
    load_and_answer(folders)
    assert len(_students_in(folders, DEMOGRAPHICS)) == known


def test_without_a_register_nothing_is_held(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_lines(folders, DEMOGRAPHICS, _students(30))
    load_and_answer(folders)
    (receipt,) = Outbox(folders.outbox).receipts(FOLDER)
    assert receipt["files"][0]["fates"] == {"unmatched": 30}
