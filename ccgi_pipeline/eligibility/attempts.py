"""Decides which attempt at a part of a repeated course counts.

Belongs here: the rules of docs/eligibility.md, section 2. Only courses that may be repeats are
sorted, because few are. Does not belong here: what a course counts for (subjects).
"""

from __future__ import annotations

import polars as pl

_COURSE = ("student", "course")
_PART = (*_COURSE, "part")
_NUMBERED_PART = r"^[STQH][1-6]$"
_P_LIES_BETWEEN = 1.5
"""The points of a pass mark when attempts of one term are ordered: above D, below C."""


def _chronological_order() -> list[pl.Expr]:
    """Orders attempts by time, then by points. The other columns make the order unambiguous."""
    return [
        pl.col("school_year"),
        pl.col("order"),
        pl.col("points").cast(pl.Float32).fill_null(_P_LIES_BETWEEN),
        *map(pl.col, ("units", "honors", "college", "area", "kind", "language", "level")),
        *map(pl.col, ("discipline", "grade")),
    ]


def drop_superseded_attempts(courses: pl.DataFrame) -> pl.DataFrame:
    """Returns ``courses`` without the attempts that do not count; ``number`` identifies lines."""
    courses = _assign_summer_parts(courses)
    is_attempt = ~pl.col("in_progress") & pl.col("part").is_not_null()
    # Hashes pick the lines to compare: nearly all of them are the only attempt at their part.
    part = pl.col("student").hash() ^ pl.col("course").hash(1) ^ pl.col("part").hash(2)
    several = courses.filter(is_attempt & part.is_duplicated())
    if several.is_empty():
        return courses
    several = several.sort(*_PART, *_chronological_order(), nulls_last=False)
    number = pl.int_range(pl.len()).over(_PART)
    passed_second = pl.col("passed").slice(1, 1).first().over(_PART).fill_null(value=False)
    takes_its_place = ~pl.col("passed").first().over(_PART) & passed_second
    left_out = several.filter(number != takes_its_place.cast(pl.Int64))["number"]
    return courses.filter(~pl.col("number").is_in(left_out.implode()))


def _assign_summer_parts(courses: pl.DataFrame) -> pl.DataFrame:
    """Assigns summer lines to the parts of their course that were not passed before.

    A summer line that says which part it is of is an attempt at that part, like any other line.
    Works in rounds: the first summer line of every course, then the second; there are few.
    """
    attempt = ~pl.col("in_progress") & pl.col("part").is_not_null()
    unassigned = pl.col("summer") & ~pl.col("part").str.contains(_NUMBERED_PART)
    summer = courses.filter(attempt & unassigned)
    regular = courses.filter(attempt & ~unassigned).join(summer, on=_COURSE, how="semi")
    if regular.is_empty():
        return courses
    summer = summer.sort(*_COURSE, *_chronological_order(), nulls_last=False).select(
        "number", *_COURSE, "school_year", pl.int_range(pl.len()).over(_COURSE).alias("round")
    )
    # In the order in which each part was first attempted.
    parts = regular.sort(*_COURSE, "school_year", "order", "part").select(
        *_PART, pl.col("school_year").alias("attempted_in"), "passed"
    )
    taken: list[pl.DataFrame] = []
    for number in summer["round"].unique().sort():
        now = summer.filter(pl.col("round") == number)
        open_parts = (
            now.join(parts, on=_COURSE, maintain_order="left_right")
            .filter(pl.col("attempted_in") <= pl.col("school_year"))
            .group_by("number", *_PART, maintain_order=True)
            .agg(pl.col("passed").any())
            .filter(~pl.col("passed"))
        )
        for earlier in taken:
            open_parts = open_parts.join(earlier, on=_PART, how="anti", maintain_order="left")
        chosen = open_parts.unique("number", keep="first", maintain_order=True)
        taken.append(chosen.select("number", *_PART))
    found = pl.concat(taken).select("number", pl.col("part").alias("failed_part"))
    joined = courses.join(found, on="number", how="left", maintain_order="left")
    part = pl.coalesce("failed_part", "part").alias("part")
    return joined.with_columns(part).drop("failed_part")
