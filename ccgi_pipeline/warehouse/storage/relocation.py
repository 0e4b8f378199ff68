"""Moving a warehouse: its catalog from the folder into PostgreSQL and back, with every snapshot.

Belongs here: copying a catalog table by table, and the tables' files where they lie elsewhere
afterwards. A DuckLake's catalog is some thirty plain tables. Does not belong here: which catalog is
in force (whereabouts).
"""

from __future__ import annotations

import base64
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import duckdb

from ccgi_pipeline.common.errors import PermanentError, value_free
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.duckdb_spill import encrypt_spill
from ccgi_pipeline.encryption.keys import KeyPurpose, Keys, load_keys
from ccgi_pipeline.warehouse.storage import postgres
from ccgi_pipeline.warehouse.storage.connection import configure_connection
from ccgi_pipeline.warehouse.storage.location import (
    CATALOG,
    CATALOG_AT,
    ENCRYPTED_CATALOG,
    S3,
    TABLES,
    Server,
    WarehouseLocation,
    delete_location,
    has_catalog_server,
    locate_warehouse,
    read_bucket,
    read_server,
    read_tables_location,
    save_location,
)
from ccgi_pipeline.warehouse.storage.locks import busy_error, folder_lock
from ccgi_pipeline.warehouse.storage.schema import quote_literal, transaction
from ccgi_pipeline.warehouse.storage.secrets import (
    CATALOG_SECRET,
    catalog_source,
    create_catalog_secret,
)
from ccgi_pipeline.warehouse.storage.writers import READER_CATALOG

MOVED = "moved"
"""Ends the name of a catalog that was moved elsewhere: it is kept, and no longer in force."""


class MoveError(PermanentError):
    """The warehouse cannot be moved so; nothing was changed, and the message says why."""


class CatalogFormat(StrEnum):
    """A kind of database that a catalog lies in."""

    SQLITE = "sqlite"
    DUCKDB = "duckdb"
    POSTGRES = "postgres"


@dataclass(frozen=True, slots=True)
class CatalogPlace:
    """A catalog's place: a file, or a database of a server. ``key`` opens an encrypted file."""

    kind: CatalogFormat
    at: Path | Server
    key: bytes | None = None

    @classmethod
    def in_folder(cls, folder: Path, keys: Keys | None) -> CatalogPlace:
        """That of a warehouse in ``folder`` which keeps its catalog to itself."""
        if keys is None:
            return cls(CatalogFormat.SQLITE, folder / CATALOG)
        return cls(CatalogFormat.DUCKDB, folder / ENCRYPTED_CATALOG, keys.of(KeyPurpose.CATALOG))


@dataclass(frozen=True, slots=True)
class MoveResult:
    """What was moved: rows of the catalog's tables, snapshots, files of the warehouse's tables."""

    rows: int
    snapshots: int
    files: int


@value_free
def move_to_postgres(folder: Path) -> MoveResult:
    """Moves the catalog into the database that the environment names, the tables where it says.

    The catalog in the folder is kept, renamed. Raises MoveError, WarehouseBusyError.
    """
    folder = folder.absolute()
    if has_catalog_server(folder):
        msg = f"the catalog of the warehouse in {folder} is in a database already"
        raise MoveError(msg)
    server, tables = read_server(), read_tables_location(folder)
    bucket = read_bucket() if tables.startswith(S3) else None
    where = WarehouseLocation(folder, server, tables, bucket, secrets.token_hex(16))
    keys = load_keys(folder)
    source = CatalogPlace.in_folder(folder, keys)
    if not isinstance(source.at, Path) or not source.at.exists():
        msg = f"there is no warehouse in {folder}"
        raise MoveError(msg)
    with folder_lock(folder), postgres.writer_lock(server, busy_error(folder), shared=False):
        if postgres.has_catalog(server):
            msg = f"the database {server} is not empty: name a new one in {CATALOG_AT}"
            raise MoveError(msg)
        with _at_work(where, keys) as connection:
            files = _copy_files(connection, str(folder / TABLES), tables)
            rows, snapshots = copy_catalog(
                connection,
                source,
                CatalogPlace(CatalogFormat.POSTGRES, server),
                encrypted=keys is not None,
            )
        postgres.record_owner(server, where.identity or "")
        with failpoint("move: in force"):
            save_location(where, made=True)
        source.at.replace(f"{source.at}.{MOVED}")
        (folder / READER_CATALOG).unlink(missing_ok=True)
    return MoveResult(rows, snapshots, files)


@value_free
def move_to_folder(folder: Path) -> MoveResult:
    """Moves the catalog out of its database into the folder, and the tables beside it.

    The database is left as it is. Raises MoveError, WarehouseBusyError.
    """
    folder = folder.absolute()
    where = (
        locate_warehouse(folder)
        if has_catalog_server(folder)
        else WarehouseLocation(folder, None, "")
    )
    if where.server is None or not where.made:
        msg = f"the catalog of the warehouse in {folder} is in no database"
        raise MoveError(msg)
    keys = load_keys(folder)
    with (
        folder_lock(folder),
        postgres.writer_lock(where.server, busy_error(folder), shared=False),
    ):
        postgres.claim_database(where, make=False)
        with _at_work(where, keys) as connection:
            files = _copy_files(connection, where.tables, str(folder / TABLES))
            target = CatalogPlace.in_folder(folder, keys)
            rows, snapshots = copy_catalog_to_file(connection, where.server, target)
        with failpoint("move: in force"):
            delete_location(folder)
    return MoveResult(rows, snapshots, files)


def copy_catalog_to_file(
    connection: duckdb.DuckDBPyConnection, server: Server, target: CatalogPlace
) -> tuple[int, int]:
    """Copies the catalog in ``server`` into a file, which appears whole; what was there goes.

    Returns how many rows and snapshots it has.
    """
    if not isinstance(target.at, Path):
        msg = "a file is what it says"
        raise TypeError(msg)
    part = target.at.with_name(f"{target.at.name}.part")
    part.unlink(missing_ok=True)
    copied = copy_catalog(
        connection,
        CatalogPlace(CatalogFormat.POSTGRES, server),
        replace(target, at=part),
        encrypted=target.key is not None,
    )
    part.replace(target.at)
    return copied


def copy_catalog(
    connection: duckdb.DuckDBPyConnection,
    source: CatalogPlace,
    target: CatalogPlace,
    *,
    encrypted: bool,
) -> tuple[int, int]:
    """Makes a catalog in ``target`` that is the one in ``source``, row by row.

    ``encrypted``: files of tables are. Returns how many rows and snapshots it has. Raises MoveError
    where ``target`` does not have them all in the end.
    """
    _make_empty(connection, target, encrypted=encrypted)
    _attach(connection, source, "source", read_only=True)
    _attach(connection, target, "target")
    with transaction(connection):
        copied = _copy_tables(connection)
    connection.execute("DETACH source")
    connection.execute("DETACH target")
    return copied


def make_file_paths_absolute(
    connection: duckdb.DuckDBPyConnection, place: CatalogPlace, tables: str
) -> None:
    """Has a catalog name the files of its tables by their full paths below ``tables``.

    Then new files may be written elsewhere.
    """
    _attach(connection, place, "target")
    for files in ("ducklake_data_file", "ducklake_delete_file"):
        connection.execute(
            f"""
            UPDATE target.{files} AS file SET path_is_relative = false, path = (
                SELECT {quote_literal(tables + "/")} || schema.path || of_table.path || file.path
                FROM target.ducklake_table AS of_table
                JOIN target.ducklake_schema AS schema USING (schema_id)
                WHERE of_table.table_id = file.table_id LIMIT 1)
            WHERE file.path_is_relative
            """
        )
    connection.execute("DETACH target")


def _make_empty(
    connection: duckdb.DuckDBPyConnection, place: CatalogPlace, *, encrypted: bool
) -> None:
    """Has DuckLake make its tables there: they are of the version that it expects."""
    options, values = "", []
    if encrypted:
        options += ", ENCRYPTED"
    if place.key is not None:
        options += ", META_ENCRYPTION_KEY ?"
        values.append(base64.b64encode(place.key).decode())
    if isinstance(place.at, Server):
        create_catalog_secret(connection, place.at)
        source = catalog_source(place.at)
        options += f", META_SECRET '{CATALOG_SECRET}'"
    else:
        source = f"ducklake:{'sqlite:' if place.kind is CatalogFormat.SQLITE else ''}{place.at}"
    # Where the data are is said anew whenever the catalog is opened.
    where = "DATA_PATH 'tables', OVERRIDE_DATA_PATH true"
    connection.execute(f"ATTACH {quote_literal(source)} AS made ({where}{options})", values or None)
    connection.execute("DETACH made")


def _attach(
    connection: duckdb.DuckDBPyConnection,
    place: CatalogPlace,
    name: str,
    *,
    read_only: bool = False,
) -> None:
    """Attaches a catalog as the plain database that it is."""
    options = ["READ_ONLY"] if read_only else []
    values = []
    if isinstance(place.at, Server):
        create_catalog_secret(connection, place.at)
        source = catalog_source(place.at).removeprefix("ducklake:postgres:")
        options += ["TYPE postgres", f"SECRET {CATALOG_SECRET}"]
    else:
        source = str(place.at)
        if place.kind is CatalogFormat.SQLITE:
            options.append("TYPE sqlite")
    if place.key is not None:
        options.append("ENCRYPTION_KEY ?")
        values.append(base64.b64encode(place.key).decode())
    told = f" ({', '.join(options)})" if options else ""
    connection.execute(f"ATTACH {quote_literal(source)} AS {name}{told}", values or None)


def _copy_tables(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    here, rows = _tables(connection, "target"), 0
    for table in _tables(connection, "source"):
        if table not in here:
            msg = f"the catalog has a table {table}, which a new one does not: it cannot be moved"
            raise MoveError(msg)
        connection.execute(f"DELETE FROM target.{table}")
        connection.execute(f"INSERT INTO target.{table} BY NAME FROM source.{table}")
        rows += _same_count(connection, table)
    snapshots = connection.execute("SELECT count(*) FROM target.ducklake_snapshot").fetchone()
    return rows, int(snapshots[0]) if snapshots else 0


def _tables(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """DuckLake's own tables in an attached database."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = ? AND table_name LIKE 'ducklake~_%' ESCAPE '~' ORDER BY table_name",
        [name],
    ).fetchall()
    return [table for (table,) in rows]


def _same_count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    counted = [
        connection.execute(f"SELECT count(*) FROM {place}.{table}").fetchone()
        for place in ("source", "target")
    ]
    if counted[0] != counted[1] or counted[0] is None:
        msg = f"not all rows of {table} were copied: nothing was moved"
        raise MoveError(msg)
    return int(counted[0][0])


@contextmanager
def _at_work(where: WarehouseLocation, keys: Keys | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can reach all places."""
    with duckdb.connect(":memory:") as connection:
        configure_connection(connection, where)
        if keys is not None:
            encrypt_spill(connection)
        yield connection


def _copy_files(connection: duckdb.DuckDBPyConnection, source: str, target: str) -> int:
    """Copies the tables' files, but for those that are there already; returns how many there are.

    A file of a table is never changed once it is written.
    """
    if source == target:
        return 0
    sizes = dict(_files_below(connection, target))
    files = _files_below(connection, source)
    for path, size in files:
        if sizes.get(path) == size:
            continue
        there, here = f"{source}/{path}", f"{target}/{path}"
        if source.startswith(S3) or target.startswith(S3):
            if not here.startswith(S3):
                Path(here).parent.mkdir(parents=True, exist_ok=True)
            connection.execute(
                f"COPY (SELECT content FROM read_blob({quote_literal(there)})) "
                f"TO {quote_literal(here)} (FORMAT blob)"
            )
        else:
            Path(here).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(there, here)
    return len(files)


def _files_below(connection: duckdb.DuckDBPyConnection, place: str) -> list[tuple[str, int]]:
    found = connection.execute(
        f"SELECT filename, size FROM read_blob({quote_literal(f'{place}/**/*.parquet')})"
        if place.startswith(S3) or any(Path(place).glob("**/*.parquet"))
        else "SELECT '', 0 WHERE false"
    ).fetchall()
    return [(name[len(place) + 1 :], size) for name, size in found]
