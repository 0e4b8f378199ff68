"""Housekeeping changes nothing that anybody reads, and keeps the warehouse from growing.

Belongs here: what stays of tables, former states, reports and rebuilt files, on every kind of
warehouse; readers; what expires and how that is told; when it is due.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.delivery.ledger import MadeFile, open_ledger
from ccgi_pipeline.encryption.keys import KEY, generate_key
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.audit_log import Act, read_entries
from ccgi_pipeline.operations.housekeeping import is_due, keep_house, plan_housekeeping
from ccgi_pipeline.operations.purge import run_purge
from ccgi_pipeline.operations.rebuild import rebuild_files
from ccgi_pipeline.operations.verification import verify_warehouse
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.housekeeping import LakeSize, measure_lake
from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    application,
    numbered,
    put_events,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.months import FIRST, run_month
from ccgi_pipeline_tests.nightly.nights import (
    OF_APPLICATIONS,
    ON,
    bytes_below,
    folders_in,
    lake_rows,
    run_night,
)
from ccgi_pipeline_tests.object_storage import ObjectStorage
from ccgi_pipeline_tests.postgresql import PostgreSql
from ccgi_pipeline_tests.tiers import slow_but

_PROJECT = Path(__file__).parents[2]
AT_ONCE = timedelta(0)
_THEIRS = numbered(1000, 6)


def size_of(folders: PipelinePaths) -> LakeSize:
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return measure_lake(connection)


def made_files(warehouse: Path) -> list[MadeFile]:
    with open_ledger(warehouse) as ledger:
        rows = ledger.database.execute("SELECT path, sha256 FROM made").fetchall()
        return [made for path, sha256 in rows if (made := ledger.find_made(path, sha256))]


def badly_rebuilt(warehouse: Path) -> list[str]:
    """The files that were ever made and are not made again as they were."""
    return [
        made.path
        for made, content in rebuild_files(warehouse, made_files(warehouse))
        if hashlib.sha256(content).hexdigest() != made.sha256
    ]


def states_of(warehouse: Path) -> dict[int, dict[str, object]]:
    """By kept state, the number of rows of each table and a hash of them all."""
    with open_warehouse(warehouse, read_only=True) as connection:
        rows = connection.execute("SELECT snapshot_id FROM ducklake_snapshots('lake')").fetchall()
    return {snapshot: _state(warehouse, snapshot) for (snapshot,) in rows}


def _state(warehouse: Path, snapshot: int) -> dict[str, object]:
    with open_warehouse(warehouse, snapshot=snapshot) as connection:
        tables = connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            "WHERE database_name = 'lake_as_it_was'"
        ).fetchall()
        return {
            table: connection.execute(
                f"SELECT count(*), sum(hash(kept)::HUGEINT) FROM lake_as_it_was.{table} AS kept"  # noqa: S608 - its own names
            ).fetchone()
            for (table,) in tables
        }


def send(folders: PipelinePaths, number: int) -> date:
    """What comes for the night of a number: a roster that changes, and one step of somebody."""
    on = ON + timedelta(days=number)
    grade = ("10", "11", "12")[number % 3]
    changed = students(_THEIRS[: 3 + number % 3], HAYWARD_HIGH, grade)
    others = students(_THEIRS[3 + number % 3 :], HAYWARD_HIGH)
    put_roster(folders.inbox, HAYWARD, [*changed, *others], f"{on:%Y%m%d}")
    step = application(_THEIRS[number % 6], "UC", "Launched", f"UC {number}")
    put_events(folders.inbox, [step], f"{on:%Y%m%d}")
    return on


def run_nights(folders: PipelinePaths, count: int) -> date:
    """Nights of which each brings something; returns the day of the last."""
    on = ON
    for number in range(count):
        on = send(folders, number)
        run_night(folders, on, OF_APPLICATIONS)
    return on


def ccgi(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def faults(folders: PipelinePaths) -> list[str]:
    parts = verify_warehouse(folders.warehouse, folders.outbox)
    return [fault for part in parts for fault in part.faults]


# --- nothing changes ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_at_random_nights_it_changes_no_table_no_report_and_no_kept_state(
    tmp_path: Path, seed: int
) -> None:
    nights = 7
    chance = random.Random(seed)  # noqa: S311 - no secret
    chosen = {number for number in range(nights) if chance.random() < 0.4} | {nights - 1}
    plain, kept = folders_in(tmp_path / "plain"), folders_in(tmp_path / "kept")

    def keep(number: int) -> None:
        if number in chosen:
            before = states_of(kept.warehouse)
            keep_house(kept, FIRST + timedelta(days=number), AT_ONCE)
            after = states_of(kept.warehouse)
            assert {state: before[state] for state in before.keys() & after.keys()} == {
                state: after[state] for state in before.keys() & after.keys()
            }

    run_month(plain, nights)
    run_month(kept, nights, keep)
    assert bytes_below(kept.outbox) == bytes_below(plain.outbox)
    assert _without_stamps(kept) == _without_stamps(plain)
    assert badly_rebuilt(kept.warehouse) == []
    assert faults(kept) == []
    assert size_of(kept).live_files < size_of(plain).live_files / 2
    assert size_of(kept).snapshots < size_of(plain).snapshots


def _without_stamps(folders: PipelinePaths) -> dict[str, list[tuple[object, ...]]]:
    """All rows but for the times at which the files of the two inboxes were written."""
    rows = lake_rows(folders.warehouse)
    files = [(path, sha256, drop) for path, _, sha256, drop in rows["received_files"]]
    return {**rows, "received_files": sorted(files)}


@pytest.fixture(params=slow_but("embedded", ("embedded", "encrypted", "served")))
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kind of warehouse; ``served`` is on PostgreSQL and object storage, and encrypted."""
    if request.param == "served":
        server: PostgreSql = request.getfixturevalue("database_server")
        store: ObjectStorage = request.getfixturevalue("store")
        settings = {
            **server.environment(server.new_database()),
            **store.environment("housekeeping"),
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
    if request.param != "embedded":
        monkeypatch.setenv(KEY, generate_key())
    return str(request.param)


@pytest.mark.usefixtures("kind")
def test_every_kind_of_warehouse_keeps_what_it_had_in_fewer_files(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    last = run_nights(folders, 3)
    before, rows = size_of(folders), lake_rows(folders.warehouse)
    states = states_of(folders.warehouse)
    planned = plan_housekeeping(folders, last, AT_ONCE)
    result = keep_house(folders, last, AT_ONCE)
    assert (planned.expire, planned.size) == (result.expired, before)
    after = states_of(folders.warehouse)
    assert lake_rows(folders.warehouse) == rows
    assert {state: states[state] for state in after.keys() & states.keys()} == {
        state: after[state] for state in after.keys() & states.keys()
    }
    assert result.expired > 0
    assert len(states) > len(after)
    assert result.after.live_files < before.live_files / 1.5
    assert result.after.waiting == 0
    assert faults(folders) == []
    again = keep_house(folders, last, AT_ONCE)
    assert (again.removed, again.before.live_files) == (0, again.after.live_files)
    run_night(folders, send(folders, 3), OF_APPLICATIONS)
    assert badly_rebuilt(folders.warehouse) == []


@pytest.mark.slow
def test_after_many_nights_a_warehouse_has_as_many_files_as_after_few(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    folders.warehouse.mkdir()
    (folders.warehouse / "profiles.toml").write_text("[housekeeping]\nkeep_snapshots_days = 2\n")
    sizes = []
    for number in range(9):
        on = send(folders, number)
        run_night(folders, on, OF_APPLICATIONS)
        if number % 3 == 2:
            sizes.append(keep_house(folders, on, AT_ONCE).after)
    _, second, third = sizes
    assert third.files <= second.files + 2
    assert third.live_files <= second.live_files
    assert third.snapshots <= second.snapshots
    on_disk = len([*(folders.warehouse / "tables").rglob("*.parquet")])
    assert on_disk == third.files


def test_a_night_in_which_nothing_came_commits_nothing(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    last = run_nights(folders, 1)
    before = size_of(folders)
    run_night(folders, last + timedelta(days=1), OF_APPLICATIONS)
    assert size_of(folders) == before


@pytest.mark.slow
def test_a_purge_after_it_finds_nothing_in_merged_or_waiting_files(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    last = run_nights(folders, 2)
    assert keep_house(folders, last).after.waiting > 0
    certificate = run_purge(
        folders, PurgeSelection(HAYWARD, None), by="A. Name", reason="it has left"
    )
    assert certificate.proof.values > 0
    assert certificate.proven, certificate.proof.found
    assert size_of(folders).waiting == 0


# --- readers --------------------------------------------------------------------------------------


_READER = """
import sys
from pathlib import Path
from ccgi_pipeline.warehouse.storage.connection import open_warehouse

def read():
    rows = connection.execute(
        "SELECT count(*), count(DISTINCT StateID), (SELECT count(*) FROM drops), "
        "(SELECT max(night) FROM files JOIN drops USING (drop_id)) FROM transcript_student"
    )
    print(rows.fetchall(), flush=True)

with open_warehouse(Path(sys.argv[1]), read_only=True) as connection:
    connection.execute("BEGIN")
    read()
    sys.stdin.readline()
    read()
"""


def test_a_reader_that_began_before_reads_on(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    last = run_nights(folders, 2)
    with subprocess.Popen(
        [sys.executable, "-c", _READER, str(folders.warehouse)],
        cwd=_PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        wanted = reader.stdout.readline()
        assert wanted.startswith(f"[({len(_THEIRS)}, ")
        assert keep_house(folders, last).after.waiting > 0
        reader.stdin.write("\n")
        reader.stdin.close()
        assert reader.stdout.readline() == wanted
    assert reader.returncode == 0
    assert keep_house(folders, last, AT_ONCE).after.waiting == 0


@pytest.mark.slow
def test_beside_a_night_it_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    last = run_nights(folders, 1)
    before = size_of(folders)
    with exclusive_writer(folders.warehouse), pytest.raises(WarehouseBusyError):
        keep_house(folders, last, AT_ONCE)
    assert size_of(folders) == before


# --- what expires ---------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: Path) -> PipelinePaths:
    """Two nights; housekeeping is so late that the files of the first are too old."""
    folders = folders_in(tmp_path)
    last = run_nights(folders, 2)
    (folders.warehouse / "profiles.toml").write_text("[housekeeping]\nkeep_snapshots_days = 3\n")
    keep_house(folders, last + timedelta(days=3), AT_ONCE)
    return folders


def test_a_file_whose_state_expired_is_refused_in_words_that_name_the_setting(
    old: PipelinePaths, tmp_path: Path
) -> None:
    out = tmp_path / "again.csv"
    path = next(made.path for made in made_files(old.warehouse) if made.night == ON)
    result = ccgi("rebuild", "--path", path, "--warehouse", old.warehouse, "--out", out)
    assert result.exit_code == 1
    assert f"of {ON} cannot be made again" in result.output
    assert "the last 3 days (keep_snapshots_days in [housekeeping] of profiles.toml)" in (
        " ".join(result.output.split())
    )
    assert not out.exists()
    kept = [made for made in made_files(old.warehouse) if made.night > ON]
    assert all(
        hashlib.sha256(content).hexdigest() == made.sha256
        for made, content in rebuild_files(old.warehouse, kept)
    )


@pytest.mark.slow
def test_a_file_that_was_made_from_an_old_state_keeps_it(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    last = run_nights(folders, 1)
    run_night(folders, last + timedelta(days=9), OF_APPLICATIONS)  # of the same state
    run_night(folders, send(folders, 10), OF_APPLICATIONS)
    (folders.warehouse / "profiles.toml").write_text("[housekeeping]\nkeep_snapshots_days = 5\n")
    keep_house(folders, last + timedelta(days=12), AT_ONCE)
    kept = [made for made in made_files(folders.warehouse) if made.night > last]
    assert len([*rebuild_files(folders.warehouse, kept)]) == len(kept) > 0


# --- the command ----------------------------------------------------------------------------------


def test_the_command_says_what_it_would_do_and_what_it_did(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    run_nights(folders, 2)
    before = bytes_below(folders.warehouse / "tables")
    dry = ccgi("housekeeping", "--dry-run", "--warehouse", folders.warehouse)
    assert dry.exit_code == 0, dry.output
    assert "Nothing was changed." in dry.output
    assert bytes_below(folders.warehouse / "tables") == before
    planned = plan_housekeeping(folders, ON)
    assert planned.merge > 0
    done = ccgi("housekeeping", "--warehouse", folders.warehouse)
    assert done.exit_code == 0, done.output
    assert "states expired" in done.output
    assert "They wait a day for readers" in done.output
    assert plan_housekeeping(folders, ON).merge == 0
    assert [entry.act for entry in read_entries(folders.warehouse)] == [Act.HOUSEKEPT]


@pytest.mark.slow
def test_without_merging_the_files_stay(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    last = run_nights(folders, 2)
    (folders.warehouse / "profiles.toml").write_text("[housekeeping]\nmerge_files = false\n")
    before = size_of(folders).live_files
    assert keep_house(folders, last, AT_ONCE).after.live_files == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("keep_snapshots_days = 0", "keep_snapshots_days"),
        ('weekday = "someday"', "weekday"),
        ("merge_files = 1", "merge_files"),
        ("keep_runs_days = 5", "keep_runs_days"),
        ("keep = 5", "keep"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named(tmp_path: Path, settings: str, words: str) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(f"[housekeeping]\n{settings}\n")
    result = ccgi("profiles", "check", path)
    assert result.exit_code == 1
    assert f"housekeeping.{words}" in result.output


# --- when it is due -------------------------------------------------------------------------------


_SUNDAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("last", "on", "due"),
    [
        (None, _SUNDAY, True),
        (None, _SUNDAY + timedelta(days=1), False),
        ("2026-11-22", _SUNDAY, False),
        ("2026-11-22", _SUNDAY + timedelta(days=6), False),
        ("2026-11-22", _SUNDAY + timedelta(days=7), True),
        ("2026-11-14", _SUNDAY + timedelta(days=3), True),
        ("2026-11-24", _SUNDAY + timedelta(days=3), False),
        ("torn", _SUNDAY, True),
    ],
    ids=str,
)
def test_it_is_due_on_its_weekday_and_until_it_is_done(
    tmp_path: Path, last: str | None, on: date, *, due: bool
) -> None:
    folders = folders_in(tmp_path)
    folders.warehouse.mkdir()
    if last is not None:
        (folders.warehouse / "housekeeping.json").write_text(json.dumps({"day": last}))
    assert is_due(folders, on) is due
    (folders.warehouse / "profiles.toml").write_text('[housekeeping]\nweekday = "never"\n')
    assert not is_due(folders, on)
