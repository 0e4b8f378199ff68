"""Drops with lines that were kept out, and what the same sender has sent since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from ccgi_pipeline.feeds.file_rules import FAULT, TOO_LARGE
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import Lifecycle
from ccgi_pipeline.intake.findings import WEIGHED_SCHEMA
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.queries.drops import read_received_drops

QUARANTINED = ("rejected", "unmatched")
"""Fates of lines that another rule, setting or register may let in. What mentions police stays
removed, and held drops wait for an answer of their own."""


LOADED_FATES = ("inserted", "updated", "unchanged", "superseded")


KEPT_OUT_FATES = (*QUARANTINED, "removed", "left_alone")


PLACE_COLUMNS = ("file_number", *WEIGHED_SCHEMA)


@dataclass(frozen=True, slots=True)
class ReplaySelection:
    """Which drops an operator means: of one district, of one family, whose ids begin so."""

    district: str | None = None
    family: str | None = None
    drop: str = ""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who has drops replayed, and why."""

    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class QuarantinedDrop:
    """A drop with lines that were kept out, and its place in the order of loading.

    ``lines``: how many, by feed (None: of files that were not recognised). ``made_of``: the drop
    with its files, if it is known which those were.
    """

    drop: str
    sender: str
    family: str
    position: int
    lines: Mapping[str | None, int]
    made_of: Drop | None


def find_quarantined_drops(
    connection: duckdb.DuckDBPyConnection, wish: ReplaySelection
) -> list[QuarantinedDrop]:
    """The drops with lines that were kept out, or too large to be read, in the order of loading.

    Without those that are held, and those that met a fault of ours: each night takes these again.
    """
    rows = connection.execute(
        f"""
        SELECT drop_id, sender, family, position, feed, sum(lines)::BIGINT
        FROM drops JOIN (
            SELECT drop_id, feed, lines FROM ledger
            WHERE list_contains($fates, fate) AND lines > 0
            UNION ALL
            SELECT DISTINCT drop_id, NULL, 0 FROM findings WHERE rule = '{TOO_LARGE.id}'
        ) USING (drop_id)
        WHERE verdict <> '{Verdict.HELD}'
            AND ($district IS NULL OR sender = $district)
            AND ($family IS NULL OR family = $family) AND starts_with(drop_id, $drop)
            AND drop_id NOT IN (SELECT drop_id FROM findings WHERE rule = '{FAULT.id}')
        GROUP BY ALL ORDER BY position, feed NULLS FIRST
        """,
        {
            "fates": list(QUARANTINED),
            "district": wish.district,
            "family": wish.family,
            "drop": wish.drop,
        },
    ).fetchall()
    lines: dict[tuple[str, str, str, int], dict[str | None, int]] = {}
    for *drop, feed, count in rows:
        lines.setdefault(tuple(drop), {})[feed] = count
    made_of = read_received_drops(connection, [id_ for id_, *_ in lines])
    return [
        QuarantinedDrop(*drop, of_drop, made_of.get(drop[0])) for drop, of_drop in lines.items()
    ]


def has_replays_without_receipt(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether some drop was replayed whose sender has not been told so yet."""
    query = "SELECT 1 FROM replays ANTI JOIN receipts USING (drop_id) LIMIT 1"
    return connection.execute(query).fetchone() is not None


@dataclass(frozen=True, slots=True)
class LaterDrops:
    """What the same sender's later drops of the family are to an older one.

    ``full_sets``: for each feed of which one of them is the full set, its id: nothing older counts.
    ``feeds``: the feeds of which they had lines. ``drops``: their ids, the newest first.
    """

    full_sets: Mapping[str, str]
    feeds: frozenset[str]
    drops: tuple[str, ...]

    @property
    def overtaken(self) -> frozenset[str]:
        """The feeds of which an older line may not undo what a later drop did."""
        return self.feeds - set(self.full_sets)


def find_later_drops(connection: duckdb.DuckDBPyConnection, old: QuarantinedDrop) -> LaterDrops:
    """What came after ``old`` and was loaded."""
    rows = connection.execute(
        """
        SELECT drop_id, files.feed, bool_and(complete)
        FROM drops JOIN files USING (drop_id)
        SEMI JOIN (SELECT drop_id, feed FROM ledger WHERE list_contains($fates, fate)) AS loaded
            ON loaded.drop_id = files.drop_id AND loaded.feed = files.feed
        WHERE sender = $sender AND family = $family AND position > $position
        GROUP BY drop_id, files.feed, position ORDER BY position DESC
        """,
        {
            "fates": list(LOADED_FATES),
            "sender": old.sender,
            "family": old.family,
            "position": old.position,
        },
    ).fetchall()
    return LaterDrops(
        full_sets={
            feed: drop_id
            for drop_id, feed, complete in reversed(rows)
            if complete and FEEDS_BY_NAME[feed].lifecycle is Lifecycle.SNAPSHOT
        },
        feeds=frozenset(feed for _, feed, _ in rows),
        drops=tuple(dict.fromkeys(drop_id for drop_id, *_ in rows)),
    )
