"""The rate limit: so many requests of one client in any rolling hour, and never one more.

Belongs here: granting and refusing, exact over all workers and restarts, and the headers that tell
a client where it stands. Does not belong here: which requests count.

Each grant of the last hour is a row. A client may ask if it has fewer of them than its limit, so no
hour, wherever it begins, holds more. All is decided inside one transaction that no other worker can
enter; times never go back within a client, so that counting is one subtraction.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import open_database, transaction

HOUR = 3600
_MICROSECONDS = 1_000_000

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS grants (
        client_id TEXT NOT NULL, at INTEGER NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (client_id, at, number)
    ) WITHOUT ROWID;
"""
"""``number`` counts a client's grants."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """The answer to a client that asks: ``seconds`` until it may ask once more than now."""

    granted: bool
    limit: int
    remaining: int
    seconds: int


class Limiter:
    """The limit as ``limits.sqlite`` keeps it, shared by all workers."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        # NORMAL: a power failure may give back the last few grants, never a restart.
        self._database = open_database(folder / "limits.sqlite", _SCHEMA, "NORMAL")
        self._clock = clock

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    def ask(self, client_id: str, limit: int) -> Ruling:
        """Grants one request, or says how long to wait. A refused request is not counted."""
        with transaction(self._database):
            # Read inside, so that times come in the order of the grants.
            now = int(self._clock() * _MICROSECONDS)
            self._forget_ended(client_id, now)
            first, last = self._ends(client_id)
            used = last[1] - first[1] + 1 if first and last else 0
            if used < limit:
                # A clock that was set back does not bring back what was used.
                at = max(now, last[0]) if last else now
                self._grant(client_id, at, last[1] + 1 if last else 0)
                opens = first[0] if first else at
                return Ruling(
                    granted=True,
                    limit=limit,
                    remaining=limit - used - 1,
                    seconds=_until(opens, now),
                )
            opens = self._nth(client_id, used - limit)
            return Ruling(granted=False, limit=limit, remaining=0, seconds=_until(opens, now))

    def _forget_ended(self, client_id: str, now: int) -> None:
        self._database.execute(
            "DELETE FROM grants WHERE client_id = ? AND at <= ?",
            (client_id, now - HOUR * _MICROSECONDS),
        )

    def _ends(self, client_id: str) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """The first and the last grant of the last hour: time and number."""
        first = self._database.execute(
            "SELECT at, number FROM grants WHERE client_id = ? ORDER BY at, number LIMIT 1",
            (client_id,),
        ).fetchone()
        last = self._database.execute(
            "SELECT at, number FROM grants WHERE client_id = ? "
            "ORDER BY at DESC, number DESC LIMIT 1",
            (client_id,),
        ).fetchone()
        return first, last

    def _grant(self, client_id: str, at: int, number: int) -> None:
        self._database.execute("INSERT INTO grants VALUES (?, ?, ?)", (client_id, at, number))

    def _nth(self, client_id: str, place: int) -> int:
        """The time of the grant whose end lets the client ask again.

        ``place`` is 0, the first one, unless the limit was made smaller in the last hour.
        """
        row = self._database.execute(
            "SELECT at FROM grants WHERE client_id = ? ORDER BY at, number LIMIT 1 OFFSET ?",
            (client_id, place),
        ).fetchone()
        return int(row[0])


def _until(granted_at: int, now: int) -> int:
    """Whole seconds until a grant is an hour old; rounded up, so that waiting them is enough."""
    return math.ceil((granted_at - now) / _MICROSECONDS + HOUR)


def headers(ruling: Ruling) -> dict[str, str]:
    """What a client is told, as draft-ietf-httpapi-ratelimit-headers (-10 and later) spells it."""
    told = {
        "RateLimit-Policy": f'"hour";q={ruling.limit};w={HOUR}',
        "RateLimit": f'"hour";r={ruling.remaining};t={ruling.seconds}',
    }
    return told if ruling.granted else {**told, "Retry-After": str(ruling.seconds)}
