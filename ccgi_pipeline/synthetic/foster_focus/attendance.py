"""Generates attendance: school days, missed periods, and incidents that kept students away.

Belongs here: attendance periods and exceptions, which must agree to the period, and behavior, of
which suspensions show in both. Does not belong here: enrollments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.synthetic.course_list import COURSES
from ccgi_pipeline.synthetic.courses import FIRST, SECOND, SUMMER, History
from ccgi_pipeline.synthetic.foster_focus import lists
from ccgi_pipeline.synthetic.foster_focus.enrollments import NEVER, Schooling
from ccgi_pipeline.synthetic.foster_focus.school_days import Days, SchoolDays
from ccgi_pipeline.synthetic.foster_focus.youth import Youth
from ccgi_pipeline.synthetic.random_draws import (
    Flags,
    Integers,
    Part,
    chance,
    look_up,
    pick,
    repeated,
)
from ccgi_pipeline.synthetic.student_blocks import first_year

_LAST_DAYS = 60
"""School days that the file covers. For students who changed schools it begins with the school
year, so that both schools are in it."""
_PERIODS = 7
_PERIODS_OF_MIDDLE_SCHOOL = len(lists.MIDDLE_SCHOOL_DAY)
_HIGH_SCHOOL = 9
_WHOLE_DAY, _PERIOD = 0.045, 0.012
"""How often a whole day, or a single period, is missed."""
_TITLES = (*(course.title for course in COURSES), *lists.MIDDLE_SCHOOL_DAY)
_SECOND_SEMESTER = np.array([2, 3, 4, 5, 6])

# --- behavior ---------------------------------------------------------------------------------

_ONE_IN, _STRIDE = 8, 3
"""Students with incidents."""
_MORE_INCIDENTS = 1.2
_POLICE_ONE_IN, _POLICE_STRIDE = 25, 7
_MOST_DAYS = 5
_ALL_PENALTIES = (*lists.PENALTIES, *lists.WITH_POLICE)


@dataclass(frozen=True)
class Incidents:
    """Incidents, student by student; ``day`` is a position among all school days."""

    student: Integers
    day: Integers
    school: Integers
    penalty: Integers
    served: Integers


def incidents(youth: Youth, enrollments: Schooling, calendar: SchoolDays) -> Incidents:
    """What happened in any of the enrollments, once a day at most."""
    rng = youth.block.stream(Part.FOSTER_BEHAVIOR)
    everyone = np.arange(len(youth.rows))
    ordinal = youth.block.place.ordinal
    who = everyone[(everyone + _STRIDE * ordinal) % _ONE_IN == 0]
    student = np.repeat(who, 1 + rng.poisson(_MORE_INCIDENTS, len(who)))
    starts = np.searchsorted(enrollments.student, student)
    ends = np.searchsorted(enrollments.student, student, side="right")
    then = starts + (rng.random(len(student)) * (ends - starts)).astype(np.int64)
    until = np.where(
        np.isnat(enrollments.last[then]), np.datetime64(youth.block.on, "D"), enrollments.last[then]
    )
    earliest = np.searchsorted(calendar.days, enrollments.first[then])
    latest = np.searchsorted(calendar.days, until, side="right")
    day = earliest + (rng.random(len(student)) * (latest - earliest)).astype(np.int64)
    # Each day once; and nothing can happen in a year that has not begun.
    _, kept = np.unique(
        np.where(latest > earliest, student * len(calendar.days) + day, -1), return_index=True
    )
    kept = kept[latest[kept] > earliest[kept]]
    student, day, school = student[kept], day[kept], enrollments.school[then[kept]]

    penalty = pick(rng, [kind.share for kind in lists.PENALTIES], len(kept))
    police = len(lists.PENALTIES) + pick(rng, [kind.share for kind in lists.WITH_POLICE], len(kept))
    nth = np.arange(len(kept)) + _POLICE_STRIDE * ordinal
    penalty = np.where(nth % _POLICE_ONE_IN == 0, police, penalty)
    suspended = np.array([kind.suspended for kind in _ALL_PENALTIES])[penalty]
    served = np.where(suspended, rng.integers(1, _MOST_DAYS + 1, len(kept)), 0)
    return Incidents(student, day, school, penalty, served)


def incident_lines(youth: Youth, happened: Incidents, calendar: SchoolDays) -> pl.DataFrame:
    """Behavior columns."""
    feed = foster_focus.BEHAVIOR
    day = calendar.days[happened.day]
    begins = calendar.days[np.minimum(happened.day + 1, len(calendar.days) - 1)]
    return pl.DataFrame(
        {
            **youth.whose(feed, happened.student),
            **youth.where(feed, happened.school),
            "UniqueID": youth.number(happened.student, stamps(day)),
            "PenaltyTypeCode": look_up([kind.codes for kind in _ALL_PENALTIES], happened.penalty),
            "PenaltyTypeDesc": look_up(
                [kind.descriptions for kind in _ALL_PENALTIES], happened.penalty
            ),
            "BegServeDate": pl.Series(begins, dtype=pl.Date),
            "NumServDays": happened.served,
            "PenEventDate": pl.Series(day, dtype=pl.Date),
        }
    )


def stamps(days: Days) -> pl.Series:
    """Days as they stand in numbers of records: 2026-11-22."""
    return pl.Series(days, dtype=pl.Date).cast(pl.String)


# --- attendance -------------------------------------------------------------------------------


@dataclass(frozen=True)
class SchoolLife:
    """A row for each student and school day, student by student and day by day.

    ``day`` (a date), ``enrolled`` (periods), ``missed`` (rows x periods), ``course`` (rows x
    periods, positions in ``_TITLES``), ``why`` (position in the reasons).
    """

    student: Integers
    day: Days
    school: Integers
    enrolled: Integers
    missed: npt.NDArray[np.bool_]
    course: Integers
    why: Integers


_CODES = (*(code for code, _, _ in lists.ABSENCES), lists.SUSPENDED[0])
_DESCRIPTIONS = (*(words for _, words, _ in lists.ABSENCES), lists.SUSPENDED[1])


def school_life(
    youth: Youth,
    taken: History,
    enrollments: Schooling,
    happened: Incidents,
    calendar: SchoolDays,
) -> SchoolLife:
    """Each day at school of the last few weeks, and what was missed of it."""
    rng = youth.block.stream(Part.FOSTER_ATTENDANCE)
    so_far = calendar.so_far
    student, day = _days_enrolled(youth, enrollments, so_far)
    semester = np.where(_is_second_semester(so_far), SECOND, FIRST)[day]
    course = _timetable(youth, taken)[student, semester]
    enrolled = (course >= 0).sum(axis=1)
    away = _suspended(youth, happened, calendar)[student, day]

    often = _WHOLE_DAY * np.exp(0.7 * rng.standard_normal(len(youth.rows)))
    whole_day = chance(rng, often[student], len(student)) | away
    period = rng.random(course.shape) < _PERIOD
    why = pick(rng, [share for _, _, share in lists.ABSENCES], len(student))
    return SchoolLife(
        student=student,
        day=so_far[day],
        school=np.where(
            day < np.where(enrollments.changed == NEVER, 0, enrollments.changed)[student],
            enrollments.school_before[student],
            youth.school[student],
        ),
        enrolled=enrolled,
        missed=(period | whole_day[:, np.newaxis]) & (course >= 0),
        course=course,
        why=np.where(away, len(lists.ABSENCES), why),
    )


def _days_enrolled(youth: Youth, enrollments: Schooling, so_far: Days) -> tuple[Integers, Integers]:
    """Students with each of their days (positions in ``so_far``) that the file holds."""
    first = np.searchsorted(so_far, youth.entry)
    behind = np.searchsorted(so_far, youth.until, side="right")
    first = np.where(enrollments.changed == NEVER, np.maximum(first, behind - _LAST_DAYS), first)[
        :, np.newaxis
    ]
    day = np.arange(len(so_far))
    student, position = np.nonzero((first <= day) & (day < behind[:, np.newaxis]))
    return student, position


def _is_second_semester(days: Days) -> Flags:
    month = days.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return np.isin(month, _SECOND_SEMESTER)


def _timetable(youth: Youth, taken: History) -> Integers:
    """Each student's course (position in ``_TITLES``, or -1) by semester and period.

    Middle schools teach more than transcripts count: their day is filled.
    """
    courses = np.full((len(youth.rows), SUMMER, _PERIODS), -1, dtype=np.int64)
    current = (taken.grade == youth.grade[taken.student]) & (taken.term != SUMMER)
    lines = np.flatnonzero(current)
    student, term = taken.student[lines], taken.term[lines]
    begins = np.diff(student * SUMMER + term, prepend=-1) != 0
    position = np.arange(len(lines))
    period = position - np.maximum.accumulate(np.where(begins, position, 0))
    courses[student, term, period] = taken.course[lines]
    young = (youth.grade < _HIGH_SCHOOL)[:, np.newaxis]
    counted = (courses >= 0).sum(axis=2)
    for number in range(_PERIODS_OF_MIDDLE_SCHOOL):
        filled = young & (number >= counted)
        other = len(COURSES) + number - counted
        courses[:, :, number] = np.where(filled, other, courses[:, :, number])
    return courses


def _suspended(youth: Youth, happened: Incidents, calendar: SchoolDays) -> npt.NDArray[np.bool_]:
    """Students x school days of this year so far: who was sent home."""
    days = calendar.ahead - calendar.this_year
    away = np.zeros((len(youth.rows), days + 1), dtype=np.int64)
    at_home = np.array([kind.away for kind in _ALL_PENALTIES])[happened.penalty]
    lines = np.flatnonzero(at_home & (happened.day >= calendar.this_year))
    begins = happened.day[lines] + 1 - calendar.this_year
    np.add.at(away, (happened.student[lines], np.minimum(begins, days)), 1)
    ends = np.minimum(begins + happened.served[lines], days)
    np.add.at(away, (happened.student[lines], ends), -1)
    sent_home: npt.NDArray[np.bool_] = np.cumsum(away, axis=1)[:, :days] > 0
    return sent_home


def period_lines(youth: Youth, life: SchoolLife) -> pl.DataFrame:
    """Attendance periods columns."""
    feed = foster_focus.ATTENDANCE_PERIODS
    year = first_year(youth.block.on) + 1
    return pl.DataFrame(
        {
            **youth.whose(feed, life.student),
            **youth.where(feed, life.school),
            "UniqueID": youth.number(life.student, stamps(life.day)),
            "SchoolDate": pl.Series(life.day, dtype=pl.Date),
            "PeriodsEnrolled": life.enrolled,
            "PeriodsAttended": life.enrolled - life.missed.sum(axis=1),
            "SchoolYear": repeated(str(year), len(life.student)),
        }
    )


def exception_lines(youth: Youth, life: SchoolLife) -> pl.DataFrame:
    """Attendance exceptions columns: a line for each missed period."""
    feed = foster_focus.ATTENDANCE_EXCEPTIONS
    row, period = np.nonzero(life.missed)
    student = life.student[row]
    in_words = youth.block.place.ordinal % 3 == 2  # noqa: PLR2004 - one system in three
    number = look_up([str(n + 1) for n in range(_PERIODS)], period)
    return pl.DataFrame(
        {
            **youth.whose(feed, student),
            **youth.where(feed, life.school[row]),
            "UniqueID": youth.number(student, stamps(life.day[row]), number),
            "AttendDate": pl.Series(life.day[row], dtype=pl.Date),
            "AttendCode": look_up(_CODES, life.why[row]),
            "AttendDescript": look_up(_DESCRIPTIONS, life.why[row]),
            "Period": "Period " + number if in_words else number,
            "CourseDescript": look_up(_TITLES, life.course[row, period]),
        }
    )
