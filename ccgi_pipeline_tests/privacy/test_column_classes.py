"""Classes of columns: every column has them, and no output shows what it may not.

Belongs here: guards on the declarations, and values planted in every classed column of the lake, of
which the real queries are asked: where do they turn up? An answer that cannot go stale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import duckdb
import polars as pl
import pytest

from ccgi_pipeline.dictionary.markdown import render_markdown
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.columns import Column, ColumnClass, ColumnType
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.profiles import Profiles, ReportSettings
from ccgi_pipeline.reports.college_download import COLUMNS
from ccgi_pipeline.reports.column_policies import POLICIES, Output, may_show
from ccgi_pipeline.reports.foster_privacy import FOSTER_TABLES
from ccgi_pipeline.reports.queries import (
    build_aggregate_rows,
    create_report_views,
    read_detail_rows,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse.load import application_ssids
from ccgi_pipeline.warehouse.load.eligibility_results import evaluate_rosters
from ccgi_pipeline.warehouse.queries import applications, rosters
from ccgi_pipeline.warehouse.storage.column_classes import PIPELINE_COLUMN_CLASSES
from ccgi_pipeline.warehouse.storage.schema import quote_identifier
from ccgi_pipeline_tests.files import ON
from ccgi_pipeline_tests.privacy.canaries import STUDENTS, canaries_in, canary, role

# --- declarations ---------------------------------------------------------------------------------

_TELLING = re.compile(
    r"(?i)name|birth|ssid|stateid|address|e-?mail|phone|sms|password|student.*id|"
    r"local.?id|user|pronoun|child|identifier|ethnicity$|gpa$|disab|homeless|migrant|foster"
)
"""Names of columns that sound like a person."""
_OF_THINGS = {
    *("CourseInstitutionName", "CollegeName", "ModuleName", "AssessmentName", "FavoriteName"),
    *("TestName", "FileName", "propertyName", "name", "identifier", "Phone", "EdOpsName"),
    *("EILName", "HispanicEthnicity", "enabledUser"),
}
"""Such columns that are of schools, colleges, courses and files; and one that is shown to all, as
CCGI's sample shows it."""


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_column_whose_name_sounds_like_a_person_has_a_class(feed: FeedSpec) -> None:
    unclassed = [
        column.name
        for column in feed.columns.values()
        if _TELLING.search(column.name) and not column.classes and column.name not in _OF_THINGS
    ]
    assert unclassed == []


def test_what_is_of_things_is_so_in_feeds_of_things_only() -> None:
    classed = {c.name for f in FEEDS for c in f.columns.values() if not c.classes} & _OF_THINGS
    assert classed == _OF_THINGS


def test_all_that_foster_focus_sends_is_of_foster_youth() -> None:
    for family in ("foster_focus", "foster_focus_cps"):
        for feed in FAMILIES[family].feeds:
            assert all(ColumnClass.FOSTER in c.classes for c in feed.columns.values())
    assert ColumnClass.FOSTER in FEEDS_BY_NAME["transcript_student"].columns["FosterYouth"].classes


def test_outputs_that_many_see_show_no_class_and_ccgis_reports_no_foster_youth() -> None:
    for output in (Output.AGGREGATE, Output.RECEIPT, Output.RECORD, Output.SUPPORT_BUNDLE):
        assert POLICIES[output].shows == frozenset()
    assert not may_show(Output.DETAIL, frozenset({ColumnClass.FOSTER}))
    assert not may_show(Output.COLLEGE_DOWNLOAD, frozenset({ColumnClass.RESTRICTED}))


def test_the_dictionary_says_who_may_see_what() -> None:
    page = render_markdown()
    for output, policy in POLICIES.items():
        shows = ", ".join(name for name in ColumnClass if name in policy.shows) or "none"
        assert f"| {output} | {policy.reader} | {shows} | " in page


# --- values, and where they turn up ---------------------------------------------------------------


Shown = Mapping[tuple[str, str], pl.DataFrame]


def _reports(connection: duckdb.DuckDBPyConnection) -> Shown:
    """The rows of every report, by name and file."""
    shown = {}
    for spec in REPORTS:
        shown[spec.name, "Detail"] = read_detail_rows(connection, spec)
        if "Agg" in spec.files:
            shown[spec.name, "Agg"] = build_aggregate_rows(connection, spec, Profiles().reports)
    return shown


@pytest.fixture(scope="module")
def shown(planted: duckdb.DuckDBPyConnection) -> Shown:
    evaluate_rosters(planted, ON, Profiles())
    create_report_views(planted, ON, ReportSettings())
    return _reports(planted)


def _roles_in(cells: pl.Series) -> set[str]:
    """What the canaries in these cells say of a student."""
    found = canaries_in("\n".join(map(str, cells.to_list())).encode())
    return {said for value in found for said in _ROLE_OF[value]}


def _roles() -> dict[str, set[str]]:
    roles: dict[str, set[str]] = {}
    for feed in FEEDS:
        for column in feed.columns.values():
            for student in range(STUDENTS):
                for like in ("", "2010-01-01"):
                    value = canary(feed, column, student, like)
                    if value is not None:
                        roles.setdefault(value.lower().split("@")[0], set()).add(role(feed, column))
    return roles


_ROLE_OF = _roles()


def test_a_report_shows_of_pupils_what_its_columns_declare_and_no_more(shown: Shown) -> None:
    assert sum(rows.height for rows in shown.values()) > 100
    for spec in REPORTS:
        for file in spec.files:
            rows = shown[spec.name, file]
            for column in spec.columns_of(file):
                feed, name = column.origin or ("", "")
                declared = (
                    {role(FEEDS_BY_NAME[feed], FEEDS_BY_NAME[feed].columns[name])}
                    if column.classes
                    else set()
                )
                assert _roles_in(rows[column.name]) <= declared, (spec.name, file, column.name)
                assert may_show(
                    Output.AGGREGATE if file == "Agg" else Output.DETAIL, column.classes
                )


def test_the_search_sees_what_a_detail_shows(shown: Shown) -> None:
    assert _roles_in(shown["goals", "Detail"]["SSID"]) == {"ssid"}


def test_colleges_see_no_restricted_value(planted: duckdb.DuckDBPyConnection) -> None:
    rows = applications.read_applications_for_colleges(planted, COLUMNS)
    assert rows.height == STUDENTS
    assert "ssid" not in rows.columns
    for name in rows.columns:
        declared = APPLICATIONS.columns[name]
        assert _roles_in(rows[name]) <= {role(APPLICATIONS, declared)}
        assert ColumnClass.RESTRICTED not in declared.classes


@pytest.mark.parametrize("view", [*rosters.VIEWS, application_ssids.VIEW_WITH_SSID])
def test_a_view_shows_what_its_classes_say(planted: duckdb.DuckDBPyConnection, view: str) -> None:
    rows = planted.sql(f"FROM {view}").pl()
    assert rows.height
    for name in rows.columns:
        told = _roles_in(rows[name])
        assert not told or PIPELINE_COLUMN_CLASSES[view][name], (view, name, told)
    assert set(PIPELINE_COLUMN_CLASSES.get(view, {})) <= set(rows.columns)


_FLIPPED = [
    (feed, column)
    for feed in FEEDS
    if feed.family in {"transcript", "platform"}
    for column in feed.columns.values()
    if column.classes and canary(feed, column, 1) is None
]
"""Classed columns whose values cannot be told from others: yes or no, and codes."""


def _changed(column: Column) -> str:
    if column.type is ColumnType.BOOLEAN:
        return f"NOT coalesce({quote_identifier(column.name)}, false)"
    assert column.codes is not None
    first, last = column.codes.values[0], column.codes.values[-1]
    return f"CASE WHEN {quote_identifier(column.name)} = '{last}' THEN '{first}' ELSE '{last}' END"


def test_no_classed_code_and_no_foster_youth_changes_a_report(
    planted: duckdb.DuckDBPyConnection, shown: Shown
) -> None:
    assert len(_FLIPPED) > 8
    planted.execute("BEGIN")
    for feed, column in _FLIPPED:
        name = quote_identifier(column.name)
        planted.execute(f"UPDATE {feed.name} SET {name} = {_changed(column)}")  # noqa: S608
    for table in FOSTER_TABLES:
        planted.execute(f"DELETE FROM {table}")  # noqa: S608
    create_report_views(planted, ON, ReportSettings())
    after = _reports(planted)
    planted.execute("ROLLBACK")
    assert {key for key, rows in shown.items() if not rows.equals(after[key])} == set()


def test_a_code_that_a_report_shows_would_have_changed_it(
    planted: duckdb.DuckDBPyConnection, shown: Shown
) -> None:
    planted.execute("BEGIN")
    planted.execute("UPDATE transcript_student SET GradeLevel = '09'")
    create_report_views(planted, ON, ReportSettings())
    after = _reports(planted)
    planted.execute("ROLLBACK")
    assert not shown["goals", "Detail"].equals(after["goals", "Detail"])
