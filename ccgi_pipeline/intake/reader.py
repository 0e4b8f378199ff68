"""Reads a file strictly: every physical line becomes part of one record, or one finding.

Belongs here: gate 1. General CSV parsers lose lines silently on stray quotes, short rows and
damaged ends. This reader splits the file into lines and checks each as one string, so that the CSV
parser only gets lines that it cannot misread; or it compares the cells with the lines afterwards,
which is quicker where no line has a quotation mark. All values stay text. Does not belong here:
types and rules of a feed's columns (verification).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from ccgi_pipeline.common.packed_frames import Rows
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FEEDS, feed_by_name
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake import byte_scans
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
from ccgi_pipeline.intake.surplus_cells import describe_surplus

LINE, SPAN = "_line", "_span"
"""Columns with a record's first physical line, and the number of lines that it covers."""

csv.field_size_limit(1 << 30)  # a long cell is a finding of its column's rule, not a failure

_LINE_SEPARATORS = "\x1f\x1e\x1d\x1c\x01\x02\x03\x04"
"""Control characters; with one that a file does not have as separator, a CSV parser reads whole
lines."""
_SMALL = 1 << 16
"""Up to this many bytes, Python splits a file faster than a CSV parser does."""
_LONGEST_RECORD = 1000
"""Physical lines that a record may span; beyond them an open quote counts as stray."""
_NEARLY_ALL = 0.9
"""The share of lines that must have the same surplus of blank cells for it to be dropped."""

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
    cells = _parse_regular_lines(text.body, lines, form) if as_received else None
    if cells is not None:
        records, unreadable = _as_records(lines, pl.col("text"), extra=False), no_line_unreadable()
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
        if self.beginning and self.beginning >= _NEARLY_ALL * self.lines:
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


# --- lines ------------------------------------------------------------------------------------


def split_lines(body: bytes) -> pl.DataFrame:
    """Splits a file into physical lines (``text``), numbered from 1 (``_line``).

    The CSV parser is the fastest line splitter: with a separator that does not occur, a line is one
    cell. The number of lines is compared with the number of line feeds, so none can be lost.
    """
    expected = byte_scans.count_lines(body)
    separator = None
    if len(body) > _SMALL:
        separator = next((mark for mark in _LINE_SEPARATORS if mark.encode() not in body), None)
    if not expected:
        lines = pl.Series("text", [], dtype=pl.String)
    elif separator is None:
        lines = pl.Series("text", body.decode().removesuffix("\n").split("\n"))
    else:
        lines = pl.read_csv(
            body,
            has_header=False,
            separator=separator,
            quote_char=None,
            infer_schema=False,
            new_columns=["text"],
        ).to_series()
    if len(lines) != expected:
        msg = f"read {len(lines)} of {expected} physical lines"
        raise AssertionError(msg)
    return lines.to_frame().with_row_index(LINE, offset=1)


# --- records ----------------------------------------------------------------------------------

_RECORD_SCHEMA = {LINE: pl.UInt32, SPAN: pl.UInt32, "text": pl.String, "extra": pl.Boolean}


@dataclass(frozen=True, slots=True)
class LineFormat:
    """The form that every line of a file must have."""

    header: Header
    separator: str
    quote: str | None
    cells: int

    @classmethod
    def of_header(cls, header: Header) -> LineFormat:
        """Returns the form of the lines below ``header``."""
        return cls(header, header.separator, header.feed.quote, len(header.columns))

    def quoted_line(self, *, any_cells: bool = False) -> str:
        """Returns the regular expression of a record whose cells may be quoted (RFC 4180)."""
        quote, separator = re.escape(self.quote or ""), re.escape(self.separator)
        cell = rf"(?:[^{quote}{separator}]*|{quote}(?:[^{quote}]|{quote}{quote})*{quote})"
        more = "*" if any_cells else f"{{{self.cells - 1}}}"
        return rf"(?s)\A{cell}(?:{separator}{cell}){more}\z"

    def may_repeat_header(self) -> pl.Expr:
        """Matches lines that begin as the header does; few others do."""
        begin = re.escape(self.header.text.lstrip('\ufeff" ')[:_BEGINNING])
        return pl.col("text").str.contains(rf'^[\x{{feff}}"]*(?i:{begin})')

    def repeats_header(self) -> pl.Expr:
        """Matches the header itself, in any case, with or without quotation marks."""
        marks = r'[\s"\x{feff}]'
        text = pl.col("text").str.replace_all(marks, "").str.to_lowercase()
        header = re.sub('[\\s"\ufeff]', "", self.header.text).lower()
        ends = self.separator if self.separator.strip() else ""
        return text.str.strip_chars_end(ends) == header.rstrip(ends)


_BEGINNING = 6
"""Characters of the header by which its repetitions are looked for."""


@dataclass(frozen=True, slots=True)
class SurplusCount:
    """How many of some whole lines have how many blank cells beyond the header's last column."""

    lines: int = 0
    by_surplus: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: SurplusCount) -> SurplusCount:
        """Returns the counts of both together."""
        both = Counter(self.by_surplus)
        both.update(other.by_surplus)
        return SurplusCount(self.lines + other.lines, both)

    def usual(self, header: Header) -> int:
        """Returns how many blank cells nearly all lines have too many.

        Fewer lines prove nothing: where a cell with a comma was split in two and the last cell is
        blank, the line looks the same, and its cells stand in the wrong columns.
        """
        if not self.by_surplus:
            return 0
        common, count = max(self.by_surplus.items(), key=lambda found: (found[1], -found[0]))
        witnesses = count + (header.dropped == common)
        return common if count >= _NEARLY_ALL * self.lines and witnesses > 1 else 0


@dataclass(frozen=True, slots=True)
class SortedLines:
    """Records, and unreadable lines: ``_line``, ``lines`` (how many), ``rule`` and ``detail``.

    ``surplus``: the counts that decide on blank cells too many. ``ragged``: how many lines have
    another number of cells. ``waits_from``: the first line that is not decided, because it may be
    one record with lines of the next piece.
    """

    records: pl.DataFrame
    unreadable: pl.DataFrame
    surplus: SurplusCount
    ragged: int = 0
    waits_from: int | None = None


@dataclass(frozen=True, slots=True)
class PieceOfFile:
    """Tells that lines are a piece of a file: its surplus, its ragged lines before the piece.

    ``goes_on``: more lines follow.
    """

    surplus: int
    ragged: int
    goes_on: bool


def sort_lines(
    lines: pl.DataFrame, form: LineFormat, *, ends_open: bool, piece: PieceOfFile | None = None
) -> SortedLines:
    """Sorts ``lines`` into records and unreadable lines.

    ``ends_open``: the file's last line has no line end. If that line is unreadable for what it
    lacks, the file was cut off there. ``piece``: the lines are a piece of a file, else all of it.
    """
    has_quote = pl.col("text").str.contains(form.quote, literal=True) if form.quote else pl.lit(0)
    damage = pl.when(pl.col("text").str.contains("\x00", literal=True)).then(
        pl.lit(file_rules.NUL.id)
    )
    lines = lines.with_columns(
        (pl.col("text").str.count_matches(form.separator, literal=True) + 1).alias("cells"),
        has_quote.cast(pl.Boolean).alias("quoted"),
        damage.alias("rule"),
    )
    if _is_regular(lines, form):
        # This is true of most files, and saves most of the time that a small file takes.
        records = _as_records(lines, pl.col("text"), extra=False)
        return SortedLines(records, no_line_unreadable(), SurplusCount(lines.height))
    damaged = lines.filter(pl.col("rule").is_not_null())
    whole = _count_cells(lines.filter(pl.col("rule").is_null()), form)
    surplus = _count_surplus(whole, form).usual(form.header) if piece is None else piece.surplus
    plain, ragged = _sort_plain_lines(whole.filter(~pl.col("quoted")), form, surplus)
    goes_on = piece is not None and piece.goes_on
    quoted = _sort_quoted_lines(whole, form, surplus, goes_on=goes_on)
    decided = pl.lit(value=True)
    if quoted.waits_from is not None:
        decided = pl.col(LINE) < quoted.waits_from
    taken = pl.col(LINE).is_in(quoted.taken)
    ragged = pl.concat([ragged, quoted.ragged]).filter(~taken, decided).sort(LINE)
    unreadable = pl.concat(
        [
            _unreadable(damaged, pl.lit(file_rules.NUL.id)),
            _unreadable(
                ragged,
                pl.lit(file_rules.FIELDS.id),
                describe_surplus(ragged, form.header, piece.ragged if piece else 0),
            ),
            _unreadable(quoted.broken.filter(~taken), pl.lit(file_rules.QUOTES.id)),
        ]
    )
    too_long = ragged.filter(pl.col("cells") > form.cells)[LINE].implode()
    if ends_open:
        cut = (pl.col(LINE) == lines.item(-1, LINE)) & ~pl.col(LINE).is_in(too_long)
        unreadable = unreadable.with_columns(
            pl.when(cut)
            .then(pl.lit(file_rules.TRUNCATED.id))
            .otherwise(pl.col("rule"))
            .alias("rule")
        )
    records = pl.concat([plain.filter(~taken), quoted.records])
    return SortedLines(
        records.filter(decided).sort(LINE),
        unreadable.filter(decided).sort(LINE),
        _count_surplus(whole.filter(decided), form),
        ragged.height,
        quoted.waits_from,
    )


def _is_regular(lines: pl.DataFrame, form: LineFormat) -> bool:
    """Returns whether every line is one record. Files with few quotes are not tested: False."""
    quoted = lines["quoted"]
    right = pl.col("cells") == form.cells
    if 2 * quoted.sum() > lines.height:
        # The regular expression is slow, so it is only used if most lines have a quote.
        well_formed = pl.col("text").str.contains(form.quoted_line())
        right = pl.when("quoted").then(well_formed).otherwise(right)
    elif quoted.any():
        return False
    return bool(lines.select((right & pl.col("rule").is_null()).all()).item())


def no_line_unreadable() -> pl.DataFrame:
    """Returns the empty frame of unreadable lines."""
    return pl.DataFrame(
        schema={LINE: pl.UInt32, "lines": pl.UInt32, "rule": pl.String, "detail": pl.String}
    )


def _unreadable(
    lines: pl.DataFrame, rule: pl.Expr, detail: pl.Series | None = None
) -> pl.DataFrame:
    return lines.select(
        LINE,
        pl.lit(1, dtype=pl.UInt32).alias("lines"),
        rule.alias("rule"),
        (pl.lit(None, dtype=pl.String) if detail is None else detail).alias("detail"),
    )


def _as_records(lines: pl.DataFrame, text: pl.Expr, *, extra: bool) -> pl.DataFrame:
    return lines.select(
        LINE,
        pl.lit(1, dtype=pl.UInt32).alias(SPAN),
        text.alias("text"),
        pl.lit(value=extra).alias("extra"),
    )


def _count_cells(lines: pl.DataFrame, form: LineFormat) -> pl.DataFrame:
    """Returns the lines with ``cells`` counted outside quotation marks, and ``blank_end``.

    ``blank_end`` is the number of blank cells at the line's end; 0 where no cell is too many.
    """
    # A separator within quotation marks makes a line that lacks a cell look right.
    wrong = (pl.col("cells") > form.cells) | pl.col("quoted")
    text = pl.col("text")
    if form.quote:
        quote, separator = re.escape(form.quote), re.escape(form.separator)
        # Of each quoted cell its first letter is left, so that a blank one stays blank.
        outside = text.str.replace_all(f"{quote}([^{quote}{separator}]?)[^{quote}]*{quote}", "${1}")
        text = pl.when("quoted").then(outside).otherwise(text)
    text = pl.when(wrong).then(text)
    counted = text.str.count_matches(form.separator, literal=True) + 1
    end = text.str.extract(rf"([\s{re.escape(form.separator)}]*)$")
    return lines.with_columns(
        pl.coalesce(counted, "cells").alias("cells"),
        end.str.count_matches(form.separator, literal=True).fill_null(0).alias("blank_end"),
    )


def _count_surplus(lines: pl.DataFrame, form: LineFormat) -> SurplusCount:
    surplus = (pl.col("cells").cast(pl.Int64) - form.cells).alias("surplus")
    found = (
        lines.select(surplus, "blank_end")
        .filter((pl.col("surplus") > 0) & (pl.col("blank_end") >= pl.col("surplus")))
        .group_by("surplus")
        .len()
    )
    return SurplusCount(lines.height, dict(found.iter_rows()))


def _blank_cells(form: LineFormat, count: int) -> str:
    """Returns the regular expression of so many blank cells at a line's end."""
    separator = re.escape(form.separator)
    blank = rf"{separator}[^\S{separator}]*"
    if form.quote:
        blank += rf"(?:{re.escape(form.quote * 2)}[^\S{separator}]*)?"
    return f"(?:{blank}){{{count}}}$"


def _has_surplus(form: LineFormat, surplus: int) -> pl.Expr:
    """Matches lines with the blank cells too many that nearly all lines have."""
    if not surplus:
        return pl.lit(value=False)
    exceeds = pl.col("cells").cast(pl.Int64) - form.cells == surplus
    return exceeds & pl.col("text").str.contains(_blank_cells(form, surplus))


def _without_surplus(lines: pl.DataFrame, form: LineFormat, surplus: int) -> pl.DataFrame:
    text = pl.col("text").str.replace(_blank_cells(form, surplus), "")
    return _as_records(lines, text, extra=True)


def _sort_plain_lines(
    plain: pl.DataFrame, form: LineFormat, surplus: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the records of lines without quotes, and the lines with a wrong number of cells.

    The blank cells that nearly all lines have too many are dropped and marked (``extra``), unless
    the line has a comma followed by a blank: then the comma is probably text.
    """
    separator = re.escape(form.separator)
    right = pl.col("cells") == form.cells
    in_text = pl.col("text").str.contains(rf"{separator} [^\s{separator}]")
    trims = _has_surplus(form, surplus) & ~in_text
    exact, other = plain.filter(right), plain.filter(~right)
    trimmed = other.filter(trims)
    records = [
        _as_records(exact, pl.col("text"), extra=False),
        _without_surplus(trimmed, form, surplus),
    ]
    return pl.concat(records), other.filter(~trims)


@dataclass(frozen=True, slots=True)
class _QuotedLines:
    """Sorted lines with quotes; ``taken`` are lines that belong to a record begun above them.

    ``waits_from``: as of ``SortedLines``.
    """

    records: pl.DataFrame
    ragged: pl.DataFrame
    broken: pl.DataFrame
    taken: list[int]
    waits_from: int | None = None


def _sort_quoted_lines(
    whole: pl.DataFrame, form: LineFormat, surplus: int, *, goes_on: bool
) -> _QuotedLines:
    """Sorts the lines with quotes into records, ragged lines and lines whose quotes do not match.

    A quoted cell may hold line breaks: a line that is no record by itself is joined with the lines
    that follow it, unless those look like records of their own. So a stray quote costs its own
    line only, and never the students below it.
    """
    lines = whole.filter(pl.col("quoted"))
    if lines.is_empty():
        return _QuotedLines(pl.DataFrame(schema=_RECORD_SCHEMA), lines, lines, [])
    well_formed = pl.col("text").str.contains(form.quoted_line())
    single = _as_records(lines.filter(well_formed), pl.col("text"), extra=False)
    other = lines.filter(~well_formed)
    if other.is_empty():
        return _QuotedLines(single, other, other, [])
    closed = pl.col("text").str.contains(form.quoted_line(any_cells=True))
    trims = closed & _has_surplus(form, surplus)
    trimmed = _without_surplus(other.filter(trims), form, surplus)
    ragged, broken = other.filter(closed & ~trims), other.filter(~closed)
    joined, taken, waits_from = _join_records(whole, broken[LINE].to_list(), form, goes_on=goes_on)
    started = [start for start, *_ in joined]
    records = [single, trimmed, pl.DataFrame(joined, schema=_RECORD_SCHEMA, orient="row")]
    broken = broken.filter(~pl.col(LINE).is_in([*started, *taken]))
    records = [frame.filter(~pl.col(LINE).is_in(taken)) for frame in records]
    return _QuotedLines(pl.concat(records), ragged, broken, taken, waits_from)


def _join_records(
    whole: pl.DataFrame, starts: list[int], form: LineFormat, *, goes_on: bool
) -> tuple[list[tuple[int, int, str, bool]], list[int], int | None]:
    """Joins lines to records with line breaks in them; tries each of ``starts`` as first line.

    If more lines follow (``goes_on``), the third result is the first start that may need them.
    """
    pattern = re.compile(form.quoted_line().replace(r"\z", r"\Z"))
    in_text = re.compile(rf"{re.escape(form.separator)}[^\S\t]")
    joined: list[tuple[int, int, str, bool]] = []
    taken: list[int] = []

    def looks_like_record(text: str) -> bool:
        # In a record no separator is followed by a blank; in a text nearly every comma is.
        separators = text.count(form.separator)
        return separators == form.cells - 1 > 0 and not in_text.search(text)

    for start in starts:
        if taken and start <= taken[-1]:
            continue
        first = whole[LINE].search_sorted(start)
        numbers: list[int] = []
        parts: list[str] = []
        quotes, alike = 0, 0
        ended = False
        for number, text in whole.slice(first, _LONGEST_RECORD).select(LINE, "text").iter_rows():
            if len(parts) > 1 and (looks_like_record(parts[-1]) or pattern.search(parts[-1])):
                ended = True  # a record stands between the quotes
                break
            numbers.append(number)
            parts.append(text)
            quotes += text.count(form.quote or "")
            alike += looks_like_record(text)
            if len(parts) == 1 or quotes % 2:
                continue
            record = " ".join(part.strip() for part in parts)
            if pattern.search(record):
                if alike < len(parts):
                    joined.append((start, len(parts), record, False))
                    taken.extend(numbers[1:])
                ended = True
                break
        if goes_on and not ended and len(parts) < _LONGEST_RECORD:
            return joined, taken, start
    return joined, taken, None


def parse_cells(
    records: pl.DataFrame, header: Header, untouched: bytes | None, lines_above: int = 0
) -> pl.DataFrame:
    """Parses the records into the feed's columns as text; stripped, and null where blank.

    ``untouched`` are the file's bytes if every line is one record, but for ``lines_above``. They
    are parsed directly, which avoids joining the records again.
    """
    feed = header.feed
    text = records["text"]
    quoted = (
        feed.quote is not None
        and (untouched is None or feed.quote.encode() in untouched)
        and bool(text.str.contains(feed.quote, literal=True).any())
    )
    if untouched is None:
        untouched, lines_above = (text.str.join("\n").item() or "").encode(), 0
        padded = quoted or _has_padding(text, header)
    else:
        padded = quoted or _may_have_padding(text, header, untouched)
    cells = pl.DataFrame(schema=_cells_schema(header))
    if not records.is_empty():
        quote = feed.quote if quoted else None
        cells = _split_cells(untouched, header, lines_above, quote=quote)
    if cells.height != records.height:
        msg = f"parsed {cells.height} of {records.height} records"
        raise AssertionError(msg)
    return _named_cells(cells, records, header, padded=padded)


def _parse_regular_lines(body: bytes, lines: pl.DataFrame, form: LineFormat) -> pl.DataFrame | None:
    """Parses the ``lines`` below a file's header as ``parse_cells`` does.

    None if not every line is one record of plain cells, or if that cannot be told from the cells:
    a line has as many cells as it should if they are as long as the line.
    """
    header = form.header
    separators = form.cells - 1
    if (
        lines.is_empty()
        or lines.item(0, "text").count(form.separator) != separators
        or header.feed.blank_words
        or b"\x00" in body
        or (form.quote is not None and form.quote.encode() in body)
        or byte_scans.count(body, form.separator) != separators * (lines.height + 1)
    ):
        return None
    cells = _split_cells(body, header, lines_above=1, ragged=True)
    if cells.height != lines.height:
        return None
    length = pl.sum_horizontal(pl.all().str.len_bytes()) + separators
    if not (cells.select(length).to_series() == lines["text"].str.len_bytes()).all():
        return None
    records = _as_records(lines, pl.col("text"), extra=False)
    padded = _may_have_padding(lines["text"], header, body)
    return _named_cells(cells, records, header, padded=padded)


def _split_cells(
    content: bytes,
    header: Header,
    lines_above: int,
    *,
    quote: str | None = None,
    ragged: bool = False,
) -> pl.DataFrame:
    """Splits lines into cells; ``ragged``: cells too many are dropped instead of refused."""
    return pl.read_csv(
        content,
        has_header=False,
        skip_lines=lines_above,
        separator=header.separator,
        quote_char=quote,
        schema=_cells_schema(header),
        null_values=["", *header.feed.blank_words],
        truncate_ragged_lines=ragged,
    )


def _cells_schema(header: Header) -> dict[str, type[pl.DataType]]:
    return {f"cell{position}": pl.String for position in range(len(header.columns))}


def _may_have_padding(text: pl.Series, header: Header, untouched: bytes) -> bool:
    return byte_scans.may_have_padding(untouched, header.separator) and _has_padding(text, header)


def _has_padding(text: pl.Series, header: Header) -> bool:
    """Returns whether a cell begins or ends with white space."""
    separator = re.escape(header.separator)
    blank = rf"[^\S{separator}]"
    return bool(text.str.contains(rf"(?:^|{separator}){blank}|{blank}(?:{separator}|$)").any())


def _named_cells(
    cells: pl.DataFrame, records: pl.DataFrame, header: Header, *, padded: bool
) -> pl.DataFrame:
    """Returns the cells of ``records`` as the feed's columns, stripped if one is ``padded``."""
    found = {name: cell for cell, name in zip(cells.columns, header.columns, strict=True) if name}
    if padded:
        blank = ["", *header.feed.blank_words]
        stripped = pl.all().str.strip_chars()
        cells = cells.select(stripped.replace(blank, [None] * len(blank)))
    return cells.select(
        records[LINE],
        records[SPAN],
        *(
            pl.col(found[name]).alias(name)
            if name in found
            else pl.lit(None, dtype=pl.String).alias(name)
            for name in header.feed.columns
        ),
    )
