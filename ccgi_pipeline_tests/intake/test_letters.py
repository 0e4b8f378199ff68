"""Bytes that are no UTF-8: which letters they become, and which cells are left out.

Belongs here: names in each 8-bit encoding, in files of one encoding and of two. A name is read as
it was written, or not at all.
"""

# ruff: noqa: RUF001 - letters that look alike are what this is about

from __future__ import annotations

import pytest

from ccgi_pipeline.feeds.oneroster import USERS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.intake.letters import ENCODINGS, UNKNOWN_LETTER, read_letters
from ccgi_pipeline.intake.reader import Reading, read
from ccgi_pipeline_tests.files import as_bytes, good_lines, usual_name

_NAMES = (
    "José Muñoz", "JOSÉ MUÑOZ", "García", "Ángel", "Íñigo", "Peña", "Hernández", "Zoë", "López",
    "Jesús", "Óscar", "Úrsula", "MARTÍNEZ", "François", "Ramón", "NÚÑEZ", "Müller", "João", "Adán",
    "ANDRéS", "MUñOZ", "María de la Peña",
)  # fmt: skip
_WINDOWS_NAMES = ("O’Dell", "D’Angelo", "Women’s Choir", "“Lupe” Ruiz", "Algebra I – Honors", "½ €")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", _NAMES)
def test_a_name_alone_in_its_file_is_right_or_not_there(name: str, encoding: str):
    try:
        content = f"1,{name},x\n".encode(encoding)
    except UnicodeEncodeError:
        return
    if content.decode("utf-8", "ignore") != content.decode("ascii", "ignore"):
        return  # two letters that happen to be one in UTF-8
    read_name = read_letters(content).text.split(",")[1]
    assert read_name == name or UNKNOWN_LETTER in read_name


@pytest.mark.parametrize("name", [*_NAMES[:7], *_NAMES[8:17], *_WINDOWS_NAMES])
def test_a_name_in_windows_text_is_read(name: str):
    if name == "Óscar":
        return  # alone, it might as well be Ëscar in code page 850
    assert read_letters(f"1,{name},x\n".encode("cp1252")).text == f"1,{name},x\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_names_of_one_file_prove_its_encoding_together(encoding: str):
    text = "José,Muñoz\nMaría,Hernández\nJesús,López\nAdán,Peña\nMónica,Sánchez\n"
    letters = read_letters(text.encode(encoding))
    assert letters.text == text
    assert letters.lines == (1, 2, 3, 4, 5)
    assert not letters.mixed


def _with_names(feed: FeedSpec, column: str, *names: bytes) -> Reading:
    lines = good_lines(feed, len(names))
    for number, line in enumerate(lines):
        line[column] = f"<{number}>"
    content = as_bytes(feed, lines)
    for number, name in enumerate(names):
        content = content.replace(f"<{number}>".encode(), name)
    return read(content, usual_name(feed))


_FEEDS = [(STUDENT, "FirstName"), (USERS, "givenName")]
_HALVES = {
    "a first half": b"Jos\xc3",
    "a first half in capitals": b"JOS\xc3",
    "a second half": b"\xa9 Luis",
    "three of four bytes": b"Jo \xf0\x9f\x98",
    "an overlong sign": b"Jo\xc0\x80",
}


@pytest.mark.parametrize(("feed", "column"), _FEEDS)
@pytest.mark.parametrize("half", _HALVES.values(), ids=[*_HALVES])
def test_half_a_letter_costs_its_cell_and_no_other(feed: FeedSpec, column: str, half: bytes):
    reading = _with_names(feed, column, "Zoë".encode(), half, "Íris Ángel".encode())
    assert reading.records is not None
    assert reading.records[column].to_list() == ["Zoë", None, "Íris Ángel"]
    assert reading.findings.select("rule", "line", "column").rows() == [("FILE-LETTERS", 3, column)]
    assert reading.unreadable == 0


@pytest.mark.parametrize(("feed", "column"), _FEEDS)
@pytest.mark.parametrize(
    ("sent", "read_as", "rule"),
    [
        ("Muñoz".encode("cp1252"), "Muñoz", "FILE-MIXED-ENCODING"),
        ("Muñoz".encode("mac_roman"), "Muñoz", "FILE-MIXED-ENCODING"),
        (b"Maria\xa0", "Maria", "FILE-MIXED-ENCODING"),
        (b"Maria\xa0Luz", "Maria\xa0Luz", "FILE-MIXED-ENCODING"),
        ("Ángel Mu".encode() + b"\xf1oz", "Ángel Muñoz", "FILE-MIXED-ENCODING"),
        (b"Jo \xed\xa0\xbd\xed\xb8\x80", "Jo \N{GRINNING FACE}", "FILE-SURROGATES"),
    ],
)
def test_a_line_in_another_encoding_changes_no_other_line(
    feed: FeedSpec, column: str, sent: bytes, read_as: str, rule: str
):
    reading = _with_names(feed, column, "Zoë".encode(), sent, "Íris Ángel".encode())
    assert reading.records is not None
    assert reading.encoding == "utf-8"
    assert reading.records[column].to_list() == ["Zoë", read_as, "Íris Ángel"]
    assert reading.findings.select("rule", "line").rows() == [(rule, 3)]


@pytest.mark.parametrize(
    ("encoding", "rule"),
    [
        ("cp1252", "FILE-CP1252"),
        ("mac_roman", "FILE-OLD-ENCODING"),
        ("cp850", "FILE-OLD-ENCODING"),
    ],
)
def test_a_whole_file_in_another_encoding_is_told_once(encoding: str, rule: str):
    names = [name.encode(encoding) for name in ("José", "Muñoz", "Jesús")]
    reading = _with_names(STUDENT, "FirstName", *names)
    assert reading.records is not None
    assert reading.records["FirstName"].to_list() == ["José", "Muñoz", "Jesús"]
    assert reading.findings["rule"].to_list() == [rule]
    assert reading.encoding == encoding
