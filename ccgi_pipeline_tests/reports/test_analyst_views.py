"""What an analyst finds who attaches the warehouse with DuckDB and nothing else.

Belongs here: the views, their agreement with the delivered files, comments, and when they are made.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from ccgi_pipeline.feeds.registry import EVENT_FEEDS, FEEDS
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import ReportSettings
from ccgi_pipeline.reports import analyst_views
from ccgi_pipeline.reports.analyst_views import (
    TRACKING_COMMENTS,
    describe_column,
    list_views,
    refresh_analyst_views,
    report_view,
)
from ccgi_pipeline.reports.queries import (
    build_aggregate_rows,
    create_report_views,
    read_detail_rows,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse.storage.connection import read_snapshot_id, write_warehouse
from ccgi_pipeline.warehouse.storage.relocation import move_to_folder, move_to_postgres
from ccgi_pipeline.warehouse.storage.schema import PIPELINE_TABLES, TRACKING_COLUMNS, transaction
from ccgi_pipeline_tests.nightly.nights import ON
from ccgi_pipeline_tests.postgresql import PostgreSql
from ccgi_pipeline_tests.small_state import attached, delivered_rows


def _as_printed(cell: object) -> str:
    if cell is None:
        return ""
    return f"{cell:.2f}".rstrip("0").rstrip(".") if isinstance(cell, float) else str(cell)


def test_a_view_of_each_report_has_the_rows_of_its_delivered_files(
    small_state: PipelinePaths,
) -> None:
    filled = 0
    with attached(small_state.warehouse) as connection:
        for spec in REPORTS:
            for file in spec.files:
                rows = connection.sql(f"FROM ccgi.{report_view(spec, file)}").fetchall()
                seen = Counter(tuple(map(_as_printed, row[1:])) for row in rows)
                assert seen == Counter(delivered_rows(small_state, spec, file)), spec.name
                filled += bool(seen)
    assert filled == sum(len(spec.files) for spec in REPORTS)


def test_the_view_of_each_feed_has_its_current_records_and_none_of_the_former(
    small_state: PipelinePaths, tmp_path: Path
) -> None:
    warehouse = Path(shutil.copytree(small_state.warehouse, tmp_path / "warehouse"))
    with write_warehouse(warehouse) as connection, transaction(connection):
        for feed in FEEDS:
            connection.execute(f"UPDATE {feed.name} SET _active = _line % 2 = 0")  # noqa: S608
    assert len({feed.current_view for feed in FEEDS}) == len(FEEDS)
    views = " UNION ALL ".join(
        f"SELECT count(*) FROM ccgi.{feed.current_view}"  # noqa: S608
        for feed in FEEDS
    )
    tables = " UNION ALL ".join(
        f"SELECT count(*) FROM ccgi.{feed.name} WHERE _active"  # noqa: S608
        for feed in FEEDS
    )
    with attached(warehouse) as connection:
        counted = connection.sql(views).fetchall()
        assert counted == connection.sql(tables).fetchall()
        assert sum(n > 0 for (n,) in counted) > len(FEEDS) / 2
        columns = dict(
            connection.sql(
                "SELECT table_name, list(column_name ORDER BY column_index) "
                "FROM duckdb_columns() GROUP BY 1"
            ).fetchall()
        )
    for feed in FEEDS:
        assert columns[feed.current_view] == ["sender", *feed.columns]


def test_the_first_schema_shows_feeds_and_views_and_the_pipelines_tables_are_apart(
    small_state: PipelinePaths,
) -> None:
    with attached(small_state.warehouse, "any_name") as connection:
        connection.execute("USE any_name")
        shown = {name for (name,) in connection.sql("SHOW TABLES").fetchall()}
        assert {feed.name for feed in FEEDS} | {*list_views()} <= shown
        # The links of students to foster children are for readers, too.
        assert shown & {*PIPELINE_TABLES} == {"child_links"}
        assert connection.sql("SELECT count(*) > 0 FROM internal.drops").fetchone() == (True,)


def test_every_table_view_and_column_is_described(small_state: PipelinePaths) -> None:
    assert {*TRACKING_COMMENTS} == {*TRACKING_COLUMNS}
    with attached(small_state.warehouse) as connection:
        described = dict(
            connection.sql(
                "SELECT table_name, comment FROM duckdb_tables() UNION ALL "
                "SELECT view_name, comment FROM duckdb_views() WHERE database_name = 'ccgi'"
            ).fetchall()
        )
        expected = {*PIPELINE_TABLES, *(feed.name for feed in FEEDS), *list_views()}
        assert {name for name in expected if not described.get(name)} == set()
        columns = connection.sql(
            "SELECT column_name, comment FROM duckdb_columns() "
            "WHERE database_name = 'ccgi' AND table_name = 'transcript_student'"
        ).fetchall()
    feed = {name: describe_column(STUDENT, name) for name in STUDENT.columns}
    assert dict(columns) == {**feed, **TRACKING_COMMENTS}
    assert feed["StateID"].endswith("[identifies a person, restricted]")


def test_an_event_after_the_newest_night_does_not_count_yet(small_state: PipelinePaths) -> None:
    """Rows of tomorrow in every table of events, rolled back afterwards."""
    spec = next(spec for spec in REPORTS if spec.name == "journals")
    seen = f"FROM lake.main.{report_view(spec, 'Detail')} ORDER BY ALL"
    with write_warehouse(small_state.warehouse) as connection:
        before = connection.sql(seen).fetchall()
        connection.execute("BEGIN")
        for feed in EVENT_FEEDS:
            connection.execute(
                f"INSERT INTO {feed.name} FROM (SELECT * REPLACE (EventID || 'x' AS EventID, "  # noqa: S608
                f"TIMESTAMP '2026-11-23 08:00:00' AS OccurredAt) FROM {feed.name})"
            )
        assert connection.sql(seen).fetchall() == before
        connection.execute("UPDATE drops SET night = night + 1")
        assert connection.sql(seen).fetchall() != before
        connection.execute("ROLLBACK")


@pytest.mark.parametrize("covers", ["details", "counts"])
def test_the_views_leave_out_whom_the_reports_leave_out(
    small_state: PipelinePaths, tmp_path: Path, covers: str
) -> None:
    warehouse = shutil.copytree(small_state.warehouse, tmp_path / "warehouse")
    settings = ReportSettings.model_validate(
        {"opt_out_covers": covers, "percent_of": "school", "percent_decimals": 2}
    )
    with write_warehouse(warehouse) as connection:
        connection.execute(
            f"UPDATE {STUDENT.name} SET ParentConsent = hash(StateID) % 2 = 0"  # noqa: S608
        )
        assert refresh_analyst_views(connection, settings)
        create_report_views(connection, ON, settings)
        for spec in (spec for spec in REPORTS if spec.name in {"goals", "uc_eligibility"}):
            for file in spec.files:
                rows = read_detail_rows(connection, spec)
                if file == "Agg":
                    rows = build_aggregate_rows(connection, spec, settings)
                view = connection.sql(f"FROM lake.main.{report_view(spec, file)}")
                seen = Counter(tuple(map(_as_printed, row)) for row in view.fetchall())
                assert seen == Counter(rows.rows()), report_view(spec, file)


def test_the_views_are_made_again_only_when_a_declaration_or_setting_changed(
    small_state: PipelinePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = shutil.copytree(small_state.warehouse, tmp_path / "warehouse")
    with write_warehouse(warehouse) as connection:
        before = read_snapshot_id(connection)
        assert not refresh_analyst_views(connection, ReportSettings())
        assert read_snapshot_id(connection) == before
        monkeypatch.setattr(analyst_views, "FEEDS", FEEDS[1:])
        monkeypatch.setattr(analyst_views, "REPORTS", REPORTS[1:])
        assert refresh_analyst_views(connection, ReportSettings())
        assert read_snapshot_id(connection) == before + 1
        made = {
            name
            for (name,) in connection.sql(
                "SELECT view_name FROM duckdb_views() WHERE database_name = 'lake'"
            ).fetchall()
        }
    assert {*list_views()} <= made
    assert FEEDS[0].current_view not in made
    assert report_view(REPORTS[0], REPORTS[0].files[0]) not in made


@pytest.mark.slow
def test_the_views_move_into_postgresql_and_back_with_the_warehouse(
    small_state: PipelinePaths,
    tmp_path: Path,
    database_server: PostgreSql,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = database_server.environment(database_server.new_database())
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    warehouse = Path(shutil.copytree(small_state.warehouse, tmp_path / "warehouse"))
    views = [f"FROM lake.main.{name} ORDER BY ALL" for name in list_views()]
    move_to_postgres(warehouse)
    with write_warehouse(warehouse) as connection:
        assert not refresh_analyst_views(connection, ReportSettings())
        there = [connection.sql(view).fetchall() for view in views]
        assert refresh_analyst_views(connection, ReportSettings(percent_decimals=2))
        assert refresh_analyst_views(connection, ReportSettings())
    move_to_folder(warehouse)
    for variable in variables:
        monkeypatch.delenv(variable)
    with write_warehouse(warehouse) as connection:
        assert not refresh_analyst_views(connection, ReportSettings())
        assert [connection.sql(view).fetchall() for view in views] == there
    assert sum(map(len, there)) > 1000
