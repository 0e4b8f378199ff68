"""The state before a night and the counts after it.

Does not belong here: printing them (cli), the queries (warehouse.queries.health).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.delivery.ledger import FileKind, MadeFile
from ccgi_pipeline.intake.inbox import NO_SENDER, scan_folder
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import has_new_files
from ccgi_pipeline.nightly.report import read_cadence
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.reports.cadence import CadenceState
from ccgi_pipeline.warehouse.load.drop_records import read_drops_to_load_again
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.queries.quarantine import has_replays_without_receipt
from ccgi_pipeline.warehouse.storage.connection import (
    open_upgraded_warehouse,
    open_warehouse,
    warehouse_exists,
)


@dataclass(frozen=True, slots=True)
class NightSummary:
    """What a night did, in counts.

    ``last_drop``: the position of the drop that was loaded last.
    ``unreachable``: what could not be fetched from an inbox, and what to do about it. ``strays``:
    files in the inbox that belong to no sender. ``unfinished``: those with a temporary name, which
    wait until they are renamed. ``not_due``: groups of reports that were not written, because the
    districts' cadence does not ask for them tonight. ``kept``: records that stay active because
    lines could not be read. ``unchanged``: those of ``reports`` that have the bytes of an earlier
    night.
    """

    night: date
    last_drop: int
    districts: int
    students: int
    verdicts: list[tuple[str, str, int]]
    fates: list[tuple[str, str, int]]
    findings: list[tuple[str, str, int, str]]
    reports: int
    receipts: int
    strays: int
    events_outside_rosters: int
    kept: list[health_queries.KeptRecords]
    unfinished: int = 0
    unreachable: tuple[str, ...] = ()
    not_due: tuple[CadenceState, ...] = ()
    unchanged: int = 0


@dataclass(frozen=True, slots=True)
class NightStart:
    """The state before a night. ``last_drop``: the position of the drop that was loaded last.

    ``quiet``: there is nothing to load, no receipt to write, and the ledger adds up.
    """

    last_drop: int = 0
    quiet: bool = False


@value_free
def read_night_start(folders: PipelinePaths) -> NightStart:
    """Returns the end of the ledger, and whether there is anything to do.

    A file that a killed night did not load, or that met a fault of this software, counts as new.
    """
    if not warehouse_exists(folders.warehouse):
        return NightStart()
    with open_upgraded_warehouse(folders.warehouse) as connection:
        news = (
            has_new_files(connection, folders)
            or read_drops_to_load_again(connection)
            or has_replays_without_receipt(connection)
            or health_queries.count_unbalanced_files(connection)
        )
        return NightStart(health_queries.read_last_position(connection), quiet=not news)


@value_free
def summarize_night(
    folders: PipelinePaths, on: date, before: NightStart, made: Sequence[MadeFile]
) -> NightSummary:
    """Counts what the drops since ``before`` brought, and the files that the night has ``made``."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        counts = health_queries.count_since(connection, before.last_drop)
        last_drop = health_queries.read_last_position(connection)
        cds = health_queries.read_districts_with_roster(connection)
    cadence = read_cadence(folders.warehouse, read_profiles(folders.warehouse), cds, on)
    reports = [one for one in made if one.kind == FileKind.REPORT and one.rows is not None]
    listing = scan_folder(folders.inbox)
    return NightSummary(
        night=on,
        last_drop=last_drop,
        strays=sum(file.sender == NO_SENDER for file in listing.files),
        unfinished=sum(not file.name.startswith((".", "~")) for file in listing.unfinished),
        reports=len(reports),
        receipts=sum(one.path.endswith(".json") for one in made),
        not_due=tuple(state for state in cadence if not state.due),
        unchanged=sum(one.since is not None and one.since < on for one in reports),
        **counts,
    )
