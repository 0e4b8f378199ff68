"""The two logs of the service: the access log and the operator's log. They hold no student's data.

Belongs here: the fields of each log, and writing a line. Does not belong here: deciding what
happened. The service does not use Python's logging, so nothing but these fields can get into a log
with a message, a header or an address.
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
"""The methods that are logged by name; any other word is the sender's text."""

_OTHER = "other"


class Journal:
    """``access.jsonl`` and ``operator.jsonl``, one JSON object a line, shared by all workers."""

    def __init__(
        self, folder: Path, paths: frozenset[str], clock: Callable[[], float] = time.time
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._access, self._operator = folder / "access.jsonl", folder / "operator.jsonl"
        self._paths, self._clock = paths, clock

    def record_access(
        self, method: str, path: str, status: int, seconds: float, client_id: str | None
    ) -> None:
        """Records a response; an unknown path is the sender's text and is logged as "other"."""
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

    def record_outcome(
        self, client_id: str | None, what: str, outcome: str, reason: str | None
    ) -> None:
        """Records the outcome of a request, in codes, for the operator."""
        line = {"client": client_id, "what": what, "outcome": outcome, "reason": reason}
        self._write(self._operator, line)

    def _write(self, file: Path, line: Mapping[str, object]) -> None:
        """Appends a line with one write, so that the lines of workers never mix.

        The file is opened each time (8 microseconds), because log rotation may replace it.
        """
        at = datetime.fromtimestamp(self._clock(), tz=UTC).isoformat(timespec="milliseconds")
        text = json.dumps({"at": at, **line}) + "\n"
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OWNER_ONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
