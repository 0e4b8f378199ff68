"""Looks at all bytes of a file at once, piece by piece, so that no copy of the file is made.

Belongs here: quick answers about bytes, which spare a look at each line. Does not belong here: what
follows from them (reader).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_PIECE = 1 << 17
"""Bytes; so much fits into a processor's cache."""
_LINE_FEED = ord("\n")
_FIRST_SIGN, _SIGNS = np.uint8(ord("!")), 94
"""The visible signs of ASCII; every other byte may be a blank, or a part of one."""


def count(content: bytes, sign: str) -> int:
    """Counts a sign of ASCII; where it is frequent, this is faster than ``bytes.count``."""
    mark = ord(sign)
    # Memory that is asked for anew for each piece would take most of the time.
    found = np.empty(_PIECE, dtype=bool)
    return sum(
        int(np.count_nonzero(np.equal(piece, mark, out=found[: len(piece)])))
        for piece in _pieces(content)
    )


def count_lines(content: bytes) -> int:
    """Counts the physical lines, also a last one without an end."""
    return count(content, "\n") + bool(content and not content.endswith(b"\n"))


def may_have_padding(content: bytes, separator: str) -> bool:
    """Returns whether a cell may begin or end with white space; a blank cell does not.

    Characters beyond ASCII may be white space.
    """
    mark = ord(separator)
    memory = np.empty((3, _PIECE + 1), dtype=np.uint8)
    blank, _ = _blanks_and_ends(_scanned(content[:1] + content[-1:]), mark, memory)
    if blank.any():
        return True
    for piece in _pieces(content, overlap=1):
        blank, ends = _blanks_and_ends(piece, mark, memory)
        if blank.any() and (blank[1:] & ends[:-1] | blank[:-1] & ends[1:]).any():
            return True
    return False


def _blanks_and_ends(
    piece: np.ndarray, mark: int, memory: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which bytes may be white space in a cell, and which end a cell."""
    shifted = memory[0, : len(piece)]
    ends, other = memory[1:, : len(piece)].view(bool)
    np.equal(piece, mark, out=ends)
    ends |= np.equal(piece, _LINE_FEED, out=other)
    # Bytes below the first sign wrap around to large numbers.
    np.greater_equal(np.subtract(piece, _FIRST_SIGN, out=shifted), _SIGNS, out=other)
    return np.greater(other, ends, out=other), ends


def _pieces(content: bytes, overlap: int = 0) -> Iterator[np.ndarray]:
    scanned = _scanned(content)
    for start in range(0, len(scanned), _PIECE):
        yield scanned[max(0, start - overlap) : start + _PIECE]


def _scanned(content: bytes) -> np.ndarray:
    return np.frombuffer(content, dtype=np.uint8)
