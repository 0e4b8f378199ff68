"""Settling: which files of an inbox stand still, so that they may be taken for whole.

Belongs here: the decision, a pure function of what was seen at one look after the other. SFTP has
no word for "I have finished": WinSCP renames a large file when it is whole and writes a small one
in place, FileZilla and cURL write in place always. Does not belong here: looking (sources).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ccgi_pipeline.intake.inbox import InboxFile, place

_LOOKS = 2
_COMPANY = 12
"""A file that stands still waits for others of its folder that do not, so that what was sent
together is taken together; but no longer than so many quiet periods (an hour, usually): a folder
into which something is always written must not wait for ever."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen of a file: its stamp, since when it has that, at how many looks."""

    stamp: str
    since: datetime
    looks: int = 1


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, and waiting; the tests have one of their own."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


def sightings(
    files: Iterable[InboxFile], before: Mapping[str, Sighting], now: datetime
) -> dict[str, Sighting]:
    """What is known of ``files`` after a look at ``now``, by path."""
    return {file.shown: _seen(file, before.get(file.shown), now) for file in files}


def _seen(file: InboxFile, before: Sighting | None, now: datetime) -> Sighting:
    if before is None or before.stamp != file.stamp or before.since > now:
        return Sighting(file.stamp, now)
    return Sighting(file.stamp, before.since, before.looks + 1)


def stable_files(
    files: Sequence[InboxFile],
    unfinished: Iterable[InboxFile],
    looks: Mapping[str, Sighting],
    now: datetime,
    quiet: timedelta,
    vouched: frozenset[str] = frozenset(),
) -> list[InboxFile]:
    """Those of ``files`` that may be taken: they stood still over two looks and ``quiet``.

    ``unfinished`` are files with a partial name: while one moves, its folder is being written to.
    Files of the folders ``vouched`` have a list of checksums with them that will tell whether they
    are whole: two looks are enough.
    """
    moving: defaultdict[tuple[str, str, str], bool] = defaultdict(bool)
    for file in [*files, *unfinished]:
        rests = _rests(file, looks, now, timedelta() if place(file)[2] in vouched else quiet)
        moving[place(file)] |= not rests
    return [
        file for file in files if not moving[place(file)] or has_waited(file, looks, now, quiet)
    ]


def has_waited(
    file: InboxFile, looks: Mapping[str, Sighting], now: datetime, quiet: timedelta
) -> bool:
    """Whether the file has waited for the others of its folder for long enough."""
    return _rests(file, looks, now, max(quiet, _LEAST) * _COMPANY)


_LEAST = timedelta(minutes=5)


def _rests(file: InboxFile, looks: Mapping[str, Sighting], now: datetime, quiet: timedelta) -> bool:
    look = looks.get(file.shown)
    return (
        look is not None
        and look.stamp == file.stamp
        and look.looks >= _LOOKS
        and now - look.since >= quiet
    )


_FIRST_RETRY = timedelta(minutes=10)


def attempt_number(ready: Iterable[InboxFile], looks: Mapping[str, Sighting], now: datetime) -> int:
    """How often by now a night should have been asked for that takes these files.

    Grows by one each time that the wait has doubled: what fails is tried again, and not for ever
    every minute.
    """
    oldest = min((looks[file.shown].since for file in ready if file.shown in looks), default=now)
    return max(0, int(math.log2(max(1.0, (now - oldest) / _FIRST_RETRY))))
