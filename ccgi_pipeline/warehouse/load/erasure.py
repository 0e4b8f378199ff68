"""The rows that a purge deletes: those of a district, or those that are too old.

Belongs here: which rows of each table go, deleting them, and the values that identify them. Does
not belong here: former states of the warehouse (storage.history), files (operations.purge_files).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.registry import DISTRICT_FAMILIES, FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FeedSpec, KeptWhile, Lifecycle
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.load.roster_guard import DISCARDED
from ccgi_pipeline.warehouse.storage.schema import (
    drop_temporary_tables,
    quote_identifier,
    transaction,
)

ROSTER = "transcript_student"


@dataclass(frozen=True, slots=True)
class PurgeSelection:
    """What is purged: all of ``district`` (a CD code), or all that is older than ``before``.

    Exactly one of the two is given. A drop is older if its night was before that day. Of the
    records that it changed last, those go that nothing keeps (``FeedSpec.kept_while``).
    """

    district: str | None = None
    before: date | None = None

    def __str__(self) -> str:
        return f"district {self.district}" if self.district else f"before {self.before}"


@contextmanager
def mark_rows_to_purge(
    connection: duckdb.DuckDBPyConnection, selection: PurgeSelection
) -> Iterator[None]:
    """Provides ``purged_drops`` and ``purged_students`` as temporary tables.

    The students are those of the district that are on no other district's roster.
    """
    values = {"district": selection.district, "before": selection.before}
    if selection.district:
        drops = "sender = $district AND $before IS NULL"
    else:
        # A held drop is needed until an operator discards it, however old it is.
        drops = (
            f"night < $before AND $district IS NULL AND (verdict <> '{Verdict.HELD}' OR drop_id IN "
            f"(SELECT drop_id FROM hold_answers WHERE answer = '{DISCARDED}'))"
        )
    connection.execute(
        f"CREATE TEMP TABLE purged_drops AS SELECT drop_id FROM drops WHERE {drops}", values
    )
    sent = " UNION ".join(
        f"SELECT {quote_identifier(feed.ssid)} FROM {feed.name} WHERE {_sent_by_district(feed)}"
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
        {"district": selection.district},
    )
    try:
        yield
    finally:
        drop_temporary_tables(connection, "purged_drops", "purged_students")


def _sent_by_district(feed: FeedSpec) -> str:
    """Returns SQL for the district's rows: its own, and a county office's about its students."""
    if feed.district is not None:
        return f"(_sender = $district OR {quote_identifier(feed.district)} = $district)"
    return "_sender = $district"


def build_conditions(selection: PurgeSelection) -> dict[str, str]:
    """Returns SQL for the rows that go, by table; ``mark_rows_to_purge`` must be active."""
    feeds = {feed.name: _feed_rows(feed, selection) for feed in FEEDS}
    listings = ("shared_ssids", "claims", "claim_decisions")
    by_drop = "drop_id IN (FROM purged_drops)"
    by_drop_tables = dict.fromkeys(
        (
            *("findings", "causes", "duplicates", "held_for", "hold_answers", "replays"),
            "drop_files",
        ),
        by_drop,
    )
    if selection.before:
        gone = f"""(_sender, "SSID") IN (
            SELECT (_sender, "StateID") FROM {ROSTER} WHERE {feeds[ROSTER]})"""
        return {
            **dict.fromkeys(listings, gone),  # first, because they look at rows that go
            **feeds,
            **by_drop_tables,
            "unmatched": by_drop,
            # A file that is still on a server would come again as new if it were forgotten.
            "received_files": f"(stamp = '' OR NOT contains(path, ':')) AND {by_drop}",
            "application_ssids": f"app_id NOT IN (SELECT app_id FROM {APPLICATIONS.name} "
            f"WHERE NOT ({feeds[APPLICATIONS.name]}))",
        }
    of_county = '(_sender = $district OR "SystemID" = $district)'
    return {
        **feeds,
        **by_drop_tables,
        **dict.fromkeys(("drops", "files", "ledger", "receipts", "received_files"), by_drop),
        **dict.fromkeys(("child_links", "unmatched"), of_county),
        "outbox_folders": "cd = $district",
        **dict.fromkeys(listings, '_sender = $district OR "SSID" IN (FROM purged_students)'),
        **dict.fromkeys(
            ("foster_lookups", "school_codes", "eligibility", "evaluated", "roster_sizes"),
            "_sender = $district",
        ),
    }


def _feed_rows(feed: FeedSpec, selection: PurgeSelection) -> str:
    return _rows_of_district(feed) if selection.district else _expired_rows(feed)


def _rows_of_district(feed: FeedSpec) -> str:
    if feed.family in DISTRICT_FAMILIES:
        return _sent_by_district(feed)
    if feed.kept_while is not None and feed.ssid is not None:
        return f"{quote_identifier(feed.ssid)} IN (FROM purged_students)"
    return "false"  # a register or an applicant's own word, which is no district's


def _expired_rows(feed: FeedSpec) -> str:
    """Returns SQL for the rows that an old drop changed last, unless the feed keeps them."""
    old = "_drop IN (FROM purged_drops)"
    if feed.kept_while is not None:
        return f"{old} AND (NOT {_is_kept(feed.name, feed.kept_while)} OR NOT _active)"
    if feed.lifecycle is Lifecycle.SNAPSHOT:
        return f"{old} AND NOT _active"
    return old


def _is_kept(table: str, kept: KeptWhile) -> str:
    """Returns SQL for whether the row of ``kept`` exists that keeps a row of ``table``."""
    same = {**({"_sender": "_sender"} if kept.same_sender else {}), **kept.columns}
    conditions = [
        f"keeper.{quote_identifier(theirs)} = {table}.{quote_identifier(own)}"
        for own, theirs in same.items()
    ]
    if kept.table in FEEDS_BY_NAME:
        conditions.append("keeper._active")
    return f"EXISTS (FROM {kept.table} AS keeper WHERE {' AND '.join(conditions)})"


def count_rows(connection: duckdb.DuckDBPyConnection, selection: PurgeSelection) -> dict[str, int]:
    """Returns how many rows of each table go; tables that lose none are left out."""
    found = {}
    for table, condition in build_conditions(selection).items():
        row = connection.execute(
            f"SELECT count(*) FROM {table} WHERE {condition}", _parameters(condition, selection)
        ).fetchone()
        if row and row[0]:
            found[table] = int(row[0])
    return found


def _parameters(condition: str, selection: PurgeSelection) -> Mapping[str, str | None]:
    return {"district": selection.district} if "$district" in condition else {}


def read_search_values(
    connection: duckdb.DuckDBPyConnection, selection: PurgeSelection
) -> pl.Series:
    """Returns values of eight characters or more that only the purged rows have.

    They are identifiers, addresses and numbers, and the proof of the purge searches for them. Names
    and dates are not used, because other students have the same.
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
            condition = _feed_rows(feed, selection)
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
        {"district": selection.district} if selection.district else {},
    ).pl()["value"]


def read_archived_files(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Returns the SHA-256 of archived files that only purged drops consist of."""
    rows = connection.execute(
        """
        WITH known AS (SELECT drop_id, sha256 FROM drop_files
                       UNION SELECT drop_id, sha256 FROM received_files)
        SELECT sha256 FROM known GROUP BY sha256
        HAVING bool_and(drop_id IN (FROM purged_drops))
        """
    ).fetchall()
    return {sha256 for (sha256,) in rows}


def delete_rows(connection: duckdb.DuckDBPyConnection, selection: PurgeSelection) -> None:
    """Deletes the rows in one transaction. The names of old files go too, their counts stay."""
    with transaction(connection):
        # Conditions on other tables look at active or held rows, which are not deleted before.
        for table, condition in build_conditions(selection).items():
            connection.execute(
                f"DELETE FROM {table} WHERE {condition}", _parameters(condition, selection)
            )
        if selection.before:
            connection.execute(
                "UPDATE files SET path = '' WHERE path <> '' AND drop_id IN (FROM purged_drops)"
            )
