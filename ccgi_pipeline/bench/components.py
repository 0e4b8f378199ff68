"""Benchmarks of components: checking one large file, and evaluating many course histories.

Belongs here: ``ccgi bench check`` and ``ccgi bench eligibility``. Does not belong here: the whole
night (``night``).
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.bench.command_timing import time_command
from ccgi_pipeline.bench.floors import load_as_text, measure_mib
from ccgi_pipeline.common.prefetch import prefetch
from ccgi_pipeline.eligibility.evaluation import evaluate_all
from ccgi_pipeline.eligibility.history import from_transcripts
from ccgi_pipeline.eligibility.systems import systems_on
from ccgi_pipeline.warehouse.load.eligibility_results import AT_ONCE, BATCH_LINES


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
    """Measures the check of a large file of ``family``, which it makes in ``folder`` (replaced).

    The floor is DuckDB reading the same file as text into a table in memory.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    name, made = LARGE_FILES[family]
    path = folder / name
    made(lines, on).write_csv(path, separator="\t" if path.suffix == ".txt" else ",")
    check, peak = time_command("check", path, "--family", family, "--date", on.isoformat())
    with duckdb.connect() as connection:
        started = time.perf_counter()
        load_as_text(connection, "received", [str(path)])
        floor = time.perf_counter() - started
    return CheckFigures(
        file=name,
        lines=lines,
        file_mib=measure_mib(folder),
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
    """Measures the evaluation of students with 40 course lines each, made in ``folder``.

    The floor is DuckDB counting the same lines by student and area. Both read the same Parquet
    file; the evaluation reads it in batches, as the night does.
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
        batches = (
            (first, min(first + _STUDENTS_A_BATCH, students))
            for first in range(0, students, _STUDENTS_A_BATCH)
        )
        histories = ((*batch, _lines_of(connection, path, *batch)) for batch in batches)
        for _ in prefetch(_evaluate, histories, AT_ONCE):
            pass
        evaluation = time.perf_counter() - started
    return EligibilityFigures(
        students=students,
        course_lines=students * _LINES_A_STUDENT,
        evaluation_s=evaluation,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        floor_s=floor,
        ratio=evaluation / floor,
    )


def _lines_of(
    connection: duckdb.DuckDBPyConnection, path: str, first: int, last: int
) -> pl.DataFrame:
    return connection.execute(
        "SELECT * FROM read_parquet($path) WHERE student BETWEEN $first AND $last",
        {"path": path, "first": _student(first), "last": _student(last - 1)},
    ).pl()


def _evaluate(histories: tuple[int, int, pl.DataFrame]) -> None:
    first, last, lines = histories
    named = pl.DataFrame({"student": [_student(number) for number in range(first, last)]})
    seniors = named.with_columns(pl.lit(12).cast(pl.Int8).alias("grade"))
    evaluate_all(from_transcripts(lines), seniors, systems_on(date(2026, 11, 1)))


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
        NULL::VARCHAR AS CourseInstitutionName,
        NULL::VARCHAR AS CourseCurriculumTerm,
        5.0::DECIMAL(10, 4) AS CreditsAttempted,
        ['A', 'A-', 'B+', 'B', 'B-', 'C', 'C+', 'D', 'F', 'A'][(hash(line, 1) % 10 + 1)::INT]
            AS CourseGrade
    FROM range($lines) AS lines(line)
"""

_SCHOOL_DAYS = 180


def _attendance(lines: int, on: date) -> pl.DataFrame:
    """Returns attendance periods without a finding, 180 days for each student."""
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
    """Returns OneRoster enrollments without a finding: classes of one teacher and 27 students."""
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
"""By family, its largest file and the function that makes a good one."""


def format_eligibility(figures: EligibilityFigures) -> str:
    """Returns the figures of an evaluation as text."""
    return (
        f"{figures.students:,} students, {figures.course_lines:,} course lines, two systems\n"
        f"  the evaluation                {figures.evaluation_s:8.1f} s, "
        f"peak {figures.peak_mib:,.0f} MiB\n"
        f"  the floor (a plain group-by)  {figures.floor_s:8.1f} s\n"
        f"  ratio                         {figures.ratio:8.1f}"
    )


def format_check(figures: CheckFigures) -> str:
    """Returns the figures of a check as text."""
    return (
        f"{figures.file}: {figures.lines:,} lines, {figures.file_mib:,.0f} MiB\n"
        f"  ccgi check                    {figures.check_s:8.1f} s, "
        f"peak {figures.peak_mib:,.0f} MiB\n"
        f"  the floor (reading as text)   {figures.floor_read_s:8.1f} s\n"
        f"  ratio                         {figures.ratio:8.1f}"
    )
