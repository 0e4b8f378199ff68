"""Decides which files of an inbox are complete, from the sightings of several scans.

Belongs here: the decision, a pure function. SFTP cannot announce that an upload has ended: WinSCP
renames a large file when it is complete and writes a small one in place, FileZilla and cURL always
write in place. So a file counts as complete when it has not changed for a while. Does not belong
here: listing the files (sources).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ccgi_pipeline.intake.inbox import InboxFile, delivery_place

_SCANS = 2
_QUIET_PERIODS = 12
"""A complete file waits for changing files of its folder, so that files that were sent together are
taken together. It waits for at most this many quiet periods (usually an hour), because some folders
are always being written to."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file's stamp, the time of the first scan that saw it, and the number of scans since."""

    stamp: str
    since: datetime
    scans: int = 1


@dataclass(frozen=True, slots=True)
class Clock:
    """Tells the time and waits; tests replace it."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


def update_sightings(
    files: Iterable[InboxFile], before: Mapping[str, Sighting], now: datetime
) -> dict[str, Sighting]:
    """Returns the sightings of ``files`` after a scan at ``now``, by path."""
    return {file.shown: _update_sighting(file, before.get(file.shown), now) for file in files}


def _update_sighting(file: InboxFile, before: Sighting | None, now: datetime) -> Sighting:
    if before is None or before.stamp != file.stamp or before.since > now:
        return Sighting(file.stamp, now)
    return Sighting(file.stamp, before.since, before.scans + 1)


def select_stable_files(
    files: Sequence[InboxFile],
    unfinished: Iterable[InboxFile],
    sightings: Mapping[str, Sighting],
    now: datetime,
    quiet: timedelta,
    checksummed: frozenset[str] = frozenset(),
) -> list[InboxFile]:
    """Returns those of ``files`` that may be taken: two scans and ``quiet`` saw no change.

    ``unfinished`` are files with a partial name: while one changes, its folder is being written to.
    The folders ``checksummed`` have a list of checksums that proves whether files are complete, so
    two scans are enough for them.
    """
    changing: defaultdict[tuple[str, str, str], bool] = defaultdict(bool)
    for file in [*files, *unfinished]:
        stable = _is_stable(
            file, sightings, now, timedelta() if delivery_place(file)[2] in checksummed else quiet
        )
        changing[delivery_place(file)] |= not stable
    return [
        file
        for file in files
        if not changing[delivery_place(file)] or is_overdue(file, sightings, now, quiet)
    ]


def expect_next_file(
    files: Sequence[InboxFile],
    unfinished: Iterable[InboxFile],
    sightings: Mapping[str, Sighting],
    quiet: timedelta,
    checksummed: frozenset[str] = frozenset(),
) -> datetime | None:
    """Returns when the first of ``files`` may be taken if none changes any more; None if none is.

    The arguments are those of ``select_stable_files``.
    """
    rested: dict[tuple[str, str, str], datetime] = {}
    for file in [*files, *unfinished]:
        place, sighting = delivery_place(file), sightings.get(file.shown)
        if sighting is not None:
            at = sighting.since + (timedelta() if place[2] in checksummed else quiet)
            rested[place] = max(rested.get(place, at), at)
    expected = [
        min(rested[delivery_place(file)], sightings[file.shown].since + _longest_wait(quiet))
        for file in files
        if file.shown in sightings
    ]
    return min(expected, default=None)


def is_overdue(
    file: InboxFile, sightings: Mapping[str, Sighting], now: datetime, quiet: timedelta
) -> bool:
    """Returns whether the file has waited long enough for the other files of its folder."""
    return _is_stable(file, sightings, now, _longest_wait(quiet))


def _longest_wait(quiet: timedelta) -> timedelta:
    return max(quiet, _SHORTEST_QUIET) * _QUIET_PERIODS


_SHORTEST_QUIET = timedelta(minutes=5)


def _is_stable(
    file: InboxFile, sightings: Mapping[str, Sighting], now: datetime, quiet: timedelta
) -> bool:
    sighting = sightings.get(file.shown)
    return (
        sighting is not None
        and sighting.stamp == file.stamp
        and sighting.scans >= _SCANS
        and now - sighting.since >= quiet
    )


_FIRST_RETRY = timedelta(minutes=10)


def attempt_number(
    ready: Iterable[InboxFile], sightings: Mapping[str, Sighting], now: datetime
) -> int:
    """Returns how many nights should have been started by now for these files.

    The number grows by one each time the wait has doubled, so a night that fails is tried again at
    growing intervals.
    """
    oldest = min(
        (sightings[file.shown].since for file in ready if file.shown in sightings), default=now
    )
    return max(0, int(math.log2(max(1.0, (now - oldest) / _FIRST_RETRY))))
