"""Generates course histories: each student's courses by semester, with marks.

Belongs here: grades 7 to 12 as arrays, drawn grade by grade because the next course in mathematics
and languages depends on earlier marks. Does not belong here: the files'
columns (transcripts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ccgi_pipeline.synthetic import course_list
from ccgi_pipeline.synthetic.course_list import COURSES, NONE
from ccgi_pipeline.synthetic.people import People
from ccgi_pipeline.synthetic.random_draws import Flags, Floats, Integers, Part, chance, pick
from ccgi_pipeline.synthetic.student_blocks import Block, is_spring

MARKS = ("F", "D-", "D", "D+", "C-", "C", "C+", "B-", "B", "B+", "A-", "A", "A+")
_AT_LEAST = (0.6, 0.9, 1.2, 1.5, 1.85, 2.15, 2.5, 2.85, 3.15, 3.5, 3.85, 4.15)
"""Grade points from which on a mark above F is given."""
LOWEST_C = MARKS.index("C-")
IN_PROGRESS = -1
"""The mark of a course that still runs."""

FIRST, SECOND, SUMMER = range(3)
_ENGLISH, _SOCIAL, _MATH, _SCIENCE, _LANGUAGE, _ARTS, _LAST = range(7)
_PERIODS = 7
_GRADES = range(7, 13)
_HIGH_SCHOOL = 9

_MEAN, _OF_ABILITY, _OF_SUBJECT, _OF_YEAR, _OF_SEMESTER = 2.75, 0.8, 0.25, 0.45, 0.35
"""Grade points of a mark: where they lie, and how far each cause moves them."""
_GOES_ON_WITHOUT_PASSING = 0.4
_REPEATS_IN_SUMMER = 0.3

_DIFFICULTY = np.array([*(course.difficulty for course in COURSES), 0.0], dtype=np.float32)
_IN_AREA = np.array([*(course.area != "Z" for course in COURSES), False])
_OF_MIDDLE_SCHOOL = np.array([*(course.level == course_list.MIDDLE for course in COURSES), False])
"""Each has an entry more than there are courses, so that ``NONE`` finds the last one."""

Rows = npt.NDArray[np.int16]
Marks = npt.NDArray[np.int8]


@dataclass(frozen=True)
class History:
    """Lines of course history, student by student and term by term; arrays of one length.

    ``student`` (row in ``People``), ``course`` (row of ``COURSES``), ``grade`` (7 to 12),
    ``term`` (``FIRST``, ``SECOND``, ``SUMMER``), ``mark`` (position in ``MARKS`` or
    ``IN_PROGRESS``).
    """

    student: Integers
    course: Integers
    grade: Integers
    term: Integers
    mark: Integers


@dataclass
class _Levels:
    """Each student's level in subjects where one course builds on another."""

    mathematics: Integers
    language: Integers


def history(block: Block, people: People) -> History:
    """The course histories of a block's students: finished terms and the one that runs."""
    rng = block.stream(Part.COURSES)
    plan = _Plan(rng, people.ability)
    shape = (len(_GRADES), block.count, 3, _PERIODS)
    course: Rows = np.full(shape, NONE, dtype=np.int16)
    mark: Marks = np.zeros(shape, dtype=np.int8)
    for position, grade in enumerate(_GRADES):
        taken = course[position]
        plan.put(grade, taken)
        mark[position, :, :SUMMER] = _marks(rng, people.ability, plan.aptitude, taken)
        plan.go_on(rng, grade, taken, mark[position])
        _repeat_in_summer(rng, grade, taken, mark[position])
    return _lines(block, people, course, mark)


class _Plan:
    """Each student's plan: levels of demand, first language, the year of arts."""

    def __init__(self, rng: np.random.Generator, ability: Floats) -> None:
        count = len(ability)
        demand = ability + 0.5 * rng.standard_normal(count)
        self.aptitude = rng.standard_normal((count, 1, _PERIODS), dtype=np.float32)
        self.demanding = (demand > 0.7).astype(np.int64)  # noqa: PLR2004 - the upper fifth
        self.science = np.searchsorted([-0.8, 0.2, 0.8], demand)
        self.mathematics = np.searchsorted([-0.3, 0.7], demand)
        self.language = pick(rng, course_list.LANGUAGE_SHARES, count)
        self.language_from = np.array([8, 9, 10, 13])[pick(rng, (0.1, 0.58, 0.25, 0.07), count)]
        self.language_years = np.searchsorted([-1.2, 0.2, 1.2], demand) + 1
        self.arts_in = np.array([9, 10, 11, 12, 13])[pick(rng, (3, 3, 2, 1, 0.6), count)]
        self.electives = rng.random((2, count))
        ahead = np.searchsorted([0.5, 1.8], demand + 0.3 * rng.standard_normal(count))
        self.reached = _Levels(ahead, np.zeros(count, dtype=np.int64))

    def put(self, grade: int, taken: Rows) -> None:
        """Writes the courses of ``grade`` into ``taken`` (students x terms x periods)."""
        mathematics = np.array(course_list.MATHEMATICS)
        level = self.reached.mathematics.clip(0, mathematics.shape[1] - 1)
        self._all_year(taken, _MATH, mathematics[self.mathematics, level])
        languages = np.array(course_list.LANGUAGES)
        year = self.reached.language
        going = (grade >= self.language_from) & (year < self.language_years)
        offered = languages[self.language, year.clip(0, languages.shape[1] - 1)]
        self._all_year(taken, _LANGUAGE, np.where(going, offered, NONE))
        if grade >= _HIGH_SCHOOL:
            self._put_high_school(grade - _HIGH_SCHOOL, taken)

    def _put_high_school(self, year: int, taken: Rows) -> None:
        self._all_year(taken, _ENGLISH, np.array(course_list.ENGLISH)[self.demanding, year])
        social_science = np.array(course_list.SOCIAL_SCIENCE)
        for term in (FIRST, SECOND):
            taken[:, term, _SOCIAL] = social_science[self.demanding, term, year]
        self._all_year(taken, _SCIENCE, np.array(course_list.SCIENCE)[self.science, year])
        chosen = [
            np.array(offered)[(draw * len(offered)).astype(np.int64)]
            for offered, draw in (
                (course_list.ARTS, self.electives[0]),
                (course_list.ELECTIVES[year], self.electives[0]),
                (course_list.LAST_PERIOD[year], self.electives[1]),
            )
        ]
        arts = self.arts_in == year + _HIGH_SCHOOL
        self._all_year(taken, _ARTS, np.where(arts, chosen[0], chosen[1]))
        self._all_year(taken, _LAST, chosen[2])

    @staticmethod
    def _all_year(taken: Rows, period: int, course: Integers) -> None:
        taken[:, FIRST, period] = course
        taken[:, SECOND, period] = course

    def go_on(self, rng: np.random.Generator, grade: int, taken: Rows, mark: Marks) -> None:
        """Moves students up who passed the second semester, and some who did not."""
        luck = chance(rng, _GOES_ON_WITHOUT_PASSING, len(taken))
        passed = mark[:, SECOND] >= LOWEST_C
        took = taken[:, SECOND] != NONE
        self.reached.mathematics += took[:, _MATH] & (passed[:, _MATH] | luck)
        self.reached.language += took[:, _LANGUAGE] & (passed[:, _LANGUAGE] | luck)
        if grade == _HIGH_SCHOOL - 1:
            # No student starts high school below Algebra I.
            self.reached.mathematics = np.maximum(self.reached.mathematics, course_list.ALGEBRA_1)


def _marks(
    rng: np.random.Generator, ability: Floats, aptitude: npt.NDArray[np.float32], taken: Rows
) -> Marks:
    """Marks of both semesters (students x 2 x periods): ability first, then subject and chance."""
    count = len(ability)
    of_year = rng.standard_normal((count, 1, _PERIODS), dtype=np.float32)
    of_semester = rng.standard_normal((count, SUMMER, _PERIODS), dtype=np.float32)
    points = (
        np.float32(_MEAN)
        + np.float32(_OF_ABILITY) * ability.astype(np.float32)[:, np.newaxis, np.newaxis]
        + np.float32(_OF_SUBJECT) * aptitude
        + np.float32(_OF_YEAR) * of_year
        + np.float32(_OF_SEMESTER) * of_semester
        - _DIFFICULTY[taken[:, :SUMMER]]
    )
    found: Integers = np.searchsorted(np.array(_AT_LEAST, dtype=np.float32), points, side="right")
    return found.astype(np.int8)


def _repeat_in_summer(rng: np.random.Generator, grade: int, taken: Rows, mark: Marks) -> None:
    """Some of those who did not pass an A-G course take it again in summer, mostly better."""
    if grade < _HIGH_SCHOOL:
        return
    failed = (mark[:, :SUMMER] < LOWEST_C) & _IN_AREA[taken[:, :SUMMER]]
    again = failed.any(axis=1) & (rng.random(failed[:, 0].shape) < _REPEATS_IN_SUMMER)
    which = failed[:, SECOND].astype(np.int64)[:, np.newaxis]
    course = np.take_along_axis(taken, which, axis=1)[:, 0]
    before = np.take_along_axis(mark, which, axis=1)[:, 0]
    better = before + rng.integers(1, 7, before.shape, dtype=np.int8)
    taken[:, SUMMER] = np.where(again, course, NONE)
    mark[:, SUMMER] = better.clip(0, len(MARKS) - 1)


def _lines(block: Block, people: People, course: Rows, mark: Marks) -> History:
    """The lines that a file of today holds, out of whole school careers."""
    grade = np.array(_GRADES)[:, np.newaxis]
    finished: Flags = grade < people.grade
    current: Flags = grade == people.grade
    running = SECOND if is_spring(block.on) else FIRST
    shown = np.repeat(finished[:, :, np.newaxis], 3, axis=2)
    shown[:, :, : running + 1] |= current[:, :, np.newaxis]
    old_middle_school = (grade < _HIGH_SCHOOL) & (people.grade >= _HIGH_SCHOOL)
    left_out = old_middle_school[:, :, np.newaxis, np.newaxis] & _OF_MIDDLE_SCHOOL[course]
    active = shown[:, :, :, np.newaxis] & (course != NONE) & ~left_out
    student, position, term, period = np.nonzero(active.transpose(1, 0, 2, 3))
    runs = current[position, student] & (term == running)
    return History(
        student=student,
        course=course[position, student, term, period].astype(np.int64),
        grade=position + _GRADES[0],
        term=term,
        mark=np.where(runs, IN_PROGRESS, mark[position, student, term, period]).astype(np.int64),
    )
