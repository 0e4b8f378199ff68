"""The purge: removes all that is known of a district, or all that is too old, and proves it.

Belongs here: the plan, the order of the places, the certificate. Does not belong here: rows
(warehouse.load.erasure), files (purge_files), the search that proves it (purge_proof).

A purge that was stopped can be run again. Rows go last, so until then it is known what is to go,
and the values that are searched for are kept in a file until the proof is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.sqlite import vacuum_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations import audit_log
from ccgi_pipeline.operations.purge_files import (
    find_inbox_files,
    find_outbox_files,
    remove_files,
)
from ccgi_pipeline.operations.purge_proof import (
    SEARCH_FILE,
    PurgeProof,
    save_search_values,
    search_for_values,
)
from ccgi_pipeline.warehouse.load import erasure
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection
from ccgi_pipeline.warehouse.storage.checksums import checked_tables
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline.warehouse.storage.history import delete_history
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer

CERTIFICATES = "certificates"

KEPT = (
    "what others sent of the same children: child welfare's register, applications, identities",
    "files that were delivered: they are the receiver's",
    "backups: they are to be purged where they lie",
)
"""What a purge of a district does not remove. The certificate lists it."""


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """What would go: rows by table, and how many files in each place."""

    selection: PurgeSelection
    rows: Mapping[str, int]
    files: Mapping[str, int]
    snapshots: bool = True

    @property
    def empty(self) -> bool:
        """Whether there is nothing to purge."""
        return not self.rows and not any(self.files.values())


@dataclass(frozen=True, slots=True)
class PurgeCertificate:
    """What was removed, by whom and why, and the proof that it is gone."""

    purged: str
    by: str
    reason: str
    began: str
    ended: str
    rows: Mapping[str, int]
    files: Mapping[str, int]
    snapshots: int
    proof: PurgeProof
    audit_entry: str
    kept: Sequence[str] = field(default=KEPT)

    @property
    def proven(self) -> bool:
        """Whether the search found nothing any more."""
        return not self.proof.found


@value_free
def plan_purge(folders: PipelinePaths, selection: PurgeSelection) -> PurgePlan:
    """Returns what a purge would remove; changes nothing."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        with erasure.mark_rows_to_purge(connection, selection):
            rows = erasure.count_rows(connection, selection)
            archived = erasure.read_archived_files(connection)
        files = {
            "archive": sum(1 for sha256 in archived if folders.archive.has(sha256)),
            "outbox": len(find_outbox_files(connection, folders, selection)),
            "inbox": len(find_inbox_files(folders, selection)),
        }
    return PurgePlan(selection, rows, files)


@value_free
def run_purge(
    folders: PipelinePaths,
    selection: PurgeSelection,
    *,
    by: str,
    reason: str,
    forget_runs: Callable[[PurgeSelection], int] = lambda _: 0,
) -> PurgeCertificate:
    """Removes everything selected, and proves that it is gone.

    ``forget_runs``: deletes Dagster's records of the runs. Raises WarehouseBusyError while another
    process writes.
    """
    began = _now()
    warehouse = folders.warehouse
    about = {"of": str(selection)}
    with (
        exclusive_writer(warehouse),
        audit_log.recorded_act(
            warehouse, audit_log.Act.PURGED, about, by=by, reason=reason
        ) as entry,
        open_warehouse(warehouse) as connection,
        checked_tables(connection, warehouse),
    ):
        create_missing_tables(connection)
        with erasure.mark_rows_to_purge(connection, selection):
            values = save_search_values(
                warehouse, erasure.read_search_values(connection, selection)
            )
            rows = erasure.count_rows(connection, selection)
            files = remove_files(connection, folders, selection, values)
            files["runs"] = forget_runs(selection)
            with failpoint("purge: rows"):
                erasure.delete_rows(connection, selection)
        with failpoint("purge: history"):
            snapshots = delete_history(connection, warehouse)
        vacuum_files(warehouse)
        proof = search_for_values(connection, folders, values)
        certificate = PurgeCertificate(
            purged=str(selection),
            by=entry.who,
            reason=reason.strip(),
            began=began,
            ended=_now(),
            rows=rows,
            files=files,
            snapshots=snapshots,
            proof=proof,
            audit_entry=str(audit_log.Head(entry.number, entry.hash)),
        )
        _save_certificate(warehouse, certificate, entry.number)
        (warehouse / SEARCH_FILE).unlink(missing_ok=True)
    return certificate


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")


def _save_certificate(warehouse: Path, certificate: PurgeCertificate, number: int) -> None:
    folder = warehouse / CERTIFICATES
    folder.mkdir(exist_ok=True)
    path = folder / f"purge-{number}.json"
    path.write_text(json.dumps(asdict(certificate), indent=2) + "\n")
