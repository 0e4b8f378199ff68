"""Where the foster youth were enrolled, year by year: the spine to which other extracts must fit.

Belongs here: schools of earlier grades, changes of school within this year, and the enrollment
history. Does not belong here: what happened at school.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.synthetic.courses import History
from ccgi_pipeline.synthetic.foster_focus import lists
from ccgi_pipeline.synthetic.foster_focus.school_days import LAST_DAY, Days, SchoolDays
from ccgi_pipeline.synthetic.foster_focus.youth import Youth
from ccgi_pipeline.synthetic.people import FIRST_DAY
from ccgi_pipeline.synthetic.places import FIRST_GRADE, LAST_GRADE
from ccgi_pipeline.synthetic.random_draws import (
    Flags,
    Integers,
    Part,
    chance,
    look_up,
    only_where,
    pick,
    pick_code,
    repeated,
)
from ccgi_pipeline.synthetic.student_blocks import first_year

NOWHERE = -1
"""The school of grades that the district does not teach."""
NEVER = np.iinfo(np.int64).max
_HIGH_SCHOOL = 9
_CAME_IN_GRADE = {6: 0.5, 7: 0.2, 8: 0.15, 9: 0.15}
_CHANGES_SCHOOL = 0.1
_DAYS_BEFORE_IT, _DAYS_UNTIL_IT = 8, 90


@dataclass(frozen=True)
class Schooling:
    """Enrollments, student by student and year by year; arrays of one length.

    ``student`` (entry of ``Youth``), ``grade``, ``school`` (row of the district's schools),
    ``year`` (its spring), ``first`` and ``last`` (days; ``last`` is NaT while open), ``part`` (1,
    or 2 after a change of school within the year), ``begins`` (the first one in the district).

    Of each student: ``school_before`` and ``changed`` (position among this year's school days of
    the first day at the current school, or ``NEVER``), ``entered_current_school``.
    """

    student: Integers
    grade: Integers
    school: Integers
    year: Integers
    first: Days
    last: Days
    part: Integers
    begins: Flags
    school_before: Integers
    changed: Integers
    entered_current_school: Days


def school_in_grade(youth: Youth, student: Integers, grade: Integers) -> Integers:
    """The school in which each of ``student`` was in ``grade``: the own one if it teaches it.

    Who is in high school now was in a middle school before, as the transcript files have it.
    """
    schools = youth.block.place.schools
    first, last = (schools[name].to_numpy() for name in ("first_grade", "last_grade"))
    own, now = youth.school[student], youth.grade[student]
    number = youth.block.first + youth.rows[student]
    other = np.full(len(student), NOWHERE)
    for level in range(FIRST_GRADE, LAST_GRADE + 1):
        teach = np.flatnonzero((first <= level) & (level <= last))
        if len(teach):
            other = np.where(grade == level, teach[(own + number) % len(teach)], other)
    moved_up = (grade < _HIGH_SCHOOL) & (now >= _HIGH_SCHOOL)
    stays = (first[own] <= grade) & (grade <= last[own]) & ~moved_up
    return np.where(stays, own, other)


def spring_of(youth: Youth, student: Integers, grade: Integers) -> Integers:
    """The school year in which each was in ``grade``, by its spring."""
    spring: Integers = first_year(youth.block.on) + 1 - (youth.grade[student] - grade)
    return spring


def schooling(youth: Youth, taken: History, calendar: SchoolDays) -> Schooling:
    """The enrollments of ``youth``; students with marks of a year were enrolled in it."""
    rng = youth.block.stream(Part.FOSTER_SCHOOLING)
    count = len(youth.rows)
    came = np.array([*_CAME_IN_GRADE])[pick(rng, [*_CAME_IN_GRADE.values()], count)]
    np.minimum.at(came, taken.student, taken.grade)
    years = np.maximum(youth.grade - came, 0) + 1
    student = np.repeat(np.arange(count), years)
    grade = _counted_up(youth.grade - years + 1, years)
    school = school_in_grade(youth, student, grade)
    taught = school != NOWHERE
    student, grade, school = student[taught], grade[taught], school[taught]

    school_before, changed = _changes_of_school(youth, rng, calendar)
    movers = np.flatnonzero(changed != NEVER)
    entered = youth.entry.copy()
    entered[movers] = calendar.so_far[changed[movers]]
    left_before = calendar.so_far[changed[movers] - 1]

    # A row for each year, and behind them the first part of this year of those who moved in it.
    now = grade == youth.grade[student]
    year = spring_of(youth, student, grade)
    first = np.where(now, entered[student], days_of(year - 1, FIRST_DAY))
    last = np.where(now, youth.leaving[student], days_of(year, LAST_DAY))
    part = np.where(now & (changed[student] != NEVER), 2, 1)
    student = np.append(student, movers)
    grade = np.append(grade, youth.grade[movers])
    part = np.append(part, np.ones_like(movers))
    order = np.lexsort((part, grade, student))
    return Schooling(
        student=student[order],
        grade=grade[order],
        school=np.append(school, school_before[movers])[order],
        year=spring_of(youth, student, grade)[order],
        first=np.append(first, youth.entry[movers])[order],
        last=np.append(last, left_before)[order],
        part=part[order],
        begins=np.diff(student[order], prepend=-1) != 0,
        school_before=school_before,
        changed=changed,
        entered_current_school=entered,
    )


def _counted_up(start: Integers, times: Integers) -> Integers:
    """``start``, and what follows it, so many ``times`` each: 7, 8, 9 for three from 7 on."""
    before = np.cumsum(times) - times
    counted: Integers = np.repeat(start - before, times) + np.arange(times.sum())
    return counted


def days_of(year: Integers, day: tuple[int, int]) -> Days:
    """A day of each ``year``."""
    distinct, position = np.unique(year, return_inverse=True)
    days: Days = np.array([date(int(y), *day) for y in distinct], dtype="datetime64[D]")[position]
    return days


def _changes_of_school(
    youth: Youth, rng: np.random.Generator, calendar: SchoolDays
) -> tuple[Integers, Integers]:
    """Another school before the current one, and since when the current one, for a few."""
    count = len(youth.rows)
    schools = youth.block.place.schools
    first, last = (schools[name].to_numpy() for name in ("first_grade", "last_grade"))
    teaches = (first <= youth.grade[:, np.newaxis]) & (youth.grade[:, np.newaxis] <= last)
    teaches[np.arange(count), youth.school] = False
    before = (teaches * rng.random(teaches.shape)).argmax(axis=1)
    begun = np.searchsorted(calendar.so_far, youth.entry)
    day = begun + rng.integers(_DAYS_BEFORE_IT, _DAYS_UNTIL_IT, count)
    changes = chance(rng, _CHANGES_SCHOOL, count) & teaches.any(axis=1)
    changes &= np.isnat(youth.leaving) & (day < len(calendar.so_far))
    changes &= youth.grade < LAST_GRADE  # a senior's enrollment ends with completion only (ENR-5)
    return before, np.where(changes, day, NEVER)


# --- lines ------------------------------------------------------------------------------------


def enrollment_lines(youth: Youth, enrollments: Schooling) -> pl.DataFrame:
    """Enrollment history columns."""
    feed = foster_focus.ENROLLMENT_HISTORY
    closed = ~np.isnat(enrollments.last)
    reason, completion = _why_it_ended(youth, enrollments)
    return pl.DataFrame(
        {
            **youth.whose(feed, enrollments.student),
            **youth.where(feed, enrollments.school),
            "UniqueID": youth.number(
                enrollments.student,
                pl.Series(enrollments.year).cast(pl.String),
                pl.Series(enrollments.part).cast(pl.String),
            ),
            "EntryDate": pl.Series(enrollments.first),
            "ExitDate": pl.Series(enrollments.last),
            "EntryReason": _why_it_began(enrollments),
            "ExitReason": only_where(closed, reason),
            "StatusCode": look_up(["A", "I"], closed.astype(np.int64)),
            "Grade": grades_as_text(enrollments.grade),
            "SchoolName": look_up(youth.block.place.schools["School"], enrollments.school),
            "CompletionStatus": completion,
        }
    )


def _why_it_began(enrollments: Schooling) -> pl.Series:
    another = np.diff(enrollments.school, prepend=NOWHERE) != 0
    position = np.select([enrollments.begins, enrollments.part > 1, another], [0, 3, 2], default=1)
    return look_up(_ENTRY_REASONS, position)


def _why_it_ended(youth: Youth, enrollments: Schooling) -> tuple[pl.Series, pl.Series]:
    """Exit reasons, as if all had ended, and completion codes, of those that have one."""
    rng = youth.block.stream(Part.FOSTER_SCHOOLING, 1)
    count = len(enrollments.student)
    goes_on = np.append(np.diff(enrollments.student) == 0, [False])
    same_school = goes_on & np.append(np.diff(enrollments.school) == 0, [False])
    next_year = goes_on & np.append(np.diff(enrollments.year) != 0, [False])
    leaves = ~goes_on & ~np.isnat(enrollments.last)
    senior = leaves & (enrollments.grade == LAST_GRADE)
    reason = look_up([lists.MOVED_ON, lists.STAYED], same_school.astype(np.int64))
    reason = pick_code(rng, lists.LEFT_FOR, count).zip_with(pl.Series(leaves), reason)
    reason = repeated(lists.SENIORS_LEFT_FOR, count).zip_with(pl.Series(senior), reason)
    promoted = next_year & ~same_school & (enrollments.grade < _HIGH_SCHOOL)
    completion = pick_code(rng, lists.SENIORS_LEFT_WITH, count)
    completion = completion.zip_with(pl.Series(senior), repeated(lists.PROMOTED, count))
    return reason, only_where(promoted | senior, completion)


_ENTRY_REASONS = (
    "New Student", "Returning Student", "Returning Student, New School",
    "Transferred within the District",
)  # fmt: skip


def grades_as_text(grade: Integers) -> pl.Series:
    """Grade levels as the extracts write them: 9, 10."""
    return look_up([str(level) for level in range(LAST_GRADE + 1)], grade)
