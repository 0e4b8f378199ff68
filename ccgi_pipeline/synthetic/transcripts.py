"""Generates the transcript files' columns: rosters, course lines and catalogs as typed frames.

Belongs here: how the files show a student's history. Does not belong here: drawing the history
(courses), tests (test_scores), and text, separators, files (file_output).
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import codes
from ccgi_pipeline.synthetic import course_list
from ccgi_pipeline.synthetic.colleges import CCC
from ccgi_pipeline.synthetic.course_list import COURSES
from ccgi_pipeline.synthetic.courses import IN_PROGRESS, LOWEST_C, MARKS, History
from ccgi_pipeline.synthetic.people import People
from ccgi_pipeline.synthetic.places import LAST_GRADE, Place
from ccgi_pipeline.synthetic.random_draws import Flags, Integers, look_up, only_where
from ccgi_pipeline.synthetic.student_blocks import Block, first_year, school_year

_HIGH_SCHOOL = 9
_TERMS = ("S1", "S2", "SS1")
"""Codes of first and second semester and of the summer after them."""
_TERM_NAMES = {code.value: code.name for code in codes.TERM.codes}
_IN_PROGRESS_MARK = "WIP"
_NO_CREDITS = "0.00"
_NO_SCHOOL_CODE = "111111"
"""The code that is sent if a school's College Board code is unknown."""

POINTS = np.array(
    [{"F": 0, "D": 1, "C": 2, "B": 3, "A": 4}[mark[0]] for mark in MARKS], dtype=np.int64
)
_HONORS = np.array([course.indicator is not None for course in COURSES])
_PHYSICAL_EDUCATION = np.array([course.department == "Physical Education" for course in COURSES])


# --- roster -----------------------------------------------------------------------------------


def student_lines(block: Block, people: People, history: History) -> pl.DataFrame:
    """StudentTemplate columns of a block, the averages included; one row for each student."""
    weighted = block.place.ordinal % 3 == 1
    finished = (history.mark != IN_PROGRESS) & (history.grade >= _HIGH_SCHOOL)
    honors = _HONORS[history.course] & (history.mark >= LOWEST_C)
    points: Integers = POINTS[history.mark] + (honors & weighted)
    gpa = _average(history, people, points, finished)
    of_middle_years = (history.grade > _HIGH_SCHOOL) & (history.grade < LAST_GRADE)
    cal_grant = _average(
        history,
        people,
        POINTS[history.mark],
        finished & of_middle_years & ~_PHYSICAL_EDUCATION[history.course],
    )
    return people.cells.with_columns(
        gpa.alias("GPA"),
        only_where(
            gpa.is_not_null().to_numpy(),
            pl.repeat("Weighted" if weighted else "Unweighted", len(gpa), eager=True),
        ).alias("GPAType"),
        only_where(people.grade == LAST_GRADE, cal_grant).alias("CalGrantGPA"),
    )


def _average(history: History, people: People, points: Integers, counted: Flags) -> pl.Series:
    """Mean ``points`` of each student's ``counted`` lines, as text cut to two decimals."""
    return averages(history.student[counted], points[counted], len(people.grade))


def averages(of: Integers, points: Integers, count: int) -> pl.Series:
    """Mean ``points`` of each of ``count``, as text cut to two decimals; ``of`` says whose."""
    lines = np.bincount(of, minlength=count)
    total = np.bincount(of, weights=points, minlength=count)
    hundredths = (100 * total.astype(np.int64)) // np.maximum(lines, 1)
    return only_where(lines > 0, look_up(_HUNDREDTHS, hundredths))


_HUNDREDTHS = pl.Series([f"{value // 100}.{value % 100:02d}" for value in range(501)])
"""Every average that there can be, as text."""


# --- course history ---------------------------------------------------------------------------


def course_lines(block: Block, people: People, history: History) -> pl.DataFrame:
    """CourseGradeTemplate columns of a block; one row for each line of ``history``."""
    runs = history.mark == IN_PROGRESS
    earned = ~runs & (history.mark > MARKS.index("F"))
    years_ago = people.grade[history.student] - history.grade
    latest = first_year(block.on)
    years = [school_year(latest - ago) for ago in range(LAST_GRADE)]
    college = np.array([course.college for course in COURSES])[history.course]
    nearest = CCC[block.place.ordinal * 7 % len(CCC)]
    credits_attempted = np.where(runs, 0, 1)
    return pl.DataFrame(
        {
            "StateID": people.ssid.gather(pl.Series(history.student)),
            "CDSCode": _school_codes(block, people, history),
            "ATPCode": pl.repeat(_NO_SCHOOL_CODE, len(runs), eager=True),
            "CourseInstitutionName": look_up([None, nearest], college.astype(np.int64)),
            "IsWorkInProgress": pl.Series(runs),
            "GradeLevel": look_up(
                [f"{grade:02d}" for grade in range(LAST_GRADE + 1)], history.grade
            ),
            "SchoolYear": look_up(years, years_ago),
            "TermDescription": look_up([_TERM_NAMES[term] for term in _TERMS], history.term),
            "Term": look_up(_TERMS, history.term),
            "LocalCourseID": look_up([course.local_id for course in COURSES], history.course),
            "TranscriptAbbreviation": look_up(
                [course.abbreviation for course in COURSES], history.course
            ),
            "SubjectArea": look_up([course.area for course in COURSES], history.course),
            "AcademicIndicator": look_up([course.indicator for course in COURSES], history.course),
            "DualEnrollmentIndicator": look_up([None, "Y"], college.astype(np.int64)),
            "CreditsAttempted": look_up([_NO_CREDITS, course_list.CREDITS], credits_attempted),
            "CreditsEarned": look_up([_NO_CREDITS, course_list.CREDITS], earned.astype(np.int64)),
            "CourseGrade": look_up([*MARKS, _IN_PROGRESS_MARK], history.mark % (len(MARKS) + 1)),
        }
    )


def _school_codes(block: Block, people: People, history: History) -> pl.Series:
    """The school of each line: the student's own, or a middle school of the district before it."""
    schools = block.place.schools
    own = people.school[history.student]
    before = np.flatnonzero((schools["first_grade"] < _HIGH_SCHOOL).to_numpy())
    if not len(before):
        return look_up(schools["CDSCode"], own)
    middle = before[(people.school + block.numbers) % len(before)][history.student]
    moved = (history.grade < _HIGH_SCHOOL) & (people.grade[history.student] >= _HIGH_SCHOOL)
    return look_up(schools["CDSCode"], np.where(moved, middle, own))


# --- catalog ----------------------------------------------------------------------------------

_NO_AREA = "no data provided"
_TAUGHT_EARLY = {
    *course_list.rows("3110", "3120", "3125"),
    *(years[0] for years in course_list.LANGUAGES),
}
"""High school courses that middle schools offer too."""


def catalog_lines(place: Place, on: date) -> pl.DataFrame:
    """Course Catalog columns of a district: each school with the courses of its grades."""
    honors = {"AP": "AP", "H": "Honors", None: None}
    courses = pl.DataFrame(
        {
            "GraduationRequirements": [
                _NO_AREA if course.area == "Z" else course.area for course in COURSES
            ],
            "Subject": [course.department for course in COURSES],
            "CourseTitle": [course.title for course in COURSES],
            "Description": [
                f"{course.title}, taught by the department of {course.department}"
                for course in COURSES
            ],
            "CourseNumber": [course.local_id for course in COURSES],
            "CourseDuration": [
                "Semester" if row in course_list.ONE_SEMESTER else "Year"
                for row in range(len(COURSES))
            ],
            "Academic": ["N" if course.area == "Z" else "Y" for course in COURSES],
            "Honors": [honors[course.indicator] for course in COURSES],
            "SchoolType": [course.level for course in COURSES],
            "_early": [
                course.level == course_list.MIDDLE or row in _TAUGHT_EARLY
                for row, course in enumerate(COURSES)
            ],
        }
    ).with_columns(
        pl.lit(course_list.CREDITS).alias("Credits"),
        pl.lit("Y").alias("Offered"),
        pl.lit(school_year(first_year(on))).alias("Year"),
    )
    middle = (pl.col("first_grade") < _HIGH_SCHOOL) & pl.col("_early")
    high = (pl.col("last_grade") >= _HIGH_SCHOOL) & (pl.col("SchoolType") == course_list.HIGH)
    return (
        place.schools.join(courses, how="cross", maintain_order="left_right")
        .filter(middle | high)
        .drop("School", "first_grade", "last_grade", "intake", "_early")
    )
