"""The Dagster instance that keeps the run history of a warehouse.

Belongs here: its folder and its settings, and what is done with an instance apart from a night.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from importlib.util import find_spec
from pathlib import Path

import dagster as dg

from ccgi_pipeline.common.environment import INBOX, OUTBOX, WAREHOUSE, read_variable
from ccgi_pipeline.common.errors import PermanentError, library_errors, to_pipeline_error
from ccgi_pipeline.defs.code_location import own_runs
from ccgi_pipeline.defs.dagster_internals import EventLogStorage, fail_run, touch_storage
from ccgi_pipeline.defs.district_partitions import delete_partition
from ccgi_pipeline.defs.heartbeat import check_health
from ccgi_pipeline.defs.housekeeping import delete_old_runs, delete_runs_before
from ccgi_pipeline.monitoring.alerts.types import Alert
from ccgi_pipeline.monitoring.health import FROM_OUTSIDE
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection

PROJECT_ROOT = Path(__file__).parents[2]


DAGSTER_DATABASE = "CCGI_DAGSTER_POSTGRES"
"""Environment variable (or ``_FILE``): the address of a database for Dagster's runs, which else are
in files of the warehouse folder. It holds a password: ``dagster.yaml`` names only the variable."""


_ON_POSTGRESQL = f"""
storage:
  postgres:
    postgres_url:
      env: {DAGSTER_DATABASE}
"""


_IN_FILES = f"""
event_log_storage:
  module: {EventLogStorage.__module__}
  class: {EventLogStorage.__name__}
  config:
    base_dir: "{{home}}/history/runs"
"""


class DagsterStorageError(PermanentError):
    """The address of the database for Dagster's runs cannot be used: correct it."""


def prepare_dagster_home(warehouse: Path) -> Path:
    """Writes the project's settings into the folder of the warehouse's Dagster instance.

    Returns the folder. Where the environment names a database, the runs are kept there. Raises
    DagsterStorageError.
    """
    home = warehouse / "dagster"
    settings = PROJECT_ROOT / "dagster.yaml"
    written = settings.read_text() if settings.exists() else ""
    written += _ON_POSTGRESQL if _use_database() else _IN_FILES
    if not (home / _COMPLETE).exists():
        _make_storage(home, written)
    _write_settings(home, written)
    return home


_COMPLETE = "storage.complete"
"""An empty file in the folder: Dagster's databases have all their tables."""


def _write_settings(home: Path, settings: str) -> None:
    # Several machines may share the folder: none may read half a file.
    part = home / f"dagster.yaml.{os.getpid()}.part"
    part.write_text(settings.replace("{home}", json.dumps(str(home.absolute()))[1:-1]))
    part.replace(home / "dagster.yaml")


def _make_storage(home: Path, settings: str) -> None:
    """Lets one process make Dagster's databases, in a folder that appears when they are complete.

    Each process that first opens Dagster's databases makes them, without a lock: two at once leave
    tables that no later one can open.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (home / _COMPLETE).exists():
            return
        # A folder of an earlier version has its databases already, or begins them here.
        making = home if home.exists() else home.with_name(f"{home.name}.part")
        if making != home:
            shutil.rmtree(making, ignore_errors=True)  # of a process that was killed
            making.mkdir()
        _write_settings(making, settings)
        with dg.DagsterInstance.from_config(str(making)) as instance:
            touch_storage(instance)
        (making / _COMPLETE).touch()
        if making != home:
            making.replace(home)


def _use_database() -> bool:
    """Tells whether the environment names a database, and puts its address into the variable."""
    named = read_variable(os.environ, DAGSTER_DATABASE, DagsterStorageError)
    if named is None:
        return False
    scheme, _, rest = named.strip().partition("://")
    if scheme not in {"postgresql", "postgresql+psycopg2"} or not rest:
        msg = (
            f"{DAGSTER_DATABASE} names no database: write postgresql://user:password@host:5432/name"
        )
        raise DagsterStorageError(msg)
    if find_spec("dagster_postgres") is None:
        msg = (
            f"{DAGSTER_DATABASE} is set: install ccgi-pipeline[deploy], which has dagster_postgres"
        )
        raise DagsterStorageError(msg)
    os.environ[DAGSTER_DATABASE] = f"postgresql+psycopg2://{rest}"
    os.environ.pop(f"{DAGSTER_DATABASE}_FILE", None)
    return True


def build_folder_variables(folders: PipelinePaths) -> dict[str, str]:
    """Returns the environment variables that name ``folders`` to the definitions."""
    return {
        INBOX: str(folders.inbox.absolute()),
        OUTBOX: str(folders.outbox.absolute()),
        WAREHOUSE: str(folders.warehouse.absolute()),
    }


@contextmanager
def folders_in_environment(folders: PipelinePaths) -> Iterator[None]:
    """Names ``folders`` to the definitions of this process and its children, for a while."""
    variables = build_folder_variables(folders)
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(before)


def fail_dead_runs(instance: dg.DagsterInstance) -> None:
    """Records as failed the runs whose process was killed: they would block the queue.

    Call it only while no other process writes: then no run can be under way.
    """
    running = own_runs(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    for record in instance.get_run_records(filters=running):
        fail_run(instance, record.dagster_run, "The process that ran this night was killed.")


def delete_runs(warehouse: Path, selection: PurgeSelection) -> int:
    """Deletes the runs from before a day with all their events, or a district's partition.

    Returns the number of runs deleted.
    """
    with dg.DagsterInstance.from_config(str(prepare_dagster_home(warehouse))) as instance:
        if selection.district:
            delete_partition(instance, selection.district)
            return 0
        return delete_runs_before(instance, selection.before or date.min)


def delete_old_runs_of(folders: PipelinePaths, today: date) -> int:
    """Deletes the runs that are older than the settings say; returns how many."""
    home = prepare_dagster_home(folders.warehouse)
    with translate_errors(folders), dg.DagsterInstance.from_config(str(home)) as instance:
        return delete_old_runs(instance, folders, today)


@contextmanager
def translate_errors(folders: PipelinePaths) -> Iterator[None]:
    """Translates errors of Dagster itself, such as a full disk, into pipeline errors."""
    try:
        yield
    except library_errors() as error:
        raise to_pipeline_error(error, folders.write_folders) from None


def check_health_from_outside(
    folders: PipelinePaths, *, notify: bool
) -> tuple[list[Alert], list[str]]:
    """Checks the health of the pipeline without Dagster's daemon (``heartbeat.check_health``)."""
    with (
        folders_in_environment(folders),
        translate_errors(folders),
        dg.DagsterInstance.from_config(str(prepare_dagster_home(folders.warehouse))) as instance,
    ):
        return check_health(folders, instance, watcher=FROM_OUTSIDE, notify=notify)
