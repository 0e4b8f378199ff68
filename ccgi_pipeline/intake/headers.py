"""Parses a file's header: which feed the file is, and which column each cell belongs to.

Belongs here: the first line and its findings. Does not belong here: the lines below it (reader),
what a column's values must be (verification).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.columns import Requirement
from ccgi_pipeline.feeds.registry import feed_by_header
from ccgi_pipeline.feeds.spec import FeedSpec, fold
from ccgi_pipeline.intake.findings import Finding

csv.field_size_limit(1 << 30)  # a long cell is a finding of its column's rule, not a failure


@dataclass(frozen=True, slots=True)
class Header:
    """A file's columns: for each cell the column's name, or None if the feed has no such column.

    ``blank_end``: how many of its last cells are blank. ``dropped``: how many such were dropped.
    """

    feed: FeedSpec
    separator: str
    text: str
    columns: tuple[str | None, ...]
    edition: str
    findings: tuple[Finding, ...]
    blank_end: int = 0
    dropped: int = 0

    @property
    def fatal(self) -> bool:
        """Whether the lines below the header cannot be read."""
        foreign = self.feed.headers.foreign if self.feed.headers else None
        return any(found.rule in (*_FATAL, foreign) for found in self.findings)


_FATAL = (file_rules.COLUMN_MISSING, file_rules.COLUMN_TWICE)


def parse_header(
    number: int,
    line: str,
    named: FeedSpec | None,
    candidates: Sequence[FeedSpec],
    edition: str = "",
) -> Header | None:
    """Parses ``line`` as a header; None if it is none, such as a student's line."""
    best: tuple[int, FeedSpec, str, list[str]] | None = None
    separators = dict.fromkeys(mark for feed in candidates for mark in feed.separators)
    for separator in separators:
        cells = _split_header(line, separator)
        feed = named or feed_by_header(cells, candidates)
        if feed is None or separator not in feed.separators:
            continue
        known = sum(fold(cell) in feed.columns_by_folded_name for cell in cells)
        if known and (best is None or known > best[0]):
            best = known, feed, separator, cells
    if best is None:
        return None
    known, feed, separator, cells = best
    columns = tuple(_column_name(feed, cell) for cell in cells)
    required = [c for c in feed.columns.values() if c.requirement is Requirement.REQUIRED]
    if not any(declared.name in columns for declared in required):
        return None
    edition = feed.edition_of({fold(cell) for cell in cells}, edition)
    findings = [
        *_header_findings(feed, columns, cells, edition, number),
        *_specification_findings(feed, separator, columns, cells, number),
    ]
    named_cells = [position for position, cell in enumerate(cells, start=1) if cell]
    blank_end = len(cells) - named_cells[-1]
    return Header(feed, separator, line, columns, edition, tuple(findings), blank_end)


def without_blank_end(header: Header) -> Header:
    """Returns the header without the blank cells at its end, and a finding in place of theirs."""
    width = len(header.columns) - header.blank_end
    unnamed = {f"column {width + number}" for number in range(1, header.blank_end + 1)}
    findings = [found for found in header.findings if found.detail not in unnamed]
    line = next(found.line for found in header.findings if found.detail in unnamed)
    return replace(
        header,
        columns=header.columns[:width],
        findings=(*findings, Finding(file_rules.EXTRA_CELLS, line=line)),
        blank_end=0,
        dropped=header.blank_end,
    )


def _split_header(line: str, separator: str) -> list[str]:
    """Splits a header line, which may have quotes even if the feed's lines have none."""
    try:
        cells = next(csv.reader([line], delimiter=separator, strict=True), [])
    except csv.Error:
        cells = line.split(separator)
    return [cell.strip() for cell in cells]


def _column_name(feed: FeedSpec, cell: str) -> str | None:
    declared = feed.columns_by_folded_name.get(fold(cell))
    return declared.name if declared else None


def _header_findings(
    feed: FeedSpec,
    columns: tuple[str | None, ...],
    cells: Sequence[str],
    edition: str,
    line: int,
) -> Iterator[Finding]:
    """Yields findings of columns that appear twice, are unknown to the feed, or are missing."""
    absent, unknown, own = file_rules.COLUMN_ABSENT, file_rules.COLUMN_UNKNOWN, None
    if feed.headers:
        absent, unknown, own = feed.headers.absent, feed.headers.unknown, feed.headers.extension
    for twice in dict.fromkeys(name for name in columns if name and columns.count(name) > 1):
        yield Finding(file_rules.COLUMN_TWICE, line=line, column=twice)
    for position, (name, cell) in enumerate(zip(columns, cells, strict=True), start=1):
        if name is None and not (own and cell.startswith(own)):
            # The cell is not quoted: in a file without a header it may be a student's value.
            yield Finding(unknown, line=line, detail=f"column {position}")
    for declared in feed.columns.values():
        if declared.name not in columns and declared.expected_in(edition or _CURRENT):
            missing = declared.requirement is Requirement.REQUIRED
            rule = file_rules.COLUMN_MISSING if missing else absent
            yield Finding(rule, line=line, column=declared.name)


_CURRENT = "1.1"
"""The edition of a file whose header shows none, in feeds that have editions."""


def _specification_findings(
    feed: FeedSpec,
    separator: str,
    columns: tuple[str | None, ...],
    cells: Sequence[str],
    line: int,
) -> Iterator[Finding]:
    """Yields findings of a header that differs from the letter of the feed's specification."""
    rules = feed.headers
    if rules is None:
        return
    if not {fold(mark) for mark in rules.foreign_marks}.isdisjoint(map(fold, cells)):
        yield Finding(rules.foreign, line=line)
        return
    if separator != feed.separators[0]:
        yield Finding(rules.separator, line=line)
    for name, cell in zip(columns, cells, strict=True):
        if name is not None and name != cell:
            renamed = fold(name) != fold(cell)
            yield Finding(rules.renamed if renamed else rules.case, line=line, column=name)
    places = [list(feed.columns).index(name) for name in columns if name]
    own = [
        not name and cell.startswith(rules.extension)
        for name, cell in zip(columns, cells, strict=True)
    ]
    extension_first = any(is_extension and any(columns[n:]) for n, is_extension in enumerate(own))
    if places != sorted(places) or extension_first:
        yield Finding(rules.order, line=line)
