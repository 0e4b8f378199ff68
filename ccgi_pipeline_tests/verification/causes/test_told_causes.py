"""Receipts tell a cause once, in place of its findings, and lose nothing by it.

Belongs here: the forms of a receipt with causes: JSON, CSV, text and page. Does not belong here:
where a cause is found (test_causes).
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import polars as pl
import pytest

from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.verification.causes.registry import CAUSES_BY_ID
from ccgi_pipeline.verification.causes.told_causes import ranges_of
from ccgi_pipeline.verification.offline_check import check
from ccgi_pipeline.verification.receipt_html import render_check, render_receipt
from ccgi_pipeline.verification.receipts import (
    FIRST_LINES,
    FileReport,
    as_text,
    describe_file,
    format_receipt_csv,
)
from ccgi_pipeline_tests.files import ON, as_bytes, good_lines, usual_name
from ccgi_pipeline_tests.verification.causes.samples import SAMPLES
from ccgi_pipeline_tests.verification.receipt_pages import delivery

ZERO = CAUSES_BY_ID["CAUSE-LEADING-ZERO"]
LINES = 30
RULE = "TR-STU-TYPE-PrimaryCDSCode"


def _checked(folder: Path, content: bytes) -> FileReport:
    path = folder / usual_name(STUDENT)
    path.write_bytes(content)
    (report,) = check([path], ON, "transcript").files
    return report


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> FileReport:
    """A roster whose school codes lost their zero; line 9 has another fault in its SSID."""
    lines = [{**line, "PrimaryCDSCode": "1612590130229"} for line in good_lines(STUDENT, LINES)]
    lines[7]["StateID"] = "x"
    return _checked(tmp_path_factory.mktemp("zero"), as_bytes(STUDENT, lines))


def test_the_json_tells_the_cause_and_keeps_every_finding(report: FileReport) -> None:
    told = describe_file(report)
    (cause,) = told["causes"]
    assert (cause["cause"], cause["severity"], cause["count"]) == (ZERO.id, "error", LINES)
    assert cause["explains"] == [{"rule": RULE, "column": "PrimaryCDSCode", "count": LINES}]
    assert cause["evidence"] == "PrimaryCDSCode: 30 cells with 13 digits in place of 14."
    assert cause["lines"] == "2-31"
    assert (cause["text"], cause["fix"]) == (ZERO.text, ZERO.fix)
    assert cause["by_tool"] == dict(ZERO.by_tool)
    explained = [found for found in told["findings"] if found["cause"] == ZERO.id]
    assert [found["line"] for found in explained] == list(range(2, LINES + 2))
    assert {found["rule"] for found in told["findings"] if found["cause"] is None} >= {
        "TR-STU-TYPE-StateID"
    }
    assert len(told["findings"]) == sum(rule["count"] for rule in told["rules"])


def test_the_csv_has_one_row_for_the_cause_in_place_of_its_findings(report: FileReport) -> None:
    content = format_receipt_csv([report]).decode()
    rows = list(csv.DictReader(io.StringIO(content, newline="")))
    (row,) = [row for row in rows if row["rule"] == ZERO.id]
    assert (row["line"], row["column"], row["severity"]) == ("2-31", "PrimaryCDSCode", "error")
    assert ZERO.text in row["what is wrong"]
    assert "30 cells" in row["what is wrong"]
    assert row["what to change"].startswith(ZERO.fix)
    assert "SQL tools: " in row["what to change"]
    assert RULE not in [row["rule"] for row in rows]
    assert "TR-STU-TYPE-StateID" in [row["rule"] for row in rows]


def test_the_csv_of_who_asked_for_cells_has_the_rows_with_cells(report: FileReport) -> None:
    shown = replace(report, cells={(2, "PrimaryCDSCode"): "1612590130229"})
    content = format_receipt_csv([shown], with_cells=True).decode()
    rows = [row for row in csv.DictReader(io.StringIO(content)) if row["rule"] == RULE]
    assert [row["the cell (first 10 lines of a rule)"] for row in rows] == ["1612590130229"]


def test_the_terminal_tells_the_cause_with_its_tools(report: FileReport) -> None:
    text = as_text("rejected", [report])
    assert f"error: lines 2-31: {ZERO.text} [{ZERO.id}]" in text
    assert f"This explains 30 findings of {RULE}." in text
    assert all(f"    {tool}: {words}" in text for tool, words in ZERO.by_tool.items())
    assert f"[{RULE}]" not in text
    assert "[TR-STU-TYPE-StateID]" in text


def _page(report: FileReport) -> str:
    page = render_receipt(delivery("rejected"), [report]).decode()
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", page[page.index("<body>") :])))


def test_the_page_tells_the_cause_once_and_the_other_fault_beside_it(report: FileReport) -> None:
    page = _page(report)
    assert page.count(ZERO.text) == 1
    assert "30 findings, one cause" in page
    assert "PrimaryCDSCode: 30 cells with 13 digits in place of 14." in page
    assert all(words in page for words in ZERO.by_tool.values())
    assert "StateID is not in the form that this file needs." in page
    assert page.count("PrimaryCDSCode is not") == 0


def test_the_page_shows_a_causes_cells_to_who_asked_for_them(report: FileReport) -> None:
    assert "1612590130229" not in _page(report)
    assert "1612590130229" in _page(replace(report, cells={(2, "PrimaryCDSCode"): "1612590130229"}))


def test_lines_that_say_more_are_told_first(tmp_path: Path) -> None:
    report = _checked(tmp_path, SAMPLES["CAUSE-SURPLUS-CELL"][0].content)
    more = "39 cells, the header has 38; probably a cell too many"
    assert f"line 2: {more}" in as_text("rejected", [report])
    page = _page(report)
    assert page.index("First lines Line More exactly 2 39 cells") < page.index("It explains")


def test_a_check_that_may_show_values_shows_some_of_a_causes(tmp_path: Path) -> None:
    path = tmp_path / usual_name(STUDENT)
    path.write_bytes(SAMPLES["CAUSE-LEADING-ZERO"][0].content)
    (report,) = check([path], ON, "transcript", show_values=True).files
    cell = "PrimaryCDSCode: the cell is: 1612590130229"
    assert as_text("rejected", [report]).count(cell) == 3
    page = render_check("rejected", [report], values_shown=True)
    assert page.count("the cell is: 1612590130229") == FIRST_LINES


def test_a_finding_about_the_whole_file_names_its_cause(tmp_path: Path) -> None:
    told = describe_file(_checked(tmp_path, SAMPLES["CAUSE-SEMICOLONS"][0].content))
    (header,) = [found for found in told["findings"] if found["rule"] == "FILE-HEADER"]
    assert header["cause"] == "CAUSE-SEMICOLONS"
    assert "separated by semicolons" in header["message"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ""),
        ([None], ""),
        ([4], "4"),
        ([9, 2, 3, 2, 4], "2-4, 9"),
        (list(range(2, 1_402)), "2-1401"),
        (list(range(2, 60, 2)), "2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24 and 17 more"),
    ],
)
def test_line_numbers_are_told_as_ranges(lines: list[int | None], words: str) -> None:
    assert ranges_of(pl.Series(lines, dtype=pl.UInt32)) == words
