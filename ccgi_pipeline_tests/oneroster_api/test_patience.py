"""When a request is sent again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ccgi_pipeline.oneroster_api.patience import (
    ATTEMPTS,
    LONGEST_WAIT,
    find_lighter_page,
    find_wait,
    may_pass,
    parse_retry_after,
)

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", [None, 408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(status: int | None) -> None:
    assert may_pass(status)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 410])
def test_what_stays_is_not(status: int) -> None:
    assert not may_pass(status)


def test_waits_grow_and_end() -> None:
    waits = [find_wait(attempt, None, 1.0) for attempt in range(1, ATTEMPTS + 1)]
    assert waits == [1, 2, 4, 8, 16, None]
    assert find_wait(1, None, 0.0) == 0.5


def test_a_server_decides_how_long_within_a_limit() -> None:
    assert find_wait(1, 7.0, 0.3) == 7
    assert find_wait(1, 1e9, 0.3) == LONGEST_WAIT
    assert find_wait(ATTEMPTS, 7.0, 0.3) is None


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("30", None, 30.0),
        ("Sun, 22 Nov 2026 10:02:00 GMT", None, 120.0),
        # The server's clock is an hour ahead: what counts is the time from its own date on.
        ("Sun, 22 Nov 2026 11:02:00 GMT", "Sun, 22 Nov 2026 11:00:00 GMT", 120.0),
        ("Sun, 22 Nov 2026 09:00:00 GMT", None, 0.0),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(
    value: str | None, date: str | None, seconds: float | None
) -> None:
    assert parse_retry_after(value, date, NOW) == seconds


def test_a_page_that_is_too_heavy_is_halved() -> None:
    assert find_lighter_page(5000, 502, 2) == 2500
    assert find_lighter_page(5000, None, 2) == 2500
    assert find_lighter_page(5000, 502, 1) == 5000
    assert find_lighter_page(5000, 429, 3) == 5000
    assert find_lighter_page(150, 504, 3) == 100
    assert find_lighter_page(50, 504, 3) == 50
