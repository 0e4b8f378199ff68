"""No report reads foster data, and one that did would be found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.reports.foster_privacy import FOSTER_TABLES, find_foster_data
from ccgi_pipeline.reports.query_tables import find_table_names
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportColumn, ReportSpec

GOALS = next(report for report in REPORTS if report.name == "goals")


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.name)
def test_no_report_reads_foster_data(report: ReportSpec):
    assert find_foster_data(report) == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT * FROM roster SEMI JOIN foster_focus_gpa USING (x)", "foster_focus_gpa"),
        ("WITH a AS (SELECT 1 FROM lake.child_links) SELECT * FROM a", "child_links"),
        ("SELECT (SELECT max(line) FROM unmatched) FROM roster", "unmatched"),
        ("SELECT FosterYouth FROM transcript_student", "FosterYouth"),
    ],
)
def test_a_query_that_reads_foster_data_is_found(tmp_path: Path, query: str, found: str):
    path = tmp_path / "query.sql"
    path.write_text(query)
    assert find_foster_data(replace(GOALS, query=path)) == [found]


def test_a_column_that_shows_foster_data_is_found():
    column = ReportColumn("Kind", ("transcript_student", "FosterYouth"))
    assert find_foster_data(replace(GOALS, columns=(*GOALS.columns, column))) == ["Kind"]


def test_every_table_of_foster_youth_is_known_as_one():
    assert {feed.name for feed in FEEDS if feed.name.startswith("foster_focus")} <= FOSTER_TABLES
    assert find_table_names("SELECT 1 FROM a JOIN b USING (x), (SELECT * FROM c.d)") == {
        "a",
        "b",
        "d",
    }
