"""From the sender's words to courses that can be compared: terms, marks, areas.

Belongs here: what one line of a course history is read as. Which kind of course a name is is tested
in test_course_names, what courses are good for by the worked cases.
"""

from __future__ import annotations

from itertools import product
from random import Random

import polars as pl
import pytest

from ccgi_pipeline.eligibility.history import (
    COURSES_SCHEMA,
    from_foster_focus,
    from_transcripts,
    is_certified,
)
from ccgi_pipeline.feeds.foster_focus import TRANSCRIPTS
from ccgi_pipeline.feeds.transcript import COURSE_GRADE
from ccgi_pipeline_tests.files import as_bytes, good_lines, usual_name, verified

Course = dict[str, object]


def _line(**cells: object) -> Course:
    usual: Course = {
        "student": "s",
        "LocalCourseID": "C1",
        "TranscriptAbbreviation": "Geometry",
        "SubjectArea": "C",
        "Term": "S1",
        "TermDescription": None,
        "GradeLevel": "10",
        "SchoolYear": "2025-26",
        "CourseCurriculumTerm": None,
        "CourseInstitutionName": None,
        "CreditsAttempted": 5.0,
        "CourseGrade": "B",
        "IsWorkInProgress": False,
        "AcademicIndicator": None,
        "DualEnrollmentIndicator": None,
    }
    return {**usual, **cells}


def _read(**cells: object) -> list[Course]:
    return _read_all(_line(**cells))


def _read_all(*lines: Course) -> list[Course]:
    text = dict.fromkeys(
        ("SubjectArea", "Term", "TermDescription", "GradeLevel", "CourseGrade", "SchoolYear",
         "AcademicIndicator", "DualEnrollmentIndicator", "TranscriptAbbreviation",
         "CourseCurriculumTerm", "CourseInstitutionName", "StateCourseCode"), pl.String
    )  # fmt: skip
    overrides = {**text, "CreditsAttempted": pl.Float64}
    return from_transcripts(pl.DataFrame([*lines], schema_overrides=overrides)).rows(named=True)


def test_a_line_is_read_alike_alone_and_among_others():
    words: dict[str, tuple[str | None, ...]] = {
        "SubjectArea": ("C", "G", "X", "", None),
        "DualEnrollmentIndicator": ("Y", " yes ", "N", "", " ", None),
        "CourseInstitutionName": ("Chabot College", " chabot college ", "College Park High", None),
        "AcademicIndicator": ("AP", "h", "CP", None),
        "CourseCurriculumTerm": ("Semester 2", "q3", "full", None),
        "Term": ("S1", "SS", "SP", None),
    }
    columns = list(words.values())
    lines = [
        _line(**dict(zip(words, cells, strict=True)), LocalCourseID=f"C{number}")
        for number, cells in enumerate(product(*columns))
        if number % 7 == 0
    ]
    chance = Random(3)  # noqa: S311 - test data needs no cryptography
    some = chance.sample(lines, 200)
    assert _read_all(*some) == [course for line in some for course in _read_all(line)]


@pytest.mark.parametrize(
    ("term", "units"),
    [("FY", 60), ("F", 60), ("S2", 30), ("T3", 20), ("Q1", 15), ("H6", 10)],
)
def test_a_term_is_its_share_of_a_year(term: str, units: int):
    assert _read(Term=term)[0]["units"] == units


@pytest.mark.parametrize(
    ("credits_", "units"), [(5.0, 30), (10.0, 60), (2.5, 15), (20.0, 60), (0.0, 30), (None, 30)]
)
def test_without_a_term_and_in_summer_credits_say_how_much(credits_: float | None, units: int):
    assert _read(Term=None, CreditsAttempted=credits_)[0]["units"] == units
    (summer,) = _read(Term="SS1", CreditsAttempted=credits_)
    assert (summer["units"], summer["summer"]) == (units, True)


@pytest.mark.parametrize(
    ("mark", "points", "passed"),
    [("A+", 4, True), ("b-", 3, True), (" C- ", 2, True), ("D+", 1, False), ("F", 0, False)],
)
def test_plus_and_minus_are_ignored(mark: str, points: int, *, passed: bool):
    (course,) = _read(CourseGrade=mark)
    assert (course["points"], course["passed"]) == (points, passed)


@pytest.mark.parametrize(
    ("year", "term", "counts"),
    [
        ("2019-20", "S1", False),
        ("2019-20", "S2", True),
        ("2019-20", "Q3", True),
        ("2019-20", "SS", True),
        ("2020-21", "S1", True),
        ("2020-21", "SS", True),
        ("2021-22", "S1", False),
        ("2018-19", "S2", False),
    ],
)
def test_pass_marks_count_from_winter_2020_to_summer_2021(year: str, term: str, *, counts: bool):
    found = _read(SchoolYear=year, Term=term, CourseGrade="P")
    assert [(c["passed"], c["points"]) for c in found] == ([(True, None)] if counts else [])


@pytest.mark.parametrize("mark", ["W", "I", "NM", "Z", "AB", ""])
def test_other_marks_count_for_nothing(mark: str):
    assert _read(CourseGrade=mark) == []


def test_work_in_progress_has_no_points_whatever_its_mark():
    (course,) = _read(IsWorkInProgress=True, CourseGrade="A")
    assert (course["in_progress"], course["points"], course["passed"]) == (True, None, False)
    assert _read(IsWorkInProgress=True, CourseGrade="WIP")[0]["in_progress"]


@pytest.mark.parametrize(
    ("grade", "area", "counts"),
    [
        ("09", "A", True), ("12", "G", True), ("08", "C", True), ("07", "E", True),
        ("08", "A", False), ("06", "C", False), ("KN", "C", False), ("10", "Z", False),
        ("10", None, False),
    ],
)  # fmt: skip
def test_only_a_g_courses_of_the_right_grades_count(grade: str, area: str | None, *, counts: bool):
    assert bool(_read(GradeLevel=grade, SubjectArea=area)) == counts


def test_ap_ib_honors_and_college_courses_have_an_honors_point():
    assert [bool(_read(AcademicIndicator=kind)[0]["honors"]) for kind in ("AP", "ib", "H")] == [
        True
    ] * 3
    (college,) = _read(DualEnrollmentIndicator="Y")
    assert (college["honors"], college["college"]) == (True, True)
    assert not _read()[0]["honors"]


@pytest.mark.parametrize(
    ("institution", "indicator", "college"),
    [
        ("Ohlone College", None, True), ("CHABOT COLLEGE ", "", True), ("CSU East Bay", None, True),
        ("University of California San Diego", None, True), ("Ohlone College", "N", False),
        ("Ohlone College", "No", False), ("Hayward High", "Y", True), (None, "Y", True),
        ("College Park High", None, False), ("Crossroads Middle College", None, False),
        ("University High School", None, False), ("College Prep", None, False),
        ("Brigham Young University", None, False), ("BYU Online", None, False),
        (None, None, False),
    ],
)  # fmt: skip
def test_an_institution_that_is_a_college_makes_a_college_course_where_no_indicator_says_else(
    institution: str | None, indicator: str | None, *, college: bool
):
    (course,) = _read(CourseInstitutionName=institution, DualEnrollmentIndicator=indicator)
    assert (course["college"], course["honors"]) == (college, college)


@pytest.mark.parametrize(
    ("term", "of_curriculum", "part"),
    [
        ("SS", "S2", "S2"), ("SS1", "Semester 1", "S1"), ("IS", "Q3", "Q3"), (None, "t2", "T2"),
        # What says no part, and a regular term, which says it by itself, stay as they are.
        ("SS", "FY", "SS"), ("SS", "2", "SS"), ("SS", None, "SS"), ("S2", "S1", "S2"),
        ("FY", "S1", "FY"), (None, None, None),
    ],
)  # fmt: skip
def test_the_curriculum_term_is_the_part_where_the_term_says_none(
    term: str | None, of_curriculum: str | None, part: str | None
):
    (course,) = _read(Term=term, CourseCurriculumTerm=of_curriculum, CreditsAttempted=5.0)
    assert course["part"] == part
    assert course["summer"] == ((term or "").startswith("SS"))


def test_the_state_course_code_of_the_catalog_decides_the_discipline():
    (course,) = _read(SubjectArea="F", TranscriptAbbreviation="PROJECT X", StateCourseCode="9090")
    assert course["discipline"] == "theater"


def test_the_fifth_hexmester_comes_before_the_sixth():
    assert [_read(Term=f"H{number}")[0]["order"] for number in (4, 5, 6)] == [4, 5, 6]


def test_a_certificate_is_what_the_roster_says_yes_to():
    said = pl.DataFrame({"said": ["Y", " yes ", "TRUE", "1", "N", "", "01", "Spanish", None]})
    expected = [*[True] * 4, *[False] * 5]
    assert said.select(is_certified(pl.col("said"))).to_series().to_list() == expected


def test_courses_of_accepted_lines_have_the_declared_columns():
    sent = {usual_name(COURSE_GRADE): as_bytes(COURSE_GRADE, good_lines(COURSE_GRADE))}
    accepted = verified(sent, "transcript").accepted[COURSE_GRADE.name]
    courses = from_transcripts(accepted.with_columns(pl.lit("s").alias("student")))
    assert dict(courses.schema) == dict(COURSES_SCHEMA)
    assert courses.height == len(good_lines(COURSE_GRADE))


@pytest.mark.parametrize(
    ("approved", "area"),
    [("C", "C"), ("G", "G"), ("GA", "G"), ("GO", "G"), ("", None), ("Y", None)],
)
def test_foster_focus_transcripts_are_a_second_source(approved: str, area: str | None):
    line = {
        "student": "s",
        "CourseNumber": "E1",
        "CourseDescript": "Geometry",
        "SubjectDescript": "Math",
        "StateCourseNumber": None,
        "UCCSUApprovedCourse": approved or None,
        "TermDescript": "Sem 2",
        "Grade": "9",
        "SchYear": 2025,
        "GradCratt": 5.0,
        "markAwd1": "B",
    }
    found = from_foster_focus(
        pl.DataFrame(
            [line],
            schema_overrides={"UCCSUApprovedCourse": pl.String, "StateCourseNumber": pl.String},
        )
    )
    told = found.select("area", "part", "units", "school_year", "points").rows()
    assert told == ([(area, "S2", 30, 2025, 3)] if area else [])
    assert set(line) - {"student"} <= set(TRANSCRIPTS.columns)
