"""The register of children: what Child Protective Services say of the same youth.

Belongs here: the register's lines, and how they depart from what the district says. Does not belong
here: who has which standing (youth), and matching.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from ccgi_pipeline.synthetic.foster_focus.school_days import Days
from ccgi_pipeline.synthetic.foster_focus.youth import Standing, Youth
from ccgi_pipeline.synthetic.names import POOLS
from ccgi_pipeline.synthetic.random_draws import (
    Integers,
    Part,
    chance,
    identifiers,
    look_up,
    only_where,
)
from ccgi_pipeline.synthetic.student_blocks import first_year

_SSID_IS_KNOWN = 0.75
_GRADUATION = (6, 12)
_DAYS_SINCE = {
    Standing.INACTIVE: (200, 900),
    Standing.INACTIVE_LATELY: (10, 150),
}
_OTHERWISE = (30, 2_000)
_STATUS = {
    Standing.INACTIVE: "inactive",
    Standing.INACTIVE_LATELY: "inactive",
    Standing.GRADUATED: "graduated",
}
_CELLS = ("FirstName", "LastName", "DateOfBirth", "Gender", "StateID")
_MONTHS = 12
_LAST_NAMES = POOLS["english"].last


def child_lines(youth: Youth) -> pl.DataFrame:
    """The register's columns: the youth without the unknown ones, and children in no extract."""
    rng = youth.block.stream(Part.FOSTER_REGISTER)
    known = np.flatnonzero(youth.standing != Standing.UNKNOWN)
    of_others = youth.people.cells.select(_CELLS)[youth.others]
    cells = pl.concat([youth.cells.select(_CELLS)[known], of_others])
    others = len(youth.others)
    standing = np.concatenate([youth.standing[known], np.full(others, Standing.KNOWN)])
    birth = np.concatenate([youth.birth[known], cells["DateOfBirth"].to_numpy()[len(known) :]])
    count = len(standing)
    different = standing == Standing.DIFFERENT
    swapped = _day_and_month_swapped(birth)
    by_date = different & (swapped != birth)
    return pl.DataFrame(
        {
            "ChildID": identifiers(rng, count),
            "LastName": _other_names(rng, cells["LastName"]).zip_with(
                pl.Series(different & ~by_date), cells["LastName"]
            ),
            "FirstName": cells["FirstName"],
            "BirthDate": pl.Series(np.where(by_date, swapped, birth)),
            "Gender": cells["Gender"],
            "SSID": only_where(chance(rng, _SSID_IS_KNOWN, count), cells["StateID"]),
            "Status": look_up([_STATUS.get(kind, "active") for kind in sorted(Standing)], standing),
            "StatusSince": pl.Series(_since(youth, rng, standing)),
        }
    )


def _since(youth: Youth, rng: np.random.Generator, standing: Integers) -> Days:
    ranges = np.array([_DAYS_SINCE.get(kind, _OTHERWISE) for kind in sorted(Standing)])
    days = rng.integers(ranges[standing, 0], ranges[standing, 1])
    graduation = np.datetime64(date(first_year(youth.block.on), *_GRADUATION), "D")
    since: Days = np.datetime64(youth.block.on, "D") - days
    return np.where(standing == Standing.GRADUATED, graduation, since)


def _day_and_month_swapped(birth: Days) -> Days:
    """Dates as a clerk of another country reads them; the same date where that is none."""
    january, month = birth.astype("datetime64[Y]"), birth.astype("datetime64[M]")
    months = (month - january).astype(np.int64)
    days = (birth - month).astype(np.int64)
    swapped = (january.astype("datetime64[M]") + days).astype("datetime64[D]") + months
    found: Days = np.where(days < _MONTHS, swapped, birth)
    return found


def _other_names(rng: np.random.Generator, names: pl.Series) -> pl.Series:
    """For each last name another one."""
    position = rng.integers(0, len(_LAST_NAMES), len(names))
    drawn = look_up(_LAST_NAMES, position)
    next_one = look_up(_LAST_NAMES, (position + 1) % len(_LAST_NAMES))
    return next_one.zip_with(drawn == names, drawn)
