"""Computes the grade point average: which marks count, their weights, honors points.

Belongs here: the rules of docs/eligibility.md, section 4, in whole numbers, so that nothing is
rounded. Does not belong here: which average is required (systems).
"""

from __future__ import annotations

import polars as pl

from ccgi_pipeline.eligibility.systems import COLLEGE_COURSE_UNITS, HONORS_UNITS, HONORS_UNITS_IN_10


def compute_averages(courses: pl.DataFrame) -> pl.DataFrame:
    """Returns ``student``, ``gpa_points`` and ``gpa_units``, of students with marks that count."""
    grade, summer = pl.col("grade"), pl.col("summer")
    in_10 = ((grade == 9) & summer) | (grade == 10)  # noqa: PLR2004 - grades
    in_window = in_10 | (grade == 11)  # noqa: PLR2004
    weight = pl.when("college").then(COLLEGE_COURSE_UNITS).otherwise(pl.col("units")).cast(pl.Int64)
    honored = (pl.col("honors") | pl.col("college")) & (pl.col("points") >= 2)  # noqa: PLR2004 - A, B or C
    return (
        courses.filter(in_window & pl.col("points").is_not_null())
        .select(
            "student",
            weight.alias("weight"),
            (pl.col("points") * weight).alias("points"),
            pl.when(honored & in_10).then(weight).otherwise(0).alias("honors_10"),
            pl.when(honored & ~in_10).then(weight).otherwise(0).alias("honors_11"),
        )
        .group_by("student")
        .agg(pl.all().sum())
        .select(
            "student",
            (
                pl.col("points")
                + pl.min_horizontal(
                    pl.min_horizontal("honors_10", HONORS_UNITS_IN_10) + pl.col("honors_11"),
                    HONORS_UNITS,
                )
            ).alias("gpa_points"),
            pl.col("weight").alias("gpa_units"),
        )
    )
