"""What the strict reader promises for every file, looked for with files made at random.

Belongs here: properties. Records that Python's csv module writes are read back as they were; no
bytes whatever make the reader fail or lose count.
"""

from __future__ import annotations

import csv
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ccgi_pipeline.feeds.foster_focus import ATTENDANCE_PERIODS
from ccgi_pipeline.feeds.oneroster import ENROLLMENTS
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_CATALOG, STUDENT, TEST_GRADE
from ccgi_pipeline.intake import batch_reader, reader
from ccgi_pipeline.intake.batch_reader import FileToRead, read_batch
from ccgi_pipeline.intake.reader import Reading, read
from ccgi_pipeline.intake.record_lines import LINE, SPAN
from ccgi_pipeline_tests.files import as_bytes, good_file, good_lines, usual_name
from ccgi_pipeline_tests.intake.changes import CHANGES, PROFILE, Change, mutated

_LETTERS = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff")
"""Everything that can stand in a line of text; a byte order mark has tests of its own."""
_WORDS = st.text(st.one_of(st.sampled_from(" \",^\t'éß李"), _LETTERS), max_size=12)
_NOT_BLANK = _WORDS.filter(lambda word: any(map(str.isalnum, word)))
"""Cells that keep a line from being litter."""
_COLUMNS = list(COURSE_CATALOG.columns)
_RECORDS = st.lists(st.tuples(_NOT_BLANK, *[_WORDS] * (len(_COLUMNS) - 1)), min_size=1, max_size=8)


@PROFILE
@given(
    records=_RECORDS,
    separator=st.sampled_from(COURSE_CATALOG.separators),
    line_end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_what_the_csv_module_writes_is_read_back_as_it_was(
    records: list[tuple[str, ...]], separator: str, line_end: str, quoting: int
):
    lines = [dict(zip(_COLUMNS, record, strict=True)) for record in records]
    content = as_bytes(
        COURSE_CATALOG, lines, separator=separator, line_end=line_end, quoting=quoting
    )
    reading = read(content, "CourseCatalog.csv")
    assert reading.records is not None
    expected = [tuple(cell.strip() or None for cell in record) for record in records]
    assert reading.records.select(_COLUMNS).rows() == expected
    assert reading.records[LINE].to_list() == list(range(2, len(records) + 2))
    assert set(reading.findings["rule"]) <= _OF_WORDS


_OF_WORDS = {"FILE-LOST-LETTER", "FILE-ENCODED-TWICE"}
"""What may be said of words made at random."""


def _assert_every_line_is_accounted_for(reading: Reading) -> None:
    readable = 0 if reading.records is None else reading.records[SPAN].sum()
    assert readable + reading.unreadable == reading.lines
    assert (reading.findings["line"].drop_nulls() > 0).all()
    if reading.unreadable:
        assert not reading.findings.is_empty()


@PROFILE
@given(content=st.binary(max_size=400), feed=st.sampled_from(FEEDS))
def test_no_bytes_make_the_reader_fail_or_lose_count(content: bytes, feed: FeedSpec):
    reading = read(content, usual_name(feed), FAMILIES[feed.family].feeds)
    _assert_every_line_is_accounted_for(reading)


@PROFILE
@given(rest=st.binary(max_size=400), feed=st.sampled_from(FEEDS))
def test_no_bytes_after_a_header_make_the_reader_fail_or_lose_count(rest: bytes, feed: FeedSpec):
    header = as_bytes(feed, [])
    _assert_every_line_is_accounted_for(read(header + rest, usual_name(feed)))


@settings(PROFILE, max_examples=80)
@given(changes=CHANGES, feed=st.sampled_from(FEEDS))
def test_no_change_of_a_good_file_makes_the_reader_fail_or_lose_count(
    changes: list[Change], feed: FeedSpec
):
    content = mutated(good_file(feed), changes)
    reading = read(content, usual_name(feed), FAMILIES[feed.family].feeds)
    _assert_every_line_is_accounted_for(reading)


_BLANK = re.compile(r"[^\S\x1c-\x1f]")
"""Unicode's white space; Python counts four control characters more."""


@settings(PROFILE, max_examples=80)
@given(changes=CHANGES)
def test_the_lines_of_a_changed_file_are_those_that_an_editor_counts(
    changes: list[Change],
):
    content = mutated(good_file(TEST_GRADE), changes)
    reading = read(content, usual_name(TEST_GRADE))
    if reading.encoding != "utf-8" or b"\xef\xbb\xbf" in content:
        return
    if {"FILE-LITTER", "FILE-REPEATED-HEADER"} & set(reading.findings["rule"]):
        return
    physical = re.split("\r\n|\r|\n", content.decode(errors="replace"))
    filled = [line for line in physical if _BLANK.sub("", line)]
    headless = {"FILE-HEADER", "FILE-UNRECOGNISED", "FILE-EMPTY"} & set(reading.findings["rule"])
    assert reading.lines == len(filled) - (not headless)


_HURTS = st.dictionaries(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)
"""Some lines of eight, with the places at which a quote is put in or a separator taken out."""


@settings(PROFILE, max_examples=80)
@given(hurts=_HURTS, feed=st.sampled_from([TEST_GRADE, COURSE_CATALOG, STUDENT]))
def test_quotes_and_separators_gone_wrong_cost_no_line_but_their_own(
    hurts: dict[int, list[tuple[int, bool]]], feed: FeedSpec
):
    good = good_lines(feed, 8)
    lines = as_bytes(feed, good).splitlines()
    for number, places in hurts.items():
        for place, quote in places:
            at = place % len(lines[number])
            if quote:
                lines[number] = lines[number][:at] + b'"' + lines[number][at:]
            else:
                head, _, tail = lines[number][at:].partition(b",")
                lines[number] = lines[number][:at] + head + tail
    reading = read(b"\n".join([*lines, b""]), usual_name(feed), FAMILIES[feed.family].feeds)
    _assert_every_line_is_accounted_for(reading)
    assert reading.records is not None
    read_back = {row[LINE]: row for row in reading.records.rows(named=True)}
    for number, line in enumerate(good, start=1):
        if number not in hurts:
            kept = read_back[number + 1]
            assert {name: kept[name] for name in feed.columns} == line
            assert kept[SPAN] == 1


_CONTENTS = st.one_of(
    st.tuples(st.just(0), CHANGES),
    st.tuples(st.integers(0, 12), st.just([])),
)
"""A damaged file, or a good one of so many lines."""


@settings(PROFILE, max_examples=120)
@given(
    files=st.lists(
        st.tuples(st.sampled_from([TEST_GRADE, COURSE_CATALOG, ENROLLMENTS]), _CONTENTS),
        min_size=1,
        max_size=6,
    ),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_files_that_are_read_together_are_read_as_each_would_be_alone(
    files: list[tuple[FeedSpec, tuple[int, list[Change]]]], quoting: int, line_end: str
):
    asked = []
    for feed, (count, changes) in files:
        lines = good_lines(feed, count or 8)
        content = mutated(as_bytes(feed, lines, quoting=quoting, line_end=line_end), changes)
        asked.append(FileToRead(content, usual_name(feed), FAMILIES[feed.family].feeds))
    _assert_same(asked)


@PROFILE
@given(
    records=st.lists(_RECORDS, min_size=1, max_size=5),
    end=st.sampled_from([b"", b"\n", b" ", b"\n\n", b"\x00", b"\xff", b'"', b",", b"\n  \n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_whatever_stands_in_the_cells_it_is_the_same_read_together_and_alone(
    records: list[list[tuple[str, ...]]], end: bytes, quoting: int
):
    asked = []
    for rows in records:
        lines = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
        content = as_bytes(COURSE_CATALOG, lines, quoting=quoting)
        asked.append(FileToRead(content.removesuffix(b"\r\n") + end, "CourseCatalog.csv"))
    _assert_same(asked)


def _assert_same(asked: list[FileToRead]) -> None:
    together = read_batch(asked)
    for one, reading in zip(asked, together, strict=True):
        _assert_equal(reading, read(one.content, one.file_name, one.candidates, one.edition))


def _assert_equal(reading: Reading, other: Reading) -> None:
    for part in ("feed", "encoding", "lines", "unreadable", "edition", "left_alone"):
        assert getattr(reading, part) == getattr(other, part)
    assert_frame_equal(reading.findings, other.findings)
    assert (reading.records is None) == (other.records is None)
    if reading.records is not None and other.records is not None:
        assert_frame_equal(reading.records, other.records)


def _read_line_by_line(content: bytes, feed: FeedSpec) -> Reading:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "parse_regular_lines", lambda *_: None)
        return read(content, usual_name(feed), FAMILIES[feed.family].feeds)


@settings(PROFILE, max_examples=120)
@given(
    changes=st.lists(CHANGES, max_size=1),
    feed=st.sampled_from([TEST_GRADE, COURSE_CATALOG, ENROLLMENTS, ATTENDANCE_PERIODS]),
)
def test_lines_are_read_at_once_as_they_are_line_by_line(
    changes: list[list[Change]], feed: FeedSpec
):
    content = mutated(good_file(feed), changes[0] if changes else [])
    reading = read(content, usual_name(feed), FAMILIES[feed.family].feeds)
    _assert_equal(reading, _read_line_by_line(content, feed))


_ODD_CELLS = st.lists(st.sampled_from([0, 0, -1, 1, 2]), min_size=1, max_size=6)
"""By line, how many cells it has too many."""


@settings(PROFILE, max_examples=120)
@given(
    surplus=st.one_of(_ODD_CELLS, _ODD_CELLS.map(lambda odd: [*odd, *(-more for more in odd)])),
    cells=st.lists(st.sampled_from(["", "a", "é", " b", "NULL", "\t", "x y"]), min_size=7),
    end=st.sampled_from([b"", b"\n"]),
)
def test_lines_with_cells_too_many_or_too_few_are_told_apart_at_once(
    surplus: list[int], cells: list[str], end: bytes
):
    feed, width = COURSE_CATALOG, len(_COLUMNS)
    lines = [",".join(_COLUMNS)]
    for number, more in enumerate(surplus):
        lines.append(",".join(cells[(number + at) % len(cells)] for at in range(width + more)))
    content = "\n".join(lines).encode() + end
    reading = read(content, usual_name(feed), FAMILIES[feed.family].feeds)
    _assert_equal(reading, _read_line_by_line(content, feed))


@pytest.mark.parametrize("feed", [COURSE_CATALOG, ENROLLMENTS, ATTENDANCE_PERIODS])
def test_a_good_file_is_read_at_once(feed: FeedSpec, monkeypatch: pytest.MonkeyPatch):
    def line_by_line(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(reader, "sort_lines", line_by_line)
    content = as_bytes(feed, good_lines(feed, 4), quoting=csv.QUOTE_MINIMAL)
    assert read(content, usual_name(feed), FAMILIES[feed.family].feeds).lines == 4


def test_good_files_of_one_form_are_not_read_one_by_one(monkeypatch: pytest.MonkeyPatch):
    def alone(*_: object) -> Reading:
        raise AssertionError

    monkeypatch.setattr(batch_reader, "read", alone)
    asked = [FileToRead(good_file(STUDENT), usual_name(STUDENT)) for _ in range(3)]
    assert [reading.lines for reading in read_batch(asked)] == [len(good_lines(STUDENT))] * 3
