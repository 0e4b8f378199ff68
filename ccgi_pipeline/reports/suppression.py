"""Hides small cells: decides which rows of an aggregate may show their counts, and masks the rest.

Belongs here: the marks and the rule for hiding rows, pure and for all districts in one pass. Does
not belong here: which district has which profile (profiles), where the rows come from (queries).

The rule. The rows of a school, a grade and a table (``Tables``) form a line. The students in none
of these rows form one more cell of the line, which is not printed but follows from the roster. The
rows of a line are shown or hidden together:

* The line is left out if the roster has 10 students or fewer, because the rows themselves would
  reveal much.
* A row that holds all students of the roster is shown, because it only repeats the roster's size.
* The other rows are hidden if one of their cells has 1 to 10 students, or up to GUARD more.
* They are left out if even hidden rows would reveal too much: with at least one student in each
  cell, the roster's size leaves fewer than LEAST_VALUES possible values.

Whole lines are hidden so that the choice of rows never depends on which count is larger. Then two
files that count the same students decide alike, the choice does not change from night to night and
reveal counts, and a file depends on one night alone (it can be rebuilt). The guard is there because
a reader who saw 11 yesterday and nothing today would know that it is 10. With the guard a line is
hidden earlier: while one student a night changes, GUARD + 1 values stay possible for a count of 10.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from ccgi_pipeline.profiles import SmallCells
from ccgi_pipeline.reports.spec import Tables

MARKS: Mapping[SmallCells, str] = MappingProxyType({"california_10": "*", "cde_11": "--"})
"""Printed in place of a count and its percentage. CDE's graduation files print an asterisk, its
layouts say ``--`` for fewer than 11. Here both mean "not shown", whatever the count."""
LARGEST_SMALL = 10
"""California's health agencies hide counts from 1 to 10; CDE says 10 or less, which is the same.
CDE's dashboards also hide every share of fewer than 11 students."""
GUARD = 4
"""Counts up to this many above LARGEST_SMALL are hidden too. One less would leave one possible
value less to a reader who compares nights."""
LEAST_VALUES = GUARD + 1
"""A small cell has at least this many possible values for any reader."""
COUNT, PERCENT = "# of Students", "% of Students"
PLACE = ("cd", "cds_code", "Grade Level")
"""A school and grade: two schools of a district may have the same name."""

_SHOWN, _HIDDEN, _LEFT_OUT = 0, 1, 2


def suppress_small_cells(
    rows: pl.DataFrame,
    places: pl.DataFrame,
    tables: Tables,
    marks: Mapping[str, str],
    linked: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Hides the small cells of an aggregate from the districts in ``marks`` (by CD code).

    ``places``: for each row ``cds_code`` and ``size``, the roster's students of school and grade.
    ``linked``: schools and grades (``PLACE``) where the linked report hides something.
    """
    if not marks:
        return rows
    decided = _decide_fates(_cells(rows, places), tables, linked)
    mark = pl.col("cd").replace_strict(dict(marks), default=None, return_dtype=pl.String)
    fate = pl.when(mark.is_null()).then(_SHOWN).otherwise(pl.lit(decided["fate"]))
    hidden = fate == _HIDDEN
    return (
        rows.with_columns(fate.alias("_fate"))
        .with_columns(pl.when(hidden).then(mark).otherwise(name).alias(name) for name in _PRINTED)
        .filter(pl.col("_fate") != _LEFT_OUT)
        .drop("_fate")
    )


_PRINTED = (COUNT, PERCENT)


def find_hidden_places(rows: pl.DataFrame, places: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Returns the schools and grades (``PLACE``) where a report hides rows of its linked report."""
    decided = _decide_fates(_cells(rows, places), tables, None)
    hidden = (pl.col("fate") != _SHOWN) & _in_common(tables)
    return decided.filter(hidden).select(PLACE).unique()


def _cells(rows: pl.DataFrame, places: pl.DataFrame) -> pl.DataFrame:
    """Returns the rows with their counts as numbers; null if the count is hidden already."""
    return pl.concat([rows, places.select("cds_code", "size")], how="horizontal").with_columns(
        pl.col(COUNT).cast(pl.Int64, strict=False).alias("count"), pl.col("size").cast(pl.Int64)
    )


def _decide_fates(cells: pl.DataFrame, tables: Tables, linked: pl.DataFrame | None) -> pl.DataFrame:
    line = [*PLACE, *tables.by]
    if not tables.nested:
        decided = cells.with_columns(_fate(line, "size").alias("fate"))
    else:
        decided = _decide_nested_fates(cells, line)
    if linked is not None:
        ties = linked.select(PLACE).unique().with_columns(tied=True)
        decided = decided.join(ties, on=PLACE, how="left", nulls_equal=True, maintain_order="left")
        already_known = pl.col("_alone") if tables.nested else pl.col("count") == pl.col("size")
        tied = (pl.col("tied") & _in_common(tables) & ~already_known).fill_null(value=False)
        over = pl.max_horizontal("fate", pl.when(tied).then(_HIDDEN).otherwise(_SHOWN))
        decided = decided.with_columns(over.alias("fate"))
    return decided


def _decide_nested_fates(cells: pl.DataFrame, line: list[str]) -> pl.DataFrame:
    """Decides the fates of lines that each add up to a row of another file.

    The row above is decided first, as in that file. If it is hidden, so is its line; otherwise the
    line is decided as a part of that row.
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
    """Returns the fate of each row, from its line; ``whole``: the line's number of students."""
    count, size = pl.col("count"), pl.col(whole)
    rest = size - count.sum().over(line)
    printed = count.count().over(line)
    # Counts may overlap and exceed the number of students: then none follows from the others.
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
    """Matches the rows that the linked report counts too."""
    same = [pl.col(name) == value for name, value in tables.linked_rows.items()]
    return pl.all_horizontal(pl.lit(value=True), *same)
