"""Converts lines of a course history into courses that can be compared.

Belongs here: terms, marks, areas and honors of the transcript feed in the form that the rules use.
Does not belong here: any rule of a system.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ccgi_pipeline.eligibility.courses import add_kinds, find_unread
from ccgi_pipeline.eligibility.systems import AREAS

COURSES_SCHEMA: Mapping[str, pl.DataType] = {
    "student": pl.String(),
    "course": pl.String(),
    "part": pl.String(),
    "area": pl.String(),
    "kind": pl.String(),
    "language": pl.String(),
    "level": pl.Int8(),
    "discipline": pl.String(),
    "grade": pl.Int8(),
    "school_year": pl.Int32(),
    "summer": pl.Boolean(),
    "order": pl.Int8(),
    "units": pl.Int16(),
    "points": pl.Int8(),
    "passed": pl.Boolean(),
    "in_progress": pl.Boolean(),
    "honors": pl.Boolean(),
    "college": pl.Boolean(),
}
"""One row per mark for one part of a course. ``units``: 60 a year. ``points``: 4 to 0, null for P
and for work in progress. ``part``: the part that was attempted; null if it cannot be a repeat.
``order``: the term's position in the school year; ``school_year``: the year in which it ends."""

_UNITS = {
    **dict.fromkeys(("F", "FY"), 60),
    **dict.fromkeys(("S1", "S2"), 30),
    **dict.fromkeys(("T1", "T2", "T3"), 20),
    **dict.fromkeys(("Q1", "Q2", "Q3", "Q4"), 15),
    **dict.fromkeys((f"H{number}" for number in range(1, 7)), 10),
}
_ORDER = {
    "Q1": 1, "H1": 1, "T1": 2, "H2": 2, "S1": 3, "Q2": 3, "H3": 3, "T2": 4, "H4": 4,
    "Q3": 5, "H5": 5, "F": 6, "FY": 6, "S2": 6, "T3": 6, "Q4": 6, "H6": 6,
    "IS": 7, "SP": 7, "SS": 9, "SS1": 9, "SS2": 10,
}  # fmt: skip
_SUMMER = ("SS", "SS1", "SS2")
_NO_PART = (*_SUMMER, "IS", "SP")
"""Terms that do not say which part of a course was taken."""
_UNITS_A_CREDIT = 6
"""Ten credits are a year."""
_POINTS = {"A": 4, "B": 3, "C": 2, "D": 1, "F": 0}
_LETTERS = frozenset(letter + sign for letter in _POINTS for sign in ("", "+", "-"))
_PASSING_POINTS = 2
_PASS_MARKS = ("P", "CR", "S")
_HALF_PASS, _ALL_PASS = 2020, 2021
"""School years of which the second half, and all, may have pass marks (to summer 2021)."""
_SECOND_HALF = ("S2", "T2", "T3", "Q3", "Q4", "H4", "H5", "H6", "F", "FY", *_SUMMER)
_HONORS = ("AP", "IB", "H")
_YES = ("Y", "YES", "TRUE", "1")
_EARLY_AREAS = ("C", "E")
_COLLEGE = (
    r"\b(?:COLLEGE|COMMUNITY COLLEGE DISTRICT)\s*$"
    r"|^(?:UNIVERSITY OF CALIFORNIA|UC|CALIFORNIA STATE UNIVERSITY|CAL STATE|CSU)\b"
)
_NO_COLLEGE = r"\b(?:HIGH|SCHOOL|MIDDLE|EARLY|ACADEMY|PREP|PREPARATORY)\b"
"""Schools have such names too: College Park High, Middle College, University High School."""


def from_transcripts(lines: pl.DataFrame) -> pl.DataFrame:
    """Returns the courses (``COURSES_SCHEMA``) of lines of the feed ``transcript_course_grade``.

    ``lines`` has the feed's typed columns and ``student``, and may have the ``StateCourseCode`` of
    the course catalog. Lines without an area, of other grades or with other marks count for nothing
    and are left out.
    """
    lines = lines.filter(pl.col("SubjectArea").is_in(list(AREAS)))  # the others are many
    college = _taken_at_a_college(lines)
    honors = _is_one_of(
        lines, "AcademicIndicator", pl.col("AcademicIndicator").str.to_uppercase().is_in(_HONORS)
    )
    return _courses(
        lines.select(
            "student",
            pl.col("LocalCourseID").alias("course"),
            *_named(lines),
            pl.col("Term").alias("term"),
            _part(lines).alias("part"),
            pl.col("GradeLevel").alias("grade"),
            (pl.col("SchoolYear").str.head(4).cast(pl.Int32) + 1).alias("school_year"),
            pl.col("CreditsAttempted").cast(pl.Float64).alias("credits"),
            pl.col("CourseGrade").alias("mark"),
            pl.col("IsWorkInProgress").fill_null(value=False).alias("in_progress"),
            (honors | college).alias("honors"),
            college.alias("college"),
        )
    )


def find_unread_lines(lines: pl.DataFrame) -> pl.Series:
    """Returns which lines of ``transcript_course_grade`` have a name of unknown kind that matters.

    ``lines`` are those of ``from_transcripts``.
    """
    grade = pl.col("GradeLevel").cast(pl.Int8, strict=False)
    named = lines.select(*_named(lines), grade.alias("grade"))
    counts = named.select(_counts().fill_null(value=False)).to_series()
    return find_unread(named) & counts


def _named(lines: pl.DataFrame) -> tuple[pl.Expr, ...]:
    """Returns what tells the kind of a course: ``area``, ``name``, ``state_code``."""
    none = pl.lit(None, dtype=pl.String)
    code = pl.col("StateCourseCode") if "StateCourseCode" in lines.columns else none
    return (
        pl.col("SubjectArea").alias("area"),
        pl.col("TranscriptAbbreviation").fill_null("").alias("name"),
        code.alias("state_code"),
    )


def _counts() -> pl.Expr:
    """Returns whether a line of ``grade`` and ``area`` counts."""
    return pl.col("area").is_in(list(AREAS)) & (
        pl.col("grade").is_between(9, 12)
        | (pl.col("grade").is_in([7, 8]) & pl.col("area").is_in(_EARLY_AREAS))
    )


def _part(lines: pl.DataFrame) -> pl.Expr:
    """Returns the part of a course: of a line in summer or without a term the curriculum's part."""
    says_no_part = pl.col("Term").is_null() | pl.col("Term").is_in(_NO_PART)
    words = lines.select(pl.col("CourseCurriculumTerm").unique().drop_nulls())
    parts = words.select(_numbered_part(pl.col("CourseCurriculumTerm"))).to_series()
    of_curriculum = pl.col("CourseCurriculumTerm").replace_strict(
        words.to_series(), parts, default=None, return_dtype=pl.String
    )
    return pl.coalesce(pl.when(says_no_part).then(of_curriculum), "Term", "TermDescription")


def _taken_at_a_college(lines: pl.DataFrame) -> pl.Expr:
    """Returns whether the indicator says so or, where it says nothing, the institution's name."""
    indicator = pl.col("DualEnrollmentIndicator").str.strip_chars().str.to_uppercase()
    institution = pl.col("CourseInstitutionName").str.strip_chars().str.to_uppercase()
    named = institution.str.contains(_COLLEGE) & ~institution.str.contains(_NO_COLLEGE)
    silent = pl.col("DualEnrollmentIndicator").is_null() | _is_one_of(
        lines, "DualEnrollmentIndicator", indicator == ""
    )
    return _is_one_of(lines, "DualEnrollmentIndicator", indicator.is_in(_YES)) | (
        silent & _is_one_of(lines, "CourseInstitutionName", named)
    )


def _is_one_of(lines: pl.DataFrame, column: str, holds: pl.Expr) -> pl.Expr:
    """Returns whether ``holds`` is true of a cell; false if it is blank.

    Each value is examined once, however many lines have it: the words of a history are few.
    """
    words = lines.select(pl.col(column).unique()).filter(holds).to_series()
    return pl.col(column).is_in(words.implode()).fill_null(value=False)


def is_certified(certificate: pl.Expr) -> pl.Expr:
    """Returns whether a student's ``LOTECert`` says that a language was certified."""
    said = certificate.str.strip_chars().str.to_uppercase()
    return said.is_in(_YES).fill_null(value=False)


_TERM_WORDS = r"^\s*(S|SEM|SEMESTER|T|TRI|TRIMESTER|Q|QTR|QUARTER|H|HEX|HEXMESTER)\.?\s*([1-6])\s*$"
_YEAR_WORDS = r"^\s*(?:F|FY|FULL YEAR|YEAR)\s*$"


def _numbered_part(words: pl.Expr) -> pl.Expr:
    """Returns the code of the part of a course that ``words`` say (S1, Q3), or null."""
    said = words.str.to_uppercase()
    return pl.concat_str(
        said.str.extract(_TERM_WORDS).str.head(1), said.str.extract(_TERM_WORDS, 2)
    )


def from_foster_focus(lines: pl.DataFrame) -> pl.DataFrame:
    """Returns the courses of lines of the feed ``foster_focus_transcripts``, a second source.

    The area is that of ``UCCSUApprovedCourse`` (A to G; GA to GO are G); the term follows from its
    words (Sem 2, Q3, Summer). The extract marks neither honors courses nor work in progress.
    """
    term = pl.col("TermDescript").str.to_uppercase()
    code = (
        pl.when(term.str.contains("SUMMER|^SS"))
        .then(pl.lit("SS"))
        .when(term.str.contains(_YEAR_WORDS))
        .then(pl.lit("FY"))
        .otherwise(_numbered_part(term))
    )
    area = (
        pl.col("UCCSUApprovedCourse")
        .str.to_uppercase()
        .str.extract("^([A-F]$|G(?:[A-O])?$)")
        .str.head(1)
    )
    no = pl.lit(value=False)
    return _courses(
        lines.select(
            "student",
            pl.col("CourseNumber").alias("course"),
            pl.coalesce("CourseDescript", "SubjectDescript").alias("name"),
            area.alias("area"),
            code.alias("term"),
            pl.coalesce(code, "TermDescript").alias("part"),
            pl.col("StateCourseNumber").alias("state_code"),
            pl.col("Grade").alias("grade"),
            pl.col("SchYear").cast(pl.Int32).alias("school_year"),
            pl.col("GradCratt").cast(pl.Float64).alias("credits"),
            pl.col("markAwd1").alias("mark"),
            no.alias("in_progress"),
            no.alias("honors"),
            no.alias("college"),
        )
    )


def _plain(mark: str) -> str:
    return mark.strip().upper()


def _courses(lines: pl.DataFrame) -> pl.DataFrame:
    """Returns the courses of lines whose terms, marks and names are still the sender's words."""
    term = pl.col("term")
    marks = {mark: _plain(mark) for mark in lines["mark"].unique().drop_nulls()}
    points = pl.col("mark").replace_strict(
        {mark: _POINTS[plain[0]] for mark, plain in marks.items() if plain in _LETTERS},
        default=None,
        return_dtype=pl.Int8,
    )
    year = pl.col("school_year")
    pass_counts = (year == _ALL_PASS) | ((year == _HALF_PASS) & term.is_in(_SECOND_HALF))
    credits_ = [mark for mark, plain in marks.items() if plain in _PASS_MARKS]
    credit = (pl.col("mark").is_in(credits_) & pass_counts).fill_null(value=False)
    passed = (points >= _PASSING_POINTS).fill_null(value=False) | credit
    given = pl.when(pl.col("credits") > 0).then("credits")
    by_credits = (given * _UNITS_A_CREDIT).floor().clip(0, 60).fill_null(30)
    grade = pl.col("grade").cast(pl.Int8, strict=False)
    named = lines.with_columns(
        grade.alias("grade"),
        term.is_in(_SUMMER).fill_null(value=False).alias("summer"),
        term.replace_strict(_ORDER, default=6, return_dtype=pl.Int8).alias("order"),
        term.replace_strict(_UNITS, default=None, return_dtype=pl.Int16)
        .fill_null(by_credits.cast(pl.Int16))
        .alias("units"),
        pl.when(~pl.col("in_progress")).then(points).alias("points"),
        (~pl.col("in_progress") & passed).alias("passed"),
    ).filter(
        _counts() & (pl.col("points").is_not_null() | pl.col("passed") | pl.col("in_progress"))
    )
    return add_kinds(named).select(
        pl.col(name).cast(dtype) for name, dtype in COURSES_SCHEMA.items()
    )
