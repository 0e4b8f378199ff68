"""The warehouse itself: where it lies, how it is opened, which tables it has.

Belongs here: DuckLake on DuckDB (Parquet files and a catalog over them), the tables of the feeds
and of our own bookkeeping, and the locks that keep other writers out. Does not belong here: what is
written into the tables (loading) or asked of them (reports), where the catalog is (whereabouts).

The catalog is a database of PostgreSQL where the environment names one: then several processes of
one night may write at once. Else it is a SQLite file, for one writer at a time. That file holds
least and greatest values of columns, so an encrypted warehouse needs an encrypted one: that is a
DuckDB file. While one process has such a file open for writing, no other one can read it. So
readers have a copy, which whoever wrote puts in the place of the one before when it has ended.
"""

from __future__ import annotations

import base64
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import duckdb
import polars as pl
from duckdb_extensions import import_extension

from ccgi_pipeline.eligibility.evaluating import RESULTS_SCHEMA
from ccgi_pipeline.encryption import Keys, Purpose, keys_of
from ccgi_pipeline.errors import (
    PermanentError,
    PipelineError,
    TransientError,
    UnexpectedError,
    as_ours,
    catalog_damaged,
)
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.spec import Column, FeedSpec
from ccgi_pipeline.milestones import milestone
from ccgi_pipeline.spilling import encrypt_spill
from ccgi_pipeline.warehouse import postgres
from ccgi_pipeline.warehouse.conflicts import retried
from ccgi_pipeline.warehouse.whereabouts import (
    CATALOG,
    ENCRYPTED_CATALOG,
    TABLES,
    Bucket,
    Server,
    Whereabouts,
    has_own_catalog,
    is_served,
    remember,
    whereabouts,
)

_EXTENSIONS = ("ducklake", "sqlite_scanner")
_SQL_TYPES: tuple[tuple[type[pl.DataType], str], ...] = (
    (pl.Date, "DATE"),
    (pl.Datetime, "TIMESTAMP"),
    (pl.Boolean, "BOOLEAN"),
    (pl.Int64, "BIGINT"),
    (pl.String, "VARCHAR"),
)


def _sql(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List):
        return "VARCHAR[]"
    return next(sql for kind, sql in _SQL_TYPES if isinstance(dtype, kind))


ELIGIBILITY_SCHEMA: Mapping[str, pl.DataType] = {
    **dict.fromkeys(("_sender", "SSID", "average"), pl.String()),
    **{name: dtype for name, dtype in RESULTS_SCHEMA.items() if name != "student"},
}
"""A result with the student's district and number, and the average as it is shown."""

BOOKKEEPING: Mapping[str, Mapping[str, str]] = {
    "drops": {
        **dict.fromkeys(("drop_id", "sender", "family", "verdict"), "VARCHAR"),
        "night": "DATE",
        "position": "BIGINT",
        "correction": "BOOLEAN",
    },
    "received_files": dict.fromkeys(("path", "stamp", "sha256", "drop_id"), "VARCHAR"),
    "drop_files": {
        **dict.fromkeys(("drop_id", "path", "sha256"), "VARCHAR"),
        "place": "INTEGER",
    },
    "files": {
        "drop_id": "VARCHAR",
        "file_number": "INTEGER",
        **dict.fromkeys(("path", "feed", "encoding"), "VARCHAR"),
        "lines": "BIGINT",
        "complete": "BOOLEAN",
        "verdict": "VARCHAR",
        "no_longer_active": "BIGINT",
    },
    "ledger": {
        "drop_id": "VARCHAR",
        "file_number": "INTEGER",
        **dict.fromkeys(("feed", "fate"), "VARCHAR"),
        "lines": "BIGINT",
    },
    "findings": {
        "drop_id": "VARCHAR",
        "file_number": "INTEGER",
        "rule": "VARCHAR",
        "line": "BIGINT",
        **dict.fromkeys(("column", "detail", "severity"), "VARCHAR"),
    },
    "duplicates": {"drop_id": "VARCHAR", "path": "VARCHAR", "night": "DATE"},
    "receipts": {"drop_id": "VARCHAR", "night": "DATE"},
    "held_for": {
        **dict.fromkeys(("drop_id", "feed", "school"), "VARCHAR"),
        **dict.fromkeys(("would_end", "active"), "BIGINT"),
        "cause": "VARCHAR",
    },
    "hold_answers": {
        **dict.fromkeys(("drop_id", "answer", "answered_by", "reason"), "VARCHAR"),
        **dict.fromkeys(("answered_on", "expires"), "DATE"),
    },
    "replays": {
        "drop_id": "VARCHAR",
        "replay": "BIGINT",
        "night": "DATE",
        **dict.fromkeys(("replayed_by", "reason"), "VARCHAR"),
        "last_drop": "BIGINT",
        **dict.fromkeys(("feed", "fate"), "VARCHAR"),
        **dict.fromkeys(("before", "after"), "BIGINT"),
    },
    "child_links": dict.fromkeys(("_sender", "SystemID", "SISLocalID", "ChildID"), "VARCHAR"),
    "unmatched": {
        **dict.fromkeys(("_sender", "SystemID", "SISLocalID", "drop_id"), "VARCHAR"),
        "line": "BIGINT",
        **dict.fromkeys(("rule", "field"), "VARCHAR"),
    },
    "foster_lookups": dict.fromkeys(("_sender", "kind", "code", "meaning"), "VARCHAR"),
    "school_codes": dict.fromkeys(("_sender", "sourcedId", "CDSCode", "told_by"), "VARCHAR"),
    "application_ssids": {
        **dict.fromkeys(("app_id", "answer", "SSID", "fields"), "VARCHAR"),
        "answered_on": "DATE",
    },
    "eligibility": {name: _sql(dtype) for name, dtype in ELIGIBILITY_SCHEMA.items()},
    "evaluated": dict.fromkeys(("_sender", "state"), "VARCHAR"),
}
"""Our own tables. ``drops.position`` is the order of loading, ``drops.correction``: it held some of
many lines; ``received_files`` is the memory of which bytes lay under which name, ``drop_files`` of
which bytes a drop was made, in their order; ``duplicates`` are drops that came again; ``receipts``
says for which drops the sender has its answer. ``child_links`` and ``unmatched`` are the students
of the senders' newest Foster Focus drops, with the children they were linked to or the reason why
not. ``foster_lookups`` says what a district's own codes stand for. ``held_for`` says why a drop is
held, ``hold_answers`` what an operator answered. ``replays`` are drops that were taken once more:
lines by feed and fate before and after, and the position of the drop that was the last one then.
``school_codes`` are the schools of OneRoster sets with their CDS codes. ``application_ssids`` is
what the SSID look-up answered of each application (its SSID is restricted). ``eligibility`` is the
newest result of each student of a roster and each system; years are in sixtieths. ``evaluated``
says of which state of its records and of the rules a district's results are."""

TRACKING = {
    "_sender": "VARCHAR",
    "_drop": "VARCHAR",
    "_line": "BIGINT",
    "_active": "BOOLEAN",
    "_hash": "UBIGINT",
}
"""Columns that every feed's table has besides its own: who sent the record, which line of which
drop last changed it, whether the sender's newest full set has it, and a hash of its own columns."""


LOCK = "writer.lock"
"""The lock of who writes, in a warehouse's folder."""
ARCHIVE = "archive"
"""What was received lies there; nothing is, before there is a catalog."""
FOR_READERS = "catalog.readers.duckdb"
"""The copy of an encrypted warehouse's catalog that readers have."""


class WarehouseBusyError(TransientError):
    """Another night is writing: try again when it has ended."""


def quoted(identifier: str) -> str:
    """``identifier`` as SQL spells it, whatever it holds."""
    return '"' + identifier.replace('"', '""') + '"'


def sql_type(column: Column) -> str:
    """The SQL type of a feed's column."""
    if isinstance(column.dtype, pl.Decimal):
        return f"DECIMAL({column.dtype.precision}, {column.dtype.scale})"
    return _sql(column.dtype)


class SnapshotGoneError(PermanentError):
    """The warehouse does not have that snapshot: a backup may have it."""


class NotEncryptedError(PermanentError):
    """Something that should be encrypted at rest is not, or cannot be opened with its key."""


_MEMORY = "3GiB"
"""What a connection may hold before it spills: a night of the whole state fits a small machine,
and beside it stands a batch of lines that is being verified or loaded."""


_NO_ROWS_IN_THE_CATALOG = "DATA_INLINING_ROW_LIMIT 0"
"""DuckLake would keep short inserts and deletes in the catalog. Of what is deleted there and in a
file, rows may come back, or be counted twice as gone (its issues 1084, 1329, 1364), and two tables
that are flushed at once bring the process down. Files of a few rows are no slower."""


def attach(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    read_only: bool = False,
    snapshot: int | None = None,
) -> None:
    """Makes the warehouse in ``folder`` the connection's default catalog, creating it if need be.

    ``snapshot``: as it was then, to be read only. Everything that the connection spills stays in
    the folder too. Raises SnapshotGoneError, CatalogDamagedError, NoRoomError; of an encrypted
    one, EncryptionKeyError before anything is touched, NotEncryptedError, and WarehouseBusyError.
    """
    folder = folder.absolute()
    reading = read_only or snapshot is not None
    where = whereabouts(folder)
    keys = keys_of(folder, make=not reading)
    equip(connection, where)
    if keys is not None:
        encrypt_spill(connection)
    # A warehouse that was moved or restored is where it is now, whatever its catalog says.
    options = f", OVERRIDE_DATA_PATH true, {_NO_ROWS_IN_THE_CATALOG}"
    if reading:
        options += ", READ_ONLY"
    if snapshot is not None:
        options += f", SNAPSHOT_VERSION {snapshot}"
    if _is_gone(folder):
        # A new one in its place would know nothing, and load all that lies in the inbox again.
        raise catalog_damaged(_GONE)
    name = "lake" if snapshot is None else _AS_IT_WAS
    data = f"DATA_PATH {literal(where.tables)}"
    with _told(folder, snapshot):
        if where.server is not None:
            _attach_served(connection, where, f"AS {name} ({data}{options}", keys, reading=reading)
        elif keys is None:
            source = literal(f"ducklake:sqlite:{folder / CATALOG}")
            connection.execute(f"ATTACH {source} AS {name} ({data}{options})")
        else:
            catalog = for_readers(folder) if reading else folder / ENCRYPTED_CATALOG
            source = literal(f"ducklake:{catalog}")
            _attach_encrypted(connection, f"{source} AS {name} ({data}{options}", catalog, keys)
            _assert_encrypted(connection, name, catalog)
    if snapshot is not None:
        _stand_in(connection)
    connection.execute("USE lake")


def equip(connection: duckdb.DuckDBPyConnection, where: Whereabouts) -> None:
    """Gives a connection what it takes to attach the warehouse; what it spills stays there too."""
    for extension in _EXTENSIONS:
        _load(connection, extension)
    where.folder.mkdir(parents=True, exist_ok=True)
    connection.execute(f"SET memory_limit = '{_MEMORY}'")
    connection.execute(f"SET temp_directory = {literal(where.folder / 'spill')}")
    connection.execute("SET TimeZone = 'UTC'")
    if where.bucket is not None:
        _introduce_to_bucket(connection, where.bucket)


def _load(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    """Loads an extension of DuckDB out of its package: nothing is downloaded."""
    import_extension(extension, con=connection)
    connection.load_extension(extension)


def _attach_served(
    connection: duckdb.DuckDBPyConnection,
    where: Whereabouts,
    what: str,
    keys: Keys | None,
    *,
    reading: bool,
) -> None:
    """Attaches with the catalog in PostgreSQL, which is made if it was not.

    DuckLake encrypts the tables' files if there are ``keys``. The catalog is the server's business.
    """
    if not reading and where.identity is None:
        where = remember(where, made=False)
    postgres.claim(where, make=not reading)
    if where.server is None:
        return
    introduce(connection, where.server)
    encrypted = ", ENCRYPTED" if keys is not None else ""
    make = "false" if where.made else "true"
    connection.execute(
        f"ATTACH {literal(source_of(where.server))} {what}{encrypted}, "
        f"META_SECRET '{SECRET}', CREATE_IF_NOT_EXISTS {make})"
    )
    if keys is not None:
        _assert_encrypted(connection, what.split()[1], where.folder)
    if not where.made:
        remember(where, made=True)


SECRET = "ccgi_catalog"  # noqa: S105 - its name
"""What DuckDB knows of the server of the catalog, by its name there."""


def introduce(connection: duckdb.DuckDBPyConnection, server: Server) -> None:
    """Tells DuckDB who asks the server, as values: no statement or message has the password."""
    _load(connection, "postgres_scanner")
    given = {
        "HOST": server.host,
        "PORT": server.port,
        "DATABASE": server.database,
        "USER": server.user,
        **({"PASSWORD": server.password} if server.password is not None else {}),
    }
    connection.execute(
        f"CREATE OR REPLACE SECRET {SECRET} (TYPE postgres, {_bound(given)})", [*given.values()]
    )


def source_of(server: Server) -> str:
    """How DuckLake finds the catalog; who asks and where is in the secret."""
    options = {"connect_timeout": str(postgres.TIMEOUT), **server.options}
    quoted_options = (
        "{}='{}'".format(name, value.replace("\\", "\\\\").replace("'", "\\'"))
        for name, value in options.items()
    )
    return f"ducklake:postgres:{' '.join(quoted_options)}"


def _introduce_to_bucket(connection: duckdb.DuckDBPyConnection, bucket: Bucket) -> None:
    """The same for object storage."""
    _load(connection, "httpfs")
    given: dict[str, object] = {
        "KEY_ID": bucket.key_id,
        "SECRET": bucket.secret,
        "REGION": bucket.region,
    }
    if bucket.endpoint is not None:
        # Stores of one's own have no name in DNS for each bucket.
        given |= {"ENDPOINT": bucket.endpoint, "URL_STYLE": "path", "USE_SSL": bucket.tls}
    connection.execute(
        f"CREATE OR REPLACE SECRET ccgi_tables (TYPE s3, {_bound(given)})", [*given.values()]
    )


def _bound(given: Mapping[str, object]) -> str:
    return ", ".join(f"{name} ?" for name in given)


@contextmanager
def _told(folder: Path, snapshot: int | None) -> Iterator[None]:
    """Has what DuckDB says of a catalog that it cannot attach be an error of ours."""
    try:
        yield
    except duckdb.Error as error:
        if snapshot is not None and "No snapshot found" in str(error):
            msg = (
                f"the warehouse no longer has its snapshot {snapshot}: it has expired, was purged, "
                "or the warehouse was restored from an older copy"
            )
            raise SnapshotGoneError(msg) from None
        ours = as_ours(error, [folder])
        if isinstance(ours, UnexpectedError) and not is_served(folder):
            raise
        raise ours from None


def _is_gone(folder: Path) -> bool:
    """Whether there are records, or files they were made of, without the catalog over them.

    Of one that is in a database, that is seen when it is opened.
    """
    if has_own_catalog(folder) or is_served(folder):
        return False
    return any(next((folder / kept).glob("*"), None) for kept in (TABLES, ARCHIVE))


def fault(folder: Path) -> str | None:
    """What is wrong with the catalog of the warehouse in ``folder``, in words; None if nothing."""
    try:
        where = whereabouts(folder)
    except PermanentError as error:
        return str(error)
    if _is_gone(folder):
        return str(catalog_damaged(_GONE))
    if where.server is not None:
        return _fault_of_served(where)
    if (folder / ENCRYPTED_CATALOG).exists():
        return _fault_of_encrypted(folder)
    return _fault_of_plain(folder) if (folder / CATALOG).exists() else None


def _fault_of_plain(folder: Path) -> str | None:
    """The same of a SQLite file."""
    catalog = (folder / CATALOG).absolute().as_uri()
    try:
        with closing(sqlite3.connect(f"{catalog}?mode=ro", uri=True)) as opened:
            sound = opened.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
    except sqlite3.Error as error:
        return str(as_ours(error, [folder]))
    return None if sound else str(catalog_damaged(_UNREADABLE))


def _fault_of_served(where: Whereabouts) -> str | None:
    """The same of one in a database: it can be asked, and knows of its newest snapshot."""
    if not where.made:
        return None
    try:
        connect(where.folder, read_only=True).close()
    except (duckdb.Error, PipelineError) as error:
        return str(as_ours(error, [where.folder]))
    return None


def _fault_of_encrypted(folder: Path) -> str | None:
    """The same of an encrypted one: DuckDB checks every block that it opens, and its key."""
    try:
        connect(folder, read_only=True).close()
    except TransientError:
        return None
    except (duckdb.Error, PermanentError) as error:
        return str(as_ours(error, [folder]))
    return None


_GONE, _UNREADABLE = "is gone", "cannot be read"


def _attach_encrypted(
    connection: duckdb.DuckDBPyConnection, what: str, catalog: Path, keys: Keys
) -> None:
    """Attaches with the catalog's key; it is bound, so that no statement or message has it."""
    key = base64.b64encode(keys.of(Purpose.CATALOG)).decode()
    try:
        connection.execute(f"ATTACH {what}, ENCRYPTED, META_ENCRYPTION_KEY ?)", [key])
    except duckdb.Error as error:
        told = str(error)
        if "lock on file" in told or "already attached" in told:
            msg = f"another process has {catalog.name} open; try again when it has ended"
            raise WarehouseBusyError(msg) from None
        if "encrypt" in told:
            msg = (
                f"{catalog} does not open with the key of its folder: it is damaged, or not from "
                "the same backup as encryption.json. Restore both"
            )
            raise NotEncryptedError(msg) from None
        raise


def _assert_encrypted(connection: duckdb.DuckDBPyConnection, name: str, catalog: Path) -> None:
    """Raises NotEncryptedError unless tables and spill are encrypted.

    That the catalog is, DuckDB has seen to: it opens no plain file with a key. (Reading the file
    here would let go of DuckDB's lock on it, as POSIX has it.)
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


def for_readers(folder: Path) -> Path:
    """The copy of an encrypted warehouse's catalog that can be read now, also while a night writes.

    It is the state after the last writer that ended; one that was killed is brought to its end
    first. Raises WarehouseBusyError where the first one still writes.
    """
    if not _is_current(folder):
        with suppress(WarehouseBusyError, PermissionError), only_writer(folder):
            pass  # that makes it current
    copy = folder / FOR_READERS
    if not copy.exists():
        msg = f"the first night is writing to {folder}; try again when it has ended"
        raise WarehouseBusyError(msg)
    return copy


def _is_current(folder: Path) -> bool:
    """Whether readers have the newest catalog; a log beside it is what a killed writer left."""
    catalog, copy = folder / ENCRYPTED_CATALOG, folder / FOR_READERS
    if not catalog.exists():
        return True
    if not copy.exists() or Path(f"{catalog}.wal").exists():
        return False
    newest, read = catalog.stat(), copy.stat()
    return (newest.st_size, newest.st_mtime_ns) == (read.st_size, read.st_mtime_ns)


def _show_readers(folder: Path) -> None:
    """Gives readers the newest catalog; call it as the only writer, and with nothing attached."""
    if _is_current(folder):
        return
    catalog = folder / ENCRYPTED_CATALOG
    if Path(f"{catalog}.wal").exists():
        connect(folder).close()  # takes the log in
    part = folder / f"{FOR_READERS}.part"
    shutil.copy2(catalog, part)
    with part.open("rb") as copied:
        os.fsync(copied.fileno())
    with milestone("warehouse: shown to readers"):
        part.replace(folder / FOR_READERS)


_AS_IT_WAS = "lake_as_it_was"


def _stand_in(connection: duckdb.DuckDBPyConnection) -> None:
    """Has ``lake`` be today's tables over a former state; what was not there yet is empty.

    So ``prepare`` fills a table or column that is new, and queries of today find it there.
    """
    connection.execute("ATTACH ':memory:' AS lake")
    present = _columns_of(connection, _AS_IT_WAS)
    with transaction(connection):
        for table, typed in _tables().items():
            if table not in present:
                columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in typed.items())
                connection.execute(f"CREATE TABLE lake.{table} ({columns})")
                continue
            columns = ", ".join(
                quoted(name) if name in present[table] else f"NULL::{kind} AS {quoted(name)}"
                for name, kind in typed.items()
            )
            connection.execute(
                f"CREATE VIEW lake.{table} AS SELECT {columns} FROM {_AS_IT_WAS}.{table}"
            )


def literal(value: Path | str) -> str:
    """``value`` as SQL spells a text."""
    return "'" + str(value).replace("'", "''") + "'"


def exists(folder: Path) -> bool:
    """Whether a warehouse was ever opened in ``folder``.

    Raises CatalogDamagedError where the catalog of one that was is gone, and WhereaboutsError where
    the environment says otherwise than the folder. Of one in a database, nothing is asked there.
    """
    where = whereabouts(folder)
    if where.server is not None:
        return where.made
    if _is_gone(folder):
        raise catalog_damaged(_GONE)
    return any((folder / name).exists() for name in (CATALOG, ENCRYPTED_CATALOG))


def connect(
    folder: Path, *, read_only: bool = False, snapshot: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection of its own to the warehouse in ``folder``, or to what it was at ``snapshot``."""
    connection = duckdb.connect(":memory:")
    attach(connection, folder, read_only=read_only, snapshot=snapshot)
    return connection


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates missing tables and adds columns that a table has gained, in one transaction."""

    def once() -> None:
        statements = _lacking(connection)
        if statements:
            with transaction(connection):
                for statement in statements:
                    connection.execute(statement)

    retried(once)


def _lacking(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """What it takes to bring the tables up to date."""
    present = _columns_of(connection, "lake")
    statements = []
    for table, typed in _tables().items():
        columns = {name: f"{quoted(name)} {kind}" for name, kind in typed.items()}
        if table not in present:
            statements.append(f"CREATE TABLE {table} ({', '.join(columns.values())})")
            continue
        statements += [
            f"ALTER TABLE {table} ADD COLUMN {column}"
            for name, column in columns.items()
            if name not in present[table]
        ]
    return statements


def _tables() -> dict[str, Mapping[str, str]]:
    """All tables as they are today: names and SQL types of their columns."""
    return {**BOOKKEEPING, **{feed.name: feed_table_columns(feed) for feed in FEEDS}}


def _columns_of(connection: duckdb.DuckDBPyConnection, catalog: str) -> dict[str, set[str]]:
    """The tables that there are, with the names of their columns."""
    present: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = ?", [catalog]
    ).fetchall():
        present.setdefault(table, set()).add(column)
    return present


def bring_up_to_date(folder: Path) -> None:
    """Has a warehouse that an older version wrote take today's form; call it as the only writer."""
    with connect(folder, read_only=True) as connection:
        lacking = _lacking(connection)
    if lacking:
        with connect(folder) as connection:
            prepare(connection)
        _show_readers(folder)


def snapshot(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the warehouse's newest snapshot."""
    row = connection.execute("FROM lake.current_snapshot()").fetchone()
    return int(row[0]) if row else 0


def feed_table_columns(feed: FeedSpec) -> dict[str, str]:
    """Names and SQL types of a feed's table: its own columns first."""
    own = {name: sql_type(column) for name, column in feed.columns.items()}
    return {**own, **TRACKING}


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing: one DuckLake snapshot for everything inside."""
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    with milestone("warehouse: committed"):
        connection.execute("COMMIT")


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Holds the warehouse's lock; it falls with the process, however that ends.

    Raises WarehouseBusyError where another process holds it. Of an encrypted warehouse, what was
    written is shown to readers at the end: every connection must be closed by then. Raises
    EncryptionKeyError before anything is touched.
    """
    where = whereabouts(folder)
    keys_of(folder, make=True)
    if where.server is not None:
        with postgres.held(where.server, busy(folder), shared=False):
            yield
        return
    with locked(folder):
        _show_readers(folder)
        try:
            yield
        finally:
            # Where a failed night left it open, the next one to look does this.
            with suppress(WarehouseBusyError):
                _show_readers(folder)


@contextmanager
def one_of_several(folder: Path) -> Iterator[None]:
    """Holds the warehouse's lock together with other processes of the same night.

    It keeps out whoever wants to be the ``only_writer``, and is kept out by that one: raises
    WarehouseBusyError. A catalog in the folder has one writer at a time: there it is the same as
    ``only_writer``.
    """
    where = whereabouts(folder)
    if where.server is None:
        with only_writer(folder):
            yield
        return
    with postgres.held(where.server, busy(folder), shared=True):
        yield


def busy(folder: Path) -> WarehouseBusyError:
    """The error that another one writes to the warehouse."""
    msg = f"another night is writing to {folder}; try again when it has ended"
    return WarehouseBusyError(msg)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, and does nothing else. Raises WarehouseBusyError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy(folder) from None
        yield
