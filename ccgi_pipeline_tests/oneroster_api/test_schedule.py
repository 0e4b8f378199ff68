"""When a roster is fetched, and whether in full."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.oneroster_api.schedule import (
    RETRIES,
    FetchHistory,
    decide_mode,
    find_last_time,
    is_due,
    is_overdue,
)
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile

DAILY = OneRosterApiProfile()
DELTA = OneRosterApiProfile(mode="delta")
TEN = datetime(2026, 11, 22, 22, 0, tzinfo=CALIFORNIA)
HOUR = timedelta(hours=1)


def test_the_time_of_a_fetch_is_the_same_hour_each_day() -> None:
    assert find_last_time(DAILY, TEN + HOUR) == TEN
    assert find_last_time(DAILY, TEN - HOUR) == TEN - timedelta(days=1)
    assert find_last_time(DAILY, TEN) == TEN


def test_the_hour_stays_when_clocks_are_put_back() -> None:
    after = datetime(2026, 11, 1, 23, 0, tzinfo=CALIFORNIA)
    before = datetime(2026, 10, 31, 23, 0, tzinfo=CALIFORNIA)
    assert (find_last_time(DAILY, before).hour, find_last_time(DAILY, after).hour) == (22, 22)


def test_a_profile_may_ask_for_several_fetches_a_day() -> None:
    often = OneRosterApiProfile(every_hours=6, hour=4)
    assert find_last_time(often, TEN + HOUR) == TEN
    assert find_last_time(often, TEN - HOUR) == TEN - 6 * HOUR


def test_a_fetch_is_due_once_for_each_of_its_times() -> None:
    assert is_due(DAILY, FetchHistory(), TEN)
    assert is_due(DAILY, FetchHistory(succeeded_at=TEN - HOUR), TEN)
    assert not is_due(DAILY, FetchHistory(succeeded_at=TEN), TEN + HOUR)


def test_a_fetch_that_failed_is_begun_again_after_a_while_and_not_for_ever() -> None:
    failed = FetchHistory(attempts=(TEN,))
    assert not is_due(DAILY, failed, TEN + timedelta(minutes=5))
    assert is_due(DAILY, failed, TEN + timedelta(minutes=30))
    often = FetchHistory(attempts=(TEN,) * RETRIES)
    assert not is_due(DAILY, often, TEN + 2 * HOUR)
    assert is_due(DAILY, often, TEN + timedelta(days=1))


def test_a_fetch_is_overdue_some_hours_after_its_time() -> None:
    yesterday = FetchHistory(succeeded_at=TEN - timedelta(days=1))
    assert not is_overdue(DAILY, yesterday, TEN + 5 * HOUR)
    assert is_overdue(DAILY, yesterday, TEN + 7 * HOUR)
    assert not is_overdue(DAILY, FetchHistory(succeeded_at=TEN), TEN + 7 * HOUR)


KNOWN = FetchHistory(full_at=TEN - timedelta(days=2), succeeded_at=TEN, tombstones=True)


def test_changes_are_asked_for_where_the_server_shows_deletions() -> None:
    assert decide_mode(DELTA, KNOWN, TEN)[0] == "delta"


@pytest.mark.parametrize(
    ("history", "doubted", "why"),
    [
        (replace(KNOWN, tombstones=False), False, "deleted record"),
        (replace(KNOWN, full_at=None), False, "no full fetch yet"),
        (replace(KNOWN, full_at=TEN - timedelta(days=7)), False, "7 days old"),
        (replace(KNOWN, full_only="it cannot filter"), False, "it cannot filter"),
        (KNOWN, True, "the last drop was not loaded"),
    ],
)
def test_everything_is_asked_for_where_changes_might_hide_something(
    history: FetchHistory, *, doubted: bool, why: str
) -> None:
    mode, said = decide_mode(DELTA, history, TEN, doubted=doubted)
    assert mode == "full"
    assert why in said


def test_a_profile_may_ask_for_full_fetches_only() -> None:
    assert decide_mode(DAILY, KNOWN, TEN)[0] == "full"
