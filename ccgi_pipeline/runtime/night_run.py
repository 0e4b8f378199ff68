"""One run of the night's job from the command line, with the same definitions as the UI."""

import functools
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import dagster as dg

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.definitions import defs
from ccgi_pipeline.defs.automation import DAILY_ASSETS, for_date, night_job
from ccgi_pipeline.defs.drops import SERVERS_ANSWER
from ccgi_pipeline.defs.heartbeat import find_failed_steps
from ccgi_pipeline.defs.workers import workers
from ccgi_pipeline.nightly.deliver import has_pending_deliveries
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.summary import (
    NightStart,
    NightSummary,
    read_last_position,
    read_night_start,
    summarize_night,
)
from ccgi_pipeline.profiles import FILE_NAME as PROFILES
from ccgi_pipeline.runtime.dagster_instance import (
    dagster_home,
    end_dead_runs,
    folder_variables,
    translated_errors,
)
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer


class NightFailedError(PermanentError):
    """A step of the night failed, or a blocking check. What was committed before stays."""


def run_night(folders: PipelinePaths, on: date) -> NightSummary:
    """Runs the job for the night of ``on``; a quiet one, only what a new day changes.

    Where a quiet night was run before and its reports lie as they were written, nothing is run.
    Raises NightFailedError naming the steps that failed, WarehouseBusyError where another night
    is on, WorkersError.
    """
    os.environ.update(folder_variables(folders))
    workers()  # settings that do not fit are told before anything is touched
    with exclusive_writer(folders.warehouse):
        home = dagster_home(folders.warehouse)
        before = read_night_start(folders)
        waits = has_pending_deliveries(folders.warehouse)
        if before.quiet and not waits and _as_we_left_it(folders, on, before):
            return summarize_night(folders, on, before)
    config = for_date(on.isoformat()).to_config_dict()  # type: ignore[no-untyped-call]
    config["loggers"] = {"console": {"config": {"log_level": "CRITICAL"}}}
    selection = [*DAILY_ASSETS] if before.quiet else None
    with translated_errors(folders), dg.DagsterInstance.from_config(str(home)) as instance:
        result = _executed(instance, folders, config, selection)
        if not result.success:
            failures = find_failed_steps(result.all_events)
            # Of others' errors the kind alone is told: their words may hold values.
            failed = [
                f"{s.step} failed: {s.words}" if s.words else f"{s.step} failed ({s.error})"
                for s in failures
            ]
            raise NightFailedError("\n".join(failed) or "a blocking check failed")
    _remember(folders, on)
    return replace(summarize_night(folders, on, before), not_had=_not_had(result.all_events))


def _not_had(events: Iterable[dg.DagsterEvent]) -> tuple[str, ...]:
    """What the night's look into the inboxes could not have."""
    judged = (
        event.asset_check_evaluation_data
        for event in events
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    asked = (one for one in judged if one.check_name == SERVERS_ANSWER and not one.passed)
    return tuple(str(told.value) for one in asked for told in one.metadata.values())


def _executed(
    instance: dg.DagsterInstance,
    folders: PipelinePaths,
    config: dict[str, object],
    selection: Sequence[dg.AssetKey] | None,
) -> dg.ExecuteInProcessResult | dg.JobExecutionResult:
    """Executes the job in this process; with several workers, this one only leads."""
    if not workers().several:
        end_dead_runs(instance)
        return night().execute_in_process(
            instance=instance, run_config=config, raise_on_error=False, asset_selection=selection
        )
    with exclusive_writer(folders.warehouse):
        end_dead_runs(instance)
    return dg.execute_job(
        dg.reconstructable(night), instance, run_config=config, asset_selection=selection
    )


def night() -> dg.JobDefinition:
    """The job; workers make it again by this function's name."""
    return _night()


@functools.cache
def _night() -> dg.JobDefinition:
    return defs().resolve_job_def(night_job.name)


_LEFT = "reported.sha256"
"""What a night leaves in the warehouse folder, to know its own work again."""


def _as_we_left_it(folders: PipelinePaths, on: date, before: NightStart) -> bool:
    left = folders.warehouse / _LEFT
    return left.exists() and left.read_text() == _fingerprint(folders, on, before)


def _remember(folders: PipelinePaths, on: date) -> None:
    fingerprint = _fingerprint(folders, on, NightStart(read_last_position(folders)))
    (folders.warehouse / _LEFT).write_text(fingerprint)


def _fingerprint(folders: PipelinePaths, on: date, before: NightStart) -> str:
    """Of all that the reports of ``on`` hang on, code and settings included, and of their files."""
    package = Path(__file__).parents[1]
    files = [
        *(
            (str(path), path.stat())
            for path in package.rglob("*")
            if path.suffix in {".py", ".sql", ".jinja", ".css", ".tsv"}
        ),
        *((entry.path, entry.stat()) for entry in folders.outgoing.files_on(on)),
        *((str(path), path.stat()) for path in folders.warehouse.glob(PROFILES)),
    ]
    digest = hashlib.sha256(f"{on} {before.last_drop}".encode())
    for path, stat in sorted(files):
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="replace"))
    return digest.hexdigest()
