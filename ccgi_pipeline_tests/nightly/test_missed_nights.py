"""Which missed nights are made up, in which order, and which are only named."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ccgi_pipeline.nightly.missed_nights import MADE_UP, find_days_to_make, find_missed_days

DUE = date(2026, 11, 22)


def _days(*before: int) -> list[date]:
    """The days that lie so many days before ``DUE``."""
    return [DUE - timedelta(days=days) for days in before]


@pytest.mark.parametrize(
    ("made", "to_make"),
    [
        ([], [0]),
        ([1], [0]),
        ([4], [3, 2, 1, 0]),
        ([5, 2], [1, 0]),
        ([12], [*range(MADE_UP - 1, -1, -1)]),
        ([30], [0]),
        ([0], [0]),
        ([1, 0], [0]),
    ],
)
def test_days_since_the_last_good_night_are_made_up_in_their_order(
    made: list[int], to_make: list[int]
) -> None:
    assert find_days_to_make(_days(*made), DUE) == _days(*to_make)


@pytest.mark.parametrize(
    ("made", "missed"),
    [([], []), ([3, 2, 1], []), ([5, 2], [4, 3]), ([6, 4, 1], [5, 3, 2]), ([30, 2], [])],
)
def test_a_day_that_a_later_night_has_passed_over_is_named(
    made: list[int], missed: list[int]
) -> None:
    assert find_missed_days(_days(*made), DUE) == _days(*missed)
