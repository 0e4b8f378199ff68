"""Receipts: what a sender gets back for what it sent, and what ``ccgi check`` prints.

Belongs here: findings put into words, per file: the JSON object, the CSV of findings, the text for
a terminal. No student's value is in any of them: a line, a column and a rule lead to it. (The CSV
of a district that asks for them has the cells of the first lines.) Does not belong here: the page
(receipt_html), where receipts are put.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from ccgi_pipeline.common.display import escape_unprintable, shorten
from ccgi_pipeline.common.spreadsheet_cells import sanitize_cell, sanitize_cells
from ccgi_pipeline.feeds.file_rules import FAULT
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME, RULES
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.verification import addresses, labels
from ccgi_pipeline.verification.causes.registry import CAUSES_BY_ID
from ccgi_pipeline.verification.causes.told_causes import ToldCause, told_causes, unexplained
from ccgi_pipeline.verification.next_steps import DropOutcome, NextSteps, explain_check

WEIGHTS = {"error": 0, "warning": 1, "info": 2}
"""The severities, the weightiest first."""
SHOWN_PER_RULE = 1000
"""Findings of one rule that a receipt lists for a file: enough to see the pattern, and every
further one is counted."""
FIRST_LINES = 10
"""Lines of one rule and file that a page or a terminal names: a pattern shows in ten."""

FILES_TOLD = 100
"""Files that a page or a terminal tells of one by one. A drop may have any number of them."""

Cells = Mapping[tuple[int | None, str | None], str]
"""Cells by line and column, as they may be shown."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What became of one file: ``fates`` are physical lines per fate and add up to ``lines``.

    ``findings`` is a frame of ``EXPLAINED_SCHEMA``. ``causes``: the evidence of each cause that
    explains some of them, by its id. ``no_longer_active``: records that the file ended
    by not having them; ``complete``: whether it could end any, if that is known. ``kept``: records
    that it has not and that stay active, because lines could not be read; ``kept_since``: since
    which night there are such records. ``cells``: what stands where the first findings point, for
    districts that ask for it.
    """

    path: str
    family: str
    feed: str | None
    verdict: str
    encoding: str
    lines: int
    fates: Mapping[str, int]
    findings: pl.DataFrame
    no_longer_active: int = 0
    complete: bool | None = None
    kept: int = 0
    kept_since: date | None = None
    cells: Cells = field(default_factory=dict)
    causes: Mapping[str, str] = field(default_factory=dict)

    @property
    def told_causes(self) -> list[ToldCause]:
        """The causes with what each explains, the weightiest first."""
        return told_causes(self.causes, self.findings)


def choose_files(reports: Sequence[FileReport]) -> Sequence[FileReport]:
    """Returns the files to tell of, in their order: at most ``FILES_TOLD``.

    Where there are more, those come first that are recognised, then those with the worst findings.
    """
    if len(reports) <= FILES_TOLD:
        return reports
    by_need = sorted(range(len(reports)), key=lambda number: _need(reports[number]))
    return [reports[number] for number in sorted(by_need[:FILES_TOLD])]


def _need(report: FileReport) -> tuple[bool, int]:
    weights = [WEIGHTS[severity] for severity in report.findings["severity"].unique()]
    return report.feed is None, min(weights, default=len(WEIGHTS))


def count_verdicts(reports: Iterable[FileReport]) -> Counter[str]:
    """Returns how many files have each verdict."""
    return Counter(report.verdict for report in reports)


def sum_up(reports: Sequence[FileReport]) -> DropOutcome:
    """Returns what became of the lines of all files together."""
    fates: Counter[str] = Counter()
    for report in reports:
        fates.update(report.fates)
    return DropOutcome(
        lines=sum(report.lines for report in reports),
        fates=fates,
        findings=any(report.causes or not report.findings.is_empty() for report in reports),
        fault=any((report.findings["rule"] == FAULT.id).any() for report in reports),
        refused=_refused(reports),
    )


def _refused(reports: Sequence[FileReport]) -> str | None:
    """What kind of file was rejected without which the delivery means nothing."""
    for report in reports:
        feed = FEEDS_BY_NAME.get(report.feed or "")
        if feed is not None and feed.required and report.verdict == "rejected":
            return feed.stems[0]
    return None


def describe_check(
    verdict: str, files: Sequence[FileReport], dictionary: str | None = None
) -> dict[str, Any]:
    """The JSON object of a check before anything was sent."""
    told = explain_text(verdict, files)
    return {
        "verdict": str(verdict),
        "meaning": told.meaning,
        "what_to_do": told.next,
        "files": [describe_file(file, dictionary) for file in files],
    }


def describe_file(report: FileReport, dictionary: str | None = None) -> dict[str, Any]:
    """The JSON object of one file, as receipts and ``ccgi check`` have it.

    ``dictionary``: the address of the published dictionary, to whose pages rules and causes lead.
    """
    shown = _shown(report.findings)
    return {
        "path": report.path,
        "family": report.family,
        "feed": report.feed,
        "verdict": report.verdict,
        "encoding": report.encoding,
        "lines": report.lines,
        "fates": dict(report.fates),
        **_records_not_sent(report),
        "rules": [
            {**rule, **_page_of(dictionary, addresses.RULES, rule["rule"])}
            for rule in _rules_broken(report.findings)
        ],
        "causes": [
            {**_cause_object(told), **_page_of(dictionary, addresses.CAUSES, told.cause.id)}
            for told in report.told_causes
        ],
        "findings": [_finding_object(row) for row in shown.iter_rows(named=True)],
        "findings_omitted": report.findings.height - shown.height,
    }


def _records_not_sent(report: FileReport) -> dict[str, Any]:
    """What became of records that the file does not have; nothing where that is not known."""
    if report.complete is None:
        return {}
    since = report.kept_since.isoformat() if report.kept_since else None
    return {
        "no_longer_active": report.no_longer_active,
        "kept_active": report.kept,
        "kept_active_since": since,
    }


def _page_of(dictionary: str | None, folder: str, name: str) -> dict[str, str]:
    page = addresses.page_url(dictionary, folder, name)
    return {"page": page} if page else {}


def _cause_object(told: ToldCause) -> dict[str, Any]:
    return {
        "cause": told.cause.id,
        "severity": told.severity,
        "count": told.findings.height,
        "text": told.cause.text,
        "evidence": told.evidence,
        "means": told.cause.means,
        "fix": told.cause.fix,
        "by_tool": dict(told.cause.by_tool),
        "lines": told.lines,
        "explains": [
            {"rule": rule.rule, "column": rule.column, "count": rule.count}
            for rule in told.explains
        ],
    }


def _shown(findings: pl.DataFrame) -> pl.DataFrame:
    if findings.height <= SHOWN_PER_RULE:
        return findings  # as it is of most files: a look costs more than all the rest
    return findings.filter(pl.int_range(pl.len()).over("rule") < SHOWN_PER_RULE)


def _rules_broken(findings: pl.DataFrame) -> list[dict[str, Any]]:
    """Each rule once with its count, weightiest first: errors, then what occurs most."""
    if findings.is_empty():
        return []
    counted = findings.group_by("rule", "severity", maintain_order=True).len().rows()
    counted.sort(key=lambda row: (WEIGHTS[row[1]], -row[2], row[0]))
    return [
        {
            "rule": rule_id,
            "severity": severity,
            "count": count,
            "text": RULES[rule_id].text,
            "fix": RULES[rule_id].fix,
            "source": RULES[rule_id].source,
        }
        for rule_id, severity, count in counted
    ]


def _finding_object(row: Mapping[str, Any]) -> dict[str, Any]:
    rule = RULES[row["rule"]]
    return {
        "rule": rule.id,
        "severity": row["severity"],
        "line": row["line"],
        "column": row["column"],
        "message": _message_with_cause(row),
        "cause": row["cause"],
    }


def _message_with_cause(row: Mapping[str, Any]) -> str:
    """The message; of a finding about the whole file also what probably happened."""
    cause = CAUSES_BY_ID.get(row["cause"] or "")
    if cause is None or row["line"] not in _OF_WHOLE_FILE:
        return _message(row)
    return f"{_message(row)} Probable cause: {cause.text}"


_OF_WHOLE_FILE = (None, 1)


def _message(row: Mapping[str, Any]) -> str:
    text = RULES[row["rule"]].text
    return f"{text} ({row['detail']})" if row["detail"] else text


def format_receipt_json(
    head: Mapping[str, Any], files: Iterable[FileReport], dictionary: str | None = None
) -> bytes:
    """The receipt of a drop: ``head`` (drop, verdict, ...) and its files."""
    receipt = {**head, "files": [describe_file(file, dictionary) for file in files]}
    return (_format_json(receipt) + "\n").encode()


def _format_json(value: object, margin: str = "\n", levels: int = 4) -> str:
    """Returns JSON with a line for each member of an object or list, to so many levels.

    What lies deeper, such as a finding, is one line: most of a receipt is written at once.
    """
    inner = f"{margin}  "
    parts: Iterable[str]
    if levels and value and isinstance(value, dict):
        parts = (
            f"{_one_line(key)}: {_format_json(member, inner, levels - 1)}"
            for key, member in value.items()
        )
        return f"{{{inner}{f',{inner}'.join(parts)}{margin}}}"
    if levels and value and isinstance(value, list):
        parts = (_format_json(member, inner, levels - 1) for member in value)
        return f"[{inner}{f',{inner}'.join(parts)}{margin}]"
    return _one_line(value)


_one_line = json.JSONEncoder(ensure_ascii=False).encode


_CHILD_MATCH_COLUMNS = (
    "SystemID",
    "SISLocalID",
    "line",
    "rule",
    "reason",
    "field",
    "what to change",
)


def build_child_match_rows(students: pl.DataFrame) -> pl.DataFrame:
    """Returns the rows of districts' child match reports as they are printed, one a student.

    ``students`` has ``cd``, ``SystemID``, ``SISLocalID``, ``line`` (that of the demographics
    extract; null if the student was not in the last one), ``rule`` (why no child of Foster Focus is
    linked, or how two files of the district disagree), and ``field`` (the one in which a child
    differs who is nearly the student).
    """
    rule = pl.col("rule")
    rows = students.with_columns(
        pl.col("line").cast(pl.String),
        reason=rule.replace_strict({id_: told.text for id_, told in RULES.items()}),
    ).with_columns(
        rule.replace_strict({id_: told.fix for id_, told in RULES.items()}).alias("what to change")
    )
    return sanitize_cells(rows.select("cd", *_CHILD_MATCH_COLUMNS), _CHILD_MATCH_COLUMNS)


_CSV_COLUMNS = ("file", "line", "column", "severity", "rule", "what is wrong", "what to change")
_CSV_CELL = f"the cell (first {FIRST_LINES} lines of a rule)"


def format_receipt_csv(files: Iterable[FileReport], *, with_cells: bool = False) -> bytes:
    """One row a finding: where it is, which rule, what to change; its cell only if asked for.

    A cause has one row in place of the findings that it explains, except those with a cell.
    """
    rows: list[Sequence[str]] = []
    columns = (*_CSV_COLUMNS, _CSV_CELL) if with_cells else _CSV_COLUMNS
    for file in files:
        rows += [_cause_row(file.path, told)[: len(columns)] for told in file.told_causes]
        left = unexplained(file.findings)
        shown = _shown(left)
        omitted = left.height - shown.height
        if file.causes and file.cells:
            explained = [_with_cells(file, told.findings) for told in file.told_causes]
            shown = pl.concat([shown, *explained])
        for row in shown.iter_rows(named=True):
            rule = RULES[row["rule"]]
            line = "" if row["line"] is None else str(row["line"])
            where = (file.path, line, row["column"] or "")
            cell = file.cells.get((row["line"], row["column"]), "")
            told = (*where, row["severity"], rule.id, _message(row), rule.fix, cell)
            rows.append(told[: len(columns)])
        if omitted:
            more = f"{omitted} further findings are not listed; the receipt counts them by rule."
            rows.append((file.path, "", "", "info", "", more, "", "")[: len(columns)])
    return _csv(columns, rows)


def _cause_row(path: str, told: ToldCause) -> Sequence[str]:
    cause = told.cause
    mend = " ".join([cause.fix, *(f"{tool}: {words}" for tool, words in cause.by_tool.items())])
    columns = ", ".join(told.columns)
    wrong = f"{cause.text} ({told.evidence})"
    return (path, told.lines, columns, told.severity, cause.id, wrong, mend, "")


def _with_cells(file: FileReport, findings: pl.DataFrame) -> pl.DataFrame:
    """The findings at whose places a cell is shown."""
    return findings.filter(
        [place in file.cells for place in findings.select("line", "column").iter_rows()]
    )


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Returns a CSV file (RFC 4180) in which no cell is a formula to a spreadsheet."""
    content = io.StringIO(newline="")
    writer = csv.writer(content, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(map(sanitize_cell, row) for row in rows)
    return content.getvalue().encode()


_RULES_IN_TEXT = 20
"""A terminal shows so many rules of a file; ``--format json`` has them all."""


def as_text(verdict: str, files: Sequence[FileReport], dictionary: str | None = None) -> str:
    """Everything that was checked, for a person at a terminal: errors first, each fault once."""
    lines: list[str] = []
    chosen = choose_files(files)
    for file in chosen:
        fates = ", ".join(f"{count} {fate}" for fate, count in file.fates.items() if count)
        feed = file.feed or "not recognised"
        lines.append(f"{shorten(file.path)}: {file.verdict.replace('_', ' ')}")
        size = labels.counted(file.lines, "line")
        lines.append(f"  {feed}, {file.encoding or 'not read'}, {size} ({fates})")
        for cause in file.told_causes:
            lines += _cause_in_text(cause, dictionary)
        told = _faults(unexplained(file.findings))
        for fault in told[:_RULES_IN_TEXT]:
            rule = RULES[fault["rule"]]
            column = f", {fault['column']}" if fault["column"] else ""
            lines.append(
                f"  {fault['severity']}: {_places(fault)}{column}: {_message(fault)} [{rule.id}]"
            )
            lines.append(f"    {rule.fix}")
            if page := addresses.page_url(dictionary, addresses.RULES, rule.id):
                lines.append(f"    {page}")
        hidden = sum(fault["count"] for fault in told[_RULES_IN_TEXT:])
        if hidden:
            lines.append(f"  ... and {hidden} more findings (--format json lists them)")
    left_out = count_verdicts(files) - count_verdicts(chosen)
    if left_out:
        listed = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in left_out.items())
        lines.append(
            f"... and {left_out.total():,} more files: {listed} (--format json lists them)"
        )
    steps = explain_text(verdict, files)
    lines += ["", steps.meaning, f"What to do: {steps.next}"] if files else []
    lines.append(f"verdict: {verdict.replace('_', ' ')}")
    return "\n".join(escape_unprintable(line) for line in lines)


def explain_text(verdict: str, files: Sequence[FileReport]) -> NextSteps:
    """Returns what the verdict of a check means, and what to do, in the marks of the text.

    Where there are several points to correct, it names the one to begin with: of the weightiest,
    the one with most findings.
    """
    told = explain_check(verdict, sum_up(files), {severity: severity for severity in WEIGHTS})
    points = [
        (severity, count, id_, file)
        for file in files
        for severity, count, id_ in _points(file)
        if severity != str(Severity.INFO) and id_ not in labels.NOT_THE_SENDERS
    ]
    if len(points) < _SEVERAL:
        return told
    severity, count, id_, file = min(points, key=lambda point: (WEIGHTS[point[0]], -point[1]))
    total = sum(point[1] for point in points if point[0] == severity)
    where = f" in {labels.file_name(file.path)}" if len(files) > 1 else ""
    share = f"{count:,} of {labels.counted(total, severity)}"
    return NextSteps(told.meaning, f"{told.next} Begin with {id_}{where} ({share}).")


_SEVERAL = 2


def _points(file: FileReport) -> Iterator[tuple[str, int, str]]:
    """Severity, count and id of each cause of a file, and of each rule that no cause explains."""
    for told in file.told_causes:
        yield told.severity, told.findings.height, told.cause.id
    for point in _rules_broken(unexplained(file.findings)):
        yield point["severity"], point["count"], point["rule"]


_DETAILS_IN_TEXT = 3
"""A terminal shows so many lines of a cause that say more."""


def _cause_in_text(told: ToldCause, dictionary: str | None) -> Iterator[str]:
    cause, places = told.cause, told.places or "file"
    yield f"  {told.severity}: {places}: {cause.text} [{cause.id}]"
    count = f"{told.findings.height:,} finding{'s' if told.findings.height > 1 else ''}"
    rules = ", ".join(dict.fromkeys(rule.rule for rule in told.explains))
    yield f"    {told.evidence} This explains {count} of {rules}."
    details = told.details.head(_DETAILS_IN_TEXT).select("line", "column", "detail")
    for line, column, detail in details.iter_rows():
        yield f"    line {line}{f', {column}' if column else ''}: {detail}"
    yield f"    {cause.fix}"
    for tool, words in cause.by_tool.items():
        yield f"    {tool}: {words}"
    if page := addresses.page_url(dictionary, addresses.CAUSES, cause.id):
        yield f"    {page}"


def _faults(findings: pl.DataFrame) -> list[dict[str, Any]]:
    """Rule, column and detail of each fault with its first lines and their count."""
    return (
        findings.group_by("rule", "severity", "column", "detail", maintain_order=True)
        .agg(pl.col("line").head(FIRST_LINES), pl.len().alias("count"))
        .sort(pl.col("severity").replace_strict(WEIGHTS, return_dtype=pl.Int8), maintain_order=True)
        .rows(named=True)
    )


def _places(fault: Mapping[str, Any]) -> str:
    """``line 7``, ``lines 7, 9``, or ``500 lines (2, 3, ...)``."""
    listed = ", ".join(str(line) for line in fault["line"] if line is not None)
    if not listed:
        return "file"
    if fault["count"] > FIRST_LINES:
        return f"{fault['count']} lines ({listed}, ...)"
    return f"line{'s' if fault['count'] > 1 else ''} {listed}"
