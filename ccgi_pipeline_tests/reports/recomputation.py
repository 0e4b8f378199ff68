"""Every report but the eligibility's own cells, computed a second time in plain Python.

Belongs here: the rules of the data dictionary, row by row, from the lines as they were received.
Nothing here looks at a query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from zoneinfo import ZoneInfo

Record = dict[str, str | None]
Rows = list[tuple[str, ...]]

_CALIFORNIA = ZoneInfo("America/Los_Angeles")
_STEPS = ("Launched", "In Progress", "Submitted", "Completed")
_MODULE_STEPS = ("Assigned", "Started", "Completed")


@dataclass(frozen=True)
class Event:
    """Something that a student did, at a UTC time."""

    id: str
    ssid: str
    at: datetime
    cells: Record

    @property
    def local(self) -> datetime:
        """The time in California."""
        return self.at.astimezone(_CALIFORNIA)

    def year(self, starts: tuple[int, int]) -> int:
        """The application year, which begins on this month and day."""
        return self.local.year + ((self.local.month, self.local.day) >= starts)


_AID_STARTS, _ADMISSION_STARTS = (10, 1), (7, 1)


def _day(event: Event) -> str:
    return f"{event.local:%Y-%m-%d}"


def _newest(events: Iterable[Event]) -> Event:
    return max(events, key=lambda event: (event.at, event.id))


def _furthest(events: Sequence[Event], column: str, steps: Sequence[str]) -> tuple[str, str]:
    """The furthest status, and the day on which it was first reached."""
    status = max((event.cells[column] or "" for event in events), key=steps.index)
    return status, _day(min((e for e in events if e.cells[column] == status), key=lambda e: e.at))


def _grouped(events: Iterable[Event], *columns: str) -> list[tuple[tuple[str, ...], list[Event]]]:
    """The events by the cells of some columns; blanks are groups too, as an empty text."""

    def cells(event: Event) -> tuple[str, ...]:
        return tuple(event.cells[name] or "" for name in columns)

    return [(key, [*group]) for key, group in groupby(sorted(events, key=cells), cells)]


def _of_last_year(events: Sequence[Event], starts: tuple[int, int]) -> tuple[int, list[Event]]:
    year = max(event.year(starts) for event in events)
    return year, [event for event in events if event.year(starts) == year]


def _applications(activity: dict[str, list[Event]]) -> Rows:
    found: dict[tuple[str, str], tuple[int, str, str]] = {}
    for (kind, college), events in _grouped(
        activity["college_applications"], "ApplicationType", "CollegeName"
    ):
        year, of_year = _of_last_year(events, _ADMISSION_STARTS)
        found[kind, college] = (year, *_furthest(of_year, "ApplicationStatus", _STEPS))
    if aid := activity["financial_aid_applications"]:
        year, of_year = _of_last_year(aid, _AID_STARTS)
        found["FAFSA/CADAA", ""] = (year, *_furthest(of_year, "ApplicationStatus", _STEPS))
    return [
        (kind, status, college or "N/A", day)
        for (kind, college), (year, status, day) in found.items()
        if college
        or not any(
            other == kind
            and named
            and its_year == year
            and _STEPS.index(its_status) >= _STEPS.index(status)
            for (other, named), (its_year, its_status, _) in found.items()
        )
    ]


def _fafsa(activity: dict[str, list[Event]]) -> Rows:
    rows = [row for row in _applications(activity) if row[0] == "FAFSA/CADAA"]
    return [(kind, status, day) for kind, status, _, day in rows]


def _modules(activity: dict[str, list[Event]]) -> Rows:
    return [
        (name, *_furthest(events, "ModuleStatus", _MODULE_STEPS))
        for (name,), events in _grouped(activity["financial_aid_modules"], "ModuleName")
    ]


def _modules_daily(activity: dict[str, list[Event]]) -> Rows:
    events = activity["financial_aid_modules"]
    if not events:
        return []
    statuses = [{e.cells["ModuleStatus"] for e in of} for _, of in _grouped(events, "ModuleName")]
    counts = (
        len(statuses),
        sum(bool(found & {"Started", "Completed"}) for found in statuses),
        sum("Completed" in found for found in statuses),
    )
    return [(*map(str, counts), _day(_newest(events)))]


def _assessments(activity: dict[str, list[Event]]) -> Rows:
    return [
        (name, *_furthest(events, "AssessmentStatus", ("Started", "Completed")))
        for (name,), events in _grouped(activity["assessments"], "AssessmentName")
    ]


def _added(events: Iterable[Event]) -> list[tuple[str, str, Event]]:
    """The favorites whose newest event is Added."""
    newest = [
        (kind, name, _newest(of))
        for (kind, name), of in _grouped(events, "FavoriteType", "FavoriteName")
    ]
    return [found for found in newest if found[2].cells["Action"] == "Added"]


def _favorites(activity: dict[str, list[Event]]) -> Rows:
    return [(kind, name, _day(event)) for kind, name, event in _added(activity["favorites"])]


def _exploration(activity: dict[str, list[Event]]) -> Rows:
    assessed = activity["assessments"]
    careers = [event for kind, _, event in _added(activity["favorites"]) if kind == "Career"]
    if not assessed and not careers:
        return []
    by_name = _grouped(assessed, "AssessmentName")
    done = sum(any(e.cells["AssessmentStatus"] == "Completed" for e in of) for _, of in by_name)
    counts = map(str, (len(by_name), done, len(careers)))
    return [(*counts, _day(_newest([*assessed, *careers])))]


def _goals(activity: dict[str, list[Event]]) -> Rows:
    newest = [_newest(events) for _, events in _grouped(activity["goals"], "GoalID")]
    return [
        (event.cells["GoalType"] or "", event.cells["GoalStatus"] or "", _day(event))
        for event in newest
        if event.cells["GoalStatus"] != "Removed"
    ]


def _journals(activity: dict[str, list[Event]]) -> Rows:
    return [
        (topic or "No Topic", str(len(events)), _day(_newest(events)))
        for (topic,), events in _grouped(activity["journals"], "JournalTopic")
    ]


def _plans(activity: dict[str, list[Event]]) -> Rows:
    events = activity["academic_plans"]
    if not events:
        return []
    newest = _newest(events)
    plans = {event.cells["PlanID"] for event in events}
    return [(newest.cells["PlanStatus"] or "", str(len(plans)), _day(newest))]


def _accounts(activity: dict[str, list[Event]]) -> Rows:
    events = activity["account_registrations"]
    if not events:
        return [("Not Registered", "", "")]
    first = min(events, key=lambda event: event.at)
    return [("Registered", _newest(events).cells["AccountType"] or "", _day(first))]


REPORTS: dict[str, Callable[[dict[str, list[Event]]], Rows]] = {
    "college_and_financial_aid_status": _applications,
    "financial_aid_module_daily": _modules_daily,
    "career_exploration_daily": _exploration,
    "account_registrations": _accounts,
    "applications_and_launches": lambda activity: [row[:3] for row in _applications(activity)],
    "fafsa_applications": _fafsa,
    "academic_plans": _plans,
    "assessments": _assessments,
    "favorites": _favorites,
    "financial_aid_modules": _modules,
    "goals": _goals,
    "journals": _journals,
}
"""For each report how the rows of one student come from the student's events, by feed."""


def campuses_and_status(activity: dict[str, list[Event]]) -> tuple[str, str]:
    """The last two cells of csu_eligibility_and_applied."""
    events = [
        event
        for event in activity["college_applications"]
        if event.cells["ApplicationType"] == "Cal State Apply"
    ]
    if not events:
        return "Not Applied", "0"
    _, of_year = _of_last_year(events, _ADMISSION_STARTS)
    named = {event.cells["CollegeName"] for event in of_year} - {None}
    return _furthest(of_year, "ApplicationStatus", _STEPS)[0], str(len(named))


def happened_by(events: Iterable[Event], night: date) -> list[Event]:
    """The events up to the end of the night's day in California."""
    return [event for event in events if event.local.date() <= night]


_GROUPS = {
    "100": "American Indian or Alaska Native",
    "201": "Asian",
    "202": "Asian",
    "301": "Pacific Islander",
    "302": "Pacific Islander",
    "400": "Filipino",
    "600": "Black or African American",
    "700": "White",
}
_NAMES = {**_GROUPS, "201": "Chinese", "202": "Japanese", "301": "Hawaiian", "302": "Guamanian"}
RACES = tuple(_GROUPS)


def race(student: Record) -> str:
    """The words for a student's race codes."""
    codes = {student[f"RaceCode{place}"] for place in range(1, 6)} & {*_GROUPS}
    groups = {_GROUPS[code] for code in codes if code}
    if len(groups) > 1:
        return "Two or More Races"
    if len(codes) > 1:
        return groups.pop()
    return _NAMES[codes.pop() or ""] if codes else "Not Reported"


def ethnicity(student: Record) -> str:
    """The words for a student's HispanicEthnicity."""
    words = {"Y": "Hispanic", "N": "Non-Hispanic"}
    return words.get(student["HispanicEthnicity"] or "", "Not Reported")
