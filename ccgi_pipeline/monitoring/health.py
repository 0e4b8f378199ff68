"""The health of the pipeline: which facts are collected, and which alerts follow from them.

Belongs here: the facts, and the rules that make alerts of them. Only ``collect_facts`` reads
anything: the warehouse folder. What Dagster knows is passed in. Codes, counts, names of steps and
servers: nothing of a student. Does not belong here: notices (alerts).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ccgi_pipeline.common.errors import PipelineError, free_gib, library_errors, to_pipeline_error
from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.delivery import ledger as deliveries
from ccgi_pipeline.intake.inbox_state import LastScan, read_last_scan
from ccgi_pipeline.monitoring.alerts import store as alert_store
from ccgi_pipeline.monitoring.alerts.types import Alert, AlertKind
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import HeartbeatSettings, Profiles
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.storage.catalog_health import find_catalog_fault
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, warehouse_exists

FROM_OUTSIDE, FROM_INSIDE = "outside", "inside"
"""The two watchers: the command that cron runs, and the orchestrator's sensor."""


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step that failed: the kind of its error, and the message if it is one of the pipeline."""

    step: str
    error: str
    words: str | None


@dataclass(frozen=True, slots=True)
class FailedRun:
    """The newest run of a job, which failed."""

    job: str
    steps: tuple[FailedStep, ...]


@dataclass(frozen=True, slots=True)
class OrchestratorState:
    """What the orchestrator knows. Times are UTC.

    ``daemons``: when each last reported; empty if none ever ran. ``sensor_on``: whether the
    sensor of new files is switched on; None if nobody ever touched its switch. ``sensor_errors``:
    kinds of error of its newest ticks, if each of them failed. ``sensor_since``: since when it is
    on. ``last_success``: when the last night that succeeded ended. ``running_since``: when the
    oldest run that has not ended began. ``refusing``: servers that refuse deliveries, and why.
    """

    daemons: Mapping[str, datetime] = field(default_factory=dict)
    sensor_on: bool | None = None
    sensor_errors: tuple[str, ...] = ()
    sensor_since: datetime | None = None
    last_success: datetime | None = None
    running_since: datetime | None = None
    failed: Sequence[FailedRun] = ()
    refusing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules judge.

    ``last_scan``: the last scan of the inboxes. ``held``: drops that wait for an approval; None if
    the warehouse could not be read. ``stuck``: for each server, how many files have waited too
    long, and since when. ``free``: GiB by folder. ``catalog_fault``: what is wrong with the
    catalog. ``unsent_since``: since when a notice waits. ``outside_at``, ``inside_at``: when the
    command, and the sensor ``heartbeat``, last ran. ``just_started``: this is the first tick of
    ``heartbeat`` since its daemon was started; other sensors may not have had one yet.
    """

    now: datetime
    orchestrator: OrchestratorState = field(default_factory=OrchestratorState)
    last_scan: LastScan | None = None
    held: Sequence[approvals.Hold] | None = ()
    stuck: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)
    free: Mapping[str, float] = field(default_factory=dict)
    catalog_fault: str | None = None
    unsent_since: datetime | None = None
    outside_at: datetime | None = None
    inside_at: datetime | None = None
    just_started: bool = False


def collect_facts(
    folders: PipelinePaths,
    profiles: Profiles,
    orchestrator: OrchestratorState,
    channels: Sequence[str],
    now: datetime,
) -> Facts:
    """Reads the facts from the folders. A fault that is found there is a fact, not an error."""
    warehouse = folders.warehouse
    fault = find_catalog_fault(warehouse)
    held: Sequence[approvals.Hold] | None = None
    if fault is None:
        try:
            held = _read_held_drops(folders)
        except library_errors() as error:
            ours = to_pipeline_error(error, folders.write_folders)
            # A night that makes a new warehouse has it to itself for a moment.
            fault = str(ours) if warehouse_exists(warehouse) else None
    stuck: dict[str, tuple[int, datetime]] = {}
    if deliveries.ledger_exists(warehouse):
        with deliveries.open_ledger(warehouse) as ledger:
            waits = timedelta(hours=profiles.heartbeat.delivery_hours)
            stuck = ledger.count_waiting(now - waits)
    unsent_since = outside_at = inside_at = None
    if alert_store.exists(warehouse):
        with alert_store.open_alert_store(warehouse) as store:
            unsent_since = store.read_unsent_since(channels)
            outside_at = store.read_last_watch(FROM_OUTSIDE)
            inside_at = store.read_last_watch(FROM_INSIDE)
    return Facts(
        now=now,
        orchestrator=orchestrator,
        last_scan=read_last_scan(warehouse),
        held=held,
        stuck=stuck,
        free={str(place): free_gib(place) for place in folders.write_folders},
        catalog_fault=fault,
        unsent_since=unsent_since,
        outside_at=outside_at,
        inside_at=inside_at,
    )


def _read_held_drops(folders: PipelinePaths) -> Sequence[approvals.Hold]:
    if not warehouse_exists(folders.warehouse):
        return ()
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return [
            h for h in approvals.read_holds(connection) if h.decision is None and not h.obsolete
        ]


# --- the rules ------------------------------------------------------------------------------------


def find_alerts(facts: Facts, settings: HeartbeatSettings) -> list[Alert]:
    """Returns all that an operator should know of."""
    machinery = [
        found for found in _judge_machinery(facts, settings) if found.page not in settings.ignore
    ]
    return [
        *machinery,
        *_judge_failed_runs(facts),
        *_judge_servers(facts),
        *_judge_held_drops(facts),
        *_judge_waiting_files(facts),
    ]


def list_unchecked_kinds(facts: Facts) -> list[AlertKind]:
    """Returns the kinds of alert that could not be checked."""
    return [AlertKind.DROPS_HELD] if facts.held is None else []


def _judge_machinery(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    yield from _judge_daemon_and_sensor(facts, settings)
    yield from _judge_nights(facts, settings)
    if facts.catalog_fault is not None:
        yield _heartbeat_alert("catalog_unreadable", facts.catalog_fault)
    full = {place: free for place, free in facts.free.items() if free < settings.free_gib}
    if full:
        rooms = ", ".join(f"{free:.1f} GiB in {place}" for place, free in full.items())
        yield _heartbeat_alert("disk_low", f"little disk space is left: {rooms}")
    yield from _judge_watchers(facts, settings)


def _judge_daemon_and_sensor(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    known = facts.orchestrator
    limit = timedelta(minutes=settings.daemon_minutes)
    silent = {name: at for name, at in known.daemons.items() if facts.now - at > limit}
    if silent and not facts.just_started:
        yield _heartbeat_alert(
            "daemon_silent",
            f"Dagster's daemon has not reported since {_format_time(min(silent.values()))} "
            f"({', '.join(sorted(silent))}): no night starts by itself",
        )
    if known.sensor_on is False:
        yield _heartbeat_alert(
            "sensor_stopped", "the sensor new_drops is switched off: new files wait"
        )
    if not known.sensor_on:
        return
    scanned = facts.last_scan.at if facts.last_scan else None
    alive = max((at for at in (scanned, known.sensor_since) if at), default=None)
    if known.sensor_errors:
        kinds = ", ".join(sorted(set(known.sensor_errors)))
        yield _heartbeat_alert(
            "sensor_failing", f"the sensor new_drops fails at every tick ({kinds})"
        )
    elif not facts.just_started and (
        alive is None or facts.now - alive > timedelta(minutes=settings.sensor_minutes)
    ):
        when = (
            "has not run yet" if scanned is None else f"has not run since {_format_time(scanned)}"
        )
        yield _heartbeat_alert("sensor_silent", f"the sensor new_drops {when}")


def _judge_nights(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    known = facts.orchestrator
    ended = known.last_success
    if ended is None:
        yield _heartbeat_alert("night_late", "no night has succeeded yet")
    elif facts.now - ended > timedelta(hours=settings.night_hours):
        yield _heartbeat_alert("night_late", f"no night has succeeded since {_format_time(ended)}")
    began = known.running_since
    if began is not None and facts.now - began > timedelta(hours=settings.run_hours):
        yield _heartbeat_alert("run_stuck", f"a run has been under way since {_format_time(began)}")


_UNSENT = timedelta(minutes=15)
"""How long a notice may wait: a mail server that restarts is no reason for an alert."""


def _judge_watchers(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    waits = facts.unsent_since
    if waits is not None and facts.now - waits > _UNSENT:
        yield _heartbeat_alert(
            "notices_unsent", f"notices have been waiting to be sent since {_format_time(waits)}"
        )
    outside = facts.outside_at
    if outside is not None and facts.now - outside > timedelta(minutes=settings.heartbeat_minutes):
        yield _heartbeat_alert(
            "heartbeat_silent", f"`ccgi heartbeat` has not run since {_format_time(outside)}"
        )
    inside, daemons = facts.inside_at, facts.orchestrator.daemons
    limit = timedelta(minutes=settings.sensor_minutes)
    # A daemon that is down is reported by itself: its sensors are silent because of it.
    alive = daemons and facts.now - min(daemons.values()) <= timedelta(
        minutes=settings.daemon_minutes
    )
    if alive and inside is not None and facts.now - inside > limit:
        words = f"the sensor heartbeat has not run since {_format_time(inside)}"
        yield Alert(AlertKind.HEARTBEAT, "heartbeat_silent/inside", words, "heartbeat_silent")


def _heartbeat_alert(name: str, words: str) -> Alert:
    return Alert(AlertKind.HEARTBEAT, name, words, name)


def _judge_failed_runs(facts: Facts) -> Iterator[Alert]:
    ours = _pipeline_error_names()
    for run in facts.orchestrator.failed:
        steps = [f"{s.step} ({s.words or s.error})" for s in run.steps] or [
            "it was stopped, or its process was killed"
        ]
        causes = {(step.step, step.error) for step in run.steps}
        page = next((step.error for step in run.steps if step.error in ours), "run_failed")
        subject = "/".join([run.job, *(f"{step}:{error}" for step, error in sorted(causes))])
        yield Alert(AlertKind.RUN_FAILED, subject, f"{run.job}: {'; '.join(steps)}", page)


def _pipeline_error_names() -> set[str]:
    return {kind.__name__ for kind in list_error_types(PipelineError)}


def list_error_types(error: type[PipelineError]) -> Iterator[type[PipelineError]]:
    """Returns all subclasses of ``error``, direct or not."""
    for kind in error.__subclasses__():
        yield kind
        yield from list_error_types(kind)


def _judge_servers(facts: Facts) -> Iterator[Alert]:
    at_scan = facts.last_scan.refusing if facts.last_scan else {}
    for server, why in {**facts.orchestrator.refusing, **at_scan}.items():
        yield Alert(AlertKind.SERVER_REFUSES, server, why, AlertKind.SERVER_REFUSES.value)


def _judge_held_drops(facts: Facts) -> Iterator[Alert]:
    for held in facts.held or ():
        whole = [loss.would_end for loss in held.losses if loss.school is None]
        would_end = sum(whole or [loss.would_end for loss in held.losses])
        words = (
            f"{held.family} of {held.sender}, held since the night of {held.night:%Y-%m-%d}: "
            f"{would_end:,} records would end"
        )
        yield Alert(AlertKind.DROPS_HELD, held.drop, words, AlertKind.DROPS_HELD.value)


def _judge_waiting_files(facts: Facts) -> Iterator[Alert]:
    for server, (files, since) in facts.stuck.items():
        words = f"{files:,} files wait for {server}, the oldest since {_format_time(since)}"
        yield Alert(AlertKind.DELIVERIES_STUCK, server, words, AlertKind.DELIVERIES_STUCK.value)


def _format_time(moment: datetime) -> str:
    return f"{moment.astimezone(CALIFORNIA):%Y-%m-%d %H:%M} (California)"
