"""Before a night: fetches the rosters of districts whose OneRoster API is named in the profiles.

Belongs here: which districts are fetched now, several side by side, so that one never stops
another. Does not belong here: the fetch itself (``oneroster_api``), and taking its drop, which the
night does as with any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from ccgi_pipeline.common.errors import PermanentError, PipelineError, TransientError
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.oneroster_api.district_fetch import (
    FetchFolders,
    FetchOptions,
    FetchResult,
    fetch_district,
)
from ccgi_pipeline.oneroster_api.fetch_status import read_fetch_statuses
from ccgi_pipeline.profiles import Profiles, read_profiles
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.queries.health import read_newest_drops
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, warehouse_exists

AT_ONCE = 4
"""Districts that are fetched side by side: each waits for its own server most of the time."""


@dataclass(frozen=True, slots=True)
class FetchOutcome:
    """What became of a district's fetch: its result, or why there is none."""

    cd: str
    result: FetchResult | None = None
    why: str = ""
    permanent: bool = False


def find_due_districts(
    folders: PipelinePaths, now: datetime | None = None
) -> tuple[Profiles, list[str]]:
    """Returns the profiles, and the districts whose roster should be fetched now."""
    profiles = read_profiles(folders.warehouse)
    statuses = read_fetch_statuses(folders.warehouse, profiles, now or datetime.now(UTC))
    return profiles, [status.cd for status in statuses if status.due]


def fetch_districts(
    folders: PipelinePaths,
    profiles: Profiles,
    districts: Sequence[str],
    options: FetchOptions | None = None,
) -> list[FetchOutcome]:
    """Fetches the rosters of districts side by side; returns what became of each."""
    options = options or FetchOptions()
    doubted = find_doubted_districts(folders)
    step = ProgressCounter("fetching rosters", len(districts))

    def fetch(cd: str) -> FetchOutcome:
        own = FetchOptions(
            options.full, cd in doubted, options.clock, options.transport, options.environment
        )
        profile = profiles.of(cd).oneroster_api
        try:
            result = fetch_district(
                FetchFolders(folders.inbox, folders.warehouse), cd, profile, own
            )
        except PipelineError as error:
            return FetchOutcome(cd, None, str(error), isinstance(error, PermanentError))
        finally:
            step.advance()
        return FetchOutcome(cd, result)

    if len(districts) == 1:
        return [fetch(*districts)]  # in this thread, so that its progress is shown
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(fetch, districts))


def find_doubted_districts(folders: PipelinePaths) -> set[str]:
    """Returns the districts whose newest OneRoster drop was not loaded.

    Changes that came in it are in no table, so the next fetch asks for everything. The same goes
    for all districts while the warehouse cannot be asked.
    """
    if not warehouse_exists(folders.warehouse):
        return set()
    try:
        with open_warehouse(folders.warehouse, read_only=True) as connection:
            newest = read_newest_drops(connection)
    except TransientError:
        return {*read_profiles(folders.warehouse).api_districts}
    doubted = newest.filter(
        pl.col("verdict").is_in([Verdict.REJECTED, Verdict.HELD]), family=oneroster.NAME
    )
    return {*doubted["sender"]}
