"""Tests of the quick ways in which rules look for repeated rows: each equals the plain way."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.feeds.foster_focus.comparisons import repeats, told_once
from ccgi_pipeline.feeds.repeated_rows import find_repeated_rows
from ccgi_pipeline.feeds.spec import FILE, ROW

_ROWS = st.lists(
    st.tuples(
        st.integers(1, 2),
        st.sampled_from(["a", "", None]),
        st.sampled_from(["a", None]),
        st.sampled_from([date(2026, 11, 2), None]),
        st.sampled_from([True, False, None]),
    ),
    max_size=20,
)
_KEYS = ("one", "other", "day")
_SCHEMA = {
    FILE: pl.UInt32,
    "one": pl.String,
    "other": pl.String,
    "day": pl.Date,
    "at_fault": pl.Boolean,
}


def _lines(rows: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").with_row_index(ROW)


@settings(deadline=None)
@given(rows=_ROWS)
def test_repeated_rows_are_those_that_an_earlier_row_equals(rows: list[tuple[object, ...]]) -> None:
    found = find_repeated_rows(_lines(rows).drop(ROW)).to_list()
    assert found == [row in rows[:place] for place, row in enumerate(rows)]


def test_rows_with_one_hash_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pl.DataFrame, "hash_rows", lambda _: pl.repeat(7, 3, eager=True))
    frame = pl.DataFrame({"one": ["a", "b", "a"]})
    assert find_repeated_rows(frame).to_list() == [False, False, True]


@settings(deadline=None)
@given(rows=_ROWS)
def test_blank_keys_repeat_nothing(rows: list[tuple[object, ...]]) -> None:
    keys = [row[:4] for row in rows]
    assert repeats(_lines(rows), _KEYS).to_list() == [
        key not in keys[:place] or None in key for place, key in enumerate(keys)
    ]


@settings(deadline=None)
@given(rows=_ROWS)
def test_a_fault_is_told_at_the_first_line_of_each_key(rows: list[tuple[object, ...]]) -> None:
    lines = _lines(rows)
    faults = [row[:4] if row[4] else None for row in rows]
    assert told_once(lines, lines["at_fault"], _KEYS).to_list() == [
        fault is None or fault in faults[:place] for place, fault in enumerate(faults)
    ]
