"""The files that a purge removes: in the inbox, the archive and the outbox, and other records.

Belongs here: which files go, and removing them. Does not belong here: rows
(warehouse.load.erasure), the search for what is left (purge_proof).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.delivery.ledger import ledger_exists, open_ledger
from ccgi_pipeline.intake.inbox_state import read_sightings, save_sightings
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.oneroster_api.district_fetch import page_archive
from ccgi_pipeline.oneroster_api.state import open_store, store_exists
from ccgi_pipeline.operations.purge_proof import find_files_with_values, list_files
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.reports.outbox import sha256_of
from ccgi_pipeline.ssid_lookup.backlog import Backlog
from ccgi_pipeline.warehouse.load import erasure
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection
from ccgi_pipeline.warehouse.queries.directory import name_senders, read_outbox_folders

_STEP_FOLDERS = ("staging", "spill", "preview")
"""Folders that a night leaves between its steps; they can be made again from what stays."""


def remove_files(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    selection: PurgeSelection,
    values: pl.Series,
) -> dict[str, int]:
    """Removes the files that go; returns how many in each place.

    ``values`` identify purged rows: files of others that contain them go too.
    """
    archive = folders.archive
    doomed = [archive.path(sha256) for sha256 in erasure.read_archived_files(connection)]
    doomed += _forget_pages(folders, selection)
    outbox = find_outbox_files(connection, folders, selection)
    if selection.district:
        # Files of a county office or of the state have lines about this district's students.
        theirs = {*doomed, *outbox}
        doomed += find_files_with_values(
            folders,
            values,
            (
                path
                for path in (*archive.files(), *page_archive(folders.warehouse).files())
                if path not in theirs
            ),
        )
        outbox += find_files_with_values(
            folders, values, (p for p in list_files(folders.outbox) if p not in theirs)
        )
    inbox = find_inbox_files(folders, selection)
    if selection.district:
        # A file that is not archived yet stays, and is reported: its other lines are in no table.
        inbox += [
            path
            for path in find_files_with_values(folders, values, list_files(folders.inbox))
            if path not in inbox and archive.has(sha256_of(path.read_bytes()))
        ]
    removed = {
        "inbox": _delete(inbox, "purge: inbox"),
        "archive": _delete(doomed, "purge: archive"),
        "outbox": _delete(outbox, "purge: outbox"),
    }
    for name in _STEP_FOLDERS:
        shutil.rmtree(folders.warehouse / name, ignore_errors=True)
    if selection.district:
        # Pages have counts only, yet no page is to name who is gone. The next night makes them.
        pages = read_profiles(folders.warehouse).pages.locate(folders.warehouse)
        (pages / "districts" / f"{selection.district}.html").unlink(missing_ok=True)
        (pages / "index.html").unlink(missing_ok=True)
    if selection.district:
        sightings = read_sightings(folders.warehouse)
        theirs_of_inbox = {
            path for path in sightings if selection.district in re.split("[/:]", path)
        }
        save_sightings(
            folders.warehouse,
            {p: seen for p, seen in sightings.items() if p not in theirs_of_inbox},
        )
    if ledger_exists(folders.warehouse):
        with open_ledger(folders.warehouse) as ledger:
            removed["deliveries"] = ledger.delete_records(selection.district, selection.before)
    backlog = folders.warehouse / "lookups"
    if selection.before and backlog.exists():
        removed["look-ups"] = Backlog(backlog).delete_before(selection.before)
    return removed


def _forget_pages(folders: PipelinePaths, selection: PurgeSelection) -> list[Path]:
    """Forgets pages of rosters that were fetched by API; returns their files."""
    if not store_exists(folders.warehouse):
        return []
    day = selection.before
    before = None if day is None else datetime.combine(day, datetime.min.time(), UTC)
    with open_store(folders.warehouse) as store:
        gone = store.forget(selection.district, before)
    return [page_archive(folders.warehouse).path(sha256) for sha256 in gone]


def _delete(paths: Iterable[Path], failpoint_name: str) -> int:
    removed = 0
    with failpoint(failpoint_name):
        for path in paths:
            if path.exists():
                path.unlink()
                removed += 1
    return removed


def find_outbox_files(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, selection: PurgeSelection
) -> list[Path]:
    """Returns the outbox's files of the district, or of nights before the given day."""
    if selection.district:
        named = name_senders(connection, pl.Series("cd", [selection.district]))
        former = read_outbox_folders(connection).filter(pl.col("cd") == selection.district)
        theirs = sorted({*named["folder"], *former["folder"]})
        return [path for folder in theirs for path in list_files(folders.outbox / folder)]
    return [path for path in list_files(folders.outbox) if _is_older(path, selection.before)]


_NIGHT = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?!\d)")


def _is_older(path: Path, before: date | None) -> bool:
    """Returns whether the name of an outbox file has a date before that day."""
    found = _NIGHT.search(path.name)
    if found is None or before is None:
        return False
    try:
        return date(*map(int, found.groups())) < before
    except ValueError:
        return False


def find_inbox_files(folders: PipelinePaths, selection: PurgeSelection) -> list[Path]:
    """Returns the district's files in the local inbox, or those that came before the given day."""
    if selection.district:
        return list_files(folders.inbox / selection.district)
    begins = datetime.combine(selection.before or date.min, datetime.min.time(), UTC).timestamp()
    return [path for path in list_files(folders.inbox) if path.stat().st_mtime < begins]
