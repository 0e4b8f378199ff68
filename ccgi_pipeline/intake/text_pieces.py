r"""Decodes a large file into pieces of whole lines with ``\n`` line ends, as UTF-8.

Belongs here: what ``encodings`` decides of a file whose bytes lie in memory, decided of one that is
read from disk again and again. A test checks that both give equal texts. Does not belong here:
cells, headers, feeds.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.intake.contents import ReadPieces
from ccgi_pipeline.intake.encodings import (
    END_OF_FILE,
    END_OF_FILE_FOUND,
    SAMPLE,
    describe_letters,
    detect_encoding,
    encoding_of,
    is_binary,
    strip_marks,
)
from ccgi_pipeline.intake.findings import Finding
from ccgi_pipeline.intake.letters import UNKNOWN_LETTER, Letters, LetterSurvey


@dataclass(frozen=True, slots=True)
class PiecedText:
    """A file's text in pieces, each of whole lines; ``None`` where it cannot be decoded.

    ``findings``, ``encoding`` and ``has_unknown_letters`` are those of ``encodings.Text``.
    """

    read: ReadPieces | None
    encoding: str
    findings: tuple[Finding, ...]
    has_unknown_letters: bool = False


def decode_pieces(read: ReadPieces, size: int) -> PiecedText:
    """Decodes a file as ``encodings.decode`` does, into pieces of about ``size`` bytes."""
    survey = _survey(read)
    found = [Finding(file_rules.BYTE_ORDER_MARK)] if survey.mark else []
    odd = [Finding(file_rules.LINE_ENDS)] if survey.has_odd_line_ends else []
    end = [END_OF_FILE_FOUND] if survey.ends_with_sign else []
    if survey.encoding != "utf-8":
        found.append(Finding(file_rules.UTF16))
    if survey.decodes:
        decoded = partial(_cut_lines, partial(_decoded, read, survey.mark, survey.encoding), size)
        trimmed = partial(_trim, decoded, ends_with_sign=survey.ends_with_sign)
        return PiecedText(trimmed, survey.encoding, (*found, *odd, *end))
    if survey.encoding != "utf-8" or is_binary(survey.beginning):
        unknown = "unknown" if survey.encoding == "utf-8" else survey.encoding
        return PiecedText(None, unknown, (Finding(file_rules.ENCODING),))
    file = _FileLetters(partial(_cut_lines, partial(_skip, read, survey.mark), size))
    letters = file.survey()
    trimmed = partial(_trim, file.read, ends_with_sign=survey.ends_with_sign)
    found += [*odd, *describe_letters(letters), *end]
    return PiecedText(trimmed, encoding_of(letters), tuple(found), file.has_unknown)


def count_line_ends(read: ReadPieces) -> int:
    """Counts the lines of a file that is no text, as Python's ``splitlines`` does."""
    lines, last = 0, b""
    for piece in map(_with_line_feeds, _whole_line_ends(read())):
        lines += piece.count(b"\n")
        last = piece or last
    return lines + (not last.endswith(b"\n") and bool(last))


# --- what a whole file shows ----------------------------------------------------------------------


@dataclass(slots=True)
class _Survey:
    """What all bytes of a file show. ``mark``: the length of the byte order mark."""

    mark: int
    encoding: str
    beginning: bytes
    decodes: bool = True
    returns: int = 0
    pairs: int = 0
    feeds: int = 0
    end: bytes = b""

    @property
    def has_odd_line_ends(self) -> bool:
        """Whether line ends are mixed or bare CR."""
        bare_returns, bare_feeds = self.returns - self.pairs, self.feeds - self.pairs
        return bare_returns > 0 or (self.pairs > 0 and bare_feeds > 0)

    @property
    def ends_with_sign(self) -> bool:
        """Whether the last line ends with Ctrl-Z, and is not that sign only."""
        return self.end.endswith(END_OF_FILE) and self.end != b"\n" + END_OF_FILE

    def count(self, pieces: Iterator[bytes]) -> None:
        """Counts line ends."""
        self.returns = self.pairs = self.feeds = 0
        self.end = b""
        for piece in _whole_line_ends(pieces):
            returns = piece.count(b"\r")
            self.feeds += piece.count(b"\n")
            if returns:
                self.returns += returns
                self.pairs += piece.count(b"\r\n")
            self.end = (self.end + _with_line_feeds(piece[-_TAIL:]))[-_TAIL:]


_TAIL = 2


def _survey(read: ReadPieces) -> _Survey:
    beginning = b""
    for piece in read():
        beginning += piece
        if len(beginning) >= SAMPLE:
            break
    mark, encoding = detect_encoding(beginning)
    survey = _Survey(mark, encoding, beginning[mark:])
    try:
        survey.count(_decoded(read, mark, encoding))
    except UnicodeDecodeError:
        survey.decodes = False
        survey.count(_skip(read, mark))
    return survey


class _FileLetters:
    """A file that is not all UTF-8; ``pieces`` are whole lines of it."""

    def __init__(self, pieces: ReadPieces) -> None:
        self._pieces = pieces
        self._letters = LetterSurvey()
        self.has_unknown = False

    def survey(self) -> Letters:
        """Returns what the letters of all pieces come to, without the text."""
        for piece in self._pieces():
            self._letters.add(piece)
        lines: list[int] = []
        surrogates: list[int] = []
        whole = None
        for letters in self._read():
            lines += letters.lines
            surrogates += letters.surrogates
            self.has_unknown |= UNKNOWN_LETTER in letters.text
            whole = replace(letters, text="")
        assert whole is not None  # noqa: S101 - an empty file is UTF-8
        return replace(whole, lines=tuple(lines), surrogates=tuple(surrogates))

    def read(self) -> Iterator[bytes]:
        """Yields the text in pieces."""
        for letters in self._read():
            yield letters.text.encode()

    def _read(self) -> Iterator[Letters]:
        line = 1
        for piece in self._pieces():
            yield self._letters.read(piece, line)
            line += piece.count(b"\n")


# --- from bytes to lines --------------------------------------------------------------------------


def _skip(read: ReadPieces, length: int) -> Iterator[bytes]:
    """Yields the bytes without the first ones."""
    for piece in read():
        yield piece[length:]
        length -= min(length, len(piece))


def _decoded(read: ReadPieces, mark: int, encoding: str) -> Iterator[bytes]:
    """Yields the text as UTF-8. Raises UnicodeDecodeError if it is not in ``encoding``.

    If the file was cut off within a letter, a NUL replaces that letter.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    for piece in _skip(read, mark):
        if encoding == "utf-8" and piece.isascii() and not decoder.getstate()[0]:
            yield piece
        else:
            yield decoder.decode(piece).encode()
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        yield b"\x00"


def _whole_line_ends(pieces: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yields pieces none of which ends between ``\r`` and ``\n``."""
    held = b""
    for piece in pieces:
        whole = held + piece if held else piece
        held = b"\r" if whole.endswith(b"\r") else b""
        yield whole[:-1] if held else whole
    yield held


def _with_line_feeds(piece: bytes) -> bytes:
    return piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in piece else piece


def _cut_lines(read: ReadPieces, size: int) -> Iterator[bytes]:
    return split_at_line_ends(map(_with_line_feeds, _whole_line_ends(read())), size)


def split_at_line_ends(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yields pieces that end with a line feed, of about ``size`` bytes or one line.

    The last one may end otherwise.
    """
    parts: list[bytes] = []
    held = 0
    for piece in pieces:
        parts.append(piece)
        held += len(piece)
        if held < size or b"\n" not in piece:
            continue
        whole = b"".join(parts)
        end = whole.rindex(b"\n") + 1
        yield whole[:end]
        parts, held = [whole[end:]], len(whole) - end
    if held:
        yield b"".join(parts)


def _trim(read: ReadPieces, *, ends_with_sign: bool) -> Iterator[bytes]:
    """Yields a text without marks where lines begin, and signs at the end of its last line."""
    held = b""
    for piece in read():
        if held:
            yield strip_marks(held)
        held = piece
    if ends_with_sign:
        held = held.rstrip(END_OF_FILE)
    if last := strip_marks(held):
        yield last
