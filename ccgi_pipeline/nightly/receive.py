"""The first step of a night: scans the inboxes, archives new files and stages their drops.

Belongs here: scanning until files are complete, and polling whether a night is due. Does not belong
here: how an inbox is listed or a file archived (intake).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import duckdb

from ccgi_pipeline.common.errors import TransientError, value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.intake.arrivals import (
    InboxScan,
    ReceivedDrops,
    RememberedFile,
    ScanTerms,
    receive_files,
    scan_inboxes,
)
from ccgi_pipeline.intake.file_stability import Clock, attempt_number
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.intake.inbox_state import (
    LastScan,
    read_sightings,
    save_last_scan,
    save_refusing_servers,
    save_sightings,
)
from ccgi_pipeline.intake.sources import Inboxes, InboxProblem, open_inboxes, problems_by_server
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import Profiles, read_profiles
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.load.drop_records import (
    clear_stamps,
    number_drops,
    read_drop_history,
    read_drops_to_load_again,
    read_remembered_files,
    record_arrivals,
)
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, warehouse_exists

_SECONDS_BETWEEN_SCANS = 15.0
"""Seconds; a quiet period lasts minutes."""


class WaitMode(StrEnum):
    """Which files a night receives.

    NOW: all files of the local inbox at once, and complete files on servers, waiting if needed.
    WAIT: complete files everywhere, waiting if needed. SETTLED: complete files, without waiting.
    """

    NOW = "now"
    WAIT = "wait"
    SETTLED = "settled"


@value_free
def receive_drops(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    on: date,
    only: str | None = None,
    taking: WaitMode = WaitMode.NOW,
    clock: Clock | None = None,
) -> ReceivedDrops:
    """Archives new files of the inboxes and stages their drops; ``only``: those of one sender."""
    step = ProgressCounter("receiving", 0)
    profiles = read_profiles(folders.warehouse)
    approvals.expire_approvals(connection, on)
    with open_inboxes(folders.inbox, profiles) as inboxes:
        remembered = read_remembered_files(connection)
        scan = _scan_until_stable(inboxes, remembered, folders, taking, clock or Clock(), only=only)
        clear_stamps(connection, scan.gone)
        scan = _remove_taken(scan, profiles)
        history = read_drop_history(connection)
        received = receive_files(inboxes, scan, folders.archive, remembered, history, step.advance)
        _remove_undated(scan, received, profiles)
        if only is None:
            save_refusing_servers(folders.warehouse, _refusing(inboxes.problems))
    record_arrivals(connection, received, on)
    again = _select_drops_to_load_again(connection, folders, received.drops, only)
    drops = number_drops(connection, (*again, *received.drops))
    received = replace(received, drops=tuple(drops))
    folders.staging.save_drops(received.drops)
    return received


def _scan_until_stable(
    inboxes: Inboxes,
    remembered: Mapping[str, RememberedFile],
    folders: PipelinePaths,
    taking: WaitMode,
    clock: Clock,
    *,
    only: str | None,
) -> InboxScan:
    """Scans the inboxes; if the night waits, repeatedly, for a little over one quiet period.

    Files that are still being written then are taken by a later night.
    """
    quiet = timedelta(minutes=read_profiles(folders.warehouse).intake.quiet_minutes)
    until = clock.now() + quiet + 2 * timedelta(seconds=_SECONDS_BETWEEN_SCANS)
    while True:
        terms = ScanTerms(clock.now(), quiet, wait_for_local=taking is not WaitMode.NOW)
        before = read_sightings(folders.warehouse)
        scan, sightings = scan_inboxes(inboxes, remembered, before, terms, only)
        save_sightings(folders.warehouse, sightings if only is None else {**before, **sightings})
        if scan.all_ready or taking is WaitMode.SETTLED or clock.now() >= until:
            return scan
        clock.sleep(min(_SECONDS_BETWEEN_SCANS, max(1.0, quiet.total_seconds())))


def _remove_taken(scan: InboxScan, profiles: Profiles) -> InboxScan:
    """Removes loaded files where the district's profile says so; returns the scan without them."""
    kept = []
    for source, file in scan.taken:
        if profiles.of(file.sender).delivery.remove_taken:
            source.remove(file)
        else:
            kept.append((source, file))
    return replace(scan, taken=tuple(kept))


def _remove_undated(scan: InboxScan, received: ReceivedDrops, profiles: Profiles) -> None:
    """Removes, where that is wished, loaded files that were just fetched and found unchanged."""
    unchanged = {file for file, _ in received.touched if file.undated}
    for source, files in scan.new:
        for file in unchanged.intersection(files):
            if profiles.of(file.sender).delivery.remove_taken:
                source.remove(file)


def _select_drops_to_load_again(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    arrived: Sequence[Drop],
    only: str | None,
) -> list[Drop]:
    """Returns the earlier drops that this night loads again; ``only``: those of one sender.

    Left out are drops whose bytes a purge removed, and those that an arrived one replaces file by
    file.
    """
    replaced = {(drop.sender, path) for drop in arrived for path in _paths(drop)}
    return [
        drop
        for drop in read_drops_to_load_again(connection, {drop.family for drop in arrived})
        if only in {None, drop.sender}
        and not replaced.issuperset((drop.sender, path) for path in _paths(drop))
        and all(folders.archive.has(sha256) for _, sha256 in drop.files)
    ]


def _paths(drop: Drop) -> list[str]:
    return [file.shown for file, _ in drop.files]


@dataclass(frozen=True, slots=True)
class InboxPoll:
    """The result of the sensor's scan.

    ``due`` is the key of a night that is due; if it is None, ``reason`` says why. ``refused`` are
    servers that cannot be scanned until somebody acts.
    """

    due: str | None
    reason: str
    refused: tuple[str, ...] = ()


@value_free
def poll_inboxes(folders: PipelinePaths, clock: Clock | None = None) -> InboxPoll:
    """Scans all inboxes once, and stores the sightings for the next scan."""
    now = (clock or Clock()).now()
    profiles = read_profiles(folders.warehouse)
    quiet = timedelta(minutes=profiles.intake.quiet_minutes)
    try:
        remembered = _read_remembered(folders.warehouse)
    except TransientError as later:
        return InboxPoll(None, str(later))
    with open_inboxes(folders.inbox, profiles) as inboxes:
        # Every minute would be too often to fetch files that tell no time.
        terms = ScanTerms(now, quiet, wait_for_local=True, read_undated=False)
        scan, sightings = scan_inboxes(
            inboxes, remembered, read_sightings(folders.warehouse), terms
        )
        problems = inboxes.problems
    save_sightings(folders.warehouse, sightings)
    refusing = _refusing(problems)
    save_last_scan(folders.warehouse, LastScan(now, refusing))
    refused = tuple(refusing.values())
    reason = "; ".join([_describe_wait(scan, now), *(problem.reason for problem in problems)])
    if not scan.ready:
        return InboxPoll(None, reason, refused)
    identity = hashlib.sha256(f"{attempt_number(scan.ready, sightings, now)}".encode())
    for file in sorted(scan.ready):
        identity.update(f"{file.shown}\0{file.stamp}\n".encode())
    return InboxPoll(identity.hexdigest(), "", refused)


def _describe_wait(scan: InboxScan, now: datetime) -> str:
    """Says how many files wait, and when the night that takes the first of them begins."""
    count = sum(len(files) for _, files in scan.new)
    if not count or scan.expected is None:
        return "no new file"
    # The next scan is a minute later, and a file must be seen by two.
    minutes = max(1, math.ceil((scan.expected - now) / timedelta(minutes=1)))
    files, minutes_told = _count(count, "new file"), _count(minutes, "minute")
    return f"{files}; the night begins in about {minutes_told}, if nothing more arrives"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _refusing(problems: Iterable[InboxProblem]) -> dict[str, str]:
    """Returns the servers that refuse until somebody acts, each with the reason."""
    return problems_by_server(problem for problem in problems if problem.permanent)


def _read_remembered(warehouse: Path) -> dict[str, RememberedFile]:
    """Returns the last known file of each path, none before the first night."""
    if not warehouse_exists(warehouse):
        return {}
    with open_warehouse(warehouse, read_only=True) as connection:
        return read_remembered_files(connection)


def has_new_files(connection: duckdb.DuckDBPyConnection, folders: PipelinePaths) -> bool:
    """Returns whether an inbox has a new or changed file, or cannot be asked."""
    remembered = read_remembered_files(connection)
    with open_inboxes(folders.inbox, read_profiles(folders.warehouse)) as inboxes:
        terms = ScanTerms(Clock().now(), timedelta(), wait_for_local=False)
        scan, _ = scan_inboxes(inboxes, remembered, {}, terms)
        return bool(scan.new or inboxes.problems)
