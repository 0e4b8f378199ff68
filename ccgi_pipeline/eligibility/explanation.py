"""Explains the calculation for one student, course by course, for an operator who is asked why.

Belongs here: what each line counts for, in words, from the steps that produce the result. Does not
belong here: printing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from ccgi_pipeline.eligibility.attempts import drop_superseded_attempts
from ccgi_pipeline.eligibility.averages import compute_averages
from ccgi_pipeline.eligibility.evaluation import evaluate
from ccgi_pipeline.eligibility.subjects import (
    add_kind_columns,
    mark_made_up_parts,
    select_earned_units,
)
from ccgi_pipeline.eligibility.systems import YEAR, System


@dataclass(frozen=True, slots=True)
class Explanation:
    """One student's result in one system. ``result``: the row of the evaluation.

    ``courses``: every line, with what it ``counts`` for and its part in the ``average``.
    """

    result: dict[str, Any]
    courses: pl.DataFrame


def explain(
    courses: pl.DataFrame, grade: int | None, system: System, *, certified: bool = False
) -> Explanation:
    """Explains the result of the one student whose ``courses`` these are (``COURSES_SCHEMA``)."""
    student = courses["student"].first() if courses.height else "the student"
    students = pl.DataFrame(
        {"student": [student], "grade": [grade], "certified": [certified]},
        schema={"student": pl.String, "grade": pl.Int8, "certified": pl.Boolean},
    )
    (result,) = evaluate(courses, students, system).rows(named=True)
    numbered = add_kind_columns(courses).with_row_index("number")
    stands = drop_superseded_attempts(numbered)
    earned = select_earned_units(mark_made_up_parts(stands), system).select("number", "earned")
    points = (
        compute_averages(stands.with_columns(pl.col("number").cast(pl.String).alias("student")))
        .with_columns(pl.col("student").cast(pl.UInt32).alias("number"))
        .select("number", "gpa_points", "gpa_units")
    )
    told = (
        numbered.join(earned, on="number", how="left")
        .join(points, on="number", how="left")
        .sort("school_year", "order", "course", "part", nulls_last=False)
    )
    years = pl.concat_str(
        pl.lit("earns "),
        (pl.col("units") / YEAR).round(2).cast(pl.String),
        pl.lit(" years of "),
        "area",
    )
    counts = (
        pl.when("in_progress")
        .then(pl.lit("in progress"))
        .when(pl.col("earned").is_null())
        .then(pl.lit("left out: another attempt stands"))
        .when(pl.col("earned") & pl.col("passed"))
        .then(years)
        .when("earned")
        .then(pl.concat_str(years, pl.lit(" (a later part passed)")))
        .otherwise(pl.lit("not passed"))
    )
    average = pl.when(pl.col("gpa_units").is_not_null()).then(
        pl.concat_str(
            pl.col("gpa_points").cast(pl.String), pl.lit("/"), pl.col("gpa_units").cast(pl.String)
        )
    )
    return Explanation(result, told.with_columns(counts.alias("counts"), average.alias("average")))
