"""Drops with lines that were kept out, and what the same sender has sent since.

Belongs here: finding the drops that a replay may load again. Does not belong here: the replay
itself (operations.replay, load.reload), drops that are held (load.approvals).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from ccgi_pipeline.feeds.file_rules import FAULT, MAY_BE_READ_LATER
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import Lifecycle
from ccgi_pipeline.intake.findings import WEIGHED_SCHEMA
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.queries.drops import read_received_drops

QUARANTINED = ("rejected", "unmatched")
"""Fates of lines that another rule, setting or register may let in. Lines that mention police stay
removed, and held drops wait for an operator's decision."""

LOADED_FATES = ("inserted", "updated", "unchanged", "superseded")
"""Fates of lines that were loaded, or found a record as good."""

KEPT_OUT_FATES = (*QUARANTINED, "removed", "left_alone")
"""Fates of lines that were not loaded."""

PLACE_COLUMNS = ("file_number", *WEIGHED_SCHEMA)
"""The columns of a drop's findings."""


@dataclass(frozen=True, slots=True)
class ReplaySelection:
    """The drops to replay: of one district, of one family, or whose ids begin with ``drop``."""

    district: str | None = None
    family: str | None = None
    drop: str = ""


@dataclass(frozen=True, slots=True)
class QuarantinedDrop:
    """A drop with lines that were kept out, and its position in the order of loading.

    ``lines``: how many, by feed (None: of files that were not recognised). ``made_of``: the drop
    with its files, if they are known.
    """

    drop: str
    sender: str
    family: str
    position: int
    lines: Mapping[str | None, int]
    made_of: Drop | None


def find_quarantined_drops(
    connection: duckdb.DuckDBPyConnection, selection: ReplaySelection
) -> list[QuarantinedDrop]:
    """Returns drops with lines that were kept out, or files that were not read, in loading order.

    Held drops are left out, and drops that met a fault of this software: each night loads these
    again.
    """
    rows = connection.execute(
        f"""
        SELECT drop_id, sender, family, position, feed, sum(lines)::BIGINT
        FROM drops JOIN (
            SELECT drop_id, feed, lines FROM ledger
            WHERE list_contains($fates, fate) AND lines > 0
            UNION ALL
            SELECT DISTINCT drop_id, NULL, 0 FROM findings WHERE list_contains($unread, rule)
        ) USING (drop_id)
        WHERE verdict <> '{Verdict.HELD}'
            AND ($district IS NULL OR sender = $district)
            AND ($family IS NULL OR family = $family) AND starts_with(drop_id, $drop)
            AND drop_id NOT IN (SELECT drop_id FROM findings WHERE rule = '{FAULT.id}')
        GROUP BY ALL ORDER BY position, feed NULLS FIRST
        """,
        {
            "fates": list(QUARANTINED),
            "unread": [rule.id for rule in MAY_BE_READ_LATER],
            "district": selection.district,
            "family": selection.family,
            "drop": selection.drop,
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
    """Returns whether some drop was replayed whose sender has no new receipt yet."""
    query = "SELECT 1 FROM replays ANTI JOIN receipts USING (drop_id) LIMIT 1"
    return connection.execute(query).fetchone() is not None


@dataclass(frozen=True, slots=True)
class LaterDrops:
    """The same sender's drops of the family that were loaded after an older one.

    ``full_sets``: the id of a later full set by feed; it supersedes the older drop's file.
    ``feeds``: the feeds of which they had lines. ``drops``: their ids, the newest first.
    """

    full_sets: Mapping[str, str]
    feeds: frozenset[str]
    drops: tuple[str, ...]

    @property
    def overtaken(self) -> frozenset[str]:
        """The feeds in which an older line must not undo what a later drop did."""
        return self.feeds - set(self.full_sets)


def find_later_drops(connection: duckdb.DuckDBPyConnection, old: QuarantinedDrop) -> LaterDrops:
    """Returns the sender's drops of the family that were loaded after ``old``."""
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
