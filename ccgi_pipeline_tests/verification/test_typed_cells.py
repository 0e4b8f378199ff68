"""Text to values: what each type takes, and what it leaves out.

Belongs here: single cells. What a left-out cell means for its line is tested with the rules.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.foster_focus import ENROLLMENT_HISTORY
from ccgi_pipeline.feeds.platform import GOALS
from ccgi_pipeline.feeds.spec import FILE
from ccgi_pipeline.feeds.transcript import COURSE_GRADE, STUDENT
from ccgi_pipeline.verification.typed_cells import typed, typed_lines

_AMERICAN = STUDENT.columns["DateOfBirth"]
_EITHER = replace(_AMERICAN, formats=("%m/%d/%Y", "%Y-%m-%d"))
_TIME = GOALS.columns["OccurredAt"]
_CREDITS = COURSE_GRADE.columns["CreditsEarned"]
_FLAG = STUDENT.columns["Homeless"]
_WHOLE = replace(_FLAG, type=ColumnType.INTEGER, dtype=pl.Int64())


def _value(column: Column, cell: str | None) -> object:
    return pl.DataFrame({column.name: [cell]}, schema={column.name: pl.String}).select(
        typed(column)
    )[column.name][0]


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        (_AMERICAN, "02/29/2024", date(2024, 2, 29)),
        (_AMERICAN, "2/9/2024", date(2024, 2, 9)),
        (_EITHER, "2024-02-29", date(2024, 2, 29)),
        (_EITHER, "02/29/2024", date(2024, 2, 29)),
        (_TIME, "2026-11-20T08:30:00Z", datetime(2026, 11, 20, 8, 30)),  # noqa: DTZ001
        (_TIME, "2026-11-20T08:30:00.250Z", datetime(2026, 11, 20, 8, 30, 0, 250000)),  # noqa: DTZ001
        (_CREDITS, "2.50", Decimal("2.5")),
        (_CREDITS, "2", Decimal(2)),
        (_CREDITS, "2.", Decimal(2)),
        (_CREDITS, ".5", Decimal("0.5")),
        (_CREDITS, "-.25", Decimal("-0.25")),
        (_CREDITS, "-2.5", Decimal("-2.5")),
        (_CREDITS, "3.99999", Decimal("3.9999")),
        (_CREDITS, "999999.9999", Decimal("999999.9999")),
        (_FLAG, "Y", True),
        (_FLAG, "yes", True),
        (_FLAG, "TRUE", True),
        (_FLAG, "1", True),
        (_FLAG, "n", False),
        (_FLAG, "No", False),
        (_FLAG, "false", False),
        (_FLAG, "0", False),
        (_WHOLE, "-12", -12),
        (_WHOLE, "007", 7),
    ],
)
def test_a_cell_in_form_is_its_value(column: Column, cell: str, value: object):
    assert _value(column, cell) == value


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        (_AMERICAN, "02/30/2024"),
        (_AMERICAN, "02/29/2023"),
        (_AMERICAN, "13/01/2024"),
        (_AMERICAN, "2024-02-29"),
        (_AMERICAN, "02/03/24"),
        (_AMERICAN, "02/03/0024x"),
        (_AMERICAN, "02-03-2024"),
        (_AMERICAN, "20240203"),
        (_AMERICAN, "02/03/2024 00:00"),
        (_AMERICAN, "45000"),
        (_AMERICAN, "\u0660\u0662/03/2024"),
        (_EITHER, "2024-2-3"),
        (_EITHER, "03.02.2024"),
        (_TIME, "2026-11-20"),
        (_TIME, "2026-11-20T08:30:00"),
        (_TIME, "2026-11-20T25:30:00Z"),
        (_TIME, "2026-11-20T08:30:00+08:00"),
        (_CREDITS, "2,5"),
        (_CREDITS, "1e3"),
        (_CREDITS, "$2.50"),
        (_CREDITS, "1234567.5"),
        (_CREDITS, "38571428"),
        (_CREDITS, "12345678901"),
        (_CREDITS, "."),
        (_CREDITS, "-"),
        (_CREDITS, "+1"),
        (_CREDITS, ".5."),
        (_CREDITS, "NaN"),
        (_CREDITS, "\u0662"),
        (_FLAG, "X"),
        (_FLAG, "2"),
        (_FLAG, "YY"),
        (_WHOLE, "1.0"),
        (_WHOLE, "1" * 19),
        (_WHOLE, "\u0662"),
        (_WHOLE, "1 000"),
    ],
)
def test_a_cell_out_of_form_is_no_value(column: Column, cell: str):
    assert _value(column, cell) is None


@pytest.mark.parametrize("column", [_AMERICAN, _TIME, _CREDITS, _FLAG, _WHOLE])
def test_a_blank_cell_is_no_value(column: Column):
    assert _value(column, None) is None


_DATES = st.none() | st.sampled_from(["2026-09-01", "9/2/2026", "09/03/2026", "26-09-01", "soon"])


@settings(deadline=None)
@given(cells=st.lists(st.tuples(_DATES, _DATES), min_size=1, max_size=6))
def test_the_dates_of_a_file_are_the_same_alone_and_among_others(
    cells: list[tuple[str | None, str | None]],
) -> None:
    blank = pl.DataFrame(schema=dict.fromkeys(ENROLLMENT_HISTORY.columns, pl.String))
    dated = pl.DataFrame(
        cells, schema={"EntryDate": pl.String, "ExitDate": pl.String}, orient="row"
    )
    first = pl.concat([blank, dated], how="diagonal").with_columns(pl.lit(1).alias(FILE))
    alone = typed_lines(ENROLLMENT_HISTORY, first)
    other = first.with_columns(pl.lit(2).alias(FILE), EntryDate=pl.lit("9/2/2026"))
    together = typed_lines(ENROLLMENT_HISTORY, pl.concat([first, other]))
    assert together.head(len(cells)).equals(alone)
