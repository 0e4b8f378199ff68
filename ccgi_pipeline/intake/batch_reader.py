"""Many files read together: those of one form in one pass, as the strict reader would read each.

Belongs here: which files need no closer look, and one parse for all that have the same header. A
district's file is small, and a parser's beginning costs more than its lines: a state has tens of
thousands of them a night. Does not belong here: how a file is read that needs a closer look
(reader). A test holds that both make the same of every file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ccgi_pipeline.feeds.registry import FEEDS, feed_by_name
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.encodings import decode
from ccgi_pipeline.intake.headers import Header, header_of
from ccgi_pipeline.intake.reader import (
    LINE,
    SPAN,
    Form,
    Reading,
    cells_of,
    findings_of,
    is_blank,
    no_line_unreadable,
    physical_lines,
    read,
)

SMALL = 1 << 20
"""Bytes of a file that is better read with others; a larger one keeps the parser busy by itself."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One file to read, as ``reader.read`` is asked for it."""

    content: bytes
    file_name: str
    candidates: Sequence[FeedSpec] = FEEDS
    edition: str = ""


@dataclass(frozen=True, slots=True)
class _Body:
    """A file whose header is known and whose lines are still to be looked at."""

    place: int
    header: Header
    below: bytes
    quoted: bool

    @property
    def lines(self) -> int:
        return self.below.count(b"\n")

    @property
    def form(self) -> tuple[object, ...]:
        """What files must have in common to be parsed together."""
        header = self.header
        return header.feed.name, header.text, header.separator, header.edition, self.quoted


def read_together(asked: Sequence[Asked]) -> list[Reading]:
    """The readings of small files, in their order: each what ``reader.read`` makes of it."""
    headers = _Headers()
    groups: dict[tuple[object, ...], list[_Body]] = {}
    for place, one in enumerate(asked):
        body = _body(place, one, headers)
        if body is not None:
            groups.setdefault(body.form, []).append(body)
    readings: dict[int, Reading] = {}
    for bodies in groups.values():
        readings.update(_readings(bodies))
    return [
        readings[place]
        if place in readings
        else read(one.content, one.file_name, one.candidates, one.edition)
        for place, one in enumerate(asked)
    ]


class _Headers:
    """Headers that were understood before: the same line comes from hundreds of districts."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Header | None] = {}

    def of(self, line: str, one: Asked) -> Header | None:
        named = feed_by_name(one.file_name, one.candidates)
        candidates = tuple(feed.name for feed in one.candidates)
        asked = line, named.name if named else None, candidates, one.edition
        if asked not in self._known:
            self._known[asked] = header_of(1, line, named, one.candidates, one.edition)
        return self._known[asked]


def _body(place: int, one: Asked, headers: _Headers) -> _Body | None:
    """The file as far as it is understood at a glance; None where it needs a closer look."""
    text = decode(one.content)
    if text.body is None or text.findings:
        return None
    first, _, below = text.body.partition(b"\n")
    if not first.strip() or not below or b"\x00" in below:
        return None
    if below.startswith(b"\n") or b"\n\n" in below:
        return None
    header = headers.of(first.decode(), one)
    if header is None or header.fatal or len(header.columns) == 1:
        return None
    if not below.endswith(b"\n"):
        below += b"\n"
    quote = header.feed.quote
    return _Body(place, header, below, quoted=quote is not None and quote.encode() in below)


def _readings(bodies: list[_Body]) -> Iterator[tuple[int, Reading]]:
    """Readings of the files of one form whose every line is a record as it stands, by place."""
    content = b"".join(body.below for body in bodies)
    counts = np.array([body.lines for body in bodies])
    lines = physical_lines(content)
    regular = _are_regular(lines, np.repeat(np.arange(len(bodies)), counts), bodies[0])
    if not regular.all():
        bodies = [body for body, right in zip(bodies, regular, strict=True) if right]
        if not bodies:
            return
        lines = lines.filter(pl.Series(np.repeat(regular, counts)))
        content, counts = b"".join(body.below for body in bodies), counts[regular]
    header = bodies[0].header
    ends = np.cumsum(counts)
    starts = ends - counts
    number = np.arange(lines.height) - np.repeat(starts, counts) + _FIRST_BELOW_HEADER
    records = lines.select(
        pl.Series(LINE, number, dtype=pl.UInt32),
        pl.lit(1, dtype=pl.UInt32).alias(SPAN),
        "text",
        pl.lit(value=False).alias("extra"),
    )
    cells = cells_of(records, header, content)
    findings = findings_of(list(header.findings), records.clear(), no_line_unreadable())
    for body, start, count in zip(bodies, starts.tolist(), counts.tolist(), strict=True):
        yield (
            body.place,
            Reading(
                feed=header.feed,
                encoding="utf-8",
                lines=count,
                records=cells.slice(start, count),
                unreadable=0,
                findings=findings,
                edition=header.edition,
            ),
        )


_FIRST_BELOW_HEADER = 2


def _are_regular(lines: pl.DataFrame, of_file: np.ndarray, body: _Body) -> np.ndarray:
    """For each file whether its every line is a record as it stands; ``body`` is one of them."""
    header = body.header
    form = Form(header.separator, header.feed.quote, len(header.columns), header.text)
    text = pl.col("text")
    right = text.str.count_matches(form.separator, literal=True) == form.cells - 1
    if body.quoted:
        quoted = text.str.contains(form.quote or "", literal=True)
        right = pl.when(quoted).then(text.str.contains(form.quoted_line())).otherwise(right)
    wrong = lines.select(~right | is_blank() | (text == form.header)).to_series().to_numpy()
    regular = np.ones(of_file[-1] + 1, dtype=bool)
    regular[of_file[wrong]] = False
    return regular
