"""The heartbeat in Dagster: a sensor that watches the others, and tells what it finds.

Belongs here: what Dagster's instance knows, as facts; the sensor. What the facts mean is decided
in ``heartbeat``; ``ccgi heartbeat`` looks at the same from outside, also when the daemon is dead.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from ccgi_pipeline.common.errors import PermanentError, PipelineError
from ccgi_pipeline.defs.automation import ServersRefuseError, new_drops, night_job
from ccgi_pipeline.defs.dagster_internals import (
    find_root_cause,
    read_check_evaluations,
    read_daemon_heartbeats,
    read_events,
    read_sensor_switch,
    read_tick_errors,
)
from ccgi_pipeline.defs.delivery import ALL_SENT, DELIVERIES, delivery_job
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.monitoring import health as deciding
from ccgi_pipeline.monitoring.alerts.channels import channels, tell
from ccgi_pipeline.monitoring.alerts.store import open_book
from ccgi_pipeline.monitoring.alerts.types import Alert, Kind
from ccgi_pipeline.monitoring.health import FailedRun, FailedStep, Orchestrated
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import read_profiles

_LOOKS = 3
"""So many looks of a sensor must have failed one after the other."""
_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


class HeartbeatError(PermanentError):
    """Something is wrong with the machinery; the message says what, and where to read on."""


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks whether sensor, nights, deliveries, disks and catalog are well, and sends "
    "notices. Red: something is wrong with the machinery; the message says what to do. If this "
    "one is dead too, `ccgi heartbeat` tells (docs/operating.md).",
)
def heartbeat(
    context: dg.SensorEvaluationContext, folders: dg.ResourceParam[NightFolders]
) -> dg.SkipReason:
    """Looks, and tells."""
    found, unsent = look_and_tell(
        folders.paths, context.instance, watcher=deciding.FROM_INSIDE, notify=True
    )
    told = [f"{trouble.words}. What to do: {trouble.link}" for trouble in found]
    wrong = [line for t, line in zip(found, told, strict=True) if t.kind is Kind.HEARTBEAT]
    if wrong or unsent:
        raise HeartbeatError("; ".join([*wrong, *unsent]))
    return dg.SkipReason("; ".join(told) or "all is well")


def look_and_tell(
    folders: PipelinePaths, instance: dg.DagsterInstance, *, watcher: str, notify: bool
) -> tuple[list[Alert], list[str]]:
    """All troubles, and notices that could not be sent; with ``notify`` what is new is told.

    ``watcher``: who looks. Raises ProfileError, NoticeSettingsError.
    """
    now = datetime.now(UTC)
    profiles = read_profiles(folders.warehouse)
    ways = list(channels(profiles.notices))
    with open_book(folders.warehouse) as book:
        before = book.last_watched(watcher)
        book.watched(watcher, now)
    facts = deciding.facts_of(folders, profiles, orchestrated(instance), ways, now)
    if watcher == deciding.FROM_INSIDE:
        limit = timedelta(minutes=profiles.heartbeat.sensor_minutes)
        facts = replace(facts, just_started=before is None or now - before > limit)
    found = deciding.troubles(facts, profiles.heartbeat)
    unsent = []
    if notify:
        blind = deciding.unknown(facts)
        unsent = tell(folders.warehouse, profiles.notices, found, now, blind)
    return found, unsent


def orchestrated(instance: dg.DagsterInstance) -> Orchestrated:
    """What the instance knows of its daemon, its sensor, and its runs."""
    switch = read_sensor_switch(instance, new_drops.name)
    return Orchestrated(
        daemons=read_daemon_heartbeats(instance),
        sensor_on=switch.on if switch else None,
        sensor_since=switch.since if switch else None,
        sensor_errors=_sensor_errors(instance),
        good_night=_good_night(instance),
        running_since=_running_since(instance),
        failed=[*_failed(instance)],
        refusing=_refusing(instance),
    )


def _sensor_errors(instance: dg.DagsterInstance) -> tuple[str, ...]:
    """Kinds of the errors of the newest looks, if all failed; a server that refuses is no fault."""
    errors = read_tick_errors(instance, new_drops.name, _LOOKS)
    kinds = tuple(error.kind for error in errors if error)
    refused = ServersRefuseError.__name__ in kinds
    return kinds if len(kinds) == _LOOKS and not refused else ()


def _good_night(instance: dg.DagsterInstance) -> datetime | None:
    good = dg.RunsFilter(job_name=night_job.name, statuses=[dg.DagsterRunStatus.SUCCESS])
    for record in instance.get_run_records(good, limit=1):
        if record.end_time is not None:
            return datetime.fromtimestamp(record.end_time, UTC)
    return None


def _running_since(instance: dg.DagsterInstance) -> datetime | None:
    under_way = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    records = instance.get_run_records(dg.RunsFilter(statuses=under_way), limit=100)
    return min((record.create_timestamp for record in records), default=None)


def _failed(instance: dg.DagsterInstance) -> Iterator[FailedRun]:
    """The newest run of each job, if it failed."""
    for job in (night_job.name, delivery_job.name):
        newest = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=_ENDED), limit=1)
        for record in newest:
            if record.dagster_run.status is not dg.DagsterRunStatus.SUCCESS:
                events = read_events(instance, record.dagster_run.run_id, FAILURES)
                yield FailedRun(job, tuple(failed_steps(events)))


_CHECK_FAILED = "DagsterAssetCheckFailedError"
"""Dagster's word for a red blocking check; its message names the check."""


FAILURES = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RESOURCE_INIT_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}
"""What makes a run fail: a step, that the warehouse could not be opened, or the process that leads
the run (another night is on, a worker was lost)."""


def failed_steps(events: Iterable[dg.DagsterEvent]) -> Iterator[FailedStep]:
    """Which steps failed, and why where the reason is an error of ours."""
    ours = {kind.__name__ for kind in deciding.kinds_of(PipelineError)}
    told = False
    for event in events:
        # A run fails with its steps, or with the warehouse: then they have told why.
        if event.event_type not in FAILURES or (
            told and event.event_type is dg.DagsterEventType.RUN_FAILURE
        ):
            continue
        cause = find_root_cause(event)
        if cause is None and event.event_type is dg.DagsterEventType.RUN_FAILURE:
            continue  # the process of the run was killed
        told = True
        step = event.is_step_failure
        kind = cause.kind if cause else "unknown"
        words = None
        if cause and kind in {*ours, _CHECK_FAILED}:
            words = cause.message.strip().split(": ", 1)[-1]
        yield FailedStep((step and event.step_key) or _PLACES[event.event_type], kind, words)


_PLACES = {
    dg.DagsterEventType.STEP_FAILURE: "a step",
    dg.DagsterEventType.RESOURCE_INIT_FAILURE: "opening the warehouse",
    dg.DagsterEventType.RUN_FAILURE: "the run",
}


_RECENT = 20


def _refusing(instance: dg.DagsterInstance) -> dict[str, str]:
    """Servers at which the newest deliveries failed until somebody acts."""
    key = dg.AssetCheckKey(dg.AssetKey(DELIVERIES), ALL_SENT)
    judged = read_check_evaluations(instance, key, _RECENT)
    if not judged:
        return {}
    evaluation = judged[0]
    if evaluation.passed or evaluation.severity is not dg.AssetCheckSeverity.ERROR:
        return {}
    return {server: str(told.value) for server, told in evaluation.metadata.items()}
