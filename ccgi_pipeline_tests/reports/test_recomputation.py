"""Every cell of every report, computed again in plain Python from the dictionary's rules.

Belongs here: random students and events with relaunches, late events, ties and blanks, of which the
shipped queries and the recomputation must make the same rows. How a course history is evaluated is
computed a second time in eligibility/naive.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl
import pytest

from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.registry import EVENT_FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.profiles import ReportSettings
from ccgi_pipeline.reports.queries import (
    build_aggregate_rows,
    create_report_views,
    read_detail_rows,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline_tests.reports import recomputation
from ccgi_pipeline_tests.reports.recomputation import Event, Record, Rows

NIGHT = date(2026, 11, 20)
SCHOOLS = {
    "33671733335130": "Palm Springs High",
    "33671739999991": "Twin High (9999991)",
    "33671739999992": "Twin High (9999992)",
    "33671738888888": "33671738888888",
}
"""Schools as reports name them: one of the directory, two of one name, and an unlisted one."""
_LISTED = {
    "33671733335130": "Palm Springs High",
    "33671739999991": "Twin High",
    "33671739999992": "Twin High",
}
_COLLEGES = (None, "CSU Chico", "UC Davis", "College of the Desert")
_FEW = {
    "CollegeName": _COLLEGES,
    "JournalTopic": (None, "Careers", "=Sum of it all"),
    "ModuleName": ("FAFSA basics", "Dream Act", "Cal Grant"),
    "AssessmentName": ("Interests", "Values"),
    "FavoriteName": ("Nurse", "Baker", "CSU Chico"),
    "GoalID": ("g1", "g2", "g3"),
    "GoalType": ("Academic", "Career"),
    "PlanID": ("p1", "p2"),
}
_MOMENTS = (
    # Turns of the application years, in UTC: at midnight of California, and a second before.
    datetime(2026, 7, 1, 6, 59, 59, tzinfo=UTC),
    datetime(2026, 7, 1, 7, tzinfo=UTC),
    datetime(2026, 10, 1, 6, 59, 59, tzinfo=UTC),
    datetime(2026, 10, 1, 7, tzinfo=UTC),
    datetime(2025, 11, 3, 20, tzinfo=UTC),
    datetime(2026, 11, 3, 20, tzinfo=UTC),
    datetime(2026, 11, 3, 20, tzinfo=UTC),
    datetime(2026, 11, 21, 7, 59, 59, tzinfo=UTC),
    datetime(2026, 11, 21, 8, tzinfo=UTC),  # the next day: not in tonight's reports
)


def _cell(chance: random.Random, feed_name: str, name: str) -> str | None:
    declared = FEEDS_BY_NAME[feed_name].columns[name]
    if name in _FEW:
        return chance.choice(_FEW[name])
    assert declared.codes is not None, name
    return chance.choice(declared.codes.values)


def _students(chance: random.Random) -> list[Record]:
    return [
        {
            "StateID": f"{4_000_000_000 + number}",
            "PrimaryCDSCode": chance.choice((*SCHOOLS,)),
            "GradeLevel": chance.choice(("09", "11", "12", "KN")),
            "Gender": chance.choice(("F", "M", "X", None)),
            "HispanicEthnicity": chance.choice(("Y", "N", None)),
            **{
                f"RaceCode{place}": chance.choice((None, None, *recomputation.RACES))
                for place in range(1, 6)
            },
        }
        for number in range(60)
    ]


def _events(chance: random.Random, students: list[Record]) -> dict[str, list[Event]]:
    numbers = iter(range(100_000))
    found = {}
    for feed in EVENT_FEEDS:
        own = [name for name in feed.columns if name not in {"EventID", "SSID", "OccurredAt"}]
        found[feed.name] = [
            Event(
                f"event-{chance.randrange(10)}-{next(numbers)}",
                str(chance.choice(students[:50])["StateID"]),  # the last ten did nothing
                chance.choice(_MOMENTS)
                if chance.random() < 0.5
                else datetime(2026, 11, 20, tzinfo=UTC)
                - timedelta(minutes=chance.randrange(600_000)),
                {name: _cell(chance, feed.name, name) for name in own},
            )
            for _ in range(400)
        ]
    return found


World = tuple[list[Record], dict[str, list[Event]]]


@pytest.fixture(scope="module", params=[1, 2, 3])
def world(request: pytest.FixtureRequest) -> World:
    """Students and their events, by feed; different with each seed."""
    chance = random.Random(request.param)  # noqa: S311 - a history, not a secret
    students = _students(chance)
    return students, _events(chance, students)


@pytest.fixture(scope="module")
def connection(world: World) -> Iterator[duckdb.DuckDBPyConnection]:
    """The world in the tables of a warehouse in memory, with the views of the reports."""
    students, events = world
    with duckdb.connect() as opened:
        opened.execute("ATTACH ':memory:' AS lake")
        opened.execute("USE lake")
        create_missing_tables(opened)
        booleans = {"Y": True, "N": False, None: None}
        roster = [
            {**student, "HispanicEthnicity": booleans[student["HispanicEthnicity"]]}
            for student in students
        ]
        _insert(opened, "transcript_student", roster, sender="3367173")
        schools = [
            {"CDSCode": code, "School": name, "District": "Palm Springs Unified"}
            for code, name in _LISTED.items()
        ]
        of_all = {"County": "Riverside", "StatusType": "Active"}
        _insert(opened, "cde_directory", [{**of_all, **school} for school in schools], sender="cde")
        for feed in EVENT_FEEDS:
            rows = [
                {
                    "EventID": e.id,
                    "SSID": e.ssid,
                    "OccurredAt": e.at.replace(tzinfo=None),
                    **e.cells,
                }
                for e in events[feed.name]
            ]
            _insert(opened, feed.name, rows, sender="platform")
        opened.execute(
            "INSERT INTO eligibility BY NAME SELECT _sender, StateID AS SSID, 'CSU' AS system, "
            "'Close' AS status, '2.50' AS average FROM transcript_student"
        )
        create_report_views(opened, NIGHT, ReportSettings())
        yield opened


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: list[dict], sender: str
) -> None:
    declared = FEEDS_BY_NAME[table].columns
    kinds = {name: declared[name].dtype for name in rows[0]}
    connection.register("given", pl.DataFrame(rows, schema=kinds, orient="row").to_arrow())
    connection.execute(
        f"INSERT INTO {table} BY NAME SELECT *, '{sender}' AS _sender, true AS _active FROM given"  # noqa: S608
    )
    connection.unregister("given")


def _activity(world: World, ssid: str) -> dict[str, list[Event]]:
    _, events = world
    return {
        feed.view: recomputation.happened_by(
            (event for event in events[feed.name] if event.ssid == ssid), NIGHT
        )
        for feed in EVENT_FEEDS
    }


def _rows_of(spec: ReportSpec, activity: dict[str, list[Event]]) -> Rows:
    if spec.name == "csu_eligibility_and_applied":
        return [("Close", "2.50", *recomputation.campuses_and_status(activity))]
    return recomputation.REPORTS[spec.name](activity)


def _recomputed(world: World, spec: ReportSpec) -> list[tuple[str, ...]]:
    """The rows of a detail file, in its order."""
    rows = []
    for student in world[0]:
        school = student["PrimaryCDSCode"] or ""
        ssid = student["StateID"] or ""
        told = (
            "Riverside",
            "Palm Springs Unified",
            SCHOOLS[school],
            ssid,
            student["GradeLevel"] or "",
            student["Gender"] or "Not Reported",
            recomputation.race(student),
            recomputation.ethnicity(student),
        )
        rows += [
            ((SCHOOLS[school], school, ssid), *told, *own)
            for own in _rows_of(spec, _activity(world, ssid))
        ]
    return [row[1:] for row in sorted(rows, key=lambda row: (row[0], row[9:]))]


RECOMPUTED = [
    spec
    for spec in REPORTS
    if spec.name in recomputation.REPORTS or spec.name == "csu_eligibility_and_applied"
]


def test_every_report_is_recomputed_but_the_estimates_themselves() -> None:
    left = {spec.name for spec in REPORTS} - {spec.name for spec in RECOMPUTED}
    assert left == {"csu_eligibility", "uc_eligibility"}


def _as_printed(cell: str) -> str:
    return f"'{cell}" if cell.startswith("=") else cell


@pytest.mark.parametrize("spec", RECOMPUTED, ids=lambda spec: spec.name)
def test_every_detail_row_is_what_the_rules_say(
    connection: duckdb.DuckDBPyConnection, world: World, spec: ReportSpec
) -> None:
    expected = [tuple(map(_as_printed, row)) for row in _recomputed(world, spec)]
    found = read_detail_rows(connection, spec).drop("cd").rows()
    assert Counter(found) == Counter(expected)
    place_and_student = slice(2, 4)
    assert [r[place_and_student] for r in found] == [r[place_and_student] for r in expected]
    assert len(found) > 20


@pytest.mark.parametrize(
    "spec", [spec for spec in RECOMPUTED if "Agg" in spec.files], ids=lambda spec: spec.name
)
def test_every_aggregate_row_is_what_the_rules_say(
    connection: duckdb.DuckDBPyConnection, world: World, spec: ReportSpec
) -> None:
    names = [column.name for column in spec.detail_columns]
    places = [names.index(column.name) for column in spec.aggregate_columns[:-2]]
    counted: dict[tuple[str, ...], set[str]] = {}
    for row in _recomputed(world, spec):
        counted.setdefault(tuple(row[place] for place in places), set()).add(row[3])
    sizes = Counter(
        (SCHOOLS[student["PrimaryCDSCode"] or ""], student["GradeLevel"]) for student in world[0]
    )
    expected = []
    for group, students in counted.items():
        count, size = len(students), sizes[group[2], group[-1]]
        tenths = (count * 2000 + size) // (2 * size)
        percent = f"{tenths / 10:.1f}".removesuffix(".0")
        words = _LABELS.get(spec.name, {})
        printed = [_as_printed(words.get(cell, cell)) for cell in group]
        expected.append((*printed, str(count), percent))
    read_detail_rows(connection, spec)
    found = build_aggregate_rows(connection, spec, ReportSettings()).drop("cd").rows()
    assert Counter(found) == Counter(expected)
    assert found == sorted(
        sorted(found, key=lambda row: row[-3], reverse=True), key=lambda row: row[2:-3]
    )


_LABELS = {"applications_and_launches": {"FAFSA/CADAA": "FAFSA/CADAA Launch"}}


def test_the_world_has_relaunches_late_events_ties_and_blanks(world: World) -> None:
    _, events = world
    aid = events["platform_financial_aid_applications"]
    completed = {e.ssid: e.at for e in aid if e.cells["ApplicationStatus"] == "Completed"}
    assert any(
        e.cells["ApplicationStatus"] == "Launched" and e.at > completed.get(e.ssid, e.at)
        for e in aid
    )
    assert any(e.at >= datetime(2026, 11, 21, 8, tzinfo=UTC) for e in aid)
    assert max(Counter((e.ssid, e.at) for e in aid).values()) > 1
    assert any(e.cells["CollegeName"] is None for e in events["platform_college_applications"])


def test_only_text_and_codes_are_made_up() -> None:
    kinds = {
        column.type
        for feed in EVENT_FEEDS
        for name, column in feed.columns.items()
        if name not in {"OccurredAt"}
    }
    assert kinds == {ColumnType.STRING}
