"""Eligibility results in the warehouse, for every student of every roster.

Belongs here: which course lines belong to which student, which rosters have changed and must be
evaluated again, and the table of results. Does not belong here: the rules (eligibility).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.prefetch import prefetch
from ccgi_pipeline.eligibility import evaluation
from ccgi_pipeline.eligibility.evaluation import evaluate_all, shown_average
from ccgi_pipeline.eligibility.history import from_transcripts, is_certified
from ccgi_pipeline.eligibility.systems import System, systems_on
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.warehouse.storage.schema import ELIGIBILITY_SCHEMA, quote_identifier, transaction

BATCH_LINES = 500_000
"""Course lines that are evaluated together, so that a night of any size fits into memory."""
AT_ONCE = 2
"""Batches that are evaluated at the same time: one batch uses little more than one core."""

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
    "CourseInstitutionName",
    "CourseCurriculumTerm",
    "CreditsAttempted",
    "CourseGrade",
)
"""The columns of a course line that the evaluation needs."""


def evaluate_rosters(
    connection: duckdb.DuckDBPyConnection, on: date, profiles: Profiles
) -> pl.DataFrame:
    """Evaluates the rosters that have changed, and stores the results; one commit.

    Returns ``system``, ``status``, ``students`` of all rosters.
    """
    rosters = _read_rosters(connection, on, profiles)
    known = connection.execute("SELECT _sender, state FROM lake.evaluated").pl()
    stale = known.join(rosters, on=["_sender", "state"], how="anti")
    changed = rosters.join(known, on=["_sender", "state"], how="anti")
    if stale.height or changed.height:
        standing = rosters.join(changed, on="_sender", how="anti")["_sender"].to_list()
        with transaction(connection):
            for table in ("eligibility", "evaluated"):
                connection.execute(
                    f"DELETE FROM {table} WHERE NOT list_contains($standing, _sender)",
                    {"standing": standing},
                )
            histories = (_read_histories(connection, batch, on) for batch in _batches(changed))
            for results in prefetch(_evaluate, histories, AT_ONCE):
                _insert(connection, "eligibility", results)
            _insert(connection, "evaluated", changed.select("_sender", "state"))
    return connection.execute(
        "SELECT system, status, count(*) AS students FROM lake.eligibility "
        "GROUP BY ALL ORDER BY ALL"
    ).pl()


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    # DuckDB holds what was registered until the transaction ends, so it finds these by their name.
    results = rows.to_arrow()  # noqa: F841
    connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM results")


def _read_rosters(
    connection: duckdb.DuckDBPyConnection, on: date, profiles: Profiles
) -> pl.DataFrame:
    """Returns the districts that have a roster: ``_sender``, ``residency``, ``lines``, ``state``.

    ``lines``: their course lines. ``state`` stands for all that determines the results: the records
    (their number and the sum of their hashes), the systems' rules of that day, and this code.
    """
    digest = "count(*) AS {0}, sum(_hash::HUGEINT)::VARCHAR AS {0}_sum"
    rosters = connection.execute(
        f"""
        SELECT * FROM (
            SELECT _sender, {digest.format("students")}
            FROM lake.transcript_student WHERE _active GROUP BY ALL
        ) LEFT JOIN (
            SELECT _sender, {digest.format("lines")}
            FROM lake.transcript_course_grade WHERE _active GROUP BY ALL
        ) USING (_sender) LEFT JOIN (
            SELECT _sender, {digest.format("catalog")}
            FROM lake.transcript_course_catalog WHERE _active GROUP BY ALL
        ) USING (_sender) ORDER BY _sender
        """
    ).pl()
    residency = [profiles.of(sender).residency for sender in rosters["_sender"]]
    rules = [_rules(kind, on) for kind in residency]
    return rosters.select(
        "_sender",
        pl.Series("residency", residency, dtype=pl.String),
        pl.col("lines").fill_null(0),
        pl.concat_str(
            pl.col(*(f"{it}{of}" for it in ("students", "lines", "catalog") for of in ("", "_sum")))
            .cast(pl.String)
            .fill_null(""),
            pl.Series("rules", rules, dtype=pl.String),
            separator=" ",
        ).alias("state"),
    )


def _systems(residency: str, on: date) -> tuple[System, ...]:
    """Returns the systems as they apply to the students of a district."""
    systems = tuple(systems_on(on))
    if residency == "nonresident":
        return tuple(replace(system, wanted=system.nonresident) for system in systems)
    return systems


@cache
def _rules(residency: str, on: date) -> str:
    """Returns a digest of the systems' rules, the list of course names and the code."""
    digest = hashlib.sha256(repr(_systems(residency, on)).encode())
    for file in sorted(Path(evaluation.__file__).parent.glob("*.*")):
        digest.update(file.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()[:16]


def _batches(rosters: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yields districts with the same settings that have at most a batch of lines together."""
    for alike in rosters.partition_by("residency", maintain_order=True):
        before = pl.col("lines").cum_sum() - pl.col("lines")
        numbered = alike.with_columns((before // BATCH_LINES).alias("batch"))
        yield from numbered.partition_by("batch", maintain_order=True, include_key=False)


@dataclass(frozen=True, slots=True)
class _Histories:
    """The students of some districts, their course lines, and the systems that apply to them."""

    students: pl.DataFrame
    lines: pl.DataFrame
    systems: tuple[System, ...]


# A district's records are stored together, so a range of districts is found quickly.
_THEIRS = "_active AND _sender BETWEEN $first AND $last AND list_contains($senders, _sender)"
HISTORY_QUERIES = (
    f"""
    SELECT _sender, StateID AS SSID, _sender || StateID AS student,
        try_cast(GradeLevel AS TINYINT) AS grade, LOTECert
    FROM lake.transcript_student WHERE {_THEIRS}
    ORDER BY _sender, SSID
    """,
    f"""
    SELECT _sender || StateID AS student,
        {", ".join(quote_identifier(name) for name in COURSE_COLUMNS)}, StateCourseCode
    FROM (
        SELECT * FROM lake.transcript_course_grade WHERE {_THEIRS} AND SubjectArea IS NOT NULL
    ) LEFT JOIN (
        SELECT _sender, CDSCode, CourseNumber AS LocalCourseID, StateCourseCode
        FROM lake.transcript_course_catalog WHERE {_THEIRS} AND StateCourseCode IS NOT NULL
    ) USING (_sender, CDSCode, LocalCourseID)
    """,
)
"""What is read of some districts for their evaluation: their students and their course lines."""


def _read_histories(
    connection: duckdb.DuckDBPyConnection, rosters: pl.DataFrame, on: date
) -> _Histories:
    senders = rosters["_sender"]
    given = {"senders": senders.to_list(), "first": senders.min(), "last": senders.max()}
    students_query, lines_query = HISTORY_QUERIES
    students = connection.execute(students_query, given).pl()
    students = students.select(
        pl.exclude("LOTECert"), is_certified(pl.col("LOTECert")).alias("certified")
    )
    lines = connection.execute(lines_query, given).pl()
    return _Histories(students, lines, _systems(rosters["residency"][0], on))


def _evaluate(histories: _Histories) -> pl.DataFrame:
    """Returns the results of the districts' students with the columns of the table."""
    courses = from_transcripts(histories.lines)
    results = evaluate_all(courses, histories.students, histories.systems)
    named = histories.students.select("student", "_sender", "SSID")
    return (
        results.join(named, on="student", maintain_order="left")
        .with_columns(shown_average().alias("average"))
        .select(ELIGIBILITY_SCHEMA.keys())
    )
