"""The course history of one student, read as the eligibility evaluation reads it.

Belongs here: reading courses to explain a result. Does not belong here: evaluating rosters
(load.eligibility_results), the explanation (eligibility.explanation).
"""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import polars as pl

from ccgi_pipeline.eligibility.history import from_foster_focus, from_transcripts


@dataclass(frozen=True, slots=True)
class StudentHistory:
    """A student's courses in one district as the evaluation reads them; their names by number."""

    cd: str
    grade: int | None
    courses: pl.DataFrame
    names: dict[str, str]


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
        found.append(StudentHistory(sender, in_grade, courses, names))
    return found
