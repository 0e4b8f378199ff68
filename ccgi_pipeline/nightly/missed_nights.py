"""Days whose night was missed: the daemon was down, or the run failed.

Belongs here: which of them are made up, and which are only named. Pure. Does not belong here: which
nights were made (defs), starting one (runtime).
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta

MADE_UP = 7
"""The newest days of a gap that are made up. More would keep the machine from the newest for hours;
they are named."""
REMEMBERED = 14
"""How many days back a gap is looked for."""


def find_days_to_make(made: Collection[date], last_due: date) -> list[date]:
    """Returns the days whose nights are to be made now, in their order; the last is ``last_due``.

    ``made``: the days whose nights have succeeded. A day before the newest of them is not made up
    here: later states are in the warehouse already.
    """
    begins = last_due - timedelta(days=REMEMBERED)
    newest = max((day for day in made if begins <= day < last_due), default=None)
    if newest is None:
        return [last_due]
    gap = [newest + timedelta(days=days) for days in range(1, (last_due - newest).days + 1)]
    return gap[-MADE_UP:]


def find_missed_days(made: Collection[date], today: date) -> list[date]:
    """Returns the days without a night that no scheduled night makes up any more."""
    begins = today - timedelta(days=REMEMBERED)
    known = sorted(day for day in {*made} if begins <= day < today)
    if not known:
        return []
    between = (known[0] + timedelta(days=days) for days in range((known[-1] - known[0]).days))
    return [day for day in between if day not in made]
