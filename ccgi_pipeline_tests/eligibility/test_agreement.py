"""The vectorised evaluation and the naive one come to the same for thousands of histories.

Belongs here: the comparison, figure by figure. Does not belong here: what is right, which
test_worked_cases shows, and how histories are made (histories).
"""

from __future__ import annotations

import polars as pl
import pytest

from ccgi_pipeline.eligibility.evaluation import evaluate
from ccgi_pipeline.eligibility.systems import CSU, UC, System
from ccgi_pipeline_tests.eligibility.histories import History, histories
from ccgi_pipeline_tests.eligibility.naive import AREAS, estimate
from ccgi_pipeline_tests.eligibility.notation import courses_frame, students_frame

pytestmark = pytest.mark.slow

COUNT = 20_000
COMPARED = {
    "status": pl.String,
    "gpa_points": pl.Int64,
    "gpa_units": pl.Int64,
    **{f"years_{area}": pl.Int64 for area in AREAS},
    **{f"complete_{area}": pl.Boolean for area in AREAS},
    **{f"in_progress_{area}": pl.Int64 for area in AREAS},
}


@pytest.fixture(scope="module")
def of_students() -> dict[str, History]:
    return histories(COUNT, seed=20260301)


@pytest.fixture(scope="module")
def courses(of_students: dict[str, History]) -> pl.DataFrame:
    return courses_frame({name: history.marks for name, history in of_students.items()})


def _naively(of_students: dict[str, History], system: str) -> pl.DataFrame:
    rows = []
    for name, history in of_students.items():
        it = estimate(history.marks, history.grade, system, certified=history.certified)
        figures = (it.status, it.gpa_points, it.gpa_units)
        by_area = (*it.years.values(), *it.complete.values(), *it.in_progress.values())
        rows.append((name, *figures, *by_area))
    return pl.DataFrame(rows, schema={"student": pl.String, **COMPARED}, orient="row")


@pytest.mark.parametrize("system", [UC, CSU], ids=["UC", "CSU"])
def test_both_come_to_the_same(
    of_students: dict[str, History], courses: pl.DataFrame, system: System
):
    students = students_frame(
        {name: it.grade for name, it in of_students.items()},
        {name for name, it in of_students.items() if it.certified},
    )
    expected = _naively(of_students, system.name)
    result = evaluate(courses, students, system)
    assert result["student"].to_list() == expected["student"].to_list()
    got = result.select("student", *COMPARED)
    different = pl.any_horizontal(got[name].ne_missing(expected[name]) for name in COMPARED)
    names = got.filter(different)["student"].to_list()
    assert not names, _explained(names, of_students, got, expected)


def _explained(
    names: list[str], of_students: dict[str, History], got: pl.DataFrame, expected: pl.DataFrame
) -> str:
    """The shortest history on which they differ and how, for a person to work it out."""
    name = min(names, key=lambda it: len(of_students[it].marks))
    (ours,), (naive,) = (
        frame.filter(pl.col("student") == name).rows(named=True) for frame in (got, expected)
    )
    differing = [
        f"{it}: {ours[it]}, naively {naive[it]}" for it in COMPARED if ours[it] != naive[it]
    ]
    history = of_students[name]
    heading = f"{len(names)} differ, such as {name}, grade {history.grade}"
    return "\n".join([heading, *differing, *map(str, history.marks)])


def test_the_histories_are_of_every_kind(of_students: dict[str, History], courses: pl.DataFrame):
    statuses = [
        estimate(history.marks, history.grade, system)
        for history in list(of_students.values())[:2000]
        for system in ("UC", "CSU")
    ]
    assert {it.status for it in statuses} == {
        *("Meets", "On track", "Close", "Not on track", "Insufficient data"),
    }
    assert any(history.certified for history in of_students.values())
    assert courses.filter("summer", pl.col("part").str.starts_with("T")).height
    assert courses["area"].n_unique() == len(AREAS)
    assert courses["grade"].n_unique() == 6
    for flag in ("summer", "honors", "college", "in_progress"):
        assert courses[flag].any()
    for gap in ("part", "kind", "language", "level", "discipline"):
        assert courses[gap].null_count()
