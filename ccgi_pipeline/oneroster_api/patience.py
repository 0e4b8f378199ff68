"""Decides whether a request is sent again, and after how long. Pure.

Belongs here: which answers may be better next time, and how a server says when. Does not belong
here: sending and waiting (``client``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

ATTEMPTS = 6
"""How often a request is sent that gets no proper answer."""
LONGEST_WAIT = 300.0
"""Seconds: a server that asks for more is asked again after this time."""
_FIRST_WAIT, _LONGEST_OWN_WAIT = 1.0, 60.0
_MAY_PASS = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
_TOO_HEAVY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})
_SMALLEST_PAGE = 100


def may_pass(status: int | None) -> bool:
    """Returns whether an answer may be better next time; None: there was no answer."""
    return status is None or status in _MAY_PASS or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def find_wait(attempt: int, asked: float | None, jitter: float) -> float | None:
    """Returns the seconds to wait before the next attempt; None if there is none.

    ``attempt``: how many were made. ``asked``: seconds that the server asks for. ``jitter``: from 0
    to 1, so that districts do not come back all at once.
    """
    if attempt >= ATTEMPTS:
        return None
    if asked is not None:
        return min(max(asked, 0.0), LONGEST_WAIT)
    wait = min(_FIRST_WAIT * 2.0 ** (attempt - 1), _LONGEST_OWN_WAIT)
    return wait * (0.5 + jitter / 2)


def parse_retry_after(value: str | None, server_date: str | None, now: datetime) -> float | None:
    """Returns the seconds of a Retry-After header; a date is compared with the server's clock."""
    if value is None:
        return None
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", value):
        return float(value)
    until = _parse_date(value)
    if until is None:
        return None
    return max(0.0, (until - (_parse_date(server_date or "") or now)).total_seconds())


def _parse_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def find_lighter_page(limit: int, status: int | None, attempt: int) -> int:
    """Returns how many records to ask for next: half, if the page seems too heavy for the server.

    ``status``: None if the server did not answer in time.
    """
    heavy = status is None or status in _TOO_HEAVY
    return (
        max(_SMALLEST_PAGE, limit // 2)
        if heavy and attempt > 1 and limit > _SMALLEST_PAGE
        else limit
    )
