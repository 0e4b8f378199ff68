"""The trace of a report's row back to the received lines behind it.

Belongs here: which records a row was made from, in the night that wrote it. Does not belong here:
making the report again (rebuild), which line wrote a record (warehouse.queries.lineage), printing
(cli).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import PermanentError, value_free
from ccgi_pipeline.delivery.ledger import MadeFile, ledger_exists, open_ledger
from ccgi_pipeline.districts import DIRECTORY_SCHEMA, naming_entries
from ccgi_pipeline.feeds.cde_directory import FEED as DIRECTORY
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.feeds.transcript import COURSE_GRADE, STUDENT
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.operations.rebuild import check_rebuilt, open_past_warehouse
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.outbox import to_csv
from ccgi_pipeline.reports.queries import (
    ELIGIBILITY,
    build_sent_aggregate_rows,
    create_report_views,
    list_counted_students,
    read_detail_rows,
)
from ccgi_pipeline.reports.query_tables import feeds_used
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.warehouse.queries import lineage
from ccgi_pipeline.warehouse.queries.lineage import Record, SentFile, find_records, find_sent_files

FIRST_ROW = 2
"""The number of the first row below the header, as editors and spreadsheets count."""


class NoSuchRowError(PermanentError):
    """There is no such report, file or row; the message lists those that exist."""


@dataclass(frozen=True, slots=True)
class TracedRow:
    """A row and the files behind it. ``cells``: the row's own; students' data in a detail file."""

    made: MadeFile
    number: int
    students: int
    detail_rows: int
    files: tuple[SentFile, ...]
    cells: Mapping[str, str] = field(repr=False)


def find_report(written: str) -> ReportSpec:
    """Returns the report whose name or title is or begins with ``written``.

    Raises NoSuchRowError unless there is exactly one.
    """
    wanted = _folded(written)
    names = {spec.name: (spec.name, _folded(spec.title)) for spec in REPORTS}
    found = [spec for spec in REPORTS if wanted in names[spec.name]]
    found = found or [
        spec for spec in REPORTS if any(name.startswith(wanted) for name in names[spec.name])
    ]
    if len(found) != 1:
        listed = ", ".join(spec.name for spec in found or REPORTS)
        msg = f"{'several reports begin' if found else 'no report begins'} so: {listed}"
        raise NoSuchRowError(msg)
    return found[0]


def _folded(name: str) -> str:
    return "_".join(name.lower().replace("_", " ").split())


@value_free
def read_sent_cells(
    warehouse: Path, file: SentFile, lines: Sequence[int]
) -> dict[int, dict[str, str]]:
    """Returns the cells that are not blank, by line, of a file as it was received."""
    return lineage.read_cells(Archive.of(warehouse), file, lines)


@value_free
def trace_row(
    warehouse: Path,
    spec: ReportSpec,
    cd: str,
    row: int,
    file: str | None = None,
    night: date | None = None,
) -> TracedRow:
    """Returns what is behind a row of a report's newest file, or of its file of ``night``.

    ``row`` counts as an editor does: the header is row 1. ``file``: ``Agg`` or ``Detail``; if not
    given, ``Detail`` if the report has it. Raises NoSuchRowError, and NotRebuiltError if the file
    cannot be made again as it was, because the row might be another one then.
    """
    part = file or ("Detail" if "Detail" in spec.files else spec.files[0])
    made = _made(warehouse, spec, cd, part, night)
    with open_past_warehouse(warehouse, made) as (connection, profiles):
        create_report_views(connection, made.night, profiles.reports)
        printed, ssids, count = _row(connection, spec, profiles, made, row)
        connection.register("behind", pl.DataFrame({"SSID": ssids}).to_arrow())
        behind = [*_behind(connection, spec, cd)]
        files = find_sent_files(connection, Archive.of(warehouse), behind)
    return TracedRow(made, row, len(ssids), count, tuple(files), printed)


def _made(warehouse: Path, spec: ReportSpec, cd: str, part: str, night: date | None) -> MadeFile:
    if part not in spec.files:
        msg = f"{spec.name} has no {part} file, but {' and '.join(spec.files)}"
        raise NoSuchRowError(msg)
    made = None
    if ledger_exists(warehouse):
        with open_ledger(warehouse) as ledger:
            made = ledger.find_report(cd, spec.name, part, night)
    if made is None:
        of_night = f" of the night of {night}" if night else ""
        msg = f"no {part} file of {spec.name}{of_night} was made for the district {cd}"
        raise NoSuchRowError(msg)
    return made


def _row(
    connection: duckdb.DuckDBPyConnection,
    spec: ReportSpec,
    profiles: Profiles,
    made: MadeFile,
    row: int,
) -> tuple[dict[str, str], list[str], int]:
    """Returns the row as printed, the SSIDs of its students, and how many detail rows it has."""
    theirs = pl.col("cd") == made.owner
    detail = read_detail_rows(connection, spec).filter(theirs)
    rows = detail
    if made.part == "Agg":
        rows = build_sent_aggregate_rows(connection, spec, profiles, REPORTS).filter(theirs)
    places = rows["place"].to_list() if made.part == "Agg" else []
    rows = rows.drop("place", strict=False)
    check_rebuilt(made, to_csv(rows.drop("cd")))
    if not FIRST_ROW <= row < FIRST_ROW + rows.height:
        last = FIRST_ROW + rows.height - 1
        there = f"{FIRST_ROW} to {last}" if rows.height else "none"
        msg = f"{made.path} has no row {row}; the header is row 1, below it are rows: {there}"
        raise NoSuchRowError(msg)
    place = row - FIRST_ROW
    printed: dict[str, str] = rows.drop("cd").row(place, named=True)
    if made.part != "Agg":
        return printed, [printed["SSID"]], 1
    counted = list_counted_students(connection, spec, profiles.reports)
    behind = counted.filter(theirs & (pl.col("place") == places[place]))
    return printed, behind["SSID"].to_list(), int(behind["rows"].sum())


_OF_STUDENTS = "IN (SELECT SSID FROM behind)"


def _behind(connection: duckdb.DuckDBPyConnection, spec: ReportSpec, cd: str) -> Iterator[Record]:
    """Yields the records from which the rows of the students in ``behind`` were made."""
    # The results of the evaluation were made from the students' course lines.
    names = [COURSE_GRADE.name if name == ELIGIBILITY else name for name in feeds_used(spec)]
    for feed in [FEEDS_BY_NAME[name] for name in dict.fromkeys(names)]:
        if feed.shipped:
            yield from _of_directory(connection, cd)
        elif feed.event_time is not None:
            yield from find_records(connection, feed, feed.view, f"SSID {_OF_STUDENTS}")
        else:
            where = f"_active AND _sender = $cd AND {feed.ssid} {_OF_STUDENTS}"
            yield from find_records(connection, feed, f"lake.{feed.name}", where, {"cd": cd})


def _of_directory(connection: duckdb.DuckDBPyConnection, cd: str) -> Iterator[Record]:
    """Yields the received entries that name the district and the students' schools."""
    names = ", ".join(DIRECTORY_SCHEMA)
    entries = naming_entries(connection.sql(f"SELECT {names} FROM directory").pl())
    schools = connection.execute(
        f"SELECT DISTINCT PrimaryCDSCode FROM lake.{STUDENT.name} "
        f"WHERE _active AND _sender = ? AND StateID {_OF_STUDENTS}",
        [cd],
    ).fetchall()
    codes = entries.filter(pl.col("cd") == cd)["CDSCode"].to_list()
    yield from find_records(
        connection,
        DIRECTORY,
        f"lake.{DIRECTORY.name}",
        "_active AND list_contains($codes, CDSCode)",
        {"codes": [*codes, *(school for (school,) in schools)]},
    )
