"""Loading: accepted lines into their feeds' tables, all districts in one pass, one commit.

Belongs here: what becomes of each accepted line (its fate) and of records that a sender's newest
full set no longer has. Does not belong here: whether a line is acceptable (verification).

A load takes at most one drop of each sender, so that several drops of one sender are what they
make one after the other.
"""

from __future__ import annotations

import duckdb
import polars as pl

from ccgi_pipeline.feeds.spec import FeedSpec, Lifecycle, Severity
from ccgi_pipeline.verification.verifying import Verification
from ccgi_pipeline.warehouse.lake import TRACKING, quoted


def load_feed(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec, verification: Verification
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Upserts the feed's accepted lines; to be called inside a transaction.

    Returns the fates (``_file``, ``fate``, ``lines``) and, per file that ended records, how many
    (``_file``, ``no_longer_active``).
    """
    lines = verification.accepted[feed.name]
    files = _files(feed, verification)
    connection.register("received_lines", lines.to_arrow())
    connection.register("received_as", files.to_arrow())
    ended = pl.DataFrame(schema={"_file": pl.UInt32, "no_longer_active": pl.Int64})
    try:
        repeats = _may_repeat(feed, lines, files, verification)
        known = _is_known(connection, feed)
        if not known and not repeats:
            # Nothing to compare with: the first load of a state need not be sorted or joined.
            fates = _insert_all(connection, feed, lines)
        else:
            _stage(connection, feed, repeats=repeats)
            _decide(connection, feed)
            fates = connection.sql(
                "SELECT _file, fate, sum(_span)::BIGINT AS lines FROM decided "
                "GROUP BY ALL ORDER BY ALL"
            ).pl()
            _write_changes(connection, feed)
            if feed.lifecycle is Lifecycle.SNAPSHOT:
                ended = _end_missing(connection, feed, verification.kept_keys[feed.name])
    finally:
        for table in ("staged", "decided"):
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
        connection.unregister("received_lines")
        connection.unregister("received_as")
    return fates, ended


def _files(feed: FeedSpec, verification: Verification) -> pl.DataFrame:
    """The feed's files with their drops; ``full_set``: together they are all that the sender has.

    Raises ValueError where a sender has more than one drop.
    """
    files = verification.files.filter(pl.col("feed") == feed.name)
    if files.group_by("_sender").agg(pl.col("drop").n_unique())["drop"].max() not in {None, 1}:
        msg = "a load takes at most one drop of each sender"
        raise ValueError(msg)
    full = pl.lit(feed.lifecycle is Lifecycle.SNAPSHOT) & pl.col("complete").all().over("_sender")
    return files.select("_file", "_sender", pl.col("drop").alias("_drop"), full.alias("full_set"))


def _may_repeat(
    feed: FeedSpec, lines: pl.DataFrame, files: pl.DataFrame, verification: Verification
) -> bool:
    """Whether two lines may have one key; ranking all lines is dear, and seldom needed."""
    found = (verification.findings["rule"] == feed.repeated_key_id).any()
    within_a_file = feed.repeated_key is not Severity.ERROR and found
    senders = files.filter(pl.col("_file").is_in(lines["_file"].unique().implode()))["_sender"]
    return within_a_file or bool(senders.is_duplicated().any())


def _same_key(feed: FeedSpec, left: str, right: str) -> str:
    same = (f"{left}.{quoted(k)} IS NOT DISTINCT FROM {right}.{quoted(k)}" for k in feed.keys)
    return " AND ".join([f"{left}._sender = {right}._sender", *same])


def _record(feed: FeedSpec) -> str:
    """The columns of a record made of a received line, in the order of ``_columns``."""
    own = ", ".join(f"line.{quoted(name)}" for name in feed.columns)
    return (
        f"{own}, line._sender, received_as._drop, line._line, true AS _active, hash({own}) AS _hash"
    )


def _columns(feed: FeedSpec) -> list[str]:
    return [*(quoted(name) for name in feed.columns), *TRACKING]


_RECEIVED = "received_lines AS line JOIN received_as USING (_file, _sender)"


def _is_known(connection: duckdb.DuckDBPyConnection, feed: FeedSpec) -> bool:
    """Whether the table has records of any of these senders."""
    return (
        connection.execute(
            f"SELECT 1 FROM {feed.name} SEMI JOIN received_as USING (_sender) LIMIT 1"
        ).fetchone()
        is not None
    )


def _insert_all(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec, lines: pl.DataFrame
) -> pl.DataFrame:
    connection.execute(
        f"INSERT INTO {feed.name} ({', '.join(_columns(feed))}) "
        f"SELECT {_record(feed)} FROM {_RECEIVED}"
    )
    return (
        lines.group_by("_file")
        .agg(pl.lit("inserted").alias("fate"), pl.col("_span").sum().alias("lines"))
        .sort("_file")
    )


def _stage(connection: duckdb.DuckDBPyConnection, feed: FeedSpec, *, repeats: bool) -> None:
    """Key, place, hash and rank of each line (rank 1 is the line that stands), in ``staged``."""
    keys = ", ".join(quoted(key) for key in feed.keys)
    own = ", ".join(quoted(name) for name in feed.columns)
    rank = (
        f"row_number() OVER (PARTITION BY _sender, {keys} ORDER BY _file DESC, _line DESC)"
        if repeats
        else "1"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE staged AS
        SELECT _sender, {keys}, _file, _line, _span,
               hash({own}) AS _hash, {rank} AS _rank
        FROM {_RECEIVED}
        """
    )


def _decide(connection: duckdb.DuckDBPyConnection, feed: FeedSpec) -> None:
    """The fate of each staged line, in ``decided``."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE decided AS
        SELECT line._file, line._line, line._span,
               CASE WHEN line._rank > 1 THEN 'superseded'
                    WHEN record._hash IS NULL THEN 'inserted'
                    WHEN record._hash <> line._hash OR NOT record._active THEN 'updated'
                    ELSE 'unchanged' END AS fate
        FROM staged AS line
        LEFT JOIN {feed.name} AS record ON {_same_key(feed, "line", "record")}
        """
    )


def _write_changes(connection: duckdb.DuckDBPyConnection, feed: FeedSpec) -> None:
    columns = _columns(feed)
    assignments = ", ".join(f"{name} = line.{name}" for name in columns if name != "_sender")
    connection.execute(
        f"""
        MERGE INTO {feed.name} AS record
        USING (
            SELECT {_record(feed)} FROM {_RECEIVED}
            SEMI JOIN (
                SELECT * FROM decided WHERE fate IN ('inserted', 'updated')
            ) AS changed ON changed._file = line._file AND changed._line = line._line
        ) AS line ON {_same_key(feed, "line", "record")}
        WHEN MATCHED THEN UPDATE SET {assignments}
        WHEN NOT MATCHED THEN
            INSERT ({", ".join(columns)}) VALUES ({", ".join(f"line.{name}" for name in columns)})
        """
    )


def _end_missing(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec, kept_keys: pl.DataFrame
) -> pl.DataFrame:
    """Ends the records that their sender's full set does not have.

    A rejected line that names a record is no reason to end it: the last good record stays.
    """
    connection.register("kept_keys", kept_keys.to_arrow())
    try:
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE ended AS
            SELECT record._sender, {", ".join(f"record.{quoted(key)}" for key in feed.keys)}
            FROM {feed.name} AS record
            SEMI JOIN (SELECT _sender FROM received_as WHERE full_set) AS sender USING (_sender)
            ANTI JOIN staged AS line ON {_same_key(feed, "line", "record")}
            ANTI JOIN kept_keys AS line ON {_same_key(feed, "line", "record")}
            WHERE record._active
            """
        )
        counted = connection.sql(
            """
            SELECT max(received_as._file)::UINTEGER AS _file,
                   any_value(left_behind.records) AS no_longer_active
            FROM (SELECT _sender, count(*) AS records FROM ended GROUP BY ALL) AS left_behind
            JOIN received_as USING (_sender) GROUP BY _sender ORDER BY ALL
            """
        ).pl()
        if not counted.is_empty():
            connection.execute(
                f"""
                MERGE INTO {feed.name} AS record
                USING ended AS line ON {_same_key(feed, "line", "record")}
                WHEN MATCHED THEN UPDATE SET _active = false
                """
            )
    finally:
        connection.unregister("kept_keys")
        connection.execute("DROP TABLE IF EXISTS temp.ended")
    return counted
