"""Cadence: which nights write a report. Pure decisions, by tables and over random histories."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.profiles import WEEKDAYS, AcademicYear, CadenceProfile, Profiles
from ccgi_pipeline.reports.cadence import (
    NEVER,
    NightsWritten,
    find_cadence,
    find_due_reports,
    find_next_day,
    is_due,
    is_in_academic_year,
    summarize_cadence,
)
from ccgi_pipeline.reports.registry import REPORTS

DAILY, LEGACY = "daily reporting", "legacy reporting"
YEARS = (
    AcademicYear(first_day=date(2026, 8, 12), last_day=date(2027, 6, 3)),
    AcademicYear(first_day=date(2027, 8, 11), last_day=date(2028, 2, 29)),
)
MONDAY = date(2026, 11, 23)


def day(month: int, number: int, year: int = 2026) -> date:
    return date(year, month, number)


@pytest.mark.parametrize(
    ("on", "inside"),
    [
        (day(8, 11), False),
        (day(8, 12), True),
        (day(12, 25), True),
        (day(6, 3, 2027), True),
        (day(6, 4, 2027), False),
        (day(8, 10, 2027), False),
        (day(8, 11, 2027), True),
        # Years that are not listed: the days of the last one before them, or of the first.
        (day(6, 3), True),
        (day(6, 4), False),
        (day(8, 11, 2019), False),
        (day(8, 12, 2019), True),
        (day(2, 28, 2029), True),
        (day(3, 1, 2029), False),
        (day(8, 11, 2031), True),
        (day(2, 29, 2032), True),
        (day(3, 1, 2032), False),
    ],
)
def test_an_academic_year_has_its_first_and_last_day_and_recurs(on: date, *, inside: bool) -> None:
    assert is_in_academic_year(YEARS, on) is inside
    assert is_in_academic_year(YEARS[::-1], on) is inside
    assert is_in_academic_year((), on)


def test_every_report_has_a_cadence_of_its_own_setting() -> None:
    for spec in REPORTS:
        weekly = CadenceProfile.model_validate({spec.cadence_setting: "week"})
        assert find_cadence(weekly, spec.group, MONDAY) == "week"
        assert find_cadence(CadenceProfile(), spec.group, MONDAY) == "day"


WEEKLY = CadenceProfile(legacy_reporting="week")
SUMMER_NONE = CadenceProfile(academic_years=YEARS, outside="none", weekday="friday")
SUMMER_WEEKLY = CadenceProfile(academic_years=YEARS, weekday="friday")


@pytest.mark.parametrize(
    ("cadence", "group", "last", "tonight", "due"),
    [
        # The default: every night, whatever was written before.
        (CadenceProfile(), LEGACY, None, MONDAY, True),
        (CadenceProfile(), LEGACY, MONDAY, MONDAY, True),
        (CadenceProfile(), DAILY, day(11, 20), MONDAY, True),
        # Weekly, on Monday.
        (WEEKLY, DAILY, day(11, 24), day(11, 25), True),
        (WEEKLY, LEGACY, None, day(11, 25), True),
        (WEEKLY, LEGACY, day(11, 16), day(11, 22), False),
        (WEEKLY, LEGACY, day(11, 16), MONDAY, True),
        (WEEKLY, LEGACY, MONDAY, MONDAY, True),
        (WEEKLY, LEGACY, MONDAY, day(11, 24), False),
        # Monday's night was missed: Tuesday's writes it, and Wednesday's does not.
        (WEEKLY, LEGACY, day(11, 16), day(11, 24), True),
        (WEEKLY, LEGACY, day(11, 24), day(11, 25), False),
        (WEEKLY, LEGACY, day(11, 24), day(11, 30), True),
        (WEEKLY, LEGACY, day(9, 1), day(11, 29), True),
        # In summer only those reports are due that the last nights of the year missed.
        (SUMMER_NONE, DAILY, day(6, 3, 2027), day(6, 4, 2027), False),
        (SUMMER_NONE, DAILY, day(6, 2, 2027), day(6, 4, 2027), True),
        (SUMMER_NONE, DAILY, day(6, 2, 2027), day(7, 20, 2027), True),
        (SUMMER_NONE, DAILY, day(7, 20, 2027), day(7, 21, 2027), False),
        (SUMMER_NONE, DAILY, None, day(7, 20, 2027), False),
        (SUMMER_NONE, DAILY, day(6, 3, 2027), day(8, 10, 2027), False),
        (SUMMER_NONE, DAILY, day(6, 3, 2027), day(8, 11, 2027), True),
        # Summer: weekly, on Friday (4 June 2027 is one).
        (SUMMER_WEEKLY, DAILY, day(6, 3, 2027), day(6, 4, 2027), True),
        (SUMMER_WEEKLY, DAILY, day(6, 4, 2027), day(6, 10, 2027), False),
        (SUMMER_WEEKLY, DAILY, day(6, 4, 2027), day(6, 11, 2027), True),
        (SUMMER_WEEKLY, DAILY, day(6, 4, 2027), day(6, 12, 2027), True),
        (SUMMER_WEEKLY, DAILY, day(6, 12, 2027), day(6, 13, 2027), False),
    ],
)
def test_what_is_due(
    cadence: CadenceProfile, group: str, last: date | None, tonight: date, *, due: bool
) -> None:
    assert is_due(cadence, group, NightsWritten(last), tonight) is due


@pytest.mark.parametrize(
    ("following", "due"),
    [
        (day(11, 24), False),  # Tuesday caught up before Monday's night was made up
        (day(11, 29), False),
        (day(11, 30), True),  # the next week has its own, and this one none
        (None, True),
    ],
)
def test_a_night_that_is_made_up_late_writes_what_no_later_night_wrote(
    following: date | None, *, due: bool
) -> None:
    assert is_due(WEEKLY, LEGACY, NightsWritten(day(11, 16), following), MONDAY) is due
    assert is_due(WEEKLY, LEGACY, NightsWritten(None, following), MONDAY) is due


_FROM = date(2026, 1, 1)
_offsets = st.lists(st.integers(0, 120), min_size=1, max_size=60)


def _due_nights(cadence: CadenceProfile, nights: list[date]) -> list[date]:
    """The nights that write, if nights are made in this order."""
    written: list[date] = []
    for tonight in nights:
        known = sorted(written)
        place = bisect_right(known, tonight)
        last = known[place - 1] if place else None
        following = known[place] if place < len(known) else None
        if is_due(cadence, LEGACY, NightsWritten(last, following), tonight):
            written.append(tonight)
    return written


@given(st.sampled_from(WEEKDAYS), _offsets)
@settings(max_examples=300, deadline=None)
def test_every_week_with_a_night_has_its_report_once_from_the_first_of_its_nights(
    weekday: str, offsets: list[int]
) -> None:
    cadence = CadenceProfile.model_validate({"legacy_reporting": "week", "weekday": weekday})
    nights = [_FROM + timedelta(days=n) for n in sorted(offsets)]  # a night may be made again
    first_of_week = {}
    for night in nights:
        since = (night.weekday() - WEEKDAYS.index(cadence.weekday)) % 7
        first_of_week.setdefault(night - timedelta(days=since), night)
    assert sorted({*_due_nights(cadence, nights)}) == sorted(first_of_week.values())


@given(st.sampled_from(WEEKDAYS), _offsets)
@settings(max_examples=300, deadline=None)
def test_in_whatever_order_nights_are_made_every_week_has_its_report_once(
    weekday: str, offsets: list[int]
) -> None:
    cadence = CadenceProfile.model_validate({"legacy_reporting": "week", "weekday": weekday})
    nights = [_FROM + timedelta(days=n) for n in offsets]

    def week(night: date) -> int:
        return (night - _FROM).days + (_FROM.weekday() - WEEKDAYS.index(cadence.weekday)) % 7

    weeks = [week(night) // 7 for night in {*_due_nights(cadence, nights)}]
    assert sorted(weeks) == sorted({week(night) // 7 for night in nights})


@given(st.integers(0, 800), st.integers(0, 60), st.sampled_from([SUMMER_NONE, SUMMER_WEEKLY]))
@settings(max_examples=300, deadline=None)
def test_outside_the_year_nothing_is_lost_and_nothing_is_written_beyond_its_cadence(
    begins: int, gap: int, cadence: CadenceProfile
) -> None:
    last = _FROM + timedelta(days=begins)
    tonight = last + timedelta(days=gap + 1)
    asked = [
        d
        for d in (last + timedelta(days=n) for n in range(1, gap + 2))
        if is_in_academic_year(cadence.academic_years, d)
        or (cadence.outside == "week" and WEEKDAYS[d.weekday()] == cadence.weekday)
    ]
    assert is_due(cadence, LEGACY, NightsWritten(last), tonight) is bool(asked)
    following = find_next_day(cadence, LEGACY, last)
    assert following is not None
    assert asked[:1] == [following] or (not asked and following > tonight)


def test_the_next_day_is_told_also_through_a_summer_without_reports() -> None:
    assert find_next_day(SUMMER_NONE, DAILY, day(6, 3, 2027)) == day(8, 11, 2027)
    assert find_next_day(SUMMER_NONE, DAILY, day(3, 1, 2028)) == day(8, 11, 2028)
    assert find_next_day(WEEKLY, LEGACY, MONDAY) == day(11, 30)
    assert find_next_day(WEEKLY, DAILY, MONDAY) == day(11, 24)


def test_a_report_of_which_one_file_is_missing_is_not_written_yet() -> None:
    profiles = Profiles.model_validate({"defaults": {"cadence": {"legacy_reporting": "week"}}})
    (goals,) = [spec for spec in REPORTS if spec.name == "goals"]
    whole = {("3367173", goals.name, file): NightsWritten(MONDAY) for file in goals.files}
    tonight = MONDAY + timedelta(days=1)

    def due(written: dict[tuple[str, str, str], NightsWritten]) -> list[str]:
        return find_due_reports(profiles, [goals], ["3367173"], written, tonight)["3367173"]

    assert due(whole) == []
    assert due({**whole, ("3367173", goals.name, "Agg"): NEVER}) == ["goals"]
    assert due({key: whole[key] for key in [*whole][:1]}) == ["goals"]


def test_districts_that_stand_alike_are_told_together() -> None:
    profiles = Profiles.model_validate(
        {
            "defaults": {"cadence": {"legacy_reporting": "week"}},
            "districts": {"0110017": {"cadence": SUMMER_NONE.model_dump()}},
        }
    )
    cds, july = ["0110017", "0161192", "3367173"], day(7, 20, 2027)
    written = {
        (cd, spec.name, file): NightsWritten(day(7, 19, 2027) if cd != "0110017" else None)
        for spec in REPORTS
        for file in spec.files
        for cd in cds
    }
    told = {state.describe() for state in summarize_cadence(profiles, REPORTS, cds, written, july)}
    summer = "not written outside the academic year; not written yet, next on 2027-08-11"
    week = "weekly, on Monday; last written for 2027-07-19, next on 2027-07-26"
    assert told == {
        "daily reporting of 2 districts: daily; last written for 2027-07-19, next on 2027-07-21",
        f"legacy reporting of 2 districts: {week}",
        f"daily reporting of district 0110017: {summer}",
        f"legacy reporting of district 0110017: {summer}",
    }
