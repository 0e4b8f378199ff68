"""Good files of any feed, made from its declaration, and their verification.

Belongs here: what the tests of several rooms need to make a file that breaks no rule: lines with
distinct keys, their bytes, the files of a whole family that fit each other. Nothing here knows a
rule by its id; where a rule across cells asks for more than a column says, ``_FITTING`` has the
cell.
"""

from __future__ import annotations

import csv
import io
import string
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import PurePosixPath
from re import _constants as tokens
from re import _parser as patterns

import polars as pl

from ccgi_pipeline.feeds import foster_focus, oneroster
from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS_BY_NAME, STATEWIDE_SENDERS
from ccgi_pipeline.feeds.rules import Scope
from ccgi_pipeline.feeds.spec import FILE, SENDER, FeedSpec
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import Drop, InboxFile, group_drops, is_cd_code
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.drop_files import SizeLimit, files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.offline_check import shipped_knowledge
from ccgi_pipeline.verification.outcomes import KnownRecords, Verification, nothing_known
from ccgi_pipeline_tests.foster_focus import Line, foster_line
from ccgi_pipeline_tests.oneroster import manifest_lines, oneroster_lines

ON = date(2026, 11, 20)
"""The night of all tests: in the school year 2026-27."""
DISTRICT = "3367173"
"""Palm Springs Unified, which the shipped directory lists with the school of ``school_of``."""
LINES = 6
"""Lines of a good file: enough that one can be broken which no other file speaks of."""

_BASE_DATE = date(2010, 3, 1)
"""A student born then is in high school on ``ON``."""


# --- cells that a pattern, a length and a type allow ----------------------------------------------


def matching(pattern: str, number: int, size: int = 8) -> str:
    """A text that matches ``pattern``; ``number`` tells the texts of one pattern apart.

    Repetitions without a fixed count are ``size`` long, as far as the pattern allows it.
    """
    characters = []
    for allowed in reversed(_positions(pattern, size)):
        number, place = divmod(number, len(allowed))
        characters.append(allowed[place])
    return "".join(reversed(characters))


@cache
def _positions(pattern: str, size: int) -> tuple[str, ...]:
    return tuple(_choices(patterns.parse(pattern), size))


def _choices(parsed: patterns.SubPattern, size: int) -> Iterator[str]:
    """For each position of a match the characters that may stand there."""
    for token, argument in parsed:
        if token is tokens.LITERAL:
            yield chr(argument)
        elif token is tokens.IN:
            yield _of_class(argument)
        elif token is tokens.ANY:
            yield string.ascii_lowercase
        elif token is tokens.SUBPATTERN:
            yield from _choices(argument[-1], size)
        elif token is tokens.BRANCH:
            yield from _choices(argument[1][0], size)
        elif token is tokens.MAX_REPEAT:
            least, most, inner = argument
            for _ in range(min(most, max(least, size))):
                yield from _choices(inner, size)
        elif token is not tokens.AT:
            msg = f"patterns with {token} are not known here yet"
            raise NotImplementedError(msg)


_CATEGORIES = {
    tokens.CATEGORY_DIGIT: string.digits,
    tokens.CATEGORY_WORD: string.digits + string.ascii_letters,
    tokens.CATEGORY_SPACE: " ",
}


def _of_class(items: Sequence[tuple[object, object]]) -> str:
    """The characters of a class such as ``[A-Z0-9-]`` or ``[^@]``."""
    named = ""
    for token, argument in items:
        if token is tokens.LITERAL:
            named += chr(argument)
        elif token is tokens.RANGE:
            named += "".join(map(chr, range(argument[0], argument[1] + 1)))
        elif token is tokens.CATEGORY:
            named += _CATEGORIES[argument]
    if items[0][0] is tokens.NEGATE:
        return "".join(sign for sign in string.ascii_lowercase if sign not in named)
    return named


def pattern_of(feed: FeedSpec, column: str) -> str | None:
    """The pattern that the column's cells must match, if it has one."""
    for check in feed.schema.columns[column].checks:
        if check.name == "str_matches":
            return str(check.statistics["pattern"])
    return None


def _text(declared: Column, number: int) -> str:
    longest = declared.length or 1000
    words = f"{declared.name} {number}"
    return words if len(words) <= longest else matching(f"[A-Z]{{{min(longest, 8)}}}", number)


def _in_form(declared: Column, number: int) -> str:
    day = _BASE_DATE + timedelta(days=number)
    return datetime(day.year, day.month, day.day, 8, 30).strftime(declared.formats[0])  # noqa: DTZ001


_BY_TYPE: Mapping[ColumnType, Callable[[Column, int], str]] = {
    ColumnType.STRING: _text,
    ColumnType.DATE: _in_form,
    ColumnType.TIMESTAMP: _in_form,
    ColumnType.INTEGER: lambda _, number: str(number + 1),
    ColumnType.DECIMAL: lambda *_: "3.25",
    ColumnType.YEAR: lambda *_: "2027",
    ColumnType.BOOLEAN: lambda declared, _: declared.true_values[0],
}

_CDS_CODE = "[0-9]{14}"


def school_of(sender: str) -> str:
    """The school to which every good line of ``sender`` belongs; a state-wide one has any."""
    return f"{sender if is_cd_code(sender) else DISTRICT}3335130"


def _good_cell(feed: FeedSpec, declared: Column, number: int, sender: str) -> str:
    """A good cell of the line ``number``; only key columns need differ from line to line."""
    pattern = pattern_of(feed, declared.name)
    alone_key = feed.keys == (declared.name,)
    if pattern is not None and _CDS_CODE in pattern and not alone_key:
        return school_of(sender)
    if declared.example is not None and declared.name not in feed.keys:
        return declared.example
    if pattern is not None:
        return matching(pattern, number + 1)
    if declared.codes is not None:
        current = [
            code.value
            for code in declared.codes.codes
            if (code.start is None or code.start <= ON) and (code.end is None or code.end >= ON)
        ]
        return current[number % len(current)]
    return _BY_TYPE[declared.type](declared, number)


_FITTING: Mapping[str, Mapping[str, str]] = {
    "transcript_course_grade": {
        "SchoolYear": "2025-26",
        "IsWorkInProgress": "N",
        "CourseGrade": "A",
        "SubjectArea": "G",
    },
    "transcript_student": {"LOTECert": "Y"},
}
"""Cells that the rules across columns ask for, by feed and column."""


# --- lines and files ------------------------------------------------------------------------------


def good_lines(feed: FeedSpec, count: int = LINES, sender: str | None = None) -> list[Line]:
    """``count`` lines that break no rule in the company of their family's good files.

    A line of another feed is only ever spoken of by its first one, so the others may be broken
    without a consequence elsewhere. A manifest has a line for each file of its family.
    """
    if feed.name == "transcript_manifest":
        return [{"FileName": usual_name(other)} for other in FAMILIES[feed.family].feeds]
    if feed is oneroster.MANIFEST:
        return manifest_lines()
    sender = sender or sender_of(feed.family)
    if feed.family == oneroster.NAME:
        return oneroster_lines(feed, count)
    if feed.family == foster_focus.NAME:
        return [foster_line(feed, number, sender, school_of(sender)) for number in range(count)]
    fitting = {**_FITTING.get(feed.name, {}), **_related(feed, sender)}
    return [
        {
            name: fitting.get(name) or _good_cell(feed, declared, number, sender)
            for name, declared in feed.columns.items()
        }
        for number in range(count)
    ]


def _related(feed: FeedSpec, sender: str) -> Line:
    """The cells by which a line speaks of the first line of another file of its family."""
    cells: Line = {}
    for relation in feed.relations:
        target = FEEDS_BY_NAME.get(relation.target)
        if relation.scope is not Scope.STATE and target in FAMILIES[feed.family].feeds:
            spoken_of = good_lines(target, 1, sender)[0]
            cells[relation.column] = spoken_of[relation.target_column]
    return cells


def as_bytes(
    feed: FeedSpec,
    lines: Sequence[Mapping[str, str]],
    *,
    separator: str | None = None,
    line_end: str = "\n",
    header: Sequence[str] | None = None,
    quoting: int = csv.QUOTE_MINIMAL,
) -> bytes:
    """The lines as a UTF-8 file.

    ``header`` are the names of line 1, the feed's own unless given; an empty one leaves it out.
    Cells follow the order of the header as far as its names are the feed's.
    """
    written = io.StringIO()
    writer = csv.writer(
        written,
        delimiter=separator or feed.separators[0],
        lineterminator=line_end,
        quoting=csv.QUOTE_NONE if feed.quote is None else quoting,
        quotechar=feed.quote,
    )
    names = list(feed.columns) if header is None else list(header)
    if names:
        writer.writerow(names)
    columns = [name for name in names if name in feed.columns] or list(feed.columns)
    writer.writerows([line[name] for name in columns] for line in lines)
    return written.getvalue().encode()


def usual_name(feed: FeedSpec) -> str:
    """A name by which a file of ``feed`` is recognised."""
    return f"{feed.stems[0].replace(' ', '')}.{'txt' if feed.quote is None else 'csv'}"


def good_file(feed: FeedSpec, count: int = LINES, sender: str | None = None) -> bytes:
    """A file of ``feed`` with ``count`` good lines."""
    return as_bytes(feed, good_lines(feed, count, sender))


def good_set(family: str, sender: str | None = None) -> dict[str, bytes]:
    """One good file of each feed of ``family``, by file name."""
    return {usual_name(feed): good_file(feed, sender=sender) for feed in FAMILIES[family].feeds}


def zipped(files: Mapping[str, bytes], folder: str = "") -> bytes:
    """A zip of ``files``, below ``folder`` in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in files.items():
            package.writestr(f"{folder}{name}", content)
    return packed.getvalue()


def sender_of(family: str) -> str:
    """Who sends files of ``family``: a district, or the state-wide sender."""
    return {sent: sender for sender, sent in STATEWIDE_SENDERS.items()}.get(family, DISTRICT)


# --- verification ---------------------------------------------------------------------------------


def delivered(sent: Mapping[str, bytes], family: str, sender: str | None = None) -> list[Drop]:
    """``sent`` (bytes by file name) as one delivery in the folder of ``family``."""
    sender = sender_of(family) if sender is None else sender
    received = [(InboxFile(f"{sender}/{family}/{name}", sender, family, ""), name) for name in sent]
    return group_drops(received)


def verified(
    sent: Mapping[str, bytes],
    family: str,
    *,
    sender: str | None = None,
    known: KnownRecords = shipped_knowledge,
    profiles: Profiles | None = None,
) -> Verification:
    """What verification makes of ``sent`` on the night ``ON``."""
    drops = delivered(sent, family, sender)
    limit = SizeLimit((profiles or Profiles()).intake.largest_drop)
    files = files_to_verify(drops, lambda _, name: Content.of_bytes(sent[name]), limit)
    return verify(files, ON, known, profiles)


def verified_together(
    by_sender: Mapping[str, Mapping[str, bytes]], family: str, profiles: Profiles | None = None
) -> Verification:
    """What verification makes of the deliveries of many senders in one night.

    The directory knows the school of each of them and nothing else.
    """
    drops = [drop for sender, sent in by_sender.items() for drop in delivered(sent, family, sender)]
    files = files_to_verify(
        drops, lambda file, name: Content.of_bytes(by_sender[file.sender][name])
    )

    def known(feed: str, columns: tuple[str, ...], senders: Sequence[str] | None) -> pl.DataFrame:
        if feed != "cde_directory":
            return nothing_known(feed, columns, senders)
        schools = [school_of(sender) for sender in by_sender]
        return pl.DataFrame({SENDER: "cde", **dict.fromkeys(columns, schools)})

    return verify(files, ON, known, profiles)


Place = tuple[str, str, int | None, str | None]
"""Where a rule is broken: file name, rule id, line, column."""


def broken_rules(verification: Verification, sender: str | None = None) -> list[Place]:
    """Every finding (of the files of ``sender``) as a place, in the order of files and lines."""
    found = verification.findings.join(
        verification.files.select(FILE, SENDER, "path"), on=FILE, maintain_order="left"
    )
    if sender is not None:
        found = found.filter(pl.col(SENDER) == sender)
    return [
        (PurePosixPath(path).name, *place)
        for path, *place in found.select("path", "rule", "line", "column").iter_rows()
    ]


def outcome(verification: Verification, name: str, sender: str | None = None) -> dict[str, object]:
    """The row of the file ``name`` (of ``sender``) in the verification's files."""
    rows = verification.files.rows(named=True)
    return next(
        row
        for row in rows
        if PurePosixPath(row["path"]).name == name and sender in {None, row[SENDER]}
    )
