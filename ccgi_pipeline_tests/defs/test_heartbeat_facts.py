"""What Dagster knows, as the heartbeat reads it: failures and refusals, until they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import dagster as dg
import pytest

from ccgi_pipeline.definitions import defs
from ccgi_pipeline.defs import heartbeat
from ccgi_pipeline.defs.automation import configure_night
from ccgi_pipeline.defs.delivery import ALL_SENT, DELIVERIES
from ccgi_pipeline.defs.heartbeat import check_health, read_orchestrator_state
from ccgi_pipeline.monitoring.alerts.store import open_alert_store
from ccgi_pipeline.monitoring.health import FROM_INSIDE, FROM_OUTSIDE, FailedRun, FailedStep
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import (
    build_folder_variables,
    fail_dead_runs,
    prepare_dagster_home,
)
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.nightly.nights import ON, folders_in
from ccgi_pipeline_tests.tiers import slow_but


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PipelinePaths:
    made = folders_in(tmp_path)
    for name, value in build_folder_variables(made).items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def instance(folders: PipelinePaths) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as opened:
        yield opened


def night(instance: dg.DagsterInstance) -> bool:
    """The first step of a night, as a run of the UI."""
    done = (
        defs()
        .resolve_job_def("night")
        .execute_in_process(
            instance=instance,
            run_config=configure_night(ON.isoformat()).to_config_dict(),
            raise_on_error=False,
            asset_selection=[dg.AssetKey("received_drops")],
        )
    )
    return done.success


def test_a_run_that_could_not_open_the_warehouse_says_why_until_one_succeeds(
    folders: PipelinePaths, instance: dg.DagsterInstance
) -> None:
    with exclusive_writer(folders.warehouse):
        assert not night(instance)
    (failed,) = read_orchestrator_state(instance).failed
    assert failed == FailedRun(
        "night", (FailedStep("opening the warehouse", "WarehouseBusyError", failed.steps[0].words),)
    )
    assert "another night is writing" in (failed.steps[0].words or "")
    assert read_orchestrator_state(instance).last_success is None
    assert night(instance)
    now = read_orchestrator_state(instance)
    assert now.failed == []
    assert now.last_success is not None


def test_a_run_whose_process_was_killed_has_failed_without_a_step(
    instance: dg.DagsterInstance,
) -> None:
    instance.create_run_for_job(defs().resolve_job_def("night"), status=dg.DagsterRunStatus.STARTED)
    fail_dead_runs(instance)
    assert read_orchestrator_state(instance).failed == [FailedRun("night", ())]


_MARKED: dict[str, Callable[[dg.DagsterInstance, dg.DagsterRun], object]] = {
    "failed": lambda instance, run: instance.report_run_failed(run),
    "failed with a reason": lambda instance, run: instance.report_run_failed(run, "lost"),
    "canceled": lambda instance, run: instance.report_run_canceled(run),
    "asked to end, then canceled": lambda instance, run: (
        instance.report_run_canceling(run),
        instance.report_run_canceled(run),
    ),
    "failed while it was to end": lambda instance, run: (
        instance.report_run_canceling(run),
        instance.report_run_failed(run),
    ),
}
"""The ways in which a run's end is marked by another process than its own."""


@pytest.mark.parametrize("way", slow_but("failed", _MARKED))
def test_however_a_run_was_marked_from_outside_both_watchers_tell_it(
    folders: PipelinePaths, instance: dg.DagsterInstance, way: str
) -> None:
    job = defs().resolve_job_def("night")
    run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    _MARKED[way](instance, run)
    assert read_orchestrator_state(instance).unread == {}
    for watcher in (FROM_INSIDE, FROM_OUTSIDE):
        found, _ = check_health(folders, instance, watcher=watcher, notify=False)
        assert "run_failed" in {alert.page for alert in found}


def test_a_check_that_breaks_off_is_not_recorded_as_done(
    folders: PipelinePaths, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def last_watch() -> datetime | None:
        with open_alert_store(folders.warehouse) as store:
            return store.read_last_watch(FROM_OUTSIDE)

    with monkeypatch.context() as patched:
        patched.setattr(heartbeat.health, "judge_facts", None)
        with pytest.raises(TypeError):
            check_health(folders, instance, watcher=FROM_OUTSIDE, notify=False)
    assert last_watch() is None
    check_health(folders, instance, watcher=FROM_OUTSIDE, notify=False)
    assert last_watch() is not None


def test_a_server_that_refuses_deliveries_is_known_until_it_takes_them(
    instance: dg.DagsterInstance,
) -> None:
    def judged(severity: dg.AssetCheckSeverity, *, passed: bool, **why: str) -> dict[str, str]:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(DELIVERIES),
                check_name=ALL_SENT,
                passed=passed,
                severity=severity,
                metadata=dict(why),
            )
        )
        return dict(read_orchestrator_state(instance).refusing)

    red, yellow = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    why = "3 files wait; the account may not"
    assert judged(red, passed=False, reports=why) == {"reports": why}
    assert judged(yellow, passed=False, reports="3 files wait") == {}
    assert judged(red, passed=False, reports=why) == {"reports": why}
    assert judged(red, passed=True) == {}
