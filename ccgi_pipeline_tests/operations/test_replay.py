"""Lines that were kept out, taken again: what is shown, what is loaded, what is left alone.

Belongs here: nights whose lines are refused, something that changes afterwards, and the command
``ccgi replay``. Random histories are in ``test_replayed_histories``; a replay that is killed is in
``test_a_killed_replay``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds import foster_focus, foster_focus_cps, oneroster
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS, ENROLLMENT_HISTORY
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.transcript import COURSE_GRADE
from ccgi_pipeline.intake.archive import Archive, ArchiveDamagedError
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.summary import read_night_start
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, read_snapshot_id
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.files import as_bytes, good_lines, good_set, usual_name
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    Line,
    application,
    course,
    numbered,
    put,
    put_events,
    put_roster,
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
    writing,
)

pytestmark = pytest.mark.slow

TOMORROW, AFTERWARDS = ON + timedelta(days=1), ON + timedelta(days=2)
FOLDER = "PalmSpringsUnified"
GRADE = "TR-STU-CODE-GradeLevel"
GOOD, BAD = numbered(1_000_000_001, 6), numbered(1_000_000_101, 2)
LENIENT = f'[districts.{PALM_SPRINGS}.severities]\n{GRADE} = "warning"\n'


def settle(folders: PipelinePaths, text: str) -> None:
    """Writes the warehouse's settings."""
    folders.warehouse.mkdir(parents=True, exist_ok=True)
    (folders.warehouse / "profiles.toml").write_text(text)


def replay(folders: PipelinePaths, *arguments: str) -> Result:
    """``ccgi replay`` over the warehouse, as of tomorrow unless the arguments say otherwise."""
    command = ["replay", "--warehouse", str(folders.warehouse), "--date", f"{TOMORROW:%Y-%m-%d}"]
    return CliRunner().invoke(main, [*command, *arguments], catch_exceptions=False)


def shown(folders: PipelinePaths, *arguments: str) -> str:
    """What a replay that is not done says, in one line."""
    result = replay(folders, *arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def applied(folders: PipelinePaths, *arguments: str) -> str:
    """What a replay that is done says, in one line."""
    return shown(folders, "--apply", "--by", "A. Name", "--reason", "a test", *arguments)


def snapshot(folders: PipelinePaths) -> int:
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return read_snapshot_id(connection)


Rows = dict[str, list[tuple[object, ...]]]


def records(folders: PipelinePaths, *more: str) -> Rows:
    """The rows of the feeds' tables, and of ``more``."""
    rows = lake_rows(folders.warehouse)
    return {name: rows[name] for name in [*(feed.name for feed in FEEDS), *more] if rows[name]}


def reports(folders: PipelinePaths) -> dict[str, bytes]:
    """The reports that districts find, and what they are told of students without a child."""
    return {
        path: content
        for path, content in bytes_below(folders.outbox).items()
        if "reporting/" in path or path.endswith("child_match.csv")
    }


def ledger_adds_up(folders: PipelinePaths) -> bool:
    """Whether the fates of every file that was ever taken are as many as its lines."""
    rows = lake_rows(folders.warehouse)
    fated = {(drop, number): 0 for drop, number, *_ in rows["files"]}
    for drop, number, _, _, lines in rows["ledger"]:
        fated[drop, number] += int(str(lines))
    return fated == {(row[0], row[1]): row[5] for row in rows["files"]}


def fates(folders: PipelinePaths, feed: str, place: int = 1) -> dict[str, int]:
    """The fates of the lines of a feed in the drop that was loaded as number ``place``."""
    rows = lake_rows(folders.warehouse)
    (drop,) = [row[0] for row in rows["drops"] if row[5] == place]
    return {str(r[3]): int(str(r[4])) for r in rows["ledger"] if (r[0], r[2]) == (drop, feed)}


# --- a package of transcripts ---------------------------------------------------------------------


def _package(inbox: Path) -> None:
    """A roster of which two students have a grade that is none, what they did, and others."""
    lines = students(GOOD, PALM_SPRINGS_HIGH) + students(BAD, PALM_SPRINGS_HIGH, "99")
    put_roster(inbox, PALM_SPRINGS, lines)
    courses = [course(ssid, PALM_SPRINGS_HIGH) for ssid in [*GOOD, *BAD]]
    name = f"{PALM_SPRINGS}/transcript/CourseGrade_20261120.csv"
    put(inbox, name, as_bytes(COURSE_GRADE, courses))
    put_roster(inbox, HAYWARD, students(numbered(2_000_000_001, 3), HAYWARD_HIGH))
    events = [application(ssid, "UC", "Submitted", "UC Merced") for ssid in [*GOOD, *BAD]]
    put_events(inbox, events)


@dataclass(frozen=True)
class States:
    """The same files: settled when they came, or only afterwards."""

    from_the_start: PipelinePaths
    afterwards: PipelinePaths


def _states(
    root: Path, fill: Callable[[Path], None], settings: str, then: Callable[[PipelinePaths], None]
) -> States:
    shared = root / "inbox"
    fill(shared)
    from_the_start = folders_in(root / "one", shared)
    afterwards = folders_in(root / "other", shared)
    settle(from_the_start, settings)
    for folders in (from_the_start, afterwards):
        then(folders)
    settle(afterwards, settings)
    return States(from_the_start, afterwards)


@pytest.fixture(scope="module")
def transcripts(tmp_path_factory: pytest.TempPathFactory) -> States:
    """Before anything is replayed. Only ``test_an_applied_replay...`` may change it."""
    return _states(tmp_path_factory.mktemp("transcripts"), _package, LENIENT, run_night)


def test_a_replay_shows_what_becomes_of_the_lines_and_changes_nothing(transcripts: States):
    folders = transcripts.afterwards
    rows, before = lake_rows(folders.warehouse), snapshot(folders)
    files = bytes_below(folders.warehouse)
    output = shown(folders)
    assert "inserted 6 → 2, rejected 2 → 0, unchanged 0 → 6" in output
    assert f"transcript_student {GRADE} error 2 0" in output
    assert f"transcript_student {GRADE} warning 0 2" in output
    assert "Nothing was changed" in output
    assert lake_rows(folders.warehouse) == rows
    assert snapshot(folders) == before
    now = bytes_below(folders.warehouse)
    assert {path: now[path] for path in files} == files
    assert set(now) - set(files) <= {"preview/writer.lock"}


def test_a_replay_shows_no_cell(transcripts: States):
    output = shown(transcripts.afterwards)
    for cell in (*BAD, f"Last{BAD[0]}", "99 "):
        assert cell not in output


def test_an_applied_replay_comes_to_what_the_settings_come_to_from_the_start(transcripts: States):
    folders = transcripts.afterwards
    before = lake_rows(folders.warehouse)
    assert "1 drop changed" in applied(folders)
    assert read_night_start(folders).quiet is False  # the night writes what is another now
    for state in (transcripts.from_the_start, folders):
        run_night(state, TOMORROW)
    assert read_night_start(folders).quiet is True
    first, other = reports(transcripts.from_the_start), reports(folders)
    day = f"{TOMORROW:%Y%m%d}"
    assert {p: c for p, c in other.items() if day in p} == {
        p: c for p, c in first.items() if day in p
    }
    assert any(BAD[0].encode() in content for path, content in other.items() if day in path)
    assert records(folders) == records(transcripts.from_the_start)
    assert ledger_adds_up(folders)
    rows = lake_rows(folders.warehouse)
    assert [(row[0], row[5]) for row in rows["drops"]] == [(r[0], r[5]) for r in before["drops"]]
    (receipt,) = Outbox(folders.outbox).receipts(FOLDER, TOMORROW)
    (roster,) = [file for file in receipt["files"] if file["feed"] == "transcript_student"]
    assert roster["fates"] == {"inserted": 2, "unchanged": 6}
    noted = {row[2:5] for row in rows["replays"]}
    assert noted == {(TOMORROW, "A. Name", "a test")}
    of_roster = {row[7]: row[8:] for row in rows["replays"] if row[6] == "transcript_student"}
    assert of_roster == {"inserted": (6, 2), "rejected": (2, 0), "unchanged": (0, 6)}


def test_replaying_again_changes_nothing(tmp_path: Path):
    folders = folders_in(tmp_path)
    lines = [*students(GOOD, PALM_SPRINGS_HIGH), student(BAD[0], PALM_SPRINGS_HIGH, "99")]
    put_roster(folders.inbox, PALM_SPRINGS, [*lines, student("12345", PALM_SPRINGS_HIGH)])
    load_and_answer(folders)
    settle(folders, LENIENT)
    applied(folders)
    rows, before = lake_rows(folders.warehouse), snapshot(folders)
    output = applied(folders)  # one line is refused for another reason, as before
    assert "as it was" in output
    assert "0 drops changed" in output
    assert (lake_rows(folders.warehouse), snapshot(folders)) == (rows, before)


def test_without_anything_changed_there_is_nothing_to_load(tmp_path: Path):
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, PALM_SPRINGS, students(BAD, PALM_SPRINGS_HIGH, "99"))
    load_and_answer(folders)
    rows = lake_rows(folders.warehouse)
    assert "Nothing was changed, and nothing would be." in shown(folders)
    applied(folders)
    assert lake_rows(folders.warehouse) == rows


def test_a_replay_is_of_the_drops_that_were_asked_for(tmp_path: Path):
    folders = folders_in(tmp_path)
    for cd, school in ((PALM_SPRINGS, PALM_SPRINGS_HIGH), (HAYWARD, HAYWARD_HIGH)):
        put_roster(folders.inbox, cd, [*students(GOOD, school), student(BAD[0], school, "99")])
    load_and_answer(folders)
    settle(folders, f'[defaults.severities]\n{GRADE} = "warning"\n')
    of = {str(row[1]): str(row[0]) for row in lake_rows(folders.warehouse)["drops"]}
    assert of[HAYWARD] not in shown(folders, "--district", PALM_SPRINGS)
    assert of[HAYWARD] not in shown(folders, "--drop", of[PALM_SPRINGS][:6])
    assert "No such drop" in shown(folders, "--family", "platform")
    assert "No such drop" in shown(folders, "--district", "9999999")
    applied(folders, "--district", PALM_SPRINGS)
    assert {str(row[0]) for row in lake_rows(folders.warehouse)["replays"]} == {of[PALM_SPRINGS]}


def test_who_has_it_done_must_be_named(tmp_path: Path):
    folders = folders_in(tmp_path)
    with open_warehouse(folders.warehouse) as connection:
        create_missing_tables(connection)
    result = replay(folders, "--apply")
    assert result.exit_code == 2
    assert "--by" in result.output


def test_a_folder_that_is_no_warehouse_is_refused_and_stays_empty(tmp_path: Path):
    folders = folders_in(tmp_path)
    folders.warehouse.mkdir()
    result = replay(folders)
    assert result.exit_code == 2
    assert "there is no warehouse" in result.output
    assert list(folders.warehouse.iterdir()) == []


def test_while_a_night_writes_a_replay_is_shown_and_not_applied(tmp_path: Path):
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, PALM_SPRINGS, students(BAD, PALM_SPRINGS_HIGH, "99"))
    load_and_answer(folders)
    settle(folders, LENIENT)
    with exclusive_writer(folders.warehouse):
        assert "With --apply --by NAME, 1 drop will be." in shown(folders)
        result = replay(folders, "--apply", "--by", "A. Name")
    assert result.exit_code == 1
    assert "another night is writing" in result.output


# --- Foster Focus and OneRoster -------------------------------------------------------------------


def _child(line: Line) -> Line:
    return {
        "ChildID": f"child-{line['SISLocalID']}",
        "LastName": line["Lastname"],
        "FirstName": line["Firstname"],
        "BirthDate": line["Birthdate"],
        "Gender": line["Gender"],
        "SSID": line["SSID"],
        "Status": "active",
        "StatusSince": "2024-01-01",
    }


def _put_register(inbox: Path, lines: Sequence[Line]) -> None:
    children = as_bytes(foster_focus_cps.FEED, [_child(line) for line in lines])
    put(inbox, f"{foster_focus_cps.SENDER}/{foster_focus_cps.FEED.family}/children.txt", children)


def _put_extracts(inbox: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        put(inbox, f"{PALM_SPRINGS}/foster_focus/{name}", content)


def _foster_records(folders: PipelinePaths) -> Rows:
    return records(folders, "child_links", "unmatched", "foster_lookups")


def test_lines_without_a_child_need_no_replay_once_the_register_has_come(tmp_path: Path):
    extracts = good_set(foster_focus.NAME, PALM_SPRINGS)
    children = good_lines(DEMOGRAPHICS, 4, PALM_SPRINGS)
    one, other = folders_in(tmp_path / "one"), folders_in(tmp_path / "other")
    for folders, register in ((one, children), (other, children[:1])):
        _put_extracts(folders.inbox, extracts)
        _put_register(folders.inbox, register)
        run_night(folders, ON)
        for path in (folders.inbox / PALM_SPRINGS).rglob("*.*"):
            path.unlink()  # the archive has them
    _put_register(other.inbox, children)
    run_night(other, TOMORROW)
    assert fates(other, DEMOGRAPHICS.name, 4) == {"inserted": 3, "unchanged": 1, "unmatched": 2}
    for folders in (one, other):
        run_night(folders, AFTERWARDS)
    registers = {foster_focus_cps.FEED.name: []}  # they came as other drops
    assert _foster_records(other) | registers == _foster_records(one) | registers
    told = {path: content for path, content in reports(one).items() if "20261124" in path}
    assert told
    assert {p: c for p, c in reports(other).items() if "20261124" in p} == told
    assert ledger_adds_up(other)


def test_foster_lines_are_replayed_after_a_setting_changed(tmp_path: Path):
    lines = good_lines(ENROLLMENT_HISTORY, 4, PALM_SPRINGS)
    lines[2] |= {"EntryDate": "2025-08-18", "ExitDate": ""}

    def fill(inbox: Path) -> None:
        extracts = good_set(foster_focus.NAME, PALM_SPRINGS)
        changed = {usual_name(ENROLLMENT_HISTORY): as_bytes(ENROLLMENT_HISTORY, lines)}
        _put_extracts(inbox, extracts | changed)
        _put_register(inbox, good_lines(DEMOGRAPHICS, 4, PALM_SPRINGS))

    closing = f'[districts.{PALM_SPRINGS}.foster_focus]\nclose_enrollments_on = "06-12"\n'
    states = _states(tmp_path, fill, closing, load_and_answer)
    assert fates(states.afterwards, ENROLLMENT_HISTORY.name, 2)["rejected"] == 1
    applied(states.afterwards)
    assert _foster_records(states.afterwards) == _foster_records(states.from_the_start)
    assert ledger_adds_up(states.afterwards)


def test_a_file_that_was_not_recognised_is_replayed_under_its_name_in_the_settings(tmp_path: Path):
    def fill(inbox: Path) -> None:
        extracts = good_set(foster_focus.NAME, PALM_SPRINGS)
        header, *lines = extracts.pop(usual_name(ENROLLMENT_HISTORY)).splitlines()
        more = [f"\tMore{number}".encode() for number in range(20)]  # too many to be known by it
        wide = [header + b"".join(more), *(line + b"\tx" * len(more) for line in lines), b""]
        _put_extracts(inbox, {**extracts, "EXPORT.txt": b"\n".join(wide)})
        _put_register(inbox, good_lines(DEMOGRAPHICS, 4, PALM_SPRINGS))

    names = f"[districts.{PALM_SPRINGS}.foster_focus.file_names]\n"
    mapping = f'{names}enrollment_history = "EXPORT"\n'
    states = _states(tmp_path, fill, mapping, load_and_answer)
    applied(states.afterwards)
    assert _foster_records(states.afterwards) == _foster_records(states.from_the_start)
    told = {row[3] for row in lake_rows(states.afterwards.warehouse)["files"]}
    assert ENROLLMENT_HISTORY.name in told
    assert ledger_adds_up(states.afterwards)


def test_a_oneroster_set_is_replayed(tmp_path: Path):
    users = good_lines(oneroster.USERS)
    users[1] |= {"username": ""}

    def fill(inbox: Path) -> None:
        for name, content in good_set(oneroster.NAME).items():
            lines = as_bytes(oneroster.USERS, users) if name == "users.csv" else content
            put(inbox, f"{PALM_SPRINGS}/oneroster/{name}", lines)

    lenient = f'[districts.{PALM_SPRINGS}.severities]\nOR-USR-REQ-username = "warning"\n'
    states = _states(tmp_path, fill, lenient, load_and_answer)
    assert fates(states.afterwards, oneroster.USERS.name)["rejected"] == 1
    applied(states.afterwards)
    for folders in (states.from_the_start, states.afterwards):
        load_and_answer(folders, TOMORROW)
    more = ("school_codes",)
    assert records(states.afterwards, *more) == records(states.from_the_start, *more)
    assert ledger_adds_up(states.afterwards)


# --- older drops ----------------------------------------------------------------------------------


def _values(folders: PipelinePaths, column: str = "GradeLevel") -> dict[str, object]:
    """A column of the active students."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        query = f'SELECT "StateID", "{column}" FROM transcript_student WHERE _active'  # noqa: S608
        return dict(connection.execute(query).fetchall())


def test_a_set_that_a_later_full_one_has_superseded_is_left_alone_and_said_so(tmp_path: Path):
    folders = folders_in(tmp_path)
    bad = student(BAD[0], PALM_SPRINGS_HIGH, "99")
    put_roster(folders.inbox, PALM_SPRINGS, [*students(GOOD, PALM_SPRINGS_HIGH), bad], "20261120")
    load_and_answer(folders)
    put_roster(folders.inbox, PALM_SPRINGS, students(GOOD, PALM_SPRINGS_HIGH), "20261121")
    load_and_answer(folders, TOMORROW)
    settle(folders, LENIENT)
    rows = lake_rows(folders.warehouse)
    assert "superseded by a later full set" in applied(folders)
    assert lake_rows(folders.warehouse) == rows


def test_of_an_older_package_only_what_is_not_superseded_is_replayed(tmp_path: Path):
    folders = folders_in(tmp_path)
    bad = student(BAD[0], PALM_SPRINGS_HIGH, "99")
    put_roster(folders.inbox, PALM_SPRINGS, [*students(GOOD, PALM_SPRINGS_HIGH), bad], "20261120")
    courses = [course(ssid, PALM_SPRINGS_HIGH) for ssid in GOOD]
    courses[1] |= {"CDSCode": ""}
    name = f"{PALM_SPRINGS}/transcript/CourseGrade_20261120.csv"
    put(folders.inbox, name, as_bytes(COURSE_GRADE, courses))
    load_and_answer(folders)
    put_roster(folders.inbox, PALM_SPRINGS, students(GOOD[:5], PALM_SPRINGS_HIGH), "20261121")
    load_and_answer(folders, TOMORROW)
    rules = f'{GRADE} = "warning"\nTR-CRS-REQ-CDSCode = "warning"\n'
    settle(folders, f"[districts.{PALM_SPRINGS}.severities]\n{rules}")
    roster = fates(folders, "transcript_student")
    output = applied(folders)
    assert "is a later full set" in output
    assert "inserted 5 → 1, rejected 1 → 0, unchanged 0 → 5" in output
    assert fates(folders, "transcript_student") == roster
    assert set(_values(folders)) == set(GOOD[:5])
    assert ledger_adds_up(folders)


def _cut_off(content: bytes) -> bytes:
    """A file that cannot be a full set, because it breaks off."""
    return content + b"a line,that breaks"


def _put_rosters(folders: PipelinePaths, *rosters: Sequence[Line]) -> None:
    """One night for each roster; from the second one on they are no full sets."""
    for number, lines in enumerate(rosters):
        content = roster_file(lines) if number == 0 else _cut_off(roster_file(lines))
        name = f"StudentTemplate_202611{10 + number}.csv"
        put(folders.inbox, f"{PALM_SPRINGS}/transcript/{name}", content)
        load_and_answer(folders, ON)


def _named(number: int, last_name: str, grade: str = "11") -> Line:
    return student(GOOD[number], PALM_SPRINGS_HIGH, grade, LastName=last_name)


def test_an_older_drop_adds_and_updates_and_overrides_nothing_newer(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_rosters(
        folders,
        [_named(number, "First") for number in range(4)],
        [_named(number, "Second", "99") for number in range(5)],
        [_named(0, "Third"), _named(1, "First")],  # one that changed, one that stands as it was
    )
    settle(folders, LENIENT)
    output = applied(folders)
    assert "rejected 6 → 1" in output
    assert _values(folders, "LastName") == {
        GOOD[0]: "Third",
        GOOD[1]: "First",
        GOOD[2]: "Second",
        GOOD[3]: "Second",
        GOOD[4]: "Second",
    }
    assert fates(folders, "transcript_student", 2) == {
        "inserted": 1,
        "updated": 2,
        "superseded": 2,
        "rejected": 1,
    }
    assert ledger_adds_up(folders)


def test_an_older_drop_undoes_nothing_where_a_later_one_cannot_be_read_again(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_rosters(
        folders,
        [_named(number, "First") for number in range(3)],
        [_named(number, "Second", "99") for number in range(3)],
        [_named(0, "First")],
    )
    (newest,) = [r[0] for r in lake_rows(folders.warehouse)["drops"] if r[5] == 3]
    (sha256,) = [r[2] for r in lake_rows(folders.warehouse)["drop_files"] if r[0] == newest]
    folders.archive.path(str(sha256)).unlink()
    settle(folders, LENIENT)
    applied(folders)
    assert set(_values(folders, "LastName").values()) == {"First"}
    assert ledger_adds_up(folders)


def test_an_older_drop_ends_nobody(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_rosters(folders, students(GOOD, PALM_SPRINGS_HIGH))
    put_roster(folders.inbox, PALM_SPRINGS, students(GOOD[:3], PALM_SPRINGS_HIGH, "99"))
    load_and_answer(folders)  # no line of it was loaded, so nobody was ended
    name = f"{PALM_SPRINGS}/transcript/StudentTemplate_20261122.csv"
    put(folders.inbox, name, _cut_off(roster_file(students(GOOD[:1], PALM_SPRINGS_HIGH))))
    load_and_answer(folders)
    settle(folders, LENIENT)
    applied(folders)
    assert set(_values(folders)) == set(GOOD)


def test_several_drops_of_one_sender_are_replayed_in_the_order_in_which_they_came(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_rosters(
        folders,
        [_named(0, "First")],
        [_named(1, "Second", "99"), _named(2, "Second", "99")],
        [_named(1, "Third", "99")],
    )
    settle(folders, LENIENT)
    applied(folders)
    names = _values(folders, "LastName")
    assert names == {GOOD[0]: "First", GOOD[1]: "Third", GOOD[2]: "Second"}


def test_a_drop_is_replayed_though_its_file_was_overwritten_in_the_inbox(tmp_path: Path):
    folders = folders_in(tmp_path)
    name = f"{PALM_SPRINGS}/transcript/StudentTemplate.csv"
    put(folders.inbox, name, roster_file([_named(0, "First"), _named(1, "First", "99")]))
    load_and_answer(folders)
    put(folders.inbox, name, _cut_off(roster_file([_named(0, "Second")])))
    load_and_answer(folders, TOMORROW)
    settle(folders, LENIENT)
    applied(folders)
    assert _values(folders, "LastName") == {GOOD[0]: "Second", GOOD[1]: "First"}


def test_the_newest_set_ends_whom_it_does_not_have(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_rosters(folders, students(GOOD, PALM_SPRINGS_HIGH))
    put_roster(folders.inbox, PALM_SPRINGS, students(GOOD[:4], PALM_SPRINGS_HIGH, "99"))
    load_and_answer(folders)
    assert set(_values(folders)) == set(GOOD)
    settle(folders, LENIENT)
    applied(folders)
    assert set(_values(folders)) == set(GOOD[:4])


# --- what is not replayed -------------------------------------------------------------------------


def test_what_the_guard_would_hold_is_not_loaded(tmp_path: Path):
    folders = folders_in(tmp_path)
    everyone = numbered(1_000_000_001, 40)
    _put_rosters(folders, students(everyone, PALM_SPRINGS_HIGH))
    put_roster(folders.inbox, PALM_SPRINGS, students(everyone[:20], PALM_SPRINGS_HIGH, "99"))
    load_and_answer(folders)
    settle(folders, LENIENT)
    rows = lake_rows(folders.warehouse)
    output = applied(folders)
    assert "the guard would hold it" in output
    assert "20 of 40 active records of transcript_student would end" in output
    assert lake_rows(folders.warehouse) == rows


def test_held_drops_have_a_command_of_their_own(tmp_path: Path):
    folders = folders_in(tmp_path)
    everyone = numbered(1_000_000_001, 40)
    _put_rosters(folders, students(everyone, PALM_SPRINGS_HIGH))
    half = [*students(everyone[:20], PALM_SPRINGS_HIGH), student("12345", PALM_SPRINGS_HIGH)]
    put_roster(folders.inbox, PALM_SPRINGS, half)
    load_and_answer(folders)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        assert len(approvals.read_holds(connection)) == 1
    assert "No such drop" in shown(folders)


def test_what_mentions_police_stays_removed(tmp_path: Path):
    folders = folders_in(tmp_path)
    extracts = good_set(foster_focus.NAME, PALM_SPRINGS)
    lines = good_lines(foster_focus.BEHAVIOR, 6, PALM_SPRINGS)
    lines[1]["PenaltyTypeDesc"] = "Sheriff called"
    extracts[usual_name(foster_focus.BEHAVIOR)] = as_bytes(foster_focus.BEHAVIOR, lines)
    _put_extracts(folders.inbox, extracts)
    _put_register(folders.inbox, good_lines(DEMOGRAPHICS, 6, PALM_SPRINGS))
    load_and_answer(folders)
    assert "No such drop" in shown(folders)


def test_a_drop_that_cannot_be_judged_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folders = folders_in(tmp_path)
    for cd, school in ((PALM_SPRINGS, PALM_SPRINGS_HIGH), (HAYWARD, HAYWARD_HIGH)):
        put_roster(folders.inbox, cd, [student(GOOD[0], school), student(BAD[0], school, "99")])
    load_and_answer(folders)
    settle(folders, f'[defaults.severities]\n{GRADE} = "warning"\n')
    read = Archive.read

    def damaged(archive: Archive, sha256: str) -> bytes:
        content = read(archive, sha256)
        if HAYWARD_HIGH.encode() in content:
            raise ArchiveDamagedError(sha256)
        return content

    with monkeypatch.context() as disk:
        disk.setattr(Archive, "read", damaged)
        result = replay(folders, "--apply", "--by", "A. Name")
    assert result.exit_code == 1
    assert "could not be judged" in result.output
    assert "1 drop changed" in result.output
    replayed = {str(row[0]) for row in lake_rows(folders.warehouse)["replays"]}
    of = {str(row[1]): str(row[0]) for row in lake_rows(folders.warehouse)["drops"]}
    assert replayed == {of[PALM_SPRINGS]}
    applied(folders)
    assert fates(folders, "transcript_student", 1)["inserted"] == 1


def test_a_drop_whose_file_is_no_longer_archived_is_told(tmp_path: Path):
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, PALM_SPRINGS, students(BAD, PALM_SPRINGS_HIGH, "99"))
    load_and_answer(folders)
    for row in lake_rows(folders.warehouse)["drop_files"]:
        folders.archive.path(str(row[2])).unlink()
    settle(folders, LENIENT)
    assert "its files are no longer known" in shown(folders)


def test_a_warehouse_of_an_older_version_is_replayed_by_what_it_remembers(tmp_path: Path):
    folders = folders_in(tmp_path)
    path = put_roster(folders.inbox, PALM_SPRINGS, students(BAD, PALM_SPRINGS_HIGH, "99"))
    again = folders.inbox / PALM_SPRINGS / "transcript" / "again"
    load_and_answer(folders)
    again.mkdir()
    for name in (path.name, path.name.replace("StudentTemplate", "Manifest")):
        (again / name).write_bytes((path.parent / name).read_bytes())
    load_and_answer(folders)  # a duplicate: its paths are remembered too
    with writing(folders) as connection:
        connection.execute("DROP TABLE drop_files")
        connection.execute("DROP TABLE replays")
        connection.execute("ALTER TABLE drops DROP COLUMN correction")
    settle(folders, LENIENT)
    assert "With --apply --by NAME, 1 drop will be." in shown(folders)
    applied(folders)
    assert set(_values(folders)) == set(BAD)
