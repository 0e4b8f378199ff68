"""``ccgi export`` over a small state: which columns and students leave, and how it is recorded.

Belongs here: the command's files against the warehouse and the delivered reports. That opted-out
students stay out is tested for every kind of output in ``privacy/test_opt_outs.py``.
"""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import openpyxl
import polars as pl
import pytest
from click.testing import CliRunner, Result

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations import export
from ccgi_pipeline.operations.audit_log import Act, read_entries
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, write_warehouse
from ccgi_pipeline_tests.small_state import delivered_rows

_GOALS = next(spec for spec in REPORTS if spec.name == "goals")
_ALL = ["--include", "pii", "--include", "restricted", "--include", "foster", "--reason", "a test"]


@pytest.fixture
def warehouse(small_state: PipelinePaths, tmp_path: Path) -> Path:
    """A copy of the small state's warehouse, whose audit log is the test's own."""
    return Path(shutil.copytree(small_state.warehouse, tmp_path / "warehouse"))


def _export(warehouse: Path, *words: str) -> Result:
    given = ["export", *words, "--warehouse", f"{warehouse}"]
    return CliRunner().invoke(main, given)


def _rows(path: Path) -> list[list[str]]:
    """The cells of an exported file as text, header first."""
    if path.suffix == ".csv":
        return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True))
    if path.suffix == ".xlsx":
        sheet = openpyxl.load_workbook(path).active
        return [["" if c is None else str(c) for c in row] for row in sheet.values]
    frame = pl.read_parquet(path).with_columns(pl.all().cast(pl.String).fill_null(""))
    return [frame.columns, *map(list, frame.rows())]


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
def test_a_table_leaves_with_columns_of_no_class_and_without_opted_out_students(
    warehouse: Path, tmp_path: Path, form: str
) -> None:
    out = tmp_path / "out"
    done = _export(warehouse, "--table", "students", "--format", form, "--out", f"{out}")
    assert done.exit_code == 0, done.output
    header, *rows = _rows(out / f"current_students.{form}")
    assert header == ["sender", *(n for n, c in STUDENT.columns.items() if not c.classes)]
    with open_warehouse(warehouse, read_only=True) as connection:
        kept = connection.sql(
            "SELECT sender, PrimaryCDSCode FROM current_students "
            "WHERE ParentConsent IS DISTINCT FROM false ORDER BY sender, StateID"
        ).fetchall()
        (everybody,) = connection.sql("SELECT count(*) FROM current_students").fetchone()
    assert [(row[0], row[1]) for row in rows] == kept
    assert 0 < len(kept) < everybody
    assert f"opted out: {everybody - len(kept)}" in done.output
    assert "StateID" in done.output.split("columns left out:")[1]
    assert [path.stat().st_mode & 0o777 for path in (out, *out.iterdir())] == [0o700, 0o600]


def test_classes_and_opted_out_students_leave_only_with_a_reason_which_is_recorded(
    warehouse: Path, tmp_path: Path
) -> None:
    words = ["--table", "students", "--format", "csv", "--out", f"{tmp_path / 'out'}"]
    for more in (["--include", "pii"], ["--with-opted-out"]):
        refused = _export(warehouse, *words, *more)
        assert (refused.exit_code, "need a --reason" in refused.output) == (2, True)
    assert not (tmp_path / "out").exists()
    done = _export(warehouse, *words, *_ALL, "--with-opted-out", "--by", "A. Name")
    assert done.exit_code == 0, done.output
    header, *rows = _rows(tmp_path / "out/current_students.csv")
    assert header == ["sender", *STUDENT.columns]
    assert "left out" not in done.output
    with open_warehouse(warehouse, read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM current_students").fetchone() == (len(rows),)
    entry = read_entries(warehouse)[-1]
    assert (entry.act, entry.who, entry.reason) == (Act.EXPORTED, "A. Name", "a test")
    assert entry.about == {
        "exported": "current_students",
        "format": "csv",
        "classes": "foster, pii, restricted",
        "opted-out students": "included",
    }


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("oneroster_users", "have no SSID"),
        ("foster_focus_gpa", "each is of a class"),
        ("transcript_manifest", "names of files"),
        ("pupils", "no table has this name; there are directory, "),
        ("internal.drops", "no table has this name"),
    ],
)
def test_what_cannot_leave_is_refused_and_the_message_says_what_to_ask_for(
    warehouse: Path, tmp_path: Path, table: str, says: str
) -> None:
    done = _export(warehouse, "--table", table, "--out", f"{tmp_path / 'out'}")
    assert (done.exit_code, says in done.output) == (1, True), done.output
    assert not [*tmp_path.glob("out/*")]


@pytest.mark.parametrize("file", ["Agg", "Detail"])
def test_a_report_leaves_with_the_rows_of_its_delivered_files(
    small_state: PipelinePaths, warehouse: Path, tmp_path: Path, file: str
) -> None:
    more = [] if file == "Agg" else [*_ALL, "--with-opted-out"]
    words = ["--report", "goals", "--file", file, "--format", "csv", "--out", f"{tmp_path}", *more]
    done = _export(warehouse, *words)
    assert done.exit_code == 0, done.output
    header, *rows = _rows(tmp_path / f"report_goals_{file.lower()}.csv")
    assert header == ["cd", *(column.name for column in _GOALS.columns_of(file))]
    delivered = delivered_rows(small_state, _GOALS, file)
    assert sorted(row[1:] for row in rows) == sorted(map(list, delivered))


def test_a_report_that_hides_small_cells_hides_them_in_an_export_too(
    warehouse: Path, tmp_path: Path
) -> None:
    words = ["--report", "account", "--file", "Agg", "--format", "csv", "--out", f"{tmp_path}"]
    counts = []
    for mode in ("none", "cde_11"):
        settings = f'[defaults.delivery]\nsmall_cells = "{mode}"\n'
        (warehouse / "profiles.toml").write_text(settings)
        assert _export(warehouse, *words, "--force").exit_code == 0
        _, *rows = _rows(tmp_path / "report_account_registrations_agg.csv")
        counts.append([int(row[-2]) for row in rows if row[-2].isdecimal()])
    assert min(counts[0]) < 11
    assert not [count for count in counts[1] if count < 11]


def test_a_cell_that_a_spreadsheet_would_run_is_harmless_where_one_opens_it(
    warehouse: Path, tmp_path: Path
) -> None:
    with write_warehouse(warehouse) as connection:
        connection.execute("UPDATE platform_goals SET GoalType = '=1+1'")
    shown = {}
    for form in ("csv", "xlsx", "parquet"):
        words = ["--table", "goals", "--format", form, "--out", f"{tmp_path / 'out'}"]
        assert _export(warehouse, *words, *_ALL).exit_code == 0
        header, *rows = _rows(tmp_path / f"out/current_goals.{form}")
        shown[form] = {row[header.index("GoalType")] for row in rows}
    assert shown == {"csv": {"'=1+1"}, "xlsx": {"'=1+1"}, "parquet": {"=1+1"}}


@pytest.mark.parametrize("form", ["csv", "xlsx", "parquet"])
def test_rows_are_written_batch_by_batch(
    warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    found = []
    for size in (7, 1_000_000):
        monkeypatch.setattr(export, "_BATCH", size)
        out = tmp_path / f"{size}"
        words = ["--table", "course_grades", "--format", form, "--out", f"{out}"]
        assert _export(warehouse, *words).exit_code == 0
        found.append(_rows(out / f"current_course_grades.{form}"))
    assert found[0] == found[1]
    assert len(found[0]) > 1000


def test_a_file_that_is_there_stays_unless_it_may_be_overwritten(
    warehouse: Path, tmp_path: Path
) -> None:
    words = ["--table", "courses", "--format", "csv", "--out", f"{tmp_path / 'out'}"]
    there = tmp_path / "out/current_courses.csv"
    there.parent.mkdir()
    there.write_text("mine")
    refused = _export(warehouse, *words)
    assert (refused.exit_code, there.read_text()) == (1, "mine")
    assert read_entries(warehouse)[-1].act == Act.FAILED
    assert _export(warehouse, *words, "--force").exit_code == 0
    assert [path.name for path in there.parent.iterdir()] == [there.name]
    assert len(_rows(there)) > 100


def test_without_anything_to_export_the_command_says_how_to_name_it(warehouse: Path) -> None:
    done = _export(warehouse, "--out", "out")
    assert (done.exit_code, "by --table or --report" in done.output) == (2, True)
