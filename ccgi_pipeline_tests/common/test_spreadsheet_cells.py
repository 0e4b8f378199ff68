"""Tests that one cell is made harmless as a whole column is.

Belongs here: that both ways agree. What must be harmless is tested with the files of reports.
"""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.common.spreadsheet_cells import sanitize_cell, sanitize_cells
from ccgi_pipeline_tests.intake.changes import PROFILE

_SIGNS = "=+-@＝＋－＠﹦﹢﹣﹫"  # noqa: RUF001 - these signs are meant
_BLANKS = "'\" ,\t\r\n\x00\x0b\x1c\x1f\x7f\x85\xa0\u1680\u180e\u200b\u2028\ufeff"
_CELLS = st.text(
    st.one_of(
        st.sampled_from(
            f"{_SIGNS}'\" ,\t\r\n\x00\x0b\x1c\x1f\x7f\x85\xa0\u1680\u180e\u200b\u2028\ufeff"
        ),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=6,
)


@settings(PROFILE, max_examples=300)
@given(cells=st.lists(_CELLS, min_size=1, max_size=20))
def test_a_cell_becomes_what_it_becomes_in_a_column(cells: list[str]) -> None:
    column = sanitize_cells(pl.DataFrame({"a": cells}), ["a"])["a"]
    assert [sanitize_cell(cell) for cell in cells] == column.to_list()
