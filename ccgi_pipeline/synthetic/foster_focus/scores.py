"""Test scores: each spring's tests of the grades that the student was in.

Belongs here: drawing scores, and the two lines (score, level) that say each. Does not belong here:
which tests there are (lists).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.synthetic.foster_focus import lists
from ccgi_pipeline.synthetic.foster_focus.attendance import stamps
from ccgi_pipeline.synthetic.foster_focus.enrollments import Schooling, days_of, grades_as_text
from ccgi_pipeline.synthetic.foster_focus.school_days import Days
from ccgi_pipeline.synthetic.foster_focus.youth import Youth
from ccgi_pipeline.synthetic.random_draws import Floats, Integers, Part, look_up

_OLDER_NAMES_ONE_IN = 4
"""Districts whose systems know tests by the names of those that they replaced."""
_OF_ABILITY, _OF_LUCK, _BEHIND = 0.8, 0.5, 0.4
"""Spreads by which a score follows ability and luck, and by which foster youth are behind."""
_SCORE, _LEVEL = range(2)


def score_lines(youth: Youth, enrollments: Schooling) -> pl.DataFrame:
    """Test scores columns: what was sat until the date, on a day of an enrollment."""
    rng = youth.block.stream(Part.FOSTER_TESTS)
    sat = [_who_sat(youth, enrollments, test) for test in lists.TESTS]
    number = np.repeat(np.arange(len(sat)), [len(row) for row, _ in sat])
    row, day = (np.concatenate(parts) for parts in zip(*sat, strict=True))
    student, grade = enrollments.student[row], enrollments.grade[row]
    ability = youth.people.ability[youth.rows[student]]
    above = _OF_ABILITY * ability + _OF_LUCK * rng.standard_normal(len(row)) - _BEHIND
    score, level = _scored(number, grade, above)

    twice = np.repeat(np.arange(len(row)), 2)
    kind = np.tile([_SCORE, _LEVEL], len(row))
    number, row, day, student = number[twice], row[twice], day[twice], student[twice]
    older = youth.block.place.ordinal % _OLDER_NAMES_ONE_IN == _OLDER_NAMES_ONE_IN - 1
    names = [test.older if older else (test.type, test.subtype) for test in lists.TESTS]
    kinds = look_up(["S", "P"], kind)
    words = [word for test in lists.TESTS for word in test.levels]
    said = pl.Series(score[twice]).cast(pl.String)
    feed = foster_focus.TEST_SCORES
    return pl.DataFrame(
        {
            **youth.whose(feed, student),
            **youth.where(feed, enrollments.school[row]),
            "UniqueID": youth.number(
                student, stamps(day), look_up(["E", "L", "M", "S"], number) + kinds
            ),
            "TestDate": pl.Series(day, dtype=pl.Date),
            "Grade": grades_as_text(enrollments.grade[row]),
            "TestScoreType": kinds,
            "TestScore": said.zip_with(pl.Series(kind == _SCORE), look_up(words, level[twice])),
            "TestType": look_up([type_ for type_, _ in names], number),
            "TestSubType": look_up([subtype for _, subtype in names], number),
            "TestDescription": look_up(
                [f"{test.description} {what}" for test in lists.TESTS for what in _WHAT],
                len(_WHAT) * number + kind,
            ),
        }
    )


_WHAT = ("scaled score", "level")


def _who_sat(youth: Youth, enrollments: Schooling, test: lists.ScoredTest) -> tuple[Integers, Days]:
    """Enrollments (rows) in which the test was sat, and when."""
    day = days_of(enrollments.year, test.day)
    open_until = youth.until[enrollments.student]
    last = np.where(np.isnat(enrollments.last), open_until, enrollments.last)
    sat = np.isin(enrollments.grade, list(test.met)) & (enrollments.first <= day) & (day <= last)
    if test.learners:
        sat &= (youth.cells["EL"] == "EL").to_numpy()[enrollments.student]
    row = np.flatnonzero(sat)
    return row, day[row]


def _scored(number: Integers, grade: Integers, above: Floats) -> tuple[Integers, Integers]:
    """Scores, and levels as positions among the words of all tests."""
    score, level = np.zeros(len(grade), dtype=np.int64), np.zeros(len(grade), dtype=np.int64)
    before = 0
    for position, test in enumerate(lists.TESTS):
        lines = np.flatnonzero(number == position)
        points = (test.spread * above[lines]).astype(np.int64)
        met = np.array([test.met.get(level, 0) for level in range(max(test.met) + 1)])
        score[lines] = met[grade[lines]] + points
        level[lines] = before + np.searchsorted(test.steps, points, side="right")
        before += len(test.levels)
    return score, level
