"""Generates the tests that students took: college entrance tests, and exams of AP courses.

Belongs here: the TestGrade file's columns. The file has no scores.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from ccgi_pipeline.synthetic.course_list import COURSES
from ccgi_pipeline.synthetic.courses import IN_PROGRESS, SECOND, History
from ccgi_pipeline.synthetic.people import People
from ccgi_pipeline.synthetic.random_draws import Integers, Part, chance, look_up
from ccgi_pipeline.synthetic.student_blocks import Block, first_year

Days = npt.NDArray[np.datetime64]


class Sitting(NamedTuple):
    """A test on one day of the school year of a grade, and the share of students who sit it."""

    name: str
    grade: int
    month: int
    day: int
    share: float


SITTINGS = (
    Sitting("PSAT/NMSQT", 10, 10, 8, 0.45),
    Sitting("PSAT/NMSQT", 11, 10, 8, 0.50),
    Sitting("SAT", 11, 3, 7, 0.20),
    Sitting("ACT", 11, 4, 4, 0.05),
    Sitting("SAT", 12, 8, 22, 0.15),
    Sitting("SAT", 12, 10, 3, 0.20),
)
_FIRST_FALL_MONTH = 7
_OF_ABILITY = 0.5
"""How much likelier a student of one standard deviation above the mean sits a test."""

_SITS_THE_EXAM = 0.75
_EXAMS_FROM = (5, 4)
_EXAM_DAYS = 12


def test_lines(block: Block, people: People, history: History) -> pl.DataFrame:
    """TestGrade columns of a block: tests taken until its date, each at most once a day."""
    rng = block.stream(Part.TESTS)
    sat = [_sitting(block, people, rng, sitting) for sitting in SITTINGS]
    return pl.concat([*sat, _exams(block, people, history, rng)])


def _sitting(
    block: Block, people: People, rng: np.random.Generator, sitting: Sitting
) -> pl.DataFrame:
    willing = chance(rng, sitting.share * (1 + _OF_ABILITY * people.ability), block.count)
    spring = sitting.month < _FIRST_FALL_MONTH
    year = first_year(block.on) - (people.grade - sitting.grade) + spring
    day = _days(year, sitting.month, sitting.day)
    over = (people.grade >= sitting.grade) & (day <= np.datetime64(block.on, "D"))
    student = np.flatnonzero(willing & over)
    return _tests(people, student, look_up([sitting.name], student * 0), day[student])


def _exams(
    block: Block, people: People, history: History, rng: np.random.Generator
) -> pl.DataFrame:
    """AP exams in May, after the second semester of the course."""
    advanced = np.array([course.indicator == "AP" for course in COURSES])
    took = advanced[history.course] & (history.term == SECOND) & (history.mark != IN_PROGRESS)
    lines = np.flatnonzero(took & chance(rng, _SITS_THE_EXAM, len(took)))
    student, course = history.student[lines], history.course[lines]
    year = first_year(block.on) + 1 - (people.grade[student] - history.grade[lines])
    day = _days(year, *_EXAMS_FROM) + course % _EXAM_DAYS
    return _tests(people, student, look_up([c.title for c in COURSES], course), day)


def _days(year: Integers, month: int, day: int) -> Days:
    """The same day of each ``year``."""
    distinct, position = np.unique(year, return_inverse=True)
    days = np.array([date(int(y), month, day) for y in distinct], dtype="datetime64[D]")
    found: Days = days[position]
    return found


def _tests(people: People, student: Integers, name: pl.Series, day: Days) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "StateID": people.ssid.gather(pl.Series(student)),
            "TestName": name,
            "TestDate": pl.Series(day, dtype=pl.Date),
        }
    )
