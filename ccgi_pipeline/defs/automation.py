"""When the night runs: every night, and as soon as something whole lies in the inbox.

Belongs here: the job, its schedule and its sensor. The sensor's decision is a pure function of two
looks at the inbox; its cursor holds stamps of files and its run key hashes of their content, never
a clock.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import dagster as dg

from ccgi_pipeline.defs.answers import CHILD_MATCH
from ccgi_pipeline.defs.reports import ELIGIBILITY, asset_name
from ccgi_pipeline.defs.resources import NightDate, NightFolders
from ccgi_pipeline.defs.ssid_lookup import ANSWERS, DOWNLOAD
from ccgi_pipeline.intake.inbox import NOBODY, InboxFile, list_inbox
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse import bookkeeping, lake

night_job = dg.define_asset_job(
    "night",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets("district_night"),
    description="One night: receives, verifies, loads, reports and answers, all districts at once.",
)

DAILY_ASSETS = tuple(
    dg.AssetKey(name)
    for name in (
        "received_drops",
        ELIGIBILITY,
        *map(asset_name, REPORTS),
        CHILD_MATCH,
        "receipts",
        ANSWERS,
        DOWNLOAD,
    )
)
"""What a night makes even if no file came: the day of the reports is another, and the night before
may have been stopped after its loads. What was loaded is as it was, and so are the checks on it."""


@dg.schedule(
    job=night_job,
    cron_schedule="0 2 * * *",
    execution_timezone="America/Los_Angeles",
    description="Every night at two in California. The reports are those of the day before.",
)
def every_night(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Asks for the night of the day that ended at midnight."""
    ended = context.scheduled_execution_time.date() - timedelta(days=1)
    return dg.RunRequest(run_key=f"{ended:%Y-%m-%d}", run_config=for_date(f"{ended:%Y-%m-%d}"))


def for_date(day: str) -> dg.RunConfig:
    """The run configuration of the night of ``day`` (YYYY-MM-DD)."""
    return dg.RunConfig(resources={"night": NightDate(date=day)})


def settled(
    listed: list[InboxFile], seen: Mapping[str, str], taken: Mapping[str, str]
) -> list[InboxFile]:
    """The files that are new and have not changed since the last look.

    ``seen`` and ``taken`` give the stamp of each path at the last look, and when it was last taken.
    """
    return [
        file
        for file in listed
        if file.sender != NOBODY
        and seen.get(file.path) == file.stamp
        and taken.get(file.path) != file.stamp
    ]


@dg.sensor(
    job=night_job,
    minimum_interval_seconds=60,
    description="Starts a night when new files lie in the inbox and stood still for two looks.",
)
def new_drops(
    context: dg.SensorEvaluationContext, folders: dg.ResourceParam[NightFolders]
) -> dg.SensorResult | dg.SkipReason:
    """Looks into the inbox."""
    paths = folders.paths
    listed = list_inbox(paths.inbox)
    seen: dict[str, str] = json.loads(context.cursor) if context.cursor else {}
    cursor = json.dumps({file.path: file.stamp for file in listed})
    new = settled(listed, seen, _taken(paths.warehouse))
    if not new:
        context.update_cursor(cursor)
        return dg.SkipReason(f"{len(listed)} files in the inbox, none of them new and at rest")
    identity = hashlib.sha256()
    for file in new:
        content = (paths.inbox / file.path).read_bytes()
        identity.update(f"{file.path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=identity.hexdigest())], cursor=cursor
    )


def _taken(warehouse: Path) -> dict[str, str]:
    if not lake.exists(warehouse):
        return {}
    with lake.connect(warehouse, read_only=True) as connection:
        remembered = bookkeeping.remembered_files(connection)
    return {path: known.stamp for path, known in remembered.items()}
