"""The job that does the housekeeping, and its schedule."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.defs.housekeeping import (
    delete_runs_before,
    housekeeping_job,
    housekeeping_nights,
)
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.housekeeping import read_last_day
from ccgi_pipeline.warehouse.storage.connection import write_warehouse
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer
from ccgi_pipeline_tests.nightly.nights import folders_in

_SUNDAY = datetime(2026, 11, 22, 4, tzinfo=CALIFORNIA)


@pytest.fixture
def folders(tmp_path: Path) -> PipelinePaths:
    """An empty warehouse whose runs may be 30 days old."""
    made = folders_in(tmp_path)
    with write_warehouse(made.warehouse):
        pass
    (made.warehouse / "profiles.toml").write_text("[housekeeping]\nkeep_runs_days = 30\n")
    return made


def _resources(folders: PipelinePaths) -> dict[str, NightFolders]:
    return {
        "folders": NightFolders(str(folders.inbox), str(folders.outbox), str(folders.warehouse))
    }


def _asked(folders: PipelinePaths, at: datetime) -> object:
    context = dg.build_schedule_context(scheduled_execution_time=at, resources=_resources(folders))
    return housekeeping_nights(context)


def test_it_is_asked_for_on_its_day_and_when_that_was_missed(folders: PipelinePaths) -> None:
    assert isinstance(_asked(folders, _SUNDAY - timedelta(days=1)), dg.SkipReason)
    asked = _asked(folders, _SUNDAY)
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key == "2026-11-22"
    (folders.warehouse / "housekeeping.json").write_text(json.dumps({"day": "2026-11-15"}))
    assert isinstance(_asked(folders, _SUNDAY + timedelta(days=2)), dg.RunRequest)


def test_without_a_warehouse_nothing_is_asked_for(tmp_path: Path) -> None:
    assert isinstance(_asked(folders_in(tmp_path), _SUNDAY), dg.SkipReason)


def test_the_job_keeps_house_and_beside_a_night_it_waits_for_another_day(
    folders: PipelinePaths,
) -> None:
    resources = _resources(folders)
    with dg.DagsterInstance.ephemeral() as instance:
        with exclusive_writer(folders.warehouse):
            skipped = housekeeping_job.execute_in_process(instance=instance, resources=resources)
        assert skipped.success
        assert read_last_day(folders) is None
        done = housekeeping_job.execute_in_process(instance=instance, resources=resources)
        assert done.success
        assert read_last_day(folders) == datetime.now(CALIFORNIA).date()
        assert len(instance.get_runs()) == 2  # none is 30 days old
        assert (
            delete_runs_before(instance, datetime.now(CALIFORNIA).date() + timedelta(days=2)) == 2
        )
        assert instance.get_runs() == []
