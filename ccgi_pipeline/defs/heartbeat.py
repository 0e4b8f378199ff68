"""The heartbeat in Dagster: a sensor that checks the health of everything else.

Belongs here: the sensor, and reading what Dagster's instance knows. What follows from it is decided
in ``monitoring.health``; ``ccgi heartbeat`` checks the same from outside, also when the daemon is
down.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg

from ccgi_pipeline.common.errors import PermanentError, PipelineError
from ccgi_pipeline.defs.automation import (
    ServersRefuseError,
    find_missed_days,
    new_drops,
    night_job,
)
from ccgi_pipeline.defs.code_location import NAME, asset_key, own_runs
from ccgi_pipeline.defs.dagster_internals import (
    find_root_cause,
    read_check_evaluations,
    read_daemon_heartbeats,
    read_events,
    read_switch,
    read_tick_errors,
)
from ccgi_pipeline.defs.delivery import ALL_SENT, DELIVERIES, delivery_job
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.monitoring import health
from ccgi_pipeline.monitoring.alerts.channels import build_channels, record_and_send
from ccgi_pipeline.monitoring.alerts.store import open_alert_store
from ccgi_pipeline.monitoring.alerts.types import Alert, AlertKind
from ccgi_pipeline.monitoring.health import FactReader, FailedRun, FailedStep, OrchestratorState
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import read_profiles

_TICKS = 3
"""How many ticks of a sensor must have failed one after the other."""
_ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


class HeartbeatError(PermanentError):
    """Something is wrong with the machinery: the message says what, and where to read on."""


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Checks the sensor, nights, deliveries, disks and the catalog, and sends notices. "
    "Red: something is wrong with the machinery; the message says what to do. If this sensor does "
    "not run either, `ccgi heartbeat` reports it (docs/operating.md).",
)
def heartbeat(
    context: dg.SensorEvaluationContext, folders: dg.ResourceParam[NightFolders]
) -> dg.SkipReason:
    """Checks everything, and sends notices."""
    found, unsent = check_health(
        folders.paths, context.instance, watcher=health.FROM_INSIDE, notify=True
    )
    lines = [f"{alert.words}. What to do: {alert.link}" for alert in found]
    wrong = [line for t, line in zip(found, lines, strict=True) if t.kind is AlertKind.HEARTBEAT]
    if wrong or unsent:
        raise HeartbeatError("; ".join([*wrong, *unsent]))
    return dg.SkipReason("; ".join(lines) or "all is well")


def check_health(
    folders: PipelinePaths, instance: dg.DagsterInstance, *, watcher: str, notify: bool
) -> tuple[list[Alert], list[str]]:
    """Returns all alerts, and a message for each channel that could not send its notices.

    With ``notify``, notices of what is new or over are sent. ``watcher``: who checks. Raises
    ProfileError, NoticeSettingsError.
    """
    now = datetime.now(UTC)
    profiles = read_profiles(folders.warehouse)
    channels = list(build_channels(profiles.notices))
    with open_alert_store(folders.warehouse) as store:
        before = store.read_last_watch(watcher)
    facts = health.collect_facts(
        folders, profiles, read_orchestrator_state(instance), channels, now
    )
    if watcher == health.FROM_INSIDE:
        limit = timedelta(minutes=profiles.heartbeat.sensor_minutes)
        facts = replace(facts, just_started=before is None or now - before > limit)
    found, unchecked = health.judge_facts(facts, profiles.heartbeat)
    unsent = []
    if notify:
        unsent = record_and_send(folders.warehouse, profiles.notices, found, now, unchecked)
    with open_alert_store(folders.warehouse) as store:
        store.record_watch(watcher, now)  # only now: a check that broke off is missed by the other
    return found, unsent


def read_orchestrator_state(instance: dg.DagsterInstance) -> OrchestratorState:
    """Reads what the instance knows of its daemon, its sensor and its runs."""
    facts = FactReader()
    switch = facts.read("sensor", lambda: read_switch(instance, new_drops.name, NAME), None)
    daemons: Mapping[str, datetime] = {}
    failed: Sequence[FailedRun] = ()
    return OrchestratorState(
        daemons=facts.read("daemons", lambda: read_daemon_heartbeats(instance), daemons),
        sensor_on=switch.on if switch else None,
        sensor_since=switch.since if switch else None,
        sensor_errors=facts.read("sensor_errors", lambda: _find_sensor_errors(instance), ()),
        last_success=facts.read("last_success", lambda: _read_last_success(instance), None),
        running_since=facts.read(
            "running_since", lambda: _find_oldest_unfinished_run(instance), None
        ),
        failed=facts.read("failed", lambda: [*_find_failed_runs(instance)], failed),
        missed=facts.read("missed", lambda: find_missed_days(instance), ()),
        refusing=facts.read("refusing", lambda: _find_refusing_servers(instance), {}),
        unread=facts.unread,
    )


def _find_sensor_errors(instance: dg.DagsterInstance) -> tuple[str, ...]:
    """Returns the errors of the newest ticks if all failed; a refusing server is no fault."""
    errors = read_tick_errors(instance, new_drops.name, _TICKS, NAME)
    kinds = tuple(error.kind for error in errors if error)
    refused = ServersRefuseError.__name__ in kinds
    return kinds if len(kinds) == _TICKS and not refused else ()


def _read_last_success(instance: dg.DagsterInstance) -> datetime | None:
    good = own_runs(job_name=night_job.name, statuses=[dg.DagsterRunStatus.SUCCESS])
    for record in instance.get_run_records(good, limit=1):
        if record.end_time is not None:
            return datetime.fromtimestamp(record.end_time, UTC)
    return None


def _find_oldest_unfinished_run(instance: dg.DagsterInstance) -> datetime | None:
    under_way = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    records = instance.get_run_records(own_runs(statuses=under_way), limit=100)
    return min((record.create_timestamp for record in records), default=None)


def _find_failed_runs(instance: dg.DagsterInstance) -> Iterator[FailedRun]:
    """Finds the jobs whose newest run failed."""
    for job in (night_job.name, delivery_job.name):
        newest = instance.get_run_records(own_runs(job_name=job, statuses=_ENDED), limit=1)
        for record in newest:
            if record.dagster_run.status is not dg.DagsterRunStatus.SUCCESS:
                events = read_events(instance, record.dagster_run.run_id, FAILURES)
                yield FailedRun(job, tuple(find_failed_steps(events)))


_CHECK_FAILED = "DagsterAssetCheckFailedError"
"""Dagster's error for a blocking check that failed; its message names the check."""


FAILURES = {
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RESOURCE_INIT_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}
"""What makes a run fail: a step, a warehouse that could not be opened, or the process that leads
the run (another night is running, its process was killed)."""


def find_failed_steps(events: Iterable[dg.DagsterEvent]) -> Iterator[FailedStep]:
    """Finds the steps that failed; with a message if the error is one of the pipeline."""
    ours = {kind.__name__ for kind in health.list_error_types(PipelineError)}
    reported = False
    for event in events:
        # A run that failed because of a step or of the warehouse says nothing new.
        if event.event_type not in FAILURES or (
            reported and event.event_type is dg.DagsterEventType.RUN_FAILURE
        ):
            continue
        cause = find_root_cause(event)
        if cause is None and event.event_type is dg.DagsterEventType.RUN_FAILURE:
            continue  # the process of the run was killed
        reported = True
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


def _find_refusing_servers(instance: dg.DagsterInstance) -> dict[str, str]:
    """Returns the servers that refused the newest deliveries, and why."""
    key = dg.AssetCheckKey(asset_key(DELIVERIES), ALL_SENT)
    judged = read_check_evaluations(instance, key, _RECENT)
    if not judged:
        return {}
    evaluation = judged[0]
    if evaluation.passed or evaluation.severity is not dg.AssetCheckSeverity.ERROR:
        return {}
    return {server: str(reason.value) for server, reason in evaluation.metadata.items()}
