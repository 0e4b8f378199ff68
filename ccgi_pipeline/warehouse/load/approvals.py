"""Held drops, and what operators decided about them.

Belongs here: recording and listing held drops, and operators' decisions. Does not belong here: when
a drop is held (roster_guard), loading an approved drop (ledger).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.load.roster_guard import ADDS_ONLY, APPROVED, DISCARDED
from ccgi_pipeline.warehouse.storage.schema import transaction

_OVERTAKEN = f"""
    EXISTS (
        SELECT 1 FROM drops AS newer
        WHERE newer.sender = held.sender AND newer.family = held.family
            AND newer.position > held.position AND newer.correction IS NOT true
            AND newer.verdict NOT IN ('{Verdict.HELD}', '{Verdict.REJECTED}')
    )
"""
"""True if a newer drop of the same sender and family was loaded that is not a mere correction."""

PENDING = f"""
    SELECT held.drop_id, held.sender, held.family, answer
    FROM drops AS held JOIN hold_answers USING (drop_id)
    WHERE held.verdict = '{Verdict.HELD}' AND answer IN ('{APPROVED}', '{ADDS_ONLY}')
        AND NOT {_OVERTAKEN}
"""
"""Held drops that an operator has approved and that no newer drop has made obsolete."""


class HoldError(PermanentError):
    """There is no such held drop, or it cannot be decided in this way; the message says why."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Active records of a feed (of one school, if given) that a held drop would end, or add to."""

    feed: str
    school: str | None
    would_end: int
    would_add: int
    active: int
    cause: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A held drop: what it would end and add, and the operator's decision, if there is one."""

    drop: str
    sender: str
    family: str
    night: date
    obsolete: bool
    losses: tuple[Loss, ...]
    decision: str | None
    by: str | None
    reason: str | None
    expires: date | None

    @property
    def would_end(self) -> int:
        """How many records it would end, of all feeds."""
        whole = [loss.would_end for loss in self.losses if loss.school is None and loss.would_end]
        return sum(whole or [loss.would_end for loss in self.losses])

    @property
    def would_add(self) -> int:
        """How many new records it would add, of all feeds."""
        return sum(loss.would_add for loss in self.losses)

    @property
    def state(self) -> str:
        """What will happen to the drop, in words."""
        if self.obsolete:
            return "obsolete: a newer drop was loaded"
        if self.decision is None:
            return "waits for an answer"
        until = f" until {self.expires}" if self.expires else ""
        return f"{self.decision.replace('_', ' ')} by {self.by}{until}"


def read_holds(connection: duckdb.DuckDBPyConnection, drop: str | None = None) -> list[Hold]:
    """Returns the held drops, newest first; ``drop``: only those whose id begins with it."""
    rows = connection.execute(
        f"""
        SELECT held.drop_id, held.sender, held.family, held.night, {_OVERTAKEN},
               answer, answered_by, reason, expires
        FROM drops AS held LEFT JOIN hold_answers USING (drop_id)
        WHERE held.verdict = '{Verdict.HELD}' AND starts_with(held.drop_id, $drop)
        ORDER BY held.position DESC
        """,
        {"drop": drop or ""},
    ).fetchall()
    losses: dict[str, list[Loss]] = {}
    for drop_id, *loss in connection.execute(
        "SELECT drop_id, feed, school, would_end, coalesce(would_add, 0), active, cause "
        "FROM held_for ORDER BY ALL"
    ).fetchall():
        losses.setdefault(drop_id, []).append(Loss(*loss))
    return [
        Hold(id_, sender, family, night, obsolete, tuple(losses.get(id_, [])), *decision)
        for id_, sender, family, night, obsolete, *decision in rows
    ]


def find_hold(connection: duckdb.DuckDBPyConnection, drop: str) -> Hold:
    """Returns the held drop whose id begins with ``drop``. Raises HoldError unless there is one."""
    found = read_holds(connection, drop)
    if len(found) != 1:
        msg = f"{len(found)} held drops begin with {drop}: see `ccgi hold list`"
        raise HoldError(msg)
    return found[0]


def decide_hold(  # noqa: PLR0913 - who decides what about which drop, why and when
    connection: duckdb.DuckDBPyConnection,
    drop: str,
    decision: str,
    *,
    by: str,
    reason: str,
    on: date,
    profiles: Profiles,
) -> Hold:
    """Records an operator's decision about a held drop; the next night acts on it.

    An approval expires after the days that the district's profile names. Raises HoldError.
    """
    held = find_hold(connection, drop)
    if not by.strip() or not reason.strip():
        msg = "an answer needs a name and a reason"
        raise HoldError(msg)
    if held.obsolete and decision != DISCARDED:
        msg = "a newer drop of this sender and family was loaded: to load this one would go back"
        raise HoldError(msg)
    days = timedelta(days=profiles.of(held.sender).guard.approval_days)
    expires = None if decision == DISCARDED else on + days
    with transaction(connection):
        connection.execute("DELETE FROM hold_answers WHERE drop_id = ?", [held.drop])
        connection.execute(
            "INSERT INTO hold_answers VALUES (?, ?, ?, ?, ?, ?)",
            [held.drop, decision, by, reason, on, expires],
        )
    return find_hold(connection, held.drop)


def expire_approvals(connection: duckdb.DuckDBPyConnection, on: date) -> None:
    """Deletes decisions about held drops that have expired unused."""
    late = "expires < ? AND drop_id IN (SELECT drop_id FROM drops WHERE verdict = 'held')"
    if connection.execute(f"SELECT 1 FROM hold_answers WHERE {late} LIMIT 1", [on]).fetchone():
        with transaction(connection):
            connection.execute(f"DELETE FROM hold_answers WHERE {late}", [on])


def read_approvals(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Returns the approvals in force by drop: ``APPROVED`` or ``ADDS_ONLY``."""
    rows = connection.execute(f"SELECT drop_id, answer FROM ({PENDING})").fetchall()
    return dict(rows)


def record_losses(
    connection: duckdb.DuckDBPyConnection, drops: Sequence[str], losses: pl.DataFrame
) -> None:
    """Records what held drops would end and add, in place of earlier records; part of a load."""
    connection.execute(
        "DELETE FROM held_for WHERE list_contains($drops, drop_id)", {"drops": list(drops)}
    )
    if not losses.is_empty():
        connection.register("losses", losses.to_arrow())
        connection.execute("INSERT INTO held_for BY NAME SELECT * FROM losses")
        connection.unregister("losses")
