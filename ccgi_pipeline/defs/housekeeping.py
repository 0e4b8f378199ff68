"""Housekeeping: the job that keeps the warehouse small, and the schedule that starts it.

Belongs here: what Dagster does for it, and Dagster's own old runs. What is kept, and when it is
due, is decided in ``operations.housekeeping``.
"""

from datetime import date, datetime, time, timedelta

import dagster as dg

from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.defs.code_location import RUN_TAGS, own_runs
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations import housekeeping as operation
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.warehouse.storage.connection import warehouse_exists
from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError


@dg.op(
    description="Lets old states of the warehouse expire, merges its small files, removes files "
    "that nobody needs, and deletes old runs if the settings say so. While a night writes, nothing "
    "is done, and the next day makes it up.",
)
def keep_warehouse_small(
    context: dg.OpExecutionContext, folders: dg.ResourceParam[NightFolders]
) -> None:
    """Does the housekeeping of one warehouse."""
    today = datetime.now(CALIFORNIA).date()
    try:
        result = operation.keep_house(folders.paths, today)
    except WarehouseBusyError:
        context.log.warning("A night is writing: the next day makes the housekeeping up.")
        context.add_output_metadata({"skipped": True})
        return
    runs = delete_old_runs(context.instance, folders.paths, today)
    context.add_output_metadata(
        {
            "states_expired": result.expired,
            "files_removed": result.removed,
            "files": result.after.files,
            "files_of_the_newest_state": result.after.live_files,
            "files_of_the_newest_state_before": result.before.live_files,
            "bytes": result.after.bytes,
            "runs_deleted": runs,
            "seconds": result.seconds,
        }
    )


@dg.job(
    name="housekeeping",
    tags=dict(RUN_TAGS),
    executor_def=dg.in_process_executor,
    description="Keeps the warehouse as small and as quick as its rows.",
)
def housekeeping_job() -> None:
    """Runs the housekeeping of one warehouse."""
    keep_warehouse_small()


@dg.schedule(
    job=housekeeping_job,
    cron_schedule="0 4 * * *",
    execution_timezone=CALIFORNIA.key,
    description="At four o'clock in California, on the weekday that the settings name. A day that "
    "was missed is made up by the next one.",
)
def housekeeping_nights(
    context: dg.ScheduleEvaluationContext, folders: dg.ResourceParam[NightFolders]
) -> dg.RunRequest | dg.SkipReason:
    """Looks whether housekeeping is due."""
    today = context.scheduled_execution_time.astimezone(CALIFORNIA).date()
    if not warehouse_exists(folders.paths.warehouse):
        return dg.SkipReason("there is no warehouse yet")
    if not operation.is_due(folders.paths, today):
        return dg.SkipReason("housekeeping is not due today")
    return dg.RunRequest(run_key=f"{today}")


def delete_old_runs(instance: dg.DagsterInstance, folders: PipelinePaths, today: date) -> int:
    """Deletes the runs that are older than the settings say; returns how many."""
    days = read_profiles(folders.warehouse).housekeeping.keep_runs_days
    return 0 if days is None else delete_runs_before(instance, today - timedelta(days=days))


def delete_runs_before(instance: dg.DagsterInstance, day: date) -> int:
    """Deletes the runs from before a day with all their events; returns how many."""
    begins = datetime.combine(day, time(), CALIFORNIA)
    before = instance.get_run_records(filters=own_runs(created_before=begins))
    old = [record.dagster_run.run_id for record in before]
    for run_id in old:
        instance.delete_run(run_id)
    # Dagster keeps the newest event of each asset apart from its run.
    instance.wipe_assets(
        [
            record.asset_entry.asset_key
            for record in instance.get_asset_records()
            if (newest := record.asset_entry.last_materialization_record) and newest.run_id in old
        ]
    )
    return len(old)
