"""Reads the date, and the time, in a file's name or path.

Belongs here: the forms in which exports write dates into names. Does not belong here: what follows
from a date (intake, verification).
"""

from __future__ import annotations

import re

_TIME = (
    r"(?:[-_T .]?(?P<{0}time>(?:[01][0-9]|2[0-3])[-_:.]?[0-5][0-9]"
    r"(?:[-_:.]?[0-5][0-9](?:[0-9]{{3}})?)?)Z?)?"
)
_MONTH, _DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_FORMS = (
    # 20261126, 2026-11-26, 2026_11_26
    rf"(?P<iyear>20[0-9]{{2}})[-_.]?(?P<imonth>{_MONTH})[-_.]?(?P<iday>{_DAY})" + _TIME.format("i"),
    # 11262026, 11-26-2026, 1-6-2026
    rf"(?P<amonth>{_MONTH})(?P<aday>{_DAY})(?P<ayear>20[0-9]{{2}})" + _TIME.format("a"),
    r"(?P<smonth>0?[1-9]|1[0-2])[-_.](?P<sday>0?[1-9]|[12][0-9]|3[01])[-_.](?P<syear>20[0-9]{2})"
    + _TIME.format("s"),
)
_DATE = re.compile(rf"(?<![0-9])(?:{'|'.join(_FORMS)})(?![0-9])")


def time_in_name(path: str) -> str:
    """Returns the digits of date and time in a file's name, or else in its last dated folder.

    Year, month, day, then what there is of the time: such digits sort as the times do. Empty if
    there is no date.
    """
    for part in reversed(path.split("/")):
        if found := _DATE.search(part):
            said = {name[1:]: value for name, value in found.groupdict().items() if value}
            day = f"{said['year']}{said['month']:0>2}{said['day']:0>2}"
            return day + re.sub("[^0-9]", "", said.get("time", ""))
    return ""


def date_in_name(path: str) -> str:
    """Returns the eight digits of the date, as ``time_in_name``."""
    return time_in_name(path)[:8]


def without_date(name: str) -> str:
    """Returns a name without its date and time."""
    return _DATE.sub("", name)
