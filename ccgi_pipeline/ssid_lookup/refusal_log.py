"""Refusals in the operator's log: each kind once a minute, with how often it happened.

Belongs here: counting refusals by client, address and reason, and telling when there are too many
of them. Does not belong here: refusing (``service``, connections), and
writing (``journal``).

A secret has 256 random bits and cannot be guessed. The limit of failed logins keeps a client that
is set up wrongly, or an attacker, from filling the log and from asking without end. It never
refuses the right secret: who shares a client's address, as all do behind a proxy, cannot lock it
out. The counts are in the memory of each worker and run by its own monotonic clock, so no wrong
time outlives anything.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ccgi_pipeline.ssid_lookup.journal import Journal

MINUTE = 60

_MOST_KEPT = 10_000
"""So many counts are kept at once; then the oldest is given up."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A kind of refusal; ``client_id`` None: no registered client was named.

    ``address``: as ``addresses.group_address`` gives it. ``what``: what was refused.
    """

    client_id: str | None
    address: str
    what: str
    reason: str


@dataclass(slots=True)
class _Count:
    """The refusals of a minute, and those of them that no line of the log tells."""

    began: float
    number: int = 1
    unlogged: int = 0


class RefusalLog:
    """Counts refusals, and writes them into the operator's log."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal, self._clock = journal, clock
        self._counts: OrderedDict[Refused, _Count] = OrderedDict()

    def record(self, refused: Refused, most: float = math.inf) -> int:
        """Counts a refusal: the first is logged at once, all others of a minute in one line.

        Returns the seconds until the minute is over, if it has had more than ``most``; else 0.
        """
        self.write_ended()
        now = self._clock()
        count = self._counts.get(refused)
        if count is None:
            self._counts[refused] = _Count(now)
            if len(self._counts) > _MOST_KEPT:
                self._counts.popitem(last=False)
            self._write(refused, 1)
            return 0
        count.number += 1
        count.unlogged += 1
        return math.ceil(count.began + MINUTE - now) if count.number > most else 0

    def record_connection(self, address: str, reason: str) -> None:
        """Counts a connection that was closed."""
        self.record(Refused(None, address, "connection", reason))

    def write_ended(self, *, all_of_them: bool = False) -> None:
        """Logs the refusals of minutes that are over and that no line tells yet."""
        now = self._clock()
        while self._counts:
            refused, count = next(iter(self._counts.items()))
            if now < count.began + MINUTE and not all_of_them:
                return
            del self._counts[refused]
            if count.unlogged:
                self._write(refused, count.unlogged)
                if not all_of_them:
                    # Another minute begins: what follows at once is told at its end.
                    self._counts[refused] = _Count(now, number=0)

    def _write(self, refused: Refused, times: int) -> None:
        self._journal.record_refusals(
            refused.client_id, refused.address, refused.what, refused.reason, times
        )
