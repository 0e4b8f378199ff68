r"""Decodes a file's bytes into text with ``\n`` line ends.

Belongs here: detecting the encoding and the line ends of a whole file. Does not belong here: cells,
headers, feeds.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.intake.findings import Finding

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


def decode(content: bytes) -> Text:
    """Decodes ``content`` as UTF-8, UTF-16 (with or without mark) or else as Windows text."""
    findings: list[Finding] = []
    encoding = ""
    for mark, marked_encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            encoding, content = marked_encoding, content[len(mark) :]
            findings.append(Finding(file_rules.BYTE_ORDER_MARK))
            break
    encoding = encoding or _detect_utf16(content) or "utf-8"
    if encoding == "utf-8":
        body, encoding = _decode_eight_bits(content)
    else:
        findings.append(Finding(file_rules.UTF16))
        body = _decode(content, encoding)
    if body is None:
        return Text(None, encoding, (Finding(file_rules.ENCODING),))
    if encoding == "cp1252":
        findings.append(Finding(file_rules.WINDOWS_TEXT))
    while body.startswith(codecs.BOM_UTF8):
        body = body.removeprefix(codecs.BOM_UTF8)
    body, odd = _normalize_line_ends(body)
    if odd:
        findings.append(Finding(file_rules.LINE_ENDS))
    return Text(body, encoding, tuple(findings))


def _detect_utf16(content: bytes) -> str | None:
    sample = content[:_SAMPLE]
    half = max(1, len(sample) // 2)
    if sample[1::2].count(0) / half > _MOSTLY:
        return "utf-16-le"
    if sample[0::2].count(0) / half > _MOSTLY:
        return "utf-16-be"
    return None


def _decode_eight_bits(content: bytes) -> tuple[bytes | None, str]:
    """Returns UTF-8 bytes and the encoding: UTF-8, or cp1252 if every byte is a character there."""
    if content.isascii():
        return content, "utf-8"
    body = _decode(content, "utf-8")
    if body is not None:
        return body, "utf-8"
    try:
        return content.decode("cp1252").encode(), "cp1252"
    except UnicodeDecodeError:
        return None, "unknown"


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


def _normalize_line_ends(body: bytes) -> tuple[bytes, bool]:
    r"""Returns the body with ``\n`` line ends, and whether its line ends were mixed or bare CR."""
    returns = body.count(b"\r")
    if not returns:
        return body, False
    pairs, feeds = body.count(b"\r\n"), body.count(b"\n")
    bare_returns, bare_feeds = returns - pairs, feeds - pairs
    odd = bare_returns > 0 or (pairs > 0 and bare_feeds > 0)
    return body.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), odd
