"""The service's two logs: who asked when and how it went. No value of a student is in them.

Belongs here: what a line of each log holds, and writing it. Does not belong here: deciding what
happened. Nothing of the service goes through Python's logging: what is not named here cannot get
into a log by way of a message, a header or an address.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import OWNER_ONLY

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other word in the place of a method is the sender's text."""

_OTHER = "other"


class Journal:
    """``access.jsonl`` and ``operator.jsonl``, one JSON object a line, shared by all workers."""

    def __init__(
        self, folder: Path, paths: frozenset[str], clock: Callable[[], float] = time.time
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._access, self._operator = folder / "access.jsonl", folder / "operator.jsonl"
        self._paths, self._clock = paths, clock

    def access(
        self, method: str, path: str, status: int, seconds: float, client_id: str | None
    ) -> None:
        """A request was answered. A path that is none of ours is the sender's text: not told."""
        self._write(
            self._access,
            {
                "method": method if method in METHODS else _OTHER,
                "path": path if path in self._paths else _OTHER,
                "status": status,
                "milliseconds": round(seconds * 1000, 3),
                "client": client_id,
            },
        )

    def outcome(self, client_id: str | None, what: str, outcome: str, reason: str | None) -> None:
        """What came of a request, in codes: for the operator alone."""
        told = {"client": client_id, "what": what, "outcome": outcome, "reason": reason}
        self._write(self._operator, told)

    def _write(self, file: Path, line: Mapping[str, object]) -> None:
        """Appends with one write, so that workers' lines never mix.

        The file is opened each time (8 microseconds): it may be rotated away at any moment.
        """
        at = datetime.fromtimestamp(self._clock(), tz=UTC).isoformat(timespec="milliseconds")
        text = json.dumps({"at": at, **line}) + "\n"
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OWNER_ONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
