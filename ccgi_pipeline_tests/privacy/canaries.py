"""Canaries: students of whom every personal cell is a value that occurs nowhere else.

Belongs here: their lines in each feed, good ones and odd ones, and how to find a value of theirs in
any bytes, however it is spelled. Does not belong here: where to look (places), what happens to the
files (nights).

A cell of a code set or a yes-or-no is shared by half of the state and cannot be told from others;
everything else of a personal column is.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec, fold
from ccgi_pipeline_tests.files import good_lines, pattern_of
from ccgi_pipeline_tests.foster_focus import Line

STUDENTS = 20

_SAME = {
    "stateid": "ssid",
    "dateofbirth": "birthdate",
    "givenname": "firstname",
    "familyname": "lastname",
    "usersourcedid": "user",
    "agentsourcedids": "user",
    "userprofilesourcedid": "profile",
}
"""Columns of different feeds that say the same of a student, so that the feeds find each other."""
_SAME_IN = {
    ("oneroster_users", "sourcedId"): "user",
    ("oneroster_demographics", "sourcedId"): "user",
    ("oneroster_userProfiles", "sourcedId"): "profile",
}
_SSID, _BIRTH = "ssid", "birthdate"


def role(feed: FeedSpec, column: Column) -> str:
    """What the column says of a student, by one word for all feeds."""
    folded = fold(column.name)
    return _SAME_IN.get((feed.name, column.name)) or _SAME.get(folded, folded)


_ROLES = {
    name: number
    for number, name in enumerate(
        sorted({role(feed, c) for feed in FEEDS for c in feed.columns.values()})
    )
}
_LETTERS = "bcdfghjklmnpqrstvwxz"


def word(said: str, student: int) -> str:
    """A name or an id of the student: eight letters that begin with Qzx."""
    number = _ROLES[said] * STUDENTS + student
    letters = ""
    for _ in range(5):
        number, place = divmod(number, len(_LETTERS))
        letters = _LETTERS[place] + letters
    return f"Qzx{letters}"


def ssid(student: int) -> str:
    """Ten digits of a range that nobody else has."""
    return f"97531{student:05d}"


def birth(student: int) -> date:
    """A day of 2009, on which nobody else was born and nothing else of the tests happens."""
    return date(2009, 1 + student % 12, 3 + student)


def _decimal(said: str, student: int) -> str:
    return f"3.{(_ROLES[said] * STUDENTS + student) % 8999 + 1000}"


def canary(feed: FeedSpec, column: Column, student: int, like: str = "") -> str | None:
    """The value of the student in a personal column; None where none can be told from others.

    ``like``: a good cell, whose form a date takes.
    """
    said = role(feed, column)
    if not column.personal or column.codes is not None or column.name in _STRUCTURE:
        return None
    if column.type is ColumnType.DATE and said == _BIRTH:
        form = "%Y-%m-%d" if "-" in like else column.formats[0]
        return f"{birth(student):{form}}"
    if column.type is ColumnType.DECIMAL:
        return _decimal(said, student)
    return _text(feed, column, said, student) if column.type is ColumnType.STRING else None


def _text(feed: FeedSpec, column: Column, said: str, student: int) -> str | None:
    """The first of the student's words that the column's pattern permits."""
    pattern = pattern_of(feed, column.name) or ".*"
    told = (ssid(student),) if said == _SSID else ()
    words = (*told, word(said, student), f"{word(said, student)}@example.org")
    return next((text for text in words if re.fullmatch(pattern, text)), None)


_STRUCTURE = {
    *("SystemID", "SchoolCDSCode", "EventSchoolCDSCode", "SISSchoolCode", "SisSchoolCode"),
    *("SpecProgEDate", "SpecProgXDate"),
}
"""Foster Focus' columns that name a district or a school, and dates that are text to it."""


def good(feed: FeedSpec, sender: str | None = None, count: int = STUDENTS) -> list[Line]:
    """A line of each student that breaks no rule but those of rare values."""
    return [_with_canaries(feed, line) for line in _numbered(feed, sender, count)]


def _numbered(feed: FeedSpec, sender: str | None, count: int) -> Iterator[tuple[int, Line]]:
    for number, line in enumerate(good_lines(feed, count, sender)):
        named = re.fullmatch(r"users-([0-9]+)", line.get("sourcedId", ""))
        yield int(named[1]) if named else number, line


def _with_canaries(feed: FeedSpec, numbered: tuple[int, Line]) -> Line:
    student, line = numbered
    return {
        name: canary(feed, feed.columns[name], student, cell) or cell
        if cell or name == "password"
        else ""
        for name, cell in line.items()
    }


def odd(feed: FeedSpec, count: int = STUDENTS) -> list[Line]:
    """Lines in which every cell is a word of its own: wrong for every column but plain text."""
    return [
        {name: word(role(feed, column), student) for name, column in feed.columns.items()}
        for student in range(count)
    ]


def turned(feed: FeedSpec, lines: Sequence[Line]) -> list[Line]:
    """The same lines with every cell in the next column."""
    names = [*feed.columns]
    return [
        dict(zip(names, [line[names[-1]], *(line[name] for name in names[:-1])], strict=True))
        for line in lines
    ]


# --- finding them ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sung:
    """Where a canary was found: the place, and what stands there."""

    place: str
    canary: str


_WORD = re.compile(rb"qzx[bcdfghjklmnpqrstvwxz]{5}")
_NUMBER = re.compile(rb"97531[0-9]{5}")
_DECIMAL = re.compile(rb"3\.[0-9]{4}")
_YEAR = re.compile(b"2009")
_DATE = re.compile(
    rb"2009[-/., _]{1,2}[0-9]{1,2}[-/., _]{1,2}[0-9]{1,2}(?![0-9])"
    rb"|(?<![0-9])[0-9]{1,2}[-/., _]{1,2}[0-9]{1,2}[-/., _]{1,2}2009"
    rb"|(?<![0-9])2009[0-9]{4}(?![0-9])|(?<![0-9])[0-9]{4}2009(?![0-9])"
    rb"|[a-z]{3,9} [0-9]{1,2},? 2009|[0-9]{1,2}\.? [a-z]{3,9} 2009"
)
_DIGEST = re.compile(rb"[0-9a-f]{24,}")
"""The forms that a canary may have; whether it is one of ours, ``all_canaries`` says. Each of the
first four begins with letters that are rare, so that megabytes are searched at once."""
_AROUND_A_YEAR = 16


def _spelled(content: bytes) -> Iterator[bytes]:
    small = content.lower()
    yield from _WORD.findall(small)
    yield from _NUMBER.findall(small)
    for found in _DECIMAL.finditer(small):
        beside = (
            small[max(0, found.start() - 1) : found.start()] + small[found.end() : found.end() + 1]
        )
        if not any(byte in b"0123456789" for byte in beside):
            yield found[0]
    # A digest has every eight digits sooner or later: of digests only other canaries are told.
    for found in _YEAR.finditer(_DIGEST.sub(b" digest ", small)):
        yield from _DATE.findall(
            found.string, max(0, found.start() - _AROUND_A_YEAR), found.end() + _AROUND_A_YEAR
        )


@cache
def all_canaries() -> frozenset[str]:
    """Every value, small letters, as the search finds it."""
    words = {word(said, student).lower() for said in _ROLES for student in range(STUDENTS)}
    decimals = {
        _decimal(role(feed, column), student)
        for feed in FEEDS
        for column in feed.columns.values()
        if column.personal and column.type is ColumnType.DECIMAL
        for student in range(STUDENTS)
    }
    numbers = {ssid(student) for student in range(STUDENTS)}
    dates = {spelled for student in range(STUDENTS) for spelled in _spellings(birth(student))}
    return frozenset(words | decimals | numbers | dates)


def _spellings(day: date) -> Iterator[str]:
    """A date as people and programs write it."""
    year, *others = (
        f"{day.year}",
        (f"{day.month}", f"{day.month:02d}"),
        (f"{day.day}", f"{day.day:02d}"),
    )
    for mark in ("-", "/", ".", " ", "_", ", ", ",", ""):
        for month, of_month in itertools.product(
            *(forms if mark else forms[1:] for forms in others)
        ):
            yield mark.join((year, month, of_month))
            yield mark.join((month, of_month, year))
            yield mark.join((of_month, month, year))
    for name in (f"{day:%B}", f"{day:%b}"):
        for of_month in others[1]:
            yield f"{name} {of_month}, {year}".lower()
            yield f"{name} {of_month} {year}".lower()
            yield f"{of_month} {name} {year}".lower()
            yield f"{of_month}. {name} {year}".lower()


def canaries_in(content: bytes) -> set[str]:
    """The canaries that stand in ``content``: as text, UTF-16, packed or in base 64."""
    return {
        spelled
        for form in _forms(content)
        for found in _spelled(form)
        if (spelled := found.decode("ascii")) in all_canaries()
    }


_BASE_64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")


def _forms(content: bytes) -> Iterator[bytes]:
    yield content
    if b"\0" in content:
        yield content.replace(b"\0", b"")  # UTF-16, of letters that are ASCII
    if b"\\" in content:
        yield content.replace(b"\\", b"")  # dates in JSON: 01\/02\/2009
    if b"%" in content:
        yield re.sub(rb"%([0-9A-Fa-f]{2})", lambda hexed: bytes.fromhex(hexed[1].decode()), content)
    packed = _unpacked(content)
    if packed is not None:
        yield packed
    for written in _BASE_64.findall(content):
        yield from _of_base_64(written)


def _of_base_64(written: bytes) -> Iterator[bytes]:
    # 40 and 64 hexadecimal digits are names of runs and contents: thousands, and nothing in them.
    if re.fullmatch(rb"[0-9a-f-]+", written):
        return
    try:
        raw = base64.b64decode(written + b"=" * (-len(written) % 4), altchars=None)
    except (binascii.Error, ValueError):
        return
    yield raw
    packed = _unpacked(raw)
    if packed is not None:
        yield packed


def _unpacked(content: bytes) -> bytes | None:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return None


def sung_in(place: str, parts: Mapping[str, bytes]) -> list[Sung]:
    """The canaries in each of ``parts`` of a place, and in their names."""
    return [
        Sung(f"{place}: {name}", found)
        for name, content in parts.items()
        for found in sorted(canaries_in(content) | canaries_in(name.encode(errors="replace")))
    ]
