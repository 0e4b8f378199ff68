"""Sorts the physical lines of a file into records and unreadable lines.

Belongs here: splitting lines, the number of cells of each, surplus blank cells, records that go on
over several lines. A line is looked at as one string. Does not belong here: the values of cells
(cell_parser), a file as a whole (reader).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.intake import byte_scans
from ccgi_pipeline.intake.headers import Header
from ccgi_pipeline.intake.surplus_cells import describe_surplus

LINE, SPAN = "_line", "_span"
"""Columns with a record's first physical line, and the number of lines that it covers."""
_LINE_SEPARATORS = "\x1f\x1e\x1d\x1c\x01\x02\x03\x04"
"""Control characters; with one that a file does not have as separator, a CSV parser reads whole
lines."""
_SMALL = 1 << 16
"""Up to this many bytes, Python splits a file faster than a CSV parser does."""
_LONGEST_RECORD = 1000
"""Physical lines that a record may span; beyond them an open quote counts as stray."""
NEARLY_ALL = 0.9
"""The share of lines that must have the same surplus of blank cells for it to be dropped."""


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
    """Counts whole lines by how many blank cells they have beyond the header's last column."""

    lines: int = 0
    by_surplus: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: SurplusCount) -> SurplusCount:
        """Returns the counts of both together."""
        both = Counter(self.by_surplus)
        both.update(other.by_surplus)
        return SurplusCount(self.lines + other.lines, both)

    def usual(self, header: Header) -> int:
        """Returns how many surplus blank cells nearly all lines have; 0 if they have none.

        Fewer lines prove nothing: where a cell with a comma was split in two and the last cell is
        blank, the line looks the same, and its cells stand in the wrong columns.
        """
        if not self.by_surplus:
            return 0
        common, count = max(self.by_surplus.items(), key=lambda found: (found[1], -found[0]))
        witnesses = count + (header.dropped == common)
        return common if count >= NEARLY_ALL * self.lines and witnesses > 1 else 0


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
        records = as_records(lines, pl.col("text"), extra=False)
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


def as_records(lines: pl.DataFrame, text: pl.Expr, *, extra: bool) -> pl.DataFrame:
    """Returns lines that are records of their own; ``extra``: surplus cells are left out.

    ``text``: what is left of each.
    """
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
    return as_records(lines, text, extra=True)


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
        as_records(exact, pl.col("text"), extra=False),
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
    single = as_records(lines.filter(well_formed), pl.col("text"), extra=False)
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
