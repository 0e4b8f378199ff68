"""Tests of the looks at all bytes of a file: each says what a look at every line says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.intake import byte_scans

_TEXTS = st.text(alphabet="ab,\t \n\x0b\x1f\xa0ñ\u3000", max_size=40)
_PIECES = st.sampled_from([2, 3, 7, 1 << 17])


def _has_padding(text: str, separator: str) -> bool:
    """Says of every cell whether it begins or ends with white space."""
    cells = [cell for line in text.split("\n") for cell in line.split(separator)]
    return any(re.search(r"^\s|\s\Z", cell) for cell in cells)


@settings(deadline=None)
@given(text=_TEXTS, separator=st.sampled_from([",", "\t"]), piece=_PIECES)
def test_no_padding_is_overlooked(text: str, separator: str, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_scans, "_PIECE", piece)
        may_have = byte_scans.may_have_padding(text.encode(), separator)
    if _has_padding(text, separator):
        assert may_have
    elif text.isascii():
        assert not may_have


@settings(deadline=None)
@given(text=_TEXTS, piece=_PIECES)
def test_lines_are_counted(text: str, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(byte_scans, "_PIECE", piece)
        counted = byte_scans.count_lines(text.encode())
    assert counted == text.count("\n") + (bool(text) and not text.endswith("\n"))
