"""Packed frames: their rows are those of plain ones, in whatever parts they come."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from ccgi_pipeline.common.packed_frames import PackedFrame
from ccgi_pipeline_tests.intake.changes import PROFILE

_CELLS = st.one_of(st.none(), st.sampled_from(["a", "b", "c"]))


@settings(PROFILE)
@given(
    rows=st.lists(st.tuples(_CELLS, st.integers(0, 5)), max_size=30),
    piece=st.integers(1, 10),
    parts=st.integers(1, 4),
)
def test_rows_that_agree_come_into_the_same_part_in_their_order(
    rows: list[tuple[str | None, int]], piece: int, parts: int
) -> None:
    frame = pl.DataFrame(rows, schema={"key": pl.String, "n": pl.Int64}, orient="row")
    frame = frame.with_row_index("row")
    packed = PackedFrame.pack(
        (frame.slice(at, piece) for at in range(0, frame.height, piece)), frame.schema
    )
    split = [pl.concat(part.frames()) for part in packed.split_by(["key"], parts)]
    assert len(split) == parts
    assert_frame_equal(pl.concat(split).sort("row"), frame)
    for part in split:
        assert part["row"].is_sorted()
    keys = [{*part["key"]} for part in split]
    assert sum(map(len, keys)) == len({*frame["key"]})


def test_pieces_with_different_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="different columns"):
        PackedFrame.pack([pl.DataFrame({"a": [1]}), pl.DataFrame({"b": [1]})])
