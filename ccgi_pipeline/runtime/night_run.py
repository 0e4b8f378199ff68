"""One run of the night's job from the command line, with the same definitions as the UI.

Belongs here: starting the job, what failed in it, what its checks say, and whether there is
anything to do at all.
"""

import functools
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import dagster as dg

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.definitions import defs
from ccgi_pipeline.defs.automation import DAILY_ASSETS, configure_night, night_job
from ccgi_pipeline.defs.check_results import CheckResult, read_last_results
from ccgi_pipeline.defs.code_location import LOCATION
from ccgi_pipeline.defs.dagster_internals import execute_job
from ccgi_pipeline.defs.drops import SERVERS_ANSWER
from ccgi_pipeline.defs.heartbeat import find_failed_steps
from ccgi_pipeline.delivery.ledger import MadeFile
from ccgi_pipeline.nightly.deliver import has_pending_deliveries
from ccgi_pipeline.nightly.made_files import list_made_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.summary import (
    NightSummary,
    read_night_start,
    summarize_night,
)
from ccgi_pipeline.profiles import FILE_NAME as PROFILES
from ccgi_pipeline.runtime.dagster_instance import (
    fail_dead_runs,
    folders_in_environment,
    prepare_dagster_home,
    translate_errors,
)
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer


class NightFailedError(PermanentError):
    """A step of the night or a blocking check failed. What was committed before stays."""


def run_night(folders: PipelinePaths, on: date) -> NightSummary:
    """Runs the job for the night of ``on``; without new files, only what a new day changes.

    If that was done before and the reports are as they were written, nothing is run. Raises
    NightFailedError with the steps that failed, WarehouseBusyError if another night is running.
    """
    with folders_in_environment(folders), translate_errors(folders):
        return _run_night(folders, on)


def _run_night(folders: PipelinePaths, on: date) -> NightSummary:
    with exclusive_writer(folders.warehouse):
        home = prepare_dagster_home(folders.warehouse)
        before = read_night_start(folders)
        waits = has_pending_deliveries(folders.warehouse)
        made = list_made_files(folders, on)
        if before.quiet and not waits and _is_unchanged(folders, on, before.last_drop, made):
            return summarize_night(folders, on, before, made)
    config = configure_night(on.isoformat()).to_config_dict()  # type: ignore[no-untyped-call]
    config["loggers"] = {"console": {"config": {"log_level": "CRITICAL"}}}
    selection = DAILY_ASSETS if before.quiet else ()
    with translate_errors(folders), dg.DagsterInstance.from_config(str(home)) as instance:
        with exclusive_writer(folders.warehouse):
            fail_dead_runs(instance)
        with _no_search_for_pandas():
            result = execute_job(instance, _night(), LOCATION, config, selection)
        if not result.success:
            failures = find_failed_steps(result.all_events)
            # Messages of other libraries may hold values: of their errors only the kind is shown.
            failed = [
                f"{s.step} failed: {s.words}" if s.words else f"{s.step} failed ({s.error})"
                for s in failures
            ]
            raise NightFailedError("\n".join(failed) or "a blocking check failed")
    made = list_made_files(folders, on)
    summary = summarize_night(folders, on, before, made)
    fingerprint = _compute_fingerprint(folders, on, summary.last_drop, made)
    (folders.warehouse / _FINGERPRINT_FILE).write_text(fingerprint)
    return replace(summary, unreachable=_list_unreachable(result.all_events))


@contextmanager
def _no_search_for_pandas() -> Iterator[None]:
    """Lets DuckDB know that pandas is not installed, if it is not.

    DuckDB looks for it in every folder of Python at each statement with values, which is 6,000
    times in a night, a tenth of a millisecond each.
    """
    if find_spec("pandas") is not None:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pandas"]


def _list_unreachable(events: Iterable[dg.DagsterEvent]) -> tuple[str, ...]:
    """Returns what could not be fetched from the inboxes, and why."""
    judged = (
        event.asset_check_evaluation_data
        for event in events
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    asked = (one for one in judged if one.check_name == SERVERS_ANSWER and not one.passed)
    return tuple(str(told.value) for one in asked for told in one.metadata.values())


def read_check_results(folders: PipelinePaths) -> list[CheckResult]:
    """Returns the last result of each check, as the UI shows it.

    A night without new files evaluates only some of them, and one that is not run again none.
    """
    home = prepare_dagster_home(folders.warehouse)
    checks = defs().resolve_asset_graph().asset_check_keys
    with translate_errors(folders), dg.DagsterInstance.from_config(str(home)) as instance:
        return read_last_results(instance, checks)


@functools.cache
def _night() -> dg.JobDefinition:
    return defs().resolve_job_def(night_job.name)


_FINGERPRINT_FILE = "reported.sha256"
"""A file of the warehouse folder: the fingerprint of the last night."""


def _is_unchanged(
    folders: PipelinePaths, on: date, last_drop: int, made: Iterable[MadeFile]
) -> bool:
    saved = folders.warehouse / _FINGERPRINT_FILE
    return saved.exists() and saved.read_text() == _compute_fingerprint(
        folders, on, last_drop, made
    )


def _compute_fingerprint(
    folders: PipelinePaths, on: date, last_drop: int, made: Iterable[MadeFile]
) -> str:
    """Hashes all that the reports of ``on`` depend on, with code and settings, and their files."""
    package = Path(__file__).parents[1]
    files = [
        *(
            (str(path), path.stat())
            for path in package.rglob("*")
            if path.suffix in {".py", ".sql", ".jinja", ".css", ".js", ".tsv"}
        ),
        *((str(path), path.stat()) for path in folders.warehouse.glob(PROFILES)),
    ]
    digest = hashlib.sha256(f"{on} {last_drop}".encode())
    for path, stat in sorted(files):
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="replace"))
    root = f"{folders.outbox}{os.sep}"
    for file in made:
        with suppress(OSError):
            stat = os.lstat(f"{root}{file.path}")
            digest.update(f"{file.path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
