"""Each column of each report leads to the columns of the feeds that it is made of.

The query is the only place that knows; what a report declares as a column's origin must agree.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.reports.column_lineage import trace_eligibility, trace_report
from ccgi_pipeline.reports.queries import ELIGIBILITY
from ccgi_pipeline.reports.query_tables import feeds_used
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.warehouse.storage.schema import ELIGIBILITY_SCHEMA

BY_NAME = {report.name: report for report in REPORTS}
each_report = pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)


@each_report
def test_every_column_has_sources_or_is_a_constant_of_the_query(report: ReportSpec) -> None:
    traced = trace_report(report)
    assert [*traced] == [column.name for column in report.detail_columns]
    without = {name for name, sources in traced.items() if not sources}
    query = sqlglot.parse_one(report.query.read_text(), dialect="duckdb")
    constants = {one.alias for one in query.selects if isinstance(one.unalias(), exp.Literal)}
    assert without == constants


@each_report
def test_sources_are_columns_of_tables_that_the_asset_depends_on(report: ReportSpec) -> None:
    found = {source for sources in trace_report(report).values() for source in sources}
    assert {table for table, _ in found} <= {*feeds_used(report)}
    assert not [
        (table, column)
        for table, column in found
        if column
        not in (ELIGIBILITY_SCHEMA if table == ELIGIBILITY else FEEDS_BY_NAME[table].columns)
    ]


@each_report
def test_a_declared_origin_is_among_the_sources(report: ReportSpec) -> None:
    results = trace_eligibility()
    for column in report.detail_columns:
        sources = trace_report(report)[column.name]
        behind = {
            source
            for table, name in sources
            for source in (results[name] if table == ELIGIBILITY else {(table, name)})
        }
        assert column.origin is None or column.origin in behind


@pytest.mark.parametrize(
    ("report", "column", "sources"),
    [
        ("goals", "Grade Level", {("transcript_student", "GradeLevel")}),
        ("goals", "Race", {("transcript_student", f"RaceCode{n}") for n in range(1, 6)}),
        (
            "goals",
            "School",
            {("cde_directory", "School"), ("transcript_student", "PrimaryCDSCode")},
        ),
        ("journals", "# of Entries", {("platform_journals", "EventID")}),
        (
            "applications_and_launches",
            "Application Status",
            {
                ("platform_college_applications", "ApplicationStatus"),
                ("platform_financial_aid_applications", "ApplicationStatus"),
            },
        ),
        (
            "uc_eligibility",
            "Areas Not Complete",
            {(ELIGIBILITY, f"complete_{a}") for a in "ABCDEFG"},
        ),
        ("fafsa_applications", "Application Type", set()),
    ],
)
def test_sources_are_found_through_whatever_the_query_does(
    report: str, column: str, sources: set[tuple[str, str]]
) -> None:
    assert trace_report(BY_NAME[report])[column] == sources


def test_a_query_that_is_changed_has_other_sources(tmp_path: Path) -> None:
    changed = tmp_path / "goals.sql"
    query = BY_NAME["goals"].query.read_text()
    changed.write_text(query.replace("arg_max(GoalType,", "arg_max(upper(GoalID),"))
    sources = trace_report(replace(BY_NAME["goals"], query=changed))["Goal Type"]
    assert ("platform_goals", "GoalID") in sources
    assert ("platform_goals", "GoalType") not in sources


def test_an_evaluation_comes_from_the_whole_course_history() -> None:
    traced = trace_eligibility()
    assert traced["SSID"] == {("transcript_student", "StateID")}
    assert {
        ("transcript_course_grade", "CourseGrade"),
        ("transcript_course_grade", "CreditsAttempted"),
        ("transcript_course_catalog", "StateCourseCode"),
        ("transcript_student", "LOTECert"),
        ("transcript_student", "GradeLevel"),
    } <= traced["status"]
    assert ("transcript_student", "StateID") not in traced["status"]
