"""The course history of one student, read as the eligibility evaluation reads it.

Belongs here: reading courses to explain a result. Does not belong here: evaluating rosters
(load.eligibility_results), the explanation (eligibility.explanation).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from ccgi_pipeline.eligibility.history import (
    find_unread_lines,
    from_foster_focus,
    from_transcripts,
    is_certified,
)


@dataclass(frozen=True, slots=True)
class StudentHistory:
    """A student's courses in one district as the evaluation reads them; their names by number.

    ``certified``: a certificate stands for the years of area E. ``unread``: the areas and names of
    transcript lines whose kind is not known and could change the result, with their number.
    """

    cd: str
    grade: int | None
    certified: bool
    courses: pl.DataFrame
    names: dict[str, str]
    unread: list[tuple[str, str, int]]


def read_student_histories(
    connection: duckdb.DuckDBPyConnection, ssid: str, *, from_foster_extracts: bool = False
) -> list[StudentHistory]:
    """Returns the course history of a student in each district that has the student now.

    ``from_foster_extracts``: reads the Foster Focus transcripts, which few people may see.
    """
    roster = "foster_focus_demographics" if from_foster_extracts else "transcript_student"
    number = "SSID" if from_foster_extracts else "StateID"
    table = "foster_focus_transcripts" if from_foster_extracts else "transcript_course_grade"
    name = "CourseDescript" if from_foster_extracts else "TranscriptAbbreviation"
    course = "CourseNumber" if from_foster_extracts else "LocalCourseID"
    about = "NULL, NULL" if from_foster_extracts else "try_cast(GradeLevel AS TINYINT), LOTECert"
    known = connection.execute(
        f"SELECT _sender, {about} FROM lake.{roster} WHERE _active AND {number} = ? ORDER BY 1",
        [ssid],
    ).fetchall()
    found = []
    for sender, grade, certificate in known:
        lines = _read_lines(connection, table, number, sender, ssid)
        courses = (from_foster_focus if from_foster_extracts else from_transcripts)(lines)
        names = dict(lines.select(course, pl.col(name).fill_null("")).unique().iter_rows())
        certified = pl.select(is_certified(pl.lit(certificate, dtype=pl.String))).item()
        unread = [] if from_foster_extracts else _count_unread(lines)
        found.append(StudentHistory(sender, grade, certified, courses, names, unread))
    return found


def _read_lines(
    connection: duckdb.DuckDBPyConnection, table: str, number: str, sender: str, ssid: str
) -> pl.DataFrame:
    """Returns the student's lines; those of transcripts with the catalog's state course codes."""
    catalog = ""
    if table == "transcript_course_grade":
        catalog = """LEFT JOIN (
            SELECT _sender, CDSCode, CourseNumber AS LocalCourseID, StateCourseCode
            FROM lake.transcript_course_catalog WHERE _active
        ) USING (_sender, CDSCode, LocalCourseID)"""
    return connection.execute(
        f"SELECT *, _sender || {number} AS student "
        f"FROM (SELECT * FROM lake.{table} WHERE _active AND _sender = ? AND {number} = ?) "
        f"{catalog}",
        [sender, ssid],
    ).pl()


def _count_unread(lines: pl.DataFrame) -> list[tuple[str, str, int]]:
    unread = lines.filter(find_unread_lines(lines))
    counted = unread.group_by("SubjectArea", pl.col("TranscriptAbbreviation").fill_null("")).len()
    return counted.sort(pl.all()).rows()
