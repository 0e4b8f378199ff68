"""The days on which there is school, in all districts alike.

Belongs here: first and last day of a school year, and its holidays. Does not belong here: who is in
school on which of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np
import numpy.typing as npt

from ccgi_pipeline.synthetic.people import FIRST_DAY
from ccgi_pipeline.synthetic.student_blocks import first_year

Days = npt.NDArray[np.datetime64]

LAST_DAY = (6, 5)
_YEARS = 7
"""Grades 6 to 12: nobody's history in these files goes further back."""
_MONDAY, _THURSDAY = 0, 3


@dataclass(frozen=True)
class SchoolDays:
    """School days of several years, in their order.

    ``days`` reach to the end of the school year of the date; ``this_year`` and ``ahead`` are the
    positions of the first one of that year, and of the first one after the date.
    """

    days: Days
    this_year: int
    ahead: int
    first_day: np.datetime64

    @property
    def so_far(self) -> Days:
        """The days of this school year up to the date."""
        return self.days[self.this_year : self.ahead]


@cache
def school_days(on: date) -> SchoolDays:
    """The school days of the year of ``on`` and of the six before it."""
    latest = first_year(on)
    years = [_of_year(year) for year in range(latest - _YEARS + 1, latest + 1)]
    days = np.concatenate(years)
    first_day = np.datetime64(date(latest, *FIRST_DAY), "D")
    return SchoolDays(
        days=days,
        this_year=int(np.searchsorted(days, first_day)),
        # Before the first day of a school year, nothing of it is over.
        ahead=int(np.searchsorted(days, max(np.datetime64(on, "D"), first_day - 1), side="right")),
        first_day=first_day,
    )


def _of_year(start: int) -> Days:
    """The school days of the school year that began in ``start``."""
    first = np.datetime64(date(start, *FIRST_DAY), "D")
    last = np.datetime64(date(start + 1, *LAST_DAY), "D")
    every = np.arange(first, last + 1)
    school: Days = every[np.is_busday(every, holidays=_holidays(start))]
    return school


def _holidays(start: int) -> list[date]:
    spring = start + 1
    thanksgiving = _nth_weekday(start, 11, _THURSDAY, 4)
    april = _nth_weekday(spring, 4, _MONDAY, 1)
    return [
        _nth_weekday(start, 9, _MONDAY, 1),
        date(start, 11, 11),
        *(thanksgiving + timedelta(days=n) for n in range(-3, 2)),
        *(date(start, 12, 21) + timedelta(days=n) for n in range(19)),
        _nth_weekday(spring, 1, _MONDAY, 3),
        _nth_weekday(spring, 2, _MONDAY, 3),
        *(april + timedelta(days=n) for n in range(5)),
        _nth_weekday(spring, 6, _MONDAY, 1) - timedelta(days=7),  # Memorial Day: May's last
    ]


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    """The ``nth`` Monday, Thursday, ... of a month."""
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))
