"""Transcripts and averages, out of the same course histories as the transcript files.

Belongs here: how the extracts of marks say what was taken. Does not belong here: what was taken
(courses).
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.synthetic import course_list
from ccgi_pipeline.synthetic.course_list import COURSES
from ccgi_pipeline.synthetic.courses import IN_PROGRESS, MARKS, SUMMER, History
from ccgi_pipeline.synthetic.foster_focus import lists
from ccgi_pipeline.synthetic.foster_focus.enrollments import (
    NOWHERE,
    grades_as_text,
    school_in_grade,
    spring_of,
)
from ccgi_pipeline.synthetic.foster_focus.school_days import Days
from ccgi_pipeline.synthetic.foster_focus.youth import Youth
from ccgi_pipeline.synthetic.random_draws import Integers, look_up, repeated
from ccgi_pipeline.synthetic.transcripts import POINTS, averages

_TERMS = SUMMER + 1
_TERM_ENDS = ((1, 31), (6, 12), (8, 1))
"""When marks of the first and second semester and of the summer are entered, in the spring's
calendar year."""
_TERMS_OF_MARKS = ("Sem 1", "Sem 2", "Summer")
_TERMS_OF_AVERAGES = ("Semester 1", "Semester 2", "Summer School")
_HIGH_SCHOOL = 9
_NO_CREDITS = "0.00"


def mark_lines(youth: Youth, taken: History) -> pl.DataFrame:
    """Transcripts columns; a row for each course line of the transcript files."""
    feed = foster_focus.TRANSCRIPTS
    runs = taken.mark == IN_PROGRESS
    earned = ~runs & (taken.mark > MARKS.index("F"))
    credits_of = [_NO_CREDITS, course_list.CREDITS]
    attempted = look_up(credits_of, (~runs).astype(np.int64))
    awarded = look_up(credits_of, earned.astype(np.int64))
    school = school_in_grade(youth, taken.student, taken.grade)
    year = spring_of(youth, taken.student, taken.grade)
    year_text = pl.Series(year).cast(pl.String)
    number = look_up([course.local_id for course in COURSES], taken.course)
    of_department = [course.department for course in COURSES]
    areas = [course.area if course.area != "Z" else None for course in COURSES]
    return pl.DataFrame(
        {
            **youth.whose(feed, taken.student),
            **_awarding_school(youth, school),
            "UniqueID": youth.number(
                taken.student, year_text, look_up(["1", "2", "S"], taken.term), number
            ),
            "Grade": grades_as_text(taken.grade),
            "trDate": _entered(youth, year, taken.term),
            "SchYear": year,
            "TermDescript": look_up(_TERMS_OF_MARKS, taken.term),
            "SubjectDescript": look_up(of_department, taken.course),
            "CourseDescript": look_up([course.title for course in COURSES], taken.course),
            "CourseNumber": number,
            "StateCourseNumber": look_up(
                [lists.STATE_COURSES[department] for department in of_department], taken.course
            ),
            "GradCratt": attempted,
            "GradCrawd": awarded,
            "GPACratt": attempted,
            "GPACrawd": awarded,
            "markAwd1": look_up([*MARKS, "WIP"], taken.mark % (len(MARKS) + 1)),
            "markDesc1": look_up(["Letter Marks", "Work in Progress"], runs.astype(np.int64)),
            "UCCSUApprovedCourse": look_up(areas, taken.course),
        }
    )


def _awarding_school(youth: Youth, school: Integers) -> dict[str, pl.Series]:
    """Code and CDS code; of grades that the district does not teach, another district's name."""
    here = pl.Series(school != NOWHERE)
    code, name = (repeated(text, len(school)) for text in lists.SCHOOL_ELSEWHERE)
    cells = youth.where(foster_focus.TRANSCRIPTS, school.clip(0))
    return {
        "SISSchoolCode": cells["SISSchoolCode"].zip_with(here, code),
        "SchoolCDSCode": cells["SchoolCDSCode"].zip_with(here, name),
    }


def average_lines(youth: Youth, taken: History) -> pl.DataFrame:
    """GPA columns: a row for each finished term in a school of the district."""
    feed = foster_focus.GPA
    school = school_in_grade(youth, taken.student, taken.grade)
    lines = np.flatnonzero((taken.mark != IN_PROGRESS) & (school != NOWHERE))
    grades = int(youth.grade.max()) + 1
    of_line = (taken.student[lines] * grades + taken.grade[lines]) * _TERMS + taken.term[lines]
    terms, first, member = np.unique(of_line, return_index=True, return_inverse=True)
    row = lines[first]
    student, grade, term = taken.student[row], taken.grade[row], taken.term[row]
    year = spring_of(youth, student, grade)
    return pl.DataFrame(
        {
            **youth.whose(feed, student),
            **youth.where(feed, school[row]),
            "UniqueID": youth.number(
                student, pl.Series(year).cast(pl.String), look_up(["1", "2", "S"], term)
            ),
            "TermDescript": look_up(_TERMS_OF_AVERAGES, term),
            "CalculationDate": _entered(youth, year, term),
            "GPATypeDescript": look_up(
                ["Middle School GPA", "High School Academic GPA"],
                (grade >= _HIGH_SCHOOL).astype(np.int64),
            ),
            "SchoolYear": year,
            "Grade": grades_as_text(grade),
            "TermGPA": averages(member, POINTS[taken.mark[lines]], len(terms)),
        }
    )


def _entered(youth: Youth, year: Integers, term: Integers) -> pl.Series:
    """The day on which marks of a term were entered: when it ended, or the last day until now."""
    distinct, position = np.unique(year, return_inverse=True)
    ends = np.array(
        [[date(int(y), *end) for end in _TERM_ENDS] for y in distinct], dtype="datetime64[D]"
    ).reshape(-1, _TERMS)
    day: Days = np.minimum(ends[position, term], np.datetime64(youth.block.on, "D"))
    return pl.Series(day, dtype=pl.Date)
