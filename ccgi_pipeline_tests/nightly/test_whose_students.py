"""Whose activity is reported: that of students in the rosters as they are tonight, nobody else's.

Belongs here: who comes into a report and who leaves it, from several nights of small inboxes.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.nightly.summary import read_night_start, summarize_night
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    put_events,
    put_roster,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    APPLICATIONS,
    OF_APPLICATIONS,
    ON,
    Outbox,
    bytes_below,
    folders_in,
    lake_rows,
    run_night,
)

_HERE, _GONE, _NOBODYS = "1111111111", "2222222222", "9999999999"
_APPLICATIONS = FEEDS_BY_NAME["platform_college_applications"]


def _applied(*ssids: str) -> list[dict[str, str]]:
    return [application(ssid, "CCCApply", "Submitted", "Some College") for ssid in ssids]


def _ssids(rows: list[list[str]]) -> list[str]:
    return [row[rows[0].index("SSID")] for row in rows[1:]]


def test_events_of_students_outside_the_rosters_are_kept_counted_and_in_no_report(tmp_path: Path):
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students([_HERE], HAYWARD_HIGH))
    put_events(folders.inbox, _applied(_HERE, _NOBODYS, _NOBODYS))
    before = read_night_start(folders)
    run_night(folders, reports=OF_APPLICATIONS)
    assert len(lake_rows(folders.warehouse)[_APPLICATIONS.name]) == 3
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        assert health_queries.count_events_outside_rosters(connection, [_APPLICATIONS]) == {
            _APPLICATIONS.name: 2
        }
    assert summarize_night(folders, ON, before, ()).events_outside_rosters == 2
    reports = bytes_below(folders.outbox)
    assert any(_HERE.encode() in content for content in reports.values())
    assert not any(_NOBODYS.encode() in content for content in reports.values())


@pytest.mark.slow
def test_who_leaves_the_roster_leaves_the_reports_and_comes_back_with_it(tmp_path: Path):
    folders = folders_in(tmp_path)
    put_events(folders.inbox, _applied(_HERE, _GONE))
    nights = ([_HERE, _GONE], [_HERE], [_HERE, _GONE])
    reported = []
    for number, ssids in enumerate(nights):
        on = ON + timedelta(days=number)
        grade = f"{10 + number}"  # the same roster again would be the same drop
        put_roster(folders.inbox, HAYWARD, students(ssids, HAYWARD_HIGH, grade), f"{on:%Y%m%d}")
        run_night(folders, on, reports=OF_APPLICATIONS)
        outbox = Outbox(folders.outbox)
        reported.append(_ssids(outbox.report("HaywardUnified", APPLICATIONS, "Detail", on)))
    assert reported == [[_HERE, _GONE], [_HERE], [_HERE, _GONE]]


def test_an_event_that_came_before_its_student_is_reported_once_the_student_is_there(
    tmp_path: Path,
):
    folders = folders_in(tmp_path)
    put_events(folders.inbox, _applied(_HERE, _GONE))
    put_roster(folders.inbox, HAYWARD, students([_GONE], HAYWARD_HIGH), "20261121")
    run_night(folders, reports=OF_APPLICATIONS)
    later = ON + timedelta(days=1)
    put_roster(folders.inbox, HAYWARD, students([_GONE, _HERE], HAYWARD_HIGH), "20261122")
    run_night(folders, later, reports=OF_APPLICATIONS)
    rows = Outbox(folders.outbox).report("HaywardUnified", APPLICATIONS, "Detail", later)
    assert _ssids(rows) == [_HERE, _GONE]


@pytest.mark.slow
def test_who_moves_to_another_district_is_reported_there_alone(tmp_path: Path):
    folders = folders_in(tmp_path)
    later = ON + timedelta(days=1)
    put_events(folders.inbox, _applied(_HERE, _GONE))
    put_roster(folders.inbox, HAYWARD, students([_HERE, _GONE], HAYWARD_HIGH), "20261121")
    run_night(folders, reports=OF_APPLICATIONS)
    put_roster(folders.inbox, HAYWARD, students([_HERE], HAYWARD_HIGH), "20261122")
    put_roster(folders.inbox, PALM_SPRINGS, students([_GONE], PALM_SPRINGS_HIGH), "20261122")
    run_night(folders, later, reports=OF_APPLICATIONS)
    outbox = Outbox(folders.outbox)
    assert {
        folder: _ssids(outbox.report(folder, APPLICATIONS, "Detail", later))
        for folder in ("HaywardUnified", "PalmSpringsUnified")
    } == {"HaywardUnified": [_HERE], "PalmSpringsUnified": [_GONE]}


@pytest.mark.slow
def test_several_packages_of_one_night_count_one_after_the_other(tmp_path: Path):
    folders = folders_in(tmp_path)
    put_events(folders.inbox, _applied(_HERE, _GONE))
    put_roster(folders.inbox, HAYWARD, students([_HERE, _GONE], HAYWARD_HIGH), "20261119")
    put_roster(folders.inbox, HAYWARD, students([_GONE], HAYWARD_HIGH), "20261120")
    put_roster(folders.inbox, HAYWARD, students([_HERE], HAYWARD_HIGH, "12"), "20261121")
    run_night(folders, reports=OF_APPLICATIONS)
    outbox = Outbox(folders.outbox)
    rows = outbox.report("HaywardUnified", APPLICATIONS, "Detail")
    assert [(row[3], row[4]) for row in rows[1:]] == [(_HERE, "12")]
    fates = [
        file["fates"]
        for receipt in outbox.receipts("HaywardUnified")
        for file in receipt["files"]
        if file["feed"] == "transcript_student"
    ]
    assert sorted(fates, key=repr) == [{"inserted": 2}, {"unchanged": 1}, {"updated": 1}]


@pytest.mark.slow
def test_a_student_whose_line_is_rejected_in_the_newest_of_two_packages_of_a_night_stays(
    tmp_path: Path,
):
    folders = folders_in(tmp_path)
    put_events(folders.inbox, _applied(_HERE, _GONE))
    put_roster(folders.inbox, HAYWARD, students([_HERE], HAYWARD_HIGH), "20261119")
    bad = student(_HERE, HAYWARD_HIGH, GradeLevel="99")
    put_roster(folders.inbox, HAYWARD, [bad, student(_GONE, HAYWARD_HIGH)], "20261120")
    run_night(folders, reports=OF_APPLICATIONS)
    rows = Outbox(folders.outbox).report("HaywardUnified", APPLICATIONS, "Detail")
    assert _ssids(rows) == [_HERE, _GONE]
