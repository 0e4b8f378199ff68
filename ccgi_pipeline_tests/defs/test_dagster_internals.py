"""The contract with Dagster: what the project uses of its private parts works as it is used.

When a new version of Dagster makes a test here fail, ``defs/dagster_internals.py`` is to be changed
and nothing else.
"""

import multiprocessing
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from ccgi_pipeline.defs.dagster_internals import (
    _MAX_ENGINES,
    EventLogStorage,
    RootCause,
    Switch,
    execute_job,
    fail_run,
    find_root_cause,
    read_check_evaluations,
    read_daemon_heartbeats,
    read_events,
    read_step_times,
    read_switch,
    read_tick_errors,
    read_unpassed_partitions,
)
from ccgi_pipeline.runtime.dagster_instance import prepare_dagster_home

PROJECT = Path(__file__).parents[2]
SENSOR = "new_files"
MOMENT = datetime(2026, 11, 22, 10, tzinfo=UTC)


def state_of(
    sensor: str, status: InstigatorStatus, since: datetime | None = None
) -> InstigatorState:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "all")
    at = None if since is None else since.timestamp()
    return InstigatorState(
        RemoteInstigatorOrigin(repository, sensor),
        InstigatorType.SENSOR,
        status,
        SensorInstigatorData(last_sensor_start_timestamp=at),
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """An instance with files: only such a one knows daemons and sensors."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as opened:
        yield opened


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


# --- daemon and sensors ---------------------------------------------------------------------------


def test_signs_of_life_are_read_by_daemon(stored: dg.DagsterInstance) -> None:
    assert read_daemon_heartbeats(stored) == {}
    stored.add_daemon_heartbeat(DaemonHeartbeat(MOMENT.timestamp(), "SENSOR", "id", []))
    stored.add_daemon_heartbeat(DaemonHeartbeat(MOMENT.timestamp(), "NOT_NEEDED", "id", []))
    assert read_daemon_heartbeats(stored) == {"SENSOR": MOMENT}


@pytest.mark.parametrize(
    ("status", "on"),
    [
        (InstigatorStatus.RUNNING, True),
        (InstigatorStatus.STOPPED, False),
        (InstigatorStatus.DECLARED_IN_CODE, None),
    ],
)
def test_the_switch_of_a_sensor_is_on_off_or_as_declared(
    stored: dg.DagsterInstance, status: InstigatorStatus, *, on: bool | None
) -> None:
    sensor = f"sensor_{status.value}".lower()
    assert read_switch(stored, sensor) is None
    stored.add_instigator_state(state_of(sensor, status, MOMENT))
    assert read_switch(stored, sensor) == Switch(on, MOMENT)
    assert read_switch(stored, sensor, "here") == Switch(on, MOMENT)
    assert read_switch(stored, sensor, "elsewhere") is None


def test_the_newest_ticks_that_ended_tell_their_errors(stored: dg.DagsterInstance) -> None:
    assert read_tick_errors(stored, SENSOR, 3) == []
    state = state_of(SENSOR, InstigatorStatus.RUNNING)
    stored.add_instigator_state(state)
    cause = SerializableErrorInfo("the cause", [], "OSError")
    error = SerializableErrorInfo("around it", [], "SensorError", cause=cause)
    for number, (status, of_tick) in enumerate(
        [
            (TickStatus.FAILURE, error),
            (TickStatus.SKIPPED, None),
            (TickStatus.FAILURE, error),
            (TickStatus.STARTED, None),
        ]
    ):
        stored.create_tick(
            TickData(
                state.instigator_origin_id,
                SENSOR,
                InstigatorType.SENSOR,
                status,
                MOMENT.timestamp() + number,
                error=of_tick,
                selector_id=state.selector_id,
            )
        )
    expected = RootCause("OSError", "the cause")
    assert read_tick_errors(stored, SENSOR, 2) == [expected, None]
    assert read_tick_errors(stored, SENSOR, 5) == [expected, None, expected]


# --- runs, events, checks -------------------------------------------------------------------------

FAILURES = [dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RESOURCE_INIT_FAILURE]


class Broken(dg.ConfigurableResource[None]):
    """A resource that cannot be opened."""

    reason: str

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        del context
        raise OSError(self.reason)


@dg.asset
def failing() -> None:
    """A step that fails."""
    msg = "of the step"
    raise ValueError(msg)


@dg.asset
def without_its_resource(broken: Broken) -> None:
    """A step whose resource fails."""


@pytest.mark.parametrize(
    ("asset", "resources", "cause"),
    [
        (failing, {}, RootCause("ValueError", "ValueError: of the step\n")),
        (
            without_its_resource,
            {"broken": Broken(reason="closed")},
            RootCause("OSError", "OSError: closed\n"),
        ),
    ],
)
def test_a_failure_tells_its_root_cause(
    instance: dg.DagsterInstance,
    asset: dg.AssetsDefinition,
    resources: dict[str, object],
    cause: RootCause,
) -> None:
    done = dg.materialize([asset], instance=instance, resources=resources, raise_on_error=False)
    (event,) = read_events(instance, done.run_id, FAILURES)
    assert find_root_cause(event) == cause


def test_steps_of_a_run_tell_how_they_ended_and_when(instance: dg.DagsterInstance) -> None:
    run = dg.materialize([failing], instance=instance, raise_on_error=False)
    (step,) = read_step_times(instance, run.run_id)
    assert (step.step, step.outcome) == ("failing", "FAILURE")
    assert step.began is not None
    assert step.ended is not None
    assert step.began <= step.ended


@dg.asset
def working() -> None:
    """A step that succeeds."""


def _job(*assets: dg.AssetsDefinition) -> dg.JobDefinition:
    jobs = [dg.define_asset_job("all", tags={"of": "the job"})]
    return dg.Definitions(assets, jobs=jobs, executor=dg.in_process_executor).resolve_job_def("all")


def test_a_job_run_in_this_process_is_a_run_of_its_code_location(
    instance: dg.DagsterInstance,
) -> None:
    result = execute_job(instance, _job(working), "somewhere", {})
    assert result.success
    # With this tag the UI asks for the runs of a job.
    label = {".dagster/repository": "__repository__@somewhere"}
    (run,) = instance.get_runs(dg.RunsFilter(job_name="all", tags=label))
    assert (run.run_id, run.status) == (result.run_id, dg.DagsterRunStatus.SUCCESS)
    assert (run.tags["of"], run.tags["dagster/max_retries"]) == ("the job", "0")
    assert run.remote_job_origin is not None, "the Timeline leaves it out"
    origin = run.remote_job_origin.repository_origin
    assert (origin.repository_name, run.remote_job_origin.location_name) == (
        "__repository__",
        "somewhere",
    )


def test_a_job_run_in_this_process_may_be_a_part_of_it_and_tells_its_failure(
    instance: dg.DagsterInstance,
) -> None:
    job = _job(working, failing)
    assert execute_job(instance, job, "here", {}, [working.key]).success
    assert instance.get_latest_materialization_event(working.key)
    assert not execute_job(instance, job, "here", {}).success


def test_a_run_whose_process_is_gone_can_be_failed(instance: dg.DagsterInstance) -> None:
    job = dg.Definitions([failing], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
    run = instance.create_run_for_job(job)
    fail_run(instance, run, "gone")
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    assert record.dagster_run.status is dg.DagsterRunStatus.FAILURE
    (event,) = read_events(instance, run.run_id, [dg.DagsterEventType.RUN_FAILURE])
    assert event.message == "gone"
    assert find_root_cause(event) is None


CHECK = dg.AssetCheckKey(dg.AssetKey("table"), "sound")


def test_evaluations_of_a_check_are_read_newest_first(instance: dg.DagsterInstance) -> None:
    assert read_check_evaluations(instance, CHECK, 5) == []
    for passed in (True, False):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=CHECK.asset_key, check_name=CHECK.name, passed=passed)
        )
    assert [found.passed for found in read_check_evaluations(instance, CHECK, 5)] == [False, True]
    assert [found.passed for found in read_check_evaluations(instance, CHECK, 1)] == [False]


def test_partitions_are_told_at_which_a_check_did_not_pass_last(
    instance: dg.DagsterInstance,
) -> None:
    def run_night(passed: dict[str, bool]) -> None:
        @dg.asset
        def night(context: dg.AssetExecutionContext) -> None:
            for partition, good in passed.items():
                context.log_event(
                    dg.AssetCheckEvaluation(
                        asset_key=CHECK.asset_key,
                        check_name=CHECK.name,
                        passed=good,
                        partition=partition,
                    )
                )

        dg.materialize([night], instance=instance)

    run_night({"one": False, "two": False})
    run_night({"one": True})
    assert read_unpassed_partitions(instance, CHECK) == {"two"}


# --- the rule of the linter -----------------------------------------------------------------------

PRIVATE = [
    *(
        f"dagster.{module.name}"
        for module in pkgutil.iter_modules(dg.__path__)
        if module.name.startswith("_") and module.name != "__main__"
    ),
    "dagster_shared",
]


def test_the_linter_refuses_private_parts_of_dagster_outside_their_module() -> None:
    def refused(module: str) -> list[str]:
        source = "".join(f"import {name}.x\n" for name in PRIVATE)
        command = [Path(sys.executable).with_name("ruff"), "check", "--select", "TID251"]
        checked = subprocess.run(
            [*command, "--output-format", "concise", "--stdin-filename", module, "-"],
            input=source,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        return [line for line in checked.stdout.splitlines() if "TID251" in line]

    assert len(PRIVATE) > 10
    assert len(refused("ccgi_pipeline/defs/reports.py")) == len(PRIVATE)
    assert refused("ccgi_pipeline/defs/dagster_internals.py") == []


# --- storage --------------------------------------------------------------------------------------


def _materialize(name: str) -> dg.AssetsDefinition:
    @dg.asset(name=name)
    def asset() -> None: ...

    return asset


@pytest.fixture
def in_files(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(tmp_path))) as instance:
        yield instance


def test_events_lie_where_dagsters_own_class_finds_them_at_once(
    in_files: dg.DagsterInstance, tmp_path: Path
) -> None:
    assert type(in_files.event_log_storage) is EventLogStorage
    run = dg.materialize([_materialize("roster")], instance=in_files).run_id
    beside = SqliteEventLogStorage(str(tmp_path / "dagster" / "history" / "runs"))
    stored = beside.get_records_for_run(run).records
    assert stored == in_files.event_log_storage.get_records_for_run(run).records
    assert beside.get_latest_materialization_events([dg.AssetKey("roster")]) != {}


def test_the_databases_of_many_runs_are_not_all_kept_open(in_files: dg.DagsterInstance) -> None:
    storage = in_files.event_log_storage
    assert isinstance(storage, EventLogStorage)
    for number in range(20):
        storage.get_records_for_run(f"run-{number}")
        assert len(storage._engines) <= _MAX_ENGINES


def test_a_closed_event_log_leaves_no_log_of_sqlite_behind(tmp_path: Path) -> None:
    home = prepare_dagster_home(tmp_path)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        dg.materialize([_materialize("roster")], instance=instance)
        assert [*home.rglob("*.db-wal")]
    assert not [*home.rglob("*.db-wal")]


def test_a_child_process_opens_connections_of_its_own(in_files: dg.DagsterInstance) -> None:
    storage = in_files.event_log_storage
    assert isinstance(storage, EventLogStorage)
    mine = storage._open_engine("index")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(storage._open_engine, "index").result() is mine
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    child = fork.Process(target=lambda: answers.put(storage._open_engine("index") is mine))
    child.start()
    assert answers.get(timeout=60) is False
    child.join()
