"""Nights on a warehouse in PostgreSQL and on object storage come to what embedded ones come to.

Belongs here: two nights over one inbox, on each kind of warehouse; what is done with them later; a
server that goes away.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.common.errors import UnreachableError, to_pipeline_error
from ccgi_pipeline.delivery.ledger import open_ledger
from ccgi_pipeline.monitoring.support_bundle.structure import measure_sizes
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import poll_inboxes
from ccgi_pipeline.operations import audit_log
from ccgi_pipeline.operations.rebuild import rebuild_files
from ccgi_pipeline.operations.trace import find_report, trace_row
from ccgi_pipeline.warehouse.storage import relocation
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    numbered,
    put_events,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in, lake_rows, run_night
from ccgi_pipeline_tests.object_storage import ObjectStorage
from ccgi_pipeline_tests.postgresql import PostgreSql, postgresql

_SECOND = ON + timedelta(days=1)
_THEIRS, _OTHERS = numbered(8_123_450_000, 12), numbered(8_765_430_000, 12)


@dataclass(frozen=True)
class Nights:
    """Two nights on one kind of warehouse. ``environment`` says where it is."""

    folders: PipelinePaths
    environment: Mapping[str, str]


def _send(inbox: Path, day: str, grade: str) -> None:
    put_roster(inbox, HAYWARD, students(_THEIRS, HAYWARD_HIGH, grade), day)
    put_roster(inbox, PALM_SPRINGS, students(_OTHERS, PALM_SPRINGS_HIGH, grade), day)
    steps = [application(s, "UC", "Launched", "UC Merced") for s in (*_THEIRS, *_OTHERS)]
    put_events(inbox, steps, day)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    root = tmp_path_factory.mktemp("embedded")
    folders = folders_in(root)
    _send(folders.inbox, "20261121", "11")
    shutil.copytree(folders.inbox, root / "as it was on the first day")
    run_night(folders, ON)
    _send(folders.inbox, "20261122", "12")
    run_night(folders, _SECOND)
    return Nights(folders, {})


@pytest.fixture(scope="module")
def nights_of_served(
    embedded: Nights,
    tmp_path_factory: pytest.TempPathFactory,
    database_server: PostgreSql,
    store: ObjectStorage,
) -> Nights:
    root = tmp_path_factory.mktemp("served")
    environment = {
        **database_server.environment(database_server.new_database()),
        **store.environment("two-nights"),
    }
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        first = embedded.folders.inbox.parent / "as it was on the first day"
        run_night(folders_in(root, first), ON)
        folders = folders_in(root, embedded.folders.inbox)
        run_night(folders, _SECOND)
    return Nights(folders, environment)


@pytest.fixture
def served(nights_of_served: Nights, monkeypatch: pytest.MonkeyPatch) -> Nights:
    """Two nights on PostgreSQL and object storage, with the environment that they need."""
    for name, value in nights_of_served.environment.items():
        monkeypatch.setenv(name, value)
    return nights_of_served


def _ccgi(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def test_both_write_the_same_bytes(embedded: Nights, served: Nights) -> None:
    assert bytes_below(served.folders.outbox) == bytes_below(embedded.folders.outbox)
    warehouse = served.folders.warehouse
    assert not list(warehouse.glob("tables/**/*.parquet"))
    assert not list(warehouse.glob("catalog*"))


@pytest.mark.slow
def test_reports_of_the_first_night_are_made_again_and_lead_back_to_their_lines(
    served: Nights,
) -> None:
    warehouse, outbox = served.folders.warehouse, served.folders.outbox
    _assert_first_night_is_made_again(warehouse, outbox)
    spec = find_report("applications and launches")
    traced = trace_row(warehouse, spec, HAYWARD, 2, "Detail", ON)
    assert traced


def _assert_first_night_is_made_again(warehouse: Path, outbox: Path) -> None:
    with open_ledger(warehouse) as ledger:
        rows = ledger.database.execute("SELECT path, sha256 FROM made").fetchall()
        made = [found for path, sha256 in rows if (found := ledger.find_made(path, sha256))]
    of_first = [file for file in made if file.night == ON]
    again = list(rebuild_files(warehouse, of_first))
    assert len(again) == len(of_first) > 50
    assert all((outbox / file.path).read_bytes() == content for file, content in again)


@pytest.mark.slow
def test_a_warehouse_that_was_moved_is_what_it_was_there_and_back(
    embedded: Nights,
    database_server: PostgreSql,
    store: ObjectStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warehouse = Path(shutil.copytree(embedded.folders.warehouse, tmp_path / "warehouse"))
    before = lake_rows(warehouse)
    with monkeypatch.context() as patched:
        for name, value in {
            **database_server.environment(database_server.new_database()),
            **store.environment("moved"),
        }.items():
            patched.setenv(name, value)
        _ccgi("warehouse", "move", "--warehouse", warehouse, "--to-postgres")
        assert lake_rows(warehouse) == before
        _assert_first_night_is_made_again(warehouse, embedded.folders.outbox)
        _ccgi("replay", "--warehouse", warehouse)
        assert lake_rows(warehouse) == before
        _ccgi("warehouse", "move", "--warehouse", warehouse, "--to-folder")
    acts = [
        entry.about
        for entry in audit_log.read_entries(warehouse)
        if entry.act == audit_log.Act.MOVED
    ]
    assert acts == [{"to": "PostgreSQL"}, {"to": "the folder"}]
    assert lake_rows(warehouse) == before
    _assert_first_night_is_made_again(warehouse, embedded.folders.outbox)


def test_status_and_support_bundle_tell_of_it_without_its_password(
    served: Nights, database_server: PostgreSql, tmp_path: Path
) -> None:
    warehouse = served.folders.warehouse
    assert HAYWARD in _ccgi("status", "--warehouse", warehouse).output
    bundle = tmp_path / "bundle"
    _ccgi("support-bundle", "--warehouse", warehouse, "--out", bundle)
    told = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert database_server.password.encode() not in told
    assert b"a secret" not in told
    assert "archive" in measure_sizes(warehouse)


@pytest.mark.slow
def test_a_purge_reaches_the_catalog_and_the_store_and_a_move_back_keeps_the_rest(
    served: Nights, database_server: PostgreSql
) -> None:
    folders = served.folders
    before = lake_rows(folders.warehouse)
    database = served.environment["CCGI_CATALOG"].rpartition("/")[2]
    told_of = "SELECT min_value, max_value FROM ducklake_file_column_stats"
    assert _THEIRS[0] in str(database_server.execute(database, told_of))
    told = _ccgi(
        *("purge", "--district", HAYWARD, "--apply", "--reason", "a test", "--by", "tester"),
        *("--inbox", folders.inbox, "--outbox", folders.outbox, "--warehouse", folders.warehouse),
    ).output
    assert "found nowhere" in told, told
    assert _THEIRS[0] not in str(database_server.execute(database, told_of))
    rows = lake_rows(folders.warehouse)
    students = rows["transcript_student"]
    assert students == [row for row in before["transcript_student"] if HAYWARD not in row]
    relocation.move_to_folder(folders.warehouse)
    with pytest.MonkeyPatch.context() as patched:
        for name in served.environment:
            patched.delenv(name)
        assert lake_rows(folders.warehouse) == rows


@pytest.mark.slow
def test_a_server_that_goes_away_costs_a_night_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students(_THEIRS, HAYWARD_HIGH), "20261121")
    with postgresql() as server:
        for name, value in server.environment(server.new_database()).items():
            monkeypatch.setenv(name, value)
        with exclusive_writer(folders.warehouse):
            open_warehouse(folders.warehouse).close()
        server.stop()
        with pytest.raises(UnreachableError):
            run_night(folders, ON)
        asked = poll_inboxes(folders)
        assert asked.due is None
        assert "cannot be reached" in asked.reason
        server.start()
        with open_warehouse(folders.warehouse) as connection:
            create_missing_tables(connection)
            server.stop()
            with pytest.raises(duckdb.Error) as broken:
                connection.execute("INSERT INTO duplicates VALUES ('drop', 'path', NULL)")
            assert isinstance(to_pipeline_error(broken.value), UnreachableError)
        server.start()
        (loaded,) = run_night(folders, ON)
        assert loaded.drops == 1
