"""Moving a warehouse: its catalog from the folder into PostgreSQL and back, with every snapshot.

Belongs here: copying a catalog table by table, and the tables' files if they move too. The catalog
of a DuckLake consists of some thirty plain tables. Does not belong here: which catalog is in use
(location).
"""

from __future__ import annotations

import base64
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import duckdb

from ccgi_pipeline.common.errors import PermanentError, value_free
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.duckdb_spill import encrypt_spill
from ccgi_pipeline.encryption.keys import KeyPurpose, Keys, load_keys
from ccgi_pipeline.warehouse.storage import checksums, postgres
from ccgi_pipeline.warehouse.storage.connection import configure_connection
from ccgi_pipeline.warehouse.storage.location import (
    CATALOG,
    CATALOG_AT,
    CATALOG_LOGS,
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
"""The suffix of a catalog that was moved elsewhere: it is kept, and no longer used."""


class MoveError(PermanentError):
    """The warehouse cannot be moved; nothing was changed, and the message says why."""


class CatalogFormat(StrEnum):
    """A kind of database that holds a catalog."""

    SQLITE = "sqlite"
    DUCKDB = "duckdb"
    POSTGRES = "postgres"


@dataclass(frozen=True, slots=True)
class CatalogPlace:
    """A catalog's place: a file, or a database on a server. ``key`` opens an encrypted file."""

    format: CatalogFormat
    at: Path | Server
    key: bytes | None = None

    @classmethod
    def in_folder(cls, folder: Path, keys: Keys | None) -> CatalogPlace:
        """Returns the place of a catalog in the warehouse's own ``folder``."""
        if keys is None:
            return cls(CatalogFormat.SQLITE, folder / CATALOG)
        return cls(CatalogFormat.DUCKDB, folder / ENCRYPTED_CATALOG, keys.of(KeyPurpose.CATALOG))


@dataclass(frozen=True, slots=True)
class MoveResult:
    """How much was moved: rows of the catalog's tables, snapshots, files of the tables."""

    rows: int
    snapshots: int
    files: int


@value_free
def move_to_postgres(folder: Path) -> MoveResult:
    """Moves the catalog and the tables' files to the places that the environment names.

    The catalog in the folder is kept under another name. Raises MoveError, WarehouseBusyError.
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
    with folder_lock(folder), postgres.writer_lock(server, busy_error(folder)):
        if postgres.has_catalog(server):
            msg = f"the database {server} is not empty: name a new one in {CATALOG_AT}"
            raise MoveError(msg)
        with _open_connection(where, keys) as connection:
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
        moved = f"{source.at}.{MOVED}"
        source.at.replace(moved)
        for suffix in CATALOG_LOGS:  # a reader that is still open keeps them
            with suppress(FileNotFoundError):
                Path(f"{source.at}{suffix}").replace(f"{moved}{suffix}")
        (folder / READER_CATALOG).unlink(missing_ok=True)
        checksums.forget_catalog(folder)
    return MoveResult(rows, snapshots, files)


@value_free
def move_to_folder(folder: Path) -> MoveResult:
    """Moves the catalog from its database into the folder, and the tables beside it.

    The database is not changed. Raises MoveError, WarehouseBusyError.
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
        postgres.writer_lock(where.server, busy_error(folder)),
    ):
        postgres.claim_database(where, make=False)
        with _open_connection(where, keys) as connection:
            files = _copy_files(connection, where.tables, str(folder / TABLES))
            target = CatalogPlace.in_folder(folder, keys)
            rows, snapshots = copy_catalog_to_file(connection, where.server, target)
        checksums.forget_catalog(folder)
        with failpoint("move: in force"):
            delete_location(folder)
    return MoveResult(rows, snapshots, files)


def copy_catalog_to_file(
    connection: duckdb.DuckDBPyConnection, server: Server, target: CatalogPlace
) -> tuple[int, int]:
    """Copies the catalog in ``server`` into a file, which replaces an existing one at once.

    Returns how many rows and snapshots it has.
    """
    if not isinstance(target.at, Path):
        msg = "the target of the copy must be a file"
        raise TypeError(msg)
    part = target.at.with_name(f"{target.at.name}.part")
    part.unlink(missing_ok=True)
    copied = copy_catalog(
        connection,
        CatalogPlace(CatalogFormat.POSTGRES, server),
        replace(target, at=part),
        encrypted=target.key is not None,
    )
    for suffix in CATALOG_LOGS:  # SQLite would apply the log of a former catalog to this one
        Path(f"{target.at}{suffix}").unlink(missing_ok=True)
    part.replace(target.at)
    return copied


def copy_catalog(
    connection: duckdb.DuckDBPyConnection,
    source: CatalogPlace,
    target: CatalogPlace,
    *,
    encrypted: bool,
) -> tuple[int, int]:
    """Copies the catalog in ``source`` to ``target``, row by row.

    ``encrypted``: the tables' files are encrypted. Returns how many rows and snapshots the catalog
    has. Raises MoveError if ``target`` does not have all of them in the end.
    """
    _create_empty_catalog(connection, target, encrypted=encrypted)
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
    """Changes the catalog's paths of files to full paths below ``tables``.

    After that, new files may be written elsewhere.
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


def _create_empty_catalog(
    connection: duckdb.DuckDBPyConnection, place: CatalogPlace, *, encrypted: bool
) -> None:
    """Lets DuckLake create its empty tables, so that they have the version that it expects."""
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
        source = f"ducklake:{'sqlite:' if place.format is CatalogFormat.SQLITE else ''}{place.at}"
    # The place of the data is given each time the catalog is opened.
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
    """Attaches a catalog as a plain database, without DuckLake."""
    options = ["READ_ONLY"] if read_only else []
    values = []
    if isinstance(place.at, Server):
        create_catalog_secret(connection, place.at)
        source = catalog_source(place.at).removeprefix("ducklake:postgres:")
        options += ["TYPE postgres", f"SECRET {CATALOG_SECRET}"]
    else:
        source = str(place.at)
        if place.format is CatalogFormat.SQLITE:
            options.append("TYPE sqlite")
    if place.key is not None:
        options.append("ENCRYPTION_KEY ?")
        values.append(base64.b64encode(place.key).decode())
    clause = f" ({', '.join(options)})" if options else ""
    connection.execute(f"ATTACH {quote_literal(source)} AS {name}{clause}", values or None)


def _copy_tables(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    here, rows = _list_catalog_tables(connection, "target"), 0
    for table in _list_catalog_tables(connection, "source"):
        if table not in here:
            msg = f"the catalog has a table {table}, which a new one does not: it cannot be moved"
            raise MoveError(msg)
        connection.execute(f"DELETE FROM target.{table}")
        connection.execute(f"INSERT INTO target.{table} BY NAME FROM source.{table}")
        rows += _count_copied_rows(connection, table)
    snapshots = connection.execute("SELECT count(*) FROM target.ducklake_snapshot").fetchone()
    return rows, int(snapshots[0]) if snapshots else 0


def _list_catalog_tables(connection: duckdb.DuckDBPyConnection, name: str) -> list[str]:
    """Returns the names of DuckLake's own tables in an attached database."""
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = ? AND table_name LIKE 'ducklake~_%' ESCAPE '~' ORDER BY table_name",
        [name],
    ).fetchall()
    return [table for (table,) in rows]


def _count_copied_rows(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    counted = [
        connection.execute(f"SELECT count(*) FROM {place}.{table}").fetchone()
        for place in ("source", "target")
    ]
    if counted[0] != counted[1] or counted[0] is None:
        msg = f"not all rows of {table} were copied: nothing was moved"
        raise MoveError(msg)
    return int(counted[0][0])


@contextmanager
def _open_connection(
    where: WarehouseLocation, keys: Keys | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens a connection that can reach the folder, the server and the object storage."""
    with duckdb.connect(":memory:") as connection:
        configure_connection(connection, where)
        if keys is not None:
            encrypt_spill(connection)
        yield connection


def _copy_files(connection: duckdb.DuckDBPyConnection, source: str, target: str) -> int:
    """Copies the tables' files that ``target`` does not have yet; returns how many there are.

    A file of a table never changes once it is written.
    """
    if source == target:
        return 0
    sizes = dict(_list_files(connection, target))
    files = _list_files(connection, source)
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


def _list_files(connection: duckdb.DuckDBPyConnection, place: str) -> list[tuple[str, int]]:
    found = connection.execute(
        f"SELECT filename, size FROM read_blob({quote_literal(f'{place}/**/*.parquet')})"
        if place.startswith(S3) or any(Path(place).glob("**/*.parquet"))
        else "SELECT '', 0 WHERE false"
    ).fetchall()
    return [(name[len(place) + 1 :], size) for name, size in found]
