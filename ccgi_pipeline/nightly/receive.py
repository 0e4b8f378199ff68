"""The first step of a night: scans the inboxes, archives new files and stages their drops.

Belongs here: scanning until files are complete, and what a scan found. Does not belong here: how an
inbox is listed or a file archived (intake).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
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
from ccgi_pipeline.intake.inbox_state import (
    LastScan,
    read_sightings,
    save_last_scan,
    save_sightings,
)
from ccgi_pipeline.intake.sources import Inboxes, open_inboxes, reasons
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import Profiles, read_profiles
from ccgi_pipeline.warehouse.load import approvals
from ccgi_pipeline.warehouse.load.drop_records import (
    clear_stamps,
    number_drops,
    read_drop_history,
    read_remembered_files,
    record_arrivals,
)
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, warehouse_exists


class WaitMode(StrEnum):
    """Which files a night takes.

    NOW: all of the local inbox as it is, and what stands still on servers, waiting if it must.
    WAIT: what stands still anywhere, waiting if it must. SETTLED: that, without waiting.
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
    """Archives what is new in the inboxes and stages its drops; ``only`` one sender's, if given."""
    step = ProgressCounter("receiving", 0)
    profiles = read_profiles(folders.warehouse)
    approvals.expire_approvals(connection, on)
    approved = [d for d in approvals.read_approved_drops(connection) if only in {None, d.sender}]
    with open_inboxes(folders.inbox, profiles) as inboxes:
        remembered = read_remembered_files(connection)
        look = _scan_until_stable(inboxes, remembered, folders, taking, clock or Clock(), only=only)
        clear_stamps(connection, look.gone)
        _remove_taken(look, profiles)
        history = read_drop_history(connection)
        received = receive_files(inboxes, look, folders.archive, remembered, history, step.advance)
    record_arrivals(connection, received, on)
    arrived = {drop.id for drop in received.drops}
    again = tuple(drop for drop in approved if drop.id not in arrived)
    drops = number_drops(connection, (*again, *received.drops))
    received = replace(received, drops=tuple(drops))
    folders.staging.save_drops(received.drops)
    return received


_SECONDS_BETWEEN_SCANS = 15.0
"""Seconds: a quiet period of minutes needs no closer watch."""


def _scan_until_stable(
    inboxes: Inboxes,
    remembered: Mapping[str, RememberedFile],
    folders: PipelinePaths,
    taking: WaitMode,
    clock: Clock,
    *,
    only: str | None,
) -> InboxScan:
    """Looks into the inboxes, again and again if the night waits, for little over a quiet period.

    Whoever is still sending then is taken by a later night.
    """
    quiet = timedelta(minutes=read_profiles(folders.warehouse).intake.quiet_minutes)
    until = clock.now() + quiet + 2 * timedelta(seconds=_SECONDS_BETWEEN_SCANS)
    while True:
        watch = ScanTerms(clock.now(), quiet, patient=taking is not WaitMode.NOW)
        before = read_sightings(folders.warehouse)
        look, seen = scan_inboxes(inboxes, remembered, before, watch, only)
        save_sightings(folders.warehouse, seen if only is None else {**before, **seen})
        if look.settled or taking is WaitMode.SETTLED or clock.now() >= until:
            return look
        clock.sleep(min(_SECONDS_BETWEEN_SCANS, max(1.0, quiet.total_seconds())))


def _remove_taken(look: InboxScan, profiles: Profiles) -> None:
    """Removes files from servers where the district's profile says so, once they are loaded."""
    for source, file in look.taken:
        if profiles.of(file.sender).delivery.remove_taken:
            source.remove(file)


@dataclass(frozen=True, slots=True)
class InboxPoll:
    """What a look for new drops came to.

    ``due``: a night is due, under this key; None, and ``told`` says why not. ``refused``: servers
    that will not be looked into until somebody acts.
    """

    due: str | None
    told: str
    refused: tuple[str, ...] = ()


@value_free
def poll_inboxes(folders: PipelinePaths, clock: Clock | None = None) -> InboxPoll:
    """Looks into all inboxes once, and keeps what was seen for the next look."""
    now = (clock or Clock()).now()
    profiles = read_profiles(folders.warehouse)
    quiet = timedelta(minutes=profiles.intake.quiet_minutes)
    try:
        remembered = _remembered(folders.warehouse)
    except TransientError as later:
        return InboxPoll(None, str(later))
    with open_inboxes(folders.inbox, profiles) as inboxes:
        watch = ScanTerms(now, quiet, patient=True)
        look, seen = scan_inboxes(inboxes, remembered, read_sightings(folders.warehouse), watch)
        unreachable = inboxes.unreachable
    save_sightings(folders.warehouse, seen)
    refusing = reasons(server for server in unreachable if server.permanent)
    save_last_scan(folders.warehouse, LastScan(now, refusing))
    refused = tuple(refusing.values())
    new = [file for _, files in look.new for file in files]
    told = f"{len(new)} new files, none of them at rest"
    if unreachable:
        told = f"{told}; {'; '.join(server.why for server in unreachable)}"
    if not look.ready:
        return InboxPoll(None, told, refused)
    identity = hashlib.sha256(f"{attempt_number(look.ready, seen, now)}".encode())
    for file in sorted(look.ready):
        identity.update(f"{file.shown}\0{file.stamp}\n".encode())
    return InboxPoll(identity.hexdigest(), "", refused)


def _remembered(warehouse: Path) -> dict[str, RememberedFile]:
    if not warehouse_exists(warehouse):
        return {}
    with open_warehouse(warehouse, read_only=True) as connection:
        return read_remembered_files(connection)


def has_new_files(connection: duckdb.DuckDBPyConnection, folders: PipelinePaths) -> bool:
    """Whether some inbox has a file that is not known as it is now, or cannot be asked."""
    remembered = read_remembered_files(connection)
    with open_inboxes(folders.inbox, read_profiles(folders.warehouse)) as inboxes:
        watch = ScanTerms(Clock().now(), timedelta(), patient=False)
        look, _ = scan_inboxes(inboxes, remembered, {}, watch)
        return bool(look.new or inboxes.unreachable)
