"""Missing records that stay active because a line that could not be read may be their own.

Belongs here: which line could be which record's, and since when a sender has such records. Does not
belong here: what an unread line holds (verification.unread_lines), ending records (upsert).
"""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.file_rules import KEPT
from ccgi_pipeline.feeds.spec import FILE, SENDER, FeedSpec
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline.verification.unread_lines import form_of, unread_schema
from ccgi_pipeline.warehouse.storage.schema import quote_identifier

KEPT_SCHEMA = {FILE: pl.UInt32, LINE: pl.UInt32, "_record": pl.UInt32}
"""The place of an unread line, and a number for the record that it keeps."""

_DATE_FORMS = ("%Y-%m-%d", "%m/%d/%Y", "%-m/%-d/%Y", "%Y%m%d", "%m-%d-%Y")
"""The forms in which an unread line may show a date."""


def find_kept_records(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    unread: pl.DataFrame,
    present: pl.DataFrame,
) -> pl.DataFrame:
    """Returns the active records that unread lines keep: their sender, keys and ``KEPT_SCHEMA``.

    ``unread``: a frame of ``unread_schema``. ``present``: ``_sender`` and keys that lines name. A
    record is kept by a line that shows one of its ids. It is also kept by a line that shows no id
    of another known record and no part of another key, and that agrees with it in as much as such a
    line must (``agreeing``). A record may be kept by several lines.
    """
    keys = [quote_identifier(name) for name in feed.keys]
    if unread.is_empty():
        kinds = {name: feed.columns[name].dtype for name in feed.keys}
        return pl.DataFrame(schema={SENDER: pl.String, **kinds, **KEPT_SCHEMA})
    read = [name for name in unread_schema(feed) if name in feed.columns]
    contradicted = " OR ".join(
        f"coalesce(line.{quote_identifier(name)} <> {_as_compared(feed, name)[0]}, false)"
        for name in read
    )
    named = [f"list_contains(line.cells, {_as_compared(feed, name)[0]})" for name in feed.ids]
    # What a record does not have, no line can show.
    agrees = [
        f"(record.{quote_identifier(name)} IS NULL OR "
        f"list_has_any(line.cells, [{', '.join(_as_compared(feed, name))}]))::INT"
        for name in feed.descriptions
    ]
    # An id without a form of its own, such as a local one, may be any other cell.
    known = " UNION ALL ".join(
        [
            "SELECT NULL::VARCHAR AS _sender, NULL::VARCHAR AS cell",
            *(
                f"SELECT record._sender, {_as_compared(feed, name)[0]} FROM {table} AS record"
                for name in feed.ids
                if form_of(feed, name) is not None
                for table in (feed.name, *(["present_keys"] if name in feed.keys else []))
            ),
        ]
    )
    same = " AND ".join(f"record.{key} IS NOT DISTINCT FROM present.{key}" for key in keys)
    key = ", ".join(f"record.{key}" for key in keys)
    connection.register("unread_lines", unread.to_arrow())
    connection.register("present_keys", present.select(SENDER, *feed.keys).unique().to_arrow())
    try:
        return connection.execute(
            f"""
            WITH missing AS (
                FROM {feed.name} AS record
                SEMI JOIN unread_lines USING (_sender)
                ANTI JOIN present_keys AS present
                    ON record._sender = present._sender AND {same}
                WHERE record._active
            ),
            telling AS (
                SELECT DISTINCT _file, _line
                FROM (SELECT _sender, _file, _line, unnest(cells) AS cell FROM unread_lines)
                SEMI JOIN ({known}) AS known USING (_sender, cell)
            )
            SELECT record._sender, {key}, line._file, line._line,
                   dense_rank() OVER (ORDER BY record._sender, {key})::UINTEGER AS _record
            FROM missing AS record JOIN unread_lines AS line ON line._sender = record._sender
            LEFT JOIN telling ON telling._file = line._file AND telling._line = line._line
            WHERE {" OR ".join(["false", *named])}
               OR (telling._file IS NULL AND NOT ({contradicted or "false"})
                   AND {" + ".join(agrees)} >= line.agreeing)
            ORDER BY ALL
            """
        ).pl()
    finally:
        connection.unregister("unread_lines")
        connection.unregister("present_keys")


def describe_kept_records(kept: pl.DataFrame) -> pl.DataFrame:
    """Returns a finding for each line that keeps records, with how many: ``FINDINGS_SCHEMA``.

    ``kept``: a frame of ``KEPT_SCHEMA``.
    """
    counted = kept.group_by(FILE, LINE).agg(pl.len().alias("records")).sort(FILE, LINE)
    plural = pl.when(pl.col("records") == 1).then(pl.lit("record")).otherwise(pl.lit("records"))
    cells = {
        "rule": pl.lit(KEPT.id),
        "line": pl.col(LINE),
        "column": pl.lit(None),
        "detail": pl.format("{} {}", "records", plural),
    }
    return counted.select(
        FILE, *(cells[name].cast(kind).alias(name) for name, kind in FINDINGS_SCHEMA.items())
    )


def read_kept_since(
    connection: duckdb.DuckDBPyConnection, files: pl.DataFrame, night: date
) -> pl.Series:
    """Returns for each of ``files`` since which night its sender has such records, or null.

    ``files``: ``_sender``, ``feed`` and ``kept``, the number of records that stay now. The date is
    that of the sender's last file of the feed, if it kept records too; else ``night``.
    """
    if not files["kept"].sum():
        return pl.Series("kept_since", [None] * files.height, dtype=pl.Date)
    before = connection.execute(
        """
        SELECT sender AS _sender, feed, min(kept_since) AS since
        FROM files JOIN drops USING (drop_id)
        WHERE kept IS NOT NULL AND list_contains($senders, sender)
        GROUP BY sender, feed, position
        QUALIFY row_number() OVER (PARTITION BY sender, feed ORDER BY position DESC) = 1
        """,
        {"senders": files.filter(pl.col("kept") > 0)[SENDER].unique().to_list()},
    ).pl()
    since = files.join(before, on=[SENDER, "feed"], how="left", maintain_order="left")
    return since.select(
        pl.when(pl.col("kept") > 0).then(pl.col("since").fill_null(night)).alias("kept_since")
    ).to_series()


def _as_compared(feed: FeedSpec, name: str) -> list[str]:
    """Returns SQL for a record's cell in the forms in which an unread line may show it.

    It does to the record what ``unread_lines.comparable`` does to a line.
    """
    cell = f"record.{quote_identifier(name)}"
    forms = [f"CAST({cell} AS VARCHAR)"]
    if feed.columns[name].type is ColumnType.DATE:
        forms = [f"strftime({cell}, '{form}')" for form in _DATE_FORMS]
    return [f"ltrim(lower(trim({form})), '0')" for form in forms]
