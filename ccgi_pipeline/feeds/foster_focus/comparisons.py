"""Compares lines of one extract with others.

Belongs here: expressions and joins that several rules share. Every result has one value per line,
in the order of the lines; null means that no answer is possible, because the sender has sent
nothing of the other extract. Does not belong here: any rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from ccgi_pipeline.feeds.repeated_rows import find_repeated_rows
from ccgi_pipeline.feeds.rules import Across
from ccgi_pipeline.feeds.spec import FILE, ROW, SENDER

CHILD = ("SystemID", "SISLocalID")
"""A student within one sender; all nine extracts have both."""
by_child = partial(Across, within=CHILD)
"""Makes a comparison in which only lines about the same student matter to each other."""

_KINDERGARTEN = {"K": "KN", "0": "KN", "00": "KN", "PK": "PS"}
HIGH_SCHOOL = ("09", "10", "11", "12")


def school_year(column: str) -> pl.Expr:
    """The school year of a date, by the year in which it ends."""
    day = pl.col(column)
    turned = day.dt.month().cast(pl.Int32) * 100 + day.dt.day() >= pl.col("_turns")
    return day.dt.year() + turned.cast(pl.Int32)


def grade(column: str) -> pl.Expr:
    """A grade as CALPADS writes it: ``09`` for 9, ``KN`` for K."""
    padded = pl.col(column).str.replace(r"^([0-9])$", "0$1")
    return pl.col(column).replace_strict(_KINDERGARTEN, default=padded, return_dtype=pl.String)


def answered(lines: pl.DataFrame, answer: pl.Expr) -> pl.Series:
    """``answer`` for each line."""
    return lines.select(answer.alias("answer")).to_series()


def unanswered(lines: pl.DataFrame) -> pl.Series:
    """No answer for any line."""
    return pl.repeat(None, lines.height, dtype=pl.Boolean, eager=True)


def told_by(other: pl.DataFrame) -> pl.Expr:
    """Whether the line's sender sends the other extract at all."""
    return pl.col(SENDER).is_in(other[SENDER].unique().implode())


def is_among(
    lines: pl.DataFrame,
    other: pl.DataFrame,
    keys: Sequence[str | pl.Expr] = CHILD,
    other_keys: Sequence[str | pl.Expr] | None = None,
) -> pl.Series:
    """Whether the line's keys occur among the other lines of its sender."""
    if other.is_empty():
        return unanswered(lines)
    here = _keyed(lines, keys)
    there = _keyed(other, other_keys or keys).unique()
    names = here.columns
    found = here.join(
        there.with_columns(pl.lit(value=True).alias("found")),
        on=names,
        how="left",
        maintain_order="left",
    )
    whole = pl.all_horizontal(pl.col(name).is_not_null() for name in names)
    return found.select(
        pl.when(told_by(other) & whole).then(pl.col("found").fill_null(value=False))
    ).to_series()


def _keyed(frame: pl.DataFrame, keys: Sequence[str | pl.Expr]) -> pl.DataFrame:
    return frame.select(
        SENDER,
        *(
            (pl.col(key) if isinstance(key, str) else key).alias(f"key{number}")
            for number, key in enumerate(keys)
        ),
    )


def told_once(lines: pl.DataFrame, at_fault: pl.Series, keys: Sequence[str]) -> pl.Series:
    """False at the first line at fault of each of ``keys`` in a file, true elsewhere.

    A null in ``at_fault`` is no fault.
    """
    faults = lines.select(ROW, FILE, *keys).filter(at_fault)
    first = faults.unique([FILE, *keys], keep="first", maintain_order=True)
    return ~lines[ROW].is_in(first[ROW].implode())


def repeats(lines: pl.DataFrame, keys: Sequence[str | pl.Expr]) -> pl.Series:
    """False at lines whose keys an earlier line of the file has; blank keys repeat nothing."""
    keyed = lines.select(
        FILE,
        *(
            (pl.col(key) if isinstance(key, str) else key).alias(f"key{number}")
            for number, key in enumerate(keys)
        ),
    )
    blank = keyed.select(pl.any_horizontal(pl.exclude(FILE).is_null())).to_series()
    return ~find_repeated_rows(keyed) | blank


def enrolled_on(lines: pl.DataFrame, history: pl.DataFrame, day: str) -> pl.DataFrame:
    """The enrollments of each line's student that cover its date ``day``.

    One row a pair: ``_row`` of the line, then the enrollment's ``Grade``, ``SISSchoolCode`` and
    ``SchoolCDSCode`` as ``then_...``.
    """
    if history.is_empty():
        lines = lines.clear()  # a join of many lines with none takes its time
    joined = lines.select(ROW, SENDER, *CHILD, pl.col(day).alias("day")).join(
        history.select(
            SENDER,
            *CHILD,
            "EntryDate",
            "ExitDate",
            *(
                pl.col(name).alias(f"then_{name}")
                for name in ("Grade", "SISSchoolCode", "SchoolCDSCode")
                if name in history.columns
            ),
        ),
        on=[SENDER, *CHILD],
    )
    began = pl.col("EntryDate") <= pl.col("day")
    goes_on = pl.col("ExitDate").is_null() | (pl.col("day") <= pl.col("ExitDate"))
    return joined.filter(began & goes_on)


def enrolled_in_year(lines: pl.DataFrame, history: pl.DataFrame, year: str) -> pl.DataFrame:
    """As ``enrolled_on``, for the school year in the column ``year``."""
    began = school_year("EntryDate").alias("began")
    ended = (
        pl.when(pl.col("ExitDate").is_null())
        .then(pl.max_horizontal("_this_year", school_year("EntryDate")))
        .otherwise(school_year("ExitDate"))
        .alias("ended")
    )
    joined = lines.select(ROW, SENDER, *CHILD, pl.col(year).alias("year")).join(
        history.select(
            SENDER,
            *CHILD,
            began,
            ended,
            *(
                pl.col(name).alias(f"then_{name}")
                for name in ("Grade", "SISSchoolCode", "SchoolCDSCode")
                if name in history.columns
            ),
        ),
        on=[SENDER, *CHILD],
    )
    return joined.filter(pl.col("year").is_between("began", "ended"))


def agrees(
    lines: pl.DataFrame, enrollments: pl.DataFrame, cell: pl.Expr, then: pl.Expr
) -> pl.Series:
    """Whether the line's ``cell`` is that of one of its ``enrollments``; null where it has none.

    Null too where it agrees with none and one of them is blank there: it may be that one.
    """
    compared = enrollments.select(ROW, then.alias("then")).join(
        lines.select(ROW, cell.alias("cell")), on=ROW
    )
    compared = (
        compared.drop_nulls("cell")
        .group_by(ROW)
        .agg(agrees=(pl.col("cell") == pl.col("then")).any(ignore_nulls=False))
    )
    return lines.select(ROW).join(compared, on=ROW, how="left", maintain_order="left")["agrees"]
