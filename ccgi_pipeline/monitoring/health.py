"""The health of the pipeline: which facts are collected, and which alerts follow from them.

Belongs here: the facts, and the rules that make alerts of them. Only ``collect_facts`` reads
anything: the warehouse folder. What Dagster knows is passed in. Codes, counts, names of steps and
servers: nothing of a student. Does not belong here: notices (alerts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeVar

from ccgi_pipeline.common.errors import (
    PipelineError,
    UnexpectedError,
    free_gib,
    library_errors,
    to_pipeline_error,
)
from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.delivery import ledger as deliveries
from ccgi_pipeline.delivery.envelopes import find_held_owners
from ccgi_pipeline.encryption.openpgp_key_store import read_key_ring
from ccgi_pipeline.encryption.openpgp_keys import KeyRing, find_key_warnings
from ccgi_pipeline.intake.inbox_state import LastScan, read_last_scan
from ccgi_pipeline.monitoring.alerts import store as alert_store
from ccgi_pipeline.monitoring.alerts.types import Alert, AlertKind
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.oneroster_api.fetch_status import FetchStatus, read_fetch_statuses
from ccgi_pipeline.profiles import HeartbeatSettings, Profiles
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.load.claims import count_waiting_claims, read_claims
from ccgi_pipeline.warehouse.queries.applications import count_shared_cccids
from ccgi_pipeline.warehouse.storage.catalog_health import find_catalog_fault
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, warehouse_exists
from ccgi_pipeline.warehouse.storage.schema import missing_table_statements

T = TypeVar("T")
D = TypeVar("D")

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
    oldest run that has not ended began. ``missed``: days whose scheduled night was not made, though
    a later one was. ``refusing``: servers that refuse deliveries, and why. ``unread``: names of
    fields that could not be read, each with the error.
    """

    daemons: Mapping[str, datetime] = field(default_factory=dict)
    sensor_on: bool | None = None
    sensor_errors: tuple[str, ...] = ()
    sensor_since: datetime | None = None
    last_success: datetime | None = None
    running_since: datetime | None = None
    failed: Sequence[FailedRun] = ()
    missed: Sequence[date] = ()
    refusing: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


class FactReader:
    """Reads facts one by one: one that cannot be read does not hide the others.

    ``unread`` has the name and the error of each fact that could not be read.
    """

    def __init__(self) -> None:
        """Begins with nothing unread."""
        self.unread: dict[str, str] = {}

    def read(self, name: str, read: Callable[[], T], otherwise: D) -> T | D:
        """Returns what ``read`` returns, or ``otherwise`` if it fails."""
        try:
            return read()
        except library_errors() as error:
            self.unread[name] = _describe_fault(error)
            return otherwise


def _describe_fault(error: BaseException) -> str:
    """Returns a pipeline error's message, or the kind of another error, which may hold values."""
    known = to_pipeline_error(error)
    return type(error).__name__ if isinstance(known, UnexpectedError) else str(known)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules judge.

    ``last_scan``: the last scan of the inboxes. ``held``: drops that wait for an approval; None if
    the warehouse could not be read. ``claims``: by district, how many SSIDs of its roster wait for
    an operator; None likewise. ``shared_cccids``: CCCIDs of two students or more; None likewise.
    ``stuck``: for each server, how many files have waited too long, and since when. ``keys``: the
    OpenPGP keys. ``held_owners``: to whom nothing may be sent for its keys, and why.
    ``fetches``: the status of each roster that is fetched by API. ``free``: GiB by folder.
    ``catalog_fault``: what is wrong with the catalog. ``unsent_since``: since when a notice waits.
    ``outside_at``, ``inside_at``: when the command, and the sensor ``heartbeat``, last ran.
    ``just_started``: this is the first tick of ``heartbeat`` since its daemon was started; other
    sensors may not have had one yet. ``unread``: names of fields that could not be read, each with
    the error.
    """

    now: datetime
    orchestrator: OrchestratorState = field(default_factory=OrchestratorState)
    last_scan: LastScan | None = None
    held: Sequence[approvals.Hold] | None = ()
    claims: Mapping[str, int] | None = field(default_factory=dict)
    shared_cccids: int | None = 0
    stuck: Mapping[str, tuple[int, datetime]] = field(default_factory=dict)
    keys: KeyRing = field(default_factory=KeyRing)
    held_owners: Mapping[str, str] = field(default_factory=dict)
    fetches: Sequence[FetchStatus] = ()
    free: Mapping[str, float] = field(default_factory=dict)
    catalog_fault: str | None = None
    unsent_since: datetime | None = None
    outside_at: datetime | None = None
    inside_at: datetime | None = None
    just_started: bool = False
    unread: Mapping[str, str] = field(default_factory=dict)


def collect_facts(
    folders: PipelinePaths,
    profiles: Profiles,
    orchestrator: OrchestratorState,
    channels: Sequence[str],
    now: datetime,
) -> Facts:
    """Reads the facts from the folders. A fault that is found there is a fact, not an error."""
    warehouse, facts = folders.warehouse, FactReader()
    fault = facts.read("catalog_fault", lambda: find_catalog_fault(warehouse), None)
    waiting = _Waiting(None, None, None)
    if fault is None:
        try:
            waiting = _read_waiting(folders)
        except library_errors() as error:
            ours = to_pipeline_error(error, folders.write_folders)
            # A night that makes a new warehouse has it to itself for a moment.
            fault = str(ours) if warehouse_exists(warehouse) else None
    before = now - timedelta(hours=profiles.heartbeat.delivery_hours)
    none_waits: dict[str, tuple[int, datetime]] = {}
    stuck = facts.read("stuck", lambda: _count_waiting_files(folders, before), none_waits)
    no_keys, nobody = KeyRing(), dict[str, str]()
    keys = facts.read("keys", lambda: read_key_ring(warehouse), no_keys)
    held_owners = facts.read("keys", lambda: find_held_owners(keys, profiles, now), nobody)
    fetches = facts.read(
        "fetches", lambda: read_fetch_statuses(warehouse, profiles, now), list[FetchStatus]()
    )
    watch = facts.read("watch", lambda: _read_watch(folders, channels), _Watch())
    last_scan = facts.read("last_scan", lambda: read_last_scan(warehouse), None)
    unknown: dict[str, float] = {}
    free = facts.read(
        "free", lambda: {str(place): free_gib(place) for place in folders.write_folders}, unknown
    )
    return Facts(
        now=now,
        orchestrator=orchestrator,
        last_scan=last_scan,
        held=waiting.held,
        claims=waiting.claims,
        shared_cccids=waiting.shared_cccids,
        stuck=stuck,
        keys=keys,
        held_owners=held_owners,
        fetches=fetches,
        free=free,
        catalog_fault=fault,
        unsent_since=watch.unsent_since,
        outside_at=watch.outside_at,
        inside_at=watch.inside_at,
        unread={**orchestrator.unread, **facts.unread},
    )


def _count_waiting_files(
    folders: PipelinePaths, before: datetime
) -> dict[str, tuple[int, datetime]]:
    if not deliveries.ledger_exists(folders.warehouse):
        return {}
    with deliveries.open_ledger(folders.warehouse) as ledger:
        return ledger.count_waiting(before)


@dataclass(frozen=True, slots=True)
class _Watch:
    """Since when a notice waits, and when each watcher last ran."""

    unsent_since: datetime | None = None
    outside_at: datetime | None = None
    inside_at: datetime | None = None


def _read_watch(folders: PipelinePaths, channels: Sequence[str]) -> _Watch:
    if not alert_store.exists(folders.warehouse):
        return _Watch()
    with alert_store.open_alert_store(folders.warehouse) as store:
        return _Watch(
            store.read_unsent_since(channels),
            store.read_last_watch(FROM_OUTSIDE),
            store.read_last_watch(FROM_INSIDE),
        )


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What waits for an operator in the warehouse; None if that is not known."""

    held: Sequence[approvals.Hold] | None
    claims: Mapping[str, int] | None
    shared_cccids: int | None


def _read_waiting(folders: PipelinePaths) -> _Waiting:
    """Returns the drops, SSIDs (by district) and CCCIDs that wait for an operator.

    Nothing is known of a warehouse of an older version: the next night brings it up to date.
    """
    if not warehouse_exists(folders.warehouse):
        return _Waiting((), {}, 0)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        if missing_table_statements(connection):
            return _Waiting(None, None, None)
        held = [
            h for h in approvals.read_holds(connection) if h.decision is None and not h.obsolete
        ]
        return _Waiting(
            held, count_waiting_claims(read_claims(connection)), count_shared_cccids(connection)
        )


# --- the rules ------------------------------------------------------------------------------------


def find_alerts(facts: Facts, settings: HeartbeatSettings) -> list[Alert]:
    """Returns all that an operator should know of."""
    return judge_facts(facts, settings)[0]


def judge_facts(facts: Facts, settings: HeartbeatSettings) -> tuple[list[Alert], set[AlertKind]]:
    """Returns all alerts, and the kinds of alert that could not all be checked.

    A rule whose facts could not be read, or that fails, is an alert of its own, and the other rules
    are judged all the same.
    """
    found: list[Alert] = []
    of_warehouse = {AlertKind.DROPS_HELD, AlertKind.SSID_CLAIMS, AlertKind.SHARED_CCCIDS}
    unchecked = of_warehouse if facts.held is None else set()
    failed = dict(facts.unread)
    for rule in _RULES:
        if not facts.unread.keys().isdisjoint(rule.needs):
            unchecked.add(rule.kind)
            continue
        try:
            found += rule.judge(facts, settings)
        except library_errors() as error:
            unchecked.add(rule.kind)
            failed[rule.judge.__name__.removeprefix("_judge_")] = _describe_fault(error)
    for name, why in sorted(failed.items()):
        words = f"the heartbeat could not check {name.replace('_', ' ')} ({why})"
        found.append(
            Alert(
                AlertKind.HEARTBEAT, f"heartbeat_incomplete/{name}", words, "heartbeat_incomplete"
            )
        )
    wanted = [
        alert
        for alert in found
        if alert.kind is not AlertKind.HEARTBEAT or alert.page not in settings.ignore
    ]
    return wanted, unchecked


def _is_far(at: datetime, now: datetime, limit: timedelta) -> bool:
    """Tells whether something happened longer ago than ``limit``, or as far in the future.

    A clock that was ahead leaves such a time. It is no sign of life: else nothing would be missed
    until then.
    """
    return abs(now - at) > limit


def _judge_daemon_and_sensor(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    known = facts.orchestrator
    limit = timedelta(minutes=settings.daemon_minutes)
    silent = {name: at for name, at in known.daemons.items() if _is_far(at, facts.now, limit)}
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
    limit = timedelta(minutes=settings.sensor_minutes)
    times = [at for at in (scanned, known.sensor_since) if at]
    if known.sensor_errors:
        kinds = ", ".join(sorted(set(known.sensor_errors)))
        yield _heartbeat_alert(
            "sensor_failing", f"the sensor new_drops fails at every tick ({kinds})"
        )
    elif not facts.just_started and all(_is_far(at, facts.now, limit) for at in times):
        when = (
            "has not run yet" if scanned is None else f"has not run since {_format_time(scanned)}"
        )
        yield _heartbeat_alert("sensor_silent", f"the sensor new_drops {when}")


def _judge_nights(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    known = facts.orchestrator
    ended = known.last_success
    if ended is None:
        yield _heartbeat_alert("night_late", "no night has succeeded yet")
    elif _is_far(ended, facts.now, timedelta(hours=settings.night_hours)):
        yield _heartbeat_alert("night_late", f"no night has succeeded since {_format_time(ended)}")
    began = known.running_since
    if began is not None and _is_far(began, facts.now, timedelta(hours=settings.run_hours)):
        yield _heartbeat_alert("run_stuck", f"a run has been under way since {_format_time(began)}")


_UNSENT = timedelta(minutes=15)
"""How long a notice may wait: a mail server that restarts is no reason for an alert."""


def _judge_catalog(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    del settings
    if facts.catalog_fault is not None:
        yield _heartbeat_alert("catalog_unreadable", facts.catalog_fault)


def _judge_disks(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    full = {place: free for place, free in facts.free.items() if free < settings.free_gib}
    if full:
        rooms = ", ".join(f"{free:.1f} GiB in {place}" for place, free in full.items())
        yield _heartbeat_alert("disk_low", f"little disk space is left: {rooms}")


def _judge_missed_nights(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    del settings
    days = [f"{day:%Y-%m-%d}" for day in facts.orchestrator.missed]
    if days:
        words = (
            f"the scheduled night was not made for {', '.join(days)}: `ccgi run --date {days[0]}` "
            "with the usual folders makes the first of them"
        )
        yield _heartbeat_alert("night_missed", words)


def _judge_watchers(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    waits = facts.unsent_since
    if waits is not None and _is_far(waits, facts.now, _UNSENT):
        yield _heartbeat_alert(
            "notices_unsent", f"notices have been waiting to be sent since {_format_time(waits)}"
        )
    outside = facts.outside_at
    usual = timedelta(minutes=settings.heartbeat_minutes)
    if outside is not None and _is_far(outside, facts.now, usual):
        yield _heartbeat_alert(
            "heartbeat_silent", f"`ccgi heartbeat` has not run since {_format_time(outside)}"
        )
    inside, daemons = facts.inside_at, facts.orchestrator.daemons
    limit = timedelta(minutes=settings.sensor_minutes)
    # A daemon that is down is reported by itself: its sensors are silent because of it.
    recent = timedelta(minutes=settings.daemon_minutes)
    alive = daemons and not any(_is_far(at, facts.now, recent) for at in daemons.values())
    if alive and inside is not None and _is_far(inside, facts.now, limit):
        words = f"the sensor heartbeat has not run since {_format_time(inside)}"
        yield Alert(AlertKind.HEARTBEAT, "heartbeat_silent/inside", words, "heartbeat_silent")


def _heartbeat_alert(name: str, words: str) -> Alert:
    return Alert(AlertKind.HEARTBEAT, name, words, name)


def _judge_failed_runs(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    del settings
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


def _judge_servers(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    del settings
    at_scan = facts.last_scan.refusing if facts.last_scan else {}
    for server, why in {**facts.orchestrator.refusing, **at_scan}.items():
        yield Alert(AlertKind.SERVER_REFUSES, server, why, AlertKind.SERVER_REFUSES.value)


def _judge_held_drops(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    del settings
    for held in facts.held or ():
        done = {"end": held.would_end, "be added": held.would_add}
        what = ", ".join(f"{count:,} records would {verb}" for verb, count in done.items() if count)
        what = what or held.losses[0].cause
        since = f"held since the night of {held.night:%Y-%m-%d}"
        words = f"{held.family} of {held.sender}, {since}: {what}"
        yield Alert(AlertKind.DROPS_HELD, held.drop, words, AlertKind.DROPS_HELD.value)


def _judge_claims(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    del settings
    for cd, count in (facts.claims or {}).items():
        words = f"{count:,} SSIDs on the roster of {cd} are known as other students"
        yield Alert(AlertKind.SSID_CLAIMS, cd, words, AlertKind.SSID_CLAIMS.value)


def _judge_shared_cccids(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    del settings
    if facts.shared_cccids:
        words = f"{facts.shared_cccids:,} CCCIDs are on the applications of two students or more"
        kind = AlertKind.SHARED_CCCIDS
        yield Alert(kind, "cccapply", words, kind.value)


def _judge_waiting_files(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    del settings
    for server, (files, since) in facts.stuck.items():
        words = f"{files:,} files wait for {server}, the oldest since {_format_time(since)}"
        yield Alert(AlertKind.DELIVERIES_STUCK, server, words, AlertKind.DELIVERIES_STUCK.value)


def _judge_keys(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    """Keys that end soon, each number of days once, and owners to whom nothing is sent."""
    del settings
    kind = AlertKind.OPENPGP_KEYS
    for owner, fault in facts.held_owners.items():
        yield Alert(kind, f"{owner} held", f"nothing is sent to {owner}: {fault}", kind.value)
    for warning in find_key_warnings(facts.keys, facts.now):
        subject = f"{warning.stored.owner} {warning.stored.fingerprint} {warning.days}"
        yield Alert(kind, subject, warning.words, kind.value)


def _judge_fetches(facts: Facts, settings: HeartbeatSettings) -> Iterator[Alert]:
    """Rosters whose fetch was refused, or has not succeeded for too long."""
    del settings
    kind = AlertKind.ROSTER_FETCHES
    for status in facts.fetches:
        if status.needs_attention:
            yield Alert(kind, status.cd, f"{status.cd}: {status.words}", kind.value)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What finds alerts of one kind. ``needs``: the facts that it cannot do without."""

    judge: Callable[[Facts, HeartbeatSettings], Iterator[Alert]]
    kind: AlertKind
    needs: frozenset[str] = frozenset()


_RULES = (
    _Rule(
        _judge_daemon_and_sensor,
        AlertKind.HEARTBEAT,
        frozenset({"daemons", "sensor", "sensor_errors", "last_scan"}),
    ),
    _Rule(_judge_nights, AlertKind.HEARTBEAT, frozenset({"last_success", "running_since"})),
    _Rule(_judge_missed_nights, AlertKind.HEARTBEAT, frozenset({"missed"})),
    _Rule(_judge_catalog, AlertKind.HEARTBEAT, frozenset({"catalog_fault"})),
    _Rule(_judge_disks, AlertKind.HEARTBEAT, frozenset({"free"})),
    _Rule(_judge_watchers, AlertKind.HEARTBEAT, frozenset({"watch", "daemons"})),
    _Rule(_judge_failed_runs, AlertKind.RUN_FAILED, frozenset({"failed"})),
    _Rule(_judge_servers, AlertKind.SERVER_REFUSES, frozenset({"refusing", "last_scan"})),
    _Rule(_judge_held_drops, AlertKind.DROPS_HELD),
    _Rule(_judge_claims, AlertKind.SSID_CLAIMS),
    _Rule(_judge_shared_cccids, AlertKind.SHARED_CCCIDS),
    _Rule(_judge_waiting_files, AlertKind.DELIVERIES_STUCK, frozenset({"stuck"})),
    _Rule(_judge_keys, AlertKind.OPENPGP_KEYS, frozenset({"keys"})),
    _Rule(_judge_fetches, AlertKind.ROSTER_FETCHES, frozenset({"fetches"})),
)


def _format_time(moment: datetime) -> str:
    return f"{moment.astimezone(CALIFORNIA):%Y-%m-%d %H:%M} (California)"
