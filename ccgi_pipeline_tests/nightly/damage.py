"""What happens to files on their way, as functions from good bytes to damaged ones.

Belongs here: damage to bytes and single cells, and where it must be found in a roster of four
lines. Does not belong here: what a night makes of it.
"""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

Change = Callable[[bytes], bytes]


def same(content: bytes) -> bytes:
    """No damage."""
    return content


def garbage(content: bytes) -> bytes:
    """As many bytes, of no meaning."""
    return random.Random(7).randbytes(max(len(content), 512))  # noqa: S311 - no secret


def cut_in_the_last_line(content: bytes) -> bytes:
    """The transfer broke off in the middle of the last line."""
    body = content.rstrip(b"\r\n")
    start = body.rindex(b"\n")
    return body[: start + (len(body) - start) // 3]


def cut_in_the_header(content: bytes) -> bytes:
    """The transfer broke off in the middle of the first line."""
    return content[:40]


def zeros(content: bytes) -> bytes:
    """A disk gave back nothing but zeros: as UTF-16, characters without end."""
    return bytes(len(content) // 2 * 2)


def nul_in_line_3(content: bytes) -> bytes:
    """One character of line 3 became a zero."""
    lines = content.split(b"\n")
    lines[2] = lines[2][:5] + b"\0" + lines[2][6:]
    return b"\n".join(lines)


def without_header(content: bytes) -> bytes:
    """The first line is a record."""
    return content.split(b"\n", 1)[1]


def header_of_words(content: bytes) -> bytes:
    """The first line is a title."""
    return b"Report of the student system, page 1\n" + content.split(b"\n", 1)[1]


def without_first_column(content: bytes) -> bytes:
    """The export left the first column out."""
    return b"\n".join(line.split(b",", 1)[-1] for line in content.split(b"\n"))


def first_column_twice(content: bytes) -> bytes:
    """The export has the first column twice."""
    lines = content.rstrip(b"\n").split(b"\n")
    return b"".join(line.split(b",", 1)[0] + b"," + line + b"\n" for line in lines)


def line_3_short(content: bytes) -> bytes:
    """Line 3 lacks its last two cells."""
    lines = content.split(b"\n")
    lines[2] = lines[2].rsplit(b",", 2)[0]
    return b"\n".join(lines)


def quote_in_line_3(content: bytes) -> bytes:
    """Line 3 begins with a quotation mark that nothing closes."""
    lines = content.split(b"\n")
    lines[2] = b'"' + lines[2]
    return b"\n".join(lines)


def line_3_twice(content: bytes) -> bytes:
    """Line 3 is there twice."""
    lines = content.split(b"\n")
    return b"\n".join([*lines[:3], lines[2], *lines[3:]])


def header_again(content: bytes) -> bytes:
    """Two exports were put behind each other."""
    header, rest = content.split(b"\n", 1)
    return content + header + b"\n" + rest.split(b"\n", 1)[0] + b"\n"


def empty(_: bytes) -> bytes:
    """Nothing was written."""
    return b""


def header_alone(content: bytes) -> bytes:
    """The export found nobody."""
    return content.split(b"\n", 1)[0] + b"\n"


def blank_lines(content: bytes) -> bytes:
    """A blank line after each line."""
    return content.replace(b"\n", b"\n\n")


def utf_16(content: bytes) -> bytes:
    """Saved by an editor as "Unicode"."""
    return content.decode().encode("utf-16")


def utf_8_with_mark(content: bytes) -> bytes:
    """Saved by a spreadsheet as UTF-8."""
    return b"\xef\xbb\xbf" + content


def windows_text(content: bytes) -> bytes:
    """A letter with an accent in Windows' own encoding."""
    lines = content.split(b"\n")
    cells = lines[2].split(b",")
    cells[-1] = b"\xe9" + cells[-1]
    lines[2] = b",".join(cells)
    return b"\n".join(lines)


def carriage_returns(content: bytes) -> bytes:
    """Saved by an old Macintosh."""
    return content.replace(b"\n", b"\r")


def carets(content: bytes) -> bytes:
    """The other separator that student systems use."""
    return content.replace(b",", b"^")


def zipped(content: bytes, name: str) -> bytes:
    """The file in a zip, always the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as package:
        package.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def changed(line: int, column: str, cell: str) -> Change:
    """In one physical line, the cell of one column became another."""

    def change(content: bytes) -> bytes:
        lines = content.split(b"\n")
        cells = lines[line - 1].split(b",")
        cells[lines[0].split(b",").index(column.encode())] = cell.encode()
        lines[line - 1] = b",".join(cells)
        return b"\n".join(lines)

    return change


@dataclass(frozen=True)
class Damage:
    """A damage to a roster of four students, and where the receipt must say that it is.

    ``lost``: the lines that cannot be loaded; all of them where the file is refused.
    """

    change: Change
    rule: str
    line: int | None
    column: str | None = None
    lost: int | None = None


ROSTER_DAMAGES = {
    "garbage instead of text": Damage(garbage, "FILE-ENCODING", None),
    "nothing but zeros": Damage(zeros, "FILE-HEADER", 1),
    "no line at all": Damage(empty, "FILE-EMPTY", None),
    "a header cut short": Damage(cut_in_the_header, "FILE-COLUMN-MISSING", 1, "FirstName"),
    "no header": Damage(without_header, "FILE-HEADER", 1),
    "a title for a header": Damage(header_of_words, "FILE-HEADER", 1),
    "a required column left out": Damage(
        without_first_column, "FILE-COLUMN-MISSING", 1, "PrimaryCDSCode"
    ),
    "a column twice": Damage(first_column_twice, "FILE-COLUMN-TWICE", 1, "PrimaryCDSCode"),
    "a header and nothing else": Damage(header_alone, "FILE-HEADER-ONLY", None, lost=0),
    "a last line cut short": Damage(cut_in_the_last_line, "FILE-TRUNCATED", 5, lost=1),
    "a zero in a line": Damage(nul_in_line_3, "FILE-NUL", 3, lost=1),
    "a line with too few cells": Damage(line_3_short, "FILE-FIELDS", 3, lost=1),
    "a quotation mark too many": Damage(quote_in_line_3, "FILE-QUOTES", 3, lost=1),
    "one bad SSID": Damage(
        changed(3, "StateID", "12345"), "TR-STU-TYPE-StateID", 3, "StateID", lost=1
    ),
    "one grade that is none": Damage(
        changed(4, "GradeLevel", "13"), "TR-STU-CODE-GradeLevel", 4, "GradeLevel", lost=1
    ),
    "one school of another district": Damage(
        changed(2, "PrimaryCDSCode", "00000000000000"), "TR-STU-CD", 2, "PrimaryCDSCode", lost=1
    ),
}
"""By what happened."""
