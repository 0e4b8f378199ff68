"""The upsert of accepted lines into their feeds' tables, all districts in one pass, one commit.

Belongs here: the fate of each accepted line, and ending records that a sender's newest full set no
longer has. Does not belong here: whether a line is acceptable (verification).

A load takes at most one drop of each sender, so that several drops of one sender take effect one
after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.common.packed_frames import Rows, distinct, frames_of
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.feeds.spec import SENDER, FeedSpec, Lifecycle
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline.warehouse.load.kept_records import KEPT_SCHEMA, find_kept_records
from ccgi_pipeline.warehouse.storage.registered_rows import register_rows
from ccgi_pipeline.warehouse.storage.schema import (
    TRACKING_COLUMNS,
    drop_temporary_tables,
    quote_identifier,
)


@dataclass(frozen=True, slots=True)
class FeedLoad:
    """What a load did with the lines of one feed.

    ``fates``: ``_file``, ``fate``, ``lines``. ``ended``: how many records each file ended
    (``_file``, ``no_longer_active``). ``corrections``: new lines that may correct a record which
    is still active (``_file``, ``line``). ``kept``: missing records that stay active because a line
    could not be read (``KEPT_SCHEMA``).
    """

    fates: pl.DataFrame
    ended: pl.DataFrame
    corrections: pl.DataFrame
    kept: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Tells the load of an older drop that later drops of the sender had lines of the same feed.

    A record that they changed or repeated stays as it is. ``position``: the older drop's in the
    order of loading. ``named``: returns those of the given lines whose record a later drop names;
    the lines have ``_file``, ``_line``, the columns of the feed and ``_by_id`` (the kind of key).
    """

    position: int
    named: Callable[[FeedSpec, pl.DataFrame], pl.DataFrame]


MODIFIED = "dateLastModified"
"""The time of the last change, in feeds whose lines can say that a record is gone. Ending a record
that a full set no longer has sets it to the night."""

_NOTHING = FeedLoad(
    pl.DataFrame(schema={"_file": pl.UInt32, "fate": pl.String, "lines": pl.Int64}),
    pl.DataFrame(schema={"_file": pl.UInt32, "no_longer_active": pl.Int64}),
    pl.DataFrame(schema={"_file": pl.UInt32, "line": pl.Int64}),
    pl.DataFrame(schema=KEPT_SCHEMA),
)


def load_feed(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    verification: Verification,
    on: date,
    by_unique_id: frozenset[str] = frozenset(),
    overtaken: Overtaken | None = None,
) -> FeedLoad:
    """Upserts the feed's accepted lines as of the night ``on``; part of a transaction.

    ``by_unique_id``: senders whose records are identified by their unique ID, if the feed has one.
    """
    files = _select_files(feed, verification)
    senders = pl.col("_sender").is_in(sorted(by_unique_id) if feed.unique_id else [])
    loads = [
        _load_group(connection, feed, key, verification, files.filter(group), on, overtaken)
        for key, group in (
            (Key.of_columns(feed), ~senders),
            (Key.of_unique_id(feed), senders),
        )
        if not files.filter(group).is_empty()
    ]
    return FeedLoad(
        *(
            pl.concat([getattr(_NOTHING, part), *(getattr(load, part) for load in loads)])
            for part in ("fates", "ended", "corrections", "kept")
        )
    )


@dataclass(frozen=True, slots=True)
class Key:
    """What identifies a record of a sender, as SQL; ``{0}`` stands for the table's alias."""

    expressions: tuple[str, ...]
    near: tuple[str, ...] = ()
    by_id: bool = False

    @classmethod
    def of_columns(cls, feed: FeedSpec) -> Key:
        """Returns the key that consists of the feed's key columns."""
        return cls(
            tuple(f"{{0}}.{quote_identifier(name)}" for name in feed.keys),
            tuple(f"{{0}}.{quote_identifier(name)}" for name in feed.near_keys),
        )

    @classmethod
    def of_unique_id(cls, feed: FeedSpec) -> Key:
        """Returns the key that consists of the unique ID, or of the key columns if it is blank."""
        unique_id = f"{{0}}.{quote_identifier(feed.unique_id or '')}"
        return cls(
            (
                unique_id,
                *(
                    f"CASE WHEN {unique_id} IS NULL THEN {{0}}.{quote_identifier(name)} END"
                    for name in feed.keys
                ),
            ),
            by_id=True,
        )

    @property
    def names(self) -> list[str]:
        """The names of the key's columns in temporary tables."""
        return [f"_key{number}" for number in range(len(self.expressions))]

    def of(self, alias: str) -> list[str]:
        """Returns the key's expressions over a table."""
        return [expression.format(alias) for expression in self.expressions]

    def named(self, alias: str) -> str:
        """Returns the key of a table as a list of columns."""
        pairs = zip(self.of(alias), self.names, strict=True)
        return ", ".join(f"{expression} AS {name}" for expression, name in pairs)

    def same(self, keyed: str, table: str) -> str:
        """Returns the condition that a line of ``keyed`` and a record of ``table`` have one key."""
        pairs = zip(self.names, self.of(table), strict=True)
        same = (f"{keyed}.{name} IS NOT DISTINCT FROM {there}" for name, there in pairs)
        return " AND ".join([f"{keyed}._sender = {table}._sender", *same])


def _load_group(  # noqa: PLR0913, PLR0917 - the arguments of load_feed and the kind of key
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    key: Key,
    verification: Verification,
    files: pl.DataFrame,
    on: date,
    overtaken: Overtaken | None,
) -> FeedLoad:
    """Loads the lines of senders whose records have the same kind of key."""
    lines = verification.accepted[feed.name]
    with_lines = distinct(lines, ["_file"])["_file"].unique()
    if not with_lines.is_in(files["_file"].implode()).all():
        lines = lines.filter(pl.col("_file").is_in(files["_file"].implode()))
    ended, corrections, kept = _NOTHING.ended, _NOTHING.corrections, _NOTHING.kept
    repeats = _may_repeat(feed, lines, files, verification)
    known = has_records(connection, feed, files["_sender"])
    is_first = not known and not repeats
    register_rows(connection, "received_lines", lines, filtered=not is_first)
    connection.register("received_as", files.to_arrow())
    try:
        if is_first:
            # There is nothing to compare with: the first load of a state needs no sort and no join.
            fates = _insert_all(connection, feed, lines)
        else:
            if feed.unique_id is not None:
                _merge_records_of_one_key(connection, feed, key)
            _stage_lines(connection, feed, key, repeats=repeats)
            _decide_fates(connection, feed, key, overtaken)
            if overtaken is not None:
                _keep_repeated_records(connection, feed, key, lines, overtaken)
            fates = connection.sql(
                "SELECT _file, fate, sum(_span)::BIGINT AS lines FROM decided "
                "GROUP BY ALL ORDER BY ALL"
            ).pl()
            if key.near:
                corrections = _find_possible_corrections(connection, feed, key)
            _write_changes(connection, feed, key)
            if feed.lifecycle is Lifecycle.SNAPSHOT:
                kept = find_kept_records(
                    connection,
                    feed,
                    # A file that is no full set ends no record anyway.
                    verification.unread_in(feed, files.filter("full_set")["_file"]),
                    verification.named(feed.name, feed.keys),
                )
                kept_keys = pl.concat(
                    frame.select(SENDER, *feed.keys)
                    for frame in (verification.kept_keys[feed.name], kept)
                )
                ended = _end_missing(connection, feed, key, kept_keys, on)
    finally:
        drop_temporary_tables(connection, "staged", "decided")
        connection.unregister("received_lines")
        connection.unregister("received_as")
    return FeedLoad(
        fates.cast(_NOTHING.fates.schema),
        ended.cast(_NOTHING.ended.schema),
        corrections.cast(_NOTHING.corrections.schema),
        kept.select(*KEPT_SCHEMA),
    )


def _select_files(feed: FeedSpec, verification: Verification) -> pl.DataFrame:
    """Returns the feed's files with their drops; ``full_set``: they have all the sender's records.

    Raises ValueError if a sender has more than one drop.
    """
    files = verification.files.filter(pl.col("feed") == feed.name)
    if files.group_by("_sender").agg(pl.col("drop").n_unique())["drop"].max() not in {None, 1}:
        msg = "a load takes at most one drop of each sender"
        raise ValueError(msg)
    full = pl.lit(feed.lifecycle is Lifecycle.SNAPSHOT) & pl.col("complete").all().over("_sender")
    return files.select("_file", "_sender", pl.col("drop").alias("_drop"), full.alias("full_set"))


def _may_repeat(
    feed: FeedSpec, lines: Rows, files: pl.DataFrame, verification: Verification
) -> bool:
    """Returns whether two lines may have one key; ranking all lines is slow and seldom needed."""
    told_by = [feed.repeated_key_id, *filter(None, [feed.repeats_told_by])]
    found = verification.findings["rule"].is_in(told_by).any()
    within_a_file = feed.repeated_key is not Severity.ERROR and found
    with_lines = distinct(lines, ["_file"])["_file"].unique()
    senders = files.filter(pl.col("_file").is_in(with_lines.implode()))["_sender"]
    return within_a_file or bool(senders.is_duplicated().any())


def _record(feed: FeedSpec) -> str:
    """Returns SQL for the record that a received line becomes, in the order of ``_columns``."""
    own = ", ".join(f"line.{quote_identifier(name)}" for name in feed.columns)
    return (
        f"{own}, line._sender, received_as._drop, line._line, {_is_active(feed)} AS _active, "
        f"hash({own}) AS _hash"
    )


def _is_active(feed: FeedSpec) -> str:
    """Returns SQL for whether a line leaves its record active: not if it says that it is gone."""
    if feed.gone is None:
        return "true"
    column, value = feed.gone
    return f"line.{quote_identifier(column)} IS DISTINCT FROM '{value}'"


def _columns(feed: FeedSpec) -> list[str]:
    return [*(quote_identifier(name) for name in feed.columns), *TRACKING_COLUMNS]


_RECEIVED = "received_lines AS line JOIN received_as USING (_file, _sender)"


def has_records(connection: duckdb.DuckDBPyConnection, feed: FeedSpec, senders: pl.Series) -> bool:
    """Returns whether the feed's table has records of any of the senders."""
    # Senders are loaded in their order, so files of others are left out by their range.
    found = connection.execute(
        f"SELECT 1 FROM {feed.name} WHERE _sender BETWEEN $first AND $last "
        "AND _sender IN (SELECT unnest($senders)) LIMIT 1",
        {"first": senders.min(), "last": senders.max(), "senders": senders.unique().to_list()},
    )
    return found.fetchone() is not None


def _insert_all(connection: duckdb.DuckDBPyConnection, feed: FeedSpec, lines: Rows) -> pl.DataFrame:
    # An outer join filters no line.
    connection.execute(
        f"INSERT INTO {feed.name} ({', '.join(_columns(feed))}) SELECT {_record(feed)} "
        "FROM received_lines AS line LEFT JOIN received_as USING (_file, _sender)"
    )
    return (
        pl.concat(frames_of(lines, ["_file", "_span"]))
        .group_by("_file")
        .agg(pl.lit("inserted").alias("fate"), pl.col("_span").sum().alias("lines"))
        .sort("_file")
    )


def _merge_records_of_one_key(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec, key: Key
) -> None:
    """Keeps only the newest of several records that have the same key now.

    This is needed once, when a district's unique IDs are declared permanent, or no longer so.
    """
    connection.execute(
        f"""
        DELETE FROM {feed.name} WHERE rowid IN (
            SELECT record.rowid FROM {feed.name} AS record
            LEFT JOIN drops ON drops.drop_id = record._drop
            SEMI JOIN received_as ON received_as._sender = record._sender
            QUALIFY row_number() OVER (
                PARTITION BY record._sender, {", ".join(key.of("record"))}
                ORDER BY record._active DESC, drops.position DESC NULLS FIRST, record._line DESC
            ) > 1
        )
        """
    )


def _stage_lines(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec, key: Key, *, repeats: bool
) -> None:
    """Stores key, place, hash and rank of each line in ``staged``; the line of rank 1 counts."""
    own = ", ".join(quote_identifier(name) for name in feed.columns)
    rank = (
        f"row_number() OVER (PARTITION BY _sender, {', '.join(key.of('line'))} "
        "ORDER BY _file DESC, _line DESC)"
        if repeats
        else "1"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE staged AS
        SELECT _sender, {key.named("line")}, _file, _line, _span,
               hash({own}) AS _hash, {_is_active(feed)} AS _active, {rank} AS _rank
        FROM {_RECEIVED}
        """
    )


def _decide_fates(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec, key: Key, overtaken: Overtaken | None
) -> None:
    """Stores the fate of each staged line in ``decided``."""
    changed_since, changes = "false", ""
    if overtaken is not None:
        changed_since = f"changed.position > {overtaken.position}"
        changes = "LEFT JOIN drops AS changed ON changed.drop_id = record._drop"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE decided AS
        SELECT line._file, line._line, line._span,
               CASE WHEN line._rank > 1 THEN 'superseded'
                    WHEN record._hash IS NULL THEN 'inserted'
                    WHEN record._hash = line._hash AND record._active = line._active
                        THEN 'unchanged'
                    WHEN {changed_since} THEN 'superseded'
                    ELSE 'updated' END AS fate
        FROM staged AS line
        LEFT JOIN {feed.name} AS record ON {key.same("line", "record")}
        {changes}
        """
    )


def _keep_repeated_records(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    key: Key,
    lines: Rows,
    overtaken: Overtaken,
) -> None:
    """Leaves records alone that a later drop repeated unchanged, which the record does not show."""
    updated = connection.sql("SELECT _file, _line FROM decided WHERE fate = 'updated'").pl()
    if updated.is_empty():
        return
    place = ["_file", "_line"]
    updated = updated.cast({name: lines.schema[name] for name in place})
    again = pl.concat(frame.join(updated, on=place, how="semi") for frame in frames_of(lines))
    named = overtaken.named(feed, again.with_columns(_by_id=key.by_id))
    connection.register("named_later", named.select(place).to_arrow())
    connection.execute(
        "UPDATE decided SET fate = 'superseded' WHERE (_file, _line) IN (FROM named_later)"
    )
    connection.unregister("named_later")


def _find_possible_corrections(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec, key: Key
) -> pl.DataFrame:
    """Returns new lines that resemble a known record which is no longer sent: its correction?"""
    near = " AND ".join(f"{name.format('line')} = {name.format('record')}" for name in key.near)
    return connection.sql(
        f"""
        SELECT DISTINCT line._file, line._line AS line
        FROM received_lines AS line
        SEMI JOIN (SELECT * FROM decided WHERE fate = 'inserted') AS fresh
            ON fresh._file = line._file AND fresh._line = line._line
        JOIN {feed.name} AS record ON record._sender = line._sender AND {near} AND record._active
        WHERE NOT EXISTS (SELECT 1 FROM staged WHERE {key.same("staged", "record")})
        ORDER BY ALL
        """
    ).pl()


def _write_changes(connection: duckdb.DuckDBPyConnection, feed: FeedSpec, key: Key) -> None:
    columns = _columns(feed)
    assignments = ", ".join(f"{name} = line.{name}" for name in columns if name != "_sender")
    connection.execute(
        f"""
        MERGE INTO {feed.name} AS record
        USING (
            SELECT {_record(feed)}, {key.named("line")} FROM {_RECEIVED}
            SEMI JOIN (
                SELECT * FROM decided WHERE fate IN ('inserted', 'updated')
            ) AS changed ON changed._file = line._file AND changed._line = line._line
        ) AS line ON {key.same("line", "record")}
        WHEN MATCHED THEN UPDATE SET {assignments}
        WHEN NOT MATCHED THEN
            INSERT ({", ".join(columns)}) VALUES ({", ".join(f"line.{name}" for name in columns)})
        """
    )


def _end_missing(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    key: Key,
    kept_keys: pl.DataFrame,
    on: date,
) -> pl.DataFrame:
    """Ends the records that are missing from their sender's full set.

    A record of ``kept_keys`` is not missing: a rejected line names it, or may be its own. The last
    good record stays.
    """
    ended = "_active = false"
    if feed.gone is not None:
        column, value = feed.gone
        ended += f", {quote_identifier(column)} = '{value}'"
        ended += f", {quote_identifier(MODIFIED)} = TIMESTAMP '{on}'"
    connection.register("kept_keys", kept_keys.to_arrow())
    try:
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE ended AS
            SELECT record._sender, {key.named("record")}
            FROM {feed.name} AS record
            SEMI JOIN (SELECT _sender FROM received_as WHERE full_set) AS sender USING (_sender)
            ANTI JOIN staged AS line ON {key.same("line", "record")}
            ANTI JOIN (SELECT _sender, {key.named("kept_keys")} FROM kept_keys) AS line
                ON {key.same("line", "record")}
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
                USING ended AS line ON {key.same("line", "record")}
                WHEN MATCHED THEN UPDATE SET {ended}
                """
            )
    finally:
        connection.unregister("kept_keys")
        drop_temporary_tables(connection, "ended")
    return counted
