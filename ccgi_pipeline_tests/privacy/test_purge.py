"""A purge: before it a district's children stand in many places, after it nowhere.

Belongs here: the search over every byte on disk, which knows nothing of how a purge is done; what
must not change for others; a purge that is killed.
"""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.encryption.keys import generate_key
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations import audit_log
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.encrypted_folders import key_set
from ccgi_pipeline_tests.files import as_bytes, usual_name
from ccgi_pipeline_tests.foster_focus import foster_line
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    event,
    numbered,
    put,
    put_events,
    put_roster,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in, lake_rows, run_night

pytestmark = pytest.mark.slow

_PROJECT = Path(__file__).parents[2]
RIVERSIDE_COUNTY = "3310330"
_LATER = ON + timedelta(days=400)

THEIRS, OTHERS = numbered(8_123_450_000, 5), numbered(8_765_430_000, 5)
CANARIES = (*THEIRS, "Zyxofirst", "Zyxolast", "Zyxomiddle", "zyxo.student@example.org", "Zyxo Lane")
"""Values of the district's children that stand nowhere else."""


def _canary(ssid: str) -> dict[str, str]:
    return student(
        ssid,
        PALM_SPRINGS_HIGH,
        FirstName="Zyxofirst",
        LastName="Zyxolast",
        MiddleName="Zyxomiddle",
        DistrictAssignedStudentEmailAddress="zyxo.student@example.org",
    )


def _goal(ssid: str) -> dict[str, str]:
    return event("goals", ssid, GoalID="1", GoalType="Career", GoalStatus="Set")


def _foster_file() -> bytes:
    line = foster_line(DEMOGRAPHICS, 1, PALM_SPRINGS, PALM_SPRINGS_HIGH)
    canary = {"Firstname": "Zyxofirst", "Lastname": "Zyxolast", "homeAddress": "17 Zyxo Lane"}
    return as_bytes(DEMOGRAPHICS, [{**line, **canary, "SSID": THEIRS[0]}])


def _fill(folders: PipelinePaths) -> None:
    """Two districts, the county about one of them, the platform about both, over three nights."""
    put_roster(folders.inbox, HAYWARD, students(OTHERS, HAYWARD_HIGH))
    put_roster(folders.inbox, PALM_SPRINGS, [_canary(ssid) for ssid in THEIRS])
    activity = [_goal(ssid) for ssid in (*THEIRS, *OTHERS, "9999999999")]
    put_events(folders.inbox, activity)
    put(
        folders.inbox, f"{RIVERSIDE_COUNTY}/foster_focus/{usual_name(DEMOGRAPHICS)}", _foster_file()
    )
    run_night(folders)
    # One leaves, one line is kept out and so told in a receipt.
    broken = {**_canary(THEIRS[1]), "GradeLevel": "99"}
    rest = [_canary(ssid) for ssid in THEIRS[2:]]
    put_roster(folders.inbox, PALM_SPRINGS, [broken, *rest], "20261121")
    put_roster(folders.inbox, HAYWARD, students(OTHERS[:4], HAYWARD_HIGH), "20261121")
    run_night(folders, ON + timedelta(days=1))
    put_events(folders.inbox, [_goal(ssid) for ssid in OTHERS[:2]], "20261122")
    run_night(folders, ON + timedelta(days=2))


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """The state before any purge."""
    folders = folders_in(tmp_path_factory.mktemp("before"))
    _fill(folders)
    return folders


def _copy(before: PipelinePaths, root: Path) -> PipelinePaths:
    for folder in (before.inbox, before.outbox, before.warehouse):
        shutil.copytree(folder, root / folder.name)
    return folders_in(root)


def _purge(folders: PipelinePaths, *arguments: str) -> Result:
    places = [
        part
        for name in ("warehouse", "outbox", "inbox")
        for part in (f"--{name}", f"{getattr(folders, name)}")
    ]
    return CliRunner().invoke(main, ["purge", *places, *arguments])


_APPLIED = ("--apply", "--by", "A. Name", "--reason", "agreement ended")


def _certificate(folders: PipelinePaths) -> dict[str, object]:
    newest = max((folders.warehouse / "certificates").iterdir())
    told: dict[str, object] = json.loads(newest.read_text())
    return told


# --- a search that knows nothing of the purge -----------------------------------------------------


def _forms(path: Path) -> Iterable[bytes]:
    content = path.read_bytes()
    yield content
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            yield from (package.read(name) for name in package.namelist())
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        yield frame.select(pl.col(pl.String)).write_csv().encode()


def _places(folders: PipelinePaths, values: Iterable[str] = CANARIES) -> Counter[str]:
    """In how many files of each place one of the values stands."""
    root = folders.inbox.parent
    sought = [value.encode() for value in values]
    return Counter(
        "/".join(path.relative_to(root).parts[:2])
        for path in root.rglob("*")
        if path.is_file() and any(value in content for content in _forms(path) for value in sought)
    )


def test_before_it_they_stand_in_the_archive_the_tables_the_outbox_and_the_inbox(
    before: PipelinePaths,
) -> None:
    places = _places(before)
    assert {"warehouse/archive", "warehouse/tables", f"inbox/{PALM_SPRINGS}"} <= set(places)
    assert any(place.startswith("outbox/") for place in places)
    assert places["inbox/platform"] == 1


@pytest.fixture(scope="module")
def purged(
    before: PipelinePaths, tmp_path_factory: pytest.TempPathFactory
) -> tuple[PipelinePaths, str]:
    """The state after the purge of one of the districts, and what the command printed."""
    folders = _copy(before, tmp_path_factory.mktemp("purged"))
    done = _purge(folders, "--district", PALM_SPRINGS, *_APPLIED)
    assert done.exit_code == 0, done.output
    return folders, done.output


def test_after_the_purge_of_a_district_its_children_are_found_nowhere(
    purged: tuple[PipelinePaths, str],
) -> None:
    folders, _ = purged
    assert _places(folders) == {}
    told = _certificate(folders)
    assert told["purged"] == f"district {PALM_SPRINGS}"
    assert told["proof"]["found"] == {}  # type: ignore[index]
    assert told["proof"]["values"] >= len(THEIRS)  # type: ignore[index]
    (entry,) = audit_log.read_entries(folders.warehouse)
    assert (entry.act, entry.who, entry.reason) == ("records purged", "A. Name", "agreement ended")
    assert told["audit_entry"] == f"1:{entry.hash}"


def test_what_is_said_and_kept_of_a_purge_has_no_value_of_a_child(
    purged: tuple[PipelinePaths, str],
) -> None:
    folders, output = purged
    for value in CANARIES:
        assert value not in output
        assert value not in json.dumps(_certificate(folders))


def _rows_of_others(folders: PipelinePaths) -> dict[str, list[tuple[object, ...]]]:
    """All rows but those in which the district or one of its children is named."""
    named = {PALM_SPRINGS, *THEIRS}
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        drops = connection.execute(
            "SELECT drop_id FROM drops WHERE sender = ?", [PALM_SPRINGS]
        ).fetchall()
    named |= {drop for (drop,) in drops}
    return {
        table: [row for row in rows if not named & {cell for cell in row if isinstance(cell, str)}]
        for table, rows in lake_rows(folders.warehouse).items()
    }


def test_nothing_of_others_is_changed(
    before: PipelinePaths, purged: tuple[PipelinePaths, str]
) -> None:
    expected = _rows_of_others(before)
    folders, _ = purged
    left = lake_rows(folders.warehouse)
    assert left == expected
    assert len(left["transcript_student"]) == len(OTHERS)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        assert not health_queries.count_unbalanced_files(connection)


def test_the_night_after_it_writes_others_reports_as_if_nothing_were(
    before: PipelinePaths, purged: tuple[PipelinePaths, str], tmp_path: Path
) -> None:
    without, untouched = _copy(purged[0], tmp_path / "without"), _copy(before, tmp_path / "as_was")
    day = ON + timedelta(days=3)
    for folders in (without, untouched):
        run_night(folders, day)

    def theirs(folders: PipelinePaths) -> dict[str, bytes]:
        files = bytes_below(folders.outbox)
        return {path: files[path] for path in files if path.startswith("Hayward")}

    assert theirs(without) == theirs(untouched)
    assert not [path for path in bytes_below(without.outbox) if path.startswith("PalmSprings")]


def test_without_apply_nothing_is_changed_and_what_would_go_is_told(
    before: PipelinePaths, tmp_path: Path
) -> None:
    folders = _copy(before, tmp_path)
    was = bytes_below(tmp_path)
    told = _purge(folders, "--district", PALM_SPRINGS)
    assert told.exit_code == 0
    assert "table transcript_student" in told.output
    assert "Nothing was changed" in told.output
    assert bytes_below(tmp_path) == was


def test_a_file_that_nobody_has_taken_yet_stays_and_is_told(
    before: PipelinePaths, tmp_path: Path
) -> None:
    folders = _copy(before, tmp_path)
    put_events(folders.inbox, [_goal(s) for s in (THEIRS[0], OTHERS[0])], "20261125")
    done = _purge(folders, "--district", PALM_SPRINGS, *_APPLIED)
    assert done.exit_code == 1
    assert "still found in inbox/platform: 1" in done.output
    assert sum(_places(folders).values()) == 1


def test_a_value_that_is_left_anywhere_is_found_by_the_proof(
    before: PipelinePaths, tmp_path: Path
) -> None:
    folders = _copy(before, tmp_path)
    (folders.warehouse / "notes.txt").write_text(f"call home of {THEIRS[3]}, urgent")
    (folders.warehouse / "half.txt").write_text(f"no word of its own: 1{THEIRS[3]}1")
    done = _purge(folders, "--district", PALM_SPRINGS, *_APPLIED)
    assert done.exit_code == 1
    assert "still found in warehouse/notes.txt: 1" in done.output
    assert "half.txt" not in done.output


def test_a_purge_needs_a_name_a_reason_and_one_wish(before: PipelinePaths) -> None:
    for answer in ((), ("--by", "A. Name"), ("--by", "A. Name", "--reason", " ")):
        refused = _purge(before, "--district", PALM_SPRINGS, "--apply", *answer)
        assert refused.exit_code == 2
        assert "--apply needs --by (your name) and --reason (why)" in refused.output
    assert _purge(before).exit_code == 2
    assert _purge(before, "--district", PALM_SPRINGS, "--before", "2026-01-01").exit_code == 2


# --- by age ---------------------------------------------------------------------------------------


def test_by_age_leavers_and_old_files_go_and_who_is_there_stays(
    before: PipelinePaths, tmp_path: Path
) -> None:
    folders = _copy(before, tmp_path)
    active = lake_rows(folders.warehouse)["transcript_student"]
    done = _purge(folders, "--before", f"{_LATER:%Y-%m-%d}", *_APPLIED)
    assert done.exit_code == 0, done.output
    left = lake_rows(folders.warehouse)["transcript_student"]
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        gone = connection.execute(
            "SELECT count(*) FROM transcript_student WHERE NOT _active"
        ).fetchone()
    assert gone == (0,)
    assert 0 < len(left) < len(active)
    assert _places(folders, [THEIRS[0]]) == {}, "the leaver is gone"
    assert set(_places(folders, [THEIRS[2]])) == {"warehouse/tables"}, "who is there is known"
    assert not bytes_below(folders.outbox)


def test_by_age_nothing_newer_goes(before: PipelinePaths, tmp_path: Path) -> None:
    folders = _copy(before, tmp_path)
    rows, outbox = lake_rows(folders.warehouse), bytes_below(folders.outbox)
    _purge(folders, "--before", f"{ON:%Y-%m-%d}", *_APPLIED)
    assert lake_rows(folders.warehouse) == rows
    assert bytes_below(folders.outbox) == outbox


def test_what_was_purged_by_age_and_comes_again_is_a_duplicate(
    before: PipelinePaths, tmp_path: Path
) -> None:
    folders = _copy(before, tmp_path)
    content = bytes_below(folders.inbox)
    _purge(folders, "--before", f"{_LATER:%Y-%m-%d}", *_APPLIED)
    assert not bytes_below(folders.inbox)
    rows = lake_rows(folders.warehouse)
    for path, of_file in content.items():
        if path.startswith(HAYWARD) and "20261120" not in path:  # what came together before
            put(folders.inbox, path, of_file)
    run_night(folders, _LATER)
    after = lake_rows(folders.warehouse)
    assert after["transcript_student"] == rows["transcript_student"]
    assert after["drops"] == rows["drops"]
    assert len(after["duplicates"]) > 0


# --- encrypted ------------------------------------------------------------------------------------


def test_an_encrypted_warehouse_is_purged_and_searched_through_its_seals(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    with key_set(generate_key()):
        put_roster(folders.inbox, HAYWARD, students(OTHERS, HAYWARD_HIGH))
        put_roster(folders.inbox, PALM_SPRINGS, [_canary(ssid) for ssid in THEIRS])
        put_events(folders.inbox, [_goal(ssid) for ssid in (THEIRS[0], OTHERS[0])])
        run_night(folders)
        archived = len(folders.archive.files())
        done = _purge(folders, "--district", PALM_SPRINGS, *_APPLIED)
        assert done.exit_code == 0, done.output
        told = _certificate(folders)
        assert told["proof"]["values"] >= len(THEIRS)  # type: ignore[index]
        # The district's own files, and the platform's that has a line of its student.
        left = [folders.archive.read(path.name) for path in folders.archive.files()]
        assert told["files"]["archive"] == archived - len(left)  # type: ignore[index]
        assert not any(value.encode() in content for content in left for value in CANARIES)
        assert any(OTHERS[0].encode() in content for content in left)
        assert len(lake_rows(folders.warehouse)["transcript_student"]) == len(OTHERS)


# --- killed ---------------------------------------------------------------------------------------

_KILLED = """
import os, sys
from pathlib import Path
from ccgi_pipeline.common.failpoints import observe_failpoints
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.purge import run_purge
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection

def heard(name, side):
    if (name, side) == (sys.argv[3], sys.argv[4]):
        os.kill(os.getpid(), 9)

root = Path(sys.argv[1])
with observe_failpoints(heard):
    run_purge(
        PipelinePaths(root / "inbox", root / "outbox", root / "warehouse"),
        PurgeSelection(sys.argv[2]), by="A. Name", reason="agreement ended",
    )
"""


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("purge: archive", "after"),
        ("warehouse: committed", "before"),
        ("purge: rows", "after"),
        ("purge: history", "after"),
    ],
)
def test_a_killed_purge_is_brought_to_its_end_by_another(
    before: PipelinePaths, tmp_path: Path, name: str, side: str
) -> None:
    folders = _copy(before, tmp_path)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, tmp_path, PALM_SPRINGS, name, side],
        cwd=_PROJECT,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = _purge(folders, "--district", PALM_SPRINGS, *_APPLIED)
    assert done.exit_code == 0, done.output
    assert _places(folders) == {}
    assert _certificate(folders)["proof"]["values"] >= len(THEIRS)  # type: ignore[index]


# --- Dagster --------------------------------------------------------------------------------------


def test_runs_of_before_are_forgotten_with_their_events(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students(OTHERS, HAYWARD_HIGH))
    places = [f"--{name}={getattr(folders, name)}" for name in ("inbox", "outbox", "warehouse")]
    ran = CliRunner().invoke(main, ["run", *places, "--date", f"{ON:%Y-%m-%d}"])
    assert ran.exit_code == 0, ran.output
    assert _places(folders, ["verified_transcript"])["warehouse/dagster"] > 0
    tomorrow = date.today() + timedelta(days=2)  # noqa: DTZ011 - runs are made now
    done = _purge(folders, "--before", f"{tomorrow:%Y-%m-%d}", *_APPLIED)
    assert done.exit_code == 0, done.output
    assert _certificate(folders)["files"]["runs"] == 1  # type: ignore[index]
    left = _places(folders, ["ASSET_MATERIALIZATION"])
    assert not left, left
