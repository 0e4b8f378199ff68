"""What the project uses of Dagster although Dagster does not promise to keep it.

Belongs here: imports from Dagster's private modules and from ``dagster_shared``, and calls of
methods of the instance that Dagster's documentation does not list. Each function returns plain
values or public classes. ``ccgi_pipeline_tests/defs/test_dagster_internals.py`` tries each of them
on an instance and fails when a new version changes one; the linter forbids private imports
elsewhere. Does not belong here: what the values mean.
"""

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickStatus,
)
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData
from dagster_shared.error import SerializableErrorInfo
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.event import listen


@dataclass(frozen=True, slots=True)
class Switch:
    """The switch of a sensor or schedule that somebody has touched: whether it is on.

    ``on`` is None if it is again as the code declares it. ``since``: since when a sensor is on.
    """

    on: bool | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class RootCause:
    """The error at the beginning of a chain of errors: kind, message, and lines of code."""

    kind: str
    message: str
    stack: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class StepTimes:
    """A step of a run: how it ended, and when it began and ended (seconds since 1970)."""

    step: str
    outcome: str | None
    began: float | None
    ended: float | None


# --- storage --------------------------------------------------------------------------------------


class EventLogStorage(SqliteEventLogStorage):
    """Dagster's event log in SQLite, with one engine and connection for each database.

    Dagster makes an engine for each statement: SQLAlchemy then compiles each statement anew, and
    SQLite empties its log into the database. ``dagster.yaml`` of a warehouse names this class.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Opens the event log in the folder ``base_dir``."""
        self._engines: dict[tuple[int, str], Engine] = {}
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Any,  # noqa: ANN401 - two of Dagster's classes declare it differently
    ) -> "EventLogStorage":
        """Returns the event log that ``dagster.yaml`` describes."""
        return cls(config_value["base_dir"], inst_data)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._open_engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.connect() as connection, connection.begin():
                yield connection

    def _open_engine(self, shard: str) -> Engine:
        key = (os.getpid(), shard)  # a child process must not use its parent's connection
        if key not in self._engines:
            if len(self._engines) >= _MAX_ENGINES:
                self._close_engines()
            waiting = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            engine = create_engine(
                self.conn_string_for_shard(shard), pool_size=1, connect_args=waiting
            )
            listen(engine, "connect", _prepare_connection)
            self._engines[key] = engine
        return self._engines[key]

    def _close_engines(self) -> None:
        for (process, _), engine in self._engines.items():
            engine.dispose(close=process == os.getpid())
        self._engines.clear()

    def dispose(self) -> None:
        """Closes the databases."""
        super().dispose()
        self._close_engines()


def _prepare_connection(opened: sqlite3.Connection, _: object) -> None:
    # A power failure may lose the last events; no step of a night depends on them.
    opened.execute("PRAGMA synchronous = NORMAL")
    # The log stays below half a MiB: on a nearly full disk the night's own files fail first.
    opened.execute("PRAGMA wal_autocheckpoint = 100")


_MAX_ENGINES = 16
"""Each run has a database of its own, and a web server looks into many."""


# --- daemon and sensors ---------------------------------------------------------------------------


def read_daemon_heartbeats(instance: dg.DagsterInstance) -> dict[str, datetime]:
    """Returns when each daemon that the instance needs last reported, if it ever did."""
    beats = instance.get_daemon_heartbeats()
    return {
        name: datetime.fromtimestamp(beats[name].timestamp, UTC)
        for name in instance.get_required_daemon_types()
        if name in beats
    }


def read_switch(
    instance: dg.DagsterInstance, name: str, location: str | None = None
) -> Switch | None:
    """Returns the switch of a sensor or schedule; None if nobody has ever touched it.

    ``location``: the code location that has it; None if there is only one.
    """
    state = _find_state(instance, name, location)
    if state is None:
        return None
    data = state.instigator_data
    at = data.last_sensor_start_timestamp if isinstance(data, SensorInstigatorData) else None
    since = None if at is None else datetime.fromtimestamp(at, UTC)
    return Switch(_SWITCHED.get(state.status), since)


_SWITCHED = {InstigatorStatus.RUNNING: True, InstigatorStatus.STOPPED: False}


def read_tick_errors(
    instance: dg.DagsterInstance, sensor: str, ticks: int, location: str | None = None
) -> list[RootCause | None]:
    """Returns the errors of the newest ticks that have ended; None for a tick that succeeded."""
    state = _find_state(instance, sensor, location)
    if state is None:
        return []
    found = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=ticks + 1)
    ended = [tick for tick in found if tick.status is not TickStatus.STARTED][:ticks]
    return [
        (_root_cause(tick.error) or _UNKNOWN) if tick.status is TickStatus.FAILURE else None
        for tick in ended
    ]


_UNKNOWN = RootCause("unknown", "")


def _find_state(
    instance: dg.DagsterInstance, sensor: str, location: str | None
) -> InstigatorState | None:
    states = (state for state in instance.all_instigator_state() if state.instigator_name == sensor)
    return next((s for s in states if location in {None, _location_of(s)}), None)


def _location_of(state: InstigatorState) -> str:
    return state.origin.repository_origin.code_location_origin.location_name


# --- runs, events, checks -------------------------------------------------------------------------


def touch_storage(instance: dg.DagsterInstance) -> None:
    """Opens each of the instance's databases, which makes them where they are missing."""
    instance.get_runs_count()
    instance.get_asset_records()
    instance.all_instigator_state()
    instance.get_daemon_heartbeats()


def execute_job(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    location: str,
    run_config: Mapping[str, object],
    selection: Collection[dg.AssetKey] = (),
) -> dg.JobExecutionResult:
    """Runs ``job``, or only the assets of ``selection``, in this process.

    The run belongs to the code location ``location``. The UI shows no run without one on the
    Timeline and on the job's page, and ``execute_in_process`` gives none. A daemon beside it does
    not retry the run: whoever started it learns that it failed.
    """
    chosen = job.get_subset(asset_selection=frozenset(selection)) if selection else job
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), _REPOSITORY)
    run = instance.create_run_for_job(
        chosen,
        run_config=run_config,
        tags={**job.run_tags, "dagster/max_retries": "0"},
        asset_selection=frozenset(selection) or None,
        remote_job_origin=RemoteJobOrigin(repository, job.name),
    )
    return execute_run(InMemoryJob(chosen), run, instance)


_REPOSITORY = "__repository__"
"""What Dagster calls the definitions of a code location."""


def fail_run(instance: dg.DagsterInstance, run: dg.DagsterRun, reason: str) -> None:
    """Records that ``run`` failed; for a run whose process is gone."""
    instance.report_run_failed(run, reason)


def read_events(
    instance: dg.DagsterInstance, run_id: str, types: Collection[dg.DagsterEventType]
) -> list[dg.DagsterEvent]:
    """Returns the events of these types of a run, the oldest first."""
    records = instance.get_records_for_run(run_id, of_type={*types}).records
    events = [record.event_log_entry.dagster_event for record in records]
    return [event for event in events if event is not None]


def read_step_times(instance: dg.DagsterInstance, run_id: str) -> list[StepTimes]:
    """Returns how each step of a run ended, and when."""
    return [
        StepTimes(
            step.step_key,
            step.status.value if step.status else None,
            step.start_time,
            step.end_time,
        )
        for step in instance.get_run_step_stats(run_id)
    ]


def read_check_evaluations(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, limit: int
) -> list[dg.AssetCheckEvaluation]:
    """Returns the evaluations among the last ``limit`` records of a check, the newest first.

    A run that ended before its check has only left a plan to evaluate it.
    """
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=limit)
    events = [record.event.dagster_event for record in history if record.event]
    return [
        event.asset_check_evaluation_data
        for event in events
        if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]


def read_latest_evaluations(
    instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey]
) -> list[dg.AssetCheckEvaluation]:
    """Returns the last evaluation of each of ``checks`` that was ever evaluated."""
    found = instance.event_log_storage.get_asset_check_summary_records([*checks])
    completed = [record.last_completed_check_execution_record for record in found.values()]
    evaluations = [record.evaluation for record in completed if record is not None]
    return [evaluation for evaluation in evaluations if evaluation is not None]


def read_unpassed_partitions(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey
) -> set[str | None]:
    """Returns the partitions at which ``check`` did not pass when it was last evaluated."""
    known = instance.event_log_storage.get_asset_check_partition_info([check])
    return {
        info.partition_key for info in known if info.latest_execution_status.value != "SUCCEEDED"
    }


def find_root_cause(event: dg.DagsterEvent) -> RootCause | None:
    """Returns the first error in the chain that made a step, a resource or a run fail.

    None where no error did: somebody ended the run, or killed its process.
    """
    # A step, a resource and a run tell of their failure in classes of their own.
    return _root_cause(getattr(event.event_specific_data, "error", None))


def _root_cause(error: SerializableErrorInfo | None) -> RootCause | None:
    while error is not None and error.cause is not None:
        error = error.cause
    if error is None:
        return None
    return RootCause(error.cls_name or _UNKNOWN.kind, error.message, "\n".join(error.stack))
