"""The basis of a report changes with all that the report shows, and with nothing else.

Belongs here: one change after the other to a small state, and which reports have another basis
then. What a query reads is taken from its text. Does not belong here: nights (nightly).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import get_args

import duckdb
import polars as pl
import pytest

from ccgi_pipeline.feeds.registry import EVENT_FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_GRADE
from ccgi_pipeline.nightly.evaluate import evaluate_eligibility
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import WaitMode, receive_drops
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.profiles import (
    DeliveryProfile,
    DistrictProfile,
    OptOutScope,
    Profiles,
    ReportSettings,
)
from ccgi_pipeline.reports import basis, digests
from ccgi_pipeline.reports.basis import compute_bases, list_sources, prepare_bases
from ccgi_pipeline.reports.queries import (
    build_sent_aggregate_rows,
    create_detail_table,
    create_report_views,
    read_detail_batches,
)
from ccgi_pipeline.reports.query_tables import parse_query, walk_nodes
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.files import Line, as_bytes, good_lines
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    course,
    directory_entry,
    numbered,
    put,
    put_directory,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, take_and_load, writing
from ccgi_pipeline_tests.tiers import slow_but

CDS = (HAYWARD, PALM_SPRINGS)
OF_HAYWARD, OF_PALM_SPRINGS = numbered(1_000_000_000, 20), numbered(2_000_000_000, 20)
Bases = dict[tuple[str, str], str]
"""By report and CD code."""
ALL = {(spec.name, cd) for spec in REPORTS for cd in CDS}
AGGREGATED = {(spec.name, cd) for spec in REPORTS for cd in CDS if "Agg" in spec.files}
_SENT = iter(range(1, 1000))


def events_of(feed: FeedSpec, ssid: str, at: str = "2026-10-01T20:00:00Z") -> list[Line]:
    """One event of a kind, with an id of its own."""
    (line,) = good_lines(feed, 1)
    return [{**line, "EventID": f"event-{next(_SENT)}", "SSID": ssid, "OccurredAt": at}]


def send_events(folders: PipelinePaths, feed: FeedSpec, lines: list[Line]) -> None:
    name = feed.name.removeprefix("platform_")
    put(folders.inbox, f"platform/{next(_SENT)}_{name}.csv", as_bytes(feed, lines))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Two districts; a student of each has done each thing. Tests add to it and never ask what."""
    made = folders_in(tmp_path_factory.mktemp("bases"))
    put_roster(made.inbox, HAYWARD, students(OF_HAYWARD, HAYWARD_HIGH, "12"))
    put_roster(made.inbox, PALM_SPRINGS, students(OF_PALM_SPRINGS, PALM_SPRINGS_HIGH, "12"))
    for feed in EVENT_FEEDS:
        first = [ssids[0] for ssids in (OF_HAYWARD, OF_PALM_SPRINGS)]
        send_events(made, feed, [line for ssid in first for line in events_of(feed, ssid)])
    with writing(made) as connection:
        take_and_load(connection, made)
        evaluate_eligibility(connection, made, ON)
    return made


def bases_of(
    connection: duckdb.DuckDBPyConnection, profiles: Profiles | None = None, on: date = ON
) -> Bases:
    profiles = profiles or Profiles()
    create_report_views(connection, on, profiles.reports)
    return compute_all(connection, profiles)


def compute_all(connection: duckdb.DuckDBPyConnection, profiles: Profiles) -> Bases:
    return {
        (spec.name, cd): of_district
        for spec in REPORTS
        for cd, of_district in compute_bases(connection, spec, profiles, REPORTS, CDS).items()
    }


def load(folders: PipelinePaths, family: str) -> None:
    """Loads what came of a family."""
    with writing(folders) as connection:
        receive_drops(connection, folders, ON, taking=WaitMode.NOW)
        verify_family(connection, folders, family, ON)
        load_family(connection, folders, family, ON)
        if family == "transcript":
            evaluate_eligibility(connection, folders, ON)


def changed_by(
    folders: PipelinePaths, family: str, profiles: Profiles | None = None
) -> set[tuple[str, str]]:
    """The reports that have another basis after what came of a family was loaded."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        before = bases_of(connection, profiles)
    load(folders, family)
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        after = bases_of(connection, profiles)
    return {of for of in before if before[of] != after[of]}


def that_read(name: str, cd: str = HAYWARD) -> set[tuple[str, str]]:
    """The reports of a district whose query names a table."""
    reads = re.compile(rf"\b(FROM|JOIN) {name}\b")
    found = {(spec.name, cd) for spec in REPORTS if reads.search(spec.query.read_text())}
    assert found, name
    return found


@pytest.mark.parametrize(
    "feed", slow_but(EVENT_FEEDS[0], EVENT_FEEDS), ids=[feed.name for feed in EVENT_FEEDS]
)
def test_an_event_changes_the_reports_of_its_students_district_that_read_it(
    folders: PipelinePaths, feed: FeedSpec
) -> None:
    """On the day of the event: one of tomorrow changes nothing before tomorrow."""
    send_events(folders, feed, events_of(feed, OF_HAYWARD[1]))
    send_events(folders, feed, events_of(feed, "8888888888"))  # on no roster
    assert changed_by(folders, "platform") == that_read(feed.view)
    at_one = f"{ON + timedelta(days=1)}T21:00:00Z"
    send_events(folders, feed, events_of(feed, OF_HAYWARD[3], at_one))
    assert changed_by(folders, "platform") == set()
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        tonight, tomorrow, later = (
            bases_of(connection, on=ON + timedelta(days=days)) for days in (0, 1, 400)
        )
    # Events of tomorrow of other feeds are from other cases.
    assert {of for of in tonight if tonight[of] != tomorrow[of]} >= that_read(feed.view)
    assert later == tomorrow


def test_events_of_students_on_no_roster_change_nothing(folders: PipelinePaths) -> None:
    for feed in EVENT_FEEDS:
        send_events(folders, feed, events_of(feed, "8888888888"))
    assert changed_by(folders, "platform") == set()


_DAYS = iter(range(20261201, 20261299))


def send_roster(folders: PipelinePaths, cells: Line) -> None:
    """Hayward's roster, in which one student has other cells."""
    first, *others = students(OF_HAYWARD, HAYWARD_HIGH, "12")
    put_roster(folders.inbox, HAYWARD, [{**first, **cells}, *others], f"{next(_DAYS)}")


@pytest.mark.parametrize(
    "cells",
    [{"Gender": "M"}, {"GradeLevel": "10"}, {"RaceCode1": "700"}, {"HispanicEthnicity": "Y"}],
    ids=lambda cells: next(iter(cells)),
)
def test_a_student_who_changed_changes_all_reports_of_the_district(
    folders: PipelinePaths, cells: Line
) -> None:
    send_roster(folders, cells)
    assert changed_by(folders, "transcript") == {of for of in ALL if of[1] == HAYWARD}


def test_what_no_report_shows_of_a_student_changes_nothing(folders: PipelinePaths) -> None:
    send_roster(folders, {})
    load(folders, "transcript")
    send_roster(
        folders, {"LastName": "Other", "LocalStudentID": "L99", "DateOfBirth": "04/01/2010"}
    )
    assert changed_by(folders, "transcript") == set()


def test_a_course_changes_the_reports_of_eligibility(folders: PipelinePaths) -> None:
    send_roster(folders, {})
    load(folders, "transcript")
    send_roster(folders, {})
    lines = [course(OF_HAYWARD[0], HAYWARD_HIGH, SubjectArea="C")]
    name = f"{HAYWARD}/transcript/CourseGrade_{next(_DAYS) - 1}.csv"
    put(folders.inbox, name, as_bytes(COURSE_GRADE, lines))
    assert changed_by(folders, "transcript") == that_read("eligibility")


def test_the_name_of_a_school_changes_the_reports_of_its_district(folders: PipelinePaths) -> None:
    entry = directory_entry(HAYWARD_HIGH, "Alameda", "Hayward Unified", "Renamed High")
    put_directory(folders.inbox, [entry])
    assert changed_by(folders, "cde_directory") == {of for of in ALL if of[1] == HAYWARD}


@pytest.mark.parametrize("covers", get_args(OptOutScope))
def test_an_opt_out_counts_where_the_setting_covers_it(folders: PipelinePaths, covers: str) -> None:
    send_roster(folders, {})
    load(folders, "transcript")
    send_roster(folders, {"ParentConsent": "N"})
    profiles = Profiles.model_validate({"reports": {"opt_out_covers": covers}})
    theirs = {of for of in ALL if of[1] == HAYWARD}
    assert changed_by(folders, "transcript", profiles) == (set() if covers == "exports" else theirs)


def test_a_claim_and_its_decision_change_the_reports_of_both(folders: PipelinePaths) -> None:
    with writing(folders) as connection:
        before = bases_of(connection)
        connection.execute(
            "INSERT INTO claims BY NAME SELECT 'c1' AS claim, $ssid AS SSID, $cd AS _sender, "
            "false AS sees, 'operator' AS basis",
            {"ssid": OF_PALM_SPRINGS[5], "cd": PALM_SPRINGS},
        )
        claimed = bases_of(connection)
        connection.execute("UPDATE claims SET sees = true WHERE claim = 'c1'")
        decided = bases_of(connection)
    assert {of for of in before if before[of] != claimed[of]} == {
        of for of in ALL if of[1] == PALM_SPRINGS
    }
    assert decided == before


OTHER_SETTINGS = {
    "percent_of": "school",
    "percent_decimals": 2,
    "opt_out_covers": "counts",
    "aid_year_starts": "09-01",
    "admission_year_starts": "06-01",
    "unchanged": "copy",
}


@pytest.mark.parametrize("name", list(ReportSettings.model_fields))
def test_each_setting_of_the_reports_changes_them_but_how_unchanged_ones_stay(
    folders: PipelinePaths, name: str
) -> None:
    other = Profiles.model_validate({"reports": {name: OTHER_SETTINGS[name]}})
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        before, after = bases_of(connection), bases_of(connection, other)
    changed = {of for of in before if before[of] != after[of]}
    assert changed == (set() if name == "unchanged" else ALL)


def hiding(*cds: str) -> Profiles:
    """Profiles in which these districts hide small cells."""
    own = DistrictProfile(delivery=DeliveryProfile(small_cells="california_10"))
    return Profiles(districts=dict.fromkeys(cds, own))


def test_small_cells_change_the_aggregates_of_the_district(folders: PipelinePaths) -> None:
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        before, after = bases_of(connection), bases_of(connection, hiding(HAYWARD))
    changed = {of for of in before if before[of] != after[of]}
    assert changed == {of for of in AGGREGATED if of[1] == HAYWARD}


def test_with_small_cells_hidden_a_report_depends_on_its_linked_report(
    folders: PipelinePaths,
) -> None:
    linked = {spec.name: spec.tables.linked_to for spec in REPORTS if spec.tables.linked_to}
    assert linked, "no report is linked to another"
    for name, other in linked.items():
        (spec,) = (one for one in REPORTS if one.name == name)
        (their,) = (one for one in REPORTS if one.name == other)
        extra = {*list_sources(their)} - {*list_sources(spec)}
        for view in sorted(extra & {feed.view for feed in EVENT_FEEDS}):
            (feed,) = (one for one in EVENT_FEEDS if one.view == view)
            lines = [events_of(feed, ssids[6]) for ssids in (OF_HAYWARD, OF_PALM_SPRINGS)]
            sent = [line for of_one in lines for line in of_one]
            send_events(folders, feed, sent)
            found = changed_by(folders, "platform", hiding(HAYWARD))
            assert (name, HAYWARD) in found
            assert (name, PALM_SPRINGS) not in found


def test_the_code_changes_all_reports(
    folders: PipelinePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        before = bases_of(connection)
        monkeypatch.setattr(basis, "_CODE", "another version")
        after = bases_of(connection)
    assert {of for of in before if before[of] != after[of]} == ALL


@pytest.mark.slow
def test_the_digests_of_unchanged_tables_are_not_computed_again(
    folders: PipelinePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept digests are those that would be computed, whatever has changed."""
    computed: set[str] = set()
    query = digests._digest_query

    def noted(source: str) -> str:
        computed.add(source)
        return query(source)

    def prepared(on: date = ON, profiles: Profiles | None = None) -> set[str]:
        """The sources whose digests were computed, while others were kept."""
        profiles = profiles or Profiles()
        with open_warehouse(folders.warehouse, read_only=True) as connection:
            create_report_views(connection, on, profiles.reports)
            computed.clear()
            prepare_bases(connection, tmp_path, profiles, REPORTS)
            found = {*computed}
            kept = compute_all(connection, profiles)
            assert {*computed} == found
            assert kept == bases_of(connection, profiles, on)
        return found

    monkeypatch.setattr(digests, "_digest_query", noted)
    every = prepared()
    assert {"roster", "eligibility", "favorites"} <= every
    assert prepared() == set()
    send_events(folders, EVENT_FEEDS[0], events_of(EVENT_FEEDS[0], OF_HAYWARD[5]))
    load(folders, "platform")
    assert prepared() == {EVENT_FEEDS[0].view}
    tomorrow = ON + timedelta(days=1)
    later = events_of(EVENT_FEEDS[0], OF_HAYWARD[6], f"{tomorrow}T21:00:00Z")
    send_events(folders, EVENT_FEEDS[0], later)
    load(folders, "platform")
    assert prepared() == {EVENT_FEEDS[0].view}
    assert EVENT_FEEDS[0].view in prepared(tomorrow)
    send_roster(folders, {"Gender": "X"})
    load(folders, "transcript")
    assert {"roster", *(feed.view for feed in EVENT_FEEDS)} <= prepared()
    assert prepared(profiles=Profiles(reports=ReportSettings(aid_year_starts="09-01"))) == every
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"no Parquet")
    assert prepared() == every


def test_a_table_that_is_no_districts_own_counts_as_a_whole(folders: PipelinePaths) -> None:
    """A customized report may read any table: a change of it changes the report everywhere."""
    spec = replace(
        REPORTS[0],
        name="customized",
        query=_Query("SELECT roster.* FROM roster SEMI JOIN drops ON drops.sender = roster.cd"),
    )
    assert "drops" in list_sources(spec)
    with writing(folders) as connection:
        create_report_views(connection, ON, Profiles().reports)
        before = compute_bases(connection, spec, Profiles(), REPORTS, CDS)
        connection.execute("INSERT INTO drops BY NAME SELECT 'another' AS drop_id")
        create_report_views(connection, ON, Profiles().reports)
        after = compute_bases(connection, spec, Profiles(), REPORTS, CDS)
        connection.execute("DELETE FROM drops WHERE drop_id = 'another'")
    assert all(before[cd] != after[cd] for cd in CDS)


class _Query:
    """A query that lies in no file."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self) -> str:
        return self._text


# --- what a basis relies on -----------------------------------------------------------------------


def functions_of(query: str) -> Iterator[str]:
    for node in walk_nodes(parse_query(query)):
        if "function_name" in node:
            yield str(node["function_name"])


@pytest.mark.parametrize("spec", REPORTS, ids=lambda spec: spec.name)
def test_no_query_reads_the_clock_or_draws_by_chance(spec: ReportSpec) -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() "
            "WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
        ).fetchall()
    fickle = {name for (name,) in rows}
    assert {"now", "random"} <= fickle
    assert {*functions_of(spec.query.read_text())} & {*fickle, "today", "current_date"} == set()


@pytest.fixture(scope="module")
def opened(small_state: PipelinePaths) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(small_state.warehouse, read_only=True) as connection:
        create_report_views(connection, ON, ReportSettings())
        yield connection


@pytest.mark.parametrize("spec", REPORTS, ids=lambda spec: spec.name)
def test_a_district_alone_has_the_rows_that_it_has_among_all(
    opened: duckdb.DuckDBPyConnection, spec: ReportSpec
) -> None:
    """A basis has the district's own rows only, so no report may depend on another district's."""
    named = opened.execute("FROM district_names ORDER BY cd").pl()
    cds = named["cd"].to_list()
    profiles = hiding(*cds)

    def rows_of(only: list[str] | None) -> list[pl.DataFrame]:
        theirs = pl.col("cd").is_in(only or cds)
        create_detail_table(opened, spec, cds=only)
        ((_, details),) = read_detail_batches(opened, spec, named.filter(theirs))
        if "Agg" not in spec.files:
            return [details]
        aggregate = build_sent_aggregate_rows(opened, spec, profiles, REPORTS, only)
        return [details, aggregate.filter(theirs)]

    everybody = rows_of(None)
    assert len(cds) >= 3
    for cd in cds:
        alone = rows_of([cd])
        seen = opened.execute("SELECT DISTINCT cd FROM detail").fetchall()
        assert seen in ([(cd,)], [])
        for part, of_all in zip(alone, everybody, strict=True):
            assert part.equals(of_all.filter(pl.col("cd") == cd))
