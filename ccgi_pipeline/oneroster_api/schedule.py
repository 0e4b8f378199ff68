"""Decides when a district's roster is fetched, and whether in full or by its changes. Pure.

Belongs here: the times of fetches, when one is due or overdue, full or delta. Does not belong here:
fetching, and Dagster's sensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.profile_oneroster_api import FetchMode, OneRosterApiProfile

RETRIES = 3
"""How often a fetch is begun for one of its times."""
_PAUSE = timedelta(minutes=20)
"""Time between two attempts of one fetch."""
_EPOCH = datetime(2001, 1, 1, tzinfo=CALIFORNIA)


@dataclass(frozen=True, slots=True)
class FetchHistory:
    """What is known of a district's earlier fetches; all times with their zone.

    ``full_at``: when the last full fetch began that became a drop, or was found unchanged.
    ``succeeded_at``: the same of any fetch. ``attempts``: when each fetch since then began.
    ``tombstones``: whether the server ever sent a record that is to be deleted. ``full_only``: why
    it can only be asked for everything; None if there is no reason.
    """

    full_at: datetime | None = None
    succeeded_at: datetime | None = None
    attempts: tuple[datetime, ...] = ()
    tombstones: bool = False
    full_only: str | None = None


def find_last_time(profile: OneRosterApiProfile, now: datetime) -> datetime:
    """Returns the latest time of a fetch that has come: each ``every_hours`` from ``hour`` on.

    Hours are those of California's clocks, also where those are put forward or back.
    """
    local = now.astimezone(CALIFORNIA).replace(tzinfo=None)
    first = _EPOCH.replace(tzinfo=None) + timedelta(hours=profile.hour)
    step = timedelta(hours=profile.every_hours)
    return (first + (local - first) // step * step).replace(tzinfo=CALIFORNIA)


def is_due(profile: OneRosterApiProfile, history: FetchHistory, now: datetime) -> bool:
    """Returns whether a fetch should begin now."""
    last = find_last_time(profile, now)
    if history.succeeded_at is not None and history.succeeded_at >= last:
        return False
    tried = [at for at in history.attempts if at >= last]
    return not tried or (len(tried) < RETRIES and now - max(tried) >= _PAUSE)


def is_overdue(profile: OneRosterApiProfile, history: FetchHistory, now: datetime) -> bool:
    """Returns whether the fetch of an earlier time has still not succeeded."""
    before = now - timedelta(hours=profile.late_hours)
    last = find_last_time(profile, before)
    return history.succeeded_at is None or history.succeeded_at < last


def decide_mode(
    profile: OneRosterApiProfile, history: FetchHistory, now: datetime, *, doubted: bool = False
) -> tuple[FetchMode, str]:
    """Returns full or delta, and why. ``doubted``: the last drop was not loaded in full."""
    reasons = (
        (profile.mode == "full", "the profile asks for full fetches"),
        (history.full_only is not None, history.full_only or ""),
        (
            not history.tombstones,
            "the server has never sent a deleted record: changes might hide deletions",
        ),
        (history.full_at is None, "there was no full fetch yet"),
        (
            history.full_at is not None
            and now - history.full_at >= timedelta(days=profile.full_days),
            f"the last full fetch is {profile.full_days} days old",
        ),
        (doubted, "the last drop was not loaded"),
    )
    why = next((words for holds, words in reasons if holds), None)
    return ("delta", "changes since the last fetch") if why is None else ("full", why)
