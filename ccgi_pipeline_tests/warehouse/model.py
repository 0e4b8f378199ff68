"""What loading must do, said a second time in plain dictionaries: one drop after the other.

Belongs here: files made of single strokes (a good line, a line without a readable key, ...), and a
model that takes them line by line, the simplest way there is. The code under test takes the drops
of many senders at once; both must come to the same.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.intake.inbox import Drop, InboxFile, drop_id
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.nightly.inboxes import application, student


@dataclass(frozen=True)
class Good:
    """A line that can be loaded."""

    key: int
    value: int


@dataclass(frozen=True)
class BadCell:
    """A line that must be refused, whose key can be read."""

    key: int


@dataclass(frozen=True)
class BadKey:
    """A line whose key cannot be read; its other cells are a record's, or nobody's."""

    key: int | None = None


@dataclass(frozen=True)
class Ragged:
    """A line that is no record at all; it shows the key of a record, or of none."""

    key: int | None = None


Stroke = Good | BadCell | BadKey | Ragged
File = tuple[Stroke, ...]
DropPlan = tuple[File, ...]
"""The files of one feed in one drop."""

GRADES = ("09", "10", "11")
STATUSES = ("Launched", "In Progress", "Submitted")
STUDENT, APPLICATION = (
    FEEDS_BY_NAME["transcript_student"],
    FEEDS_BY_NAME["platform_college_applications"],
)


def ssid(key: int) -> str:
    """The student with this key."""
    return f"{8_000_000_000 + key}"


def event_id(key: int) -> str:
    """The event with this key."""
    return f"event-{key}"


def _roster_line(stroke: Stroke, cd: str) -> dict[str, str]:
    school = f"{cd}1234567"
    match stroke:
        case Good(key, value):
            return student(ssid(key), school, GRADES[value])
        case BadCell(key):
            return student(ssid(key), school, "99")
        case BadKey(int(key)):
            return student(ssid(key), school, StateID=ssid(key)[:-1])
        case _:
            return student("12345", school)


def _event_line(stroke: Stroke, _: str) -> dict[str, str]:
    match stroke:
        case Good(key, value):
            made = application(ssid(key), "CCCApply", STATUSES[value], "Some College")
            return {**made, "EventID": event_id(key)}
        case BadCell(key):
            made = application("123", "CCCApply", "Launched", "Some College")
            return {**made, "EventID": event_id(key)}
        case _:
            made = application(ssid(0), "CCCApply", "Launched", "Some College")
            return {**made, "EventID": "no id at all!"}


_LINES = {STUDENT.name: _roster_line, APPLICATION.name: _event_line}


def file_bytes(feed_name: str, sender: str, file: File) -> bytes:
    """The file as its sender writes it."""
    feed = FEEDS_BY_NAME[feed_name]
    content = as_bytes(feed, [_LINES[feed_name](stroke, sender) for stroke in file])
    lines = content.split(b"\n")
    for number, stroke in enumerate(file, start=1):
        if isinstance(stroke, Ragged):
            shown = "a line" if stroke.key is None else ssid(stroke.key)
            lines[number] = f"{shown},with three,cells".encode()
    return b"\n".join(lines)


def drop_of(feed_name: str, sender: str, plan: DropPlan) -> tuple[Drop, dict[str, bytes]]:
    """The drop, and its files' bytes by their SHA-256."""
    family = FEEDS_BY_NAME[feed_name].family
    stem = FEEDS_BY_NAME[feed_name].stems[0].replace(" ", "")
    contents = [file_bytes(feed_name, sender, file) for file in plan]
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    identity = drop_id(sender, family, hashes)
    files = tuple(
        (InboxFile(f"{sender}/{family}/{identity}/{n}_{stem}.csv", sender, family, "stamp"), sha256)
        for n, sha256 in enumerate(hashes)
    )
    return Drop(identity, sender, family, files), dict(zip(hashes, contents, strict=True))


@dataclass
class Record:
    """A record as the table must have it."""

    value: int
    active: bool
    drop: str
    line: int


Fates = dict[tuple[str, int], dict[str, int]]
"""Lines per fate, by drop and number of the file in it."""


@dataclass
class Sender:
    """All records of one sender."""

    snapshot: bool
    records: dict[int, Record] = field(default_factory=dict)

    def take(self, drop: str, plan: DropPlan) -> Fates:
        """Takes the files of one drop; returns what becomes of every line.

        For each key the last line stands; a full set ends the records that no line of it names, be
        the line loaded or not. It ends none if a line that is no record shows no known key.
        """
        before = {key: (record.value, record.active) for key, record in self.records.items()}
        fates: dict[tuple[str, int], Counter[str]] = {}
        stands: dict[int, tuple[int, int, int]] = {}
        named: set[int] = set()
        complete = True
        for file, strokes in enumerate(plan, start=1):
            fates[drop, file] = Counter()
            keys: set[int] = set()
            accepted: set[int] = set()
            for line, stroke in enumerate(strokes, start=2):
                key = getattr(stroke, "key", None)
                repeated = key in accepted and self.snapshot
                if key is not None:
                    keys.add(key)
                if not isinstance(stroke, Good) or repeated:
                    fates[drop, file]["rejected"] += 1
                    continue
                accepted.add(stroke.key)
                if stroke.key in stands:
                    fates[drop, stands[stroke.key][0]]["superseded"] += 1
                stands[stroke.key] = (file, line, stroke.value)
            named |= keys
            complete = complete and bool(accepted)
        for key, (file, line, value) in stands.items():
            if before.get(key) == (value, True):
                fates[drop, file]["unchanged"] += 1
                continue
            fates[drop, file]["updated" if key in before else "inserted"] += 1
            self.records[key] = Record(value, active=True, drop=drop, line=line)
        if self.snapshot and complete and self._knows_ragged(plan):
            for key, record in self.records.items():
                record.active = record.active and key in named
        return {place: dict(counts) for place, counts in fates.items()}

    def _knows_ragged(self, plan: DropPlan) -> bool:
        """Whether every line that is no record shows a key that is known, or is so now."""
        strokes = [stroke for file in plan for stroke in file]
        now = {stroke.key for stroke in strokes if isinstance(stroke, Good | BadCell)}
        ragged = {stroke.key for stroke in strokes if isinstance(stroke, Ragged)}
        return ragged <= self.records.keys() | now
