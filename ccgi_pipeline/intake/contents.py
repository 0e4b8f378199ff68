"""What a received file holds, wherever it lies: in memory, on disk, in a zip or in a message.

Belongs here: the ways in which other code may read it. Does not belong here: where it lies
(archive, zip_files, openpgp_messages) and what it means (reader).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Self

ReadPieces = Callable[[], Iterator[bytes]]
"""Reads a file's bytes from the beginning, in pieces of any size."""

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a file, which can be read again and again.

    ``size``: their number. ``read`` returns all of them, ``read_pieces`` yields them in pieces of
    any size, and ``open`` gives a file in which they can be sought.
    """

    size: int
    read: Callable[[], bytes] = field(repr=False)
    read_pieces: ReadPieces = field(repr=False)
    open: Callable[[], BinaryIO] = field(repr=False)

    @classmethod
    def of_bytes(cls, content: bytes) -> Self:
        """Returns a content that lies in memory."""
        return cls(
            len(content),
            partial(_same, content),
            partial(_alone, content),
            partial(io.BytesIO, content),
        )

    @classmethod
    def of_path(cls, path: Path) -> Self:
        """Returns the content of a file of this machine."""
        return cls(
            path.stat().st_size,
            path.read_bytes,
            partial(_read_path, path),
            lambda: path.open("rb"),
        )

    @classmethod
    def of_pieces(cls, size: int, read_pieces: ReadPieces) -> Self:
        """Returns a content that can be read from its beginning only."""
        read = partial(_join, read_pieces)
        return cls(size, read, read_pieces, lambda: io.BytesIO(read()))

    def read_start(self, length: int) -> bytes:
        """Returns the first ``length`` bytes."""
        start = bytearray()
        for piece in self.read_pieces():
            start += piece[: length - len(start)]
            if len(start) >= length:
                break
        return bytes(start)


def _same(content: bytes) -> bytes:
    return content


def _alone(content: bytes) -> Iterator[bytes]:
    yield content


def _join(read_pieces: ReadPieces) -> bytes:
    whole = io.BytesIO()  # returns its bytes without a copy
    for piece in read_pieces():
        whole.write(piece)
    return whole.getvalue()


def _read_path(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


EMPTY = Content.of_bytes(b"")
