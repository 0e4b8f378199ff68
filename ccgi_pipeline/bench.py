"""Benchmarks: how long the night takes beside the least that any night could take.

Belongs here: ``ccgi bench``. Seconds depend on the machine, so each figure stands beside a floor
that was measured in the same run: DuckDB alone reading the same files as text into tables, and the
same bytes written out.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType

import dagster as dg
import duckdb
import polars as pl

from ccgi_pipeline.eligibility.evaluating import evaluate_all
from ccgi_pipeline.eligibility.history import from_transcripts
from ccgi_pipeline.eligibility.systems import systems_on
from ccgi_pipeline.encryption import KEY, new_key
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, feed_by_name
from ccgi_pipeline.intake.inbox import is_cd_code
from ccgi_pipeline.night import Folders
from ccgi_pipeline.progress import Step
from ccgi_pipeline.running import dagster_home
from ccgi_pipeline.synthetic import generate
from ccgi_pipeline.warehouse import lake
from ccgi_pipeline.warehouse.eligible import BATCH_LINES

_SEED = 1
_MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class NightFigures:
    """Seconds, mebibytes and ratios of one benchmark run.

    ``again_s``: the same night once more. ``next_day_s``: the next day's, for which nothing came;
    ``changed_s``: the day's after it, for which one district in a hundred sent everything anew.
    """

    districts: int
    students: int
    received_mib: float
    written_mib: float
    night_s: float
    steps_s: dict[str, float]
    outside_steps_s: float
    peak_mib: float
    floor_read_s: float
    floor_write_s: float
    ratio: float
    again_s: float
    next_day_s: float
    changed_s: float


_CHANGED = 100
"""One district in so many sends anew."""


def bench_night(
    folder: Path, districts: int, students: int, on: date, *, encrypted: bool = False
) -> NightFigures:
    """Generates a state in ``folder`` (replaced), runs a night over it, and the floor.

    ``encrypted``: the night has an encrypted warehouse, by a key that is then forgotten. Each part
    runs in a process of its own, so that imports are counted and memory is its own.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folders = Folders(folder / "inbox", folder / "outbox", folder / "warehouse")
    step = Step("making a state, four nights, two floors", 7)
    generate(folders.inbox, districts=districts, students=students, seed=_SEED, on=on)
    step.advance()
    key = {KEY: new_key()} if encrypted else {}
    night, peak = _command(folders, on, key)
    step.advance()
    steps = _step_seconds(folders)
    again, _ = _command(folders, on, key)
    step.advance()
    floor_read = _floor_read(folders, folder / "floor")
    step.advance()
    floor_write = _floor_write(folders, folder / "copy")
    step.advance()
    received, written = _size(folders.inbox), _size(folders.outbox)
    next_day, _ = _command(folders, on + timedelta(days=1), key)
    step.advance()
    later = on + timedelta(days=2)
    _some_send_anew(folder, districts, students, later)
    changed, _ = _command(folders, later, key)
    step.advance()
    return NightFigures(
        districts=districts,
        students=students,
        received_mib=received,
        written_mib=written,
        night_s=night,
        steps_s=steps,
        outside_steps_s=night - sum(steps.values()),
        peak_mib=peak,
        floor_read_s=floor_read,
        floor_write_s=floor_write,
        ratio=night / (floor_read + floor_write),
        again_s=again,
        next_day_s=next_day,
        changed_s=changed,
    )


def _some_send_anew(folder: Path, districts: int, students: int, on: date) -> None:
    """Puts the files of another day into the inbox, of one district in a hundred."""
    another = folder / "another day"
    generate(another, districts=districts, students=students, seed=_SEED, on=on)
    senders = sorted(path for path in another.iterdir() if is_cd_code(path.name))
    for sender in senders[: -(-len(senders) // _CHANGED)]:
        shutil.rmtree(folder / "inbox" / sender.name)
        shutil.move(sender, folder / "inbox" / sender.name)


@dataclass(frozen=True, slots=True)
class CheckFigures:
    """Seconds, mebibytes and ratio of ``ccgi check`` on one large file."""

    file: str
    lines: int
    file_mib: float
    check_s: float
    peak_mib: float
    floor_read_s: float
    ratio: float


def bench_check(folder: Path, family: str, lines: int, on: date) -> CheckFigures:
    """Checks a large file of ``family`` (made in ``folder``, replaced), and the floor.

    The floor is DuckDB reading the same file as text into a table in memory.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    name, made = LARGE_FILES[family]
    path = folder / name
    made(lines, on).write_csv(path, separator="\t" if path.suffix == ".txt" else ",")
    check, peak = _timed("check", path, "--family", family, "--date", on.isoformat())
    with duckdb.connect() as connection:
        started = time.perf_counter()
        _read_as_text(connection, "received", [str(path)])
        floor = time.perf_counter() - started
    return CheckFigures(
        file=name,
        lines=lines,
        file_mib=_size(folder),
        check_s=check,
        peak_mib=peak,
        floor_read_s=floor,
        ratio=check / floor,
    )


@dataclass(frozen=True, slots=True)
class EligibilityFigures:
    """Seconds, mebibytes and ratio of evaluating two systems."""

    students: int
    course_lines: int
    evaluation_s: float
    peak_mib: float
    floor_s: float
    ratio: float


def bench_eligibility(folder: Path, students: int) -> EligibilityFigures:
    """Evaluates so many students with 40 course lines each (made in ``folder``), and the floor.

    The floor is DuckDB counting the same lines by student and area. Both read the same Parquet
    file; the evaluation does so in batches, as the night does.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = str(folder / "courses.parquet")
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"COPY ({_COURSE_LINES}) TO '{path}' (FORMAT parquet)",
            {"lines": students * _LINES_A_STUDENT},
        )
        started = time.perf_counter()
        connection.execute(
            "CREATE TABLE counted AS SELECT student, SubjectArea, count(*), sum(CreditsAttempted) "
            "FROM read_parquet($path) GROUP BY ALL",
            {"path": path},
        )
        floor = time.perf_counter() - started
        started = time.perf_counter()
        for first in range(0, students, _STUDENTS_A_BATCH):
            last = min(first + _STUDENTS_A_BATCH, students)
            lines = connection.execute(
                "SELECT * FROM read_parquet($path) WHERE student BETWEEN $first AND $last",
                {"path": path, "first": _student(first), "last": _student(last - 1)},
            ).pl()
            courses = from_transcripts(lines)
            named = pl.DataFrame({"student": [_student(number) for number in range(first, last)]})
            seniors = named.with_columns(pl.lit(12).cast(pl.Int8).alias("grade"))
            evaluate_all(courses, seniors, systems_on(date(2026, 11, 1)))
        evaluation = time.perf_counter() - started
    return EligibilityFigures(
        students=students,
        course_lines=students * _LINES_A_STUDENT,
        evaluation_s=evaluation,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        floor_s=floor,
        ratio=evaluation / floor,
    )


_LINES_A_STUDENT = 40
_STUDENTS_A_BATCH = BATCH_LINES // _LINES_A_STUDENT


def _student(number: int) -> str:
    return f"3367173{number:010d}"


_COURSE_LINES = """
    SELECT
        printf('3367173%010d', line // 40) AS student,
        false AS IsWorkInProgress,
        printf('%02d', 9 + line % 40 // 10) AS GradeLevel,
        printf('%d-%02d', 2023 + line % 40 // 10, 24 + line % 40 // 10) AS SchoolYear,
        NULL::VARCHAR AS TermDescription,
        CASE line % 2 WHEN 0 THEN 'S1' ELSE 'S2' END AS Term,
        printf('C%02d', line % 40 // 2) AS LocalCourseID,
        ['World History', 'English 9', 'Algebra 1', 'Biology', 'Spanish 1',
         'US History', 'English 10', 'Geometry', 'Chemistry', 'Spanish 2',
         'Government', 'English 11', 'Algebra 2', 'Physics', 'Spanish 3',
         'Psychology', 'English 12', 'Precalculus', 'Art 1', 'Band'][line % 40 // 2 + 1]
            AS TranscriptAbbreviation,
        ['A', 'B', 'C', 'D', 'E', 'A', 'B', 'C', 'D', 'E',
         'A', 'B', 'C', 'D', 'E', 'G', 'B', 'C', 'F', 'F'][line % 40 // 2 + 1] AS SubjectArea,
        CASE hash(line) % 10 WHEN 0 THEN 'AP' END AS AcademicIndicator,
        NULL::VARCHAR AS DualEnrollmentIndicator,
        5.0::DECIMAL(10, 4) AS CreditsAttempted,
        ['A', 'A-', 'B+', 'B', 'B-', 'C', 'C+', 'D', 'F', 'A'][(hash(line, 1) % 10 + 1)::INT]
            AS CourseGrade
    FROM range($lines) AS lines(line)
"""

_SCHOOL_DAYS = 180


def _attendance(lines: int, on: date) -> pl.DataFrame:
    """Attendance periods without a fault: 180 days of as many students as it takes."""
    number = pl.int_range(lines, dtype=pl.Int64)
    student, day = number // _SCHOOL_DAYS, number % _SCHOOL_DAYS
    school = pl.lit("33671733335130")
    columns = {
        "SystemID": pl.lit("3367173"),
        "UniqueID": pl.format("ATP{}", number),
        "SSID": (9_100_000_000 + student).cast(pl.String),
        "SchoolDate": pl.lit(on) - pl.duration(days=day),
        "PeriodsEnrolled": pl.lit(6),
        "PeriodsAttended": 6 - number % 7 // 6,
        "SchoolCDSCode": school,
        "SISSchoolCode": pl.lit("110"),
        "SchoolYear": pl.lit(None, dtype=pl.String),
        "SISLocalID": pl.format("L{}", student),
        "LastName": pl.format("Last{}", student % 1000),
        "FirstName": pl.format("First{}", student % 700),
    }
    return pl.select(number=number).select(
        expression.alias(name) for name, expression in columns.items()
    )


_STUDENTS_OF_A_CLASS = 28


def _enrollments(lines: int, on: date) -> pl.DataFrame:
    """OneRoster enrollments without a fault: classes of one teacher and 27 students."""
    number = pl.int_range(lines, dtype=pl.Int64)
    class_, place = number // _STUDENTS_OF_A_CLASS, number % _STUDENTS_OF_A_CLASS
    teacher, student = place == 0, (number * 2_654_435_761) % max(1, lines // 6)
    user = pl.when(teacher).then(pl.format("T{}", class_ // 5)).otherwise(pl.format("S{}", student))
    columns = {
        "sourcedId": pl.format("E-{}-{}", class_, place),
        "status": pl.lit(None, dtype=pl.String),
        "dateLastModified": pl.lit(None, dtype=pl.String),
        "classSourcedId": pl.format("C{}", class_),
        "schoolSourcedId": pl.format("O{}", class_ // 200),
        "userSourcedId": user,
        "role": pl.when(teacher).then(pl.lit("teacher")).otherwise(pl.lit("student")),
        "primary": pl.when(teacher).then(pl.lit("true")),
        "beginDate": pl.lit(date(on.year, 8, 15)),
        "endDate": pl.lit(date(on.year + 1, 6, 10)),
    }
    return pl.select(number=number).select(
        expression.alias(name) for name, expression in columns.items()
    )


LARGE_FILES: Mapping[str, tuple[str, Callable[[int, date], pl.DataFrame]]] = {
    "foster_focus": ("attendance_periods.txt", _attendance),
    "oneroster": ("enrollments.csv", _enrollments),
}
"""The largest file that a family has, and how a good one is made."""


def _command(folders: Folders, on: date, key: Mapping[str, str]) -> tuple[float, float]:
    """Wall seconds of ``ccgi run`` and the peak memory (MiB) of any child so far."""
    return _timed(
        "run",
        *("--inbox", folders.inbox),
        *("--outbox", folders.outbox),
        *("--warehouse", folders.warehouse),
        *("--date", on.isoformat()),
        variables=key,
    )


def _timed(
    *arguments: str | Path, variables: Mapping[str, str] = MappingProxyType({})
) -> tuple[float, float]:
    """Wall seconds of a command of ours, and the peak memory (MiB) of any child so far."""
    started = time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name("ccgi"), *arguments],
        check=True,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return seconds, peak


def _step_seconds(folders: Folders) -> dict[str, float]:
    """Seconds of each step of the newest run, as Dagster recorded them."""
    with dg.DagsterInstance.from_config(str(dagster_home(folders.warehouse))) as instance:
        (run,) = instance.get_runs(limit=1)
        return {
            stats.step_key: stats.end_time - stats.start_time
            for stats in sorted(
                instance.get_run_step_stats(run.run_id), key=lambda stats: stats.start_time or 0.0
            )
            if stats.start_time is not None and stats.end_time is not None
        }


def _floor_read(folders: Folders, floor: Path) -> float:
    """Seconds in which DuckDB reads the received files as text into tables of a DuckLake."""
    by_feed: dict[str, list[str]] = {}
    with _unpacked(folders.inbox, floor / "unpacked") as files:
        for path in files:
            families = [FAMILIES[part] for part in path.parts if part in FAMILIES]
            feed = feed_by_name(path.name, families[-1] if families else FEEDS)
            if feed is not None:
                by_feed.setdefault(feed.name, []).append(str(path))
        with lake.connect(floor / "warehouse") as connection:
            started = time.perf_counter()
            for feed_name, paths in by_feed.items():
                _read_as_text(connection, feed_name, paths)
            return time.perf_counter() - started


def _read_as_text(connection: duckdb.DuckDBPyConnection, table: str, paths: list[str]) -> None:
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


@contextmanager
def _unpacked(inbox: Path, folder: Path) -> Iterator[list[Path]]:
    """The received files, zips unpacked beforehand: opening them is not the floor's business."""
    files = []
    for path in sorted(inbox.rglob("*")):
        if path.suffix == ".zip":
            unpacked = folder / path.relative_to(inbox).with_suffix("")
            shutil.unpack_archive(path, unpacked)
            files += sorted(file for file in unpacked.rglob("*") if file.is_file())
        elif path.is_file():
            files.append(path)
    yield files


def _floor_write(folders: Folders, copy: Path) -> float:
    """Seconds in which the same bytes are written under the same names, and nothing else."""
    contents = {
        copy / path.relative_to(folders.outbox): path.read_bytes()
        for path in folders.outbox.rglob("*")
        if path.is_file()
    }
    started = time.perf_counter()
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return time.perf_counter() - started


def _size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / _MEBIBYTE


def as_object(figures: NightFigures | CheckFigures | EligibilityFigures) -> dict[str, object]:
    """The figures for a machine."""
    return asdict(figures)


def eligibility_as_text(figures: EligibilityFigures) -> str:
    """The figures of an evaluation for a person."""
    return (
        f"{figures.students:,} students, {figures.course_lines:,} course lines, two systems\n"
        f"  the evaluation                {figures.evaluation_s:8.1f} s, "
        f"peak {figures.peak_mib:,.0f} MiB\n"
        f"  the floor (a plain group-by)  {figures.floor_s:8.1f} s\n"
        f"  ratio                         {figures.ratio:8.1f}"
    )


def check_as_text(figures: CheckFigures) -> str:
    """The figures of a check for a person."""
    return (
        f"{figures.file}: {figures.lines:,} lines, {figures.file_mib:,.0f} MiB\n"
        f"  ccgi check                    {figures.check_s:8.1f} s, "
        f"peak {figures.peak_mib:,.0f} MiB\n"
        f"  the floor (reading as text)   {figures.floor_read_s:8.1f} s\n"
        f"  ratio                         {figures.ratio:8.1f}"
    )


def as_text(figures: NightFigures) -> str:
    """The figures for a person."""
    floor = figures.floor_read_s + figures.floor_write_s
    steps = "\n".join(f"    {name:<28}{s:8.1f} s" for name, s in figures.steps_s.items())
    return (
        f"{figures.students:,} students in {figures.districts:,} districts: "
        f"{figures.received_mib:,.0f} MiB received, {figures.written_mib:,.0f} MiB written\n"
        f"  the night                     {figures.night_s:8.1f} s, "
        f"peak {figures.peak_mib:,.0f} MiB\n"
        f"{steps}\n"
        f"    outside the steps           {figures.outside_steps_s:8.1f} s\n"
        f"  the floor                     {floor:8.1f} s (reading {figures.floor_read_s:.1f} s, "
        f"writing {figures.floor_write_s:.1f} s)\n"
        f"  ratio                         {figures.ratio:8.1f}\n"
        f"  the same night again          {figures.again_s:8.1f} s\n"
        f"  the next day, nothing came    {figures.next_day_s:8.1f} s\n"
        f"  one district in {_CHANGED} anew     {figures.changed_s:8.1f} s"
    )
