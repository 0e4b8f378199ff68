"""The schedule: each night once, in its order; a missed or failed one is made up or named."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from ccgi_pipeline.definitions import defs
from ccgi_pipeline.defs import automation
from ccgi_pipeline.defs.automation import configure_night, every_night, find_missed_days
from ccgi_pipeline.defs.dagster_internals import Switch


def _asked_for(instance: dg.DagsterInstance, tick: datetime) -> list[str | None]:
    """The keys of the nights that the schedule asks for at ``tick``."""
    context = dg.build_schedule_context(instance, scheduled_execution_time=tick)
    requests = every_night(context)
    for request in requests:
        day = request.run_config["resources"]["night"]["config"]["date"]
        assert (request.run_key or "").startswith(day)
    return [request.run_key for request in requests]


def _add_night(instance: dg.DagsterInstance, day: str, status: dg.DagsterRunStatus) -> None:
    config = configure_night(day).to_config_dict()
    instance.create_run_for_job(defs().resolve_job_def("night"), run_config=config, status=status)


@pytest.mark.slow
def test_the_schedule_makes_up_what_was_missed_or_failed_in_its_order(tmp_path: Path) -> None:
    tick = datetime(2026, 11, 23, 2, tzinfo=ZoneInfo("America/Los_Angeles"))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert _asked_for(instance, tick) == ["2026-11-22"]
        _add_night(instance, "2026-11-18", dg.DagsterRunStatus.SUCCESS)
        _add_night(instance, "", dg.DagsterRunStatus.SUCCESS)
        _add_night(instance, "2026-11-20", dg.DagsterRunStatus.FAILURE)
        _add_night(instance, "2026-11-21", dg.DagsterRunStatus.STARTED)
        assert _asked_for(instance, tick) == ["2026-11-19", "2026-11-20 again 1", "2026-11-22"]


@pytest.mark.parametrize("on", [True, False])
def test_a_night_that_a_later_one_passed_over_is_named_where_the_schedule_is_on(
    monkeypatch: pytest.MonkeyPatch, *, on: bool
) -> None:
    today = datetime.now(tz=ZoneInfo("America/Los_Angeles")).date()
    monkeypatch.setattr(automation, "read_switch", lambda *_: Switch(on, None))
    with dg.DagsterInstance.ephemeral() as instance:
        for before in (4, 3, 1):
            day = today - timedelta(days=before)
            _add_night(instance, f"{day:%Y-%m-%d}", dg.DagsterRunStatus.SUCCESS)
        missed = find_missed_days(instance)
    assert missed == ((today - timedelta(days=2),) if on else ())
