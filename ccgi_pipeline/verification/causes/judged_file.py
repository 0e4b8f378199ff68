"""A file that has findings, as causes look at it: its findings, its cells, its first bytes.

Belongs here: what several causes ask of a file. Everything is computed when it is asked for, since
most files are asked little. Does not belong here: any particular cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import polars as pl

from ccgi_pipeline.common.packed_frames import Rows, frames_of
from ccgi_pipeline.feeds.columns import Column
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.encodings import decode
from ccgi_pipeline.intake.reader import Reading
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline.intake.text_pieces import split_at_line_ends

KIND = "kind"
"""The column of findings with the kind of their rule."""
_BEGINNING = 1 << 16
"""Bytes in which the kind of a file and the form of its lines show."""
_PART = 8 << 20
SEVERAL = 2
"""So many findings at least show a pattern."""
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class WrongCells:
    """Cells of one column that broke a rule: a frame of ``line`` and ``cell`` (text, no blanks)."""

    column: Column
    cells: pl.DataFrame

    def like(self, pattern: str) -> WrongCells:
        """Returns those that match ``pattern``."""
        return self.where(pl.col("cell").str.contains(pattern))

    def where(self, condition: pl.Expr) -> WrongCells:
        """Returns those for which ``condition`` (of ``cell``) is true."""
        return WrongCells(self.column, self.cells.filter(condition))

    def __len__(self) -> int:
        """Returns their number."""
        return self.cells.height


@dataclass(frozen=True)
class JudgedFile:
    """A file with its reading and its findings (with ``kind``), as of the date ``on``.

    ``is_large``: it does not fit into memory, and ``parts`` yields it piece by piece.
    """

    name: str
    sender: str
    reading: Reading
    findings: pl.DataFrame
    on: date
    content: Content
    is_large: bool = False

    @property
    def feed(self) -> FeedSpec | None:
        """The feed that the file is, if it is known."""
        return self.reading.feed

    @property
    def lines(self) -> int:
        """The number of physical data lines."""
        return self.reading.lines

    @cached_property
    def beginning(self) -> bytes:
        """The file's first bytes."""
        return self.content.read_start(_BEGINNING)

    @property
    def size(self) -> int:
        """The number of its bytes."""
        return self.content.size

    def parts(self) -> Iterator[bytes]:
        """Yields the file's bytes: a small file's all at once, a large one's in whole lines."""
        if self.is_large:
            yield from split_at_line_ends(self.content.read_pieces(), _PART)
        else:
            yield self._whole

    @cached_property
    def _whole(self) -> bytes:
        return self.content.read()

    @cached_property
    def text(self) -> Sequence[str]:
        """The first lines that are not blank; none if the file is no text."""
        body = decode(self.beginning).body
        if body is None:
            return []
        lines = body.decode(errors="replace").split("\n")
        if self.size > _BEGINNING:
            lines.pop()
        return [line for line in lines if line.strip("\ufeff \t\x00\x1a")]

    def of(self, *kinds: str) -> pl.DataFrame:
        """Returns the findings of these kinds."""
        return self.findings.filter(pl.col(KIND).is_in(kinds))

    def has(self, *kinds: str) -> bool:
        """Returns whether there are findings of these kinds."""
        return bool(self.findings[KIND].is_in(kinds).any())

    @cached_property
    def filled(self) -> Mapping[str, int]:
        """How many cells of each column are filled."""
        records = self.reading.records
        if records is None:
            return {}
        return {name: records.height - records[name].null_count() for name in records.columns}

    def wrong_cells(self, *kinds: str) -> list[WrongCells]:
        """Returns the cells about which there are findings of these kinds, by column."""
        records, feed = self.reading.records, self.feed
        if records is None or feed is None:
            return []
        if kinds not in self._wrong_cells:
            of_columns = self.of(*kinds).filter(pl.col("column").is_in(list(feed.columns)))
            lines_of = of_columns.group_by("column", maintain_order=True).agg(
                pl.col("line").drop_nulls().unique()
            )
            self._wrong_cells[kinds] = [
                WrongCells(feed.columns[name], _cells(records, name, lines))
                for name, lines in zip(*lines_of.get_columns(), strict=True)
                if len(lines) >= SEVERAL
            ]
        return self._wrong_cells[kinds]

    @cached_property
    def _wrong_cells(self) -> dict[tuple[str, ...], list[WrongCells]]:
        return {}


def _cells(records: Rows, name: str, lines: pl.Series) -> pl.DataFrame:
    """Returns the filled cells of a column in these lines."""
    found = []
    for frame in frames_of(records, [LINE, name]):
        places = frame.select(pl.col(LINE).alias("line"), pl.col(name).alias("cell"))
        if len(lines) < records.height:
            places = places.filter(pl.col("line").is_in(lines.implode()))
        found.append(places.drop_nulls("cell"))
    return pl.concat(found)


def are_most(some: int, among: int) -> bool:
    """Returns whether so many show a pattern: at least two, and at least half."""
    return some >= SEVERAL and some >= _HALF * among


def number_of(count: int, what: str = "cell") -> str:
    """``1 cell``, ``1,400 cells``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def counts_by_column(found: Iterable[WrongCells]) -> str:
    """``StateID: 46 cells; PrimaryCDSCode: 48 cells``."""
    return "; ".join(f"{wrong.column.name}: {number_of(len(wrong))}" for wrong in found)


def is_about(found: Iterable[WrongCells], *kinds: str) -> pl.Expr:
    """Matches the findings of ``kinds`` about these cells."""
    return pl.any_horizontal(
        (pl.col("column") == wrong.column.name)
        & pl.col("line").is_in(wrong.cells["line"].implode())
        for wrong in found
    ) & pl.col(KIND).is_in(kinds)
