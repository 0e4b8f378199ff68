"""A warehouse whose catalog is in PostgreSQL: what it remembers, who may write, what is refused.

Belongs here: real servers, real refusals. Whole nights on such a warehouse are in night.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from ccgi_pipeline.common.errors import (
    CatalogDamagedError,
    PipelineError,
    StorageRefusedError,
    TablesDamagedError,
    UnreachableError,
    to_pipeline_error,
)
from ccgi_pipeline.encryption.keys import EncryptionKeyError, generate_key
from ccgi_pipeline.operations.verification import VerifiedPart, verify_warehouse
from ccgi_pipeline.warehouse.storage.catalog_health import find_catalog_fault
from ccgi_pipeline.warehouse.storage.checksums import checked_tables
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, warehouse_exists
from ccgi_pipeline.warehouse.storage.location import (
    CATALOG_AT,
    LOCATION_FILE,
    PASSWORD,
    LocationError,
)
from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError
from ccgi_pipeline.warehouse.storage.postgres import CatalogRefusedError
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.encrypted_folders import key_set
from ccgi_pipeline_tests.object_storage import BUCKET, ObjectStorage
from ccgi_pipeline_tests.postgresql import PostgreSql


def _begin(folder: Path) -> None:
    with exclusive_writer(folder), open_warehouse(folder) as connection:
        connection.execute("CREATE TABLE duplicates (drop_id VARCHAR, path VARCHAR, night DATE)")
        connection.execute("INSERT INTO duplicates VALUES ('drop', 'a path', DATE '2026-11-22')")


def _rows(folder: Path) -> list[tuple[object, ...]]:
    with open_warehouse(folder, read_only=True) as connection:
        return connection.execute("FROM duplicates").fetchall()


def test_a_catalog_in_postgresql_leaves_none_in_the_folder(
    tmp_path: Path, catalog_in_postgresql: str, database_server: PostgreSql
) -> None:
    assert not warehouse_exists(tmp_path)
    _begin(tmp_path)
    assert len(_rows(tmp_path)) == 1
    assert warehouse_exists(tmp_path)
    assert find_catalog_fault(tmp_path) is None
    assert not list(tmp_path.glob("catalog*"))
    assert database_server.password not in (tmp_path / LOCATION_FILE).read_text()
    tables = "SELECT count(*) FROM ducklake_table WHERE table_name = 'duplicates'"
    assert database_server.execute(catalog_in_postgresql, tables) == [(1,)]


@contextmanager
def _checked(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with (
        exclusive_writer(folder),
        open_warehouse(folder) as connection,
        checked_tables(connection, folder),
    ):
        yield connection


def _tables_of(warehouse: Path) -> VerifiedPart:
    (tables,) = [part for part in verify_warehouse(warehouse, warehouse) if part.name == "tables"]
    return tables


@pytest.mark.usefixtures("catalog_in_postgresql")
def test_the_tables_files_are_compared_wherever_the_catalog_is(tmp_path: Path) -> None:
    _begin(tmp_path)
    more = "INSERT INTO duplicates FROM duplicates"
    for _ in range(2):
        with _checked(tmp_path) as connection:
            connection.execute(more)
    assert (_tables_of(tmp_path).checked, _tables_of(tmp_path).faults) == (3, [])
    damaged = max((tmp_path / "tables").rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(TablesDamagedError, match=damaged.name), _checked(tmp_path):
        pass
    (fault,) = _tables_of(tmp_path).faults
    assert damaged.name in fault


@pytest.mark.usefixtures("catalog_in_postgresql")
def test_of_tables_in_object_storage_names_and_sizes_are_compared(
    tmp_path: Path, store: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in store.environment("verified").items():
        monkeypatch.setenv(variable, value)
    _begin(tmp_path)
    assert (_tables_of(tmp_path).checked, _tables_of(tmp_path).faults) == (1, [])
    (key,) = re.findall("<Key>(.*?)</Key>", store.listed("verified"))
    with open_warehouse(tmp_path, read_only=True) as connection:
        connection.execute(f"COPY (SELECT 1) TO 's3://{BUCKET}/{key}' (FORMAT parquet)")
    (fault,) = _tables_of(tmp_path).faults
    assert fault == f"{key.removeprefix('verified/')}: of another size"


@pytest.mark.usefixtures("catalog_in_postgresql")
def test_a_forgotten_variable_begins_no_new_warehouse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin(tmp_path)
    monkeypatch.delenv(CATALOG_AT)
    for look in (warehouse_exists, open_warehouse, lambda f: exclusive_writer(f).__enter__()):
        with pytest.raises(LocationError, match="CCGI_CATALOG is not set"):
            look(tmp_path)
    assert "CCGI_CATALOG is not set" in str(find_catalog_fault(tmp_path))
    assert not list(tmp_path.glob("catalog*"))


def test_a_warehouse_with_its_own_catalog_is_not_begun_anew_in_a_database(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    _begin(tmp_path)
    request.getfixturevalue("catalog_in_postgresql")
    with pytest.raises(LocationError, match="ccgi warehouse move"):
        warehouse_exists(tmp_path)
    with pytest.raises(LocationError, match="ccgi warehouse move"):
        open_warehouse(tmp_path)


@pytest.mark.usefixtures("catalog_in_postgresql")
def test_two_warehouses_do_not_share_a_database(tmp_path: Path) -> None:
    _begin(tmp_path / "one")
    with pytest.raises(LocationError, match="holds the catalog of another warehouse"):
        open_warehouse(tmp_path / "two")


def test_a_database_that_was_emptied_is_a_damaged_warehouse(
    tmp_path: Path, catalog_in_postgresql: str, database_server: PostgreSql
) -> None:
    _begin(tmp_path)
    database_server.execute(catalog_in_postgresql, "DROP SCHEMA public CASCADE")
    database_server.execute(catalog_in_postgresql, "CREATE SCHEMA public")
    for reading in (True, False):
        with pytest.raises(CatalogDamagedError, match="is gone from the database"):
            open_warehouse(tmp_path, read_only=reading)
    assert "is gone from the database" in str(find_catalog_fault(tmp_path))


def test_a_warehouse_that_was_killed_while_it_was_made_is_made_by_the_next(
    tmp_path: Path, catalog_in_postgresql: str, database_server: PostgreSql
) -> None:
    _begin(tmp_path / "first")
    memory = tmp_path / "first" / LOCATION_FILE
    # As if the process had ended before it could note that the catalog is there.
    memory.write_text(json.dumps({**json.loads(memory.read_text()), "made": False}))
    assert not warehouse_exists(tmp_path / "first")
    open_warehouse(tmp_path / "first").close()
    assert warehouse_exists(tmp_path / "first")
    assert database_server.execute(
        catalog_in_postgresql, "SELECT count(*) FROM ccgi_warehouse"
    ) == [(1,)]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (PASSWORD, "wrong and secret", "refuses the user"),
        (PASSWORD, "", "refuses the user"),
        (CATALOG_AT, "postgresql://nobody@127.0.0.1:{port}/x", "refuses the user"),
        (CATALOG_AT, "postgresql://ccgi@127.0.0.1:{port}/nix", "does not know that database"),
        (CATALOG_AT, "postgresql://ccgi@127.0.0.1:{port}/x?sslmode=require", "over TLS"),
    ],
)
@pytest.mark.usefixtures("catalog_in_postgresql")
def test_a_refusal_says_what_to_look_at_and_no_password(
    tmp_path: Path,
    database_server: PostgreSql,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(variable, value.format(port=database_server.port))
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    with pytest.raises(CatalogRefusedError, match=words) as refused:
        open_warehouse(tmp_path)
    assert "secret" not in str(refused.value)
    assert database_server.password not in str(refused.value)


def test_a_password_in_the_address_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CATALOG_AT, "postgresql://ccgi:geheim@127.0.0.1/x")
    with pytest.raises(LocationError, match="CCGI_CATALOG_PASSWORD") as refused:
        open_warehouse(tmp_path)
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("address", ["nonsense", "postgresql://", "postgresql://a@h:x/d"])
def test_an_address_that_is_none_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv(CATALOG_AT, address)
    with pytest.raises(LocationError, match="postgresql://user@host:5432/name"):
        open_warehouse(tmp_path)


def test_the_password_may_come_from_the_usual_file_of_postgresql(
    tmp_path: Path,
    catalog_in_postgresql: str,
    database_server: PostgreSql,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(PASSWORD)
    file = tmp_path / "pgpass"
    file.write_text(
        f"127.0.0.1:{database_server.port}:{catalog_in_postgresql}:*:{database_server.password}\n"
    )
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    _begin(tmp_path / "warehouse")
    assert len(_rows(tmp_path / "warehouse")) == 1


@pytest.mark.usefixtures("catalog_in_postgresql")
def test_a_server_that_is_away_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _begin(tmp_path)
    monkeypatch.setenv(CATALOG_AT, "postgresql://ccgi@127.0.0.1:1/x")
    with pytest.raises(UnreachableError, match="cannot be reached"):
        open_warehouse(tmp_path)
    with pytest.raises(UnreachableError, match="cannot be reached"), exclusive_writer(tmp_path):
        pass
    assert warehouse_exists(tmp_path)
    assert "cannot be reached" in str(find_catalog_fault(tmp_path))


@pytest.mark.usefixtures("catalog_in_postgresql")
def test_a_writer_keeps_out_all_others_until_it_has_ended(tmp_path: Path) -> None:
    with (
        exclusive_writer(tmp_path),
        pytest.raises(WarehouseBusyError),
        exclusive_writer(tmp_path),
    ):
        pass
    with exclusive_writer(tmp_path):
        pass


def test_tables_elsewhere_need_a_catalog_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCGI_TABLES", str(tmp_path / "tables"))
    with pytest.raises(LocationError, match="CCGI_TABLES is set"):
        open_warehouse(tmp_path / "warehouse")


@pytest.mark.usefixtures("catalog_in_postgresql")
def test_tables_in_another_place_than_before_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCGI_TABLES", str(tmp_path / "shared"))
    _begin(tmp_path / "warehouse")
    monkeypatch.delenv("CCGI_TABLES")
    with pytest.raises(LocationError, match="CCGI_TABLES names another place"):
        open_warehouse(tmp_path / "warehouse")


def test_what_nobody_foresaw_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / LOCATION_FILE).write_text("{")
    with pytest.raises(PipelineError, match=r"warehouse\.json is damaged"):
        open_warehouse(tmp_path)


@pytest.mark.usefixtures("catalog_in_postgresql")
@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"CCGI_TABLES": "s3://no-such-bucket/tables"}, StorageRefusedError, "refuses"),
        ({"CCGI_S3_ENDPOINT": "http://127.0.0.1:1"}, UnreachableError, "cannot be reached"),
    ],
)
def test_what_object_storage_says_is_told_without_its_words(
    tmp_path: Path,
    store: ObjectStorage,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, str],
    kind: type[PipelineError],
    words: str,
) -> None:
    for variable, value in {**store.environment("nothing"), **given}.items():
        monkeypatch.setenv(variable, value)
    with open_warehouse(tmp_path) as connection:
        connection.execute("CREATE TABLE duplicates (path VARCHAR)")
        with pytest.raises(duckdb.Error) as refused:
            connection.execute("INSERT INTO duplicates SELECT range FROM range(100)")
    ours = to_pipeline_error(refused.value)
    assert isinstance(ours, kind)
    assert words in str(ours)
    assert "127.0.0.1" not in str(ours)


@pytest.mark.usefixtures("catalog_in_postgresql")
def test_object_storage_without_its_key_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCGI_TABLES", "s3://bucket/prefix")
    with pytest.raises(LocationError, match="CCGI_S3_KEY_ID"):
        open_warehouse(tmp_path)


@pytest.mark.usefixtures("catalog_in_postgresql")
def test_a_key_that_comes_too_late_is_refused(tmp_path: Path) -> None:
    with key_set(None):
        _begin(tmp_path)
    with key_set(generate_key()), pytest.raises(EncryptionKeyError, match="is not encrypted"):
        open_warehouse(tmp_path)
