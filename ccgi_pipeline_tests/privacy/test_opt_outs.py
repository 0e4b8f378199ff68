"""A parent's opt-out: what leaves the pipeline about the student, under each setting.

Belongs here: every kind of output that shows students or counts them, asked for one student whose
parent opted out and for one whose parent did not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import get_args

import duckdb
import polars as pl
import pytest

from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.columns import ColumnClass
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.operations.export import (
    ExportFormat,
    ExportScope,
    export_records,
    export_report,
)
from ccgi_pipeline.profiles import OptOutScope, Profiles, ReportSettings
from ccgi_pipeline.reports.college_download import COLUMNS
from ccgi_pipeline.reports.column_policies import POLICIES, Output, leaves_out_opted_out
from ccgi_pipeline.reports.queries import (
    create_detail_table,
    create_report_views,
    list_counted_students,
    read_detail_rows,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse.load.eligibility_results import evaluate_rosters
from ccgi_pipeline.warehouse.queries.applications import read_applications_for_colleges
from ccgi_pipeline_tests.files import ON
from ccgi_pipeline_tests.privacy.canaries import STUDENTS, ssid

OPTED_OUT, OTHER = ssid(3), ssid(4)
SETTINGS = get_args(OptOutScope)


def _in_details(connection: duckdb.DuckDBPyConnection, _: ReportSettings) -> Iterator[set[str]]:
    for spec in REPORTS:
        if "Detail" in spec.files:
            yield {*read_detail_rows(connection, spec)["SSID"]}


def _in_counts(
    connection: duckdb.DuckDBPyConnection, settings: ReportSettings
) -> Iterator[set[str]]:
    for spec in REPORTS:
        if "Agg" in spec.files:
            create_detail_table(connection, spec)
            yield {*list_counted_students(connection, spec, settings)["SSID"]}


def _in_download(connection: duckdb.DuckDBPyConnection, _: ReportSettings) -> Iterator[set[str]]:
    rows = read_applications_for_colleges(connection, COLUMNS)
    known = connection.sql(f"SELECT app_id, ssid FROM {APPLICATIONS.name}").pl()  # noqa: S608
    yield {*rows.join(known, on="app_id")["ssid"]}


def _in_exports(
    connection: duckdb.DuckDBPyConnection, settings: ReportSettings
) -> Iterator[set[str]]:
    """The students in each export of a feed with an SSID, and of each report about students."""
    scope = ExportScope(classes=frozenset(ColumnClass))
    for feed in (feed for feed in FEEDS if feed.ssid):
        made = export_records(connection, feed, scope, ExportFormat.CSV)
        yield {*pl.concat([*made.batches])[feed.ssid]}
    profiles = Profiles(reports=settings)
    for spec in (spec for spec in REPORTS if "Detail" in spec.files):
        made = export_report(connection, spec, "Detail", scope, profiles, ON)
        yield {*pl.concat([*made.batches])["SSID"]}


WAYS_OUT: dict[
    Output, Callable[[duckdb.DuckDBPyConnection, ReportSettings], Iterator[set[str]]]
] = {
    Output.DETAIL: _in_details,
    Output.AGGREGATE: _in_counts,
    Output.COLLEGE_DOWNLOAD: _in_download,
    Output.EXPORT: _in_exports,
}
ANSWERS_AND_RECORDS = {
    Output.CHILD_MATCH,
    Output.RECEIPT,
    Output.RECEIPT_WITH_CELLS,
    Output.RECORD,
    Output.SUPPORT_BUNDLE,
}
"""What a district hears of its own file, and what names no student."""


def test_every_kind_of_output_says_whether_it_leaves_opted_out_students_out() -> None:
    assert {*WAYS_OUT} | ANSWERS_AND_RECORDS == {*Output}
    assert {output for output in Output if POLICIES[output].opt_out} == {*WAYS_OUT}


@pytest.fixture(scope="module")
def opted_out(planted: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The planted tables, in which one parent opted out."""
    evaluate_rosters(planted, ON, Profiles())
    planted.execute("UPDATE transcript_student SET ParentConsent = true")
    planted.execute(
        "UPDATE transcript_student SET ParentConsent = false WHERE StateID = ?", [OPTED_OUT]
    )
    return planted


@pytest.mark.parametrize("output", WAYS_OUT)
@pytest.mark.parametrize("covers", SETTINGS)
def test_a_student_is_left_out_of_what_the_setting_covers_and_of_nothing_else(
    opted_out: duckdb.DuckDBPyConnection, covers: OptOutScope, output: Output
) -> None:
    settings = ReportSettings(opt_out_covers=covers)
    shown = _shown(opted_out, output, settings)
    opted_out.execute("BEGIN")
    opted_out.execute("UPDATE transcript_student SET ParentConsent = true")
    with_all = _shown(opted_out, output, settings)
    opted_out.execute("ROLLBACK")
    assert any({OPTED_OUT, OTHER} <= students for students in with_all)
    left_out = {OPTED_OUT} if leaves_out_opted_out(output, covers) else set()
    assert shown == [students - left_out for students in with_all]


def _shown(
    connection: duckdb.DuckDBPyConnection, output: Output, settings: ReportSettings
) -> list[set[str]]:
    """The students in each file of a kind of output."""
    create_report_views(connection, ON, settings)
    return [*WAYS_OUT[output](connection, settings)]


def test_the_settings_cover_more_and_more() -> None:
    covered = [{o for o in Output if leaves_out_opted_out(o, covers)} for covers in SETTINGS]
    exports = {Output.COLLEGE_DOWNLOAD, Output.EXPORT}
    assert covered == [
        exports,
        exports | {Output.DETAIL},
        exports | {Output.DETAIL, Output.AGGREGATE},
    ]
    assert ReportSettings().opt_out_covers == SETTINGS[0]


def test_the_percentages_are_of_the_students_who_are_counted(
    opted_out: duckdb.DuckDBPyConnection,
) -> None:
    for covers, students in (("details", STUDENTS), ("counts", STUDENTS - 1)):
        create_report_views(opted_out, ON, ReportSettings(opt_out_covers=covers))
        assert opted_out.sql("SELECT count(*) FROM roster").fetchone() == (students,)


# --- exports to others: of several rosters --------------------------------------------------------

_ROSTERS: dict[str, tuple[list[tuple[str, bool | None, bool]], bool]] = {
    "consent": ([("0000001", True, True)], True),
    "no answer": ([("0000001", None, True)], True),
    "opted out": ([("0000001", False, True)], False),
    "opted out in one of two districts": (
        [("0000001", True, True), ("0000002", False, True)],
        False,
    ),
    "opted out where the student is no more, consent where the student is": (
        [("0000001", False, False), ("0000002", True, True)],
        True,
    ),
    "opted out, and on no roster any more": ([("0000001", False, False)], False),
    "on no roster at all": ([], True),
}
"""For each case the listings of a student (district, consent, active), and whether an application
of the student is in the colleges' download."""


@pytest.mark.parametrize("case", _ROSTERS)
def test_an_export_asks_every_roster(opted_out: duckdb.DuckDBPyConnection, case: str) -> None:
    listings, shown = _ROSTERS[case]
    opted_out.execute("BEGIN")
    opted_out.execute("DELETE FROM transcript_student")
    rows = pl.DataFrame(
        [(cd, OPTED_OUT, consent, active) for cd, consent, active in listings],
        schema={
            "_sender": pl.String,
            "StateID": pl.String,
            "ParentConsent": pl.Boolean,
            "_active": pl.Boolean,
        },
        orient="row",
    )
    opted_out.register("listings", rows.to_arrow())
    opted_out.execute("INSERT INTO transcript_student BY NAME FROM listings")
    opted_out.unregister("listings")
    (students,) = _in_download(opted_out, ReportSettings())
    opted_out.execute("ROLLBACK")
    assert (OPTED_OUT in students) is shown


def test_an_ssid_that_the_look_up_found_counts_as_well(
    opted_out: duckdb.DuckDBPyConnection,
) -> None:
    opted_out.execute("BEGIN")
    (app_id,) = opted_out.execute(
        f"SELECT app_id FROM {APPLICATIONS.name} WHERE ssid = ?",  # noqa: S608
        [OPTED_OUT],
    ).fetchone()
    opted_out.execute(f"UPDATE {APPLICATIONS.name} SET ssid = NULL WHERE app_id = ?", [app_id])  # noqa: S608
    asked = "SELECT count(*) FROM application_ssids WHERE app_id = ?"
    assert app_id in {*read_applications_for_colleges(opted_out, COLUMNS)["app_id"]}
    opted_out.execute(
        "INSERT INTO application_ssids BY NAME SELECT ? AS app_id, ? AS SSID", [app_id, OPTED_OUT]
    )
    assert opted_out.execute(asked, [app_id]).fetchone() == (1,)
    assert app_id not in {*read_applications_for_colleges(opted_out, COLUMNS)["app_id"]}
    opted_out.execute("ROLLBACK")
