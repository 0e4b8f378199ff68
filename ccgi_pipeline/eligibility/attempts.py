"""Repeated courses: which attempt at a part of a course stands.

Belongs here: docs/eligibility.md, section 2. Only courses that may be repeats are sorted: nearly
all are not. Does not belong here: what a course is good for.
"""

from __future__ import annotations

import polars as pl

_COURSE = ("student", "course")
_PART = (*_COURSE, "part")
_IN_TIME = ("school_year", "order", "passed", "points", "units", "area", "grade")
"""The order of attempts; of equal ones lower points first. What follows only makes it complete."""


def standing(courses: pl.DataFrame) -> pl.DataFrame:
    """``courses`` without the attempts that do not stand; ``number`` tells the lines apart."""
    courses = _with_parts_of_summer(courses)
    is_attempt = ~pl.col("in_progress") & pl.col("part").is_not_null()
    # Hashes pick the lines to compare: nearly all of them are the only attempt at their part.
    part = pl.col("student").hash() ^ pl.col("course").hash(1) ^ pl.col("part").hash(2)
    several = courses.filter(is_attempt & part.is_duplicated())
    if several.is_empty():
        return courses
    several = several.sort(*_PART, *_IN_TIME, nulls_last=False)
    several = several.filter(pl.struct(_PART).is_duplicated() & is_attempt)
    number = pl.int_range(pl.len()).over(_PART)
    passed_second = pl.col("passed").slice(1, 1).first().over(_PART).fill_null(value=False)
    takes_its_place = ~pl.col("passed").first().over(_PART) & passed_second
    left_out = several.filter(number != takes_its_place.cast(pl.Int64))["number"]
    return courses.filter(~pl.col("number").is_in(left_out.implode()))


def _with_parts_of_summer(courses: pl.DataFrame) -> pl.DataFrame:
    """Summer lines as attempts at the parts of their course that did not pass before."""
    attempt = ~pl.col("in_progress") & pl.col("part").is_not_null()
    summer = courses.filter(attempt & pl.col("summer"))
    if summer.is_empty():
        return courses
    failed = (
        courses.filter(attempt & ~pl.col("summer") & ~pl.col("passed"))
        .sort(*_COURSE, "school_year", "order", "part")
        .unique(_PART, keep="first", maintain_order=True)
        .select(
            *_COURSE,
            pl.col("part").alias("failed_part"),
            pl.col("school_year").alias("failed_in"),
            pl.int_range(pl.len()).over(_COURSE).alias("place"),
        )
    )
    placed = (
        summer.sort(*_COURSE, *_IN_TIME, nulls_last=False)
        .with_columns(pl.int_range(pl.len()).over(_COURSE).alias("place"))
        .join(failed, on=[*_COURSE, "place"])
        .filter(pl.col("failed_in") <= pl.col("school_year"))
        .select("number", "failed_part")
    )
    return courses.join(placed, on="number", how="left", maintain_order="left").with_columns(
        pl.coalesce("failed_part", "part").alias("part")
    ).drop("failed_part")  # fmt: skip
