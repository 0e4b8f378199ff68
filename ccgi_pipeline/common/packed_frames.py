"""Frames that are too large for memory: pieces of rows, each packed as Parquet.

Belongs here: packing, and giving back pieces or columns. A large file's lines take a tenth of the
memory so. Does not belong here: what the rows are.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

_COMPRESSION: Final = "lz4"


@dataclass(frozen=True, slots=True)
class PackedFrame:
    """The rows of a frame in pieces. Where only columns are needed, it is used like a frame.

    ``schema``: its columns with their types. ``height``: how many rows it has.
    """

    schema: pl.Schema
    height: int
    pieces: Sequence[bytes]

    @classmethod
    def pack(cls, frames: Iterable[pl.DataFrame], schema: pl.Schema | None = None) -> PackedFrame:
        """Packs frames of one schema, one after the other; ``schema``: theirs, if there are none.

        Raises ValueError if there is neither a frame nor a schema, or if the schemas differ.
        """
        pieces: list[bytes] = []
        height = 0
        for frame in frames:
            schema = frame.schema if schema is None else schema
            if frame.schema != schema:
                msg = "the pieces of a packed frame have different columns"
                raise ValueError(msg)
            pieces.append(_pack(frame))
            height += frame.height
        if schema is None:
            msg = "a packed frame needs at least one piece"
            raise ValueError(msg)
        return cls(schema, height, pieces)

    @classmethod
    def of_pieces(cls, pieces: Sequence[bytes]) -> PackedFrame:
        """Returns the frame that has these ``pieces``, at least one."""
        heights = [pl.scan_parquet(io.BytesIO(p)).select(pl.len()).collect().item() for p in pieces]
        return cls(pl.read_parquet(io.BytesIO(pieces[0]), n_rows=0).schema, sum(heights), pieces)

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.schema.names()

    def is_empty(self) -> bool:
        """Returns whether there are no rows."""
        return not self.height

    def frames(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yields the pieces as frames, at least one; only some ``columns``, if given."""
        if not self.pieces:
            nothing = pl.DataFrame(schema=self.schema)
            yield nothing if columns is None else nothing.select(columns)
        for piece in self.pieces:
            unpacked = pl.read_parquet(
                io.BytesIO(piece), columns=None if columns is None else [*columns]
            )
            yield unpacked if columns is None else unpacked.select(columns)

    def select(self, *columns: str) -> pl.DataFrame:
        """Returns some columns as a plain frame."""
        return pl.concat(self.frames(columns))

    def __getitem__(self, column: str) -> pl.Series:
        """Returns one column."""
        return self.select(column)[column]

    def filter(self, condition: pl.Expr) -> PackedFrame:
        """Returns the rows that meet a condition which looks at one row at a time."""
        return self.map(lambda frame: frame.filter(condition))

    def split_by(self, columns: Sequence[str], parts: int) -> list[PackedFrame]:
        """Splits the rows into parts; rows that agree in ``columns`` come into the same one.

        In each part they have the order that they have here.
        """
        if parts == 1:
            return [self]
        number = pl.struct(columns).hash() % parts
        pieces: list[list[bytes]] = [[] for _ in range(parts)]
        heights = [0] * parts
        for frame in self.frames():
            numbers = frame.select(number).to_series()
            for part in range(parts):
                rows = frame.filter(numbers == part)
                pieces[part].append(_pack(rows))
                heights[part] += rows.height
        return [
            PackedFrame(self.schema, height, packed)
            for height, packed in zip(heights, pieces, strict=True)
        ]

    def map(self, change: Callable[[pl.DataFrame], pl.DataFrame]) -> PackedFrame:
        """Returns the pieces after a change, which looks at one row at a time."""
        schema = change(pl.DataFrame(schema=self.schema)).schema
        return PackedFrame.pack(map(change, self.frames()), schema)


def _pack(frame: pl.DataFrame) -> bytes:
    packed = io.BytesIO()
    frame.write_parquet(packed, compression=_COMPRESSION, statistics=False)
    return packed.getvalue()


Rows = pl.DataFrame | PackedFrame
"""Rows as a plain frame, as nearly all are, or packed."""


def frames_of(rows: Rows, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yields the rows as plain frames, piece by piece; only some ``columns``, if given."""
    if isinstance(rows, PackedFrame):
        yield from rows.frames(columns)
    else:
        yield rows if columns is None else rows.select(columns)


def unpacked(rows: Rows) -> pl.DataFrame:
    """Returns the rows as one plain frame, however many they are."""
    return rows if isinstance(rows, pl.DataFrame) else rows.select(*rows.columns)


def distinct(rows: Rows, columns: Iterable[str]) -> pl.DataFrame:
    """Returns some columns of rows; of packed rows each combination once, in any order."""
    names = list(dict.fromkeys(columns))
    if isinstance(rows, pl.DataFrame):
        return rows.select(names)
    return pl.concat(frame.unique() for frame in rows.frames(names)).unique()


def map_rows(rows: Rows, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Rows:
    """Returns the rows after a change, which looks at one row at a time."""
    return rows.map(change) if isinstance(rows, PackedFrame) else change(rows)
