"""For each cause a file that it happened to, and a neighbour that has other findings.

Belongs here: the bytes of such files, made of good lines. Does not belong here: what is expected of
them (test_causes).
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS, ENROLLMENT_HISTORY
from ccgi_pipeline.feeds.oneroster import FEEDS as ONEROSTER
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_GRADE, STUDENT
from ccgi_pipeline_tests.files import as_bytes, good_file, good_lines, usual_name, zipped

COUNT = 12
OTHER_DISTRICT = "1975309"
USERS = next(feed for feed in ONEROSTER if feed.stems == ("users",))
Cells = str | Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Sample:
    """A file of ``feed``, by its name."""

    feed: FeedSpec
    content: bytes


def _of(
    feed: FeedSpec,
    *,
    only: range = range(COUNT),
    count: int = COUNT,
    cells: Mapping[str, Cells] | None = None,
    **form: object,
) -> Sample:
    """A file whose lines ``only`` have these cells."""
    lines = [dict(line) for line in good_lines(feed, count)]
    for number in only:
        if number < count:
            for name, cell in (cells or {}).items():
                lines[number][name] = cell(number) if callable(cell) else cell
    return Sample(feed, as_bytes(feed, lines, **form))  # type: ignore[arg-type]


def roster(only: range = range(COUNT), **cells: Cells) -> Sample:
    """A StudentTemplate whose lines ``only`` have these cells."""
    return _of(STUDENT, only=only, cells=cells)


def _children(**cells: Cells) -> Sample:
    return _of(DEMOGRAPHICS, cells=cells)


def _raw(content: bytes, feed: FeedSpec = STUDENT) -> Sample:
    return Sample(feed, content)


GOOD = good_file(STUDENT, COUNT)
_LINES = GOOD.decode().splitlines()
_WORKBOOK = zipped({"[Content_Types].xml": b"<Types/>", "xl/workbook.xml": b"<workbook/>"})
_DOCUMENT = zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<document/>"})
_PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"
_PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
_PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"
_XML = b'<?xml version="1.0"?>\n<students><student/></students>\n'


def _lines(change: Callable[[int, str], str], feed: FeedSpec = STUDENT) -> Sample:
    """A good file whose lines below the header are changed by their number, from 0."""
    head, *below = good_file(feed, COUNT).decode().splitlines()
    return _raw("\n".join([head, *(change(n, x) for n, x in enumerate(below)), ""]).encode(), feed)


def _with_header(*names: str, feed: FeedSpec = STUDENT) -> Sample:
    _, *below = good_file(feed, COUNT).decode().splitlines()
    return _raw("\n".join([feed.separators[0].join(names), *below, ""]).encode(), feed)


def _renamed(name: str, other: str, feed: FeedSpec = USERS) -> Sample:
    return _with_header(
        *(other if column == name else column for column in feed.columns), feed=feed
    )


def _fixed_width() -> Sample:
    lines = [line.split("\t") for line in good_file(DEMOGRAPHICS, COUNT).decode().splitlines()]
    return _raw(
        "\n".join("  ".join(f"{x:<20}" for x in line) for line in lines).encode(), DEMOGRAPHICS
    )


def _in_quotes() -> Sample:
    return _raw("".join('"{}"\n'.format(line.replace('"', '""')) for line in _LINES).encode())


def _broken(number: int, line: str) -> str:
    cells = line.split(",")
    cells[8] = "one\ntwo" if number in {2, 5} else cells[8]
    return ",".join(cells)


def _shortened(by: Callable[[int], int]) -> Sample:
    def change(number: int, line: str) -> str:
        return ",".join(line.split(",")[: len(STUDENT.columns) - by(number)])

    return _lines(change)


def _quoted(some: range) -> Sample:
    def change(number: int, line: str) -> str:
        return "\t".join(f'"{cell}"' for cell in line.split("\t")) if number in some else line

    return _lines(change, DEMOGRAPHICS)


def _comma_in_name(some: range) -> Sample:
    def change(number: int, line: str) -> str:
        cells = line.split(",")
        return ",".join([*cells[:9], "one, two", *cells[10:]]) if number in some else line

    return _lines(change)


def _stray(some: Sequence[int]) -> Sample:
    def change(number: int, line: str) -> str:
        cells = line.split(",")
        return ",".join([*cells[:7], 'Ann "Bo', *cells[8:]]) if number in some else line

    return _lines(change)


def _repeated(some: range, **cells: Cells) -> Sample:
    lines = good_lines(STUDENT, COUNT)
    again = [
        {**line, **{name: cell(n) if callable(cell) else cell for name, cell in cells.items()}}
        for n, line in enumerate(lines)
        if n in some
    ]
    return _raw(as_bytes(STUDENT, [*lines, *again]))


def _empty_rows(count: int, *, keyed: bool) -> bytes:
    blank = dict.fromkeys(STUDENT.columns, "") | {"ParentConsent": "N"}
    rows = [{**blank, "StateID": f"{5 + n}000000000"} if keyed else blank for n in range(count)]
    return as_bytes(STUDENT, rows).split(b"\n", 1)[1]


def _enrollments(year: Callable[[int], int]) -> Sample:
    return _of(
        ENROLLMENT_HISTORY,
        cells={"EntryDate": lambda n: f"08/14/{year(n)}", "ExitDate": "", "ExitReason": ""},
    )


def _other_district(count: int) -> Sample:
    return roster(range(count), PrimaryCDSCode=f"{OTHER_DISTRICT}1930254")


_FEW = range(3)
_ODD_NAMES = ["ID", "First", "Last", "Born", "Sex", "Level", "School", "Start", "End", "Mail",
              "Alpha", "Beta", "Gamma"]  # fmt: skip

SAMPLES: Mapping[str, tuple[Sample, Sample]] = {
    # --- contents
    "CAUSE-ZEROS": (_raw(bytes(4096)), _raw(bytes(4096) + b"x")),
    "CAUSE-EMPTY": (_raw(b""), _raw(b"(0 rows affected)\n")),
    "CAUSE-WORKBOOK": (_raw(_WORKBOOK), _raw(_DOCUMENT)),
    "CAUSE-DOCUMENT": (_raw(_DOCUMENT), _raw(_WORKBOOK)),
    "CAUSE-ZIP": (_raw(zipped({"StudentTemplate.csv": GOOD})), _raw(_WORKBOOK)),
    "CAUSE-COMPRESSED": (_raw(gzip.compress(GOOD, mtime=0)), _raw(_PDF)),
    "CAUSE-PGP": (
        _raw(b"-----BEGIN PGP MESSAGE-----\n\nhQEMA1\n-----END PGP MESSAGE-----\n"),
        _raw(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQENB\n"),
    ),
    "CAUSE-PDF": (_raw(_PDF), _raw(b"PDF report of students\n")),
    "CAUSE-PICTURE": (_raw(_PICTURE), _raw(_PDF)),
    "CAUSE-DATABASE": (_raw(b"SQLite format 3\x00" + bytes(200)), _raw(_PICTURE)),
    "CAUSE-WEB-PAGE": (_raw(_PAGE), _raw(_XML)),
    "CAUSE-XML": (_raw(_XML), _raw(_PAGE)),
    "CAUSE-JSON": (_raw(b'{"students": [{"StateID": "1"}]}\n'), _raw(b"[see below] {notes}\n")),
    "CAUSE-ERROR-MESSAGE": (
        _raw(b"Msg 208, Level 16, State 1, Line 1\nInvalid object name 'students'.\n"),
        _raw(b"Messages of the day\n"),
    ),
    "CAUSE-UTF-16": (_raw(GOOD.decode().encode("utf-16")), _raw(bytes(4096))),
    "CAUSE-OLD-ENCODING": (
        _raw(roster(LastName="Peñaflor").content.decode().encode("cp1252")),
        _raw(roster(LastName="Peñaflor").content.replace("ñ".encode(), b"\xf1", 1)),
    ),
    # --- headers
    "CAUSE-SCHOOL-DATA-SYNC": (
        _with_header(*USERS.columns, USERS.headers.foreign_marks[0], feed=USERS),  # type: ignore[union-attr]
        _with_header(*USERS.columns, "Shoe size", feed=USERS),
    ),
    "CAUSE-OLD-VERSION": (_renamed("agentSourcedIds", "agents"), _renamed("username", "USERNAME")),
    "CAUSE-SEMICOLONS": (_of(STUDENT, separator=";"), _of(STUDENT, header=[])),
    "CAUSE-TABS": (_of(USERS, separator="\t"), _of(USERS, separator=";")),
    "CAUSE-PIPES": (_of(STUDENT, separator="|"), _of(STUDENT, separator=";")),
    "CAUSE-CARETS": (_of(DEMOGRAPHICS, separator="^"), _of(DEMOGRAPHICS, separator="|")),
    "CAUSE-COMMAS": (_of(DEMOGRAPHICS, separator=","), _of(DEMOGRAPHICS, separator="|")),
    "CAUSE-FIXED-WIDTH": (_fixed_width(), _raw(b"Report of all foster youth\n", DEMOGRAPHICS)),
    "CAUSE-LINES-IN-QUOTES": (
        _in_quotes(),
        _of(STUDENT, header=[*_ODD_NAMES], quoting=csv.QUOTE_ALL),
    ),
    "CAUSE-TITLE-LINES": (
        _raw(b"Students of all schools\n\nNovember 2026\n" + GOOD),
        _raw(b"Students of all schools\n" + "\n".join(_LINES[1:]).encode()),
    ),
    "CAUSE-OTHER-FILE": (_raw(good_file(COURSE_GRADE, COUNT)), _of(STUDENT, header=[])),
    "CAUSE-OTHER-EXPORT": (
        _raw(b"Student,Attendance Date,Absence Code,Days Absent\nx,y,z,1\n"),
        _raw(b"Student,Attendance Date,Place,Color\nx,y,z,1\n"),
    ),
    "CAUSE-NO-HEADER": (_of(STUDENT, header=[]), _raw(b"some,words,that,say,nothing\n")),
    "CAUSE-COLUMN-NAMES": (_with_header(*_ODD_NAMES), _of(STUDENT, header=[])),
    # --- lines
    "CAUSE-BLANK-ROWS": (_raw(GOOD + b",,,,\n" * 20), _raw(GOOD + b"(12 rows affected)\n")),
    "CAUSE-REPORT-LINES": (_raw(GOOD + b"(12 rows affected)\n"), _raw(GOOD + b",,,,\n" * 20)),
    "CAUSE-FILLED-DOWN": (
        _raw(GOOD + _empty_rows(8, keyed=False)),
        _raw(GOOD + _empty_rows(8, keyed=True)),
    ),
    "CAUSE-TRAILING-COLUMNS": (
        _lines(lambda _, line: f"{line},,"),
        _lines(lambda number, line: f"{line},," if number < len(_FEW) else line),
    ),
    "CAUSE-BROKEN-LINES": (_lines(_broken), _shortened(lambda _: 2)),
    "CAUSE-SURPLUS-CELL": (_comma_in_name(_FEW), _comma_in_name(range(1))),
    "CAUSE-SHORT-LINES": (
        _shortened(lambda _: 2),
        _shortened(lambda number: {3: 1, 7: 4}.get(number, 0)),
    ),
    "CAUSE-STRAY-QUOTES": (_stray((1, 4, 7, 9)), _stray((4,))),
    "CAUSE-CUT-OFF": (_raw(GOOD[:-60]), _raw(GOOD[:-1] + b",x")),
    "CAUSE-TWICE": (_repeated(range(COUNT)), _repeated(_FEW)),
    "CAUSE-JOINED-ROWS": (
        _repeated(_FEW, RaceCode1="800"),
        _repeated(_FEW, RaceCode1="800", FirstName="Ana", LastName="Cruz", GradeLevel="12"),
    ),
    "CAUSE-FILES-JOINED": (
        _raw("\n".join([*_LINES[:6], _LINES[0], *_LINES[6:], ""]).encode()),
        _raw(GOOD + b"(12 rows affected)\n"),
    ),
    "CAUSE-BLANK-COLUMN": (roster(Gender=""), roster(range(6), Gender="")),
    # --- words
    "CAUSE-QUOTED-CELLS": (_quoted(range(COUNT)), _quoted(_FEW)),
    "CAUSE-NULL-WORDS": (roster(MiddleName="NULL"), roster(range(1), MiddleName="NULL")),
    "CAUSE-NARROW-COLUMNS": (roster(DateOfBirth="########"), roster(DateOfBirth="#1 of March")),
    "CAUSE-FORMULA-ERRORS": (roster(FirstName="#N/A"), roster(DateOfBirth="########")),
    "CAUSE-ENCODED-TWICE": (roster(FirstName="JosÃ©"), roster(range(1), FirstName="JosÃ©")),
    "CAUSE-ENTITIES": (
        roster(FirstName="Jos&eacute;"),
        roster(range(1), FirstName="Jos&eacute;"),
    ),
    "CAUSE-LOST-LETTERS": (roster(LastName="Mu?oz"), roster(range(1), LastName="Mu?oz")),
    "CAUSE-NAMES-IN-ONE": (
        roster(LastName="Cruz, Ana", FirstName=""),
        roster(LastName="Cruz", FirstName=""),
    ),
    # --- codes
    "CAUSE-POWERS-OF-TEN": (roster(StateID="5.00E+09"), roster(StateID="50E")),
    "CAUSE-TEXT-MARKS": (
        roster(StateID=lambda n: f"'50000000{n:02d}"),
        roster(StateID=lambda n: f"x50000000{n:02d}"),
    ),
    "CAUSE-DECIMALS": (
        roster(StateID=lambda n: f"50000000{n:02d}.0"),
        roster(StateID=lambda n: f"50000000{n:02d}.5"),
    ),
    "CAUSE-LEADING-ZERO": (
        roster(PrimaryCDSCode="1612590130229"),
        roster(PrimaryCDSCode="161259013022"),
    ),
    "CAUSE-SCHOOL-CODES": (
        roster(PrimaryCDSCode="3335130"),
        roster(PrimaryCDSCode="1612590130229"),
    ),
    "CAUSE-SCHOOL-FOR-DISTRICT": (
        _children(SystemID="33671733335130"),
        _children(SystemID="336717333"),
    ),
    "CAUSE-CODE-SIGNS": (
        roster(PrimaryCDSCode="33-67173-3335130"),
        roster(PrimaryCDSCode="33-67173"),
    ),
    "CAUSE-LOCAL-IDS": (
        roster(StateID=lambda n: f"{100200 + n}"),
        roster(StateID=lambda n: f"{100200300 + n}"),
    ),
    "CAUSE-CUT-CODES": (
        roster(PrimaryCDSCode="336717333351"),
        roster(PrimaryCDSCode=lambda n: "3367173333513"[: 8 + n % 4]),
    ),
    "CAUSE-GRADE-WORDS": (roster(GradeLevel="9th"), roster(GradeLevel="9x")),
    "CAUSE-DESCRIPTIONS": (roster(Gender="Male"), roster(Gender="Q")),
    "CAUSE-DECIMAL-COMMAS": (roster(GPA="3,25"), roster(GPA="3.2.5")),
    "CAUSE-CHECK-MARKS": (roster(ParentConsent="X"), roster(ParentConsent="Perhaps")),
    "CAUSE-OTHER-DISTRICT": (_other_district(COUNT), _other_district(3)),
    # --- dates
    "CAUSE-SERIAL-DATES": (roster(DateOfBirth="40238"), roster(DateOfBirth="402380")),
    "CAUSE-DAY-MONTH": (roster(DateOfBirth="25/03/2010"), roster(DateOfBirth="02/30/2010")),
    "CAUSE-SHORT-YEARS": (roster(DateOfBirth="3/1/10"), roster(DateOfBirth="3/1/010")),
    "CAUSE-DATE-TIMES": (
        roster(DateOfBirth="03/01/2010 00:00:00"),
        roster(DateOfBirth="03/01/2010 AD"),
    ),
    "CAUSE-DATE-FORM": (roster(DateOfBirth="20100301"), roster(DateOfBirth="a day in March")),
    "CAUSE-TIME-FORM": (
        _of(USERS, cells={"dateLastModified": "11/20/2026 8:30"}),
        _of(USERS, cells={"dateLastModified": "this morning"}),
    ),
    "CAUSE-LAST-YEAR": (
        _enrollments(lambda _: 2024),
        _enrollments(lambda n: 2026 if n > len(_FEW) else 2024),
    ),
}
"""By the cause's id: a file that it happened to, and a neighbour that has other findings."""


def name_of(sample: Sample) -> str:
    """The name under which the file is sent."""
    return usual_name(sample.feed)
