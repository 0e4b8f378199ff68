"""Nights without an orchestrator, and looks at what they leave behind.

Belongs here: calling the night's functions in their order over real folders and a real warehouse,
reading outbox and warehouse back as plain Python values. Run as a program, it is one night in a
process of its own, which tests may kill::

    python nights.py INBOX OUTBOX WAREHOUSE YYYY-MM-DD
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.nightly.evaluate import evaluate_eligibility
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import WaitMode, receive_drops
from ccgi_pipeline.nightly.report import open_reports, sweep_outbox, write_reports
from ccgi_pipeline.nightly.respond import write_child_match, write_receipts
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.warehouse.load.ledger import LoadResult
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, write_warehouse

ON = date(2026, 11, 22)


def folders_in(root: Path, inbox: Path | None = None) -> PipelinePaths:
    """Inbox, outbox and warehouse below ``root``."""
    made = PipelinePaths(inbox or root / "inbox", root / "outbox", root / "warehouse")
    made.inbox.mkdir(parents=True, exist_ok=True)
    return made


@contextmanager
def writing(folders: PipelinePaths) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, opened and locked as a night opens it."""
    with write_warehouse(folders.warehouse) as connection:
        yield connection


def take_and_load(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    on: date = ON,
    taking: WaitMode = WaitMode.NOW,
) -> list[LoadResult]:
    """The first half of a night: receives, verifies, loads."""
    receive_drops(connection, folders, on, taking=taking)
    loaded = []
    for family in FAMILIES:
        verify_family(connection, folders, family, on)
        loaded += load_family(connection, folders, family, on)
    return loaded


def report_and_answer(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    on: date = ON,
    reports: Sequence[ReportSpec] = REPORTS,
) -> None:
    """The second half of a night: writes reports, child match reports and receipts."""
    if reports:
        evaluate_eligibility(connection, folders, on)
    named = open_reports(connection, folders, on)
    for spec in reports:
        write_reports(connection, folders, spec, named, on)
    sweep_outbox(folders)
    write_child_match(connection, folders, on)
    write_receipts(connection, folders, on)


def run_night(
    folders: PipelinePaths, on: date = ON, reports: Sequence[ReportSpec] = REPORTS
) -> list[LoadResult]:
    """One whole night; of the reports only ``reports``, for tests that look at no others."""
    with writing(folders) as connection:
        loaded = take_and_load(connection, folders, on)
        report_and_answer(connection, folders, on, reports)
    return loaded


def load_and_answer(folders: PipelinePaths, on: date = ON) -> list[LoadResult]:
    """A night without its reports, for tests that do not look at them."""
    with writing(folders) as connection:
        loaded = take_and_load(connection, folders, on)
        write_receipts(connection, folders, on)
    return loaded


# --- looking back ---------------------------------------------------------------------------------


def bytes_below(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, by relative path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(content: bytes) -> list[list[str]]:
    """The rows of a CSV file as any RFC 4180 reader sees them, header first."""
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


@dataclass(frozen=True)
class Outbox:
    """What districts find."""

    root: Path

    def report(self, folder: str, path: str, file: str, on: date = ON) -> list[list[str]]:
        """The rows of a report of the district ``folder``, header first."""
        return rows_of(self.report_bytes(folder, path, file, on))

    def report_bytes(self, folder: str, path: str, file: str, on: date = ON) -> bytes:
        """A report of the district ``folder`` as it lies there."""
        return (self.root / folder / path / f"{folder}_{on:%Y%m%d}_{file}.csv").read_bytes()

    def receipts(self, folder: str, on: date = ON) -> list[dict[str, Any]]:
        """The receipts (JSON) of a sender for one night."""
        found = sorted((self.root / folder / "_receipts").glob(f"{on:%Y%m%d}_*.json"))
        return [json.loads(path.read_bytes()) for path in found]


APPLICATIONS = "legacy reporting/applications and launches/applications and launches"
OF_APPLICATIONS = [spec for spec in REPORTS if "/".join(spec.folder) == APPLICATIONS]
OF_ACCOUNTS = [spec for spec in REPORTS if spec.name == "account_registrations"]


def lake_rows(warehouse: Path) -> dict[str, list[tuple[object, ...]]]:
    """All rows of all tables of the warehouse, sorted: the same whatever files they lie in."""
    with open_warehouse(warehouse, read_only=True) as connection:
        return {
            table: sorted(connection.execute(f'FROM "{table}"').fetchall(), key=repr)
            if has_files
            else []
            for table, has_files in tables_of(connection).items()
        }


def tables_of(connection: duckdb.DuckDBPyConnection) -> dict[str, bool]:
    """All tables of the warehouse, and whether they have files; without one a table is empty.

    A query of an empty table takes longer than one of a table with rows: DuckLake looks for the
    statistics of each column anew.
    """
    tables = connection.execute(
        "SELECT table_name, file_count > 0 FROM ducklake_table_info('lake') ORDER BY 1"
    )
    return dict(tables.fetchall())


def main() -> None:
    """One night, as the arguments say; tells on standard output when everything is imported."""
    inbox, outbox, warehouse, on = sys.argv[1:]
    print("imported", flush=True)  # noqa: T201 - the test waits for it
    run_night(PipelinePaths(Path(inbox), Path(outbox), Path(warehouse)), date.fromisoformat(on))


if __name__ == "__main__":
    main()
