"""What the service counts: verdicts and refusals, since it was started.

Belongs here: the counts, and the line that tells them. Nothing else about an upload is kept: no
name of a file, address or user. Does not belong here: what is counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

_SECONDS = 60
"""A line tells the counts so often at most."""


class Counts:
    """Counts by verdict and by reason."""

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write, self._clock = write, clock
        self._verdicts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._told, self._told_at = self._line(), clock()

    def record_verdict(self, verdict: str) -> None:
        """Counts an upload that was judged."""
        self._verdicts[verdict] += 1

    def record_refusal(self, reason: str) -> None:
        """Counts a request that was refused."""
        self._refused[reason] += 1

    def record_connection(self, address: str, reason: str) -> None:
        """Counts a connection that was closed; its address is kept nowhere."""
        del address
        self.record_refusal(f"connection_{reason}")

    def describe(self) -> Mapping[str, Mapping[str, int]]:
        """Returns the counts by name."""
        return {"judged": dict(self._verdicts), "refused": dict(self._refused)}

    def write_ended(self) -> None:
        """Writes a line at the end of each minute in which something was counted."""
        if self._clock() - self._told_at >= _SECONDS:
            self.write()

    def write(self) -> None:
        """Writes the counts, if they are others than those that were written last."""
        self._told_at = self._clock()
        counts = self._line()
        if counts != self._told:
            self._told = counts
            self._write(f"{datetime.now(tz=UTC):%Y-%m-%dT%H:%M:%SZ} since the start: {counts}")

    def _line(self) -> str:
        return f"judged {_listed(self._verdicts)}; refused {_listed(self._refused)}"


def _listed(counts: Counter[str]) -> str:
    if not counts:
        return "0"
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    return f"{counts.total():,} ({parts})"
