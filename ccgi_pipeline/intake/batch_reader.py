"""Reads many small files with the same header in one parse, with the strict reader's results.

Belongs here: deciding which files can be parsed together, and parsing them. A state sends tens of
thousands of small files a night, and starting a parser costs more than parsing their lines. Does
not belong here: reading every other file (reader). A test checks that both give equal readings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ccgi_pipeline.feeds.registry import FEEDS, feed_by_name
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.cell_parser import parse_cells
from ccgi_pipeline.intake.damage import find_damage
from ccgi_pipeline.intake.encodings import decode
from ccgi_pipeline.intake.headers import Header, parse_header
from ccgi_pipeline.intake.litter import may_be_litter
from ccgi_pipeline.intake.reader import Reading, collect_findings, may_have_quoted_cells, read
from ccgi_pipeline.intake.record_lines import (
    LINE,
    SPAN,
    LineFormat,
    no_line_unreadable,
    split_lines,
)

SMALL = 1 << 20
"""Up to this many bytes a file is read together with others."""


@dataclass(frozen=True, slots=True)
class FileToRead:
    """The arguments of ``reader.read`` for one file."""

    content: bytes
    file_name: str
    candidates: Sequence[FeedSpec] = FEEDS
    edition: str = ""


@dataclass(frozen=True, slots=True)
class _Body:
    """A file whose header is known and whose lines are not parsed yet."""

    position: int
    header: Header
    below: bytes
    quoted: bool

    @property
    def lines(self) -> int:
        return self.below.count(b"\n")

    @property
    def form(self) -> tuple[object, ...]:
        """Returns what files must have in common to be parsed together."""
        header = self.header
        return header.feed.name, header.text, header.separator, header.edition, self.quoted


def read_batch(files: Sequence[FileToRead]) -> list[Reading]:
    """Returns the readings of small files in their order, equal to those of ``reader.read``."""
    headers = _Headers()
    groups: dict[tuple[object, ...], list[_Body]] = {}
    for position, file in enumerate(files):
        body = _parse_header_line(position, file, headers)
        if body is not None:
            groups.setdefault(body.form, []).append(body)
    readings: dict[int, Reading] = {}
    for bodies in groups.values():
        readings.update(_parse_bodies(bodies))
    return [
        readings[position]
        if position in readings
        else read(file.content, file.file_name, file.candidates, file.edition)
        for position, file in enumerate(files)
    ]


class _Headers:
    """Keeps parsed headers, because hundreds of districts send the same line."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Header | None] = {}

    def of(self, line: str, file: FileToRead) -> Header | None:
        named = feed_by_name(file.file_name, file.candidates)
        candidates = tuple(feed.name for feed in file.candidates)
        key = line, named.name if named else None, candidates, file.edition
        if key not in self._known:
            self._known[key] = parse_header(1, line, named, file.candidates, file.edition)
        return self._known[key]


def _parse_header_line(position: int, file: FileToRead, headers: _Headers) -> _Body | None:
    """Parses a file's header; None if the file must go through ``reader.read``."""
    text = decode(file.content)
    if text.body is None or text.findings or text.has_unknown_letters:
        return None
    first, _, below = text.body.partition(b"\n")
    if not first.strip() or not below or b"\x00" in below:
        return None
    if below.startswith(b"\n") or b"\n\n" in below:
        return None
    header = headers.of(first.decode(), file)
    if header is None or header.fatal or len(header.columns) == 1 or header.blank_end:
        return None
    if not below.endswith(b"\n"):
        below += b"\n"
    quote = header.feed.quote
    if quote is None and may_have_quoted_cells(below, header.separator):
        return None
    return _Body(position, header, below, quoted=quote is not None and quote.encode() in below)


def _parse_bodies(bodies: list[_Body]) -> Iterator[tuple[int, Reading]]:
    """Parses files of one form; yields position and reading of those with regular lines only."""
    content = b"".join(body.below for body in bodies)
    counts = np.array([body.lines for body in bodies])
    lines = split_lines(content)
    regular = _select_regular_files(lines, np.repeat(np.arange(len(bodies)), counts), bodies[0])
    if not regular.all():
        bodies = [body for body, right in zip(bodies, regular, strict=True) if right]
        if not bodies:
            return
        lines = lines.filter(pl.Series(np.repeat(regular, counts)))
        content, counts = b"".join(body.below for body in bodies), counts[regular]
    header = bodies[0].header
    ends = np.cumsum(counts)
    starts = ends - counts
    number = np.arange(lines.height) - np.repeat(starts, counts) + _FIRST_BELOW_HEADER
    records = lines.select(
        pl.Series(LINE, number, dtype=pl.UInt32),
        pl.lit(1, dtype=pl.UInt32).alias(SPAN),
        "text",
        pl.lit(value=False).alias("extra"),
    )
    cells = parse_cells(records, header, content)
    damaged = find_damage(content, records["text"], cells, header.feed)
    of_header = list(header.findings)
    usual = collect_findings(of_header, records.clear(), no_line_unreadable(), damaged.clear())
    for body, start, count in zip(bodies, starts.tolist(), counts.tolist(), strict=True):
        findings = usual
        if damaged.height:
            theirs = damaged.filter(pl.col("row").is_between(start, start + count - 1))
            findings = collect_findings(of_header, records.clear(), no_line_unreadable(), theirs)
        yield (
            body.position,
            Reading(
                feed=header.feed,
                encoding="utf-8",
                lines=count,
                records=cells.slice(start, count),
                unreadable=0,
                findings=findings,
                edition=header.edition,
            ),
        )


_FIRST_BELOW_HEADER = 2


def _select_regular_files(lines: pl.DataFrame, of_file: np.ndarray, body: _Body) -> np.ndarray:
    """Returns for each file whether every line is one record; ``body`` is any one of them."""
    form = LineFormat.of_header(body.header)
    text = pl.col("text")
    right = text.str.count_matches(form.separator, literal=True) == form.cells - 1
    if body.quoted:
        quoted = text.str.contains(form.quote or "", literal=True)
        right = pl.when(quoted).then(text.str.contains(form.quoted_line())).otherwise(right)
    wrong = lines.select(~right | may_be_litter() | form.may_repeat_header()).to_series().to_numpy()
    regular = np.ones(of_file[-1] + 1, dtype=bool)
    regular[of_file[wrong]] = False
    return regular
