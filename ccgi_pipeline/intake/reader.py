"""Reads a file strictly: every physical line becomes part of one record, or one finding.

Belongs here: gate 1. General CSV parsers lose lines silently on stray quotes, short rows and
damaged ends. This reader splits the file into lines and checks each as one string, so that the CSV
parser only gets lines that it cannot misread; or it compares the cells with the lines afterwards,
which is quicker where no line has a quotation mark. All values stay text. Does not belong here:
types and rules of a feed's columns (verification).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from ccgi_pipeline.common.packed_frames import Rows
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FEEDS, feed_by_name
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.cell_parser import parse_cells, parse_regular_lines
from ccgi_pipeline.intake.damage import find_damage, leave_out_unknown_letters
from ccgi_pipeline.intake.encodings import decode
from ccgi_pipeline.intake.findings import (
    FINDINGS_SCHEMA,
    Finding,
    findings_frame,
    line_findings,
)
from ccgi_pipeline.intake.headers import Header, parse_header, without_blank_end
from ccgi_pipeline.intake.litter import first_record, may_be_litter, sort_out_litter
from ccgi_pipeline.intake.record_lines import (
    LINE,
    NEARLY_ALL,
    SPAN,
    LineFormat,
    as_records,
    no_line_unreadable,
    sort_lines,
    split_lines,
)

UNREAD_SCHEMA: dict[str, type[pl.DataType] | pl.DataType] = {
    LINE: pl.UInt32,
    "cells": pl.List(pl.String),
}
"""An unreadable line, and its cells from the left, stripped of blanks and quotation marks."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of gate 1 for one file.

    ``lines`` counts the physical data lines, without header and blank lines. ``records`` holds the
    feed's columns as text with ``_line`` and ``_span``; the spans of its rows and ``unreadable``
    add up to ``lines``; those of a large file are packed. ``findings`` is a frame of
    ``FINDINGS_SCHEMA``. ``edition`` is the version of the file that its header shows, if it shows
    one. ``left_alone`` counts the lines of a file that no feed needs. ``columns`` are the header's,
    None where the feed has no such column. ``unread_lines`` shows what unreadable lines hold
    (``UNREAD_SCHEMA``): their records exist, though nothing of them is loaded.
    """

    feed: FeedSpec | None
    encoding: str
    lines: int
    records: Rows | None
    unreadable: int
    findings: pl.DataFrame
    edition: str = ""
    left_alone: int = 0
    columns: tuple[str | None, ...] = ()
    unread_lines: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=UNREAD_SCHEMA))


def read(
    content: bytes,
    file_name: str,
    candidates: Sequence[FeedSpec] = FEEDS,
    edition: str = "",
) -> Reading:
    """Reads one file's bytes; ``candidates`` are the feeds that it may be.

    ``edition`` is the file's version unless its header shows another.
    """
    text = decode(content)
    named = feed_by_name(file_name, candidates)
    findings = list(text.findings)
    if text.body is None:
        lines_below_header = max(0, len(content.splitlines()) - 1)
        return unreadable_file(named, text.encoding, lines_below_header, findings)
    lines = split_lines(text.body)
    last_line = lines.item(-1, LINE) if lines.height else 0
    sorted_out = sort_out_litter(lines, lines.select(may_be_litter()).to_series())
    lines = sorted_out.lines
    if lines.is_empty():
        return unreadable_file(named, text.encoding, 0, [*findings, Finding(file_rules.EMPTY)])
    findings.extend(sorted_out.findings)
    number, first = lines.item(0, LINE), lines.item(0, "text")
    header = parse_header(number, first, named, candidates, edition)
    if header is None:
        rule = file_rules.UNRECOGNISED if named is None else file_rules.HEADER
        line = None if named is None else lines.item(0, LINE)
        return unreadable_file(
            named, text.encoding, lines.height, [*findings, Finding(rule, line=line)]
        )
    lines = lines.slice(1)
    header = _fit_header(header, lines)
    findings.extend(header.findings)
    if header.fatal:
        nothing = unreadable_file(header.feed, text.encoding, lines.height, findings)
        return replace(nothing, edition=header.edition)
    form = LineFormat.of_header(header)
    repeated = lines.select(form.may_repeat_header()).to_series()
    if repeated.any():
        repeated &= lines.select(form.repeats_header()).to_series()
        findings += [
            Finding(file_rules.REPEATED_HEADER, line=line) for line in lines.filter(repeated)[LINE]
        ]
        lines = lines.filter(~repeated)
    if lines.is_empty():
        findings.append(Finding(file_rules.HEADER_ONLY))
    if form.quote is None and b'"' in text.body:
        findings.extend(QuotedCells.count(lines, form).findings())
    as_received = sorted_out.passed_over.is_empty() and not repeated.any()
    cells = parse_regular_lines(text.body, lines, form) if as_received else None
    if cells is not None:
        records, unreadable = as_records(lines, pl.col("text"), extra=False), no_line_unreadable()
    else:
        ends_open = not text.body.endswith(b"\n") and lines.height > 0
        ends_open = ends_open and lines.item(-1, LINE) == last_line
        found = sort_lines(lines, form, ends_open=ends_open)
        records, unreadable = found.records, found.unreadable
        as_received &= records.height == lines.height and not records["extra"].any()
        cells = parse_cells(records, header, text.body if as_received else None, lines_above=1)
    damaged = find_damage(text.body, records["text"], cells, header.feed)
    if text.has_unknown_letters:
        cells, unknown = leave_out_unknown_letters(cells, header.feed)
        damaged = pl.concat([damaged.select(unknown.columns), unknown])
    return Reading(
        feed=header.feed,
        encoding=text.encoding,
        lines=lines.height,
        records=cells,
        unreadable=int(unreadable["lines"].sum()),
        findings=collect_findings(findings, records, unreadable, damaged),
        edition=header.edition,
        columns=header.columns,
        unread_lines=split_unreadable(lines, unreadable, header.separator),
    )


def _number_of_lines(number: int) -> str:
    return f"{number:,} line{'' if number == 1 else 's'}"


def may_have_quoted_cells(body: bytes, separator: str) -> bool:
    """Returns whether a cell begins with a quotation mark; ``body`` has the lines of a file."""
    return body.startswith(b'"') or b'\n"' in body or separator.encode() + b'"' in body


@dataclass(frozen=True, slots=True)
class QuotedCells:
    """How many of some lines have cells in quotation marks, and how many begin with one."""

    lines: int
    with_cells: int
    beginning: int

    @classmethod
    def count(cls, lines: pl.DataFrame, form: LineFormat) -> QuotedCells:
        """Counts them in lines of a file that has no quotation marks by its specification."""
        text = lines["text"]
        ends = rf"(?:^|{re.escape(form.separator)})"
        cell = rf'{ends}"[^"{re.escape(form.separator)}]*"(?:{re.escape(form.separator)}|$)'
        number = int(text.str.contains(cell).sum())
        return cls(lines.height, number, int(text.str.starts_with('"').sum()))

    def __add__(self, other: QuotedCells) -> QuotedCells:
        """Returns the counts of both together."""
        return QuotedCells(
            self.lines + other.lines,
            self.with_cells + other.with_cells,
            self.beginning + other.beginning,
        )

    def findings(self) -> Iterator[Finding]:
        """Yields one finding of a file with such cells."""
        if self.beginning and self.beginning >= NEARLY_ALL * self.lines:
            yield Finding(file_rules.QUOTED_CELLS, detail=_number_of_lines(self.beginning))
        elif self.with_cells:
            yield Finding(file_rules.SOME_QUOTED_CELLS, detail=_number_of_lines(self.with_cells))


def _fit_header(header: Header, lines: pl.DataFrame) -> Header:
    """Returns the header without blank cells at its end, unless most lines have those cells too."""
    if not header.blank_end:
        return header
    wide = count_wide_lines(header, lines)
    return header if 2 * wide > lines.height else without_blank_end(header)


def count_wide_lines(header: Header, lines: pl.DataFrame) -> int:
    """Counts the lines that have as many cells as the header, or more."""
    cells = pl.col("text").str.count_matches(header.separator, literal=True) + 1
    return int(lines.select((cells >= len(header.columns)).sum()).item())


def split_unreadable(lines: pl.DataFrame, unreadable: pl.DataFrame, separator: str) -> pl.DataFrame:
    """Returns the unreadable lines split at each separator: a frame of ``UNREAD_SCHEMA``."""
    if unreadable.is_empty():
        return pl.DataFrame(schema=UNREAD_SCHEMA)
    cells = pl.col("text").str.split(separator)
    stripped = cells.list.eval(pl.element().str.strip_chars('" \t\r\x00'))
    found = lines.join(unreadable, on=LINE, how="semi").select(LINE, stripped.alias("cells"))
    return found.cast(UNREAD_SCHEMA)  # type: ignore[arg-type]


def collect_findings(
    of_file: list[Finding],
    records: pl.DataFrame,
    unreadable: pl.DataFrame,
    of_cells: pl.DataFrame,
) -> pl.DataFrame:
    """Returns the findings of a file, its lines and cells, in the order of the lines."""
    # Each step is skipped if it would find nothing, because most files have no findings of lines.
    frames = [findings_frame(of_file)]
    if of_cells.height:
        frames.append(of_cells.select(*FINDINGS_SCHEMA))
    if unreadable.height:
        frames.append(
            unreadable.select("rule", LINE, pl.lit(None, dtype=pl.String), "detail").rename(
                {LINE: "line", "literal": "column"}
            )
        )
    if records["extra"].any():
        frames.append(line_findings(records.filter("extra")[LINE], file_rules.EXTRA_CELLS))
    if records.height and records[SPAN].max() != 1:
        frames.append(line_findings(records.filter(pl.col(SPAN) > 1)[LINE], file_rules.LINE_BREAK))
    if len(frames) == 1 and len(of_file) <= 1:
        return frames[0]  # one finding has its order
    return pl.concat(frames).sort("line", nulls_last=False, maintain_order=True)


def count_lines(content: bytes) -> Reading:
    """Counts the lines of a file that is not read."""
    text = decode(content)
    lines = split_lines(text.body or b"")
    filled = sort_out_litter(lines, lines.select(may_be_litter()).to_series()).lines
    below_header = max(0, filled.height - 1)
    return Reading(
        None, text.encoding, below_header, None, 0, findings_frame([]), left_alone=below_header
    )


def detect_feed(
    beginning: bytes, file_name: str, candidates: Sequence[FeedSpec] = FEEDS
) -> FeedSpec | None:
    """Detects a file's feed by its name, or else by the header in its first bytes."""
    named = feed_by_name(file_name, candidates)
    if named is not None:
        return named
    body = decode(beginning).body or b""
    header = parse_header(1, first_record(body.decode()), None, candidates)
    return header.feed if header else None


def unreadable_file(
    feed: FeedSpec | None, encoding: str, lines: int, findings: list[Finding]
) -> Reading:
    """Returns the reading of a file none of whose lines can be read."""
    return Reading(feed, encoding, lines, None, lines, findings_frame(findings))
