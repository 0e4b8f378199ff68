"""The header of a file: which feed it is, and which column each cell of a line belongs to.

Belongs here: the first line, and what is wrong with it. Does not belong here: the lines below it
(reader), what a column's values must be (verification).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.columns import Requirement
from ccgi_pipeline.feeds.registry import feed_by_header
from ccgi_pipeline.feeds.spec import FeedSpec, fold
from ccgi_pipeline.intake.findings import Finding


@dataclass(frozen=True, slots=True)
class Header:
    """The file's columns: for each cell its column's name, or None where it is none of the feed."""

    feed: FeedSpec
    separator: str
    text: str
    columns: tuple[str | None, ...]
    edition: str
    findings: tuple[Finding, ...]

    @property
    def fatal(self) -> bool:
        """Whether no line below it can be read."""
        foreign = self.feed.headers.foreign if self.feed.headers else None
        return any(found.rule in (*_FATAL, foreign) for found in self.findings)


_FATAL = (file_rules.COLUMN_MISSING, file_rules.COLUMN_TWICE)


def header_of(
    number: int,
    line: str,
    named: FeedSpec | None,
    candidates: Sequence[FeedSpec],
    edition: str = "",
) -> Header | None:
    """The header in ``line``, or None: a pupil's line must not be taken for one."""
    best: tuple[int, FeedSpec, str, list[str]] | None = None
    separators = dict.fromkeys(mark for feed in candidates for mark in feed.separators)
    for separator in separators:
        cells = _cells(line, separator)
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
        *_letter_findings(feed, separator, columns, cells, number),
    ]
    return Header(feed, separator, line, columns, edition, tuple(findings))


def _cells(line: str, separator: str) -> list[str]:
    """The cells of a header line, which people do quote even where the feed has no quotes."""
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
    """Columns that are there twice, that are none of the feed's, that are missing."""
    absent, unknown, own = file_rules.COLUMN_ABSENT, file_rules.COLUMN_UNKNOWN, None
    if feed.headers:
        absent, unknown, own = feed.headers.absent, feed.headers.unknown, feed.headers.extension
    for twice in dict.fromkeys(name for name in columns if name and columns.count(name) > 1):
        yield Finding(file_rules.COLUMN_TWICE, line=line, column=twice)
    for position, (name, cell) in enumerate(zip(columns, cells, strict=True), start=1):
        if name is None and not (own and cell.startswith(own)):
            # Its name stays unsaid: in a file without a proper header it may be a pupil's.
            yield Finding(unknown, line=line, detail=f"column {position}")
    for declared in feed.columns.values():
        if declared.name not in columns and declared.expected_in(edition or _CURRENT):
            missing = declared.requirement is Requirement.REQUIRED
            rule = file_rules.COLUMN_MISSING if missing else absent
            yield Finding(rule, line=line, column=declared.name)


_CURRENT = "1.1"
"""The edition of a file that shows none, where a feed has editions."""


def _letter_findings(
    feed: FeedSpec,
    separator: str,
    columns: tuple[str | None, ...],
    cells: Sequence[str],
    line: int,
) -> Iterator[Finding]:
    """What the specification's letter says of a header, where it says anything."""
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
    own_first = any(mine and any(columns[n:]) for n, mine in enumerate(own))
    if places != sorted(places) or own_first:
        yield Finding(rules.order, line=line)
