"""Looks at all bytes of a file at once, piece by piece, so that no copy of the file is made.

Belongs here: quick answers about bytes, which spare a look at each line. Does not belong here: what
follows from them (reader).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

_PIECE = 1 << 18
"""Bytes that a processor keeps close at hand."""
_LINE_FEED = ord("\n")
_FIRST_SIGN, _SIGNS = ord("!"), 94
"""The visible signs of ASCII; every other byte may be a blank, or a part of one."""


def count_lines(content: bytes) -> int:
    """Counts the physical lines, also a last one without an end."""
    feeds = sum(int(np.count_nonzero(piece == _LINE_FEED)) for piece in _pieces(content))
    return feeds + bool(content and not content.endswith(b"\n"))


def may_have_padding(content: bytes, separator: str) -> bool:
    """Returns whether a cell may begin or end with white space; a blank cell does not.

    Characters beyond ASCII may be white space.
    """
    mark = ord(separator)
    blank, _ = _blanks_and_ends(_scanned(content[:1] + content[-1:]), mark)
    if blank.any():
        return True
    for piece in _pieces(content, overlap=1):
        blank, ends = _blanks_and_ends(piece, mark)
        if blank.any() and (blank[1:] & ends[:-1] | blank[:-1] & ends[1:]).any():
            return True
    return False


def _blanks_and_ends(piece: np.ndarray, mark: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns which bytes may be white space in a cell, and which end a cell."""
    ends = (piece == mark) | (piece == _LINE_FEED)
    # Bytes below the first sign wrap around to large numbers.
    return ((piece - np.uint8(_FIRST_SIGN)) >= _SIGNS) > ends, ends


def _pieces(content: bytes, overlap: int = 0) -> Iterator[np.ndarray]:
    scanned = _scanned(content)
    for start in range(0, len(scanned), _PIECE):
        yield scanned[max(0, start - overlap) : start + _PIECE]


def _scanned(content: bytes) -> np.ndarray:
    return np.frombuffer(content, dtype=np.uint8)
