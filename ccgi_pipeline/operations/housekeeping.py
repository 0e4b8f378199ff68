"""Housekeeping: the thousandth night finds a warehouse as small and as quick as the first.

Belongs here: which former states are kept, the order of the steps, when housekeeping is due. Does
not belong here: the steps themselves (warehouse.storage.housekeeping), Dagster's runs (defs).

A state is kept if a file of the outbox was made from it in a night that is not too old, so that the
file can be made again. Of the states within a night from which no file was made none is kept.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta

import duckdb

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.delivery.ledger import ledger_exists, open_ledger
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import WEEKDAYS, HousekeepingSettings, read_profiles
from ccgi_pipeline.warehouse.storage import housekeeping as storage
from ccgi_pipeline.warehouse.storage.connection import (
    NoWarehouseError,
    open_warehouse,
    warehouse_exists,
    write_warehouse,
)
from ccgi_pipeline.warehouse.storage.housekeeping import LakeSize

FOR_READERS = timedelta(days=1)
"""How long a file stays that no state needs any more: a reader that began before may read it."""

_LAST = "housekeeping.json"
"""A file of the warehouse folder: the day of the last housekeeping, and what it did."""


@dataclass(frozen=True, slots=True)
class HousekeepingPlan:
    """What housekeeping would do: ``expire`` are states, ``merge`` and ``remove`` are files.

    ``since``: the first night whose files can still be made again afterwards.
    """

    since: date
    expire: int
    merge: int
    remove: int
    size: LakeSize


@dataclass(frozen=True, slots=True)
class HousekeepingResult:
    """What housekeeping did; ``removed`` are files, ``expired`` are states."""

    since: date
    expired: int
    removed: int
    before: LakeSize
    after: LakeSize
    seconds: float


@value_free
def plan_housekeeping(
    folders: PipelinePaths, on: date, for_readers: timedelta = FOR_READERS
) -> HousekeepingPlan:
    """Returns what housekeeping on a day would do; changes nothing."""
    settings = read_profiles(folders.warehouse).housekeeping
    since = _first_kept_night(settings, on)
    before = datetime.now(UTC) - for_readers
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        size = storage.measure_lake(connection)
        expire = _find_snapshots(connection, folders, since, before)
        return HousekeepingPlan(
            since=since,
            expire=len(expire),
            merge=storage.count_files_to_merge(connection) if settings.merge_files else 0,
            remove=storage.count_files_to_remove(connection, before),
            size=size,
        )


@value_free
def keep_house(
    folders: PipelinePaths, on: date, for_readers: timedelta = FOR_READERS
) -> HousekeepingResult:
    """Lets old states expire, merges small files, removes files that nobody needs.

    Raises NoWarehouseError, WarehouseBusyError while another process writes, CatalogDamagedError
    and TablesDamagedError. Readers are not disturbed: a file goes ``for_readers`` after its last
    need.
    """
    began = time.monotonic()
    if not warehouse_exists(folders.warehouse):
        msg = f"there is no warehouse in {folders.warehouse} yet: the first night makes it"
        raise NoWarehouseError(msg)
    settings = read_profiles(folders.warehouse).housekeeping
    since = _first_kept_night(settings, on)
    step = ProgressCounter("housekeeping", 3)
    with write_warehouse(folders.warehouse) as connection:
        size = storage.measure_lake(connection)
        before = datetime.now(UTC) - for_readers
        expired = _find_snapshots(connection, folders, since, before)
        storage.expire_snapshots(connection, expired)
        step.advance()
        if settings.merge_files:
            storage.merge_files(connection)
        step.advance()
        removed = storage.remove_files(connection, datetime.now(UTC) - for_readers)
        step.advance()
        result = HousekeepingResult(
            since=since,
            expired=len(expired),
            removed=removed,
            before=size,
            after=storage.measure_lake(connection),
            seconds=time.monotonic() - began,
        )
    _save_result(folders, on, result)
    return result


def is_due(folders: PipelinePaths, on: date) -> bool:
    """Returns whether housekeeping should begin by itself on a day.

    That is the settings' weekday, and each day after it until housekeeping is done.
    """
    day = read_profiles(folders.warehouse).housekeeping.weekday
    if day == "never":
        return False
    due = on - timedelta(days=(on.weekday() - WEEKDAYS.index(day)) % len(WEEKDAYS))
    last = read_last_day(folders)
    return due == on if last is None else last < due


def read_last_day(folders: PipelinePaths) -> date | None:
    """Returns the day of the last housekeeping; None if there was none or it is not known."""
    try:
        return date.fromisoformat(json.loads((folders.warehouse / _LAST).read_text())["day"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _first_kept_night(settings: HousekeepingSettings, on: date) -> date:
    return on - timedelta(days=min(settings.keep_snapshots_days, (on - date.min).days))


def _find_snapshots(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, since: date, before: datetime
) -> list[int]:
    """Returns the states that expire: those from before a moment that no kept file is made of."""
    needed: set[int] = set()
    if ledger_exists(folders.warehouse):
        with open_ledger(folders.warehouse) as ledger:
            needed = ledger.read_snapshots(since)
    return storage.find_snapshots_to_expire(connection, needed, before)


def _save_result(folders: PipelinePaths, on: date, result: HousekeepingResult) -> None:
    path = folders.warehouse / _LAST
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"day": f"{on}", **asdict(result)}, default=str, indent=2) + "\n")
    part.replace(path)
