"""Connections to a warehouse: DuckLake on DuckDB, attached as the default catalog.

Belongs here: opening a warehouse for writing, for reading, or as of an earlier snapshot. Does not
belong here: which place the catalog has (location), who may write (writers), rows (load, queries).

The catalog is a PostgreSQL database where the environment names one, so that several processes may
write at once. Otherwise it is a SQLite file with one writer at a time and any number of readers,
which keep their state while a night commits (write-ahead log). That file contains the minimum and
maximum of each column, so an encrypted warehouse has a DuckDB file as its catalog, which is
encrypted too.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ccgi_pipeline.common.environment import read_threads
from ccgi_pipeline.common.errors import (
    PermanentError,
    UnexpectedError,
    catalog_damaged_error,
    to_pipeline_error,
)
from ccgi_pipeline.common.extensions import connect, load_extension, refuse_unsigned
from ccgi_pipeline.common.owner_only import mend_folder
from ccgi_pipeline.encryption.duckdb_spill import encrypt_spill
from ccgi_pipeline.encryption.keys import KeyPurpose, Keys, load_keys
from ccgi_pipeline.warehouse.storage import postgres
from ccgi_pipeline.warehouse.storage.checksums import checked_tables
from ccgi_pipeline.warehouse.storage.location import (
    CATALOG,
    ENCRYPTED_CATALOG,
    TABLES,
    WarehouseLocation,
    has_catalog_server,
    has_own_catalog,
    locate_warehouse,
    save_location,
)
from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError
from ccgi_pipeline.warehouse.storage.schema import (
    INTERNAL,
    all_tables,
    create_missing_tables,
    missing_table_statements,
    qualify_table,
    quote_identifier,
    quote_literal,
    read_tables,
    set_search_path,
    transaction,
)
from ccgi_pipeline.warehouse.storage.secrets import (
    CATALOG_SECRET,
    catalog_source,
    create_bucket_secret,
    create_catalog_secret,
)
from ccgi_pipeline.warehouse.storage.writers import (
    exclusive_writer,
    reader_catalog,
    refresh_reader_copy,
)

_EXTENSIONS = ("ducklake", "sqlite_scanner")

ARCHIVE = "archive"
"""The folder of the received files; it is empty as long as there is no catalog."""

CATALOG_GONE, CATALOG_UNREADABLE = "is gone", "cannot be read"
"""What is wrong with a damaged catalog, for ``catalog_damaged_error``."""

_MEMORY = "2GiB"
"""The memory of a connection before it spills to disk. It leaves room for a batch of lines that is
verified or loaded at the same time, and a night of the whole state fits into a small machine."""

_OPTIMIZERS_LEFT_OUT = "join_order,statistics_propagation"
"""Both ask DuckLake's catalog for the statistics of every column, which takes a third of a small
night's time. The night of a state is no slower without them: its joins are written in their order.
"""

_NO_ROWS_IN_THE_CATALOG = "DATA_INLINING_ROW_LIMIT 0"
"""Otherwise DuckLake keeps short inserts and deletes in the catalog. Rows that are deleted both
there and in a file may then come back or be counted twice (its issues 1084, 1329, 1364), and two
tables that are flushed at once crash the process. Files of a few rows are no slower."""

_WAIT_FOR_SQLITE = "META_BUSY_TIMEOUT 10000"
"""Milliseconds to wait while another connection recovers the log of a killed writer, say."""
_BESIDE_READERS = "META_JOURNAL_MODE 'WAL'"
"""With SQLite's own journal, a reader that keeps a transaction open makes every commit fail."""

_EARLIER_STATE = "lake_as_it_was"


class SnapshotGoneError(PermanentError):
    """The warehouse no longer has a snapshot; a backup may have it."""


class NoWarehouseError(PermanentError):
    """There is no warehouse in a folder yet."""


class NotEncryptedError(PermanentError):
    """A part of an encrypted warehouse is not encrypted, or does not open with its key."""


def warehouse_exists(folder: Path) -> bool:
    """Returns whether a warehouse was ever opened in ``folder``.

    Does not connect to a catalog in a database. Raises CatalogDamagedError if the catalog is gone,
    and LocationError if the environment contradicts the folder.
    """
    where = locate_warehouse(folder)
    if where.server is not None:
        return where.made
    if is_catalog_gone(folder):
        raise catalog_damaged_error(CATALOG_GONE)
    return any((folder / name).exists() for name in (CATALOG, ENCRYPTED_CATALOG))


def open_warehouse(
    folder: Path, *, read_only: bool = False, snapshot: int | None = None
) -> duckdb.DuckDBPyConnection:
    """Returns a new connection to the warehouse in ``folder``, or to its state at ``snapshot``."""
    connection = connect()
    attach_warehouse(connection, folder, read_only=read_only, snapshot=snapshot)
    return connection


@contextmanager
def write_warehouse(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens the warehouse in ``folder`` for its one writer, with all tables of this version.

    The files that it reads are compared with what was written. Raises WarehouseBusyError,
    CatalogDamagedError and TablesDamagedError.
    """
    with exclusive_writer(folder), open_warehouse(folder) as connection:
        create_missing_tables(connection)
        with checked_tables(connection, folder):
            yield connection


def read_snapshot_id(connection: duckdb.DuckDBPyConnection) -> int:
    """Returns the number of the warehouse's newest snapshot."""
    row = connection.execute("FROM lake.current_snapshot()").fetchone()
    return int(row[0]) if row else 0


def upgrade_tables(folder: Path) -> None:
    """Brings the tables of an older version up to date; only for the exclusive writer."""
    open_upgraded_warehouse(folder).close()


def open_upgraded_warehouse(folder: Path) -> duckdb.DuckDBPyConnection:
    """Returns a connection for reading, with all tables of this version.

    Only for the exclusive writer.
    """
    connection = open_warehouse(folder, read_only=True)
    if not missing_table_statements(connection):
        return connection
    connection.close()
    with open_warehouse(folder) as writing:
        create_missing_tables(writing)
    refresh_reader_copy(folder)
    return open_warehouse(folder, read_only=True)


def attach_warehouse(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    read_only: bool = False,
    snapshot: int | None = None,
) -> None:
    """Makes the warehouse in ``folder`` the connection's default catalog; creates it if needed.

    ``snapshot``: attaches that earlier state, read-only. Spilled data stays in the folder too.
    Raises SnapshotGoneError, NoWarehouseError, CatalogDamagedError and NoRoomError. An encrypted
    warehouse also raises EncryptionKeyError (before anything is touched), NotEncryptedError and
    WarehouseBusyError.
    """
    folder = folder.absolute()
    reading = read_only or snapshot is not None
    where = locate_warehouse(folder)
    if reading and where.server is None and not warehouse_exists(folder):
        msg = f"there is no warehouse in {folder} yet: the first night makes it"
        raise NoWarehouseError(msg)
    keys = load_keys(folder, make=not reading)
    configure_connection(connection, where)
    if keys is not None:
        encrypt_spill(connection)
    if where.server is not None:
        load_extension(connection, "postgres_scanner")
    refuse_unsigned(connection)
    # The catalog of a moved or restored warehouse may still name the former folder.
    options = f", OVERRIDE_DATA_PATH true, {_NO_ROWS_IN_THE_CATALOG}"
    if reading:
        options += ", READ_ONLY"
    if snapshot is not None:
        options += f", SNAPSHOT_VERSION {snapshot}"
    if is_catalog_gone(folder):
        # A new catalog would be empty, and the next night would load the whole inbox again.
        raise catalog_damaged_error(CATALOG_GONE)
    name = "lake" if snapshot is None else _EARLIER_STATE
    data = f"DATA_PATH {quote_literal(where.tables)}"
    with _translated_errors(folder, snapshot):
        if where.server is not None:
            _attach_served(connection, where, f"AS {name} ({data}{options}", keys, reading=reading)
        elif keys is None:
            source = quote_literal(f"ducklake:sqlite:{folder / CATALOG}")
            journal = "" if reading else f", {_BESIDE_READERS}"
            connection.execute(
                f"ATTACH {source} AS {name} ({data}{options}, {_WAIT_FOR_SQLITE}{journal})"
            )
        else:
            catalog = reader_catalog(folder) if reading else folder / ENCRYPTED_CATALOG
            source = quote_literal(f"ducklake:{catalog}")
            _attach_encrypted(connection, f"{source} AS {name} ({data}{options}", catalog, keys)
            _assert_encrypted(connection, name, catalog)
    if snapshot is not None:
        _create_views_over_snapshot(connection)
    set_search_path(connection)


def configure_connection(connection: duckdb.DuckDBPyConnection, where: WarehouseLocation) -> None:
    """Prepares a connection to attach the warehouse: extensions, memory, cores, secrets."""
    for extension in _EXTENSIONS:
        load_extension(connection, extension)
    where.folder.mkdir(parents=True, exist_ok=True)
    if has_own_catalog(where.folder) or where.made:
        mend_folder(where.folder)
    connection.execute(f"SET memory_limit = '{_MEMORY}'")
    connection.execute(f"SET temp_directory = {quote_literal(where.folder / 'spill')}")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET disabled_optimizers = '{_OPTIMIZERS_LEFT_OUT}'")
    if (threads := read_threads()) is not None:
        connection.execute(f"SET threads = {threads}")
    if where.bucket is not None:
        create_bucket_secret(connection, where.bucket)


def _attach_served(
    connection: duckdb.DuckDBPyConnection,
    where: WarehouseLocation,
    what: str,
    keys: Keys | None,
    *,
    reading: bool,
) -> None:
    """Attaches a warehouse whose catalog is in PostgreSQL; creates the catalog if needed.

    With ``keys``, DuckLake encrypts the tables' files. Encrypting the catalog is up to the server.
    """
    if not reading and where.identity is None:
        where = save_location(where, made=False)
    postgres.claim_database(where, make=not reading)
    if where.server is None:
        return
    create_catalog_secret(connection, where.server)
    encrypted = ", ENCRYPTED" if keys is not None else ""
    make = "false" if where.made else "true"
    connection.execute(
        f"ATTACH {quote_literal(catalog_source(where.server))} {what}{encrypted}, "
        f"META_SECRET '{CATALOG_SECRET}', CREATE_IF_NOT_EXISTS {make})"
    )
    if keys is not None:
        _assert_encrypted(connection, what.split()[1], where.folder)
    if not where.made:
        save_location(where, made=True)


@contextmanager
def _translated_errors(folder: Path, snapshot: int | None) -> Iterator[None]:
    """Translates DuckDB attach errors into pipeline errors."""
    try:
        yield
    except duckdb.Error as error:
        if snapshot is not None and "No snapshot found" in str(error):
            msg = (
                f"the warehouse no longer has its snapshot {snapshot}: it has expired, was purged, "
                "or the warehouse was restored from an older copy"
            )
            raise SnapshotGoneError(msg) from None
        translated = to_pipeline_error(error, [folder])
        if isinstance(translated, UnexpectedError) and not has_catalog_server(folder):
            raise
        raise translated from None


def is_catalog_gone(folder: Path) -> bool:
    """Returns whether there are tables or received files but no catalog.

    A catalog in a database is only checked when it is opened.
    """
    if has_own_catalog(folder) or has_catalog_server(folder):
        return False
    return any(next((folder / kept).glob("*"), None) for kept in (TABLES, ARCHIVE))


def _attach_encrypted(
    connection: duckdb.DuckDBPyConnection, what: str, catalog: Path, keys: Keys
) -> None:
    """Attaches with the catalog's key, as a bound value: no statement or message contains it."""
    key = base64.b64encode(keys.of(KeyPurpose.CATALOG)).decode()
    try:
        connection.execute(f"ATTACH {what}, ENCRYPTED, META_ENCRYPTION_KEY ?)", [key])
    except duckdb.Error as error:
        message = str(error)
        if "lock on file" in message or "already attached" in message:
            msg = f"another process has {catalog.name} open; try again when it has ended"
            raise WarehouseBusyError(msg) from None
        if "encrypt" in message:
            msg = (
                f"{catalog} does not open with the key of its folder: it is damaged, or not from "
                "the same backup as encryption.json. Restore both"
            )
            raise NotEncryptedError(msg) from None
        raise


def _assert_encrypted(connection: duckdb.DuckDBPyConnection, name: str, catalog: Path) -> None:
    """Raises NotEncryptedError unless tables and spill are encrypted.

    The catalog needs no check: with a key, DuckDB opens no plain file. (Opening the file here and
    closing it would release DuckDB's lock on it, because POSIX locks belong to the process.)
    """
    metadata = f"__ducklake_metadata_{name}"
    plain = connection.execute(
        f"SELECT (SELECT count(*) FROM {metadata}.ducklake_data_file WHERE encryption_key IS NULL)"
        f" + (SELECT count(*) FROM {metadata}.ducklake_delete_file WHERE encryption_key IS NULL),"
        f" (SELECT value FROM {metadata}.ducklake_metadata WHERE key = 'encrypted'),"
        " current_setting('temp_file_encryption')"
    ).fetchone()
    faults = {
        "files of its tables are not encrypted": plain is None or plain[0] != 0,
        "its tables are not to be encrypted": plain is None or plain[1] != "true",
        "temporary files are not encrypted": plain is None or plain[2] is not True,
    }
    found = [fault for fault, holds in faults.items() if holds]
    if found:
        msg = f"the warehouse in {catalog.parent} should be encrypted, but {' and '.join(found)}"
        raise NotEncryptedError(msg)


def _create_views_over_snapshot(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates ``lake`` with this version's tables as views over an earlier state.

    Tables and columns that did not exist then are empty, so that today's queries find them.
    """
    connection.execute("ATTACH ':memory:' AS lake")
    connection.execute(f"CREATE SCHEMA lake.{INTERNAL}")
    present = read_tables(connection, _EARLIER_STATE)
    with transaction(connection):
        for table, typed in all_tables().items():
            here = f"lake.{qualify_table(table)}"
            if table not in present:
                columns = ", ".join(
                    f"{quote_identifier(name)} {kind}" for name, kind in typed.items()
                )
                connection.execute(f"CREATE TABLE {here} ({columns})")
                continue
            columns = ", ".join(
                quote_identifier(name)
                if name in present[table].columns
                else f"NULL::{kind} AS {quote_identifier(name)}"
                for name, kind in typed.items()
            )
            connection.execute(
                f"CREATE VIEW {here} AS SELECT {columns} "
                f"FROM {_EARLIER_STATE}.{present[table].schema}.{table}"
            )
