"""The tables of a warehouse: one for each feed, and the pipeline's own.

Belongs here: names and SQL types of all tables, creating what is missing, transactions, quoting.
Does not belong here: rows (load, queries).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import duckdb
import polars as pl

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.eligibility.evaluation import RESULTS_SCHEMA
from ccgi_pipeline.feeds.columns import Column
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec


def quote_identifier(identifier: str) -> str:
    """Returns ``identifier`` quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def quote_literal(value: Path | str) -> str:
    """Returns ``value`` as a text literal of SQL."""
    return "'" + str(value).replace("'", "''") + "'"


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
"""Columns of an eligibility result: the student's district and number, and the shown average."""

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
        "kept": "BIGINT",
        "kept_since": "DATE",
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
        **dict.fromkeys(("column", "detail", "severity", "cause"), "VARCHAR"),
    },
    "causes": {
        "drop_id": "VARCHAR",
        "file_number": "INTEGER",
        **dict.fromkeys(("cause", "evidence"), "VARCHAR"),
    },
    "duplicates": {"drop_id": "VARCHAR", "path": "VARCHAR", "night": "DATE"},
    "receipts": {"drop_id": "VARCHAR", "night": "DATE"},
    "held_for": {
        **dict.fromkeys(("drop_id", "feed", "school"), "VARCHAR"),
        **dict.fromkeys(("would_end", "would_add", "active"), "BIGINT"),
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
    "outbox_folders": {
        **dict.fromkeys(("cd", "folder"), "VARCHAR"),
        "current": "BOOLEAN",
        "since": "DATE",
    },
    "shared_ssids": {**dict.fromkeys(("_sender", "SSID"), "VARCHAR"), "place": "BIGINT"},
    "claims": {
        **dict.fromkeys(("claim", "SSID", "_sender"), "VARCHAR"),
        "sees": "BOOLEAN",
        "basis": "VARCHAR",
        "since": "DATE",
    },
    "claim_decisions": {
        **dict.fromkeys(("SSID", "_sender"), "VARCHAR"),
        "sees": "BOOLEAN",
        **dict.fromkeys(("decided_by", "reason"), "VARCHAR"),
        "decided_on": "DATE",
    },
    "evaluated": dict.fromkeys(("_sender", "state"), "VARCHAR"),
    "roster_sizes": {"_sender": "VARCHAR", "night": "DATE", "students": "BIGINT"},
}
"""The pipeline's own tables, that is, all that no feed declares, with their columns."""

PIPELINE_TABLE_COMMENTS: Mapping[str, str] = {
    "drops": "Every loaded drop. `position` is the order of loading; `correction` marks a drop "
    "that holds only some of the sender's lines.",
    "received_files": "Which bytes were found under which path.",
    "drop_files": "The files that each drop consists of, in their order.",
    "files": "The files of each drop.",
    "ledger": "The lines of each file by what became of them (fate).",
    "findings": "The rules that lines and files broke.",
    "causes": "What probably happened to a file, which explains findings.",
    "duplicates": "Drops that came again with the same content.",
    "receipts": "Drops whose sender has a receipt.",
    "held_for": "The records that a held drop would end or add.",
    "hold_answers": "Operators' decisions on held drops.",
    "replays": "Replayed drops, with lines by feed and fate before and after. `last_drop` is the "
    "highest position at that time.",
    "child_links": "The students of each sender's newest Foster Focus drop, with the child they "
    "are linked to.",
    "unmatched": "The students of each sender's newest Foster Focus drop without a child, with the "
    "reason.",
    "foster_lookups": "The meaning of a district's own codes.",
    "school_codes": "The schools of OneRoster sets with their CDS codes.",
    "application_ssids": "The SSID look-up's answer to each application (its SSID is restricted).",
    "eligibility": "The newest result by student and system (CSU, UC). Years are in sixtieths.",
    "outbox_folders": "The folder of each sender in the outbox; former ones are not `current`.",
    "shared_ssids": "SSIDs that several districts list, and in which order they began to.",
    "claims": "Listings of SSIDs whose identities differ. Only those that see get reports about "
    "the student.",
    "claim_decisions": "Operators' decisions on claims.",
    "evaluated": "The state of records and rules that a district's results were computed from.",
    "roster_sizes": "The students of a district's roster, from the night on in which that changed.",
}
"""What the rows of each of the pipeline's own tables are."""

INTERNAL = "internal"
"""The schema of most of the pipeline's own tables. Those of the feeds, and views for analysts, are
in ``main``, which is what a reader of the warehouse sees first."""

_METADATA = "__ducklake_metadata_lake"
"""The catalog of DuckLake's own tables."""
_FOR_READERS = frozenset({"child_links"})
"""The pipeline's own tables that stay in ``main``: whoever reads the feeds needs them too."""

TRACKING_COLUMNS = {
    "_sender": "VARCHAR",
    "_drop": "VARCHAR",
    "_line": "BIGINT",
    "_active": "BOOLEAN",
    "_hash": "UBIGINT",
}
"""Columns that every feed's table has besides its own: the sender of the record, the drop and line
that last changed it, whether the sender's newest full set has it, a hash of the feed's columns."""


def sql_type(column: Column) -> str:
    """Returns the SQL type of a feed's column."""
    if isinstance(column.dtype, pl.Decimal):
        return f"DECIMAL({column.dtype.precision}, {column.dtype.scale})"
    return _sql_of_dtype(column.dtype)


def feed_table_columns(feed: FeedSpec) -> dict[str, str]:
    """Returns names and SQL types of a feed's table: the feed's own columns come first."""
    own = {name: sql_type(column) for name, column in feed.columns.items()}
    return {**own, **TRACKING_COLUMNS}


def all_tables() -> dict[str, Mapping[str, str]]:
    """Returns all tables of this version: names and SQL types of their columns."""
    return {**PIPELINE_TABLES, **{feed.name: feed_table_columns(feed) for feed in FEEDS}}


def qualify_table(table: str) -> str:
    """Returns a table's name with its schema, as views need it: ``internal.claims``."""
    internal = table in PIPELINE_TABLES and table not in _FOR_READERS
    return f"{INTERNAL if internal else 'main'}.{table}"


def set_search_path(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the warehouse the default catalog, so that queries find both schemas' tables."""
    found = connection.execute(
        "SELECT 1 FROM duckdb_schemas() WHERE database_name = 'lake' AND schema_name = ?",
        [INTERNAL],
    ).fetchone()
    path = f"lake.main,lake.{INTERNAL}" if found else "lake.main"
    connection.execute(f"SET search_path = '{path}'")


def create_missing_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates missing tables and adds missing columns, in one transaction."""
    statements = missing_table_statements(connection)
    if statements:
        with transaction(connection):
            for statement in statements:
                connection.execute(statement)
        set_search_path(connection)


def missing_table_statements(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Returns the SQL statements that bring the tables up to date."""
    present = read_tables(connection, "lake")
    statements = []
    if INTERNAL not in {table.schema for table in present.values()}:
        statements.append(f"CREATE SCHEMA IF NOT EXISTS {INTERNAL}")
    moving = [
        table
        for table in PIPELINE_TABLES
        if table not in _FOR_READERS and table in present and present[table].schema == "main"
    ]
    if moving:
        # A warehouse of an older version: its views name the tables at their former place, and
        # are made again when they are missing.
        statements += [f"DROP VIEW {view}" for view in _list_views(connection)]
        for table in moving:
            statements.append(f"CREATE TABLE {qualify_table(table)} AS FROM main.{table}")
            statements.append(f"DROP TABLE main.{table}")
    for table, typed in all_tables().items():
        columns = {name: f"{quote_identifier(name)} {kind}" for name, kind in typed.items()}
        if table not in present:
            statements.append(
                f"CREATE TABLE {qualify_table(table)} ({', '.join(columns.values())})"
            )
            continue
        statements += [
            f"ALTER TABLE {qualify_table(table)} ADD COLUMN {column}"
            for name, column in columns.items()
            if name not in present[table].columns
        ]
    return statements


def _list_views(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = 'lake'"
    ).fetchall()
    return [f"{schema}.{quote_identifier(view)}" for schema, view in rows]


def table_exists(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Returns whether the warehouse has a table of the pipeline; one of an older version may not.

    It takes a twentieth of the time of ``read_tables``.
    """
    try:
        connection.execute(f"FROM lake.{qualify_table(table)} LIMIT 0")
    except duckdb.CatalogException:
        return False
    return True


def read_table_versions(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Returns for each table of the lake a text that is another one whenever its rows are.

    It names the files that hold the rows; also housekeeping changes it. Nothing is returned where
    the lake's catalog is not at hand.
    """
    if not _has_own_catalog(connection):
        return {}
    files = " UNION ALL ".join(
        f"SELECT table_id, '{kind}' AS kind, {kind}_file_id AS id "
        f"FROM {_METADATA}.ducklake_{kind}_file WHERE end_snapshot IS NULL"
        for kind in ("data", "delete")
    )
    rows = connection.execute(
        f"""
        SELECT named.table_name, md5(string_agg(kind || id, ' ' ORDER BY kind, id))
        FROM ({files}) JOIN {_METADATA}.ducklake_table AS named USING (table_id)
        WHERE named.end_snapshot IS NULL GROUP BY ALL
        """
    ).fetchall()
    return dict(rows)


class ExistingTable(NamedTuple):
    """A table that a catalog has: its schema, and the names of its columns."""

    schema: str
    columns: set[str]


def read_tables(connection: duckdb.DuckDBPyConnection, catalog: str) -> dict[str, ExistingTable]:
    """Returns the existing tables of ``catalog`` by name."""
    present: dict[str, ExistingTable] = {}
    for schema, table, column in _list_columns(connection, catalog):
        present.setdefault(table, ExistingTable(schema, set())).columns.add(column)
    return present


def _list_columns(
    connection: duckdb.DuckDBPyConnection, catalog: str
) -> list[tuple[str, str, str]]:
    """Returns schema, table and name of each column.

    DuckLake's own tables are asked where they are at hand: ``duckdb_columns()`` prepares the query
    of every view, which takes longer than all else that opening a warehouse does.
    """
    if catalog == "lake" and _has_own_catalog(connection):
        query = f"""
            SELECT schema_name, table_name, column_name
            FROM {_METADATA}.ducklake_column AS declared
            JOIN {_METADATA}.ducklake_table AS of_table USING (table_id)
            JOIN {_METADATA}.ducklake_schema AS schema USING (schema_id)
            WHERE declared.end_snapshot IS NULL AND of_table.end_snapshot IS NULL
                AND schema.end_snapshot IS NULL AND parent_column IS NULL
        """
        return connection.execute(query).fetchall()
    return connection.execute(
        "SELECT schema_name, table_name, column_name FROM duckdb_columns() WHERE database_name = ?",
        [catalog],
    ).fetchall()


def _has_own_catalog(connection: duckdb.DuckDBPyConnection) -> bool:
    """Returns whether the lake is DuckLake's; its catalog is in no list of databases."""
    try:
        connection.execute(f"FROM {_METADATA}.ducklake_table LIMIT 0")
    except (duckdb.BinderException, duckdb.CatalogException):
        return False
    return True


def drop_temporary_tables(connection: duckdb.DuckDBPyConnection, *tables: str) -> None:
    """Drops those of these temporary tables that exist.

    Within a transaction that has failed it does nothing: its end drops them, and the error that
    made it fail must be the one that is told.
    """
    with suppress(duckdb.TransactionException):
        for table in tables:
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commits everything inside as one DuckLake snapshot, or nothing."""
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    with failpoint("warehouse: committed"):
        connection.execute("COMMIT")
