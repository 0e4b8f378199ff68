"""The last runs of this warehouse as Dagster recorded them, for the support bundle and the pages.

Belongs here: turning Dagster's records into plain values. Metadata is not read at all. Does not
belong here: what of them may be told (monitoring.support_bundle.runs, dashboards).
"""

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.dashboards.state_facts import NightTime
from ccgi_pipeline.defs.code_location import own_runs
from ccgi_pipeline.defs.dagster_internals import find_root_cause, read_events, read_step_times
from ccgi_pipeline.monitoring.support_bundle.runs import (
    FailedCheck,
    RecordedError,
    RecordedRun,
    RecordedStep,
)

_RUNS = 10
"""How many runs are read, the newest first."""


def read_last_runs(home: Path) -> list[RecordedRun]:
    """Returns the newest runs of the instance in ``home``; none if there is no instance."""
    if not (home / "dagster.yaml").exists():
        return []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        records = instance.get_run_records(own_runs(), limit=_RUNS)
        return [_read_run(instance, record) for record in records]


NIGHT_JOB = "night"
_NIGHTS = 120
"""How many nights are looked at: on one day there may be several."""


def read_night_times(instance: dg.DagsterInstance) -> list[NightTime]:
    """Returns how long the last nights took that succeeded, the oldest first."""
    succeeded = own_runs(job_name=NIGHT_JOB, statuses=[dg.DagsterRunStatus.SUCCESS])
    found = []
    for record in instance.get_run_records(succeeded, limit=_NIGHTS):
        seconds = _seconds(record.start_time, record.end_time)
        if seconds is not None:
            found.append(NightTime(_find_night(record), seconds))
    return found[::-1]


def read_recorded_night_times(home: Path) -> list[NightTime]:
    """Returns the same from the instance in ``home``; nothing if there is no instance."""
    if not (home / "dagster.yaml").exists():
        return []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return read_night_times(instance)


def _find_night(record: dg.RunRecord) -> date:
    """Returns the day of a night: the one that was asked for, or that of the run in California."""
    config: Any = record.dagster_run.run_config
    day = config.get("resources", {}).get("night", {}).get("config", {}).get("date")
    if day:
        return date.fromisoformat(day)
    return record.create_timestamp.astimezone(CALIFORNIA).date()


def _read_run(instance: dg.DagsterInstance, record: dg.RunRecord) -> RecordedRun:
    run_id = record.dagster_run.run_id
    failures = read_events(instance, run_id, [dg.DagsterEventType.STEP_FAILURE])
    checks = read_events(instance, run_id, [dg.DagsterEventType.ASSET_CHECK_EVALUATION])
    judged = [event.asset_check_evaluation_data for event in checks]
    return RecordedRun(
        job=record.dagster_run.job_name,
        status=record.dagster_run.status.value,
        began=record.create_timestamp,
        seconds=_seconds(record.start_time, record.end_time),
        steps=tuple(
            RecordedStep(step.step, step.outcome, _seconds(step.began, step.ended))
            for step in read_step_times(instance, run_id)
        ),
        errors=tuple(_read_error(event) for event in failures),
        failed_checks=tuple(
            FailedCheck(one.asset_key.to_user_string(), one.check_name, one.severity.value)
            for one in judged
            if not one.passed
        ),
    )


def _read_error(event: dg.DagsterEvent) -> RecordedError:
    found = find_root_cause(event)
    if found is None:
        return RecordedError(event.step_key, None, "", "")
    return RecordedError(event.step_key, found.kind, found.message, found.stack)


def _seconds(began: float | None, ended: float | None) -> float | None:
    return round(ended - began, 1) if began and ended else None
