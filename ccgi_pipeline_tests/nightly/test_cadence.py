"""The end of an academic year, night by night: what is written, and what else a day off does."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.summary import NightSummary
from ccgi_pipeline.profiles import FILE_NAME
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.runtime.dagster_instance import prepare_dagster_home
from ccgi_pipeline.runtime.night_run import run_night as run_night_in_dagster
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import OF_ACCOUNTS, Outbox, folders_in, run_night

_SETTINGS = f"""
[defaults.cadence]
academic_years = [{{ first_day = 2026-08-12, last_day = 2026-11-18 }}]  # until a Wednesday
legacy_reporting = "week"
weekday = "friday"

[districts.{HAYWARD}.cadence]
outside = "none"
"""
_SHOWN = [*OF_ACCOUNTS, *(spec for spec in REPORTS if spec.name == "career_exploration_daily")]
_WEEKLY = "weekly, on Friday"
_DAY_OFF = date(2026, 11, 22)
_NIGHTS = (16, 17, 21)
"""Days of November. The nights of Wednesday, the last day of the year, to Friday are missed."""


@pytest.fixture(scope="module")
def year_end(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Two districts after the nights before the day off."""
    folders = folders_in(tmp_path_factory.mktemp("year_end"))
    folders.warehouse.mkdir()
    (folders.warehouse / FILE_NAME).write_text(_SETTINGS)
    put_roster(folders.inbox, HAYWARD, students(numbered(1000, 3), HAYWARD_HIGH))
    put_roster(folders.inbox, PALM_SPRINGS, students(numbered(2000, 3), PALM_SPRINGS_HIGH))
    for day in _NIGHTS:
        # A report that was never written is due at once: the last of these nights writes them all.
        run_night(folders, date(2026, 11, day), _SHOWN if day != _NIGHTS[-1] else REPORTS)
    return folders


def _days_written(folders: PipelinePaths, district: str, group: str) -> list[int]:
    """The days of November that wrote reports of the group."""
    found = (folders.outbox / district / group).rglob(f"{district}_202611*_Detail.csv")
    return sorted({int(path.name.removeprefix(f"{district}_202611")[:2]) for path in found})


@pytest.mark.parametrize(
    ("district", "daily", "weekly"),
    [
        # Saturday writes the daily reports of Wednesday, and Friday's weekly ones.
        ("PalmSpringsUnified", [16, 17, 21], [16, 21]),
        ("HaywardUnified", [16, 17, 21], [16]),
    ],
)
def test_what_is_due_is_written_and_what_was_missed_is_caught_up(
    year_end: PipelinePaths, district: str, daily: list[int], weekly: list[int]
) -> None:
    # The day off, which other tests may have run by now, adds nothing.
    assert _days_written(year_end, district, "daily reporting") == daily
    assert _days_written(year_end, district, "legacy reporting") == weekly


@pytest.fixture(scope="module")
def day_off(year_end: PipelinePaths) -> NightSummary:
    """A Sunday on which nothing is due; a district sends a roster all the same."""
    put_roster(year_end.inbox, HAYWARD, students(numbered(1000, 4), HAYWARD_HIGH), day="20261121")
    return run_night_in_dagster(year_end, _DAY_OFF)


def test_a_day_off_receives_loads_and_answers(
    year_end: PipelinePaths, day_off: NightSummary
) -> None:
    assert day_off.students == 7
    assert day_off.reports == 0
    (receipt,) = Outbox(year_end.outbox).receipts("HaywardUnified", _DAY_OFF)
    assert receipt["verdict"] == "accepted"
    assert 4 in [file["lines"] for file in receipt["files"]]


def test_the_summary_says_what_was_not_due(day_off: NightSummary) -> None:
    none, weekly = (f"{words} outside the academic year" for words in ("not written", _WEEKLY))
    week = f"{weekly}; last written for 2026-11-21, next on 2026-11-27"
    assert sorted(state.describe() for state in day_off.not_due) == [
        (
            f"daily reporting of district {HAYWARD}: {none}; last written for 2026-11-21, next on "
            "2027-08-12"
        ),
        f"daily reporting of district {PALM_SPRINGS}: {week}",
        (
            f"legacy reporting of district {HAYWARD}: {none}; last written for 2026-11-16, next on "
            "2027-08-13"
        ),
        f"legacy reporting of district {PALM_SPRINGS}: {week}",
    ]


def test_nothing_is_red_on_a_day_off(year_end: PipelinePaths, day_off: NightSummary) -> None:
    del day_off
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(year_end.warehouse))) as instance:
        (run,) = instance.get_runs()
        events = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        checks = [log.get_dagster_event().asset_check_evaluation_data for log in events]
    of_reports = [check for check in checks if check.asset_key.path[-1].startswith("report_")]
    assert len(of_reports) == len(REPORTS)
    assert [check.check_name for check in checks if not check.passed] == []


def test_status_says_when_the_reports_were_written_and_come_again(
    year_end: PipelinePaths, day_off: NightSummary
) -> None:
    del day_off
    told = _status(year_end.warehouse, "--date", "2026-11-23")
    assert told.exit_code == 0, told.output
    words = " ".join(told.output.split())
    assert (
        f"Reports: legacy reporting of district {PALM_SPRINGS}: {_WEEKLY} outside the "
        "academic year; last written for 2026-11-21, next on 2026-11-27"
    ) in words
    assert "next on 2027-08-12" in words
    one = _status(year_end.warehouse, "--date", "2026-11-23", "--district", HAYWARD).output
    assert PALM_SPRINGS not in one
    in_the_year = _status(year_end.warehouse, "--date", "2026-10-05").output
    assert f"Reports: legacy reporting of 2 districts: {_WEEKLY};" in in_the_year
    assert "daily reporting" not in in_the_year


def _status(warehouse: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["status", "--warehouse", str(warehouse), *arguments])
