"""The tables of a warehouse: one for each feed, and the pipeline's own.

Belongs here: names and SQL types of all tables, creating what is missing. Does not belong here:
rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.eligibility.evaluation import RESULTS_SCHEMA
from ccgi_pipeline.feeds.columns import Column
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.warehouse.storage.retries import retry_conflicts

_SQL_TYPES: tuple[tuple[type[pl.DataType], str], ...] = (
    (pl.Date, "DATE"),
    (pl.Datetime, "TIMESTAMP"),
    (pl.Boolean, "BOOLEAN"),
    (pl.Int64, "BIGINT"),
    (pl.String, "VARCHAR"),
)


def _sql_of_dtype(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.List):
        return "VARCHAR[]"
    return next(sql for kind, sql in _SQL_TYPES if isinstance(dtype, kind))


ELIGIBILITY_SCHEMA: Mapping[str, pl.DataType] = {
    **dict.fromkeys(("_sender", "SSID", "average"), pl.String()),
    **{name: dtype for name, dtype in RESULTS_SCHEMA.items() if name != "student"},
}
"""A result with the student's district and number, and the average as it is shown."""

PIPELINE_TABLES: Mapping[str, Mapping[str, str]] = {
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
    "eligibility": {name: _sql_of_dtype(dtype) for name, dtype in ELIGIBILITY_SCHEMA.items()},
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

TRACKING_COLUMNS = {
    "_sender": "VARCHAR",
    "_drop": "VARCHAR",
    "_line": "BIGINT",
    "_active": "BOOLEAN",
    "_hash": "UBIGINT",
}
"""Columns that every feed's table has besides its own: who sent the record, which line of which
drop last changed it, whether the sender's newest full set has it, and a hash of its own columns."""


def quote_identifier(identifier: str) -> str:
    """``identifier`` as SQL spells it, whatever it holds."""
    return '"' + identifier.replace('"', '""') + '"'


def sql_type(column: Column) -> str:
    """The SQL type of a feed's column."""
    if isinstance(column.dtype, pl.Decimal):
        return f"DECIMAL({column.dtype.precision}, {column.dtype.scale})"
    return _sql_of_dtype(column.dtype)


def quote_literal(value: Path | str) -> str:
    """``value`` as SQL spells a text."""
    return "'" + str(value).replace("'", "''") + "'"


def create_missing_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates missing tables and adds columns that a table has gained, in one transaction."""

    def once() -> None:
        statements = missing_table_statements(connection)
        if statements:
            with transaction(connection):
                for statement in statements:
                    connection.execute(statement)

    retry_conflicts(once)


def missing_table_statements(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """What it takes to bring the tables up to date."""
    present = columns_by_table(connection, "lake")
    statements = []
    for table, typed in all_tables().items():
        columns = {name: f"{quote_identifier(name)} {kind}" for name, kind in typed.items()}
        if table not in present:
            statements.append(f"CREATE TABLE {table} ({', '.join(columns.values())})")
            continue
        statements += [
            f"ALTER TABLE {table} ADD COLUMN {column}"
            for name, column in columns.items()
            if name not in present[table]
        ]
    return statements


def all_tables() -> dict[str, Mapping[str, str]]:
    """All tables as they are today: names and SQL types of their columns."""
    return {**PIPELINE_TABLES, **{feed.name: feed_table_columns(feed) for feed in FEEDS}}


def columns_by_table(connection: duckdb.DuckDBPyConnection, catalog: str) -> dict[str, set[str]]:
    """The tables that there are, with the names of their columns."""
    present: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = ?", [catalog]
    ).fetchall():
        present.setdefault(table, set()).add(column)
    return present


def feed_table_columns(feed: FeedSpec) -> dict[str, str]:
    """Names and SQL types of a feed's table: its own columns first."""
    own = {name: sql_type(column) for name, column in feed.columns.items()}
    return {**own, **TRACKING_COLUMNS}


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All or nothing: one DuckLake snapshot for everything inside."""
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    with failpoint("warehouse: committed"):
        connection.execute("COMMIT")
