"""The strict reader on damaged files: each kind of damage, on feeds of every shape.

Belongs here: damage done to a good file, with the lines that must survive it, the lines that are
lost and the finding at each place; for the extracts of Foster Focus the verdict, too. Every case
holds the same promise: no line vanishes, no cell moves to another column, and what is not damaged
reads as it was written.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import pytest

from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.reader import read
from ccgi_pipeline.intake.record_lines import LINE, SPAN
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.files import (
    Line,
    as_bytes,
    broken_rules,
    good_file,
    good_lines,
    outcome,
    pattern_of,
    usual_name,
    verified,
)

COUNT = 8
"""Data lines of the good file; they stand in the physical lines 2 to 9."""
HURT = 4
"""The physical line that is damaged, and its number among the data lines."""
_HURT = HURT - 2


@dataclass(frozen=True)
class Case:
    """A damaged file and what reading it must give.

    ``kept`` are the readable lines by physical number, ``found`` the findings (rule without
    ``FILE-``, or a whole ``OR-...``, and line) in order, ``lines`` the file's data lines.
    """

    content: bytes
    kept: Mapping[int, Line]
    found: Sequence[tuple[str, int | None]] = ()
    lines: int = COUNT
    encoding: str = "utf-8"
    spans: Mapping[int, int] = field(default_factory=dict)


Damage = Callable[[FeedSpec], Case]


def _numbered(lines: Sequence[Line], first: int = 2) -> dict[int, Line]:
    return dict(enumerate(lines, start=first))


def _all(feed: FeedSpec) -> dict[int, Line]:
    return _numbered(good_lines(feed, COUNT))


def _count(feed: FeedSpec) -> int:
    return len(_all(feed))


def _without(lines: Mapping[int, Line], *lost: int) -> dict[int, Line]:
    return {number: line for number, line in lines.items() if number not in lost}


def _physical(feed: FeedSpec, **form: int) -> list[bytes]:
    """The good file's physical lines with their ends; the header has index 0."""
    return as_bytes(feed, good_lines(feed, COUNT), **form).splitlines(keepends=True)


def _edited(feed: FeedSpec, changes: Mapping[int, Callable[[bytes], bytes]], **form: int) -> bytes:
    """The good file with some physical lines (numbered from 1) changed."""
    lines = _physical(feed, **form)
    for number, change in changes.items():
        lines[number - 1] = change(lines[number - 1])
    return b"".join(lines)


def _separator(feed: FeedSpec) -> bytes:
    return feed.separators[0].encode()


def _words(feed: FeedSpec) -> str:
    """A column of the feed that may hold any words, or else any text column."""
    texts = [name for name, column in feed.columns.items() if column.type is ColumnType.STRING]
    free = (
        name for name in texts if feed.columns[name].codes is None and not pattern_of(feed, name)
    )
    return next(free, texts[0])


def _with_cell(feed: FeedSpec, column: str, cell: str) -> list[Line]:
    lines = good_lines(feed, COUNT)
    lines[_HURT] = {**lines[_HURT], column: cell}
    return lines


# --- encodings ------------------------------------------------------------------------------------


def _encoded(encoding: str, mark: bytes, *found: str) -> Damage:
    def damage(feed: FeedSpec) -> Case:
        text = good_file(feed, COUNT).decode()
        return Case(
            mark + text.encode(encoding),
            _all(feed),
            [(rule, None) for rule in found],
            _count(feed),
            encoding,
        )

    return damage


def _windows_text(feed: FeedSpec) -> Case:
    lines = _with_cell(feed, _words(feed), "Núñez € Œ")
    content = as_bytes(feed, lines).decode().encode("cp1252")
    return Case(content, _numbered(lines), [("CP1252", None)], _count(feed), "cp1252")


def _letters_of_utf_8(feed: FeedSpec) -> Case:
    lines = _with_cell(feed, _words(feed), "Núñez Đặng 李 👩‍🎓")
    return Case(as_bytes(feed, lines), _numbered(lines), lines=_count(feed))


def _undecodable(feed: FeedSpec) -> Case:
    content = _edited(feed, {HURT: lambda line: 200 * b"\x01\x81" + line})
    return Case(content, {}, [("ENCODING", None)], _count(feed), "unknown")


# --- line ends and blank lines --------------------------------------------------------------------


def _ended_by(line_end: str, *found: str) -> Damage:
    def damage(feed: FeedSpec) -> Case:
        content = as_bytes(feed, good_lines(feed, COUNT), line_end=line_end)
        return Case(content, _all(feed), [(rule, None) for rule in found], _count(feed))

    return damage


def _mixed_ends(feed: FeedSpec) -> Case:
    content = _edited(feed, {HURT: lambda line: line[:-1] + b"\r\n", 5: lambda x: x[:-1] + b"\r"})
    return Case(content, _all(feed), [("LINE-ENDS", None)], _count(feed))


def _no_last_end(feed: FeedSpec) -> Case:
    return Case(good_file(feed, COUNT)[:-1], _all(feed), lines=_count(feed))


def _blank_inside(feed: FeedSpec) -> Case:
    good = _all(feed)
    kept = {number + 2 * (number >= HURT): line for number, line in good.items()}
    content = _edited(feed, {HURT: lambda line: b"\n  \n" + line})
    return Case(content, kept, [("BLANK-LINES", HURT)], len(good))


def _blank_at_both_ends(feed: FeedSpec) -> Case:
    good = _all(feed)
    kept = {number + 1: line for number, line in good.items()}
    content = b"\n" + good_file(feed, COUNT) + b"\n\n \n"
    return Case(content, kept, [("BLANK-LINES", 1)], len(good))


# --- headers --------------------------------------------------------------------------------------


def _repeated_header(feed: FeedSpec) -> Case:
    good = _all(feed)
    header = _physical(feed)[0]
    kept = {number + (number >= HURT): line for number, line in good.items()}
    content = _edited(feed, {HURT: lambda line: header + line})
    return Case(content, kept, [("REPEATED-HEADER", HURT)], len(good))


def _no_header(feed: FeedSpec) -> Case:
    content = as_bytes(feed, good_lines(feed, COUNT), header=())
    return Case(content, {}, [("HEADER", 1)], _count(feed))


def _reordered(feed: FeedSpec) -> Case:
    content = as_bytes(feed, good_lines(feed, COUNT), header=list(reversed(feed.columns)))
    found = [("OR-HEADER-ORDER", 1)] if feed.headers else []
    return Case(content, _all(feed), found, _count(feed))


def _misspelt(feed: FeedSpec, header: bytes) -> list[tuple[str, int | None]]:
    """The findings of the names that ``header`` has not to the letter, where letters matter."""
    cells = [cell.strip() for cell in header.decode().split(feed.separators[0])]
    wrong = [cell for cell, name in zip(cells, feed.columns, strict=True) if cell != name]
    return [("OR-HEADER-CASE", 1) for _ in wrong] if feed.headers else []


def _spelled_otherwise(feed: FeedSpec) -> Case:
    lines = good_lines(feed, COUNT)
    header, rest = as_bytes(feed, lines).split(b"\n", 1)
    mark = _separator(feed)
    spelled = mark.join(b" " + name.lower().replace(b"id", b"_ID") for name in header.split(mark))
    found = _misspelt(feed, spelled)
    return Case(spelled + b"\n" + rest, _numbered(lines), found, len(lines))


def _in_capitals(feed: FeedSpec) -> Case:
    header, rest = good_file(feed, COUNT).split(b"\n", 1)
    found = _misspelt(feed, header.upper())
    return Case(header.upper() + b"\n" + rest, _all(feed), found, _count(feed))


def _wrong_separator(feed: FeedSpec) -> Case:
    content = good_file(feed, COUNT).replace(_separator(feed), b"|")
    return Case(content, {}, [("HEADER", 1)], _count(feed) + 1)


def _other_separators(feed: FeedSpec) -> Case:
    content = as_bytes(feed, good_lines(feed, COUNT), separator=feed.separators[-1])
    found = [("OR-HEADER-SEPARATOR", 1)] if feed.headers else []
    return Case(content, _all(feed), found, _count(feed))


def _empty(_: FeedSpec) -> Case:
    return Case(b"", {}, [("EMPTY", None)], 0)


def _only_blank_lines(_: FeedSpec) -> Case:
    return Case(b"\n \n\n", {}, [("EMPTY", None)], 0)


def _header_only(feed: FeedSpec) -> Case:
    return Case(_physical(feed)[0], {}, [("HEADER-ONLY", None)], 0)


# --- cells ----------------------------------------------------------------------------------------


def _short(feed: FeedSpec) -> Case:
    mark = _separator(feed)
    content = _edited(feed, {HURT: lambda line: line.rsplit(mark, 1)[0] + b"\n"})
    return Case(content, _without(_all(feed), HURT), [("FIELDS", HURT)], _count(feed))


def _long(feed: FeedSpec) -> Case:
    mark = _separator(feed)
    content = _edited(feed, {HURT: lambda line: line[:-1] + mark + b"x\n"})
    return Case(content, _without(_all(feed), HURT), [("FIELDS", HURT)], _count(feed))


def _extra_blanks(feed: FeedSpec) -> Case:
    mark = _separator(feed)
    content = _edited(feed, {HURT: lambda line: line[:-1] + mark + b" " + mark + b"\n"})
    return Case(content, _without(_all(feed), HURT), [("FIELDS", HURT)], _count(feed))


def _extra_blanks_everywhere(**form: int) -> Damage:
    def damage(feed: FeedSpec) -> Case:
        every = range(2, _count(feed) + 2)
        more = _separator(feed) + b" " + _separator(feed)
        content = _edited(feed, {n: lambda line: line[:-1] + more + b"\n" for n in every}, **form)
        return Case(content, _all(feed), [("EXTRA-CELLS", n) for n in every], _count(feed))

    return damage


def _blank_end_of_header(feed: FeedSpec) -> Case:
    content = _edited(feed, {1: lambda line: line[:-1] + 2 * _separator(feed) + b"\n"})
    return Case(content, _all(feed), [("EXTRA-CELLS", 1)], _count(feed))


def _empty_row_of_a_spreadsheet(feed: FeedSpec) -> Case:
    row = _separator(feed) * (len(feed.columns) - 1) + b"\n"
    blank = feed.separators[0].isspace() or len(feed.columns) == 1
    good = _all(feed)
    kept = {number + (number >= HURT): line for number, line in good.items()}
    content = _edited(feed, {HURT: lambda line: row + line})
    return Case(content, kept, [("BLANK-LINES" if blank else "LITTER", HURT)], len(good))


def _row_count_below(feed: FeedSpec) -> Case:
    last = _count(feed) + 2
    content = good_file(feed, COUNT) + b"\n(8 rows affected)\n"
    found = [("BLANK-LINES", last), ("LITTER", last + 1)]
    return Case(content, _all(feed), found, _count(feed))


def _cut_off(feed: FeedSpec) -> Case:
    last = _count(feed) + 1
    content = _edited(feed, {last: lambda line: line[: line.index(_separator(feed)) - 1]})
    return Case(content, _without(_all(feed), last), [("TRUNCATED", last)], _count(feed))


def _nul(feed: FeedSpec) -> Case:
    content = _edited(feed, {HURT: lambda line: line[:2] + b"\x00" + line[2:]})
    return Case(content, _without(_all(feed), HURT), [("NUL", HURT)], _count(feed))


# --- quotes ---------------------------------------------------------------------------------------


def _stray_quotes(*numbers: int) -> Damage:
    def damage(feed: FeedSpec) -> Case:
        def hurt(line: bytes) -> bytes:
            return line[:2] + b'"' + line[2:]

        content = _edited(feed, dict.fromkeys(numbers, hurt))
        return Case(
            content,
            _without(_all(feed), *numbers),
            [("QUOTES", number) for number in numbers],
            _count(feed),
        )

    return damage


def _opened_and_never_closed(feed: FeedSpec) -> Case:
    content = _edited(feed, {HURT: lambda line: b'"' + line})
    return Case(content, _without(_all(feed), HURT), [("QUOTES", HURT)], _count(feed))


def _opened_in_one_line_and_closed_in_the_next(feed: FeedSpec) -> Case:
    """Two pupils' lines of which stray quotes make one record, with the right number of cells."""
    mark = _separator(feed)
    opened_and_closed = {
        HURT: lambda line: b'"' + line,
        HURT + 1: lambda line: line.replace(mark, b'"' + mark, 1),
    }
    content = _edited(feed, opened_and_closed)
    found = [("QUOTES", HURT), ("QUOTES", HURT + 1)]
    return Case(content, _without(_all(feed), HURT, HURT + 1), found, _count(feed))


def _quotes_without_a_meaning(feed: FeedSpec) -> Case:
    lines = _with_cell(feed, _words(feed), 'the 5" "disk')
    return Case(as_bytes(feed, lines), _numbered(lines), lines=_count(feed))


def _quotes_that_would_join_two_lines(feed: FeedSpec) -> Case:
    lines = good_lines(feed, COUNT)
    column = _words(feed)
    lines[_HURT] = {**lines[_HURT], column: '"opened'}
    lines[_HURT + 1] = {**lines[_HURT + 1], column: 'closed"'}
    return Case(as_bytes(feed, lines), _numbered(lines), lines=_count(feed))


def _everything_quoted(feed: FeedSpec) -> Case:
    content = as_bytes(feed, good_lines(feed, COUNT), quoting=csv.QUOTE_ALL)
    return Case(content, _all(feed), lines=_count(feed))


def _separators_and_quotes_in_a_cell(feed: FeedSpec) -> Case:
    mark = feed.separators[0]
    lines = _with_cell(feed, _words(feed), f'O{mark}"Neil"{mark}, {mark} ""')
    return Case(as_bytes(feed, lines), _numbered(lines), lines=_count(feed))


def _break_in_cell(which: Callable[[list[str]], str], words: str = "one \n two") -> Damage:
    """A line break in one quoted cell: the record covers two lines and loads with a blank."""

    def damage(feed: FeedSpec) -> Case:
        column = which(list(feed.columns))
        lines = _with_cell(feed, column, words)
        kept = {number + (number > HURT): line for number, line in _numbered(lines).items()}
        kept[HURT] = {**lines[_HURT], column: " ".join(words.split())}
        return Case(
            as_bytes(feed, lines),
            kept,
            [("LINE-BREAK", HURT)],
            len(lines) + 1,
            spans={HURT: 2},
        )

    return damage


def _extra_blanks_after_quotes(feed: FeedSpec) -> Case:
    mark = _separator(feed)
    hurt = {HURT: lambda line: line[:-1] + mark + mark + b"\n"}
    content = _edited(feed, hurt, quoting=csv.QUOTE_ALL)
    return Case(content, _without(_all(feed), HURT), [("FIELDS", HURT)], _count(feed))


def _short_with_quotes(feed: FeedSpec) -> Case:
    mark = _separator(feed)
    hurt = {HURT: lambda line: line.rsplit(mark, 1)[0] + b"\n"}
    content = _edited(feed, hurt, quoting=csv.QUOTE_ALL)
    return Case(content, _without(_all(feed), HURT), [("FIELDS", HURT)], _count(feed))


def _long_with_quotes(feed: FeedSpec) -> Case:
    mark = _separator(feed)
    hurt = {HURT: lambda line: line[:-1] + mark + b'"x"\n'}
    content = _edited(feed, hurt, quoting=csv.QUOTE_ALL)
    return Case(content, _without(_all(feed), HURT), [("FIELDS", HURT)], _count(feed))


# --- which feeds can have which damage ------------------------------------------------------------


def _any(_: FeedSpec) -> bool:
    return True


def _with_several_columns(feed: FeedSpec) -> bool:
    return len(feed.columns) > 1


def _with_quotes(feed: FeedSpec) -> bool:
    return feed.quote is not None


def _without_quotes(feed: FeedSpec) -> bool:
    return feed.quote is None


def _with_quotes_and_several_columns(feed: FeedSpec) -> bool:
    return _with_quotes(feed) and _with_several_columns(feed)


def _with_quotes_and_many_columns(feed: FeedSpec) -> bool:
    return _with_quotes(feed) and len(feed.columns) > 6


_DAMAGE: Mapping[str, tuple[Damage, Callable[[FeedSpec], bool]]] = {
    "a byte order mark": (_encoded("utf-8", codecs.BOM_UTF8, "BOM"), _any),
    "UTF-16, little end first": (_encoded("utf-16-le", codecs.BOM_UTF16_LE, "BOM", "UTF16"), _any),
    "UTF-16, big end first": (_encoded("utf-16-be", codecs.BOM_UTF16_BE, "BOM", "UTF16"), _any),
    "UTF-16 without a mark, little end first": (_encoded("utf-16-le", b"", "UTF16"), _any),
    "UTF-16 without a mark, big end first": (_encoded("utf-16-be", b"", "UTF16"), _any),
    "Windows text": (_windows_text, _any),
    "letters of UTF-8": (_letters_of_utf_8, _any),
    "bytes that are no text": (_undecodable, _any),
    "CRLF": (_ended_by("\r\n"), _any),
    "CR only": (_ended_by("\r", "LINE-ENDS"), _any),
    "mixed line ends": (_mixed_ends, _any),
    "no end of the last line": (_no_last_end, _any),
    "blank lines inside": (_blank_inside, _any),
    "blank lines at both ends": (_blank_at_both_ends, _any),
    "a repeated header": (_repeated_header, _any),
    "no header": (_no_header, _any),
    "columns in another order": (_reordered, _any),
    "a header spelled otherwise": (_spelled_otherwise, _any),
    "a header in capitals": (_in_capitals, _any),
    "a wrong separator": (_wrong_separator, _with_several_columns),
    "another separator that is allowed": (_other_separators, _any),
    "an empty file": (_empty, _any),
    "only blank lines": (_only_blank_lines, _any),
    "a header only": (_header_only, _any),
    "a short line": (_short, _with_several_columns),
    "a long line": (_long, _any),
    "extra blank cells in one line": (_extra_blanks, _any),
    "extra blank cells in every line": (_extra_blanks_everywhere(), _any),
    "extra blank cells behind the header": (_blank_end_of_header, _any),
    "an empty row of a spreadsheet": (_empty_row_of_a_spreadsheet, _any),
    "a row count at the end": (_row_count_below, _any),
    "a last line that breaks off": (_cut_off, _with_several_columns),
    "a NUL": (_nul, _any),
    "a stray quote": (_stray_quotes(HURT), _with_quotes),
    "two stray quotes far apart": (_stray_quotes(3, 6), _with_quotes),
    "stray quotes in neighbouring lines": (_stray_quotes(4, 5), _with_quotes),
    "stray quotes in three lines": (_stray_quotes(2, 4, 6), _with_quotes),
    "a quote that is never closed": (_opened_and_never_closed, _with_quotes),
    "a quote closed in the next line": (
        _opened_in_one_line_and_closed_in_the_next,
        _with_quotes_and_several_columns,
    ),
    "quotes where they mean nothing": (_quotes_without_a_meaning, _without_quotes),
    "quotes that would join two lines": (_quotes_that_would_join_two_lines, _without_quotes),
    "everything quoted": (_everything_quoted, _with_quotes),
    "separators and quotes in a cell": (_separators_and_quotes_in_a_cell, _with_quotes),
    "a line break in the first cell": (
        _break_in_cell(lambda names: names[0]),
        _with_quotes_and_several_columns,
    ),
    "a line break in a middle cell": (
        _break_in_cell(lambda names: names[1]),
        _with_quotes_and_several_columns,
    ),
    "a line break in the last cell": (
        _break_in_cell(lambda names: names[-1]),
        _with_quotes_and_several_columns,
    ),
    "a line break among separators": (
        _break_in_cell(lambda names: names[len(names) // 2], "one, two \n three, four^ five"),
        _with_quotes_and_many_columns,
    ),
    "extra blank cells after quoted ones": (_extra_blanks_after_quotes, _with_quotes),
    "extra blank cells after quoted ones everywhere": (
        _extra_blanks_everywhere(quoting=csv.QUOTE_ALL),
        _with_quotes,
    ),
    "a short line of quoted cells": (_short_with_quotes, _with_quotes_and_several_columns),
    "a long line of quoted cells": (_long_with_quotes, _with_quotes),
}


def _of_every_shape() -> list[FeedSpec]:
    """Of each family the feeds with the fewest, the fewest but several, and the most columns.

    Of Foster Focus all nine: no other feed has tabs and no quotes.
    """
    chosen: dict[str, FeedSpec] = {feed.name: feed for feed in foster_focus.FEEDS}
    for family in FAMILIES.values():
        by_width = sorted(family.feeds, key=lambda feed: len(feed.columns))
        several = [feed for feed in by_width if _with_several_columns(feed)]
        chosen |= {feed.name: feed for feed in (by_width[0], several[0], by_width[-1])}
    return list(chosen.values())


_CASES = [
    pytest.param(feed, damage, id=f"{feed.name}: {kind}")
    for kind, (damage, possible) in _DAMAGE.items()
    for feed in _of_every_shape()
    if possible(feed)
]


def _whole_ids(case: Case) -> list[tuple[str, int | None]]:
    return [(rule if "OR-" in rule else f"FILE-{rule}", line) for rule, line in case.found]


@pytest.mark.parametrize(("feed", "damage"), _CASES)
def test_a_damaged_file_loses_what_is_damaged_and_nothing_else(feed: FeedSpec, damage: Damage):
    case = damage(feed)
    reading = read(case.content, usual_name(feed), FAMILIES[feed.family].feeds)
    records = reading.records
    rows = [] if records is None else records.rows(named=True)
    kept = {row[LINE]: {name: row[name] for name in feed.columns} for row in rows}
    found = list(reading.findings.select("rule", "line").iter_rows())
    assert reading.feed is feed
    assert reading.encoding == case.encoding
    assert kept == {
        n: {k: cell or None for k, cell in line.items()} for n, line in case.kept.items()
    }
    assert found == _whole_ids(case)
    assert {row[LINE]: row[SPAN] for row in rows} == {n: case.spans.get(n, 1) for n in case.kept}
    assert reading.lines == case.lines
    assert sum(row[SPAN] for row in rows) + reading.unreadable == reading.lines


# --- what verification makes of it ----------------------------------------------------------------

_REJECTED = {
    "bytes that are no text",
    "no header",
    "a wrong separator",
    "an empty file",
    "only blank lines",
}
_UNHARMED = {
    "a byte order mark",
    "letters of UTF-8",
    "CRLF",
    "CR only",
    "mixed line ends",
    "no end of the last line",
    "blank lines inside",
    "blank lines at both ends",
    "a repeated header",
    "an empty row of a spreadsheet",
    "a row count at the end",
    "columns in another order",
    "a header spelled otherwise",
    "a header in capitals",
    "another separator that is allowed",
    "quotes where they mean nothing",
    "quotes that would join two lines",
}
"""Of the damage that an extract of Foster Focus can have; the rest is accepted with findings."""

_EXTRACTS = [
    (feed, kind)
    for kind, (_, possible) in _DAMAGE.items()
    for feed in foster_focus.FEEDS
    if possible(feed)
]


def _name(feed: FeedSpec, kind: str) -> str:
    return f"{_EXTRACTS.index((feed, kind))}_{usual_name(feed)}"


@cache
def _night() -> Verification:
    """The damaged extracts of one district, verified together: all are about the same students."""
    # Each has a folder, and so a drop, of its own: in one drop they would be the same thing twice.
    sent = {
        f"{number}/{_name(feed, kind)}": _DAMAGE[kind][0](feed).content
        for number, (feed, kind) in enumerate(_EXTRACTS)
    }
    return verified(sent, foster_focus.NAME)


@pytest.mark.parametrize(
    ("feed", "kind"), _EXTRACTS, ids=[f"{feed.name}: {kind}" for feed, kind in _EXTRACTS]
)
def test_a_damaged_extract_is_accounted_for_line_by_line(feed: FeedSpec, kind: str):
    case = _DAMAGE[kind][0](feed)
    name = _name(feed, kind)
    file = outcome(_night(), name)
    found = [place[1:3] for place in broken_rules(_night()) if place[0] == name]
    assert file["feed"] == feed.name
    assert file["lines"] == case.lines == file["accepted"] + file["rejected"]
    assert file["removed"] == 0
    assert file["accepted"] == len(case.kept)
    assert found == _whole_ids(case)
    assert file["verdict"] == (
        "rejected"
        if kind in _REJECTED
        else "accepted"
        if kind in _UNHARMED
        else "accepted_with_findings"
    )


def test_the_kinds_whose_verdict_is_named_are_kinds_of_damage():
    assert _DAMAGE.keys() >= _REJECTED | _UNHARMED
