"""A district sends only the lines that failed, mended: they are taken as some of many.

Belongs here: nights over files in a folder named ``corrections``. All that is compared is compared
with a district whose files were good from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ccgi_pipeline.feeds import foster_focus, foster_focus_cps, oneroster
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS, ENROLLMENT_HISTORY
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_GRADE, MANIFEST
from ccgi_pipeline.intake.inbox import InboxFile, group_drops
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.replay import run_replay
from ccgi_pipeline.verification.offline_check import check
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.load.reload import Signature
from ccgi_pipeline.warehouse.queries.quarantine import ReplaySelection
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.files import as_bytes, good_lines, good_set, usual_name, zipped
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    Line,
    application,
    course,
    directory_entry,
    numbered,
    put,
    put_directory,
    put_events,
    roster_file,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    Outbox,
    bytes_below,
    folders_in,
    lake_rows,
    load_and_answer,
    run_night,
    tables_of,
)

TOMORROW = ON + timedelta(days=1)
FOLDER = "PalmSpringsUnified"
EVERYONE = numbered(1_000_000_001, 40)
ROSTER = "StudentTemplate.csv"
EVENTS = [application(ssid, "UC", "Submitted", "UC Davis") for ssid in EVERYONE]
Files = Mapping[str, bytes]


def send(
    folders: PipelinePaths, files: Files, folder: str = "transcript", cd: str = PALM_SPRINGS
) -> None:
    """Puts files into a folder of a district."""
    for name, content in files.items():
        put(folders.inbox, f"{cd}/{folder}/{name}", content)


def records(folders: PipelinePaths) -> dict[str, list[tuple[object, ...]]]:
    """All records, whichever line of whichever drop they are from."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        has_files = tables_of(connection)
        return {
            feed.name: connection.execute(
                f"SELECT * EXCLUDE (_drop, _line) FROM {feed.name} ORDER BY ALL"  # noqa: S608
            ).fetchall()
            if has_files[feed.name]
            else []
            for feed in FEEDS
        }


def reports(folders: PipelinePaths) -> dict[str, bytes]:
    """The reports that districts find tomorrow, and what they are told of students."""
    day = f"{TOMORROW:%Y%m%d}"
    return {
        path: content
        for path, content in bytes_below(folders.outbox).items()
        if day in path and ("reporting/" in path or path.endswith("child_match.csv"))
    }


def receipt(folders: PipelinePaths, folder: str = FOLDER) -> dict[str, Any]:
    """The only receipt of tomorrow."""
    (told,) = Outbox(folders.outbox).receipts(folder, TOMORROW)
    return told


def rules(told: dict[str, Any]) -> set[str]:
    """All rules that a receipt names."""
    return {found["rule"] for file in told["files"] for found in file["findings"]}


# --- a package of transcripts ---------------------------------------------------------------------


def _good() -> dict[str, list[Line]]:
    courses = [course(ssid, PALM_SPRINGS_HIGH, number) for ssid in EVERYONE for number in "AB"]
    return {"roster": students(EVERYONE, PALM_SPRINGS_HIGH), "courses": courses}


def _package(roster: Sequence[Line], courses: Sequence[Line]) -> dict[str, bytes]:
    return {
        ROSTER: roster_file(roster),
        "CourseGrade.csv": as_bytes(COURSE_GRADE, courses),
        "Manifest.csv": as_bytes(
            MANIFEST,
            [{"FileName": ROSTER}, {"FileName": "CourseGrade.csv"}, {"FileName": "Manifest.csv"}],
        ),
    }


@dataclass(frozen=True)
class Failed:
    """A package with failing lines, and those lines mended."""

    sent: Files
    mended: Files


def _failed() -> Failed:
    """Lines fail over a cell, over their key, and because they are no lines at all."""
    roster, courses = _good()["roster"], _good()["courses"]
    mended_students, mended_courses = roster[3:6], courses[7:9]
    roster[3] = {**roster[3], "GradeLevel": "99"}
    roster[4] = {**roster[4], "StateID": "12345"}
    courses[7] = {**courses[7], "StateID": ""}
    courses[8] = {**courses[8], "CDSCode": ""}
    sent = _package(roster, courses)
    lines = sent[ROSTER].split(b"\n")
    lines[6] = b"a line,with three,cells"  # of the student that is number 5
    sent[ROSTER] = b"\n".join(lines)
    return Failed(
        sent,
        {
            ROSTER: roster_file(mended_students),
            "CourseGrade.csv": as_bytes(COURSE_GRADE, mended_courses),
        },
    )


@pytest.fixture(scope="module")
def all_good(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """The district whose package was good, after tomorrow's night."""
    folders = folders_in(tmp_path_factory.mktemp("good"))
    send(folders, _package(**_good()))
    put_events(folders.inbox, EVENTS)
    run_night(folders)
    run_night(folders, TOMORROW)
    return folders


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """The district that sent only the mended lines, after tomorrow's night."""
    folders = folders_in(tmp_path_factory.mktemp("corrected"))
    failed = _failed()
    send(folders, failed.sent)
    put_events(folders.inbox, EVENTS)
    run_night(folders)
    rejected = [row[4] for row in lake_rows(folders.warehouse)["ledger"] if row[3] == "rejected"]
    assert sorted(rejected) == [2, 3]
    send(folders, failed.mended, "transcript/corrections")
    run_night(folders, TOMORROW)
    return folders


@pytest.mark.slow
def test_only_the_failed_lines_make_the_reports_what_a_good_file_makes_them(
    all_good: PipelinePaths, corrected: PipelinePaths
):
    assert reports(corrected)
    assert reports(corrected) == reports(all_good)
    assert {**records(corrected), "transcript_manifest": []} == {
        **records(all_good),
        "transcript_manifest": [],
    }


@pytest.mark.slow
def test_nobody_is_ended_for_not_being_among_corrections(corrected: PipelinePaths):
    assert all(row[8] == 0 for row in lake_rows(corrected.warehouse)["files"])


def test_the_receipt_says_that_the_lines_were_taken_as_corrections(corrected: PipelinePaths):
    told = receipt(corrected)
    assert told["verdict"] == "accepted"
    assert rules(told) == {"FILE-CORRECTION"}
    fates = {file["feed"]: file["fates"] for file in told["files"]}
    assert fates == {
        "transcript_student": {"inserted": 3},
        "transcript_course_grade": {"inserted": 2},
    }


_PLACES: dict[str, Callable[[Files], dict[str, bytes]]] = {
    "in capitals": lambda files: {f"Corrections/{name}": files[name] for name in files},
    "further down": lambda files: {f"2026/CORRECTIONS/monday/{n}": files[n] for n in files},
    "a zip in it": lambda files: {"corrections/mended.zip": zipped(files)},
    "in a zip": lambda files: {"mended.zip": zipped(files, folder="corrections/")},
}


@pytest.mark.slow
@pytest.mark.parametrize("place", _PLACES)
def test_a_folder_for_corrections_may_lie_anywhere_below_the_familys(
    all_good: PipelinePaths, tmp_path: Path, place: str
):
    folders = folders_in(tmp_path)
    failed = _failed()
    send(folders, failed.sent)
    load_and_answer(folders)
    send(folders, _PLACES[place](failed.mended))
    load_and_answer(folders, TOMORROW)
    assert rules(receipt(folders)) == {"FILE-CORRECTION"}
    assert records(folders)["transcript_student"] == records(all_good)["transcript_student"]


def test_set_and_corrections_may_come_in_one_night(all_good: PipelinePaths, tmp_path: Path):
    folders = folders_in(tmp_path)
    failed = _failed()
    send(folders, failed.sent)
    send(folders, failed.mended, "transcript/corrections")
    load_and_answer(folders)
    for feed in ("transcript_student", "transcript_course_grade"):
        assert records(folders)[feed] == records(all_good)[feed]
    assert len(Outbox(folders.outbox).receipts(FOLDER)) == 2


@pytest.mark.slow
def test_a_zip_with_a_set_and_corrections_ends_nobody(tmp_path: Path):
    folders = folders_in(tmp_path)
    send(folders, _package(**_good()))
    load_and_answer(folders)
    both = {ROSTER: roster_file(_good()["roster"][:1]), f"corrections/{ROSTER}": b""}
    both[f"corrections/{ROSTER}"] = roster_file(_good()["roster"][1:2])
    send(folders, {"both.zip": zipped(both)})
    load_and_answer(folders, TOMORROW)
    assert _active(folders) == len(EVERYONE)


def _active(folders: PipelinePaths) -> int:
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        counted = connection.execute("SELECT count(*) FROM transcript_student WHERE _active")
        return int(counted.fetchone()[0])


def test_a_known_record_is_updated_by_its_correction(tmp_path: Path):
    folders = folders_in(tmp_path)
    send(folders, _package(**_good()))
    load_and_answer(folders)
    better = {**_good()["roster"][0], "LastName": "Better"}
    send(folders, {ROSTER: roster_file([better])}, "transcript/corrections")
    load_and_answer(folders, TOMORROW)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        names = connection.execute(
            "SELECT StateID FROM transcript_student WHERE LastName = 'Better' AND _active"
        ).fetchall()
    assert names == [(EVERYONE[0],)]
    assert _active(folders) == len(EVERYONE)


@pytest.mark.slow
def test_a_correction_that_fails_again_is_told_so(tmp_path: Path):
    folders = folders_in(tmp_path)
    failed = _failed()
    send(folders, failed.sent)
    load_and_answer(folders)
    again = student(EVERYONE[3], PALM_SPRINGS_HIGH, "98")
    send(folders, {ROSTER: roster_file([again])}, "transcript/corrections")
    load_and_answer(folders, TOMORROW)
    told = receipt(folders)
    assert told["verdict"] == "rejected"
    assert rules(told) == {"FILE-CORRECTION", "TR-STU-CODE-GradeLevel"}
    assert _active(folders) == len(EVERYONE) - 3


def test_references_are_looked_up_in_the_roster_that_stands(tmp_path: Path):
    folders = folders_in(tmp_path)
    send(folders, _package(**_good()))
    load_and_answer(folders)
    lines = [course(EVERYONE[0], PALM_SPRINGS_HIGH, "Z"), course("9999999999", PALM_SPRINGS_HIGH)]
    send(folders, {"CourseGrade.csv": as_bytes(COURSE_GRADE, lines)}, "transcript/corrections")
    load_and_answer(folders, TOMORROW)
    told = receipt(folders)
    errors = [f["line"] for f in told["files"][0]["findings"] if f["severity"] == "error"]
    unknown = [
        found["line"]
        for found in told["files"][0]["findings"]
        if found["rule"] not in {"FILE-CORRECTION"}
    ]
    assert set(errors) <= {3}
    assert unknown == [3]


@pytest.mark.slow
def test_one_line_as_a_set_and_as_a_correction_are_two_drops(tmp_path: Path):
    folders = folders_in(tmp_path)
    files = {ROSTER: roster_file(students(EVERYONE[:1], PALM_SPRINGS_HIGH))}
    send(folders, {ROSTER: roster_file(students(EVERYONE[:2], PALM_SPRINGS_HIGH))})
    load_and_answer(folders)
    send(folders, files, "transcript/corrections")
    load_and_answer(folders, TOMORROW)
    assert _active(folders) == 2
    send(folders, files, "transcript/set")
    load_and_answer(folders, TOMORROW)
    assert _active(folders) == 1
    path = "3367173/transcript/{}StudentTemplate.csv"
    made = [
        group_drops([(InboxFile(path.format(folder), PALM_SPRINGS, "transcript", ""), "1")])[0].id
        for folder in ("", "corrections/", "Corrections/again/")
    ]
    assert made[0] != made[1] == made[2]


@pytest.mark.slow
def test_a_correction_is_never_held_and_leaves_a_held_set_to_its_answer(tmp_path: Path):
    folders = folders_in(tmp_path)
    send(folders, {ROSTER: roster_file(students(EVERYONE, PALM_SPRINGS_HIGH))})
    load_and_answer(folders)
    send(folders, {ROSTER: roster_file(students(EVERYONE[:10], PALM_SPRINGS_HIGH))})
    load_and_answer(folders)
    one = [student(EVERYONE[20], PALM_SPRINGS_HIGH, "12")]
    send(folders, {ROSTER: roster_file(one)}, "transcript/corrections")
    load_and_answer(folders, TOMORROW)
    assert receipt(folders)["verdict"] == "accepted"
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        (hold,) = approvals.read_holds(connection)
    assert hold.state == "waits for an answer"
    assert _active(folders) == len(EVERYONE)


def test_a_check_before_sending_judges_corrections_as_the_night_does(tmp_path: Path):
    lines = roster_file(students(EVERYONE[:1], PALM_SPRINGS_HIGH))
    put(tmp_path, f"ToSend/transcript/corrections/{ROSTER}", lines)
    (file,) = check([tmp_path / "ToSend"], ON).files
    assert file.findings["rule"].to_list() == ["FILE-CORRECTION"]


# --- state-wide senders ---------------------------------------------------------------------------


@pytest.mark.slow
def test_corrections_of_the_directory_end_no_entry(tmp_path: Path):
    folders = folders_in(tmp_path)
    schools = [(HAYWARD_HIGH, "Hayward High"), (PALM_SPRINGS_HIGH, "Palm Springs High")]
    put_directory(
        folders.inbox, [directory_entry(code, "County", "District", name) for code, name in schools]
    )
    load_and_answer(folders)
    mended = put_directory(
        folders.inbox / "cde" / "corrections",
        [directory_entry(HAYWARD_HIGH, "Alameda", "Hayward Unified", "Hayward High")],
    )
    mended.rename(folders.inbox / "cde" / "corrections" / "pubschls.txt")
    load_and_answer(folders, TOMORROW)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        known = connection.execute("SELECT District FROM cde_directory WHERE _active ORDER BY 1")
        assert known.fetchall() == [("District",), ("Hayward Unified",)]
    assert HAYWARD not in str(folders.inbox)


# --- Foster Focus ---------------------------------------------------------------------------------


def _register(folders: PipelinePaths, lines: Sequence[Line]) -> None:
    children = [
        {
            "ChildID": f"child-{line['SISLocalID']}",
            "LastName": line["Lastname"],
            "FirstName": line["Firstname"],
            "BirthDate": line["Birthdate"],
            "Gender": line["Gender"],
            "SSID": line["SSID"],
            "Status": "active",
            "StatusSince": "2024-01-01",
        }
        for line in lines
    ]
    path = f"{foster_focus_cps.SENDER}/{foster_focus_cps.FEED.family}/children.txt"
    put(folders.inbox, path, as_bytes(foster_focus_cps.FEED, children))


def _with_two_failed_students(files: Files) -> dict[str, bytes]:
    """The extracts, two students' demographics without a name: no child fits them now."""
    lines = good_lines(DEMOGRAPHICS, sender=PALM_SPRINGS)
    lines[1:3] = [{**line, "Lastname": ""} for line in lines[1:3]]
    return {**files, usual_name(DEMOGRAPHICS): as_bytes(DEMOGRAPHICS, lines)}


def _of_the_two(feed: FeedSpec) -> dict[str, bytes]:
    return {usual_name(feed): as_bytes(feed, good_lines(feed, sender=PALM_SPRINGS)[1:3])}


@pytest.fixture
def foster(tmp_path: Path) -> tuple[PipelinePaths, PipelinePaths]:
    """A district whose extracts are good, and one where all of two students was kept out."""
    good, failed = folders_in(tmp_path / "good"), folders_in(tmp_path / "failed")
    extracts = good_set(foster_focus.NAME, PALM_SPRINGS)
    for folders, sent in ((good, extracts), (failed, _with_two_failed_students(extracts))):
        _register(folders, good_lines(DEMOGRAPHICS, 5, PALM_SPRINGS))
        send(folders, sent, "foster_focus")
        load_and_answer(folders)
    assert records(failed) != records(good)
    return good, failed


def _foster(folders: PipelinePaths) -> dict[str, list[tuple[object, ...]]]:
    links = lake_rows(folders.warehouse)["child_links"]
    return {**records(folders), "child_links": links}


@pytest.mark.slow
def test_foster_lines_that_failed_are_corrected_and_nobody_else_is_unlinked(
    foster: tuple[PipelinePaths, PipelinePaths],
):
    good, failed = foster
    mended = {n: c for feed in foster_focus.FEEDS for n, c in _of_the_two(feed).items()}
    send(failed, mended, "foster_focus/corrections")
    load_and_answer(failed, TOMORROW)
    assert rules(receipt(failed)) == {"FILE-CORRECTION"}
    assert _foster(failed) == _foster(good)


@pytest.mark.slow
def test_mended_demographics_let_a_replay_load_the_rest_of_the_student(
    foster: tuple[PipelinePaths, PipelinePaths],
):
    good, failed = foster
    send(failed, _of_the_two(DEMOGRAPHICS), "foster_focus/corrections")
    load_and_answer(failed, TOMORROW)
    assert _foster(failed) != _foster(good)
    run_replay(failed.warehouse, ReplaySelection(), TOMORROW, Signature("A. Name"))
    assert _foster(failed) == _foster(good)


@pytest.mark.slow
def test_a_corrected_enrollment_takes_the_place_of_the_one_that_stands_in_every_rule(
    tmp_path: Path,
):
    folders = folders_in(tmp_path)
    _register(folders, good_lines(DEMOGRAPHICS, 2, PALM_SPRINGS))
    still_there = {**good_lines(DEMOGRAPHICS, 1, PALM_SPRINGS)[0], "ExitDate": ""}
    still_open = {**good_lines(ENROLLMENT_HISTORY, 1, PALM_SPRINGS)[0], "ExitDate": ""}
    demographics = {usual_name(DEMOGRAPHICS): as_bytes(DEMOGRAPHICS, [still_there])}
    history = as_bytes(ENROLLMENT_HISTORY, [still_open])
    send(folders, {**demographics, usual_name(ENROLLMENT_HISTORY): history}, "foster_focus")
    load_and_answer(folders)
    (first,) = Outbox(folders.outbox).receipts(FOLDER)
    assert "FF-DEM-EXIT" not in rules(first)
    history = as_bytes(ENROLLMENT_HISTORY, [{**still_open, "ExitDate": "2026-10-01"}])
    mended = {**demographics, usual_name(ENROLLMENT_HISTORY): history}
    send(folders, mended, "foster_focus/corrections")
    load_and_answer(folders, TOMORROW)
    # Every enrollment of the student is closed now, so demographics needs an exit date.
    assert "FF-DEM-EXIT" in rules(receipt(folders))


# --- OneRoster ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True])
def test_oneroster_users_that_failed_are_corrected_without_a_set_around_them(
    tmp_path: Path, *, strict: bool
):
    good, failed = folders_in(tmp_path / "good"), folders_in(tmp_path / "failed")
    files = good_set(oneroster.NAME)
    users = good_lines(oneroster.USERS)
    bad = [users[0], {**users[1], "username": ""}, *users[2:]]
    for folders, sent in (
        (good, files),
        (failed, {**files, "users.csv": as_bytes(oneroster.USERS, bad)}),
    ):
        folders.warehouse.mkdir(parents=True)
        settings = f"[districts.{PALM_SPRINGS}.oneroster]\nstrict = {str(strict).lower()}\n"
        (folders.warehouse / "profiles.toml").write_text(settings)
        send(folders, sent, "oneroster")
        load_and_answer(folders)
    everything, without = records(good), records(failed)
    missing = {name for name, rows in everything.items() if rows != without[name]}
    assert "oneroster_users" in missing
    mended = {
        f"{name.removeprefix('oneroster_')}.csv": files[f"{name.removeprefix('oneroster_')}.csv"]
        for name in missing - {"oneroster_users"}
    }
    mended["users.csv"] = as_bytes(oneroster.USERS, users[1:2])
    send(failed, mended, "oneroster/corrections")
    load_and_answer(failed, TOMORROW)
    told = receipt(failed)
    assert rules(told) == {"FILE-CORRECTION"}
    assert records(failed) == everything
