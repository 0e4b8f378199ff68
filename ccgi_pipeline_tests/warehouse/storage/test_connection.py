"""The warehouse itself: one writer, tables made from the declarations, a folder that can be moved.

Belongs here: opening, preparing and locking a warehouse. Does not belong here: what is loaded into
it (``test_loading``, ``test_bookkeeping``).
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import duckdb
import pytest

from ccgi_pipeline.common.errors import DatabaseInUseError, TransientError, value_free
from ccgi_pipeline.feeds.registry import FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.storage import connection as connection_module
from ccgi_pipeline.warehouse.storage import history
from ccgi_pipeline.warehouse.storage.connection import (
    SnapshotGoneError,
    open_warehouse,
    read_snapshot_id,
    write_warehouse,
)
from ccgi_pipeline.warehouse.storage.location import CATALOG
from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError
from ccgi_pipeline.warehouse.storage.schema import (
    PIPELINE_TABLES,
    create_missing_tables,
    drop_temporary_tables,
    quote_identifier,
    read_tables,
    transaction,
)
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer

_HOLD = """
import sys
from pathlib import Path
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
with exclusive_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
"""A program that holds a warehouse's lock until its standard input ends."""


_KEEP = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1] + "/catalog.sqlite", isolation_level=None) as catalog:
    catalog.execute("BEGIN " + sys.argv[2])
    catalog.execute("SELECT count(*) FROM ducklake_snapshot").fetchone()
    print("held", flush=True)
    sys.stdin.read()
"""
"""A program that keeps a transaction of the catalog open. It is a process of its own because the
SQLite of Python and that of DuckDB do not see each other's locks within one process."""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is writing to the warehouse in ``tmp_path``."""
    with _run_until_held(_HOLD, tmp_path) as process:
        yield process


@contextmanager
def _run_until_held(program: str, *arguments: Path | str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.usefixtures("holder")
def test_a_second_writer_is_told_that_the_warehouse_is_busy(tmp_path: Path):
    with pytest.raises(WarehouseBusyError), exclusive_writer(tmp_path):
        pass


def test_the_lock_falls_with_a_writer_that_is_killed(holder: subprocess.Popen[str], tmp_path: Path):
    holder.kill()
    holder.wait()
    with exclusive_writer(tmp_path):
        assert (tmp_path / "writer.lock").exists()


def test_a_busy_warehouse_may_be_free_later():
    assert issubclass(WarehouseBusyError, TransientError)


@pytest.mark.usefixtures("holder")
def test_a_reader_needs_no_lock(tmp_path: Path):
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
    with open_warehouse(tmp_path, read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM drops").fetchone() == (0,)


def _read_answers(reader: duckdb.DuckDBPyConnection) -> int:
    counted = reader.execute("SELECT count(*) FROM receipts").fetchone()
    assert counted is not None
    return int(counted[0])


def test_a_reader_in_the_middle_of_its_work_stops_no_writer_and_keeps_its_state(tmp_path: Path):
    _one_answer(tmp_path)
    with open_warehouse(tmp_path, read_only=True) as reader:
        reader.execute("BEGIN")
        assert _read_answers(reader) == 1
        _one_answer(tmp_path)
        assert _read_answers(reader) == 1
        reader.execute("COMMIT")
        assert _read_answers(reader) == 2


def test_a_catalog_of_an_older_version_is_read_beside_a_writer_from_now_on(tmp_path: Path):
    _one_answer(tmp_path)
    with closing(sqlite3.connect(tmp_path / CATALOG)) as catalog:
        assert catalog.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    with open_warehouse(tmp_path) as writer, open_warehouse(tmp_path, read_only=True) as reader:
        reader.execute("BEGIN")
        assert _read_answers(reader) == 1
        writer.execute("INSERT INTO receipts VALUES ('later', DATE '2026-11-23')")


def test_a_copy_made_beside_a_reader_has_every_commit(tmp_path: Path):
    _one_answer(tmp_path / "warehouse")
    with open_warehouse(tmp_path / "warehouse", read_only=True) as reader:
        reader.execute("BEGIN")
        assert _read_answers(reader) == 1
        _one_answer(tmp_path / "warehouse")
        shutil.copytree(tmp_path / "warehouse", tmp_path / "copy")
    assert len(_answers(tmp_path / "copy")) == 2


def test_a_program_that_keeps_the_catalog_to_itself_is_what_the_message_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection_module, "_WAIT_FOR_SQLITE", "META_BUSY_TIMEOUT 50")
    _one_answer(tmp_path)
    with (
        _run_until_held(_KEEP, tmp_path, "IMMEDIATE"),
        pytest.raises(DatabaseInUseError, match="close it, and run again"),
    ):
        value_free(_one_answer)(tmp_path)


def test_what_was_deleted_is_not_said_to_be_gone_while_a_reader_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(history, "_WAIT_SECONDS", 0.1)
    _one_answer(tmp_path)
    with (
        _run_until_held(_KEEP, tmp_path, "DEFERRED"),
        open_warehouse(tmp_path) as writer,
        pytest.raises(DatabaseInUseError, match="still reads the catalog"),
    ):
        history.delete_history(writer, tmp_path)
    with open_warehouse(tmp_path) as writer:
        history.delete_history(writer, tmp_path)
    log = tmp_path / f"{CATALOG}-wal"
    assert not log.exists() or not log.stat().st_size


def test_a_reader_cannot_write(tmp_path: Path):
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
    with (
        open_warehouse(tmp_path, read_only=True) as reader,
        pytest.raises(duckdb.Error, match="read-only"),
    ):
        reader.execute("INSERT INTO receipts VALUES ('d', DATE '2026-11-22')")


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_feeds_table_has_the_columns_that_its_declaration_says(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec
):
    columns = connection.execute(f"DESCRIBE {feed.name}").fetchall()
    names = [name for name, *_ in columns]
    assert names == [*feed.columns, "_sender", "_drop", "_line", "_active", "_hash"]
    assert health_queries.find_table_faults(connection, feed, ["3367173"]) == []


def test_preparing_adds_a_column_that_a_feed_gained_and_keeps_what_is_there(tmp_path: Path):
    feed = FEEDS_BY_NAME["transcript_student"]
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
        connection.execute("ALTER TABLE transcript_student DROP COLUMN DateOfBirth")
        connection.execute(
            "INSERT INTO transcript_student (StateID, _sender) VALUES ('1234567890', '3367173')"
        )
        assert health_queries.find_table_faults(connection, feed, ["3367173"]) == [
            "column DateOfBirth is missing, not DATE"
        ]
        create_missing_tables(connection)
        assert health_queries.find_table_faults(connection, feed, ["3367173"]) == []
        row = connection.execute("SELECT StateID, DateOfBirth FROM transcript_student").fetchall()
    assert row == [("1234567890", None)]


def test_preparing_twice_changes_nothing(connection: duckdb.DuckDBPyConnection):
    counted = "SELECT count(*) FROM ducklake_snapshots('lake')"
    before = connection.execute(counted).fetchone()
    create_missing_tables(connection)
    assert connection.execute(counted).fetchone() == before


def test_no_row_lies_in_the_catalog_however_few_are_written_or_deleted(tmp_path: Path):
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
        connection.execute("INSERT INTO drops (drop_id) VALUES ('drop one'), ('drop two')")
        connection.execute("DELETE FROM drops WHERE drop_id = 'drop one'")
        assert connection.execute("SELECT drop_id FROM drops").fetchall() == [("drop two",)]
    with closing(sqlite3.connect(tmp_path / CATALOG)) as catalog:
        tables = catalog.execute("SELECT name FROM sqlite_schema").fetchall()
    own = {"ducklake_inlined_data_tables"}
    assert {name for (name,) in tables if "inlined" in name} <= own
    assert len(list((tmp_path / "tables").rglob("*.parquet"))) == 2


def test_what_fails_inside_a_transaction_leaves_nothing(connection: duckdb.DuckDBPyConnection):
    def half_done() -> None:
        with transaction(connection):
            connection.execute("INSERT INTO receipts VALUES ('half', DATE '2026-11-22')")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        half_done()
    found = connection.execute("SELECT * FROM receipts WHERE drop_id = 'half'").fetchall()
    assert found == []


def _one_answer(folder: Path) -> None:
    with open_warehouse(folder) as connection:
        create_missing_tables(connection)
        connection.execute("INSERT INTO receipts VALUES ('answered', DATE '2026-11-22')")


def _answers(folder: Path) -> list[tuple[str, date]]:
    with open_warehouse(folder, read_only=True) as connection:
        return connection.execute("SELECT * FROM receipts").fetchall()


def test_a_warehouse_that_was_moved_is_where_it_is_now(tmp_path: Path):
    _one_answer(tmp_path / "old")
    (tmp_path / "old").rename(tmp_path / "new")
    with open_warehouse(tmp_path / "new") as connection:
        connection.execute("INSERT INTO receipts VALUES ('later', DATE '2026-11-23')")
    assert len(_answers(tmp_path / "new")) == 2
    assert not (tmp_path / "old").exists()


def test_a_warehouse_may_be_named_by_a_relative_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    _one_answer(tmp_path / "warehouse")
    assert _answers(Path("warehouse")) == [("answered", date(2026, 11, 22))]


def test_names_with_quotes_in_them_stay_names(tmp_path: Path):
    folder = tmp_path / "O'Neil's \"warehouse\""
    _one_answer(folder)
    assert _answers(folder) == [("answered", date(2026, 11, 22))]
    assert quote_identifier('a"b') == '"a""b"'


# --- as it was ------------------------------------------------------------------------------------


def _snapshots(folder: Path) -> list[int]:
    """A warehouse with one receipt more after each of the returned snapshots but the last."""
    with open_warehouse(folder) as connection:
        create_missing_tables(connection)
        snapshots = [read_snapshot_id(connection)]
        for night in (21, 22):
            connection.execute("INSERT INTO receipts VALUES ('drop', ?)", [date(2026, 11, night)])
            snapshots.append(read_snapshot_id(connection))
    return snapshots


def test_a_warehouse_can_be_read_as_it_was_at_each_snapshot(tmp_path: Path):
    for receipts, snapshot in enumerate(_snapshots(tmp_path)):
        with open_warehouse(tmp_path, snapshot=snapshot) as connection:
            connection.execute("CREATE TEMP VIEW told AS SELECT * FROM lake.receipts")
            connection.execute("CREATE TEMP TABLE counted AS SELECT count(*) AS n FROM told")
            assert connection.execute("FROM counted").fetchall() == [(receipts,)]


def test_nothing_can_be_written_into_what_was(tmp_path: Path):
    first, *_ = _snapshots(tmp_path)
    with open_warehouse(tmp_path, snapshot=first) as connection, pytest.raises(duckdb.Error):
        connection.execute("INSERT INTO receipts VALUES ('drop', NULL)")
    assert len(_answers(tmp_path)) == 2


def test_what_came_to_be_later_is_empty_in_what_was(tmp_path: Path):
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
        connection.execute("DROP TABLE child_links")
        connection.execute("ALTER TABLE files DROP COLUMN verdict")
        connection.execute("INSERT INTO files BY NAME SELECT 'drop' AS drop_id, 7 AS lines")
        before = read_snapshot_id(connection)
        create_missing_tables(connection)
        connection.execute("UPDATE files SET verdict = 'accepted'")
        after = read_snapshot_id(connection)
    for snapshot, verdict in ((before, None), (after, "accepted")):
        with open_warehouse(tmp_path, snapshot=snapshot) as connection:
            files = connection.execute("SELECT drop_id, lines, verdict FROM lake.files").fetchall()
            assert files == [("drop", 7, verdict)]
            assert connection.execute("FROM lake.child_links").fetchall() == []


def test_a_warehouse_of_an_older_version_gets_its_own_tables_moved_into_their_schema(
    tmp_path: Path,
):
    with open_warehouse(tmp_path) as connection:
        create_missing_tables(connection)
        own = PIPELINE_TABLES.keys() - {"child_links"}
        for table in own:  # as it was before there was a second schema
            connection.execute(f"CREATE TABLE main.{table} AS FROM internal.{table}")
            connection.execute(f"DROP TABLE internal.{table}")
        connection.execute("DROP SCHEMA internal")
        connection.execute("USE lake")
        connection.execute("INSERT INTO receipts VALUES ('drop', DATE '2026-11-22')")
        connection.execute("CREATE VIEW told AS FROM main.receipts")
        before = read_snapshot_id(connection)
    with open_warehouse(tmp_path, read_only=True) as connection:
        assert connection.execute("SELECT drop_id FROM receipts").fetchall() == [("drop",)]
    with write_warehouse(tmp_path) as connection:
        assert {
            (name, table.schema) for name, table in read_tables(connection, "lake").items()
        } == {
            *((table, "internal") for table in own),
            ("child_links", "main"),
            *((feed.name, "main") for feed in FEEDS),
        }
        connection.execute("INSERT INTO receipts VALUES ('later', DATE '2026-11-23')")
        later = read_snapshot_id(connection)
    for snapshot, drops in ((before, {"drop"}), (later, {"drop", "later"})):
        with open_warehouse(tmp_path, snapshot=snapshot) as connection:
            assert {
                drop for (drop,) in connection.sql("SELECT drop_id FROM receipts").fetchall()
            } == drops


@pytest.mark.parametrize("expired", [True, False])
def test_a_snapshot_that_is_not_there_is_named(tmp_path: Path, *, expired: bool):
    gone = _snapshots(tmp_path)[1]
    if expired:
        with open_warehouse(tmp_path) as connection:
            connection.execute(f"CALL ducklake_expire_snapshots('lake', versions => [{gone}])")
    else:
        gone += 1000
    with pytest.raises(SnapshotGoneError, match=f"snapshot {gone}"):
        open_warehouse(tmp_path, snapshot=gone)


def test_what_made_a_transaction_fail_is_told_when_temporary_tables_are_dropped(tmp_path: Path):
    def fail(connection: duckdb.DuckDBPyConnection) -> None:
        with transaction(connection):
            connection.execute("CREATE TEMP TABLE staged AS SELECT 'x' AS line")
            try:
                connection.execute("SELECT line::INTEGER FROM staged").fetchall()
            finally:
                drop_temporary_tables(connection, "staged", "decided")

    with write_warehouse(tmp_path) as connection:
        with pytest.raises(duckdb.ConversionException):
            fail(connection)
        connection.execute("CREATE TEMP TABLE staged AS SELECT 1 AS line")
        drop_temporary_tables(connection, "staged", "decided")
        connection.execute("CREATE TEMP TABLE staged AS SELECT 2 AS line")
