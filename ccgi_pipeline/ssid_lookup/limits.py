"""The rate limit: a number of requests of one client in any rolling hour, never exceeded.

Belongs here: granting and refusing requests, exactly over all workers and restarts, and the headers
about the limit. Does not belong here: which requests count.

Each grant of the last hour is a row. A request is granted if the client has fewer rows than its
limit, so no hour has more, whenever it begins. The decision is one transaction, which excludes
other workers. The times of a client's grants never decrease, so that counting is one subtraction.

A clock that was ahead leaves grants in the future. They count as granted a minute from now at the
latest, so a client waits for an hour and a minute, whatever the clock said.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import open_database, transaction

HOUR = 3600

Clock = Callable[[], float]
"""Returns the time in seconds since 1970."""
_MICROSECONDS = 1_000_000

_CLOCK_ERROR = 60
"""By how many seconds a clock is set in ordinary service; within them no request is given back."""

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS grants (
        client_id TEXT NOT NULL, at INTEGER NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (client_id, at, number)
    ) WITHOUT ROWID;
"""
"""``number`` counts a client's grants."""


@dataclass(frozen=True, slots=True)
class RateDecision:
    """The decision about a request; ``seconds``: until the client has one more request than now."""

    granted: bool
    limit: int
    remaining: int
    seconds: int


class Limiter:
    """The limit of all clients in ``limits.sqlite``, shared by all workers."""

    def __init__(self, folder: Path, clock: Clock = time.time) -> None:
        # NORMAL: a power failure may lose the last few grants, a restart loses none.
        self._database = open_database(folder / "limits.sqlite", _SCHEMA, "NORMAL")
        self._clock = clock

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def request(self, client_id: str, limit: int) -> RateDecision:
        """Grants one request, or tells how long to wait. A refused request is not counted."""
        with transaction(self._database):
            # Read inside the transaction, so that times have the order of the grants.
            now = int(self._clock() * _MICROSECONDS)
            self._delete_ended(client_id, now)
            first, last = self._find_first_and_last(client_id)
            if last and last[0] > now + _CLOCK_ERROR * _MICROSECONDS:
                self._cap_future(client_id, now)
                first, last = self._find_first_and_last(client_id)
            used = last[1] - first[1] + 1 if first and last else 0
            if used < limit:
                # A clock that was set back gives no requests back.
                at = max(now, last[0]) if last else now
                self._grant(client_id, at, last[1] + 1 if last else 0)
                opens = first[0] if first else at
                return RateDecision(
                    granted=True,
                    limit=limit,
                    remaining=limit - used - 1,
                    seconds=_seconds_until_ended(opens, now),
                )
            opens = self._find_grant_time(client_id, used - limit)
            return RateDecision(
                granted=False, limit=limit, remaining=0, seconds=_seconds_until_ended(opens, now)
            )

    def _delete_ended(self, client_id: str, now: int) -> None:
        self._database.execute(
            "DELETE FROM grants WHERE client_id = ? AND at <= ?",
            (client_id, now - HOUR * _MICROSECONDS),
        )

    def _cap_future(self, client_id: str, now: int) -> None:
        """Gives the grants of a clock that was ahead the latest time that a right one can have."""
        latest = now + _CLOCK_ERROR * _MICROSECONDS
        self._database.execute(
            "UPDATE grants SET at = ? WHERE client_id = ? AND at > ?", (latest, client_id, latest)
        )

    def _find_first_and_last(
        self, client_id: str
    ) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """Returns time and number of the first and the last grant of the last hour."""
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

    def _find_grant_time(self, client_id: str, place: int) -> int:
        """Returns the time of the grant whose end allows the client a request again.

        ``place`` is 0, the first grant, unless the limit was lowered in the last hour.
        """
        row = self._database.execute(
            "SELECT at FROM grants WHERE client_id = ? ORDER BY at, number LIMIT 1 OFFSET ?",
            (client_id, place),
        ).fetchone()
        return int(row[0])


def _seconds_until_ended(granted_at: int, now: int) -> int:
    """Returns the seconds until a grant is an hour old, rounded up to whole ones."""
    return math.ceil((granted_at - now) / _MICROSECONDS + HOUR)


def build_rate_headers(decision: RateDecision) -> dict[str, str]:
    """Returns the headers of draft-ietf-httpapi-ratelimit-headers (-10 and later)."""
    headers = {
        "RateLimit-Policy": f'"hour";q={decision.limit};w={HOUR}',
        "RateLimit": f'"hour";r={decision.remaining};t={decision.seconds}',
    }
    return headers if decision.granted else {**headers, "Retry-After": str(decision.seconds)}
