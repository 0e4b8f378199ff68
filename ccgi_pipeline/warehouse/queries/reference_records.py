"""The records in the warehouse that rules look up.

Belongs here: reading active records of a feed for a rule. Does not belong here: the lines of the
same night (nightly.reference_lookup), the rules (verification).
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import polars as pl

from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import SENDER
from ccgi_pipeline.warehouse.queries.directory import read_directory
from ccgi_pipeline.warehouse.storage.schema import quote_identifier


def read_reference_records(
    connection: duckdb.DuckDBPyConnection,
    feed: str,
    columns: Sequence[str],
    senders: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Returns sender and ``columns`` of the feed's active records; ``senders``: only of these."""
    declared = FEEDS_BY_NAME[feed]
    if declared.shipped:
        return read_directory(connection).select(pl.lit("cde").alias(SENDER), *columns)
    listed = ", ".join(map(quote_identifier, columns))
    of_senders = "" if senders is None else "AND list_contains($senders, _sender)"
    # A record without a counterpart was sent, but is in no feed's table.
    keys = declared.keys
    identity_only = set(columns) <= {*keys, declared.unique_id}
    known = ", ".join(
        quote_identifier(c) if c in keys else f"NULL AS {quote_identifier(c)}" for c in columns
    )
    more = (
        f"UNION SELECT {SENDER}, {known} FROM lake.unmatched"
        if declared.decides_links and identity_only
        else ""
    )
    return connection.execute(
        f"SELECT DISTINCT {SENDER}, {listed} FROM "
        f"(SELECT {SENDER}, {listed} FROM lake.{feed} WHERE _active {more}) "
        f"WHERE true {of_senders}",
        None if senders is None else {"senders": list(senders)},
    ).pl()
