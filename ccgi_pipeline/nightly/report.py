"""The fourth step of a night: writes each report for all districts.

Belongs here: which files are written for whom. Does not belong here: the rows of a report
(reports.queries), when one is due (reports.cadence), the outbox (reports.outbox).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.prefetch import prefetch
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.delivery.ledger import FileKind, ledger_exists, open_ledger
from ccgi_pipeline.nightly.made_files import archived_profiles, record_made_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.unchanged_reports import FormerReports, carry_over_reports
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.analyst_views import refresh_analyst_views
from ccgi_pipeline.reports.basis import prepare_bases
from ccgi_pipeline.reports.cadence import (
    CadenceState,
    NightsWritten,
    are_all_daily,
    find_due_reports,
    summarize_cadence,
)
from ccgi_pipeline.reports.outbox import OutboxFile, write_report
from ccgi_pipeline.reports.queries import (
    build_sent_aggregate_rows,
    count_students_in_cells,
    create_detail_table,
    create_report_views,
    forget_detail_table,
    read_detail_batches,
    split_districts,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.reports.spreadsheets import spreadsheet_part, write_spreadsheets
from ccgi_pipeline.warehouse.load.outbox_folders import remember_folders


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """One part of a report for all districts: its rows, and how many files they are in.

    ``unchanged``: those of the files that have the bytes of an earlier night. ``aggregates``: the
    rows of the files that were made tonight, if they are aggregates.
    """

    file: str
    rows: int
    files: int
    aggregates: Sequence[pl.DataFrame] = ()
    unchanged: int = 0

    def __add__(self, other: WrittenReport) -> WrittenReport:
        """Returns both together: they are of the same file for other districts."""
        return WrittenReport(
            self.file,
            self.rows + other.rows,
            self.files + other.files,
            [*self.aggregates, *other.aggregates],
            self.unchanged + other.unchanged,
        )


@value_free
def open_reports(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    on: date,
    only: str | None = None,
    reports: Sequence[ReportSpec] = REPORTS,
) -> pl.DataFrame:
    """Prepares the reports' views; returns the districts with a roster.

    ``due`` has the names of those of ``reports`` that are due tonight for each of them.
    """
    folders.outgoing.remove_unfinished_files()
    folders.outgoing.mend()
    profiles, _ = archived_profiles(folders)
    named = create_report_views(connection, on, profiles.reports)
    if profiles.reports.unchanged != "anew":
        prepare_bases(connection, folders.warehouse, profiles, reports)
    remember_folders(connection, named, on)
    named = named if only is None else named.filter(pl.col("cd") == only)
    cds = named["cd"].to_list()
    daily = are_all_daily(profiles, reports, cds, on)
    written = {} if daily else _read_nights_written(folders.warehouse, reports, cds, on)
    due = find_due_reports(profiles, reports, cds, written, on)
    return named.with_columns(due=pl.Series([due[cd] for cd in cds], dtype=pl.List(pl.String)))


@value_free
def refresh_views(connection: duckdb.DuckDBPyConnection, folders: PipelinePaths) -> bool:
    """Brings the analysts' views and comments up to date; returns whether they were not."""
    profiles, _ = archived_profiles(folders)
    return refresh_analyst_views(connection, profiles.reports)


def _read_nights_written(
    warehouse: Path, reports: Sequence[ReportSpec], cds: Sequence[str], on: date
) -> dict[tuple[str, str, str], NightsWritten]:
    """Returns by CD code, report and file the nights next to ``on`` that wrote it."""
    if not ledger_exists(warehouse):
        return {}
    files = [(cd, spec.name, file) for cd in cds for spec in reports for file in spec.files]
    with open_ledger(warehouse) as ledger:
        nights = ledger.read_nights_of_reports(files, on)
    return {of: NightsWritten(*found) for of, found in nights.items()}


def read_cadence(
    warehouse: Path, profiles: Profiles, cds: Sequence[str], on: date
) -> list[CadenceState]:
    """Returns how the reports of these districts stand on a night; nothing if all are daily."""
    if are_all_daily(profiles, REPORTS, cds, on):
        return []
    written = _read_nights_written(warehouse, REPORTS, cds, on)
    return summarize_cadence(profiles, REPORTS, cds, written, on)


@value_free
def write_reports(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    spec: ReportSpec,
    named: pl.DataFrame,
    on: date,
) -> list[WrittenReport]:
    """Builds one report for those of the districts ``named`` for which it is due.

    Writes its files. A report that shows what its newest files show is not made again: those files
    get tonight's names as well.
    """
    named = report_districts(spec, named)
    if named.is_empty():
        return [WrittenReport(file, 0, 0) for file in spec.files]
    profiles, settings = archived_profiles(folders)
    step = ProgressCounter(f"writing {spec.title}", named.height * len(spec.files))
    former = FormerReports.read(connection, folders, spec, named, profiles, on)
    carried = carry_over_reports(connection, folders, spec, named, on, former, profiles, settings)
    for _ in range(len(carried) * len(spec.files)):
        step.advance()
    named = named.filter(~pl.col("cd").is_in(carried.keys()))
    written = {
        file: _summarize(file, [parts[file] for parts in carried.values()], on)
        for file in spec.files
    }
    for part in split_districts(connection, named) if named.height else ():
        create_detail_table(connection, spec, cds=part["cd"].to_list())
        for file in spec.files:
            write = partial(_write_part, former, profiles, spec, file, on, step.advance)
            written[file] += _write_file(
                connection, folders, spec, file, part, on, former, profiles, settings, write
            )
        forget_detail_table(connection)
    return [*written.values()]


def _write_file(  # noqa: PLR0913, PLR0917 - as write_reports
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    spec: ReportSpec,
    file: str,
    part: pl.DataFrame,
    on: date,
    former: FormerReports,
    profiles: Profiles,
    settings: str,
    write: Callable[[_Batch], tuple[int, list[OutboxFile], list[OutboxFile]]],
) -> WrittenReport:
    """Writes one file of a report for the districts of ``part``, and records it."""
    aggregates: list[pl.DataFrame] = []
    batches: Iterable[_Batch]
    if file == "Agg":
        cds = part["cd"].to_list()
        rows = build_sent_aggregate_rows(connection, spec, profiles, REPORTS, cds)
        aggregates = [rows.drop("place").filter(pl.col("cd").is_in(cds))]
        batches = [(part, aggregates[0])]
    else:
        batches = read_detail_batches(connection, spec, part)
    made: list[OutboxFile] = []
    sheets: list[OutboxFile] = []
    height = 0
    for rows_of_batch, reports, spreadsheets in prefetch(write, batches):
        height += rows_of_batch
        made += reports
        sheets += spreadsheets
    recorded = [(FileKind.REPORT, spec.name, file, one) for one in made]
    recorded += [(FileKind.REPORT, spec.name, spreadsheet_part(file), one) for one in sheets]
    record_made_files(connection, folders, on, recorded, settings, former.bases)
    return replace(_summarize(file, made, on), rows=height, aggregates=aggregates)


_Batch = tuple[pl.DataFrame, pl.DataFrame]
"""Districts, and the rows of a report for them."""


def _summarize(file: str, files: Sequence[OutboxFile], on: date) -> WrittenReport:
    unchanged = sum(one.since is not None and one.since < on for one in files)
    return WrittenReport(file, sum(one.rows or 0 for one in files), len(files), (), unchanged)


def _write_part(  # noqa: PLR0913, PLR0917 - as write_report
    former: FormerReports,
    profiles: Profiles,
    spec: ReportSpec,
    file: str,
    on: date,
    progress: Callable[[], None],
    part: _Batch,
) -> tuple[int, list[OutboxFile], list[OutboxFile]]:
    """Writes a part of a report; returns how many rows it has, its files, and its spreadsheets."""
    named, rows = part
    made = write_report(former.outbox, spec, file, rows, named, on, progress, former.files)
    wanted = [profiles.of(cd).delivery.spreadsheets for cd in named["cd"]]
    sheets = write_spreadsheets(
        former.outbox, spec, file, rows, named.filter(wanted), on, former.files
    )
    return rows.height, made, sheets


def report_districts(spec: ReportSpec, named: pl.DataFrame) -> pl.DataFrame:
    """Returns the districts of ``named`` that get this report tonight."""
    named = named.filter(pl.col("due").list.contains(spec.name))
    return named if spec.only_for is None else named.filter(pl.col("cd").is_in(spec.only_for))


@value_free
def count_students_in_aggregates(
    connection: duckdb.DuckDBPyConnection, written: Sequence[WrittenReport]
) -> int:
    """Returns how many students' SSIDs are in a cell of an aggregate that was just written."""
    aggregates = [rows for part in written for rows in part.aggregates]
    cells = [frame.select(pl.col(pl.String).exclude("cd")).unpivot() for frame in aggregates]
    return count_students_in_cells(connection, pl.concat(cells)["value"]) if cells else 0


def sweep_outbox(folders: PipelinePaths) -> None:
    """Deletes everything from the outbox that is not to be delivered."""
    folders.outgoing.remove_unfinished_files()
