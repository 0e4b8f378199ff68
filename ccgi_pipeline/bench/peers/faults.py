"""Faults as real files have them, each put into a copy of a good set.

Belongs here: one entry for each kind of fault, with the rule of ``ccgi check`` that tells it, and
how a file's bytes become wrong. Does not belong here: faults in many lines at once, for tests of
the pipeline (``synthetic.defects``), and what tools say (``judgement``).
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ccgi_pipeline.bench.peers.exchange import HEADER_LINE

Lines: TypeAlias = list[bytes]
"""The lines of a file with their ends; the header is the first."""
Broken: TypeAlias = tuple[Lines, tuple[int, ...]]
"""The lines with a fault in them, and the numbers of those that show it; none: the whole file."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault: what it is called, its file, the rule that tells it, and the act.

    ``beside``: rules that the same fault breaks too, by its nature.
    """

    name: str
    feed: str
    rule: str
    act: Callable[[Lines], Broken]
    beside: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The family of the file."""
        return self.feed.split("_", 1)[0]


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """A fault in a set: its folder, the file, the lines that show it, and the file's data lines.

    ``count`` is the number of lines as an editor counts them, without the header; 0 if the file is
    gone.
    """

    fault: Fault
    folder: Path
    file: str
    lines: tuple[int, ...]
    count: int


def plant_fault(fault: Fault, good: Path, file: str, folder: Path) -> PlantedFault:
    """Copies the good set into ``folder`` (which must not exist), with the fault in ``file``.

    Raises:
        ValueError: no line of the file can have the fault, because the set is too small.
    """
    try:
        lines, shown = fault.act((good / file).read_bytes().splitlines(keepends=True))
    except StopIteration:
        msg = f"{file} has no place for: {fault.name}"
        raise ValueError(msg) from None
    shutil.copytree(good, folder)
    if lines:
        (folder / file).write_bytes(b"".join(lines))
    else:
        (folder / file).unlink()
    count = max(0, len(lines) - HEADER_LINE)
    return PlantedFault(fault, folder, file, shown, count)


# --- acts on one line ---------------------------------------------------------------------------


def _split(line: bytes) -> list[str]:
    return next(csv.reader([line.decode()]))


def _join(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _find_line(lines: Lines, column: str, fits: Callable[[str], bool]) -> int:
    """Returns the index of the first line from the middle on whose cell fits."""
    place = _split(lines[0]).index(column)
    found = (n for n in range(len(lines) // 2, len(lines)) if fits(_split(lines[n])[place]))
    return next(found)


def _change(
    column: str, change: Callable[[str], str], lines: Lines, *, fits: Callable[[str], bool] = bool
) -> Broken:
    """Changes one cell of ``column`` that is not blank (or that ``fits``)."""
    at = _find_line(lines, column, fits)
    cells = _split(lines[at])
    place = _split(lines[0]).index(column)
    cells[place] = change(cells[place])
    return [*lines[:at], _join(cells), *lines[at + 1 :]], (at + 1,)


def _set(column: str, cell: str, lines: Lines) -> Broken:
    return _change(column, lambda _: cell, lines, fits=lambda _: True)


def _change_bytes(
    column: str, change: Callable[[bytes], bytes], lines: Lines, fits: Callable[[str], bool] = bool
) -> Broken:
    """Changes the bytes of one cell, which stands unquoted between separators."""
    at = _find_line(lines, column, fits)
    cell = _split(lines[at])[_split(lines[0]).index(column)].encode()
    broken = lines[at].replace(b"," + cell + b",", b"," + change(cell) + b",", 1)
    return [*lines[:at], broken, *lines[at + 1 :]], (at + 1,)


def _repeat(column: str, lines: Lines) -> Broken:
    """Repeats a line with another cell in ``column``, so that only the key is the same."""
    at = _find_line(lines, column, bool)
    return [*lines[: at + 1], lines[at], *lines[at + 1 :]], (at + 2,)


def _quote_two(column: str, apart: int, lines: Lines) -> Broken:
    """Puts a quotation mark before two cells of a column, so many lines apart."""
    first = len(lines) // 2
    place = _split(lines[0]).index(column)
    broken = list(lines)
    for at in (first, first + apart):
        cells = lines[at].split(b",")
        cells[place] = b'"' + cells[place]
        broken[at] = b",".join(cells)
    return broken, (first + 1, first + apart + 1)


def _drop_cell(lines: Lines) -> Broken:
    at = len(lines) // 2
    return [*lines[:at], _join(_split(lines[at])[:-1]), *lines[at + 1 :]], (at + 1,)


# --- acts on a file -----------------------------------------------------------------------------


def _truncate(lines: Lines) -> Broken:
    last = lines[-1]
    return [*lines[:-1], last[: len(last) * 2 // 3]], (len(lines),)


def _insert(line: bytes, lines: Lines) -> Broken:
    at = len(lines) // 2
    return [*lines[:at], line, *lines[at:]], (at + 1,)


def _append(line: bytes, lines: Lines) -> Broken:
    return [*lines, line], (len(lines) + 1,)


def _repeat_header(lines: Lines) -> Broken:
    return _insert(lines[0], lines)


def _rename(column: str, name: str, lines: Lines) -> Broken:
    header = [name if cell == column else cell for cell in _split(lines[0])]
    return [_join(header), *lines[1:]], (HEADER_LINE,)


def _as_utf_16(lines: Lines) -> Broken:
    header, *rest = (line.decode() for line in lines)
    return [header.encode("utf-16"), *(line.encode("utf-16")[_MARK:] for line in rest)], ()


_MARK = 2
"""Bytes of a byte order mark, with which only the file begins."""


def _remove(_: Lines) -> Broken:
    return [], ()


def _has_accent(cell: str) -> bool:
    return not cell.isascii()


def _as_cp1252(cell: bytes) -> bytes:
    return cell.decode().encode("cp1252")


def _as_mojibake(cell: bytes) -> bytes:
    return cell.decode("cp1252", "replace").encode()


def _without_letter(cell: bytes) -> bytes:
    return (
        cell.decode().encode("ascii", "replace").replace(b"?", "\N{REPLACEMENT CHARACTER}".encode())
    )


_STUDENT, _COURSE = "transcript_student", "transcript_course_grade"
_USERS, _ENROLLMENTS = "oneroster_users", "oneroster_enrollments"
_FOOTER = b"(19 rows affected)\n"

FAULTS = (
    Fault(
        "a word where a number belongs", _STUDENT, "TR-STU-TYPE-GPA", partial(_set, "GPA", "good")
    ),
    Fault(
        "a form that is not the column's",
        _COURSE,
        "TR-CRS-TYPE-SchoolYear",
        partial(_set, "SchoolYear", "2025-2026"),
    ),
    Fault(
        "a day that does not exist",
        _STUDENT,
        "TR-STU-TYPE-DateOfBirth",
        partial(_set, "DateOfBirth", "02/30/2010"),
    ),
    Fault(
        "a date in another form",
        _STUDENT,
        "TR-STU-TYPE-DateOfBirth",
        partial(_set, "DateOfBirth", "2010-08-26"),
    ),
    Fault(
        "a cell that is too long",
        _STUDENT,
        "TR-STU-LEN-LocalStudentID",
        partial(_set, "LocalStudentID", "1" * 31),
    ),
    Fault(
        "a code that is not in the list", _USERS, "OR-USR-CODE-role", partial(_set, "role", "pupil")
    ),
    Fault(
        "a required cell that is blank",
        _USERS,
        "OR-USR-REQ-givenName",
        partial(_set, "givenName", ""),
    ),
    Fault(
        "a leading zero that was lost",
        _COURSE,
        "TR-CRS-CODE-GradeLevel",
        partial(_change, "GradeLevel", lambda cell: cell[1:], fits=lambda cell: cell[0] == "0"),
    ),
    Fault("a key that comes twice", _ENROLLMENTS, "OR-ENR-UNIQUE", partial(_repeat, "sourcedId")),
    Fault(
        "a reference to no record",
        _ENROLLMENTS,
        "OR-ENR-REF-classSourcedId",
        partial(_set, "classSourcedId", "nowhere"),
    ),
    Fault(
        "an end before its beginning",
        _STUDENT,
        "TR-STU-DATES",
        partial(_set, "EnrollmentEndDate", "08/01/2020"),
    ),
    Fault(
        "a date outside the term",
        _ENROLLMENTS,
        "OR-ENR-TERM",
        partial(_set, "beginDate", "2001-09-04"),
    ),
    Fault(
        "one cell too many (a comma)",
        _COURSE,
        "FILE-FIELDS",
        partial(_change_bytes, "TranscriptAbbreviation", lambda cell: cell + b", HONORS"),
    ),
    Fault("one cell too few", _ENROLLMENTS, "FILE-FIELDS", _drop_cell),
    Fault(
        "stray quotation marks, 20 lines apart",
        _COURSE,
        "FILE-QUOTES",
        partial(_quote_two, "TranscriptAbbreviation", 20),
    ),
    Fault(
        "stray quotation marks, 2 lines apart",
        "transcript_test_grade",
        "FILE-QUOTES",
        partial(_quote_two, "TestName", 2),
    ),
    Fault("the last line broken off", _COURSE, "FILE-TRUNCATED", _truncate),
    Fault("a row count below the lines", _ENROLLMENTS, "FILE-LITTER", partial(_append, _FOOTER)),
    Fault("the header again among the lines", _STUDENT, "FILE-REPEATED-HEADER", _repeat_header),
    Fault(
        "a column under another name",
        _COURSE,
        "FILE-COLUMN-MISSING",
        partial(_rename, "SchoolYear", "Year"),
        beside=("FILE-COLUMN-UNKNOWN",),
    ),
    Fault(
        "a letter in cp1252",
        _STUDENT,
        "FILE-MIXED-ENCODING",
        partial(_change_bytes, "FirstName", _as_cp1252, fits=_has_accent),
    ),
    Fault(
        "a letter that was lost (U+FFFD)",
        _STUDENT,
        "FILE-LOST-LETTER",
        partial(_change_bytes, "FirstName", _without_letter, fits=_has_accent),
    ),
    Fault(
        "a letter that was encoded twice",
        _USERS,
        "FILE-ENCODED-TWICE",
        partial(_change_bytes, "givenName", _as_mojibake, fits=_has_accent),
    ),
    Fault(
        "a number as a power of ten",
        _STUDENT,
        "FILE-POWER-OF-TEN",
        partial(_set, "LocalStudentID", "1.00E+05"),
    ),
    Fault("the word NULL", _STUDENT, "FILE-NULL-WORD", partial(_set, "MiddleName", "NULL")),
    Fault(
        "a NUL character",
        _ENROLLMENTS,
        "FILE-NUL",
        partial(_change_bytes, "userSourcedId", lambda cell: cell + b"\0"),
    ),
    Fault("a file in UTF-16", _COURSE, "FILE-UTF16", _as_utf_16, beside=("FILE-BOM",)),
    Fault("a file that is missing", "oneroster_demographics", "OR-PKG-ABSENT", _remove),
)
"""The kinds of fault, one in each set."""
