"""Floors: the least that each stage of a night could take, measured in the same run as the night.

Belongs here: DuckDB alone reading the received files as text into a DuckLake, the queries of the
reports alone, and copying and writing the same bytes. Does not belong here: the night (``night``).
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

import duckdb

from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, FEEDS_BY_NAME, feed_by_name
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import ReportSettings
from ccgi_pipeline.reports.queries import create_detail_table, create_report_views
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse.storage.connection import open_warehouse

_MEBIBYTE = 1 << 20
RECEIVED, ELIGIBILITY, REPORTS_WRITTEN, RECEIPTS = (
    "received_drops",
    "eligibility",
    "write_reports",
    "receipts",
)
"""Steps of the night with a floor of their own; a family has one floor for its two steps."""


def measure_floors(folders: PipelinePaths, scratch: Path, on: date) -> dict[str, float]:
    """Measures the floors over what a night received and wrote.

    Returns seconds by step of the night or by family.
    """
    return {
        RECEIVED: _time(lambda: _copy_with_digests(folders.inbox, scratch / "received")),
        **_measure_reading(folders, scratch),
        ELIGIBILITY: _measure_grouping(folders),
        REPORTS_WRITTEN: _measure_queries(folders, on)
        + _measure_writing(_find_reports(folders), scratch / "reports"),
        RECEIPTS: _measure_writing(folders.outbox.glob("*/_receipts/*"), scratch / "receipts"),
    }


def _time(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def measure_mib(folder: Path) -> float:
    """Returns the size in MiB of all files below ``folder``."""
    return sum(path.stat().st_size for path in _list_files(folder)) / _MEBIBYTE


def _copy_with_digests(inbox: Path, copy: Path) -> None:
    copy.mkdir(parents=True)
    for path in _list_files(inbox):
        content = path.read_bytes()
        (copy / hashlib.sha256(content).hexdigest()).write_bytes(content)


def _measure_reading(folders: PipelinePaths, scratch: Path) -> dict[str, float]:
    """Measures by family how long DuckDB reads its files as text into tables of a DuckLake.

    Zips are unpacked before; that is not measured.
    """
    found: dict[str, list[str]] = {}
    for path in _unpack(folders.inbox, scratch / "unpacked"):
        families = [FAMILIES[part].feeds for part in path.parts if part in FAMILIES]
        feed = feed_by_name(path.name, families[-1] if families else FEEDS)
        if feed is not None:
            found.setdefault(feed.name, []).append(str(path))
    seconds: dict[str, float] = {}
    with open_warehouse(scratch / "warehouse") as connection:
        for name, paths in found.items():
            started = time.perf_counter()
            load_as_text(connection, name, paths)
            family = FEEDS_BY_NAME[name].family
            seconds[family] = seconds.get(family, 0.0) + time.perf_counter() - started
    return seconds


def load_as_text(connection: duckdb.DuckDBPyConnection, table: str, paths: list[str]) -> None:
    """Reads the CSV files of one feed, with any separators, into a new table of text."""
    for number, (separator, group) in enumerate(_group_by_separator(paths).items()):
        verb = "INSERT INTO" if number else "CREATE TABLE"
        as_ = "BY NAME" if number else "AS"
        connection.execute(
            f"{verb} {table} {as_} SELECT * FROM read_csv($paths, delim=$separator, "
            "all_varchar=true, header=true, union_by_name=true)",
            {"paths": group, "separator": separator},
        )


def _group_by_separator(paths: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        with Path(path).open(encoding="utf-8-sig") as file:
            header = file.readline()
        groups.setdefault(max(",^\t", key=header.count), []).append(path)
    return groups


def _unpack(inbox: Path, folder: Path) -> list[Path]:
    files = []
    for path in _list_files(inbox):
        if path.suffix == ".zip":
            unpacked = folder / path.relative_to(inbox).with_suffix("")
            shutil.unpack_archive(path, unpacked)
            files += _list_files(unpacked)
        else:
            files.append(path)
    return files


def _measure_grouping(folders: PipelinePaths) -> float:
    """Measures how long DuckDB groups the course lines by student and area."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return _time(
            lambda: connection.execute(
                "CREATE TEMP TABLE counted AS "
                "SELECT _sender, StateID, SubjectArea, count(*), sum(CreditsAttempted) "
                "FROM lake.transcript_course_grade WHERE _active GROUP BY ALL"
            )
        )


def _measure_queries(folders: PipelinePaths, on: date) -> float:
    """Measures the queries of the reports, whose rows stay in DuckDB."""

    def query(connection: duckdb.DuckDBPyConnection) -> None:
        create_report_views(connection, on, ReportSettings())
        for spec in REPORTS:
            create_detail_table(connection, spec)

    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return _time(lambda: query(connection))


def _find_reports(folders: PipelinePaths) -> Iterable[Path]:
    return folders.outbox.glob("*/*reporting/**/*.csv")


def _measure_writing(paths: Iterable[Path], copy: Path) -> float:
    """Measures writing the same bytes under other names."""
    contents = [path.read_bytes() for path in paths]
    copy.mkdir(parents=True)

    def write() -> None:
        for number, content in enumerate(contents):
            (copy / str(number)).write_bytes(content)

    return _time(write)
