"""The records that rules may look up: those of the warehouse and of the night's earlier batches.

Belongs here: remembering earlier batches, and putting both together. Does not belong here: reading
the warehouse (queries.reference_records), the rules (verification).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.feeds.registry import COMPARISONS, FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.rules import Scope
from ccgi_pipeline.feeds.spec import SENDER
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.verification.outcomes import KnownRecords, Verification, nothing_known
from ccgi_pipeline.verification.record_lookup import with_identity
from ccgi_pipeline.warehouse.queries.reference_records import read_reference_records
from ccgi_pipeline.warehouse.storage.connection import open_warehouse

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
"""The feeds and columns that rules look up in other lines."""

_STATE_WIDE = {
    (relation.target, relation.target_columns)
    for feed in FEEDS
    for relation in feed.relations
    if relation.scope is Scope.STATE
}
"""Those of them that rules look up in the lines of all senders, and not of the same one."""

_CORRECTION_COLUMNS = {
    (feed, with_identity(FEEDS_BY_NAME[feed], columns)) for feed, columns in _LOOKED_UP_COLUMNS
} - _LOOKED_UP_COLUMNS
"""The same with the columns that tell records apart, which corrections of a record need."""


class ReferenceLookup:
    """Looks up the warehouse's active records and the lines of the night's earlier batches.

    ``drops``: those of the night. Of a sender who has one only, later batches look up nothing.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, drops: Sequence[Drop] = ()) -> None:
        self._connection = connection
        counts = Counter(drop.sender for drop in drops)
        self._returning = sorted(sender for sender, count in counts.items() if count > 1)
        self._corrects = any(drop.correction for drop in drops)
        self._stored: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}
        self._learnt: dict[tuple[str, tuple[str, ...]], list[pl.DataFrame]] = {
            looked_up: [] for looked_up in _LOOKED_UP_COLUMNS | _CORRECTION_COLUMNS
        }

    def learn(self, verification: Verification) -> None:
        """Remembers the lines that later batches may refer to."""
        for (feed, columns), frames in self._learnt.items():
            if (feed, columns) in _STATE_WIDE:
                frames.append(verification.named(feed, columns).unique())
            elif self._returning and ((feed, columns) in _LOOKED_UP_COLUMNS or self._corrects):
                frames.append(verification.named(feed, columns, self._returning).unique())

    def known(
        self, feed: str, columns: tuple[str, ...], senders: Sequence[str] | None
    ) -> pl.DataFrame:
        """Returns sender and ``columns`` of a feed's records, of all senders or of ``senders``."""
        if senders is not None:
            stored = read_reference_records(self._connection, feed, columns, senders)
        else:
            # Several rules look up the same columns, and nothing is loaded meanwhile.
            if (feed, columns) not in self._stored:
                self._stored[feed, columns] = read_reference_records(
                    self._connection, feed, columns
                )
            stored = self._stored[feed, columns]
        learnt = pl.concat([nothing_known(feed, columns), *self._learnt[feed, columns]])
        if senders is not None:
            learnt = learnt.filter(pl.col(SENDER).is_in(list(senders)))
        return pl.concat([stored.cast(learnt.schema), learnt])


@value_free
def open_offline_lookup(warehouse: Path) -> KnownRecords:
    """Returns the look-up in the warehouse in this folder, for a check that changes nothing."""
    connection = open_warehouse(warehouse, read_only=True)
    return ReferenceLookup(connection).known
