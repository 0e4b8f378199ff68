"""The page for analysts and its notebook: every statement is run over a small warehouse.

Belongs here: its SQL and Python as they are printed, its pictures, the notebook. What the views
hold is tested in ``reports/test_analyst_views.py``.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import duckdb
import pytest

from ccgi_pipeline.common.environment import WAREHOUSE
from ccgi_pipeline.common.extensions import load_extension
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.table_diagram import redraw_page
from ccgi_pipeline_tests.docs.pages import PROJECT, blocks
from ccgi_pipeline_tests.small_state import delivered_rows

PAGE = PROJECT / "docs/query-the-warehouse.md"
NOTEBOOK = PROJECT / "docs/notebooks/warehouse.py"
AID = next(spec for spec in REPORTS if spec.name == "fafsa_applications")
_INSTALL = re.compile(r"INSTALL (ducklake|sqlite|icu);?")
"""What a machine with access to the internet does; the tests' extensions come as packages."""


def _filled_in(text: str, warehouse: Path) -> str:
    return _INSTALL.sub("", text).replace("/srv/ccgi/warehouse", f"{warehouse}")


@pytest.fixture
def analyst() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the extensions that the page has an analyst install."""
    connection = duckdb.connect()
    for extension in ("ducklake", "sqlite_scanner"):
        load_extension(connection, extension)
    yield connection
    connection.close()


def test_the_sql_of_the_page_runs_as_it_is_printed(
    small_state: PipelinePaths, analyst: duckdb.DuckDBPyConnection
) -> None:
    shown = {}
    for block in blocks(PAGE):
        if block.language == "sql":
            for statement in _filled_in(block.text, small_state.warehouse).split(";"):
                if statement.strip():
                    shown[statement.strip()] = analyst.execute(statement).fetchall()
    [roster] = [rows for statement, rows in shown.items() if "report_roster" in statement]
    assert sum(students for *_, students in roster) == 90
    assert all(shown[statement] for statement in shown if not statement.startswith(("ATT", "USE")))


def test_the_python_of_the_page_runs_as_it_is_printed(
    small_state: PipelinePaths,
    analyst: duckdb.DuckDBPyConnection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    [plain, with_project] = [b.text for b in blocks(PAGE) if b.language == "python"]
    with monkeypatch.context() as patched:
        patched.setattr(duckdb, "connect", lambda: analyst)
        exec(_filled_in(plain, small_state.warehouse), {})  # noqa: S102 - the page's own code
    assert "GradeLevel" in capsys.readouterr().out
    exec(_filled_in(with_project, small_state.warehouse), {})  # noqa: S102
    assert "shape:" in capsys.readouterr().out


def test_the_pictures_are_those_of_todays_declarations() -> None:
    page = PAGE.read_text()
    assert redraw_page(page) == page, "make docs draws them again"
    assert redraw_page(page.replace("StateID PK", "")) == page


def _notebook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebook_of_the_docs", NOTEBOOK)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_notebook_runs_over_a_warehouse_and_shows_no_student(
    small_state: PipelinePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WAREHOUSE, f"{small_state.warehouse}")
    outputs, defined = _notebook().app.run()
    assert defined["students"]["students"].sum() == 90
    assert f"{defined['day']}" == "2026-11-22"
    assert {"current_students", "report_goals_agg"} <= {*defined["views"]["view"]}
    counted = [row for row in delivered_rows(small_state, AID, "Agg") if row[5] == "12"]
    assert defined["aid"]["students"].sum() == sum(int(row[6]) for row in counted)
    shown = " ".join(getattr(output, "text", str(output)) for output in outputs)
    ssids = {row[3] for row in delivered_rows(small_state, AID, "Detail")}
    assert "Financial aid" in shown
    assert ssids
    assert not [ssid for ssid in ssids if ssid in shown]
