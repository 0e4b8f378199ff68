"""The status of each district's fetches, for an operator: the last one, and whether one is overdue.

Belongs here: what is shown of fetches in the command line, in Dagster and in notices. Codes, counts
and reasons: nothing of a student. Does not belong here: fetching.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.oneroster_api.schedule import FetchHistory, is_due, is_overdue
from ccgi_pipeline.oneroster_api.state import Fetch, FetchState, open_store, store_exists
from ccgi_pipeline.profiles import Profiles


@dataclass(frozen=True, slots=True)
class FetchStatus:
    """The status of one district's fetches; ``fetch``: its newest one, None before the first."""

    cd: str
    fetch: Fetch | None
    history: FetchHistory
    due: bool
    overdue: bool

    @property
    def refused(self) -> bool:
        """Whether the newest fetch was refused: somebody must act."""
        return self.fetch is not None and self.fetch.state is FetchState.REFUSED

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look: it was refused, or none has succeeded for too long."""
        return self.refused or self.overdue

    @property
    def words(self) -> str:
        """The status as a sentence."""
        if self.fetch is None:
            told = "was never fetched by API"
        else:
            at = f"{self.fetch.began.astimezone(CALIFORNIA):%Y-%m-%d %H:%M}"
            reason = f": {self.fetch.reason}" if self.fetch.reason else ""
            told = f"fetch of {at} {self.fetch.state}{reason}"
        late = ""
        if self.overdue:
            good = self.history.succeeded_at
            late = "; none has succeeded" + (
                f" since {good.astimezone(CALIFORNIA):%Y-%m-%d %H:%M}" if good else " yet"
            )
        return f"roster by API: {told}{late}"


def read_fetch_statuses(
    warehouse: Path, profiles: Profiles, now: datetime, only: str | None = None
) -> list[FetchStatus]:
    """Returns the status of every district with an API; with ``only``, of one."""
    districts = [cd for cd in profiles.api_districts if only in {None, cd}]
    if not districts:
        return []
    histories: dict[str, FetchHistory] = {}
    newest: dict[str, Fetch] = {}
    if store_exists(warehouse):
        with open_store(warehouse) as store:
            histories = {cd: store.read_history(cd) for cd in districts}
            newest = {fetch.cd: fetch for fetch in store.read_newest()}
    found = []
    for cd in districts:
        profile, history = profiles.of(cd).oneroster_api, histories.get(cd, FetchHistory())
        first = not history.attempts and history.succeeded_at is None
        found.append(
            FetchStatus(
                cd,
                newest.get(cd),
                history,
                is_due(profile, history, now),
                # A district that was only just named has had no time for a fetch.
                not first and is_overdue(profile, history, now),
            )
        )
    return found


def format_markdown(statuses: Sequence[FetchStatus], most: int) -> str:
    """Formats statuses as a list, those that need attention first; counts the rest."""
    shown = sorted(statuses, key=lambda one: (not one.needs_attention, one.cd))[:most]
    lines = [f"* {one.cd}: {one.words}" for one in shown]
    left_out = len(statuses) - len(shown)
    return "\n".join([*lines, *([f"* {left_out:,} more: `ccgi status`"] if left_out else [])])
