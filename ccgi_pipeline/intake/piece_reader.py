"""Reads a large file in pieces, with the strict reader's results.

Belongs here: what the pieces of a file must know of each other, so that the records and findings
are the same whatever size the pieces have. Decisions that need the whole file are assumed first; if
its counts turn out otherwise, it is read once more. Does not belong here: how lines are sorted and
parsed (reader). A test checks that both give equal readings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from ccgi_pipeline.common.packed_frames import PackedFrame
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FEEDS, feed_by_name
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake import byte_scans
from ccgi_pipeline.intake.cell_parser import parse_cells
from ccgi_pipeline.intake.contents import ReadPieces
from ccgi_pipeline.intake.damage import find_damage, leave_out_unknown_letters
from ccgi_pipeline.intake.findings import Finding, findings_frame
from ccgi_pipeline.intake.headers import Header, parse_header, without_blank_end
from ccgi_pipeline.intake.litter import find_litter, may_be_litter, sort_out_litter
from ccgi_pipeline.intake.reader import (
    UNREAD_SCHEMA,
    QuotedCells,
    Reading,
    collect_findings,
    count_wide_lines,
    split_unreadable,
    unreadable_file,
)
from ccgi_pipeline.intake.record_lines import (
    LINE,
    LineFormat,
    PieceOfFile,
    SurplusCount,
    sort_lines,
    split_lines,
)
from ccgi_pipeline.intake.text_pieces import (
    PiecedText,
    count_line_ends,
    decode_pieces,
)

PIECE_BYTES = 32 << 20
"""Bytes of a piece: parsing and judging them takes some 300 MB of memory."""


@dataclass(frozen=True, slots=True)
class LargeFile:
    """A file that is read in pieces of about ``size`` bytes."""

    read: ReadPieces
    size: int = PIECE_BYTES


def read_in_pieces(
    file: LargeFile,
    file_name: str,
    candidates: Sequence[FeedSpec] = FEEDS,
    edition: str = "",
) -> Reading:
    """Reads a file as ``reader.read`` does; its records are packed."""
    text = decode_pieces(file.read, file.size)
    named = feed_by_name(file_name, candidates)
    if text.read is None:
        below_header = max(0, count_line_ends(file.read) - 1)
        return unreadable_file(named, text.encoding, below_header, [*text.findings])
    pieces = _FilledLines(text.read)
    first = next((lines.row(0) for _, lines in pieces if lines.height), None)
    if first is None:
        empty = Finding(file_rules.EMPTY)
        return unreadable_file(named, text.encoding, 0, [*text.findings, empty])
    number, line = first
    header = parse_header(number, line, named, candidates, edition)
    if header is None:
        count = sum(lines.height for _, lines in pieces)
        rule = file_rules.UNRECOGNISED if named is None else file_rules.HEADER
        found = Finding(rule, line=None if named is None else number)
        findings = [*text.findings, *pieces.litter, found]
        return unreadable_file(named, text.encoding, count, findings)
    # A blank end is dropped unless the lines have it too, and lines are not wider than the header.
    assumed = _Decisions(drops_blank_end=header.blank_end > 0)
    while True:
        fitted = without_blank_end(header) if assumed.drops_blank_end else header
        attempt = _Attempt(text, pieces, header, fitted, assumed.surplus)
        reading = attempt.read()
        if attempt.decisions == assumed:
            return reading
        assumed = attempt.decisions


def count_lines_in_pieces(read: ReadPieces) -> Reading:
    """Counts the lines of a file that is not read, as ``reader.count_lines`` does."""
    text = decode_pieces(read, PIECE_BYTES)
    filled = 0 if text.read is None else sum(lines.height for _, lines in _FilledLines(text.read))
    lines = max(0, filled - 1)
    return Reading(None, text.encoding, lines, None, 0, findings_frame([]), left_alone=lines)


@dataclass(frozen=True, slots=True)
class _Decisions:
    """What only the whole file shows. ``surplus``: blank cells that nearly all lines have."""

    drops_blank_end: bool
    surplus: int = 0


class _FilledLines:
    """The lines of a file that may hold records, piece by piece, each time from the beginning."""

    def __init__(self, read: ReadPieces) -> None:
        self._read = read
        self._passed_over: list[pl.DataFrame] = []
        self.lines = 0

    def __iter__(self) -> Iterator[tuple[bytes, pl.DataFrame]]:
        """Yields the text of each piece, and its filled lines."""
        self._passed_over.clear()
        self.lines = 0
        for body in self._read():
            lines = split_lines(body)
            numbered = lines.with_columns(pl.col(LINE) + self.lines)
            self.lines += lines.height
            sorted_out = sort_out_litter(numbered, numbered.select(may_be_litter()).to_series())
            self._passed_over.append(sorted_out.passed_over)
            yield body, sorted_out.lines

    @property
    def litter(self) -> list[Finding]:
        """Returns the findings about lines that were passed over, once all pieces were read."""
        return find_litter(pl.concat(self._passed_over))


class _Attempt:
    """One reading of a file as its header is ``fitted``, which collects what decides on it."""

    def __init__(
        self, text: PiecedText, pieces: _FilledLines, header: Header, fitted: Header, surplus: int
    ) -> None:
        self._text, self._pieces = text, pieces
        self._header, self._fitted = header, fitted
        self._form = LineFormat.of_header(fitted)
        self._assumed = surplus
        self._surplus = SurplusCount()
        self._quoted = QuotedCells(0, 0, 0)
        self._below_header, self._wide = 0, 0
        self._lines, self._unreadable, self._ragged = 0, 0, 0
        self._repeated: list[Finding] = []
        self._found: list[pl.DataFrame] = []
        self._unread = [pl.DataFrame(schema=UNREAD_SCHEMA)]

    @property
    def decisions(self) -> _Decisions:
        """Returns what the counts of the whole file decide."""
        drops = self._header.blank_end > 0 and 2 * self._wide <= self._below_header
        if self._fitted.fatal:
            return _Decisions(drops, self._assumed)
        return _Decisions(drops, self._surplus.usual(self._fitted))

    def read(self) -> Reading:
        """Reads the file once."""
        header = self._fitted
        if header.fatal:
            for _, lines in self._below():
                self._lines += lines.height
            findings = [*self._text.findings, *self._pieces.litter, *header.findings]
            nothing = unreadable_file(header.feed, self._text.encoding, self._lines, findings)
            return replace(nothing, edition=header.edition)
        records = PackedFrame.pack(self._records())
        of_file = [*self._text.findings, *self._pieces.litter, *header.findings, *self._repeated]
        if not self._lines:
            of_file.append(Finding(file_rules.HEADER_ONLY))
        if self._form.quote is None:
            of_file += self._quoted.findings()
        found = pl.concat([findings_frame(of_file), *self._found])
        return Reading(
            feed=header.feed,
            encoding=self._text.encoding,
            lines=self._lines,
            records=records,
            unreadable=self._unreadable,
            findings=found.sort("line", nulls_last=False, maintain_order=True),
            edition=header.edition,
            columns=header.columns,
            unread_lines=pl.concat(self._unread),
        )

    def _below(self) -> Iterator[tuple[bytes, pl.DataFrame]]:
        """Yields the pieces without the header, and counts what decides on its blank end."""
        is_below = False
        for body, filled in self._pieces:
            lines = filled
            if not is_below and filled.height:
                is_below, lines = True, filled.slice(1)
            self._below_header += lines.height
            if self._header.blank_end:
                self._wide += count_wide_lines(self._header, lines)
            yield body, lines

    def _records(self) -> Iterator[pl.DataFrame]:
        """Yields the records of the pieces; collects findings and counts."""
        held: tuple[bytes, pl.DataFrame] | None = None
        waiting = pl.DataFrame()
        for body, lines in self._below():
            if held is not None:
                waiting, cells = self._read_piece(*held, waiting, is_last=False)
                yield cells
            held = body, lines
        if held is not None:
            _, cells = self._read_piece(*held, waiting, is_last=True)
            yield cells

    def _read_piece(
        self, body: bytes, below: pl.DataFrame, waiting: pl.DataFrame, *, is_last: bool
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Reads one piece, and lines that waited for it; returns those that wait, and the cells."""
        form = self._form
        lines = self._without_repeated_headers(below)
        self._lines += lines.height
        if form.quote is None:
            count = QuotedCells.count if b'"' in body else _no_quoted_cells
            self._quoted += count(lines, form)
        if waiting.height:
            lines = pl.concat([waiting, lines])
        ends_open = is_last and lines.height > 0 and not body.endswith(b"\n")
        found = sort_lines(
            lines,
            form,
            ends_open=ends_open and lines.item(-1, LINE) == self._pieces.lines,
            piece=PieceOfFile(self._assumed, self._ragged, goes_on=not is_last),
        )
        records = found.records
        waits = lines.clear()
        if found.waits_from is not None:
            waits = lines.filter(pl.col(LINE) >= found.waits_from)
            lines = lines.filter(pl.col(LINE) < found.waits_from)
        self._surplus += found.surplus
        self._ragged += found.ragged
        self._unreadable += int(found.unreadable["lines"].sum())
        self._unread.append(split_unreadable(lines, found.unreadable, form.separator))
        content = None if waiting.height else body
        as_received = records.height == byte_scans.count_lines(body) and not records["extra"].any()
        cells = parse_cells(records, form.header, content if as_received else None)
        damaged = find_damage(content, records["text"], cells, form.header.feed)
        if self._text.has_unknown_letters:
            cells, unknown = leave_out_unknown_letters(cells, form.header.feed)
            damaged = pl.concat([damaged.select(unknown.columns), unknown])
        self._found.append(collect_findings([], records, found.unreadable, damaged))
        return waits, cells

    def _without_repeated_headers(self, lines: pl.DataFrame) -> pl.DataFrame:
        repeated = lines.select(self._form.may_repeat_header()).to_series()
        if not repeated.any():
            return lines
        repeated &= lines.select(self._form.repeats_header()).to_series()
        self._repeated += [
            Finding(file_rules.REPEATED_HEADER, line=line) for line in lines.filter(repeated)[LINE]
        ]
        return lines.filter(~repeated)


def _no_quoted_cells(lines: pl.DataFrame, _: LineFormat) -> QuotedCells:
    return QuotedCells(lines.height, 0, 0)
