"""The records that rules may look up: those of the warehouse and of the night's earlier batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.districts import DIRECTORY_SCHEMA, directory
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS
from ccgi_pipeline.feeds.foster_focus.comparisons import CHILD
from ccgi_pipeline.feeds.registry import COMPARISONS, FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import SENDER
from ccgi_pipeline.verification.gates import with_identity
from ccgi_pipeline.verification.outcomes import KnownRecords, Verification, nothing_known
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.schema import quote_identifier

_LOOKED_UP_COLUMNS = {
    *(
        (relation.target, relation.target_columns)
        for feed in FEEDS
        for relation in feed.relations
        if relation.target in FEEDS_BY_NAME
    ),
    *(
        (target, columns)
        for comparisons in COMPARISONS.values()
        for _, across in comparisons
        for target, columns in across.sees.items()
        if target in FEEDS_BY_NAME
    ),
}
"""Feeds and columns of them that rules look up in other lines."""


_CORRECTION_COLUMNS = {
    (feed, with_identity(FEEDS_BY_NAME[feed], columns)) for feed, columns in _LOOKED_UP_COLUMNS
} - _LOOKED_UP_COLUMNS
"""The same with what tells records apart: needed where a correction may replace one."""


class ReferenceLookup:
    """What rules may look up: the warehouse's active records, the night's earlier batches.

    ``correcting``: senders of corrections, of whose earlier lines more must be remembered.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, correcting: Iterable[str] = ()
    ) -> None:
        self._connection = connection
        self._correcting = sorted(correcting)
        self._stored: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}
        self._learnt: dict[tuple[str, tuple[str, ...]], list[pl.DataFrame]] = {
            looked_up: [] for looked_up in _LOOKED_UP_COLUMNS | _CORRECTION_COLUMNS
        }

    def learn(self, verification: Verification) -> None:
        """Remembers what later batches may refer to."""
        for (feed, columns), frames in self._learnt.items():
            if (feed, columns) in _LOOKED_UP_COLUMNS:
                frames.append(verification.named(feed, columns).unique())
            elif self._correcting:
                theirs = pl.col(SENDER).is_in(self._correcting)
                frames.append(verification.named(feed, columns).filter(theirs).unique())

    def known(
        self, feed: str, columns: tuple[str, ...], senders: Sequence[str] | None
    ) -> pl.DataFrame:
        """Senders and cells of columns of a feed."""
        if senders is not None:
            stored = self._ask(feed, columns, senders)
        else:
            # Several rules look up the same, and nothing is loaded meanwhile.
            if (feed, columns) not in self._stored:
                self._stored[feed, columns] = self._ask(feed, columns, None)
            stored = self._stored[feed, columns]
        learnt = pl.concat([nothing_known(feed, columns), *self._learnt[feed, columns]])
        if senders is not None:
            learnt = learnt.filter(pl.col(SENDER).is_in(list(senders)))
        return pl.concat([stored.cast(learnt.schema), learnt])

    def _ask(
        self, feed: str, columns: tuple[str, ...], senders: Sequence[str] | None
    ) -> pl.DataFrame:
        """What the warehouse has."""
        if feed == "cde_directory":
            return read_directory(self._connection).select(pl.lit("cde").alias(SENDER), *columns)
        listed = ", ".join(map(quote_identifier, columns))
        of_senders = "" if senders is None else "AND list_contains($senders, _sender)"
        # A student without a child of Foster Focus is in no table, and yet was sent.
        of_students = feed == DEMOGRAPHICS.name and set(columns) <= {*CHILD, DEMOGRAPHICS.unique_id}
        known = ", ".join(
            quote_identifier(c) if c in CHILD else f"NULL AS {quote_identifier(c)}" for c in columns
        )
        more = f"UNION SELECT {SENDER}, {known} FROM lake.unmatched" if of_students else ""
        return self._connection.execute(
            f"SELECT DISTINCT {SENDER}, {listed} FROM "
            f"(SELECT {SENDER}, {listed} FROM lake.{feed} WHERE _active {more}) "
            f"WHERE true {of_senders}",
            None if senders is None else {"senders": list(senders)},
        ).pl()


def read_directory(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The directory in force: what was received, and what the project ships for the rest."""
    return directory(
        connection.sql(
            f"SELECT {', '.join(DIRECTORY_SCHEMA)} FROM lake.cde_directory WHERE _active"
        ).pl()
    )


@value_free
def open_offline_lookup(warehouse: Path) -> KnownRecords:
    """What the warehouse in this folder knows, for a check that changes nothing."""
    connection = open_warehouse(warehouse, read_only=True)
    return ReferenceLookup(connection).known
