"""When a night runs: at two o'clock, and as soon as new files can be taken from an inbox.

Belongs here: the job, its schedule and its sensor. Which files can be taken is decided in
``intake.file_stability``. Run keys are made of files' sizes and times, not of the time of day.
"""

from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.defs.code_location import NAME, RUN_TAGS, asset_key, asset_keys, own_runs
from ccgi_pipeline.defs.dagster_internals import read_switch
from ccgi_pipeline.defs.delivery import DELIVERIES
from ccgi_pipeline.defs.district_status import DISTRICT_STATUS
from ccgi_pipeline.defs.pages import DISTRICT_PAGES
from ccgi_pipeline.defs.receipts import CHILD_MATCH
from ccgi_pipeline.defs.recorded_runs import NIGHT_JOB
from ccgi_pipeline.defs.reports import asset_name
from ccgi_pipeline.defs.resources import NightDate, NightFolders
from ccgi_pipeline.defs.ssid_lookup import ANSWERS, DOWNLOAD
from ccgi_pipeline.defs.state_page import STATE_PAGE
from ccgi_pipeline.nightly import missed_nights
from ccgi_pipeline.nightly.receive import WaitMode, poll_inboxes
from ccgi_pipeline.reports.queries import ELIGIBILITY
from ccgi_pipeline.reports.registry import REPORTS

night_job = dg.define_asset_job(
    NIGHT_JOB,
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(asset_key("district_night")),
    # A pod's disk may be gone: a run that is retried begins anew, and finds what was committed.
    tags={**RUN_TAGS, "dagster/retry_strategy": "ALL_STEPS"},
    description="One night for all districts: receives, verifies, loads, reports and responds.",
)

DAILY_ASSETS = tuple(
    asset_keys(
        (
            "received_drops",
            ELIGIBILITY,
            *map(asset_name, REPORTS),
            CHILD_MATCH,
            "receipts",
            ANSWERS,
            DOWNLOAD,
            DISTRICT_PAGES,
            DELIVERIES,
            DISTRICT_STATUS,
            STATE_PAGE,
        )
    )
)
"""What a night makes even if no file came: its reports are of another day, and the night before may
have been stopped after its loads. The tables stay as they are, and so do the checks on them."""


@dg.schedule(
    job=night_job,
    cron_schedule="0 2 * * *",
    execution_timezone=CALIFORNIA.key,
    description="Every night at two o'clock in California, with the reports of the day before. "
    "Nights that were missed since the last one that succeeded are made up first, in their order.",
)
def every_night(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
    """Requests the night of the day that ended at midnight, after those that were missed."""
    ended = context.scheduled_execution_time.date() - timedelta(days=1)
    runs = _read_dated_runs(context.instance)
    made = {day for day, status in runs if status is dg.DagsterRunStatus.SUCCESS}
    under_way = {day for day, status in runs if status in _UNFINISHED}
    return [
        dg.RunRequest(
            run_key=_run_key(day, sum(1 for other, _ in runs if other == day)),
            run_config=configure_night(f"{day:%Y-%m-%d}", WaitMode.WAIT),
        )
        for day in missed_nights.find_days_to_make(made, ended)
        if day not in under_way
    ]


def _run_key(day: date, runs_before: int) -> str:
    """Returns the key under which Dagster starts at most one run."""
    return f"{day:%Y-%m-%d} again {runs_before}" if runs_before else f"{day:%Y-%m-%d}"


def find_missed_days(instance: dg.DagsterInstance) -> tuple[date, ...]:
    """Returns the days whose scheduled night is missing, though a later one succeeded.

    None of them if the schedule is off: then others decide on which days there is a night.
    """
    switch = read_switch(instance, every_night.name, NAME)
    if switch is None or not switch.on:
        return ()
    runs = _read_dated_runs(instance)
    made = {day for day, status in runs if status is dg.DagsterRunStatus.SUCCESS}
    return tuple(missed_nights.find_missed_days(made, datetime.now(tz=CALIFORNIA).date()))


def _read_dated_runs(instance: dg.DagsterInstance) -> list[tuple[date, dg.DagsterRunStatus]]:
    """Returns the day and the status of each recent night that was asked for by its date.

    A night that new files started has none: the day was not over yet.
    """
    since = datetime.now(tz=CALIFORNIA) - timedelta(days=missed_nights.REMEMBERED + 1)
    filters = own_runs(job_name=night_job.name, created_after=since)
    found = []
    for record in instance.get_run_records(filters):
        config: Any = record.dagster_run.run_config
        day = config.get("resources", {}).get("night", {}).get("config", {}).get("date")
        if day:
            found.append((date.fromisoformat(day), record.dagster_run.status))
    return found


def configure_night(day: str, wait_mode: WaitMode = WaitMode.NOW) -> dg.RunConfig:
    """Returns the run configuration of the night of ``day`` (YYYY-MM-DD; empty for today)."""
    return dg.RunConfig(resources={"night": NightDate(date=day, take=wait_mode.value)})


_UNFINISHED = [
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
    poll = poll_inboxes(folders.paths)
    if poll.due is None:
        if poll.refused:
            raise ServersRefuseError("; ".join(poll.refused))
        return dg.SkipReason(poll.reason)
    unfinished = own_runs(job_name=night_job.name, statuses=_UNFINISHED)
    if context.instance.get_run_records(unfinished, limit=1):
        return dg.SkipReason(
            "new files can be taken; a night is running, and the next night takes them"
        )
    request = dg.RunRequest(
        run_key=poll.due,
        run_config=configure_night("", WaitMode.SETTLED),
        tags={"started_by": "files"},
    )
    return dg.SensorResult(run_requests=[request])


class ServersRefuseError(PermanentError):
    """An SFTP server refuses the scan until somebody acts."""
