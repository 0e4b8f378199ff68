"""A warehouse is moved into PostgreSQL and back: every row of every snapshot is as it was.

Belongs here: catalogs of all kinds, tables in the folder and on object storage. That reports of
former nights can be made again after a move is tested with whole nights.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from ccgi_pipeline.encryption.keys import generate_key
from ccgi_pipeline.warehouse.storage import relocation
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, read_snapshot_id
from ccgi_pipeline.warehouse.storage.location import (
    CATALOG,
    CATALOG_AT,
    LOCATION_FILE,
    LocationError,
)
from ccgi_pipeline.warehouse.storage.preview_copy import make_preview_copy
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.encrypted_folders import key_set
from ccgi_pipeline_tests.object_storage import ObjectStorage
from ccgi_pipeline_tests.postgresql import PostgreSql

_HISTORY = (
    """
    CREATE TABLE mixed (k BIGINT, t VARCHAR,
                        "EventID" VARCHAR, "Virtual" VARCHAR, "column" VARCHAR,
                        l VARCHAR[], d DATE, s TIMESTAMP, b BOOLEAN,
                        h UBIGINT, n DECIMAL(10, 4))
    """,
    """
    INSERT INTO mixed VALUES
        (1, 'Grüße', 'E1', 'yes', 'c', ['a', 'b''c', NULL, 'd, "e"'], DATE '2026-11-22',
         TIMESTAMP '2026-11-22 01:02:03', true, 18446744073709551615, 1.2345),
        (2, '', NULL, NULL, NULL, [], NULL, NULL, NULL, NULL, NULL)
    """,
    "INSERT INTO mixed (k, t) SELECT range, 'row ' || range FROM range(100, 200)",
    "DELETE FROM mixed WHERE k = 2",
    "DELETE FROM mixed WHERE k BETWEEN 100 AND 102",
    "ALTER TABLE mixed ADD COLUMN late VARCHAR",
    "INSERT INTO mixed BY NAME SELECT * REPLACE ('late' AS late) FROM mixed WHERE k = 1",
    "UPDATE mixed SET t = 'changed' WHERE k BETWEEN 150 AND 180",
    "CREATE VIEW seen AS SELECT k, t FROM mixed WHERE k > 1",
    "CREATE TABLE another (k INTEGER)",
    "INSERT INTO another VALUES (1), (2), (3)",
)
"""Every type that our tables have, deletes, an update, a column that came later."""


def _begin(folder: Path) -> None:
    with exclusive_writer(folder), open_warehouse(folder) as connection:
        for statement in _HISTORY:
            connection.execute(statement)


def _states(folder: Path) -> list[list[tuple[object, ...]]]:
    """What the tables held at each snapshot, the newest last, and what the view shows."""
    with open_warehouse(folder, read_only=True) as connection:
        return _states_seen(connection)


def _states_seen(connection: duckdb.DuckDBPyConnection) -> list[list[tuple[object, ...]]]:
    states = [
        connection.execute(f"FROM {table} AT (VERSION => {version}) ORDER BY ALL").fetchall()
        for table, first in (("mixed", 1), ("another", 10))
        for version in range(first, read_snapshot_id(connection) + 1)
    ]
    snapshots = connection.execute(
        "SELECT snapshot_id, snapshot_time, changes::VARCHAR FROM ducklake_snapshots('lake')"
    ).fetchall()
    return [*states, connection.execute("FROM seen ORDER BY ALL").fetchall(), snapshots]


def _still_writable(folder: Path) -> None:
    with exclusive_writer(folder), open_warehouse(folder) as connection:
        _write(connection)


def _write(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("INSERT INTO mixed (k) SELECT range FROM range(1000, 1050)")
    connection.execute("DELETE FROM mixed WHERE k = 1 OR k = 110")
    counted = connection.execute("SELECT count(*) FROM mixed").fetchone()
    connection.execute("DELETE FROM mixed WHERE k >= 1000")
    assert counted == (146,)


@pytest.mark.parametrize(
    ("tables", "encrypted"),
    [
        ("in the folder", False),
        pytest.param("in a shared folder", False, marks=pytest.mark.slow),
        pytest.param("on object storage", False, marks=pytest.mark.slow),
        pytest.param("on object storage", True, marks=pytest.mark.slow),
    ],
)
def test_every_row_of_every_snapshot_moves_there_and_back(
    tmp_path: Path,
    database_server: PostgreSql,
    store: ObjectStorage,
    monkeypatch: pytest.MonkeyPatch,
    tables: str,
    encrypted: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    folder = tmp_path / "warehouse"
    with monkeypatch.context() as patched, key_set(generate_key() if encrypted else None):
        _begin(folder)
        reader = open_warehouse(folder, read_only=True)
        reader.execute("BEGIN")
        before = _states_seen(reader)
        for name, value in {
            **database_server.environment(database_server.new_database()),
            **({"CCGI_TABLES": str(tmp_path / "shared")} if "shared" in tables else {}),
            **(store.environment(tmp_path.name) if "object" in tables else {}),
        }.items():
            patched.setenv(name, value)
        moved = relocation.move_to_postgres(folder)
        reader.close()
        assert not [*folder.glob(f"{CATALOG}-*"), *folder.glob(CATALOG)]
        assert _states(folder) == before
        assert moved.snapshots == len(before[-1])
        assert moved.files == (0 if tables == "in the folder" else 8)
        _still_writable(folder)
        after = _states(folder)
        with make_preview_copy(folder) as copy, open_warehouse(copy) as connection:
            assert _states_seen(connection) == after
            _write(connection)
        assert _states(folder) == after
        relocation.move_to_folder(folder)
        assert not (folder / LOCATION_FILE).exists()
        with pytest.raises(LocationError, match="unset it"):
            open_warehouse(folder)
        for name in (CATALOG_AT, "CCGI_TABLES"):
            patched.delenv(name, raising=False)
        assert _states(folder) == after
        _still_writable(folder)


def test_what_cannot_be_moved_is_left_as_it_is(
    tmp_path: Path,
    database_server: PostgreSql,
    catalog_in_postgresql: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "warehouse"
    with pytest.raises(relocation.MoveError, match="there is no warehouse"):
        relocation.move_to_postgres(folder)
    with pytest.raises(relocation.MoveError, match="is in no database"):
        relocation.move_to_folder(folder)
    with monkeypatch.context() as patched:
        patched.delenv(CATALOG_AT)
        _begin(folder)
        before = _states(folder)
    database_server.execute(catalog_in_postgresql, "CREATE TABLE ducklake_metadata (a int)")
    with pytest.raises(relocation.MoveError, match="is not empty"):
        relocation.move_to_postgres(folder)
    monkeypatch.delenv(CATALOG_AT)
    assert _states(folder) == before


def test_a_catalog_that_is_not_all_known_is_left_as_it_is(
    tmp_path: Path, catalog_in_postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del catalog_in_postgresql
    folder = tmp_path / "warehouse"
    with monkeypatch.context() as patched:
        patched.delenv(CATALOG_AT)
        _begin(folder)
        before = _states(folder)
    with closing(sqlite3.connect(folder / CATALOG)) as catalog:
        catalog.execute("CREATE TABLE ducklake_of_tomorrow (a int)")
    with pytest.raises(relocation.MoveError, match="a table ducklake_of_tomorrow"):
        relocation.move_to_postgres(folder)
    monkeypatch.delenv(CATALOG_AT)
    assert _states(folder) == before
