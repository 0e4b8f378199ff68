"""Files that grow while the sensor looks: whatever is taken is whole, and everything is taken.

Belongs here: two hundred writers, each at a speed and in the manner of a client that districts use,
against looks over a real SFTP server. Time is simulated, so that no busy machine decides; files,
their sizes and their times are real.
"""

from __future__ import annotations

import heapq
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.arrivals import (
    DropHistory,
    RememberedFile,
    ScanTerms,
    receive_files,
    scan_inboxes,
)
from ccgi_pipeline.intake.file_stability import Sighting
from ccgi_pipeline.intake.sources import Inboxes, open_inboxes
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline_tests.delivery.exchange import use_server
from ccgi_pipeline_tests.nightly.nights import folders_in
from ccgi_pipeline_tests.sftp.openssh import OpenSsh

pytestmark = pytest.mark.slow

WRITERS = 200
QUIET = timedelta(minutes=5)
_START = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
_BY_PARTIAL_NAME = 100_000
"""WinSCP takes a partial name for files above this size only."""

Step = Callable[[], None]


def _written(path: Path, content: bytes, rng: random.Random) -> Iterator[tuple[float, Step]]:
    """Writing ``content`` piece by piece: each pause before the next piece, in seconds."""
    # No pause is as long as the quiet period: nobody could tell it from the end.
    slow = rng.choice([1, 20, 90, 280])
    path.parent.mkdir(parents=True, exist_ok=True)
    yield 0, lambda: path.write_bytes(b"")
    places = range(1, len(content))
    cuts = sorted(rng.sample(places, min(len(places), rng.randint(1, 12))))
    for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True):
        yield rng.random() * slow, _appended(path, content[start:end])


def _appended(path: Path, piece: bytes) -> Step:
    def append() -> None:
        with path.open("ab") as file:
            file.write(piece)

    return append


def in_place(path: Path, content: bytes, rng: random.Random) -> Iterator[tuple[float, Step]]:
    """FileZilla, cURL, the sftp command."""
    yield from _written(path, content, rng)


def winscp(path: Path, content: bytes, rng: random.Random) -> Iterator[tuple[float, Step]]:
    """Small files in place, large ones under a partial name."""
    if len(content) <= _BY_PARTIAL_NAME:
        yield from _written(path, content, rng)
        return
    part = path.with_name(f"{path.name}.filepart")
    yield from _written(part, content, rng)
    yield rng.random(), lambda: part.replace(path) and None


def lftp(path: Path, content: bytes, rng: random.Random) -> Iterator[tuple[float, Step]]:
    """Under a name with a dot before it."""
    part = path.with_name(f".in.{path.name}.")
    yield from _written(part, content, rng)
    yield rng.random(), lambda: part.replace(path) and None


def resumed(path: Path, content: bytes, rng: random.Random) -> Iterator[tuple[float, Step]]:
    """A client that loses its connection and goes on after reconnecting."""
    half = len(content) // 2 + 1
    yield from _written(path, content[:half], rng)
    if content[half:]:
        yield 290, _appended(path, content[half:])


MANNERS = (in_place, winscp, lftp, resumed)


@dataclass
class Writer:
    """One district that sends one package of two files, and perhaps a correction later."""

    number: int
    sent: dict[str, set[str]] = field(default_factory=dict)
    """SHA-256 of every content that was sent, by path in the inbox."""

    def steps(self, root: Path) -> Iterator[tuple[float, Step]]:
        """All that it does: pauses and actions."""
        rng = random.Random(self.number)  # noqa: S311 - no secret
        manner = MANNERS[self.number % len(MANNERS)]
        yield rng.random() * 600, lambda: None
        for _ in range(rng.choice([1, 1, 2])):
            for name in ("StudentTemplate.csv", "CourseGrade.csv"):
                path = f"{self.number:07}/transcript/{name}"
                content = rng.randbytes(rng.choice([2, 3_000, 99_000, 130_000]))
                self.sent.setdefault(path, set()).add(sha256(content).hexdigest())
                yield from manner(root / path, content, rng)
            yield 1200, lambda: None


@dataclass
class Sensor:
    """Looks over SFTP, and what they took."""

    inboxes: Inboxes
    archive: Archive
    looks: dict[str, Sighting] = field(default_factory=dict)
    remembered: dict[str, RememberedFile] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)

    def scan(self, now: datetime) -> None:
        """One look, and a night at once if one is due."""
        terms = ScanTerms(now, QUIET, wait_for_local=True)
        scan, self.looks = scan_inboxes(self.inboxes, self.remembered, self.looks, terms)
        received = receive_files(self.inboxes, scan, self.archive, self.remembered, DropHistory())
        for drop in (*received.drops, *received.duplicates):
            for file, content in drop.files:
                self.taken.append((file.path, content))
                self.remembered[file.shown] = RememberedFile(file.stamp, content)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_is_taken_is_whole_and_everything_is_taken(
    tmp_path: Path, sshd: OpenSsh, seed: int
) -> None:
    folders = folders_in(tmp_path)
    below = f"race{seed}"
    use_server(folders, sshd, below)
    root = sshd.files / below / "uploads"
    half = WRITERS // 2
    writers = [Writer(number) for number in range(seed * half, (seed + 1) * half)]
    with open_inboxes(folders.inbox, read_profiles(folders.warehouse)) as inboxes:
        sensor = Sensor(inboxes, folders.archive)
        _simulated(writers, sensor, root, random.Random(seed))  # noqa: S311 - no secret
    sent = {path: contents for writer in writers for path, contents in writer.sent.items()}
    newest: dict[str, set[str]] = {}
    for path, content in sensor.taken:
        newest.setdefault(path.removeprefix("ccgi:"), set()).add(content)
    assert newest.keys() == sent.keys()
    partial = [path for path, contents in newest.items() if not contents <= sent[path]]
    assert partial == []
    lost = [path for path, contents in sent.items() if len(contents) != len(newest[path])]
    assert lost == []
    assert len(sensor.taken) == sum(map(len, sent.values())), "something was taken twice"


def _simulated(writers: list[Writer], sensor: Sensor, root: Path, rng: random.Random) -> None:
    """Lets writers and sensor go on, each at its own times, until nobody has anything to do."""
    running = {writer.number: writer.steps(root) for writer in writers}
    upcoming: list[tuple[float, int, Step]] = []

    def plan(number: int, now: float) -> None:
        step = next(running[number], None)
        if step is not None:
            heapq.heappush(upcoming, (now + step[0], number, step[1]))

    for writer in writers:
        plan(writer.number, _START)
    look_at = _START + rng.random() * 60
    last = _START
    while upcoming or look_at < last + 3 * QUIET.total_seconds():
        if not upcoming or look_at < upcoming[0][0]:
            sensor.scan(datetime.fromtimestamp(look_at, UTC))
            look_at += 60
            continue
        last, number, step = heapq.heappop(upcoming)
        step()
        _set_times(root / f"{number:07}", last)
        plan(number, last)


def _set_times(folder: Path, now: float) -> None:
    """Has what was just written carry the simulated time, as a server's clock would give it."""
    if folder.exists():
        newest = max(folder.rglob("*"), key=lambda path: path.stat().st_mtime_ns, default=None)
        if newest is not None and newest.is_file() and newest.stat().st_mtime > now + 60:
            os.utime(newest, (now, now))
