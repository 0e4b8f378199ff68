"""The cadence of reports: which of them are due in a night, by the districts' academic years. Pure.

Belongs here: the decision, and how it is said. Does not belong here: the settings (profiles), which
nights have written a report (delivery.ledger), writing (outbox).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Literal

from ccgi_pipeline.profiles import WEEKDAYS, AcademicYear, CadenceProfile, Profiles
from ccgi_pipeline.reports.spec import ReportSpec

CadenceOfDay = Literal["day", "week", "none"]
"""How often a report is written, on one day of the calendar."""
_LOOK_AHEAD = 732
"""Days. The next academic year begins within two years."""


@dataclass(frozen=True, slots=True)
class NightsWritten:
    """The nights next to a given one that wrote a report.

    ``last``: the newest until the given night, which it may be. ``following``: the oldest after it,
    if nights are made up in another order than that of their days.
    """

    last: date | None = None
    following: date | None = None


NEVER = NightsWritten()


def is_in_academic_year(years: Collection[AcademicYear], day: date) -> bool:
    """Returns whether a day is in an academic year; every day is if ``years`` is empty.

    A year that is not listed has the days of the last listed one before it, or of the first: a
    calendar that nobody continued neither ends the reports nor fills the summer with them.
    """
    if not years:
        return True
    listed = {year.first_day.year: year for year in years}
    for begins in (day.year, day.year - 1):
        known = max((y for y in listed if y <= begins), default=min(listed))
        year, later = listed[known], begins - known
        if _years_later(year.first_day, later) <= day <= _years_later(year.last_day, later):
            return True
    return False


def _years_later(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return day.replace(year=day.year + years, day=28)


def find_cadence(settings: CadenceProfile, group: str, day: date) -> CadenceOfDay:
    """Returns how often the reports of a group are written at a day of the calendar."""
    if not is_in_academic_year(settings.academic_years, day):
        return settings.outside
    of_group: dict[str, CadenceOfDay] = {
        "daily reporting": settings.daily_reporting,
        "legacy reporting": settings.legacy_reporting,
    }
    return of_group[group]


def is_due(settings: CadenceProfile, group: str, written: NightsWritten, tonight: date) -> bool:
    """Returns whether a report of ``group`` is to be written tonight.

    It is, if the calendar asks for it today, or asked for it on a day since ``written.last`` whose
    night was missed. A first report does not wait for its weekday. The same night made again writes
    its report again.
    """
    cadence = find_cadence(settings, group, tonight)
    if cadence == "day" or written.last == tonight:
        return True
    if written.following is not None and not _asks_between(
        settings, group, tonight, written.following
    ):
        return False  # a later night has caught up already
    if written.last is None:
        return cadence != "none"
    return _asks_between(settings, group, written.last, tonight)


@lru_cache(maxsize=10_000)
def _asks_between(settings: CadenceProfile, group: str, after: date, until: date) -> bool:
    """Returns whether the calendar asks for a report on a day after ``after``, up to ``until``."""
    days = (until - timedelta(days=n) for n in range((until - after).days))
    return any(_asks(settings, group, day) for day in days)


def _asks(settings: CadenceProfile, group: str, day: date) -> bool:
    cadence = find_cadence(settings, group, day)
    on_weekday = WEEKDAYS[day.weekday()] == settings.weekday
    return cadence == "day" or (cadence == "week" and on_weekday)


@lru_cache(maxsize=10_000)
def find_next_day(settings: CadenceProfile, group: str, after: date) -> date | None:
    """Returns the next day after ``after`` on which the calendar asks for a report."""
    days = (after + timedelta(days=n) for n in range(1, _LOOK_AHEAD))
    return next((day for day in days if _asks(settings, group, day)), None)


def are_all_daily(
    profiles: Profiles, reports: Collection[ReportSpec], cds: Iterable[str], on: date
) -> bool:
    """Returns whether every report is written daily for all these districts."""
    groups = {spec.group for spec in reports}
    return all(find_cadence(profiles.of(cd).cadence, g, on) == "day" for cd in cds for g in groups)


def find_due_reports(
    profiles: Profiles,
    reports: Collection[ReportSpec],
    cds: Iterable[str],
    written: Mapping[tuple[str, str, str], NightsWritten],
    tonight: date,
) -> dict[str, list[str]]:
    """Returns by district the names of the reports that are due tonight.

    ``written``: by CD code, report and file (Agg, Detail), the nights that wrote it.
    """
    return {
        cd: [
            spec.name
            for spec in reports
            if is_due(profiles.of(cd).cadence, spec.group, _of_report(spec, cd, written), tonight)
        ]
        for cd in cds
    }


def _of_report(
    spec: ReportSpec, cd: str, written: Mapping[tuple[str, str, str], NightsWritten]
) -> NightsWritten:
    """Returns the nights that wrote all files of a report, not those killed between two."""
    nights = [written.get((cd, spec.name, file), NEVER) for file in spec.files]
    last = [night.last for night in nights if night.last is not None]
    following = [night.following for night in nights if night.following is not None]
    return NightsWritten(
        min(last) if len(last) == len(nights) else None,
        max(following) if len(following) == len(nights) else None,
    )


@dataclass(frozen=True, slots=True)
class CadenceState:
    """A group of reports, for districts in which it stands alike.

    ``cadence``: in words. ``daily``: whether it is written daily at this time of the year.
    ``last``: the newest night that wrote one of its reports. ``following``: the next day on which
    the calendar asks for them. ``due``: whether one of them is due tonight.
    """

    group: str
    cadence: str
    daily: bool
    last: date | None
    following: date | None
    due: bool
    districts: tuple[str, ...] = ()

    def describe(self) -> str:
        """Returns the state as a sentence without its end."""
        count = len(self.districts)
        whose = f"district {self.districts[0]}" if count == 1 else f"{count:,} districts"
        last = f"last written for {self.last}" if self.last else "not written yet"
        following = f", next on {self.following}" if self.following else ""
        return f"{self.group} of {whose}: {self.cadence}; {last}{following}"


def summarize_cadence(
    profiles: Profiles,
    reports: Collection[ReportSpec],
    cds: Iterable[str],
    written: Mapping[tuple[str, str, str], NightsWritten],
    tonight: date,
) -> list[CadenceState]:
    """Returns how each group of reports stands; ``written`` as in ``find_due_reports``."""
    groups: defaultdict[str, list[ReportSpec]] = defaultdict(list)
    for spec in reports:
        groups[spec.group].append(spec)
    alike: defaultdict[CadenceState, list[str]] = defaultdict(list)
    for cd in cds:
        settings = profiles.of(cd).cadence
        for group, specs in groups.items():
            nights = [_of_report(s, cd, written) for s in specs if cd in (s.only_for or {cd})]
            state = CadenceState(
                group=group,
                cadence=_describe_cadence(settings, group, tonight),
                daily=find_cadence(settings, group, tonight) == "day",
                last=max((night.last for night in nights if night.last), default=None),
                following=find_next_day(settings, group, tonight),
                due=any(is_due(settings, group, night, tonight) for night in nights),
            )
            alike[state].append(cd)
    return [replace(state, districts=tuple(districts)) for state, districts in alike.items()]


def _describe_cadence(settings: CadenceProfile, group: str, day: date) -> str:
    words = {
        "day": "daily",
        "week": f"weekly, on {settings.weekday.capitalize()}",
        "none": "not written",
    }[find_cadence(settings, group, day)]
    inside = is_in_academic_year(settings.academic_years, day)
    return words if inside else f"{words} outside the academic year"
