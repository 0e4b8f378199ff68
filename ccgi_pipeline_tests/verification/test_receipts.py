"""Receipts: what a sender is told, as JSON, as CSV and at a terminal.

Belongs here: the words and counts of findings. That no pupil's value is among them is tested
next door, and so is the page.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import polars as pl
import pytest

from ccgi_pipeline.feeds.registry import RULES
from ccgi_pipeline.intake.findings import EXPLAINED_SCHEMA
from ccgi_pipeline.verification.receipts import (
    SHOWN_PER_RULE,
    FileReport,
    as_text,
    describe_file,
    format_receipt_csv,
    format_receipt_json,
)

_Row = tuple[str, int | None, str | None, str | None]
REQ: _Row = ("TR-STU-REQ-StateID", 7, "StateID", None)
AGE: _Row = ("TR-STU-AGE", 8, "DateOfBirth", None)
SHORT: _Row = ("FILE-FIELDS", 9, None, "3 cells, the header has 43")
UNKNOWN: _Row = ("FILE-UNRECOGNISED", None, None, None)
MARK: _Row = ("FILE-BOM", None, None, None)


def _report(*findings: _Row, path: str = "3367173/transcript/StudentTemplate.csv") -> FileReport:
    return FileReport(
        path=path,
        family="transcript",
        feed="transcript_student",
        verdict="accepted_with_findings",
        encoding="utf-8",
        lines=12,
        fates={"accepted": 10, "rejected": 2, "held": 0},
        findings=pl.DataFrame(
            [(*found, str(RULES[found[0]].severity), None) for found in findings],
            schema=EXPLAINED_SCHEMA,
            orient="row",
        ),
    )


def _many(count: int, rule: str = "TR-STU-AGE") -> FileReport:
    return _report(*((rule, line, None, None) for line in range(2, count + 2)))


def test_the_object_of_a_file_has_its_facts():
    told = describe_file(_report())
    assert {key: told[key] for key in ("path", "family", "feed", "verdict", "encoding")} == {
        "path": "3367173/transcript/StudentTemplate.csv",
        "family": "transcript",
        "feed": "transcript_student",
        "verdict": "accepted_with_findings",
        "encoding": "utf-8",
    }
    assert told["lines"] == sum(told["fates"].values()) == 12
    assert told["findings"] == told["rules"] == []
    assert told["findings_omitted"] == 0


def test_a_finding_is_told_with_rule_severity_place_and_message():
    assert describe_file(_report(REQ, SHORT))["findings"] == [
        {
            "rule": "TR-STU-REQ-StateID",
            "severity": "error",
            "line": 7,
            "column": "StateID",
            "message": RULES["TR-STU-REQ-StateID"].text,
            "cause": None,
        },
        {
            "rule": "FILE-FIELDS",
            "severity": "error",
            "line": 9,
            "column": None,
            "message": f"{RULES['FILE-FIELDS'].text} (3 cells, the header has 43)",
            "cause": None,
        },
    ]


def test_a_finding_weighs_what_it_weighs_to_its_district():
    report = _report(REQ, MARK)
    lighter = report.findings.with_columns(severity=pl.lit("info"))
    told = describe_file(replace(report, findings=lighter))
    assert {finding["severity"] for finding in told["findings"]} == {"info"}
    assert {rule["severity"] for rule in told["rules"]} == {"info"}
    assert "error" not in format_receipt_csv([replace(report, findings=lighter)]).decode()


def test_broken_rules_are_counted_the_weightiest_first():
    told = describe_file(_report(MARK, AGE, AGE, AGE, REQ, SHORT, SHORT))["rules"]
    assert [(rule["rule"], rule["severity"], rule["count"]) for rule in told] == [
        ("FILE-FIELDS", "error", 2),
        ("TR-STU-REQ-StateID", "error", 1),
        ("TR-STU-AGE", "warning", 3),
        ("FILE-BOM", "info", 1),
    ]
    assert all(rule["text"] and rule["fix"] and rule["source"] for rule in told)


@pytest.mark.parametrize(
    ("count", "omitted"),
    [(0, 0), (1, 0), (SHOWN_PER_RULE, 0), (SHOWN_PER_RULE + 1, 1), (SHOWN_PER_RULE * 2 + 5, 1005)],
)
def test_findings_beyond_a_thousand_of_one_rule_are_counted(count: int, omitted: int):
    told = describe_file(_many(count))
    assert len(told["findings"]) == count - omitted
    assert told["findings_omitted"] == omitted
    assert sum(rule["count"] for rule in told["rules"]) == count


def test_one_rules_many_findings_leave_room_for_the_others():
    flood = [("TR-STU-AGE", line, None, None) for line in range(2, SHOWN_PER_RULE + 50)]
    told = describe_file(_report(*flood, REQ))
    assert "TR-STU-REQ-StateID" in [finding["rule"] for finding in told["findings"]]


def test_a_receipt_is_json_with_its_head_and_its_files():
    content = format_receipt_json({"drop": "abc", "verdict": "accepted"}, [_report(REQ), _report()])
    told = json.loads(content)
    assert (told["drop"], told["verdict"], len(told["files"])) == ("abc", "accepted", 2)
    assert content.endswith(b"}\n")


def test_letters_in_a_receipt_are_letters():
    content = format_receipt_json({}, [_report(path="3367173/Español, niños.csv")])
    assert "Español, niños.csv" in content.decode()


def _rows(*reports: FileReport) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(format_receipt_csv(reports).decode(), newline="")))


def test_the_csv_has_a_row_for_each_finding_with_its_fix():
    rows = _rows(_report(REQ, MARK), _report(SHORT, path='odd, "name".csv'))
    assert [(row["file"], row["line"], row["column"], row["rule"]) for row in rows] == [
        ("3367173/transcript/StudentTemplate.csv", "7", "StateID", "TR-STU-REQ-StateID"),
        ("3367173/transcript/StudentTemplate.csv", "", "", "FILE-BOM"),
        ('odd, "name".csv', "9", "", "FILE-FIELDS"),
    ]
    assert [row["severity"] for row in rows] == ["error", "info", "error"]
    assert [row["what to change"] for row in rows] == [RULES[row["rule"]].fix for row in rows]


def test_the_csv_says_how_many_findings_it_leaves_out():
    rows = _rows(_many(SHOWN_PER_RULE + 3))
    assert len(rows) == SHOWN_PER_RULE + 1
    assert rows[-1]["what is wrong"].startswith("3 further findings")


def test_the_csv_ends_its_lines_as_spreadsheets_do():
    content = format_receipt_csv([_report(REQ)])
    assert content.count(b"\r\n") == content.count(b"\n") == 2


def test_a_csv_without_findings_has_its_header():
    assert format_receipt_csv([_report()]).startswith(b"file,line,column,severity,rule,")


def test_the_terminal_is_told_verdicts_fates_and_fixes():
    text = as_text("accepted_with_findings", [_report(REQ, MARK)])
    assert "3367173/transcript/StudentTemplate.csv: accepted with findings" in text
    assert "12 lines (10 accepted, 2 rejected)" in text
    assert "error: line 7, StateID: StateID is blank" in text
    assert RULES["TR-STU-REQ-StateID"].fix in text
    assert "info: file: " in text
    assert text.endswith("verdict: accepted with findings")


def test_the_terminal_is_told_what_to_do_and_which_point_comes_first():
    reports = [_report(REQ, AGE, AGE, MARK), _report(*[SHORT] * 3, path="in/Other.csv")]
    told = as_text("accepted_with_findings", reports).splitlines()[-3:]
    assert told == [
        "20 of 24 lines can be loaded.",
        (
            "What to do: Correct what is marked “error”, export again, and check again. Begin with "
            "FILE-FIELDS in Other.csv (3 of 4 errors)."
        ),
        "verdict: accepted with findings",
    ]


@pytest.mark.parametrize("findings", [(), (MARK,), (REQ,), (REQ, MARK)])
def test_no_point_comes_first_where_there_is_none_or_one(findings: tuple[_Row, ...]):
    text = as_text("accepted_with_findings", [_report(*findings)])
    assert "What to do: Correct what is marked “error”" in text
    assert "Begin with" not in text


def test_a_cause_comes_before_the_single_findings():
    lines = [("TR-STU-TYPE-StateID", line, "StateID", None) for line in range(2, 7)]
    report = _report(*lines, REQ)
    explained = pl.when(pl.col("rule") != REQ[0]).then(pl.lit("CAUSE-LEADING-ZERO"))
    report = replace(
        report,
        findings=report.findings.with_columns(explained.alias("cause")),
        causes={"CAUSE-LEADING-ZERO": "In 5 lines."},
    )
    assert "Begin with CAUSE-LEADING-ZERO (5 of 6 errors)." in as_text("rejected", [report])


def test_the_terminal_is_not_flooded():
    text = as_text("rejected", [_many(500)])
    assert len(text.splitlines()) < 10
    assert "500 lines (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...)" in text


def test_of_many_files_the_terminal_tells_of_those_that_are_recognised():
    unknown = [
        replace(_report(UNKNOWN, path=f"in/{number}.txt"), feed=None, verdict="rejected")
        for number in range(2_000)
    ]
    text = as_text("rejected", [*unknown, _report(REQ)])
    assert "3367173/transcript/StudentTemplate.csv: accepted with findings" in text
    assert len(text) < 50_000
    assert "... and 1,901 more files: 1,901 rejected (--format json lists them)" in text


def test_a_name_of_any_length_leaves_the_terminal_readable():
    text = as_text("rejected", [_report(REQ, path=f"in/{'x' * 4_000}.csv")])
    assert max(map(len, text.splitlines())) < 400
    assert "x.csv: accepted with findings" in text


def test_the_csv_has_cells_only_for_who_asked():
    report = replace(_report(REQ, AGE), cells={(7, "StateID"): "=cell", (8, "StateID"): "other"})
    assert b"=cell" not in format_receipt_csv([report])
    asked = format_receipt_csv([report], with_cells=True).decode()
    first, second = csv.DictReader(io.StringIO(asked, newline=""))
    assert first["the cell (first 10 lines of a rule)"] == "'=cell"
    assert second["the cell (first 10 lines of a rule)"] == ""


def test_a_csv_with_cells_counts_what_it_leaves_out_all_the_same():
    content = format_receipt_csv([_many(SHOWN_PER_RULE + 3)], with_cells=True).decode()
    *_, last = csv.DictReader(io.StringIO(content, newline=""))
    assert last["what is wrong"].startswith("3 further findings")


@pytest.mark.parametrize("sign", "=+-@＝＋－＠")  # noqa: RUF001 - full-width signs are meant
def test_no_name_of_a_file_is_a_formula_in_the_csv(sign: str):
    path = f"{sign}cmd|calc!A1.csv"
    (row, *_) = csv.DictReader(io.StringIO(format_receipt_csv([_report(AGE, path=path)]).decode()))
    assert row["file"] == f"'{path}"
