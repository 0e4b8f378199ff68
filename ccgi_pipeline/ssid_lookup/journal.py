"""The two logs of the service: the access log and the operator's log. They hold no student's data.

Belongs here: the fields of each log, writing a line, and rotation. Does not belong here: deciding
what happened. The service does not use Python's logging, so nothing but these fields can get into a
log with a message, a header or an address.

A log that is full is renamed to ``access.1.jsonl``, that one to ``access.2.jsonl``, and so on; the
oldest is deleted. So however much is asked, the logs do not fill the disk.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import OWNER_ONLY

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""The methods that are logged by name; any other word is the sender's text."""

_OTHER = "other"

LARGEST_LOG = 16 * 1024 * 1024
"""Bytes after which a log is rotated: some 100,000 requests."""

_ROTATED_LOGS = 5


class Journal:
    """``access.jsonl`` and ``operator.jsonl``, one JSON object a line, shared by all workers."""

    def __init__(
        self,
        folder: Path,
        paths: frozenset[str],
        clock: Callable[[], float] = time.time,
        largest: int = LARGEST_LOG,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._access, self._operator = folder / "access.jsonl", folder / "operator.jsonl"
        self._paths, self._clock, self._largest = paths, clock, largest

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

    def record_refusals(
        self, client_id: str | None, address: str, what: str, reason: str, times: int
    ) -> None:
        """Records in one line that the same was refused so many times to the same address."""
        line = {"client": client_id, "what": what, "outcome": "refused", "reason": reason}
        self._write(self._operator, {**line, "address": address, "times": times})

    def _write(self, file: Path, line: Mapping[str, object]) -> None:
        """Appends a line with one write, so that the lines of workers never mix.

        The file is opened each time (8 microseconds), because a rotation may replace it.
        """
        at = datetime.fromtimestamp(self._clock(), tz=UTC).isoformat(timespec="milliseconds")
        text = json.dumps({"at": at, **line}) + "\n"
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OWNER_ONLY)
        try:
            os.write(descriptor, text.encode())
            full = os.fstat(descriptor).st_size >= self._largest
        finally:
            os.close(descriptor)
        if full:
            self._rotate(file)

    def _rotate(self, file: Path) -> None:
        """Makes room for a new log, unless another worker has.

        A line that a worker is just writing goes into the log that it opened, under its new name.
        """
        lock = os.open(file.with_suffix(".rotating"), os.O_RDWR | os.O_CREAT, OWNER_ONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if file.exists() and file.stat().st_size >= self._largest:
                names = [file, *(_name_rotated(file, one + 1) for one in range(_ROTATED_LOGS))]
                for newer, older in reversed([*pairwise(names)]):
                    if newer.exists():
                        newer.replace(older)
        finally:
            os.close(lock)


def _name_rotated(file: Path, number: int) -> Path:
    return file.with_suffix(f".{number}{file.suffix}")
