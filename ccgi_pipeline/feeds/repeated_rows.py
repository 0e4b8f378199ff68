"""Finds rows that an earlier row equals.

Belongs here: the quick way to find them, which rules of several rooms share. Does not belong here:
what a repeated row means (rules).
"""

from __future__ import annotations

import polars as pl


def find_repeated_rows(frame: pl.DataFrame) -> pl.Series:
    """Returns for each row whether an earlier one equals it; two nulls are equal.

    Hashes pick the rows to compare: comparing all of them costs five times as much.
    """
    hashes = frame.hash_rows()
    in_order = hashes.sort()
    several = in_order.filter(in_order == in_order.shift())
    repeated = pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
    if several.is_empty():
        return repeated
    places = hashes.is_in(several.unique().implode()).arg_true()
    suspects = frame[places]
    is_first = suspects.select(pl.struct(pl.all()).is_first_distinct()).to_series()
    return repeated.scatter(places.filter(~is_first), values=True)
