r"""Decodes a file's bytes into text with ``\n`` line ends.

Belongs here: detecting the encoding and the line ends of a whole file. Does not belong here: cells,
headers, feeds.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.intake.findings import Finding
from ccgi_pipeline.intake.letters import UNKNOWN_LETTER, Letters, read_letters

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 4096
"""Bytes examined for UTF-16 without a mark: in plain text every second one is NUL."""
_MOSTLY = 0.4


@dataclass(frozen=True, slots=True)
class Text:
    r"""A file's text as UTF-8 bytes with ``\n`` line ends; ``None`` where it cannot be decoded."""

    body: bytes | None
    encoding: str
    findings: tuple[Finding, ...]
    has_unknown_letters: bool = False


def decode(content: bytes) -> Text:
    """Decodes ``content`` as UTF-8, UTF-16 (with or without mark) or an 8-bit encoding.

    UTF-8 is told line by line: what is UTF-8 stays, the rest is read by its letters (``letters``).
    """
    findings: list[Finding] = []
    has_unknown = False
    mark, encoding = detect_encoding(content)
    if mark:
        content = content[mark:]
        findings.append(Finding(file_rules.BYTE_ORDER_MARK))
    body: bytes | None
    if encoding != "utf-8":
        findings.append(Finding(file_rules.UTF16))
        body = _decode(content, encoding)
    elif content.isascii():
        body = content
    else:
        body = _decode(content, "utf-8")
        if body is None and not is_binary(content):
            body, encoding, of_letters = _decode_letters(content)
            findings += of_letters
            has_unknown = UNKNOWN_LETTER.encode() in body
    if body is None:
        unknown = encoding if encoding.startswith("utf-16") else "unknown"
        return Text(None, unknown, (Finding(file_rules.ENCODING),))
    body, odd = _normalize_line_ends(body)
    if odd:
        findings.append(Finding(file_rules.LINE_ENDS))
    if body.endswith(END_OF_FILE) and not body.endswith(b"\n" + END_OF_FILE):
        body = body.rstrip(END_OF_FILE)
        findings.append(END_OF_FILE_FOUND)
    return Text(strip_marks(body), encoding, tuple(findings), has_unknown)


END_OF_FILE = b"\x1a"
"""DOS ends files with this sign."""
END_OF_FILE_FOUND = Finding(file_rules.LITTER, detail="the sign Ctrl-Z behind the last line")
"""What is said of such a sign that stands on the last line itself."""


def detect_encoding(beginning: bytes) -> tuple[int, str]:
    """Returns the length of the byte order mark, and the encoding: utf-8 or utf-16.

    ``beginning``: the content, or so much of it that the encoding shows (``SAMPLE``).
    """
    for mark, encoding in _BYTE_ORDER_MARKS:
        if beginning.startswith(mark):
            return len(mark), encoding
    return 0, _detect_utf16(beginning) or "utf-8"


SAMPLE = _SAMPLE + len(codecs.BOM_UTF8)
"""Bytes of a file's beginning in which the kind of its encoding shows."""


def is_binary(content: bytes) -> bool:
    """Returns whether the content is no text: it has many control characters."""
    sample = content[:_SAMPLE]
    return sum(sign in _CONTROL_SIGNS for sign in sample) > _FEW * len(sample)


_CONTROL_SIGNS = frozenset({*range(9), *range(14, 26)})
_FEW = 0.02


def _decode_letters(content: bytes) -> tuple[bytes, str, list[Finding]]:
    """Returns a content that is not all UTF-8 as UTF-8, its encoding, and what was done."""
    body, odd = _normalize_line_ends(content)
    letters = read_letters(body)
    findings = [Finding(file_rules.LINE_ENDS)] if odd else []
    findings += describe_letters(letters)
    return letters.text.encode(), encoding_of(letters), findings


def encoding_of(letters: Letters) -> str:
    """Returns the encoding of a file with such letters."""
    if letters.mixed or letters.surrogates:
        return "utf-8"
    return letters.encoding if letters.lines else "unknown"


def describe_letters(letters: Letters) -> list[Finding]:
    """Returns the finding's words about a file with such letters."""
    findings = [Finding(file_rules.SURROGATES, line=line) for line in letters.surrogates]
    if letters.mixed:
        name = _NAMES[letters.encoding]
        findings += [
            Finding(file_rules.MIXED_ENCODING, line=line, detail=f"read as {name}")
            for line in letters.lines
        ]
    elif letters.lines:
        lines = f"{len(letters.lines):,} lines, the first is line {letters.lines[0]:,}"
        if letters.encoding == "cp1252":
            findings.append(Finding(file_rules.WINDOWS_TEXT, detail=lines))
        else:
            name = _NAMES[letters.encoding]
            findings.append(Finding(file_rules.OLD_ENCODING, detail=f"{name}; {lines}"))
    return findings


_NAMES = {
    "cp1252": "Windows text (cp1252)",
    "mac_roman": "Macintosh text (MacRoman)",
    "cp850": "DOS text (code page 850)",
    "cp437": "DOS text (code page 437)",
}


def _detect_utf16(content: bytes) -> str | None:
    sample = content[:_SAMPLE]
    half = max(1, len(sample) // 2)
    if sample[1::2].count(0) / half > _MOSTLY:
        return "utf-16-le"
    if sample[0::2].count(0) / half > _MOSTLY:
        return "utf-16-be"
    return None


def _decode(content: bytes, encoding: str) -> bytes | None:
    """Returns the content as UTF-8, or None if it is not in ``encoding``.

    If the file was cut off within a letter, a NUL replaces that letter, so that the reader rejects
    only that line.
    """
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        if len(content) - error.start > _LONGEST_LETTER or error.reason not in _CUT_OFF:
            return None
        return content[: error.start].decode(encoding).encode() + b"\x00"


_LONGEST_LETTER = 4
_CUT_OFF = ("unexpected end of data", "truncated data")
"""Python's reasons for a letter whose last bytes are missing."""


def strip_marks(lines: bytes) -> bytes:
    """Returns lines without the byte order marks at their beginnings: files were joined there."""
    if lines.startswith(codecs.BOM_UTF8) or _JOINED in lines:
        return _MARKS.sub(b"", lines)
    return lines


_JOINED = b"\n" + codecs.BOM_UTF8
_MARKS = re.compile(b"^(?:" + codecs.BOM_UTF8 + b")+", re.MULTILINE)


def _normalize_line_ends(body: bytes) -> tuple[bytes, bool]:
    r"""Returns the body with ``\n`` line ends, and whether its line ends were mixed or bare CR."""
    if b"\r" not in body:
        return body, False
    returns = body.count(b"\r")
    pairs, feeds = body.count(b"\r\n"), body.count(b"\n")
    bare_returns, bare_feeds = returns - pairs, feeds - pairs
    odd = bare_returns > 0 or (pairs > 0 and bare_feeds > 0)
    return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), odd
