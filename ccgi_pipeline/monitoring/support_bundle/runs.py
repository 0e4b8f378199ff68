"""The last runs as Dagster recorded them: steps, their duration, failed checks, errors.

Belongs here: reading the event log. Of an error, only its kind, the lines of code and those words
of its message that the project's own code contains: a file name that a sender chose, or anything
else that got into a message, is not among them. Metadata is not read at all.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import dagster as dg

_RUNS = 10
"""How many runs are shown, the newest first."""
_PLACE = re.compile(r"(?:ccgi_pipeline|site-packages|python3\.\d+)/[\w./-]+\.py:\d+ in [\w<>]+")
_OURS = Path(__file__).parents[2]
_NOT_WORDS = {"synthetic", "support_bundle"}
"""Rooms whose words are not from messages, such as the invented names of students."""


def read_last_runs(home: Path) -> list[dict[str, Any]]:
    """Returns the newest runs of the instance in ``home``; none if there is no instance."""
    if not (home / "dagster.yaml").exists():
        return []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return [_run(instance, record) for record in instance.get_run_records(limit=_RUNS)]


def _run(instance: dg.DagsterInstance, record: dg.RunRecord) -> dict[str, Any]:
    run_id = record.dagster_run.run_id
    failures = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    checks = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    return {
        "job": record.dagster_run.job_name,
        "status": record.dagster_run.status.value,
        "began": f"{record.create_timestamp:%Y-%m-%dT%H:%MZ}",
        "seconds": _seconds(record.start_time, record.end_time),
        "steps": [
            {
                "step": step.step_key,
                "outcome": step.status.value if step.status else None,
                "seconds": _seconds(step.start_time, step.end_time),
            }
            for step in instance.get_run_step_stats(run_id)
        ],
        "errors": [_failure(event.event_log_entry.dagster_event) for event in failures.records],
        "checks that failed": [
            told
            for event in checks.records
            if (told := _failed_check(event.event_log_entry.dagster_event))
        ],
    }


def _seconds(began: float | None, ended: float | None) -> float | None:
    return round(ended - began, 1) if began and ended else None


def _failure(event: dg.DagsterEvent | None) -> dict[str, Any]:
    if event is None:
        return {}
    error = event.step_failure_data.error
    cause = error.cause if error and error.cause else error
    told = {"step": event.step_key}
    if cause is None:
        return told
    return told | {
        "kind": cause.cls_name,
        "message": keep_known_words(cause.message),
        **_places(cause),
    }


def _places(error: Any) -> dict[str, list[str]]:  # noqa: ANN401 - Dagster exports no name for it
    spelled = re.sub(r'", line (\d+), in ', r":\1 in ", "\n".join([error.message, *error.stack]))
    return {"code": list(dict.fromkeys(_PLACE.findall(spelled)))}


def _failed_check(event: dg.DagsterEvent | None) -> dict[str, str] | None:
    if event is None:
        return None
    evaluation = event.asset_check_evaluation_data
    if evaluation.passed:
        return None
    return {
        "asset": evaluation.asset_key.to_user_string(),
        "check": evaluation.check_name,
        "severity": evaluation.severity.value,
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
