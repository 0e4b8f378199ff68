"""Jobs: what a worker is asked for, and what it answers.

Belongs here: both as data, and how a job is sent. Does not belong here: doing it (``worker``), and
asking for it (``worker_pool``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

HTML, JSON = "html", "json"
FORMS = (HTML, JSON)
NO_MEMORY, FAILED = 3, 4
"""Exit status: the job needs more memory than it may use; the verification failed."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be judged: files of ``folder``, by name. ``sender`` may be empty.

    ``memory``: bytes that may be used. ``seconds``: of processor time, on each core.
    """

    folder: str
    names: tuple[str, ...]
    on: str
    family: str | None
    sender: str
    show_values: bool
    form: str
    profiles: str | None
    memory: int
    seconds: float

    def encode(self) -> bytes:
        """Returns the job as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"


def read_job(line: bytes) -> Job:
    """Returns the job of a line."""
    given: Mapping[str, Any] = json.loads(line)
    return Job(**{**given, "names": tuple(given["names"])})


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and the page or the JSON that says why."""

    verdict: str
    content: bytes
