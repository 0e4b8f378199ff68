"""Holds: drops that wait for an operator, and what operators answered.

Belongs here: noting, listing and answering held drops. Does not belong here: why a drop is held
(guarding), loading it after all (bookkeeping).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.load.roster_guard import ADDS_ONLY, APPROVED, DISCARDED
from ccgi_pipeline.warehouse.queries.drops import read_received_drops
from ccgi_pipeline.warehouse.storage.schema import transaction

_OVERTAKEN = f"""
    EXISTS (
        SELECT 1 FROM drops AS newer
        WHERE newer.sender = held.sender AND newer.family = held.family
            AND newer.position > held.position AND newer.correction IS NOT true
            AND newer.verdict NOT IN ('{Verdict.HELD}', '{Verdict.REJECTED}')
    )
"""
"""Whether a newer drop of the same sender and family was loaded, other than a few corrections."""

PENDING = f"""
    SELECT held.drop_id, held.sender, held.family, answer
    FROM drops AS held JOIN hold_answers USING (drop_id)
    WHERE held.verdict = '{Verdict.HELD}' AND answer IN ('{APPROVED}', '{ADDS_ONLY}')
        AND NOT {_OVERTAKEN}
"""
"""Held drops that an operator has approved, and that nothing newer has made obsolete."""


class HoldError(PermanentError):
    """A hold that cannot be answered so; the message says why."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Records of a feed (of one school, if given) that a held drop would end."""

    feed: str
    school: str | None
    would_end: int
    active: int
    cause: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A held drop: what it would do, and the answer that it was given."""

    drop: str
    sender: str
    family: str
    night: date
    obsolete: bool
    threats: tuple[Loss, ...]
    answer: str | None
    by: str | None
    reason: str | None
    expires: date | None

    @property
    def state(self) -> str:
        """In words: what becomes of it."""
        if self.obsolete:
            return "obsolete: a newer drop was loaded"
        if self.answer is None:
            return "waits for an answer"
        until = f" until {self.expires}" if self.expires else ""
        return f"{self.answer.replace('_', ' ')} by {self.by}{until}"


def read_holds(connection: duckdb.DuckDBPyConnection, drop: str | None = None) -> list[Hold]:
    """The held drops, newest first; ``drop``: the one whose id begins so."""
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
    threats: dict[str, list[Loss]] = {}
    for drop_id, *threat in connection.execute(
        "SELECT drop_id, feed, school, would_end, active, cause FROM held_for ORDER BY ALL"
    ).fetchall():
        threats.setdefault(drop_id, []).append(Loss(*threat))
    return [
        Hold(id_, sender, family, night, obsolete, tuple(threats.get(id_, [])), *answer)
        for id_, sender, family, night, obsolete, *answer in rows
    ]


def find_hold(connection: duckdb.DuckDBPyConnection, drop: str) -> Hold:
    """The held drop whose id begins with ``drop``. Raises HoldError where there is not just one."""
    found = read_holds(connection, drop)
    if len(found) != 1:
        msg = f"{len(found)} held drops begin with {drop}: see `ccgi hold list`"
        raise HoldError(msg)
    return found[0]


def answer_hold(  # noqa: PLR0913 - who says what of which drop, why and when
    connection: duckdb.DuckDBPyConnection,
    drop: str,
    answer: str,
    *,
    by: str,
    reason: str,
    on: date,
    profiles: Profiles,
) -> Hold:
    """Notes an operator's answer to a held drop; the next night acts on it.

    An approval expires after the days that the district's profile names. Raises HoldError.
    """
    held = find_hold(connection, drop)
    if not by.strip() or not reason.strip():
        msg = "an answer needs a name and a reason"
        raise HoldError(msg)
    if held.obsolete and answer != DISCARDED:
        msg = "a newer drop of this sender and family was loaded: to load this one would go back"
        raise HoldError(msg)
    days = timedelta(days=profiles.of(held.sender).guard.approval_days)
    expires = None if answer == DISCARDED else on + days
    with transaction(connection):
        connection.execute("DELETE FROM hold_answers WHERE drop_id = ?", [held.drop])
        connection.execute(
            "INSERT INTO hold_answers VALUES (?, ?, ?, ?, ?, ?)",
            [held.drop, answer, by, reason, on, expires],
        )
    return find_hold(connection, held.drop)


def expire_approvals(connection: duckdb.DuckDBPyConnection, on: date) -> None:
    """Forgets approvals that were not used in time."""
    late = "expires < ? AND drop_id IN (SELECT drop_id FROM drops WHERE verdict = 'held')"
    if connection.execute(f"SELECT 1 FROM hold_answers WHERE {late} LIMIT 1", [on]).fetchone():
        with transaction(connection):
            connection.execute(f"DELETE FROM hold_answers WHERE {late}", [on])


def read_approved_drops(connection: duckdb.DuckDBPyConnection) -> list[Drop]:
    """Held drops to be taken again, with the files that they were made of."""
    return list(read_received_drops(connection, list(read_approvals(connection))).values())


def read_approvals(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The answers that are to be acted on, by drop."""
    rows = connection.execute(f"SELECT drop_id, answer FROM ({PENDING})").fetchall()
    return dict(rows)


def record_losses(
    connection: duckdb.DuckDBPyConnection, drops: Sequence[str], threats: pl.DataFrame
) -> None:
    """Notes why drops are held, in place of what was noted of them; part of a load."""
    connection.execute(
        "DELETE FROM held_for WHERE list_contains($drops, drop_id)", {"drops": list(drops)}
    )
    if not threats.is_empty():
        connection.register("threats", threats.to_arrow())
        connection.execute("INSERT INTO held_for BY NAME SELECT * FROM threats")
        connection.unregister("threats")
