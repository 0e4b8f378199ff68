"""What a support bundle tells of the last runs: steps, their duration, failed checks, errors.

Belongs here: what of an error may be told. That is its kind, the lines of code and those words of
its message that the project's own code contains: a file name that a sender chose, or anything else
that got into a message, is not among them. Does not belong here: reading the runs
(defs.recorded_runs).
"""

from __future__ import annotations

import functools
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_PLACE = re.compile(r"(?:ccgi_pipeline|site-packages|python3\.\d+)/[\w./-]+\.py:\d+ in [\w<>]+")
_OURS = Path(__file__).parents[2]
_NOT_WORDS = {"synthetic", "support_bundle"}
"""Rooms whose words are not from messages, such as the invented names of students."""


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A step of a run, how it ended, and how long it took."""

    step: str
    outcome: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RecordedError:
    """The first cause of a step's failure as it was recorded; ``kind`` is None if none was."""

    step: str | None
    kind: str | None
    message: str
    stack: str


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A check that did not pass."""

    asset: str
    check: str
    severity: str


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run as the orchestrator recorded it."""

    job: str
    status: str
    began: datetime
    seconds: float | None
    steps: tuple[RecordedStep, ...]
    errors: tuple[RecordedError, ...]
    failed_checks: tuple[FailedCheck, ...]


def describe_run(run: RecordedRun) -> dict[str, Any]:
    """Returns what the bundle tells of a run."""
    return {
        "job": run.job,
        "status": run.status,
        "began": f"{run.began:%Y-%m-%dT%H:%MZ}",
        "seconds": run.seconds,
        "steps": [asdict(step) for step in run.steps],
        "errors": [_describe_error(error) for error in run.errors],
        "checks that failed": [asdict(check) for check in run.failed_checks],
    }


def _describe_error(error: RecordedError) -> dict[str, Any]:
    told: dict[str, Any] = {"step": error.step}
    if error.kind is None:
        return told
    spelled = re.sub(r'", line (\d+), in ', r":\1 in ", f"{error.message}\n{error.stack}")
    return told | {
        "kind": error.kind,
        "message": keep_known_words(error.message),
        "code": list(dict.fromkeys(_PLACE.findall(spelled))),
    }


def keep_known_words(message: str) -> str:
    """Returns ``message`` with only the words that the project's code contains; dots for others."""
    known = _vocabulary()
    told = [
        word if word.strip(_MARKS).lower() in known else "…"
        for word in re.sub(_PLACE, " ", message).split()
    ]
    return re.sub(r"…(?: …)+", "…", " ".join(told))


_MARKS = ".,;:'\"()"


@functools.cache
def _vocabulary() -> frozenset[str]:
    return frozenset(
        word.lower()
        for path in _OURS.rglob("*.py")
        if not _NOT_WORDS & set(path.relative_to(_OURS).parts)
        for word in re.findall(r"[A-Za-z]+", path.read_text())
    )
