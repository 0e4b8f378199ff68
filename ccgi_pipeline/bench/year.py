"""The benchmark of a year: how time and files of a small state grow, with housekeeping and without.

Belongs here: ``ccgi bench year``. The nights of a year run in one process without Dagster, with the
steps of a night. Does not belong here: the page (``year_page``).

Every Monday all districts send new rosters, courses and OneRoster sets; on every day but Sunday the
platform sends what students did that day, which may be nothing. The daily reports are written every
night, the legacy reports every Monday.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path

import polars as pl

from ccgi_pipeline.bench.floors import measure_mib
from ccgi_pipeline.bench.memory import measure_machine_memory
from ccgi_pipeline.common.progress import report_progress
from ccgi_pipeline.feeds import platform
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.nightly.evaluate import evaluate_eligibility
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import receive_drops
from ccgi_pipeline.nightly.report import (
    open_reports,
    refresh_views,
    sweep_outbox,
    write_reports,
)
from ccgi_pipeline.nightly.respond import write_child_match, write_receipts
from ccgi_pipeline.nightly.ssid_exchange import write_download
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.operations.housekeeping import keep_house
from ccgi_pipeline.profiles import FILE_NAME as PROFILES
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.synthetic import generate
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, write_warehouse
from ccgi_pipeline.warehouse.storage.housekeeping import measure_lake
from ccgi_pipeline.warehouse.storage.location import TABLES

_SEED = 1
_MONDAY, _SUNDAY = 0, 6
_MONTH = 30
_GIBIBYTE = 1 << 30
NO_GRACE = timedelta(0)
"""Simulated nights take seconds, so no file waits a day for readers."""


@dataclass(frozen=True, slots=True)
class YearNight:
    """One night. ``rosters``: new ones came. ``seconds`` are of the processor, of all threads.

    ``files`` are on the disk; ``live_files`` of them are read by the newest state. ``mib``: of the
    tables and the catalog. ``housekeeping_s``: of the housekeeping after the night, if there was.
    """

    night: int
    rosters: bool
    seconds: float
    files: int
    live_files: int
    mib: float
    housekeeping_s: float


@dataclass(frozen=True, slots=True)
class YearFigures:
    """The nights of two warehouses that were sent the same: ``kept`` has weekly housekeeping."""

    measured: str
    cores: int
    memory_gib: float
    districts: int
    students: int
    keep_days: int
    kept: tuple[YearNight, ...]
    left: tuple[YearNight, ...]


def bench_year(
    folder: Path, *, districts: int, students: int, nights: int, keep_days: int, first: date
) -> YearFigures:
    """Runs the nights over two warehouses in ``folder`` (replaced), and measures each night.

    ``keep_days``: how long the warehouse with housekeeping keeps former states. The two warehouses
    are simulated side by side, each in a process of its own.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with ProcessPoolExecutor(2, get_context("spawn"), _silence) as pool:
        years = [
            pool.submit(_simulate, folder / name, districts, students, first, nights, days)
            for name, days in (("kept", keep_days), ("left", None))
        ]
        while wait(years, _SECONDS_BETWEEN_LOOKS).not_done:
            done = sum(len(_read_lines(folder / name)) for name in ("kept", "left"))
            report_progress("simulating nights", done, 2 * nights)
        kept, left = (tuple(year.result()) for year in years)
    return YearFigures(
        measured=date.today().isoformat(),  # noqa: DTZ011 - the day on this machine's clock
        cores=os.cpu_count() or 0,
        memory_gib=measure_machine_memory() / _GIBIBYTE,
        districts=districts,
        students=students,
        keep_days=keep_days,
        kept=kept,
        left=left,
    )


_SECONDS_BETWEEN_LOOKS = 1.0
_NIGHTS = "nights.jsonl"
"""The figures of the nights so far, a line each."""
_SETTINGS = """
[defaults.cadence]
legacy_reporting = "week"
"""


def _silence() -> None:
    """Closes standard output, where DuckDB shows its progress and the figures are printed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _simulate(
    folder: Path, districts: int, students: int, first: date, nights: int, keep_days: int | None
) -> list[YearNight]:
    """Runs the nights of one warehouse; with housekeeping if it keeps its states for some days."""
    folders = PipelinePaths(folder / "inbox", folder / "outbox", folder / "warehouse")
    folders.warehouse.mkdir(parents=True)
    keeping = f"[housekeeping]\nkeep_snapshots_days = {keep_days}\n" if keep_days else ""
    (folders.warehouse / PROFILES).write_text(f"{keeping}{_SETTINGS}")
    sender = _Sender(folder, districts, students, first, nights)
    measured = []
    for number in range(nights):
        on = first + timedelta(days=number)
        rosters = sender.send(folders.inbox, on)
        keeps = keep_days is not None and on.weekday() == _SUNDAY
        measured.append(_measure_night(folders, on, number + 1, rosters=rosters, keeps=keeps))
        with (folder / _NIGHTS).open("a") as lines:
            lines.write(json.dumps(asdict(measured[-1])) + "\n")
    return measured


def _read_lines(folder: Path) -> list[str]:
    path = folder / _NIGHTS
    return path.read_text().splitlines() if path.exists() else []


@dataclass
class _Sender:
    """What the senders put into the inbox, day by day, in place of what they put there before."""

    folder: Path
    districts: int
    students: int
    first: date
    nights: int

    def __post_init__(self) -> None:
        """Generates the platform's events of all days at once."""
        year = self.folder / "year"
        self._generate(year, self.first + timedelta(days=self.nights - 1))
        self._events = {
            feed.stems[0]: pl.read_csv(path, infer_schema=False)
            for feed in platform.FEEDS
            for path in (year / platform.FAMILY.name).glob(f"{feed.stems[0]}_2*.csv")
        }
        shutil.rmtree(year)

    def _generate(self, out: Path, on: date) -> None:
        generate(out, districts=self.districts, students=self.students, seed=_SEED, on=on)

    def send(self, inbox: Path, on: date) -> bool:
        """Sends what a day brings; returns whether that includes new rosters."""
        rosters = on == self.first or on.weekday() == _MONDAY
        if rosters:
            shutil.rmtree(inbox, ignore_errors=True)
            self._generate(inbox, on)
        shutil.rmtree(inbox / platform.FAMILY.name, ignore_errors=True)
        if on.weekday() != _SUNDAY:
            (inbox / platform.FAMILY.name).mkdir()
            for stem, events in self._events.items():
                today = events.filter(pl.col("OccurredAt").str.starts_with(f"{on}"))
                if not today.is_empty():
                    today.write_csv(inbox / platform.FAMILY.name / f"{stem}_{on:%Y%m%d}.csv")
        return rosters


def _measure_night(
    folders: PipelinePaths, on: date, number: int, *, rosters: bool, keeps: bool
) -> YearNight:
    began = time.process_time()
    _run_night(folders, on)
    ended = time.process_time()
    if keeps:
        keep_house(folders, on, NO_GRACE)
    after = time.process_time()
    tables = folders.warehouse / TABLES
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        size = measure_lake(connection)
    return YearNight(
        night=number,
        rosters=rosters,
        seconds=round(ended - began, 2),
        files=sum(1 for _ in tables.rglob("*.parquet")),
        live_files=size.live_files,
        mib=round(measure_mib(tables) + _measure_catalog(folders.warehouse), 2),
        housekeeping_s=round(after - ended, 2) if keeps else 0.0,
    )


def _measure_catalog(warehouse: Path) -> float:
    return sum(path.stat().st_size for path in warehouse.glob("catalog.*")) / (1 << 20)


def _run_night(folders: PipelinePaths, on: date) -> None:
    """Runs the steps of a night, without Dagster and without deliveries."""
    with write_warehouse(folders.warehouse) as connection:
        receive_drops(connection, folders, on)
        for family in FAMILIES:
            verify_family(connection, folders, family, on)
            load_family(connection, folders, family, on)
        refresh_views(connection, folders)
        evaluate_eligibility(connection, folders, on)
        named = open_reports(connection, folders, on)
        for spec in REPORTS:
            write_reports(connection, folders, spec, named, on)
        sweep_outbox(folders)
        write_child_match(connection, folders, on)
        write_receipts(connection, folders, on)
        write_download(connection, folders, on)


@dataclass(frozen=True, slots=True)
class Month:
    """Thirty nights: the median seconds of those with new rosters and of the others."""

    with_rosters: float
    others: float


def summarize_months(nights: Sequence[YearNight]) -> tuple[Month, Month]:
    """Returns the first thirty nights, without the very first, and the last thirty."""
    return _summarize(nights[1 : _MONTH + 1]), _summarize(nights[-_MONTH:])


def _summarize(nights: Sequence[YearNight]) -> Month:
    return Month(
        *(
            statistics.median([n.seconds for n in nights if n.rosters == rosters] or [0.0])
            for rosters in (True, False)
        )
    )


def format_year(figures: YearFigures) -> str:
    """Returns the figures as text."""
    lines = [
        f"{len(figures.kept):,} nights, {figures.students:,} students (processor seconds)",
        "                                  first 30 nights        last 30    files     MiB",
    ]
    for name, nights in (("housekeeping", figures.kept), ("none", figures.left)):
        first, last = summarize_months(nights)
        size = f"{nights[-1].files:9,}{nights[-1].mib:8,.1f}"
        for kind, begin, end, more in (
            ("with new rosters", first.with_rosters, last.with_rosters, size),
            ("other nights", first.others, last.others, ""),
        ):
            lines.append(f"  {name:<14}{kind:<18}{begin:10.2f} s{end:13.2f} s{more}")
    took = [night.housekeeping_s for night in figures.kept if night.housekeeping_s]
    if took:
        lines.append(
            f"  housekeeping took {statistics.median(took):.2f} s (median), {max(took):.2f} s at "
            "the most"
        )
    return "\n".join(lines)
