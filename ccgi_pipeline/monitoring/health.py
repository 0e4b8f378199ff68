"""The heartbeat: is the machinery alive, and is there anything that somebody should know of.

Belongs here: the facts that are looked at, and which troubles they are: pure functions, but for
``facts_of``, which reads the warehouse folder. What the orchestrator knows is handed in. Codes,
counts, names of steps and servers: nothing of a pupil. Does not belong here: telling (notices).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ccgi_pipeline.common.errors import PipelineError, free_gib, library_errors, to_pipeline_error
from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.delivery import ledger as deliveries
from ccgi_pipeline.intake.inbox_state import LastScan, read_last_scan
from ccgi_pipeline.monitoring.alerts import store as notice_book
from ccgi_pipeline.monitoring.alerts.types import Alert, Kind
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import HeartbeatSettings, Profiles
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.storage.catalog_health import find_catalog_fault
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, warehouse_exists

FROM_OUTSIDE, FROM_INSIDE = "outside", "inside"
"""The two watchers: the command that cron runs, and the sensor of the orchestrator."""


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step of a run that failed: the kind of its error, and its words if they are ours."""

    step: str
    error: str
    words: str | None


@dataclass(frozen=True, slots=True)
class FailedRun:
    """The newest run of a job, if it failed."""

    job: str
    steps: tuple[FailedStep, ...]


@dataclass(frozen=True, slots=True)
class Orchestrated:
    """What the orchestrator knows. Moments are UTC.

    ``daemons``: the last sign of life of each; empty if none ever ran. ``sensor_on``: whether the
    sensor of new files is switched on; None if nobody ever touched its switch. ``sensor_errors``:
    kinds of error of its newest looks, if each of them failed. ``sensor_since``: since when it is
    on. ``good_night``: when the last night that succeeded ended. ``running_since``: when the
    oldest run under way began. ``refusing``: servers that did not take deliveries, with the reason.
    """

    daemons: Mapping[str, datetime] = field(default_factory=dict)
    sensor_on: bool | None = None
    sensor_errors: tuple[str, ...] = ()
    sensor_since: datetime | None = None
    good_night: datetime | None = None
    running_since: datetime | None = None
    failed: Sequence[FailedRun] = ()
    refusing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is looked at.

    ``held``: drops that wait for an answer; None if the warehouse could not be asked. ``stuck``:
    per server how many files wait for it too long, and since when. ``free``: GiB by folder.
    ``catalog_fault``: what is wrong with the catalog. ``unsent_since``: since when a notice waits.
    ``just_started``: the sensor ``heartbeat`` looks for the first time since its daemon was
    started; others may not have come to it yet. ``outside_at``, ``inside_at``: when the command,
    and the sensor ``heartbeat``, looked last.
    """

    now: datetime
    orchestrated: Orchestrated = field(default_factory=Orchestrated)
    look: LastScan | None = None
    held: Sequence[approvals.Hold] | None = ()
    stuck: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)
    free: Mapping[str, float] = field(default_factory=dict)
    catalog_fault: str | None = None
    unsent_since: datetime | None = None
    outside_at: datetime | None = None
    inside_at: datetime | None = None
    just_started: bool = False


def facts_of(
    folders: PipelinePaths,
    profiles: Profiles,
    orchestrated: Orchestrated,
    channels: Sequence[str],
    now: datetime,
) -> Facts:
    """The facts, as the folders have them. Whatever is broken there is a fact, and no error."""
    warehouse = folders.warehouse
    fault = find_catalog_fault(warehouse)
    held: Sequence[approvals.Hold] | None = None
    if fault is None:
        try:
            held = _held(folders)
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
    if notice_book.exists(warehouse):
        with notice_book.open_book(warehouse) as book:
            unsent_since = book.waiting_since(channels)
            outside_at = book.last_watched(FROM_OUTSIDE)
            inside_at = book.last_watched(FROM_INSIDE)
    return Facts(
        now=now,
        orchestrated=orchestrated,
        look=read_last_scan(warehouse),
        held=held,
        stuck=stuck,
        free={str(place): free_gib(place) for place in folders.write_folders},
        catalog_fault=fault,
        unsent_since=unsent_since,
        outside_at=outside_at,
        inside_at=inside_at,
    )


def _held(folders: PipelinePaths) -> Sequence[approvals.Hold]:
    if not warehouse_exists(folders.warehouse):
        return ()
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return [
            h for h in approvals.read_holds(connection) if h.decision is None and not h.obsolete
        ]


# --- what the facts mean --------------------------------------------------------------------------


def troubles(facts: Facts, settings: HeartbeatSettings) -> list[Alert]:
    """All that somebody should know of."""
    machinery = [
        found for found in _machinery(facts, settings) if found.page not in settings.ignore
    ]
    return [
        *machinery,
        *_failed_runs(facts),
        *_refusing(facts),
        *_held_drops(facts),
        *_stuck(facts),
    ]


def unknown(facts: Facts) -> list[Kind]:
    """The kinds of trouble that could not be looked for."""
    return [Kind.DROPS_HELD] if facts.held is None else []


def _machinery(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    yield from _daemon_and_sensor(facts, settings)
    yield from _nights(facts, settings)
    if facts.catalog_fault is not None:
        yield _finding("catalog_unreadable", facts.catalog_fault)
    full = {place: free for place, free in facts.free.items() if free < settings.free_gib}
    if full:
        rooms = ", ".join(f"{free:.1f} GiB at {place}" for place, free in full.items())
        yield _finding("disk_low", f"there is little room left: {rooms}")
    yield from _watchers(facts, settings)


def _daemon_and_sensor(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    known = facts.orchestrated
    limit = timedelta(minutes=settings.daemon_minutes)
    silent = {name: at for name, at in known.daemons.items() if facts.now - at > limit}
    if silent and not facts.just_started:
        yield _finding(
            "daemon_silent",
            f"Dagster's daemon has given no sign of life since {_at(min(silent.values()))} "
            f"({', '.join(sorted(silent))}): no night starts by itself",
        )
    if known.sensor_on is False:
        yield _finding("sensor_stopped", "the sensor new_drops is switched off: new files wait")
    if not known.sensor_on:
        return
    looked = facts.look.at if facts.look else None
    alive = max((at for at in (looked, known.sensor_since) if at), default=None)
    if known.sensor_errors:
        kinds = ", ".join(sorted(set(known.sensor_errors)))
        yield _finding("sensor_failing", f"the sensor new_drops fails at every look ({kinds})")
    elif not facts.just_started and (
        alive is None or facts.now - alive > timedelta(minutes=settings.sensor_minutes)
    ):
        when = "has not looked yet" if looked is None else f"has not looked since {_at(looked)}"
        yield _finding("sensor_silent", f"the sensor new_drops {when}")


def _nights(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    known = facts.orchestrated
    ended = known.good_night
    if ended is None:
        yield _finding("night_late", "no night has ended well yet")
    elif facts.now - ended > timedelta(hours=settings.night_hours):
        yield _finding("night_late", f"no night has ended well since {_at(ended)}")
    began = known.running_since
    if began is not None and facts.now - began > timedelta(hours=settings.run_hours):
        yield _finding("run_stuck", f"a run is under way since {_at(began)}")


_UNSENT = timedelta(minutes=15)
"""So long a notice may wait: a mail server that restarts is no trouble."""


def _watchers(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    waits = facts.unsent_since
    if waits is not None and facts.now - waits > _UNSENT:
        yield _finding("notices_unsent", f"notices could not be sent since {_at(waits)}")
    outside = facts.outside_at
    if outside is not None and facts.now - outside > timedelta(minutes=settings.heartbeat_minutes):
        yield _finding(
            "heartbeat_silent", f"`ccgi heartbeat` has not been run since {_at(outside)}"
        )
    inside, daemons = facts.inside_at, facts.orchestrated.daemons
    limit = timedelta(minutes=settings.sensor_minutes)
    # Where the daemon is dead, that is told, and not what follows from it.
    alive = daemons and facts.now - min(daemons.values()) <= timedelta(
        minutes=settings.daemon_minutes
    )
    if alive and inside is not None and facts.now - inside > limit:
        words = f"the sensor heartbeat has not looked since {_at(inside)}"
        yield Alert(Kind.HEARTBEAT, "heartbeat_silent/inside", words, "heartbeat_silent")


def _finding(name: str, words: str) -> Alert:
    return Alert(Kind.HEARTBEAT, name, words, name)


def _failed_runs(facts: Facts) -> Iterator[Alert]:
    ours = _names_of_errors()
    for run in facts.orchestrated.failed:
        steps = [f"{s.step} ({s.words or s.error})" for s in run.steps] or ["it was ended"]
        causes = {(step.step, step.error) for step in run.steps}
        page = next((step.error for step in run.steps if step.error in ours), "run_failed")
        subject = "/".join([run.job, *(f"{step}:{error}" for step, error in sorted(causes))])
        yield Alert(Kind.RUN_FAILED, subject, f"{run.job}: {'; '.join(steps)}", page)


def _names_of_errors() -> set[str]:
    return {kind.__name__ for kind in kinds_of(PipelineError)}


def kinds_of(error: type[PipelineError]) -> Iterator[type[PipelineError]]:
    """Every kind of ``error`` below it."""
    for kind in error.__subclasses__():
        yield kind
        yield from kinds_of(kind)


def _refusing(facts: Facts) -> Iterator[Alert]:
    looked = facts.look.refusing if facts.look else {}
    for server, why in {**facts.orchestrated.refusing, **looked}.items():
        yield Alert(Kind.SERVER_REFUSES, server, why, Kind.SERVER_REFUSES.value)


def _held_drops(facts: Facts) -> Iterator[Alert]:
    for held in facts.held or ():
        whole = [loss.would_end for loss in held.losses if loss.school is None]
        would_end = sum(whole or [loss.would_end for loss in held.losses])
        words = (
            f"{held.family} of {held.sender}, held since the night of {held.night:%Y-%m-%d}: "
            f"{would_end:,} records would end"
        )
        yield Alert(Kind.DROPS_HELD, held.drop, words, Kind.DROPS_HELD.value)


def _stuck(facts: Facts) -> Iterator[Alert]:
    for server, (files, since) in facts.stuck.items():
        words = f"{files:,} files wait for {server}, the oldest since {_at(since)}"
        yield Alert(Kind.DELIVERIES_STUCK, server, words, Kind.DELIVERIES_STUCK.value)


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(CALIFORNIA):%Y-%m-%d %H:%M} (California)"
