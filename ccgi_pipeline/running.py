"""Running the night from a command: the same definitions that the UI runs.

Belongs here: the instance that keeps a warehouse's run history, one execution of the job (in this
process, or spread over workers), and a worker.
"""

import functools
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, datetime, time
from importlib.util import find_spec
from pathlib import Path

import dagster as dg

from ccgi_pipeline.definitions import defs
from ccgi_pipeline.defs.answers import DISTRICTS
from ccgi_pipeline.defs.automation import DAILY_ASSETS, for_date, night_job
from ccgi_pipeline.defs.heartbeat import failed_steps, look_and_tell
from ccgi_pipeline.defs.receiving import SERVERS_ANSWER
from ccgi_pipeline.defs.resources import INBOX, OUTBOX, WAREHOUSE
from ccgi_pipeline.defs.workers import WorkersError, workers
from ccgi_pipeline.errors import UNFORESEEN, PermanentError, as_ours
from ccgi_pipeline.given import given
from ccgi_pipeline.heartbeat import FROM_OUTSIDE
from ccgi_pipeline.night import (
    Before,
    Folders,
    NightSummary,
    before_the_night,
    last_drop,
    summary,
    waits_for_delivery,
)
from ccgi_pipeline.notices.troubles import Trouble
from ccgi_pipeline.profiles import FILE_NAME as PROFILES
from ccgi_pipeline.reports.building import CALIFORNIA
from ccgi_pipeline.warehouse import lake
from ccgi_pipeline.warehouse.purging import Wish
from ccgi_pipeline.worker import BROKER, RESULTS

_PROJECT = Path(__file__).parents[1]


class NightFailedError(PermanentError):
    """A step of the night failed, or a blocking check. What was committed before stays."""


DAGSTER_AT = "CCGI_DAGSTER_POSTGRES"
"""Environment variable (or ``_FILE``): the database in which Dagster keeps its runs, if not in
files of the warehouse's folder. It holds a password: ``dagster.yaml`` names the variable only."""
_ON_POSTGRESQL = f"""
storage:
  postgres:
    postgres_url:
      env: {DAGSTER_AT}
"""


class DagsterStorageError(PermanentError):
    """The database of Dagster's runs is named wrongly."""


def dagster_home(warehouse: Path) -> Path:
    """The folder of the warehouse's own Dagster instance, with the project's settings.

    Where the environment names a database for it, its runs are there. Raises DagsterStorageError.
    """
    home = warehouse / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    settings = _PROJECT / "dagster.yaml"
    written = settings.read_text() if settings.exists() else ""
    if _names_database():
        written += _ON_POSTGRESQL
    # Several machines may share the folder: whoever reads sees all of it.
    part = home / f"dagster.yaml.{os.getpid()}.part"
    part.write_text(written)
    part.replace(home / "dagster.yaml")
    return home


def _names_database() -> bool:
    """Whether the environment names a database for runs; has the variable itself hold it."""
    named = given(os.environ, DAGSTER_AT, DagsterStorageError)
    if named is None:
        return False
    scheme, _, rest = named.strip().partition("://")
    if scheme not in {"postgresql", "postgresql+psycopg2"} or not rest:
        msg = f"{DAGSTER_AT} names no database: postgresql://user:password@host:5432/name"
        raise DagsterStorageError(msg)
    if find_spec("dagster_postgres") is None:
        msg = f"{DAGSTER_AT} is set: install ccgi-pipeline[workers], which has dagster_postgres"
        raise DagsterStorageError(msg)
    os.environ[DAGSTER_AT] = f"postgresql+psycopg2://{rest}"
    os.environ.pop(f"{DAGSTER_AT}_FILE", None)
    return True


def environment(folders: Folders) -> dict[str, str]:
    """The environment variables that name ``folders`` to the definitions."""
    return {
        INBOX: str(folders.inbox.absolute()),
        OUTBOX: str(folders.outbox.absolute()),
        WAREHOUSE: str(folders.warehouse.absolute()),
    }


def run_night(folders: Folders, on: date) -> NightSummary:
    """Runs the job for the night of ``on``; a quiet one, only what a new day changes.

    Where a quiet night was run before and its reports lie as they were written, nothing is run.
    Raises NightFailedError naming the steps that failed, WarehouseBusyError where another night
    is on, WorkersError.
    """
    os.environ.update(environment(folders))
    workers()  # settings that do not fit are told before anything is touched
    with lake.only_writer(folders.warehouse):
        home = dagster_home(folders.warehouse)
        before = before_the_night(folders)
        waits = waits_for_delivery(folders.warehouse)
        if before.quiet and not waits and _as_we_left_it(folders, on, before):
            return summary(folders, on, before)
    config = for_date(on.isoformat()).to_config_dict()  # type: ignore[no-untyped-call]
    config["loggers"] = {"console": {"config": {"log_level": "CRITICAL"}}}
    selection = [*DAILY_ASSETS] if before.quiet else None
    with no_words_of_others(folders), dg.DagsterInstance.from_config(str(home)) as instance:
        result = _executed(instance, folders, config, selection)
        if not result.success:
            failures = failed_steps(result.all_events)
            # Of others' errors the kind alone is told: their words may hold values.
            failed = [
                f"{s.step} failed: {s.words}" if s.words else f"{s.step} failed ({s.error})"
                for s in failures
            ]
            raise NightFailedError("\n".join(failed) or "a blocking check failed")
    _remember(folders, on)
    return replace(summary(folders, on, before), not_had=_not_had(result.all_events))


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
    folders: Folders,
    config: dict[str, object],
    selection: Sequence[dg.AssetKey] | None,
) -> dg.ExecuteInProcessResult | dg.JobExecutionResult:
    """Executes the job in this process; with several workers, this one only leads."""
    if not workers().several:
        _end_dead_runs(instance)
        return night().execute_in_process(
            instance=instance, run_config=config, raise_on_error=False, asset_selection=selection
        )
    with lake.only_writer(folders.warehouse):
        _end_dead_runs(instance)
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


def _as_we_left_it(folders: Folders, on: date, before: Before) -> bool:
    left = folders.warehouse / _LEFT
    return left.exists() and left.read_text() == _fingerprint(folders, on, before)


def _remember(folders: Folders, on: date) -> None:
    fingerprint = _fingerprint(folders, on, Before(last_drop(folders)))
    (folders.warehouse / _LEFT).write_text(fingerprint)


def _fingerprint(folders: Folders, on: date, before: Before) -> str:
    """Of all that the reports of ``on`` hang on, code and settings included, and of their files."""
    package = Path(__file__).parent
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


def _end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Nobody else writes, so what still counts as running was killed; it would block the queue."""
    running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    for run in instance.get_runs(filters=running):
        instance.report_run_failed(run, "The process that ran this night was killed.")


def forget_runs(warehouse: Path, wish: Wish) -> int:
    """Removes the runs from before a day with all their events, or a district's partition.

    Returns how many runs went.
    """
    with dg.DagsterInstance.from_config(str(dagster_home(warehouse))) as instance:
        if wish.district:
            instance.delete_dynamic_partition(DISTRICTS.name or "", wish.district)
            return 0
        begins = datetime.combine(wish.before or date.min, time(), CALIFORNIA)
        old = instance.get_run_ids(filters=dg.RunsFilter(created_before=begins))
        for run_id in old:
            instance.delete_run(run_id)
        # Of each asset its newest event is kept apart.
        instance.wipe_assets(
            [
                record.asset_entry.asset_key
                for record in instance.get_asset_records()
                if (newest := record.asset_entry.last_materialization_record)
                and newest.run_id in old
            ]
        )
        return len(old)


@contextmanager
def no_words_of_others(folders: Folders) -> Iterator[None]:
    """Has what goes wrong in the orchestrator itself, such as a full disk, be an error of ours."""
    try:
        yield
    except UNFORESEEN as error:
        raise as_ours(error, folders.places) from None


def look_from_outside(folders: Folders, *, notify: bool) -> tuple[list[Trouble], list[str]]:
    """What a look at the machinery finds (``heartbeat.look_and_tell``), without its daemon."""
    os.environ.update(environment(folders))
    with (
        no_words_of_others(folders),
        dg.DagsterInstance.from_config(str(dagster_home(folders.warehouse))) as instance,
    ):
        return look_and_tell(folders, instance, watcher=FROM_OUTSIDE, notify=notify)


def serve(folders: Folders, port: int, *, read_only: bool = False) -> int:
    """Serves the UI on 127.0.0.1 until interrupted; the exit status.

    A daemon runs beside it; not where it is ``read_only``: then nothing can be started or changed.
    """
    home = dagster_home(folders.warehouse)
    variables = {**os.environ, **environment(folders), "DAGSTER_HOME": str(home.absolute())}
    workspace = str(_PROJECT / "workspace.yaml")
    scripts = Path(sys.executable).parent
    server = [
        f"{scripts / 'dagster-webserver'}",
        "-h",
        "127.0.0.1",
        "-p",
        f"{port}",
        "-w",
        workspace,
    ]
    if read_only:
        with suppress(KeyboardInterrupt):
            return subprocess.call([*server, "--read-only"], env=variables)
        return 0
    with dg.DagsterInstance.from_config(str(home)) as instance, lake.only_writer(folders.warehouse):
        _end_dead_runs(instance)
        if lake.exists(folders.warehouse):
            lake.bring_up_to_date(folders.warehouse)  # the sensor reads it before any night
    daemon = subprocess.Popen([scripts / "dagster-daemon", "run", "-w", workspace], env=variables)
    try:
        return subprocess.call(server, env=variables)
    except KeyboardInterrupt:
        return 0
    finally:
        daemon.terminate()
        daemon.wait()


def work(folders: Folders, processes: int) -> None:
    """Becomes a worker with so many processes at once, until it is ended; does not return.

    Raises WorkersError where the environment names no broker.
    """
    settings = workers()
    if settings.broker is None or not settings.several:
        msg = (
            "a worker takes steps from a broker: set CCGI_WORKERS, CCGI_EXECUTOR=celery and "
            "CCGI_BROKER as for the night itself"
        )
        raise WorkersError(msg)
    dagster_home(folders.warehouse)  # has the variable name the database, not a file
    addresses = {BROKER: settings.broker, RESULTS: settings.results or ""}
    variables = {**os.environ, **environment(folders), **addresses}
    for name in addresses:
        variables.pop(f"{name}_FILE", None)
    program = [sys.executable, "-m", "ccgi_pipeline.worker", f"{processes}"]
    sys.stdout.flush()
    os.execve(sys.executable, program, variables)
