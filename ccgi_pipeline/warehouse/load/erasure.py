"""Purging the warehouse: which rows go, taking them out, and leaving no former state behind.

Belongs here: what of each table is a district's, or is past its retention; the values by which one
can see that it is gone. Does not belong here: files beside the warehouse (the archive, the outbox).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.encryption.keys import load_keys
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.registry import DISTRICT_FAMILIES, FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FeedSpec, KeptWhile, Lifecycle
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.load.roster_guard import DISCARDED
from ccgi_pipeline.warehouse.storage import postgres
from ccgi_pipeline.warehouse.storage.connection import attach_warehouse
from ccgi_pipeline.warehouse.storage.location import CATALOG, ENCRYPTED_CATALOG, locate_warehouse
from ccgi_pipeline.warehouse.storage.schema import quote_identifier, quote_literal, transaction

ROSTER = "transcript_student"


@dataclass(frozen=True, slots=True)
class PurgeSelection:
    """What is to go: all of ``district`` (a CD code), or what is older than ``before``.

    Just one of the two is given. Older is a drop whose night was before that day; of
    the records that it changed last, those go which nothing keeps (``FeedSpec.kept_while``).
    """

    district: str | None = None
    before: date | None = None

    def __str__(self) -> str:
        return f"district {self.district}" if self.district else f"before {self.before}"


@contextmanager
def mark_rows_to_purge(
    connection: duckdb.DuckDBPyConnection, wish: PurgeSelection
) -> Iterator[None]:
    """Notes for the time inside which drops (``purged_drops``) and students are to go.

    ``purged_students`` are students whom nobody else's roster has.
    """
    values = {"district": wish.district, "before": wish.before}
    if wish.district:
        drops = "sender = $district AND $before IS NULL"
    else:
        # A drop that waits for an answer is still needed, however old it is.
        drops = (
            f"night < $before AND $district IS NULL AND (verdict <> '{Verdict.HELD}' OR drop_id IN "
            f"(SELECT drop_id FROM hold_answers WHERE answer = '{DISCARDED}'))"
        )
    connection.execute(
        f"CREATE TEMP TABLE purged_drops AS SELECT drop_id FROM drops WHERE {drops}", values
    )
    sent = " UNION ".join(
        f"SELECT {quote_identifier(feed.ssid)} FROM {feed.name} WHERE {_theirs(feed)}"
        for feed in FEEDS
        if feed.district is not None and feed.ssid is not None
    )
    connection.execute(
        f"""
        CREATE TEMP TABLE purged_students AS
        SELECT DISTINCT "StateID" AS "SSID"
        FROM (SELECT "StateID" FROM {ROSTER} WHERE _sender = $district UNION {sent})
        WHERE "StateID" IS NOT NULL AND "StateID" NOT IN (
            SELECT "StateID" FROM {ROSTER} WHERE _sender <> $district)
        """,
        {"district": wish.district},
    )
    try:
        yield
    finally:
        connection.execute("DROP TABLE purged_drops")
        connection.execute("DROP TABLE purged_students")


def _theirs(feed: FeedSpec) -> str:
    """Rows of the district: its own, and a county office's about its students."""
    if feed.district is not None:
        return f"(_sender = $district OR {quote_identifier(feed.district)} = $district)"
    return "_sender = $district"


def build_conditions(wish: PurgeSelection) -> dict[str, str]:
    """Of each table the rows that go, in SQL over its columns and what ``condemned`` notes."""
    feeds = {feed.name: _of_feed(feed, wish) for feed in FEEDS}
    by_drop = "drop_id IN (FROM purged_drops)"
    told = dict.fromkeys(
        ("findings", "duplicates", "held_for", "hold_answers", "replays", "drop_files"), by_drop
    )
    if wish.before:
        return {
            **feeds,
            **told,
            "unmatched": by_drop,
            # What still lies on a server would come as a duplicate if it were forgotten.
            "received_files": f"(stamp = '' OR NOT contains(path, ':')) AND {by_drop}",
            "application_ssids": f"app_id NOT IN (SELECT app_id FROM {APPLICATIONS.name} "
            f"WHERE NOT ({feeds[APPLICATIONS.name]}))",
        }
    of_county = '(_sender = $district OR "SystemID" = $district)'
    return {
        **feeds,
        **told,
        **dict.fromkeys(("drops", "files", "ledger", "receipts", "received_files"), by_drop),
        **dict.fromkeys(("child_links", "unmatched"), of_county),
        **dict.fromkeys(
            ("foster_lookups", "school_codes", "eligibility", "evaluated"), "_sender = $district"
        ),
    }


def _of_feed(feed: FeedSpec, wish: PurgeSelection) -> str:
    return _of_district(feed) if wish.district else _past_retention(feed)


def _of_district(feed: FeedSpec) -> str:
    if feed.family in DISTRICT_FAMILIES:
        return _theirs(feed)
    if feed.kept_while is not None and feed.ssid is not None:
        return f"{quote_identifier(feed.ssid)} IN (FROM purged_students)"
    return "false"  # a register or an applicant's own word, which is no district's


def _past_retention(feed: FeedSpec) -> str:
    """Rows that an old drop changed last, unless something that the feed declares keeps them."""
    old = "_drop IN (FROM purged_drops)"
    if feed.kept_while is not None:
        return f"{old} AND (NOT {_is_kept(feed.name, feed.kept_while)} OR NOT _active)"
    if feed.lifecycle is Lifecycle.SNAPSHOT:
        return f"{old} AND NOT _active"
    return old


def _is_kept(table: str, kept: KeptWhile) -> str:
    """Whether the row of ``kept`` is there, in SQL over the columns of ``table``."""
    same = {**({"_sender": "_sender"} if kept.same_sender else {}), **kept.columns}
    conditions = [
        f"keeper.{quote_identifier(theirs)} = {table}.{quote_identifier(own)}"
        for own, theirs in same.items()
    ]
    if kept.table in FEEDS_BY_NAME:
        conditions.append("keeper._active")
    return f"EXISTS (FROM {kept.table} AS keeper WHERE {' AND '.join(conditions)})"


def count_rows(connection: duckdb.DuckDBPyConnection, wish: PurgeSelection) -> dict[str, int]:
    """How many rows of each table go; tables that keep all of theirs are left out."""
    found = {}
    for table, condition in build_conditions(wish).items():
        row = connection.execute(
            f"SELECT count(*) FROM {table} WHERE {condition}", _values(condition, wish)
        ).fetchone()
        if row and row[0]:
            found[table] = int(row[0])
    return found


def _values(condition: str, wish: PurgeSelection) -> Mapping[str, str | None]:
    return {"district": wish.district} if "$district" in condition else {}


def read_search_values(connection: duckdb.DuckDBPyConnection, wish: PurgeSelection) -> pl.Series:
    """Values that only rows have that go: identifiers, addresses, numbers of eight letters or more.

    Each stands for its student in the search that proves the purge. Names and dates are no
    witnesses: others have the same.
    """
    going, staying = [], []
    for feed in FEEDS:
        texts = ", ".join(
            quote_identifier(name)
            for name, column in feed.columns.items()
            if column.pii and column.dtype == pl.String()
        )
        if texts:
            values = f"SELECT unnest([{texts}]) FROM {feed.name} WHERE"
            condition = _of_feed(feed, wish)
            going.append(f"{values} {condition}")
            staying.append(f"{values} ({condition}) IS NOT true")
    staying.append('SELECT "SSID" FROM application_ssids')
    return connection.execute(
        f"""
        WITH going(value) AS ({" UNION ".join(going)}),
            staying(value) AS ({" UNION ".join(staying)})
        SELECT value FROM going WHERE length(value) >= 8 AND regexp_matches(value, '[0-9@]')
            AND value NOT IN (SELECT value FROM staying WHERE value IS NOT NULL)
        ORDER BY value
        """,
        {"district": wish.district} if wish.district else {},
    ).pl()["value"]


def read_archived_files(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """The SHA-256 of received files that only drops have that go."""
    rows = connection.execute(
        """
        WITH known AS (SELECT drop_id, sha256 FROM drop_files
                       UNION SELECT drop_id, sha256 FROM received_files)
        SELECT sha256 FROM known GROUP BY sha256
        HAVING bool_and(drop_id IN (FROM purged_drops))
        """
    ).fetchall()
    return {sha256 for (sha256,) in rows}


def delete_rows(connection: duckdb.DuckDBPyConnection, wish: PurgeSelection) -> None:
    """Takes the rows out, all in one transaction. Names of old files go, their counts stay."""
    with transaction(connection):
        # What conditions look at in other tables is active, or held, and so never goes before them.
        for table, condition in build_conditions(wish).items():
            connection.execute(f"DELETE FROM {table} WHERE {condition}", _values(condition, wish))
        if wish.before:
            connection.execute(
                "UPDATE files SET path = '' WHERE path <> '' AND drop_id IN (FROM purged_drops)"
            )


def delete_history(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Leaves the newest state alone: no former snapshot, no file of one, no statistics of one.

    Returns how many snapshots went. What was made of them can be made again no more.
    """
    before = _snapshots(connection)
    for statement in (
        "SET threads = 1",  # DuckLake's bookkeeping of tables that it rewrites at once has no lock
        "CALL ducklake_rewrite_data_files('lake', delete_threshold => 0)",
        "CALL ducklake_expire_snapshots('lake', older_than => now() + INTERVAL 1 DAY)",
        "CALL ducklake_cleanup_old_files('lake', cleanup_all => true)",
        "CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)",
        "RESET threads",
    ):
        connection.execute(statement).fetchall()
    after = _snapshots(connection)
    server = locate_warehouse(folder).server
    encrypted = server is None and (folder / ENCRYPTED_CATALOG).exists()
    if encrypted:
        connection.execute(_STATISTICS.format(catalog="__ducklake_metadata_lake.", sorted=""))
    connection.execute("USE memory")
    connection.execute("DETACH lake")
    if server is not None:
        # PostgreSQL sorts text as a language does, unless told otherwise.
        postgres.rewrite_catalog(server, _STATISTICS.format(catalog="", sorted=' COLLATE "C"'))
    elif not encrypted:
        with closing(sqlite3.connect(folder / CATALOG)) as catalog:
            catalog.execute(_STATISTICS.format(catalog="", sorted=""))
            catalog.commit()
            catalog.execute("VACUUM")  # what was deleted stands in its free pages until then
    attach_warehouse(connection, folder)
    return before - after


_STATISTICS = """
    UPDATE {catalog}ducklake_table_column_stats AS of_table
    SET min_value = (SELECT min(min_value{sorted})
                     FROM {catalog}ducklake_file_column_stats AS of_file
                     WHERE of_file.table_id = of_table.table_id
                         AND of_file.column_id = of_table.column_id),
        max_value = (SELECT max(max_value{sorted})
                     FROM {catalog}ducklake_file_column_stats AS of_file
                     WHERE of_file.table_id = of_table.table_id
                         AND of_file.column_id = of_table.column_id)
    WHERE EXISTS (SELECT 1 FROM {catalog}ducklake_column AS declared
                  WHERE declared.table_id = of_table.table_id
                      AND declared.column_id = of_table.column_id
                      AND declared.column_type IN ('varchar', 'date'))
"""
"""A table's least and greatest value stay in the catalog after their rows are gone: they are taken
anew from the files that there are. Numbers are left out: they sort otherwise than their text."""


def _snapshots(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("SELECT count(*) FROM ducklake_snapshots('lake')").fetchone()
    return int(row[0]) if row else 0


def read_outside_folder(
    connection: duckdb.DuckDBPyConnection, folder: Path
) -> Iterator[tuple[Path, bytes]]:
    """What the warehouse has outside its folder: the catalog's tables and the tables' files.

    Encrypted files are left out: they are searched by their rows.
    """
    where = locate_warehouse(folder)
    if where.server is None:
        return
    for table, rows in postgres.read_catalog_tables(where.server):
        yield Path("catalog in PostgreSQL", table), rows
    if Path(where.tables).is_relative_to(where.folder) or load_keys(folder) is not None:
        return
    pattern = quote_literal(f"{where.tables}/**/*.parquet")
    files = connection.execute(f"SELECT file FROM glob({pattern})").fetchall()
    for (file,) in files:
        row = connection.execute(f"SELECT content FROM read_blob({quote_literal(file)})").fetchone()
        if row is not None:
            yield Path("tables elsewhere", file.removeprefix(f"{where.tables}/")), row[0]


def count_values_in_tables(
    connection: duckdb.DuckDBPyConnection, sought: pl.Series
) -> dict[str, int]:
    """How many rows of each table hold one of the values ``sought``, in any column of text."""
    connection.register("sought", sought.alias("value").to_frame().to_arrow())
    found: dict[str, int] = {}
    try:
        for table, columns in connection.execute(
            "SELECT table_name, list(column_name) FROM duckdb_columns() "
            "WHERE database_name = 'lake' AND data_type = 'VARCHAR' GROUP BY 1 ORDER BY 1"
        ).fetchall():
            holds = " OR ".join(
                f"{quote_identifier(column)} IN (FROM sought)" for column in columns
            )
            row = connection.execute(
                f"SELECT count(*) FROM {quote_identifier(table)} WHERE {holds}"
            ).fetchone()
            if row and row[0]:
                found[table] = int(row[0])
    finally:
        connection.unregister("sought")
    return found
