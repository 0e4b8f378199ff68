"""The page of a receipt: one file of HTML from which a district can mend what it sent.

Belongs here: what of a delivery a registrar must know, in the order of need: the verdict, what to
do, what became of the lines, each file's faults by weight. The page needs nothing from elsewhere,
and the same facts make the same bytes. No student's value is on it unless cells are handed in. Does
not belong here: the words (labels, next_steps), the JSON and CSV (receipts).
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files as files_of_package
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, Template

from ccgi_pipeline.feeds import sis_locations
from ccgi_pipeline.feeds.file_rules import (
    COLUMN_MISSING,
    HEADER,
    HELD,
    KEPT,
    UNRECOGNISED,
)
from ccgi_pipeline.feeds.registry import DISTRICT_FEEDS, FEEDS_BY_NAME, RULES, feeds_of
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.feeds.spec import FeedSpec, Lifecycle
from ccgi_pipeline.verification import addresses, labels
from ccgi_pipeline.verification.causes.told_causes import ToldCause, unexplained
from ccgi_pipeline.verification.labels import counted
from ccgi_pipeline.verification.next_steps import (
    Repeated,
    SentDrop,
    explain_check,
    explain_drop,
    explain_duplicate,
)
from ccgi_pipeline.verification.receipts import (
    FIRST_LINES,
    SHOWN_PER_RULE,
    WEIGHTS,
    FileReport,
    choose_files,
    count_verdicts,
    sum_up,
)


def render_receipt(
    delivery: SentDrop, files: Sequence[FileReport], dictionary: str | None = None
) -> bytes:
    """The page that answers a drop; ``dictionary``: where its rules and causes have their pages."""
    facts = _Facts(files)
    about = [
        _LINE_NUMBERS,
        "Lines that were loaded stay loaded: sending them again does no harm.",
        f"For questions: delivery {delivery.drop}, receipt {delivery.stem}.",
        f"For programs: {delivery.stem}.json in the same folder has the same facts.",
    ]
    return _rendered(
        **_head(delivery),
        told=explain_drop(delivery, facts.outcome),
        reasons=facts.reasons if delivery.verdict == "held" else [],
        files=facts.files,
        more_files=facts.more_files,
        file_count=len(files),
        rest=f"{delivery.stem}.csv in the same folder lists the errors of every file.",
        ledger=_ledger(facts.outcome.fates, facts.outcome.lines),
        list_note=_list_note(delivery, facts),
        about=about,
        notes=facts.notes,
        dictionary=dictionary,
    ).encode()


def render_duplicate(delivery: SentDrop, repeated: Repeated) -> bytes:
    """The page that answers a drop that came a second time."""
    same = "Two deliveries are the same if their files hold the same bytes, under any name."
    back = "An earlier delivery that is sent once more after another one counts again."
    questions = f"For questions: delivery {delivery.drop}, receipt {delivery.stem}."
    return _rendered(
        **_head(delivery),
        told=explain_duplicate(delivery, repeated),
        about=[f"{same} {back}", questions],
    ).encode()


def render_check(
    verdict: str,
    files: Sequence[FileReport],
    *,
    values_shown: bool = False,
    dictionary: str | None = None,
    back: str | None = None,
    complete_list: str = "--format json",
) -> str:
    """The page of a check before anything was sent; ``values_shown``: the findings have cells.

    ``back``: the address where other files can be checked. ``complete_list``: what lists everything
    that the page leaves out.
    """
    facts = _Facts(files, checked=True)
    hidden = ""
    if facts.hides:
        hidden = f" Each point names its first {FIRST_LINES} lines; {complete_list} lists them all."
    return _rendered(
        title="Check before sending",
        kind="Check before sending; nothing was sent or loaded",
        heading="Check before sending",
        back=back,
        secret="you asked for it" if values_shown else None,
        verdict=verdict,
        verdict_words=labels.VERDICTS[verdict],
        told=explain_check(verdict, facts.outcome),
        files=facts.files,
        more_files=facts.more_files,
        file_count=len(files),
        rest=f"{complete_list} lists the errors of every file.",
        ledger=_ledger(facts.outcome.fates, facts.outcome.lines, checked=True),
        list_note=f"{labels.WEIGHTS_EXPLAINED}{hidden}" if facts.outcome.findings else None,
        about=[_LINE_NUMBERS],
        notes=facts.notes,
        dictionary=dictionary,
    )


_LINE_NUMBERS = "Lines are counted as a text editor counts them: the header is line 1."


@cache
def _template() -> tuple[Template, Mapping[str, object]]:
    """The template, compiled once, and the style with the hash by which the page permits it."""
    room = files_of_package("ccgi_pipeline.verification")
    environment = Environment(
        loader=PackageLoader("ccgi_pipeline.verification", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = labels.number
    environment.globals["page_url"] = addresses.page_url
    style = room.joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        environment.get_template("page.html.jinja"),
        {"style": style, "style_hash": f"sha256-{digest}"},
    )


def _rendered(**page: object) -> str:
    template, style = _template()
    nothing = {"files": [], "more_files": [], "file_count": 0, "ledger": _ledger({}, 0)}
    return template.render(page={**nothing, **page}, **style) + "\n"


def _head(delivery: SentDrop) -> dict[str, object]:
    who = labels.sender(delivery.sender, delivery.name)
    district = labels.is_district(delivery.sender)
    code = f" · CD code {delivery.sender}" if district and who != delivery.sender else ""
    return {
        "title": f"{who}: receipt of {labels.day(delivery.night)}",
        "kind": f"Receipt · {labels.family(delivery.family)}",
        "heading": who,
        "when": f"Night of {labels.day(delivery.night)}{code}",
        "verdict": delivery.verdict,
        "verdict_words": labels.VERDICTS[delivery.verdict],
        "secret": "your district asked for it" if delivery.values_shown else None,
    }


def _list_note(delivery: SentDrop, facts: _Facts) -> str | None:
    if not facts.outcome.findings:
        return None
    upto = f", up to {SHOWN_PER_RULE:,} for each point of a file" if facts.overflows else ""
    once = (
        " A probable cause has one row there for all places that it explains; "
        f"{delivery.stem}.json lists these too."
        if facts.explained
        else ""
    )
    return (
        f"{labels.WEIGHTS_EXPLAINED} Each point names its first {FIRST_LINES} lines. The complete "
        f"list, a row for each place{upto}, is {delivery.stem}.csv in the same folder; it opens in "
        f"a spreadsheet.{once}"
    )


# --- each file ------------------------------------------------------------------------------------


_Point = ToldCause | Mapping[str, Any]
"""One point on the page about a file: a cause, or a broken rule that no cause explains."""


def _severity_of(point: _Point) -> str:
    severity: str = point.severity if isinstance(point, ToldCause) else point["severity"]
    return severity


def _count_places(findings: pl.DataFrame) -> dict[str, int]:
    """Returns how many errors and warnings of the sender's own there are."""
    counts = {str(Severity.ERROR): 0, str(Severity.WARNING): 0}
    if not findings.is_empty():  # as most files have none: a look costs more than all the rest
        own = findings.filter(~pl.col("rule").is_in([*labels.NOT_THE_SENDERS]))
        found = dict(own.group_by("severity").len().iter_rows())
        counts = {severity: found.get(severity, 0) for severity in counts}
    return counts


class _Facts:
    """The files of a page as the template has them, the worst first, and what they add up to."""

    def __init__(self, reports: Sequence[FileReport], *, checked: bool = False) -> None:
        self._checked = checked
        self.notes: list[str] = []
        points = _points(reports)
        every = [point for of_file in points for point in of_file]
        most = max((point["count"] for point in every), default=0)
        self.explained = any(report.causes for report in reports)
        self.hides, self.overflows = most > FIRST_LINES, most > SHOWN_PER_RULE
        reasons = {
            detail: None
            for point in every
            if point["rule"] == HELD.id
            for detail in point["detail"]
            if detail
        }
        self.reasons = [*reasons][:_POINTS_TOLD]
        self.outcome = sum_up(reports)
        chosen = choose_files(reports)
        places = {id(report): of_file for report, of_file in zip(reports, points, strict=True)}
        worst_first = sorted(
            ((report, places[id(report)]) for report in chosen),
            key=lambda both: min(
                map(WEIGHTS.__getitem__, {*both[0].findings["severity"]}), default=9
            ),
        )
        self._points_left = _POINTS_TOLD
        self.files = [self._file(report, of_file) for report, of_file in worst_first]
        self.more_files = [
            {"count": count, "verdict": verdict, "verdict_words": labels.VERDICTS[verdict]}
            for verdict, count in (count_verdicts(reports) - count_verdicts(chosen)).items()
        ]

    def _file(self, report: FileReport, points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        feed = FEEDS_BY_NAME.get(report.feed or "")
        name = labels.file_name(report.path)
        path = labels.as_seen(report.path)
        every: list[_Point] = [*report.told_causes, *points]
        every.sort(key=lambda point: WEIGHTS[_severity_of(point)])
        told = every[: self._points_left]
        self._points_left -= len(told)
        return {
            "name": name,
            "path": path if path != name else None,
            "what": feed.title if feed else "Not a file that we know",
            "encoding": _ENCODINGS.get(report.encoding, report.encoding),
            "verdict": report.verdict,
            "verdict_words": labels.VERDICTS[report.verdict],
            "ledger": _ledger(report.fates, report.lines, checked=self._checked),
            "loaded": sum(report.fates.get(fate, 0) for fate in labels.LOADED),
            "places": _count_places(report.findings),
            "sentences": [] if self._checked else list(_sentences(report)),
            "points": [self._point(report, point) for point in told],
            "more_rules": len(every) - len(told),
        }

    def _point(self, report: FileReport, point: _Point) -> dict[str, Any]:
        if isinstance(point, ToldCause):
            return self._cause(report, point)
        return self._rule(report, point)

    def _cause(self, report: FileReport, told: ToldCause) -> dict[str, Any]:
        """A probable cause: what happened, what shows it, what to change, what it explains."""
        feed = FEEDS_BY_NAME.get(report.feed or "")
        first = told.details.head(FIRST_LINES) if not report.cells else told.findings
        rows = [
            {"line": line, "column": column, "detail": detail, "cell": cell}
            for line, column, detail in first.select("line", "column", "detail").iter_rows()
            for cell in [report.cells.get((line, column))]
            if cell is not None or detail is not None
        ][:FIRST_LINES]
        names = list(feed.columns) if feed is not None and told.cause.names_help else []
        return {
            "is_cause": True,
            "id": told.cause.id,
            "severity": told.severity,
            "weight": labels.WEIGHTS[told.severity],
            "extent": counted(told.findings.height, "finding"),
            "text": told.cause.text,
            "evidence": told.evidence,
            "means": told.cause.means,
            "fix": told.cause.fix,
            "tools": [
                {"system": tool, "where": words} for tool, words in told.cause.by_tool.items()
            ],
            "explains": _in_short(told),
            "lines": told.lines,
            "lines_title": "Line" if told.lines.isdigit() else "Lines",
            "names": names,
            "rows": rows,
            "with_columns": any(row["column"] for row in rows),
            "with_cells": any(row["cell"] for row in rows),
            "with_details": any(row["detail"] for row in rows),
        }

    def _rule(self, report: FileReport, point: Mapping[str, Any]) -> dict[str, Any]:
        """One broken rule: what is wrong, what to change, where, and which lines come first."""
        rule = RULES[point["rule"]]
        named = [column for column in point["columns"] if column is not None]
        rows = [
            {"line": line, "column": column, "detail": detail, "cell": cell}
            for line, column, detail in zip(
                point["line"], point["column"], point["detail"], strict=True
            )
            for cell in [report.cells.get((line, column))]
        ]
        shown = {
            "with_columns": len(named) > 1,
            "with_details": any(row["detail"] for row in rows),
            "with_cells": any(row["cell"] is not None for row in rows),
        }
        of_lines = any(row["line"] not in {None, _HEADER} for row in rows)
        in_table = any(shown.values()) and (of_lines or shown["with_details"])
        return {
            "id": rule.id,
            "severity": point["severity"],
            "weight": labels.NOT_THE_SENDERS.get(rule.id, labels.WEIGHTS[point["severity"]]),
            "extent": _extent(point["count"], rows, len(named), of_lines=of_lines),
            "text": rule.text,
            "fix": rule.fix,
            "source": labels.source(rule.source),
            "columns": _columns_to_name(rule.text, named),
            "more_columns": max(0, len(named) - _COLUMNS_NAMED),
            **_names_that_help(rule.id, FEEDS_BY_NAME.get(report.feed or ""), report.family),
            "places": list(self._places(report.feed, named)),
            "rows": rows if in_table else [],
            "lines": [row["line"] for row in rows] if of_lines else [],
            "more": max(0, point["count"] - len(rows)) if of_lines or in_table else 0,
            **shown,
        }

    def _places(self, feed: str | None, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Where the systems keep the column, each with the number of its source's footnote."""
        if feed is None or len(columns) != 1:
            return
        for place in sis_locations.places(feed, columns[0]):
            if place.source not in self.notes:
                self.notes.append(place.source)
            note = self.notes.index(place.source) + 1
            yield {"system": place.system, "where": place.where, "note": note}


_POINTS_TOLD = 500
"""Points of a page, in all its files. With so many it has less than a megabyte."""
_COLUMNS_NAMED = 40
"""As many columns as the widest file of a district has, and a few more."""

_ENCODINGS = {"utf-8": "UTF-8 text", "utf-16": "UTF-16 text", "cp1252": "Windows text"}


def _in_short(told: ToldCause) -> list[dict[str, Any]]:
    """The rules that a cause explains, each once with its columns."""
    columns: dict[str, list[str]] = {}
    counts: Counter[str] = Counter()
    for rule in told.explains:
        columns.setdefault(rule.rule, []).extend([rule.column] if rule.column else [])
        counts[rule.rule] += rule.count
    return [
        {
            "rule": rule,
            "count": counts[rule],
            "columns": [labels.as_seen(column) for column in of_rule[:_COLUMNS_NAMED]],
        }
        for rule, of_rule in columns.items()
    ]


def _points(reports: Sequence[FileReport]) -> list[list[dict[str, Any]]]:
    """Per file each broken rule once, with its first lines: errors first, then what occurs most."""
    found = [
        left.select(pl.lit(number, dtype=pl.UInt32).alias("file"), pl.all())
        for number, report in enumerate(reports)
        if not (left := unexplained(report.findings)).is_empty()
    ]
    points: list[list[dict[str, Any]]] = [[] for _ in reports]
    if not found:
        return points
    grouped = (
        pl.concat(found)
        .group_by("file", "rule", "severity", maintain_order=True)
        .agg(
            pl.len().alias("count"),
            pl.col("line", "column", "detail").head(FIRST_LINES),
            pl.col("column").unique(maintain_order=True).alias("columns"),
        )
    )
    for point in grouped.iter_rows(named=True):
        points[point["file"]].append(point)
    for of_file in points:
        of_file.sort(key=lambda p: (WEIGHTS[p["severity"]], -p["count"], p["rule"]))
    return points


_HEADER = 1
"""The line of the header, as everybody counts."""


def _extent(count: int, rows: Sequence[Mapping[str, Any]], columns: int, *, of_lines: bool) -> str:
    """How much of the file a finding is about."""
    if of_lines:
        return counted(count, "place" if columns > 1 else "line")
    if columns:
        return counted(columns, "column")
    return "line 1, the header" if rows[0]["line"] == _HEADER else "the file as a whole"


def _names_that_help(rule: str, feed: FeedSpec | None, family: str) -> dict[str, Any]:
    """The names that a file or its columns must have, for readers without a dictionary."""
    if rule == UNRECOGNISED.id:
        feeds = feeds_of(family) or DISTRICT_FEEDS
        return {"names_of": "File names", "names": [known.stems[0] for known in feeds]}
    if feed is not None and rule in _OF_HEADERS:
        return {"names_of": "Column names", "names": list(feed.columns)}
    return {"names": []}


_OF_HEADERS = frozenset({HEADER.id, COLUMN_MISSING.id})


def _columns_to_name(text: str, columns: Sequence[str]) -> list[str]:
    """The columns concerned, unless it is one that the rule names itself."""
    if len(columns) == 1 and columns[0] in text:
        return []
    return [labels.as_seen(column) for column in columns[:_COLUMNS_NAMED]]


_WIDTH = 1000
"""The width of a bar in its own units."""
_LEAST = 8
"""So wide that a part can be seen on a telephone, however few lines it is."""


def _ledger(fates: Mapping[str, int], lines: int, *, checked: bool = False) -> dict[str, Any]:
    """What became of the lines (or would), as parts of a bar that together are as wide as it is."""
    in_order = [*labels.FATES, *sorted(set(fates) - set(labels.FATES))]
    counts = {fate: fates[fate] for fate in in_order if fates.get(fate)}
    total = sum(counts.values())
    widths = {fate: max(_LEAST, round(_WIDTH * n / total)) for fate, n in counts.items()}
    if widths:
        widest = max(widths, key=lambda fate: widths[fate])
        widths[widest] += _WIDTH - sum(widths.values())
    parts = []
    left = 0
    for fate, count in counts.items():
        words = labels.fate(fate, checked=checked)
        parts.append(
            {
                "fate": fate,
                "title": words.title,
                "meaning": words.meaning,
                "lines": count,
                "x": left,
                "width": widths[fate],
                "striped": fate in _STRIPED,
            }
        )
        left += widths[fate]
    listed = ", ".join(f"{part['lines']:,} {str(part['title']).lower()}" for part in parts)
    becomes = "would become" if checked else "became"
    return {
        "parts": parts,
        "lines": lines,
        "title": f"What {becomes} of your {counted(lines, 'line') if lines != 1 else 'line'}",
        "words": f"Of {counted(lines, 'line')}: {listed}",
    }


_STRIPED = frozenset({"rejected", "held", "unmatched"})
"""Parts that need somebody, told from the others without colour too."""


def _sentences(report: FileReport) -> Iterator[str]:
    """What a file ended, or why it ended nothing."""
    feed = FEEDS_BY_NAME.get(report.feed or "")
    # Yesterday's file names that end with yesterday are no news.
    gone = 0 if feed and feed.manifest else report.no_longer_active
    what = counted(gone, feed.noun if feed else "record")
    loads = any(report.fates.get(fate) for fate in labels.LOADED)
    if report.kept:
        kept = counted(report.kept, feed.noun if feed else "record")
        are, stay = ("is", "stays") if report.kept == 1 else ("are", "stay")
        yield (
            f"{kept} that we had before {are} not in this file, but {stay} active, because a line "
            f"that could not be read may be about {'it' if report.kept == 1 else 'them'}. This has "
            f"been so since {report.kept_since:%B %-d, %Y}. Rule {KEPT.id} below names the lines."
        )
    if gone:
        are = "is" if gone == 1 else "are"
        yield f"{what} that we had before {are} not in this file, and {are} no longer active."
    elif report.verdict == "rejected":
        yield "Nothing of this file was loaded; what was loaded before stays."
    elif report.complete is False and loads and feed and feed.lifecycle is Lifecycle.SNAPSHOT:
        changes = "it holds changes only, or " if feed.may_be_changes else ""
        yield (
            f"Records that are not in this file stay as they were: {changes}"
            "not every line could be told to be about one record."
        )
