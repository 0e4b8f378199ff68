"""When the night runs: every night, and as soon as something whole lies in an inbox.

Belongs here: the job, its schedule and its sensor. What is whole is decided elsewhere
(intake.settling); run keys are made of files' sizes and times, never of a clock's.
"""

from datetime import timedelta

import dagster as dg

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.defs.delivery import DELIVERIES
from ccgi_pipeline.defs.district_status import STANDING
from ccgi_pipeline.defs.receipts import CHILD_MATCH
from ccgi_pipeline.defs.reports import asset_name
from ccgi_pipeline.defs.resources import NightDate, NightFolders
from ccgi_pipeline.defs.ssid_lookup import ANSWERS, DOWNLOAD
from ccgi_pipeline.nightly.receive import WaitMode, poll_inboxes
from ccgi_pipeline.reports.queries import ELIGIBILITY
from ccgi_pipeline.reports.registry import REPORTS

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
        DELIVERIES,
        STANDING,
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
    ended = f"{context.scheduled_execution_time.date() - timedelta(days=1):%Y-%m-%d}"
    return dg.RunRequest(run_key=ended, run_config=for_date(ended, WaitMode.WAIT))


def for_date(day: str, taking: WaitMode = WaitMode.NOW) -> dg.RunConfig:
    """The run configuration of the night of ``day`` (YYYY-MM-DD; empty for today)."""
    return dg.RunConfig(resources={"night": NightDate(date=day, take=taking.value)})


_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


@dg.sensor(
    job=night_job,
    minimum_interval_seconds=60,
    description="Starts a night when new files lie in an inbox, here or on an SFTP server, and "
    "did not change for two scans and the quiet period. A server that refuses turns the tick red.",
)
def new_drops(
    context: dg.SensorEvaluationContext, folders: dg.ResourceParam[NightFolders]
) -> dg.SensorResult | dg.SkipReason:
    """Scans the inboxes."""
    asked = poll_inboxes(folders.paths)
    if asked.due is None:
        if asked.refused:
            raise ServersRefuseError("; ".join(asked.refused))
        return dg.SkipReason(asked.reason)
    under_way = dg.RunsFilter(job_name=night_job.name, statuses=_UNDER_WAY)
    if context.instance.get_run_records(under_way, limit=1):
        return dg.SkipReason(
            "new files can be taken; a night is running, and the next night takes them"
        )
    request = dg.RunRequest(
        run_key=asked.due,
        run_config=for_date("", WaitMode.SETTLED),
        tags={"started_by": "files"},
    )
    return dg.SensorResult(run_requests=[request])


class ServersRefuseError(PermanentError):
    """An SFTP server refuses the scan until somebody acts."""
