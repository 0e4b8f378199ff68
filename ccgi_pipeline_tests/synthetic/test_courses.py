"""Course histories, catalogs and tests of the synthetic state."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl
import pytest

from ccgi_pipeline.feeds import transcript
from ccgi_pipeline.synthetic import places
from ccgi_pipeline.synthetic.course_list import COURSES
from ccgi_pipeline.synthetic.courses import history
from ccgi_pipeline.synthetic.people import people
from ccgi_pipeline.synthetic.student_blocks import blocks
from ccgi_pipeline.synthetic.transcripts import course_lines, student_lines

if TYPE_CHECKING:
    from ccgi_pipeline_tests.synthetic.conftest import Inbox

POINTS = {"A": 4, "B": 3, "C": 2, "D": 1, "F": 0}


@pytest.fixture(scope="module")
def lines(clean: Inbox) -> pl.DataFrame:
    """Course lines with the student's own grade."""
    students = clean.lines(transcript.STUDENT).select("StateID", pl.col("GradeLevel").alias("now"))
    return clean.lines(transcript.COURSE_GRADE).join(students, on="StateID", how="left")


def test_every_course_line_belongs_to_a_student_of_the_same_district(clean: Inbox) -> None:
    students = clean.lines(transcript.STUDENT).select("sender", "StateID")
    courses = clean.lines(transcript.COURSE_GRADE)
    tests = clean.lines(transcript.TEST_GRADE)
    for frame in (courses, tests):
        assert frame.height > 1000
        assert frame.join(students, on=["sender", "StateID"], how="anti").is_empty()


def test_who_is_in_a_grade_has_finished_those_before_and_is_in_this_one(
    lines: pl.DataFrame,
) -> None:
    running = pl.col("IsWorkInProgress") == "Y"
    assert lines.filter(running).select((pl.col("GradeLevel") == pl.col("now")).all()).item()
    assert lines.filter(~running).select((pl.col("GradeLevel") < pl.col("now")).all()).item()
    assert lines.filter(running)["SchoolYear"].unique().to_list() == ["2026-27"]
    assert lines.filter(running)["Term"].unique().to_list() == ["S1"]
    seniors = lines.filter(pl.col("now") == "12")
    assert set(seniors["GradeLevel"]) >= {"09", "10", "11", "12"}
    first_year = pl.col("SchoolYear").str.head(4).cast(pl.Int64)
    ago = pl.col("now").cast(pl.Int64) - pl.col("GradeLevel").cast(pl.Int64)
    assert lines.select((first_year == 2026 - ago).all()).item()


def test_in_spring_the_second_semester_runs_and_the_first_has_marks() -> None:
    place = next(places.places(1))
    (block,) = blocks(place, 400, seed=2, on=date(2027, 3, 1))
    roster = people(block)
    made = course_lines(block, roster, history(block, roster))
    current = made.filter(pl.col("SchoolYear") == "2026-27")
    running = current.filter("IsWorkInProgress")
    assert running["Term"].unique().to_list() == ["S2"]
    assert current.filter(~pl.col("IsWorkInProgress"))["Term"].unique().to_list() == ["S1"]


def test_work_in_progress_has_no_credits_and_no_mark(lines: pl.DataFrame) -> None:
    running = lines.filter(pl.col("IsWorkInProgress") == "Y")
    assert running["CourseGrade"].unique().to_list() == ["WIP"]
    assert running["CreditsAttempted"].unique().to_list() == ["0.00"]
    assert running["CreditsEarned"].unique().to_list() == ["0.00"]


def test_an_f_earns_nothing_and_any_other_mark_its_credits(lines: pl.DataFrame) -> None:
    finished = lines.filter(pl.col("IsWorkInProgress") == "N")
    earned = dict(finished.select("CourseGrade", "CreditsEarned").unique().iter_rows())
    assert earned.pop("F") == "0.00"
    assert set(earned) == {f"{mark}{sign}" for mark in "ABCD" for sign in ("", "+", "-")}
    assert set(earned.values()) == {"5.00"}


def test_students_of_grades_6_to_8_have_mathematics_and_languages_only(lines: pl.DataFrame) -> None:
    young = lines.filter(pl.col("now") < "09")
    departments = {course.local_id: course.department for course in COURSES}
    assert {departments[local_id] for local_id in young["LocalCourseID"]} == {
        "Mathematics",
        "World Languages",
    }
    assert "06" not in young["now"].unique().to_list()


def test_the_average_is_that_of_the_marks(clean: Inbox, lines: pl.DataFrame) -> None:
    students = clean.lines(transcript.STUDENT)
    points = pl.col("CourseGrade").str.head(1).replace_strict(POINTS, return_dtype=pl.Int64)
    counted = lines.filter(pl.col("IsWorkInProgress") == "N", pl.col("GradeLevel") >= "09")
    honors = pl.col("AcademicIndicator").is_not_null() & (points >= 2)
    expected = counted.group_by("StateID").agg(
        (points.sum() * 100 // pl.len()).alias("Unweighted"),
        ((points + honors.cast(pl.Int64)).sum() * 100 // pl.len()).alias("Weighted"),
    )
    both = students.join(expected, on="StateID", how="left").with_columns(
        (pl.col("GPA").cast(pl.Float64) * 100).round(0).cast(pl.Int64)
    )
    for kind in ("Weighted", "Unweighted"):
        of_kind = both.filter(pl.col("GPAType") == kind)
        assert of_kind.height > 100
        assert of_kind["GPA"].equals(of_kind[kind])
    assert both.filter(pl.col("GPA").is_null())["Weighted"].null_count() == both["GPA"].null_count()


def test_some_seniors_pass_enough_of_every_area_and_some_do_not(lines: pl.DataFrame) -> None:
    passed = lines.filter(
        pl.col("now") == "12",
        pl.col("CourseGrade").str.contains("^[ABC]"),
        pl.col("SubjectArea") != "Z",
    )
    years = passed.group_by("StateID", "SubjectArea").agg(pl.len() / 2)
    wanted = pl.DataFrame(
        {"SubjectArea": ["A", "B", "C", "D", "E", "F"], "wanted": [2, 3, 3, 2, 2, 1]}
    )
    met = years.join(wanted, on="SubjectArea").filter(pl.col("len") >= pl.col("wanted"))
    areas = met.group_by("StateID").len("areas")
    seniors = lines.filter(pl.col("now") == "12")["StateID"].n_unique()
    share = areas.filter(pl.col("areas") == 6).height / seniors
    assert 0.2 < share < 0.8


def test_some_courses_are_failed_and_some_repeated(lines: pl.DataFrame) -> None:
    finished = lines.filter(pl.col("IsWorkInProgress") == "N")
    assert 0.03 < finished["CourseGrade"].str.contains("^[DF]").mean() < 0.25
    summer = finished.filter(pl.col("Term") == "SS1")
    assert summer.height > 10
    before = finished.filter(pl.col("Term") != "SS1", pl.col("CourseGrade").str.contains("^[DF]"))
    same = ["StateID", "SchoolYear", "LocalCourseID"]
    assert summer.join(before, on=same, how="anti").is_empty()


def test_every_course_on_a_transcript_is_in_its_schools_catalog(clean: Inbox) -> None:
    catalog = clean.lines(transcript.COURSE_CATALOG).rename({"CourseNumber": "LocalCourseID"})
    courses = clean.lines(transcript.COURSE_GRADE)
    assert courses.join(catalog, on=["CDSCode", "LocalCourseID"], how="anti").is_empty()


def test_tests_lie_in_the_past_and_exams_follow_their_course(clean: Inbox) -> None:
    tests = clean.lines(transcript.TEST_GRADE).with_columns(
        pl.col("TestDate").str.to_date("%m/%d/%Y")
    )
    assert tests["TestDate"].max() <= clean.on
    exams = tests.filter(pl.col("TestName").str.starts_with("AP "))
    assert exams.height > 50
    assert exams["TestDate"].dt.month().unique().to_list() == [5]
    titles = {course.title: course.local_id for course in COURSES}
    courses = clean.lines(transcript.COURSE_GRADE).select(
        "StateID",
        "LocalCourseID",
        (pl.col("SchoolYear").str.head(4).cast(pl.Int32) + 1).alias("year"),
    )
    sat = exams.select(
        "StateID",
        pl.col("TestName").replace_strict(titles).alias("LocalCourseID"),
        pl.col("TestDate").dt.year().alias("year"),
    )
    assert sat.join(courses, on=["StateID", "LocalCourseID", "year"], how="anti").is_empty()


def test_there_is_no_average_without_marks() -> None:
    place = next(places.places(1))
    (block,) = blocks(place, 300, seed=2, on=date(2026, 11, 22))
    roster = people(block)
    students = student_lines(block, roster, history(block, roster))
    young = students.filter(pl.col("GradeLevel") < "10")
    assert young["GPA"].null_count() == young.height
    assert young["GPAType"].null_count() == young.height
