"""The warehouse itself: where it lies, how it is opened, which tables it has.

Belongs here: DuckLake on DuckDB (Parquet files and a SQLite catalog in one folder), the tables of
the feeds and of our own bookkeeping, and the lock that keeps a second writer out. Does not belong
here: what is written into the tables (loading) or asked of them (reports).
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import polars as pl
from duckdb_extensions import import_extension

from ccgi_pipeline.eligibility.evaluating import RESULTS_SCHEMA
from ccgi_pipeline.errors import (
    PermanentError,
    TransientError,
    UnexpectedError,
    as_ours,
    catalog_damaged,
)
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.spec import Column, FeedSpec
from ccgi_pipeline.milestones import milestone

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
newest result of each student of a roster and each system; years are in sixtieths."""

TRACKING = {
    "_sender": "VARCHAR",
    "_drop": "VARCHAR",
    "_line": "BIGINT",
    "_active": "BOOLEAN",
    "_hash": "UBIGINT",
}
"""Columns that every feed's table has besides its own: who sent the record, which line of which
drop last changed it, whether the sender's newest full set has it, and a hash of its own columns."""


CATALOG, TABLES, LOCK = "catalog.sqlite", "tables", "writer.lock"
"""What lies in a warehouse's folder: the catalog, the tables' files, the lock of who writes."""
ARCHIVE = "archive"
"""What was received lies there; nothing is, before there is a catalog."""


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


def attach(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    read_only: bool = False,
    snapshot: int | None = None,
) -> None:
    """Makes the warehouse in ``folder`` the connection's default catalog, creating it if need be.

    ``snapshot``: as it was then, to be read only. Everything that the connection spills stays in
    the folder too. Raises SnapshotGoneError, CatalogDamagedError, NoRoomError.
    """
    for extension in _EXTENSIONS:
        import_extension(extension, con=connection)
        connection.load_extension(extension)
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    # A warehouse that was moved or restored is where it is now, whatever its catalog says.
    options = ", OVERRIDE_DATA_PATH true"
    if read_only or snapshot is not None:
        options += ", READ_ONLY"
    if snapshot is not None:
        options += f", SNAPSHOT_VERSION {snapshot}"
    catalog, data = folder / CATALOG, folder / TABLES
    if _is_gone(folder):
        # A new one in its place would know nothing, and load all that lies in the inbox again.
        raise catalog_damaged(_GONE)
    connection.execute(f"SET temp_directory = {_literal(folder / 'spill')}")
    connection.execute("SET TimeZone = 'UTC'")
    try:
        connection.execute(
            f"ATTACH {_literal(f'ducklake:sqlite:{catalog}')} "
            f"AS {'lake' if snapshot is None else _AS_IT_WAS} (DATA_PATH {_literal(data)}{options})"
        )
    except duckdb.Error as error:
        if snapshot is None or "No snapshot found" not in str(error):
            ours = as_ours(error, [folder])
            if isinstance(ours, UnexpectedError):
                raise
            raise ours from None
        msg = (
            f"the warehouse no longer has its snapshot {snapshot}: it has expired, or the warehouse"
            " was restored from an older copy"
        )
        raise SnapshotGoneError(msg) from None
    if snapshot is not None:
        _stand_in(connection)
    connection.execute("USE lake")


def _is_gone(folder: Path) -> bool:
    """Whether there are records, or files they were made of, without the catalog over them."""
    catalog = folder / CATALOG
    if catalog.exists() and catalog.stat().st_size:
        return False
    return any(next((folder / kept).glob("*"), None) for kept in (TABLES, ARCHIVE))


def fault(folder: Path) -> str | None:
    """What is wrong with the catalog of the warehouse in ``folder``, in words; None if nothing."""
    catalog = folder / CATALOG
    if _is_gone(folder):
        return str(catalog_damaged(_GONE))
    if not catalog.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{catalog.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            sound = opened.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
    except sqlite3.Error as error:
        return str(as_ours(error, [folder]))
    return None if sound else str(catalog_damaged(_UNREADABLE))


_GONE, _UNREADABLE = "is gone", "cannot be read"


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


def _literal(value: Path | str) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def exists(folder: Path) -> bool:
    """Whether a warehouse was ever opened in ``folder``.

    Raises CatalogDamagedError where the catalog of one that was is gone.
    """
    if _is_gone(folder):
        raise catalog_damaged(_GONE)
    return (folder / CATALOG).exists()


def connect(
    folder: Path, *, read_only: bool = False, snapshot: int | None = None
) -> duckdb.DuckDBPyConnection:
    """A connection of its own to the warehouse in ``folder``, or to what it was at ``snapshot``."""
    connection = duckdb.connect(":memory:")
    attach(connection, folder, read_only=read_only, snapshot=snapshot)
    return connection


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates missing tables and adds columns that a table has gained, in one transaction."""
    statements = _lacking(connection)
    if statements:
        with transaction(connection):
            for statement in statements:
                connection.execute(statement)


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

    Raises WarehouseBusyError where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another night is writing to {folder}; try again when it has ended"
            raise WarehouseBusyError(msg) from None
        yield
