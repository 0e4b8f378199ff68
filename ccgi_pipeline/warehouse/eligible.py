"""Eligibility in the warehouse: every student of every roster evaluated, and the results kept.

Belongs here: which course lines belong to which student, and the table of results, which is
replaced only where something has changed. Does not belong here: the rules (eligibility).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.eligibility.evaluating import evaluate_all, shown_average
from ccgi_pipeline.eligibility.history import from_foster_focus, from_transcripts
from ccgi_pipeline.eligibility.systems import System, systems_on
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.warehouse.lake import ELIGIBILITY_SCHEMA, quoted, transaction

BATCH_LINES = 1_000_000
"""Course lines that are evaluated together: a night of any size needs the memory of one batch."""

COURSE_COLUMNS = (
    "IsWorkInProgress",
    "GradeLevel",
    "SchoolYear",
    "TermDescription",
    "Term",
    "LocalCourseID",
    "TranscriptAbbreviation",
    "SubjectArea",
    "AcademicIndicator",
    "DualEnrollmentIndicator",
    "CreditsAttempted",
    "CourseGrade",
)
"""What the evaluation needs of a course line."""


def evaluate_rosters(
    connection: duckdb.DuckDBPyConnection, on: date, profiles: Profiles
) -> pl.DataFrame:
    """Evaluates all rosters and keeps the results; returns ``system``, ``status``, ``students``."""
    parts = [
        _evaluated(connection, senders, systems)
        for senders, systems in _batches(connection, on, profiles)
    ]
    results = pl.concat([pl.DataFrame(schema=dict(ELIGIBILITY_SCHEMA)), *parts])
    _keep(connection, results)
    counted = results.group_by("system", "status").agg(pl.len().alias("students"))
    return counted.sort("system", "status")


def _batches(
    connection: duckdb.DuckDBPyConnection, on: date, profiles: Profiles
) -> Iterator[tuple[list[str], Sequence[System]]]:
    """Districts that are evaluated together: those of like settings, a batch of lines at most."""
    sizes = connection.execute(
        """
        SELECT _sender, any_value(lines) FROM lake.transcript_student LEFT JOIN (
            SELECT _sender, count(*) AS lines FROM lake.transcript_course_grade
            WHERE _active GROUP BY ALL
        ) USING (_sender) WHERE _active GROUP BY _sender ORDER BY _sender
        """
    ).fetchall()
    for residency in ("resident", "nonresident"):
        systems = systems_on(on)
        if residency == "nonresident":
            systems = tuple(replace(system, wanted=system.nonresident) for system in systems)
        batch: list[str] = []
        held = 0
        for sender, lines in sizes:
            if profiles.of(sender).residency != residency:
                continue
            if batch and held + (lines or 0) > BATCH_LINES:
                yield batch, systems
                batch, held = [], 0
            batch.append(sender)
            held += lines or 0
        if batch:
            yield batch, systems


def _evaluated(
    connection: duckdb.DuckDBPyConnection, senders: Sequence[str], systems: Sequence[System]
) -> pl.DataFrame:
    given = {"senders": list(senders)}
    students = connection.execute(
        """
        SELECT _sender, StateID AS SSID, _sender || StateID AS student,
            try_cast(GradeLevel AS TINYINT) AS grade
        FROM lake.transcript_student WHERE _active AND list_contains($senders, _sender)
        ORDER BY ALL
        """,
        given,
    ).pl()
    columns = ", ".join(quoted(name) for name in COURSE_COLUMNS)
    lines = connection.execute(
        f"""
        SELECT _sender || StateID AS student, {columns}
        FROM lake.transcript_course_grade WHERE _active AND list_contains($senders, _sender)
        """,
        given,
    ).pl()
    courses = from_transcripts(lines)
    results = evaluate_all(courses, students, systems)
    named = students.select("student", "_sender", "SSID")
    return (
        results.join(named, on="student", maintain_order="left")
        .with_columns(shown_average().alias("average"))
        .select(ELIGIBILITY_SCHEMA.keys())
    )


def _keep(connection: duckdb.DuckDBPyConnection, results: pl.DataFrame) -> None:
    """Replaces the results where they are others; a night that changed nothing writes nothing."""
    connection.register("results", results.to_arrow())
    try:
        names = ", ".join(quoted(name) for name in ELIGIBILITY_SCHEMA)
        same = connection.execute(
            f"""
            SELECT (SELECT count(*) FROM results) = (SELECT count(*) FROM lake.eligibility)
                AND NOT EXISTS (
                    SELECT {names} FROM results EXCEPT SELECT {names} FROM lake.eligibility
                )
            """
        ).fetchone()
        if same is None or not same[0]:
            with transaction(connection):
                connection.execute("DELETE FROM eligibility")
                connection.execute("INSERT INTO eligibility BY NAME SELECT * FROM results")
    finally:
        connection.unregister("results")


@dataclass(frozen=True, slots=True)
class Explained:
    """One student of one district: the courses as they are compared, and their names by number."""

    cd: str
    grade: int | None
    courses: pl.DataFrame
    names: dict[str, str]


def histories_of(
    connection: duckdb.DuckDBPyConnection, ssid: str, *, from_foster_extracts: bool = False
) -> list[Explained]:
    """The course history of the student ``ssid`` in each district that has the student now.

    ``from_foster_extracts``: that of the Foster Focus transcripts, for who may see them.
    """
    roster = "foster_focus_demographics" if from_foster_extracts else "transcript_student"
    number = "SSID" if from_foster_extracts else "StateID"
    table = "foster_focus_transcripts" if from_foster_extracts else "transcript_course_grade"
    name = "CourseDescript" if from_foster_extracts else "TranscriptAbbreviation"
    course = "CourseNumber" if from_foster_extracts else "LocalCourseID"
    grade = "NULL" if from_foster_extracts else "try_cast(GradeLevel AS TINYINT)"
    known = connection.execute(
        f"SELECT _sender, {grade} FROM lake.{roster} WHERE _active AND {number} = ? ORDER BY 1",
        [ssid],
    ).fetchall()
    found = []
    for sender, in_grade in known:
        lines = connection.execute(
            f"SELECT *, _sender || {number} AS student FROM lake.{table} "
            f"WHERE _active AND _sender = ? AND {number} = ?",
            [sender, ssid],
        ).pl()
        courses = (from_foster_focus if from_foster_extracts else from_transcripts)(lines)
        names = dict(lines.select(course, pl.col(name).fill_null("")).unique().iter_rows())
        found.append(Explained(sender, in_grade, courses, names))
    return found
