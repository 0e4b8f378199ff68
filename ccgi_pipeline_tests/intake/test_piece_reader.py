"""A large file is read in pieces, and nothing tells where one ends.

Belongs here: properties of ``piece_reader`` and ``text_pieces``, which must give what ``reader``
and ``encodings`` give, whatever the size of the pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ccgi_pipeline.common.packed_frames import PackedFrame
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS
from ccgi_pipeline.feeds.oneroster import ENROLLMENTS
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_CATALOG, STUDENT
from ccgi_pipeline.intake.encodings import decode
from ccgi_pipeline.intake.piece_reader import LargeFile, read_in_pieces
from ccgi_pipeline.intake.reader import read
from ccgi_pipeline.intake.text_pieces import count_line_ends, decode_pieces
from ccgi_pipeline_tests.files import as_bytes, good_lines, usual_name
from ccgi_pipeline_tests.intake.changes import CHANGES, PROFILE, Change, mutated

_FEEDS = (COURSE_CATALOG, STUDENT, ENROLLMENTS, DEMOGRAPHICS)
_WORDS = [
    b"a", b"\r", b"\n", b"\r\n", b"\x1a", b"\xef\xbb\xbf", b"\xc3\xa9", b"\xe9", b"Jos\xe9,",
    b"\xc3", b"\xff\xfe", b"\x00", b"ab,c", b"\xed\xa0\xbd\xed\xb8\x80", b"\x87", b"O\x92Dell",
    "é李".encode("utf-16-le"), "a\r\n".encode("utf-16-le"),
]  # fmt: skip
_SIZES = st.sampled_from([1, 2, 30, 150, 1000])
"""Bytes that a read gives, and bytes of a piece."""


def _in_parts(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


@settings(PROFILE, max_examples=400)
@given(
    words=st.lists(st.sampled_from(_WORDS), min_size=1, max_size=14), at_once=_SIZES, size=_SIZES
)
@example(words=[b"a\n", b"b\x1a\x1a"], at_once=1, size=1)
@example(words=[b"a\n", b"\xef\xbb\xbf", b"b\n", b"\x1a"], at_once=1, size=1)
@example(words=[b"\xff\xfea\x00\n\x00", b"\x3d\xd8"], at_once=1, size=1)
@example(words=[b"Jos\xe9\r", b"\nJos\xe9\r\n"], at_once=2, size=1)
def test_a_text_decoded_in_pieces_is_the_text(words: list[bytes], at_once: int, size: int):
    content = b"".join(words)
    parts = partial(_in_parts, content, at_once)
    whole, pieces = decode(content), decode_pieces(parts, size)
    text = None if pieces.read is None else [*pieces.read()]
    assert whole.body == (None if text is None else b"".join(text))
    assert all(piece.endswith(b"\n") for piece in (text or [])[:-1])
    assert (whole.encoding, whole.findings) == (pieces.encoding, pieces.findings)
    assert whole.has_unknown_letters == pieces.has_unknown_letters
    assert count_line_ends(parts) == len(content.splitlines())


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["break", "stray", "litter", "blank", "header", "again", "wide", "short", "nul", "mark"]
        ),
        st.integers(0, 1000),
    ),
    max_size=6,
)
"""What happens to a line, and to which."""


def _with_events(  # noqa: C901 - kind after kind
    lines: list[bytes], events: list[tuple[str, int]], separator: bytes
) -> bytes:
    """The lines of a file, of which the first is the header, after what happens to them."""
    changed = [*lines]
    for event, place in events:
        at = 1 + place % (len(changed) - 1)
        line = changed[at]
        cells = line.split(separator)
        middle = place % len(cells)
        match event:
            case "break":
                cells[middle] = b'"one' + b"\nmore" * (1 + place % 4) + b'"'
                changed[at] = separator.join(cells)
            case "stray":
                changed[at] = (
                    line[: place % (len(line) + 1)] + b'"' + line[place % (len(line) + 1) :]
                )
            case "litter":
                changed.insert(at, b"(19 rows affected)")
            case "blank":
                changed.insert(at, b" " * (place % 2))
            case "header":
                changed.insert(at, changed[0])
            case "again":
                changed.insert(at, changed[1 + place // 7 % (len(changed) - 1)])
            case "wide":
                changed[at] = line + separator * (1 + place % 2)
            case "short":
                changed[at] = separator.join(cells[:-1])
            case "nul":
                changed[at] = line + b"\x00"
            case _:
                changed[at] = b"\xef\xbb\xbf" + line
    return b"\n".join(changed)


@settings(PROFILE, max_examples=60)
@given(
    feed=st.sampled_from(_FEEDS),
    count=st.integers(1, 14),
    events=_EVENTS,
    changes=st.one_of(st.just([]), CHANGES),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    all_wide=st.integers(0, 2),
    end=st.sampled_from([b"", b"\n", b"\x1a", b"\n\x1a", b"\xff", b'"']),
    at_once=_SIZES,
    size=_SIZES,
)
@example(COURSE_CATALOG, 4, [("break", 12)], [], b"\n", 0, b"\n", 30, 1)
@example(COURSE_CATALOG, 9, [("stray", 0), ("wide", 1)], [], b"\r\n", 1, b"", 30, 150)
@example(DEMOGRAPHICS, 9, [("stray", 0)], [], b"\r\n", 2, b"", 1, 1)
def test_a_file_read_in_pieces_is_read_as_it_would_be_whole(  # noqa: PLR0913, PLR0917 - a file
    feed: FeedSpec,
    count: int,
    events: list[tuple[str, int]],
    changes: list[Change],
    line_end: bytes,
    all_wide: int,
    end: bytes,
    at_once: int,
    size: int,
):
    separator = feed.separators[0].encode()
    good = as_bytes(feed, good_lines(feed, count)).splitlines()
    lines = [line + separator * all_wide for line in good]
    written = _with_events(lines, events, separator) + end
    content = mutated(written.replace(b"\n", line_end), changes)
    name, candidates = usual_name(feed), FAMILIES[feed.family].feeds
    whole = read(content, name, candidates)
    pieces = read_in_pieces(LargeFile(partial(_in_parts, content, at_once), size), name, candidates)
    for part in ("feed", "encoding", "lines", "unreadable", "edition", "left_alone", "columns"):
        assert getattr(whole, part) == getattr(pieces, part)
    assert_frame_equal(whole.findings, pieces.findings)
    assert_frame_equal(whole.unread_lines, pieces.unread_lines)
    if whole.records is None:
        assert pieces.records is None
        return
    assert isinstance(pieces.records, PackedFrame)
    assert_frame_equal(whole.records, pieces.records.select(*pieces.records.columns))


def test_a_line_that_waits_for_the_next_piece_waits_no_longer_than_a_record_may_be():
    lines = [*as_bytes(COURSE_CATALOG, good_lines(COURSE_CATALOG, 3)).splitlines()]
    lines[2:2] = [b'"never closed', *[b"word"] * 1500]
    content = b"\n".join([*lines, b""])
    whole = read(content, usual_name(COURSE_CATALOG))
    pieces = read_in_pieces(
        LargeFile(partial(_in_parts, content, 64), 64), usual_name(COURSE_CATALOG)
    )
    assert_frame_equal(whole.findings, pieces.findings)
    assert whole.unreadable == pieces.unreadable == 1501


def test_pieces_of_different_columns_are_not_packed_together():
    good = _records()
    frames = [good.select(good.columns[:place]) for place in (1, 2)]
    with pytest.raises(ValueError, match="different columns"):
        PackedFrame.pack(frames)


def _records() -> pl.DataFrame:
    reading = read(as_bytes(COURSE_CATALOG, good_lines(COURSE_CATALOG, 3)), "CourseCatalog.csv")
    assert reading.records is not None
    return reading.records
