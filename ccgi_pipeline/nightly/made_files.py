"""The record of every file that a night puts into the outbox.

Belongs here: which snapshot of the warehouse and which settings a file was made from, so that the
same bytes can be made again. Does not belong here: making it again (operations.rebuild).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType

import duckdb

from ccgi_pipeline.delivery.ledger import FileKind, MadeFile, ledger_exists, open_ledger
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import FILE_NAME as PROFILES
from ccgi_pipeline.profiles import Profiles, profiles_from
from ccgi_pipeline.reports.outbox import OutboxFile, sha256_of
from ccgi_pipeline.warehouse.storage.connection import read_snapshot_id


def archived_profiles(folders: PipelinePaths) -> tuple[Profiles, str]:
    """Returns the profiles and the SHA-256 of their file in the archive; empty without a file.

    The profiles are read from the archive, so that they are the recorded ones even if somebody
    edits the file now.
    """
    given = folders.warehouse / PROFILES
    if not given.exists():
        return Profiles(), ""
    sha256 = sha256_of(given.read_bytes())
    archive = folders.archive
    if not archive.has(sha256):
        sha256 = archive.store(given)
    return profiles_from(archive.read(sha256), given), sha256


def record_made_files(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    on: date,
    files: Sequence[tuple[FileKind, str, str, OutboxFile]],
    settings: str | None = None,
    bases: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Records the snapshot of the warehouse and the settings from which files were made.

    ``files``: each with its kind, and the name and part by which it can be made again.
    ``settings``: the SHA-256 of the profiles that were used; of those in force if not given.
    ``bases``: by owner, the basis of its files (``reports.basis``).
    """
    if settings is None:
        _, settings = archived_profiles(folders)
    snapshot = read_snapshot_id(connection)
    made = [
        MadeFile(
            path=file.path,
            sha256=file.sha256,
            owner=file.owner,
            kind=kind,
            name=name,
            part=part,
            night=on,
            snapshot=snapshot,
            settings=settings,
            rows=file.rows,
            basis=bases.get(file.owner, ""),
            size=file.size,
            mtime_ns=file.mtime_ns,
            since=file.since or on,
        )
        for kind, name, part, file in files
    ]
    with open_ledger(folders.warehouse) as ledger:
        ledger.record_made(made)


def list_made_files(folders: PipelinePaths, on: date) -> list[MadeFile]:
    """Returns the newest record of each file that a night put into the outbox."""
    if not ledger_exists(folders.warehouse):
        return []
    with open_ledger(folders.warehouse) as ledger:
        return ledger.list_made(on)
