"""Small cells: which rows of an aggregate may not show their counts, and the frame without them.

Belongs here: the profiles of suppression and the rule by which rows are hidden, pure and for all
districts in one pass. Does not belong here: which district has which profile (profiles), where the
rows come from (building).

The rule. The rows of a school, a grade and a table (``Tables``) form a line; the students in none
of them form one more cell of it, which is not printed but follows from the roster. A line is shown
whole or hidden whole:

* it is left out where the roster has 10 students or fewer: which rows there are would tell much;
* a row that holds all students of the roster says no more than the roster's size, and is shown;
* the others are hidden if any cell of them has 1 to 10 students, or up to GUARD more;
* they are left out if even hidden rows would tell: the roster's students, at least one in each
  cell, leave fewer than LEAST_VALUES values open.

Why whole lines: which other rows are hidden beside a small one then never depends on which is
larger. So two files that count the same students decide alike, the choice does not move from one
night to the next and give itself away, and a file is made of one night alone (it can be rebuilt).
Why the guard: who saw 11 yesterday and sees nothing today knows that it is 10. A line is hidden
before that; while one student a night changes, GUARD + 1 values stay open for a count of 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from ccgi_pipeline.profiles import SmallCells
from ccgi_pipeline.reports.spec import Tables

MARKS: Mapping[SmallCells, str] = MappingProxyType({"california_10": "*", "cde_11": "--"})
"""What stands in place of a count and its percentage. CDE's graduation files print an asterisk, its
layouts say ``--`` for fewer than 11. Here either means "not shown", whatever the count."""
LARGEST_SMALL = 10
"""California's health agencies hide counts below 11 but for 0; CDE says 10 or less: the same. CDE's
dashboards also blank whatever is a share of fewer than 11 students."""
GUARD = 4
"""So many counts above are hidden too. With one less, one value less stays open over nights."""
LEAST_VALUES = GUARD + 1
"""So many values of a small cell are possible, whatever is known beside."""
COUNT, PERCENT = "# of Students", "% of Students"
PLACE = ("cd", "cds_code", "Grade Level")
"""A school and grade: two schools of a district may have the same name."""

_SHOWN, _HIDDEN, _LEFT_OUT = 0, 1, 2


def suppressed(
    rows: pl.DataFrame,
    places: pl.DataFrame,
    tables: Tables,
    marks: Mapping[str, str],
    linked: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The rows of an aggregate without what is hidden from the districts in ``marks`` (by CD code).

    ``places``: for each row ``cds_code`` and ``size``, the roster's students of school and grade.
    ``linked``: places (``PLACE``) at which the linked report hides something.
    """
    if not marks:
        return rows
    judged = _judged(_cells(rows, places), tables, linked)
    mark = pl.col("cd").replace_strict(dict(marks), default=None, return_dtype=pl.String)
    fate = pl.when(mark.is_null()).then(_SHOWN).otherwise(pl.lit(judged["fate"]))
    hidden = fate == _HIDDEN
    return (
        rows.with_columns(fate.alias("_fate"))
        .with_columns(pl.when(hidden).then(mark).otherwise(name).alias(name) for name in _PRINTED)
        .filter(pl.col("_fate") != _LEFT_OUT)
        .drop("_fate")
    )


_PRINTED = (COUNT, PERCENT)


def hiding_places(rows: pl.DataFrame, places: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """The places (``PLACE``) at which a report hides something in rows that it has in common."""
    judged = _judged(_cells(rows, places), tables, None)
    hidden = (pl.col("fate") != _SHOWN) & _in_common(tables)
    return judged.filter(hidden).select(PLACE).unique()


def _cells(rows: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """The rows with their counts as numbers; none where it is hidden already."""
    return pl.concat([rows, places.select("cds_code", "size")], how="horizontal").with_columns(
        pl.col(COUNT).cast(pl.Int64, strict=False).alias("count"), pl.col("size").cast(pl.Int64)
    )


def _judged(cells: pl.DataFrame, tables: Tables, linked: pl.DataFrame | None) -> pl.DataFrame:
    line = [*PLACE, *tables.by]
    if not tables.nested:
        judged = cells.with_columns(_fate(line, "size").alias("fate"))
    else:
        judged = _judged_nested(cells, line)
    if linked is not None:
        ties = linked.select(PLACE).unique().with_columns(tied=True)
        judged = judged.join(ties, on=PLACE, how="left", nulls_equal=True, maintain_order="left")
        told = pl.col("_alone") if tables.nested else pl.col("count") == pl.col("size")
        tied = (pl.col("tied") & _in_common(tables) & ~told).fill_null(value=False)
        over = pl.max_horizontal("fate", pl.when(tied).then(_HIDDEN).otherwise(_SHOWN))
        judged = judged.with_columns(over.alias("fate"))
    return judged


def _judged_nested(cells: pl.DataFrame, line: list[str]) -> pl.DataFrame:
    """Each line adds up to a row of another file, which is judged first, as that file does.

    Where that one is hidden all below it is; else the line is judged as a part of its row.
    """
    sums = (
        cells.filter(pl.col("count").is_not_null())
        .group_by(line, maintain_order=True)
        .agg(pl.col("count").sum(), pl.col("size").first())
        .with_columns(_fate([*PLACE], "size").alias("_above"))
        .select(*line, pl.col("count").alias("_sum"), "_above")
    )
    within = cells.join(sums, on=line, how="left", nulls_equal=True, maintain_order="left")
    tight = pl.col("size") - pl.col("count").count().over(PLACE) + 1 < LEAST_VALUES
    below = (
        pl.when(pl.col("_above") == _SHOWN)
        .then(_fate(line, "_sum"))
        .when(tight | (pl.col("_above") == _LEFT_OUT))
        .then(_LEFT_OUT)
        .otherwise(_HIDDEN)
    )
    return within.with_columns(
        below.fill_null(_SHOWN).alias("fate"), (pl.col("count") == pl.col("_sum")).alias("_alone")
    )


def _fate(line: list[str], whole: str) -> pl.Expr:
    """What becomes of each row: that of its line. ``whole``: of how many students the line is."""
    count, size = pl.col("count"), pl.col(whole)
    rest = size - count.sum().over(line)
    printed = count.count().over(line)
    # Counts may overlap and come to more than there are: then they say nothing of each other.
    cells = pl.when(rest >= 0).then(printed + (rest > 0).cast(pl.Int64)).otherwise(1)
    small = (_small(count) | _small(size - count) | _small(rest)).any().over(line)
    fate = (
        pl.when(size <= LARGEST_SMALL)
        .then(_LEFT_OUT)
        .when((count == size) | ~small)
        .then(_SHOWN)
        .when(size - cells + 1 < LEAST_VALUES)
        .then(_LEFT_OUT)
        .otherwise(_HIDDEN)
    )
    return pl.when(count.is_null()).then(_SHOWN).otherwise(fate).cast(pl.Int64)


def _small(count: pl.Expr) -> pl.Expr:
    return count.is_between(1, LARGEST_SMALL + GUARD)


def _in_common(tables: Tables) -> pl.Expr:
    """Whether a row is one of those that the linked report counts too."""
    same = [pl.col(name) == value for name, value in tables.linked_rows.items()]
    return pl.all_horizontal(pl.lit(value=True), *same)
