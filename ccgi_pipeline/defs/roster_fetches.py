"""Rosters by API: the job that fetches them, and the sensor that starts it when one is due.

Belongs here: what Dagster does for them. When a roster is due is decided in
``oneroster_api.schedule``. A fetched roster lies in the inbox as a drop; the sensor of new files,
or the scheduled night, takes it.
"""

import hashlib
from datetime import UTC, datetime

import dagster as dg

from ccgi_pipeline.common.errors import PermanentError, TransientError
from ccgi_pipeline.defs.code_location import RUN_TAGS, own_runs
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.nightly.roster_fetches import fetch_districts, find_due_districts

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


class RostersNotFetchedError(PermanentError):
    """Rosters of districts were not fetched: the message says which, and why."""


class RostersUnavailableError(TransientError):
    """Servers of districts did not answer: the next fetch asks them again."""


@dg.op(
    description="Fetches every roster that is due, several side by side. One district's fetch "
    "never stops another's; the step fails at the end if one failed.",
)
def fetch_due_rosters(
    context: dg.OpExecutionContext, folders: dg.ResourceParam[NightFolders]
) -> None:
    """Fetches every roster that is due."""
    profiles, due = find_due_districts(folders.paths)
    outcomes = fetch_districts(folders.paths, profiles, due)
    for outcome in outcomes:
        result = outcome.result
        if result is not None:
            became = "nothing is new" if result.drop is None else f"drop {result.drop.name}"
            told = f"{result.records:,} records, {result.mode} ({result.why}); {became}"
            context.log.info("%s: %s", outcome.cd, told)
    failed = [outcome for outcome in outcomes if outcome.result is None]
    if failed:
        words = "; ".join(f"{outcome.cd}: {outcome.why}" for outcome in failed)
        refused = any(outcome.permanent for outcome in failed)
        raise RostersNotFetchedError(words) if refused else RostersUnavailableError(words)


@dg.job(
    name="fetch_rosters",
    tags=dict(RUN_TAGS),
    executor_def=dg.in_process_executor,
    description="Fetches the rosters of districts whose profile names a OneRoster API, if due.",
)
def fetch_rosters_job() -> None:
    """Runs the fetches that are due."""
    fetch_due_rosters()


@dg.sensor(
    job_name=fetch_rosters_job.name,
    minimum_interval_seconds=300,
    description="Starts the job when the roster of a district is due by its profile. Does nothing "
    "where no district has a OneRoster API.",
)
def oneroster_fetches(
    context: dg.SensorEvaluationContext, folders: dg.ResourceParam[NightFolders]
) -> dg.RunRequest | dg.SkipReason:
    """Looks whether a roster is due."""
    now = datetime.now(UTC)
    profiles, due = find_due_districts(folders.paths, now)
    if not profiles.api_districts:
        return dg.SkipReason("no district has a OneRoster API")
    if not due:
        return dg.SkipReason("no roster is due")
    unfinished = own_runs(job_name=fetch_rosters_job.name, statuses=UNFINISHED)
    if context.instance.get_run_records(unfinished, limit=1):
        return dg.SkipReason("rosters are being fetched")
    identity = hashlib.sha256(f"{now:%Y-%m-%d %H:%M} {','.join(due)}".encode())
    return dg.RunRequest(run_key=identity.hexdigest())
