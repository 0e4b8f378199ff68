"""What the evaluation promises for every history, looked for with histories made at random.

Belongs here: promises about two histories that differ in one thing, asked for thousands of pairs
in one call. Does not belong here: single rules (test_worked_cases), the figures themselves
(test_agreement).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import polars as pl
import pytest

from ccgi_pipeline.eligibility.evaluation import COURSES_SCHEMA, RESULTS_SCHEMA, evaluate
from ccgi_pipeline.eligibility.systems import CSU, UC, System
from ccgi_pipeline_tests.eligibility.histories import History, histories
from ccgi_pipeline_tests.eligibility.naive import (
    AREAS,
    WANTED,
    Mark,
    after_repeats,
    attempts_at_each_part,
    in_window,
)
from ccgi_pipeline_tests.eligibility.notation import courses_frame, students_frame

COUNT = 6_000
BETTER = ("Not on track", "Close", "On track", "Meets")
"""The statuses of those who have data, from the worst to the best."""
KINDS = {
    "A": ("world_history", "us_history", "government", None),
    "B": ("esl", None, None),
    "C": ("algebra_1", "geometry", "algebra_2", "precalculus", "calculus", "statistics", None),
    "D": ("biology", "chemistry", "physics", "other_physical", "other_biological", None),
    "E": (None,),
    "F": (None,),
    "G": ("biology", "physics", None, None),
}

Histories = dict[str, History]
for_each_system = pytest.mark.parametrize("system", [UC, CSU], ids=["UC", "CSU"])


@pytest.fixture(scope="module")
def plain() -> Histories:
    """Histories in which a repeat has the units of what it repeats, each of one language.

    Of several languages the one that counts may change with a mark, and with it what is left for
    the electives: docs/eligibility.md, section 3, counts the languages first.
    """
    found = histories(COUNT, seed=7, odd=False)
    return {name: it for name, it in found.items() if it.marks and len(_languages(it)) <= 1}


@pytest.fixture(scope="module")
def odd() -> Histories:
    return histories(COUNT, seed=8)


def _languages(history: History) -> set[str | None]:
    return {mark.language for mark in history.marks if mark.area == "E"}


def _courses(of_students: Histories) -> pl.DataFrame:
    return courses_frame({name: it.marks for name, it in of_students.items()})


def _students(of_students: Histories) -> pl.DataFrame:
    return students_frame({name: it.grade for name, it in of_students.items()})


def _results(of_students: Histories, system: System) -> pl.DataFrame:
    return evaluate(_courses(of_students), _students(of_students), system)


def _pairs(
    of_students: Histories, system: System, change: Callable[[History, Random], History | None]
) -> tuple[pl.DataFrame, str]:
    """Before and after, side by side; and a text that shows a student who lost by the change."""
    chance = Random(9)  # noqa: S311 - test data needs no cryptography
    changed = {name: change(history, chance) for name, history in of_students.items()}
    after = {name: history for name, history in changed.items() if history is not None}
    assert len(after) > len(of_students) // 4
    before = {name: of_students[name] for name in after}
    both = _results(before | {f"{name} changed": it for name, it in after.items()}, system)
    ranks = {status: rank for rank, status in enumerate(BETTER)}
    both = both.with_columns(
        pl.col("status").replace_strict(ranks, return_dtype=pl.Int64).alias("rank")
    )
    pairs = pl.concat(
        [
            both.head(len(before)),
            both.tail(len(after)).rename({column: f"new_{column}" for column in both.columns}),
        ],
        how="horizontal",
    )
    lost = pairs.filter(
        (pl.col("new_years") < pl.col("years")) | (pl.col("new_rank") < pl.col("rank"))
    )
    if lost.is_empty():
        return pairs, ""
    name = min(lost["student"], key=lambda it: len(before[it].marks))
    new = [mark for mark in after[name].marks if mark not in before[name].marks]
    (row,) = lost.filter(pl.col("student") == name).select("status", "new_status").rows()
    shown = (f"{name}, grade {before[name].grade}", *row, *before[name].marks, "new:", *new)
    return pairs, "\n".join(map(str, shown))


# --- a better mark ----------------------------------------------------------------------------


def _with_a_better_mark(history: History, chance: Random) -> History | None:
    """One mark better; nothing where that is a case in which less may follow."""
    can = [
        place
        for place, mark in enumerate(history.marks)
        if mark.points is not None and mark.points < 4
    ]
    if not can:
        return None
    place = chance.choice(can)
    mark = history.marks[place]
    points = chance.randint(mark.points + 1, 4)
    better = replace(mark, points=points, passed=points >= 2)
    changed = [*history.marks[:place], better, *history.marks[place + 1 :]]
    if better.passed and not mark.passed and _may_lose(history.marks, mark, changed):
        return None
    return History(history.grade, changed)


def _may_lose(marks: list[Mark], mark: Mark, changed: list[Mark]) -> bool:
    """Whether a pass in place of ``mark`` changes which other attempts stand, not to the better.

    A failed first attempt that passes takes the place of the better mark of its repeat. A failed
    repeat that passes may bring its mark into the window of the average where the first attempt
    was not. Either may leave a summer line without a part to repeat, which then stands by itself.
    """
    for first, *others in attempts_at_each_part(marks):
        if others and _by_itself(first) == _by_itself(mark):
            return True
        repeats = any(_by_itself(other) == _by_itself(mark) for other in others)
        if repeats and in_window(mark) and not in_window(first):
            return True
    came = _standing(changed) - _standing(marks)
    return any(_by_itself(other) in came for other in marks)


def _standing(marks: list[Mark]) -> set[Mark]:
    return set(map(_by_itself, after_repeats(marks)))


def _by_itself(mark: Mark) -> Mark:
    """The line without the part that it has as a summer line of its course."""
    return replace(mark, part=None) if mark.summer else mark


@for_each_system
def test_a_better_mark_never_lowers_status_or_years(plain: Histories, system: System):
    pairs, lost = _pairs(plain, system, _with_a_better_mark)
    assert not lost, lost
    assert (pairs["new_years"] > pairs["years"]).any()
    assert (pairs["new_rank"] > pairs["rank"]).any()


# --- one more course --------------------------------------------------------------------------


def _with_a_passed_course(history: History, chance: Random) -> History:
    area = chance.choice(AREAS)
    grade = chance.randint(9, max(9, history.grade))
    languages = sorted(filter(None, _languages(history))) or ["spanish"]
    course = Mark(
        course="one more",
        part=chance.choice(("S1", "FY", "SS", None)),
        area=area,
        kind=chance.choice(KINDS[area]),
        language=languages[0] if area == "E" else None,
        level=chance.choice((1, 2, 3, None)) if area == "E" else None,
        discipline=chance.choice(("music", "visual", None)) if area == "F" else None,
        grade=grade,
        school_year=2014 + grade,
        summer=False,
        order=6,
        units=chance.choice((15, 20, 30, 60)),
        points=chance.choice((2, 3, 4, None)),
        passed=True,
        in_progress=False,
        honors=chance.random() < 0.2,
        college=False,
    )
    return History(history.grade, [*history.marks, replace(course, summer=course.part == "SS")])


@for_each_system
def test_one_more_passed_course_never_lowers_years(plain: Histories, system: System):
    pairs, _ = _pairs(plain, system, _with_a_passed_course)
    lost = pairs.filter(pl.col("new_years") < pl.col("years"))
    assert lost.is_empty(), lost["student"].to_list()
    for area in AREAS:
        gained = pairs[f"new_years_{area}"] > pairs[f"years_{area}"]
        assert gained.any(), area


# --- one student alone, all in any order ------------------------------------------------------


@for_each_system
def test_the_order_of_rows_changes_nothing(odd: Histories, system: System):
    courses, students = _courses(odd), _students(odd)
    expected = evaluate(courses, students, system)
    for seed in (1, 2):
        shuffled = courses.sample(fraction=1, shuffle=True, seed=seed)
        assert evaluate(shuffled, students, system).equals(expected)
    other_order = students.sample(fraction=1, shuffle=True, seed=3)
    result = evaluate(courses, other_order, system)
    assert result["student"].equals(other_order["student"])
    assert result.sort("student").equals(expected.sort("student"))


@for_each_system
def test_students_do_not_influence_each_other(odd: Histories, system: System):
    courses, students = _courses(odd), _students(odd)
    together = evaluate(courses, students, system)
    for part in range(3):
        some = students.gather_every(3, offset=part)
        own = courses.join(some, on="student", how="semi", maintain_order="left")
        expected = together.gather_every(3, offset=part)
        assert evaluate(own, some, system).equals(expected)
        assert evaluate(courses, some, system).equals(expected), "courses of others count"


@for_each_system
def test_evaluating_twice_gives_the_same(odd: Histories, system: System):
    courses, students = _courses(odd), _students(odd)
    copies = courses.clone(), students.clone()
    assert evaluate(courses, students, system).equals(evaluate(courses, students, system))
    assert courses.equals(copies[0])
    assert students.equals(copies[1])


@for_each_system
def test_every_student_has_one_result_that_holds_together(odd: Histories, system: System):
    result = _results(odd, system)
    assert result.schema == pl.Schema(RESULTS_SCHEMA)
    assert result["student"].to_list() == list(odd)
    assert set(result["system"]) == {system.name}
    assert (result["years"] == sum(result[f"years_{area}"] for area in AREAS)).all()
    for area, wanted in WANTED.items():
        assert result[f"years_{area}"].is_between(0, wanted).all()
        assert (result[f"years_{area}"] == wanted).filter(result[f"complete_{area}"]).all()
    meets = result.filter(status="Meets")
    assert meets["years"].unique().to_list() == [sum(WANTED.values())]
    assert (meets["reasons"].list.len() == 0).all()
    others = result.filter(pl.col("status") != "Meets")
    assert (others["reasons"].list.len() > 0).all()
    assert not result.null_count().sum_horizontal().item()


@for_each_system
def test_no_students_and_no_courses_have_empty_results(system: System):
    no_courses = pl.DataFrame(schema=COURSES_SCHEMA)
    nobody = evaluate(no_courses, students_frame({}), system)
    assert nobody.is_empty()
    assert nobody.schema == pl.Schema(RESULTS_SCHEMA)
    somebody = evaluate(no_courses, students_frame({"one": 12}), system)
    assert somebody["status"].to_list() == ["Insufficient data"]
    assert somebody["years"].to_list() == [0]


@for_each_system
def test_a_grade_that_is_no_number_is_not_judged_as_grade_12(odd: Histories, system: System):
    """Kindergarten, ungraded and adult students have no year to be measured by."""
    ungraded = _students(odd).with_columns(grade=pl.lit(None, pl.Int8))
    result = evaluate(_courses(odd), ungraded, system)
    assert set(result["status"]) == {"Insufficient data"}
    with_lines = result.filter(pl.col("years") > 0)["reasons"].to_list()
    assert with_lines
    assert set(map(tuple, with_lines)) == {("The grade level is not one of grades 1 to 12.",)}
