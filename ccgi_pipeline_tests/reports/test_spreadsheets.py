"""The spreadsheets beside the reports of a district that asked for them, read back by openpyxl.

Belongs here: their cells against those of the CSV files, made again, and where they may not be.
Delivery of encrypted ones is in ``delivery/test_encrypted_delivery.py``.
"""

from __future__ import annotations

import io
import time
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from click.testing import CliRunner
from openpyxl.worksheet.worksheet import Worksheet

from ccgi_pipeline.cli import main
from ccgi_pipeline.common import spreadsheet_files
from ccgi_pipeline.common.spreadsheet_files import SpreadsheetError, open_spreadsheet
from ccgi_pipeline.delivery.ledger import open_ledger
from ccgi_pipeline.delivery.routing import route_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import FILE_NAME, read_profiles
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    event,
    numbered,
    put_events,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in, rows_of, run_night

_SPECS = [spec for spec in REPORTS if spec.name in {"goals", "account_registrations"}]
_SETTINGS = f"""
[sftp.reports]
host = "127.0.0.1"
port = 1
user = "pipeline"
host_keys = ["SHA256:{"A" * 43}"]
outbox = "/districts"
[defaults.delivery]
server = "reports"
small_cells = "california_10"
[districts.{PALM_SPRINGS}.delivery]
spreadsheets = true
"""
_FORMULA = "=1+1"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Two districts with a dozen students of grade 09 each; one has spreadsheets."""
    folders = folders_in(tmp_path_factory.mktemp("spreadsheets"))
    folders.warehouse.mkdir()
    (folders.warehouse / FILE_NAME).write_text(_SETTINGS)
    ssids = numbered(1000000000, 14)
    put_roster(folders.inbox, PALM_SPRINGS, students(ssids, PALM_SPRINGS_HIGH, "09"))
    put_roster(folders.inbox, HAYWARD, students(numbered(2000000000, 14), HAYWARD_HIGH, "09"))
    kinds = ["Academic"] * 12 + [_FORMULA] * 2
    put_events(
        folders.inbox,
        [
            event("goals", ssid, GoalID=f"{n}", GoalType=kind, GoalStatus="Set")
            for n, (ssid, kind) in enumerate(zip(ssids, kinds, strict=True))
        ],
    )
    run_night(folders, reports=_SPECS)
    return folders


def _sheet(path: Path) -> Worksheet:
    return openpyxl.load_workbook(path).active


def _pairs(night: PipelinePaths) -> list[tuple[Path, Path]]:
    found = sorted(night.outbox.glob("PalmSprings*/*reporting/**/*.csv"))
    return [(path, path.with_suffix(".xlsx")) for path in found]


def test_only_the_district_that_asked_has_a_spreadsheet_beside_each_report(
    night: PipelinePaths,
) -> None:
    files = [name for name in bytes_below(night.outbox) if "_receipts" not in name]
    pairs = _pairs(night)
    assert len(pairs) == sum(len(spec.files) for spec in _SPECS)
    assert all(sheet.exists() for _, sheet in pairs)
    assert sum(name.endswith(".xlsx") for name in files) == len(pairs)


def test_a_spreadsheet_has_the_cells_of_the_csv_file_hidden_and_harmless_ones_too(
    night: PipelinePaths,
) -> None:
    hidden = harmless = 0
    for path, sheet in _pairs(night):
        rows = rows_of(path.read_bytes())
        cells = [["" if c is None else f"{c:g}" if isinstance(c, float) else str(c) for c in row]
                 for row in _sheet(sheet).iter_rows(values_only=True)]  # fmt: skip
        assert cells == rows
        hidden += sum("*" in row for row in rows)
        harmless += sum(f"'{_FORMULA}" in row for row in rows)
    assert harmless
    assert hidden


def test_an_ssid_and_a_grade_are_text_counts_are_numbers_and_the_header_stays(
    night: PipelinePaths,
) -> None:
    types = {}
    for _, path in _pairs(night):
        sheet = _sheet(path)
        assert sheet.freeze_panes == "A2"
        header = [cell.value for cell in sheet[1]]
        for name, cell in zip(header, sheet[2], strict=True):
            types.setdefault(name, set()).add((cell.data_type, cell.number_format))
        assert sheet[2][header.index("Grade Level")].value == "09"
    assert types["SSID"] == types["Grade Level"] == {("s", "@")}
    assert {kind for kind, _ in types["# of Students"]} == {"n", "s"}  # hidden ones are text


def test_a_spreadsheet_is_made_again_byte_for_byte(night: PipelinePaths, tmp_path: Path) -> None:
    time.sleep(2.1)  # a zip's times have steps of two seconds
    for _, sheet in _pairs(night):
        again = tmp_path / sheet.name
        path = sheet.relative_to(night.outbox).as_posix()
        words = ["rebuild", "--path", path, "--out", f"{again}", "--force"]
        told = CliRunner().invoke(main, [*words, "--warehouse", f"{night.warehouse}"])
        assert told.exit_code == 0, told.output
        assert again.read_bytes() == sheet.read_bytes()


def test_the_same_night_again_touches_no_spreadsheet_and_leaves_none_half_written(
    night: PipelinePaths,
) -> None:
    before = {path: path.stat().st_mtime_ns for _, path in _pairs(night)}
    run_night(night, reports=_SPECS)
    assert {path: path.stat().st_mtime_ns for _, path in _pairs(night)} == before
    assert not (night.outbox / ".writing").exists()


def test_spreadsheets_are_delivered_where_the_reports_are(night: PipelinePaths) -> None:
    with open_ledger(night.warehouse) as ledger:
        made = ledger.list_made(ON)
    sent = {remote for _, _, remote in route_files(made, read_profiles(night.warehouse))}
    for csv, sheet in _pairs(night):
        for path in (csv, sheet):
            assert f"/districts/{path.relative_to(night.outbox).as_posix()}" in sent


# --- the form of the files ------------------------------------------------------------------------


def _written(rows: pl.DataFrame, folder: Path) -> io.BytesIO:
    content = io.BytesIO()
    with open_spreadsheet(content, "Goals: all [of] them", rows.columns, folder) as sheet:
        sheet.write(rows)
    return content


def test_more_rows_than_a_sheet_holds_go_on_in_another_with_the_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spreadsheet_files, "MAX_ROWS", 4)
    rows = pl.DataFrame({"n": [f"{n:02}" for n in range(7)]})
    book = openpyxl.load_workbook(_written(rows, tmp_path))
    assert book.sheetnames == [
        "Goals  all  of  them",
        *(f"Goals  all  of  them ({n})" for n in (2, 3)),
    ]
    assert [[cell.value for (cell,) in sheet.iter_rows()] for sheet in book] == [
        ["n", "00", "01", "02"],
        ["n", "03", "04", "05"],
        ["n", "06"],
    ]
    assert [*tmp_path.iterdir()] == []


def test_a_cell_that_a_spreadsheet_would_cut_off_is_an_error_without_the_cell(
    tmp_path: Path,
) -> None:
    with pytest.raises(SpreadsheetError, match="a cell of n is too long") as raised:
        _written(pl.DataFrame({"n": ["x" * 32_768]}), tmp_path)
    assert "xx" not in str(raised.value)
