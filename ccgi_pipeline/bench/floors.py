"""Floors: the least that any night could take, stage by stage, measured in the same run.

Belongs here: DuckDB alone reading the received files as text into a lake of its own, the queries of
the reports without anything around them, the same bytes copied and written. Does not belong here:
the night itself (nights).
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
"""Steps of the night that have a floor of their own; families have one for both their steps."""


def floors(folders: PipelinePaths, scratch: Path, on: date) -> dict[str, float]:
    """Seconds by step of the night, or by family; over what a night has received and written."""
    return {
        RECEIVED: _seconds(lambda: _copy_with_digests(folders.inbox, scratch / "received")),
        **_reading(folders, scratch),
        ELIGIBILITY: _grouping(folders),
        REPORTS_WRITTEN: _querying(folders, on) + _writing(_reports(folders), scratch / "reports"),
        RECEIPTS: _writing(folders.outbox.glob("*/_receipts/*"), scratch / "receipts"),
    }


def _seconds(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def size(folder: Path) -> float:
    """Mebibytes below ``folder``."""
    return sum(path.stat().st_size for path in _files(folder)) / _MEBIBYTE


def _copy_with_digests(inbox: Path, copy: Path) -> None:
    copy.mkdir(parents=True)
    for path in _files(inbox):
        content = path.read_bytes()
        (copy / hashlib.sha256(content).hexdigest()).write_bytes(content)


def _reading(folders: PipelinePaths, scratch: Path) -> dict[str, float]:
    """By family, DuckDB reads its files as text into tables of a DuckLake.

    Zips are unpacked beforehand: opening them is not the floor's business.
    """
    found: dict[str, list[str]] = {}
    for path in _unpacked(folders.inbox, scratch / "unpacked"):
        families = [FAMILIES[part].feeds for part in path.parts if part in FAMILIES]
        feed = feed_by_name(path.name, families[-1] if families else FEEDS)
        if feed is not None:
            found.setdefault(feed.name, []).append(str(path))
    seconds: dict[str, float] = {}
    with open_warehouse(scratch / "warehouse") as connection:
        for name, paths in found.items():
            started = time.perf_counter()
            read_as_text(connection, name, paths)
            family = FEEDS_BY_NAME[name].family
            seconds[family] = seconds.get(family, 0.0) + time.perf_counter() - started
    return seconds


def read_as_text(connection: duckdb.DuckDBPyConnection, table: str, paths: list[str]) -> None:
    """Reads CSV files of one feed, whatever their separators, into a new table of text."""
    for number, (separator, group) in enumerate(_by_separator(paths).items()):
        verb = "INSERT INTO" if number else "CREATE TABLE"
        as_ = "BY NAME" if number else "AS"
        connection.execute(
            f"{verb} {table} {as_} SELECT * FROM read_csv($paths, delim=$separator, "
            "all_varchar=true, header=true, union_by_name=true)",
            {"paths": group, "separator": separator},
        )


def _by_separator(paths: list[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        with Path(path).open(encoding="utf-8-sig") as file:
            header = file.readline()
        groups.setdefault(max(",^\t", key=header.count), []).append(path)
    return groups


def _unpacked(inbox: Path, folder: Path) -> list[Path]:
    files = []
    for path in _files(inbox):
        if path.suffix == ".zip":
            unpacked = folder / path.relative_to(inbox).with_suffix("")
            shutil.unpack_archive(path, unpacked)
            files += _files(unpacked)
        else:
            files.append(path)
    return files


def _grouping(folders: PipelinePaths) -> float:
    """DuckDB groups the course lines by student and area."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return _seconds(
            lambda: connection.execute(
                "CREATE TEMP TABLE counted AS "
                "SELECT _sender, StateID, SubjectArea, count(*), sum(CreditsAttempted) "
                "FROM lake.transcript_course_grade WHERE _active GROUP BY ALL"
            )
        )


def _querying(folders: PipelinePaths, on: date) -> float:
    """The reports' own queries, their rows left in DuckDB."""

    def query(connection: duckdb.DuckDBPyConnection) -> None:
        create_report_views(connection, on)
        for spec in REPORTS:
            create_detail_table(connection, spec)

    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return _seconds(lambda: query(connection))


def _reports(folders: PipelinePaths) -> Iterable[Path]:
    return folders.outbox.glob("*/*reporting/**/*.csv")


def _writing(paths: Iterable[Path], copy: Path) -> float:
    """The same bytes written under other names, and nothing else."""
    contents = [path.read_bytes() for path in paths]
    copy.mkdir(parents=True)

    def write() -> None:
        for number, content in enumerate(contents):
            (copy / str(number)).write_bytes(content)

    return _seconds(write)
