"""Reads bytes that are no UTF-8 as letters: Windows, Macintosh and DOS pages, by what they give.

Belongs here: which 8-bit encoding such bytes are in, told by the words that they make. Does not
belong here: UTF-16, line ends, cells.
"""

# ruff: noqa: RUF001, RUF003 - letters and signs that look alike are what this is about

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

UNKNOWN_LETTER = "\ufffe"
"""Stands for bytes of which no encoding can be told: a sign that no text may have."""

ENCODINGS = ("cp1252", "mac_roman", "cp850", "cp437")
"""What bcp, Excel for the Mac and Windows write; the first is the usual one."""
_BAD = re.compile("[\udc80-\udcff]+")
_SURROGATES = re.compile("\udced[\udca0-\udcaf][\udc80-\udcbf]\udced[\udcb0-\udcbf][\udc80-\udcbf]")
_LETTERS_BEFORE = re.compile("(?:[^\\W\\d_]|[\udc80-\udcff])*\\Z")
_LETTERS_AFTER = re.compile("(?:[^\\W\\d_]|[\udc80-\udcff])*")
_NEAR = 40
"""Characters looked at on either side of a byte."""
_MARGIN = 0.5
"""By how much the words of one encoding must be likelier than those of another."""
_FOR_WINDOWS = 1.5
"""What speaks for Windows text where the other lines of the file are UTF-8."""


@dataclass(frozen=True, slots=True)
class Letters:
    """A text in which every byte has become a letter, or ``UNKNOWN_LETTER``.

    ``encoding`` is that of the bytes that were no UTF-8. ``mixed``: other words have letters in
    UTF-8. ``lines`` are the physical lines (from 1) in which such bytes became letters,
    ``surrogates`` those with UTF-16 halves written as UTF-8.
    """

    text: str
    encoding: str
    mixed: bool
    lines: tuple[int, ...]
    surrogates: tuple[int, ...]


class LetterSurvey:
    """Reads the letters of a file in pieces of whole lines, which end with line feeds.

    First all pieces are looked at (``add``), because all their words tell the encoding together;
    then each is read.
    """

    def __init__(self) -> None:
        self._counts: Counter[_Word] = Counter()
        self._mixed = False
        self._decided: tuple[str, dict[_Word, str]] | None = None

    def add(self, content: bytes) -> None:
        """Looks at a piece."""
        text, _ = _join_surrogates(content, 1)
        self._mixed |= re.search("[^\x00-\x7f\ud800-\udfff]", text) is not None
        self._counts.update(word for _, word in _words(text))

    def read(self, content: bytes, line: int = 1) -> Letters:
        """Reads a piece that was looked at; ``line`` is the number of its first line."""
        if self._decided is None:
            self._decided = _decide(self._counts, mixed=self._mixed)
        encoding, readings = self._decided
        text, surrogates = _join_surrogates(content, line)
        parts: list[str] = []
        lines: list[int] = []
        end, counted = 0, 0
        for start, word in _words(text):
            line += text.count("\n", counted, start)
            counted = start
            if UNKNOWN_LETTER not in readings[word]:
                lines.append(line)
            parts += [text[end:start], readings[word]]
            end = start + len(word.letters)
        parts.append(text[end:])
        return Letters(
            "".join(parts),
            encoding,
            self._mixed,
            tuple(dict.fromkeys(lines)),
            tuple(dict.fromkeys(surrogates)),
        )


def read_letters(content: bytes) -> Letters:
    """Reads ``content``, whose lines end with line feeds, and which is not all UTF-8."""
    survey = LetterSurvey()
    survey.add(content)
    return survey.read(content)


def _join_surrogates(content: bytes, line: int) -> tuple[str, list[int]]:
    """Returns the text with halves of letters joined, and the lines (from ``line``) of those."""
    text = content.decode("utf-8", "surrogateescape")
    surrogates: list[int] = []

    def joined(found: re.Match[str]) -> str:
        surrogates.append(text.count("\n", 0, found.start()) + line)
        halves = found.group().encode("utf-8", "surrogateescape").decode("utf-8", "surrogatepass")
        return halves.encode("utf-16", "surrogatepass").decode("utf-16")

    return _SURROGATES.sub(joined, text), surrogates


@dataclass(frozen=True, slots=True)
class _Word:
    """A word with bytes that are no UTF-8, and the signs of its line before and after it."""

    before: str
    letters: str
    after: str


def _words(text: str) -> list[tuple[int, _Word]]:
    found: list[tuple[int, _Word]] = []
    end = 0
    for bad in _BAD.finditer(text):
        if bad.start() < end:
            continue
        left = text[max(end, bad.start() - _NEAR) : bad.start()]
        before = _LETTERS_BEFORE.search(left)
        start = bad.start() - len(before.group() if before else "")
        after = _LETTERS_AFTER.match(text, bad.end(), bad.end() + _NEAR)
        end = after.end() if after else bad.end()
        before_it = text[start - 1 : start].strip("\n") if start else ""
        after_it = text[end : end + 2].partition("\n")[0]
        found.append((start, _Word(before_it, text[start:end], after_it)))
    return found


def _decide(counts: Mapping[_Word, int], *, mixed: bool) -> tuple[str, dict[_Word, str]]:
    """Returns the likeliest encoding, and each word in it as far as that is proven."""
    totals = {
        encoding: sum(
            count * max(_likelihood(word, encoding), _WORST) for word, count in counts.items()
        )
        for encoding in ENCODINGS
    }
    if mixed:
        totals[ENCODINGS[0]] += _FOR_WINDOWS
    best = max(totals, key=lambda encoding: totals[encoding])
    rivals = [other for other, total in totals.items() if total > totals[best] - _MARGIN]
    readings = {}
    for word in counts:
        read = {_decoded(word.letters, rival) for rival in rivals}
        is_proven = len(read) == 1 and _likelihood(word, best) > 0
        readings[word] = read.pop() if is_proven else _BAD.sub(UNKNOWN_LETTER, word.letters)
    return best, readings


@cache
def _table(encoding: str) -> dict[int, str]:
    decoded = {byte: bytes([byte]).decode(encoding, "replace") for byte in range(0x80, 0x100)}
    return {0xDC00 + byte: letter for byte, letter in decoded.items()}


def _decoded(letters: str, encoding: str) -> str:
    return letters.translate(_table(encoding))


# --- how likely a letter is where it stands -------------------------------------------------------

_WORST = -2.0
_USUAL = dict.fromkeys("áéíóúñüÁÉÍÓÚÑÜ", 1.0)
_EUROPEAN = {
    **dict.fromkeys("çÇ", 0.7),
    **dict.fromkeys("äëïöÄÖ", 0.6),
    **dict.fromkeys("ãõÃÕËÏ", 0.4),
    **dict.fromkeys("àèìòùâêîôûÀÈÌÒÙÂÊÎÔÛ", 0.15),
    **dict.fromkeys("åÅæÆøØœŒšŠžŽßýÝÿŸðÐþÞł", 0.05),
}
_LIKELY = {**_USUAL, **_EUROPEAN}
_APOSTROPHES = "\u2019\u2018"
_CONSONANTS = "bcdfghjklmnpqrstvwxz"
_ALONE = dict.fromkeys("½¼¾°®™…•–—“”‘’ªº€£§·«»×²³\xa0", 0.3)
"""Signs that stand by themselves."""


def _likelihood(word: _Word, encoding: str) -> float:
    """Returns how likely the word is: below zero where a letter cannot stand where it does."""
    decoded = f"{word.before or ' '}{_decoded(word.letters, encoding)}{word.after or ' '}  "
    places = [
        place + 1 for place, letter in enumerate(word.letters) if "\udc80" <= letter <= "\udcff"
    ]
    each = [_likelihood_of_letter(decoded, place) for place in places]
    return _WORST if min(each) < 0 else sum(each)


def _likelihood_of_letter(text: str, place: int) -> float:  # noqa: C901, PLR0911 - kind after kind
    letter, before, after = text[place], text[place - 1], text[place + 1]
    between = before.isalpha() and after.isalpha()
    if letter in _LIKELY:
        return _likelihood_of_accent(text, place)
    if letter == "\xa0":
        return 1.0
    if letter in _APOSTROPHES and (before.isalpha() or after.isalpha()):
        return _likelihood_of_apostrophe(text, place)
    if letter in "–—" and between:
        return 0.3 if after.isupper() else -1.0
    if letter in "¿¡":
        return 0.6 if not before.isalnum() and after.isupper() else -1.0
    if letter in "“‘«":
        return 0.6 if not before.isalnum() and after.isalnum() else 0.1 if not between else -1.0
    if letter in "”»…":
        return 0.6 if before.isalnum() and not after.isalnum() else 0.1 if not between else -1.0
    if letter in "ªº°²³":
        return 0.5 if before.isdigit() else 0.1 if not between else -1.0
    if letter in "®™":
        return 0.3 if before.isalnum() and not after.isalnum() else -1.0
    if letter in "–—" and before.isspace() and after.isspace():
        return 0.7
    if letter in _ALONE and not before.isalpha() and not after.isalpha():
        return _ALONE[letter]
    return -1.0


def _likelihood_of_apostrophe(text: str, place: int) -> float:
    before, after = text[:place], text[place + 1 :]
    if re.search(r"(?:^|\W)(?:[ODLdlMN]|Mac|[Ss]h|[Qq]u)$", before) and after[:1].isalpha():
        return 1.0  # O’Dell, D’Angelo
    if re.search(r"\w{4}$", before) and re.match(r"[sS](?!\w)", after):
        return 1.6  # Women’s
    if re.search(r"\w{3}$", before) and re.match(r"(?:[sS]|[tT]|ll|re|ve)(?!\w)", after):
        return 1.0  # Don’t
    if re.search(r"s$", before) and not after[:1].isalnum():
        return 0.6  # Students’
    if before[-1:].isalpha() and after[:1].isupper():
        return 0.6
    return -1.0


def _likelihood_of_accent(text: str, place: int) -> float:  # noqa: PLR0911 - one kind after another
    letter, before, after = text[place], text[place - 1], text[place + 1]
    usual = _LIKELY[letter]
    if letter.isupper():
        if before.isalpha() and before.islower():
            return -1.0  # a capital within a word
        if letter in "ÃÂ" and not after.isalpha():
            return -1.0  # the first half of a letter that was cut in two
        return usual
    if letter in "ç" and after.lower() in _CONSONANTS:
        return -1.0
    if letter == "ñ" and after.lower() in _CONSONANTS:
        return 0.1
    in_capitals = after.isupper() or (before.isupper() and text[place - 2 : place - 1].isupper())
    if in_capitals:
        left = re.search(r"[^\W\d_]*\Z", text[:place])
        right = re.match(r"[^\W\d_]*", text[place + 1 :])
        others = (left.group() if left else "") + (right.group() if right else "")
        return 0.6 if letter in _USUAL and others.isupper() else -0.5
    if not before.isalpha() and not after.isalpha():
        return 0.1
    return usual
