"""The Dagster instance that keeps the run history of a warehouse."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from importlib.util import find_spec
from pathlib import Path

import dagster as dg

from ccgi_pipeline.common.environment import INBOX, OUTBOX, WAREHOUSE, read_variable
from ccgi_pipeline.common.errors import PermanentError, library_errors, to_pipeline_error
from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.defs.dagster_internals import fail_run
from ccgi_pipeline.defs.heartbeat import check_health
from ccgi_pipeline.defs.receipts import DISTRICTS
from ccgi_pipeline.monitoring.alerts.types import Alert
from ccgi_pipeline.monitoring.health import FROM_OUTSIDE
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection

PROJECT_ROOT = Path(__file__).parents[2]


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
    settings = PROJECT_ROOT / "dagster.yaml"
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
    named = read_variable(os.environ, DAGSTER_AT, DagsterStorageError)
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


def folder_variables(folders: PipelinePaths) -> dict[str, str]:
    """The environment variables that name ``folders`` to the definitions."""
    return {
        INBOX: str(folders.inbox.absolute()),
        OUTBOX: str(folders.outbox.absolute()),
        WAREHOUSE: str(folders.warehouse.absolute()),
    }


def end_dead_runs(instance: dg.DagsterInstance) -> None:
    """Nobody else writes, so what still counts as running was killed; it would block the queue."""
    running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
    for record in instance.get_run_records(filters=running):
        fail_run(instance, record.dagster_run, "The process that ran this night was killed.")


def delete_runs(warehouse: Path, selection: PurgeSelection) -> int:
    """Removes the runs from before a day with all their events, or a district's partition.

    Returns how many runs went.
    """
    with dg.DagsterInstance.from_config(str(dagster_home(warehouse))) as instance:
        if selection.district:
            instance.delete_dynamic_partition(DISTRICTS.name or "", selection.district)
            return 0
        begins = datetime.combine(selection.before or date.min, time(), CALIFORNIA)
        before = instance.get_run_records(filters=dg.RunsFilter(created_before=begins))
        old = [record.dagster_run.run_id for record in before]
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
def translated_errors(folders: PipelinePaths) -> Iterator[None]:
    """Has what goes wrong in the orchestrator itself, such as a full disk, be an error of ours."""
    try:
        yield
    except library_errors() as error:
        raise to_pipeline_error(error, folders.write_folders) from None


def check_from_outside(folders: PipelinePaths, *, notify: bool) -> tuple[list[Alert], list[str]]:
    """What a look at the machinery finds (``heartbeat.check_health``), without its daemon."""
    os.environ.update(folder_variables(folders))
    with (
        translated_errors(folders),
        dg.DagsterInstance.from_config(str(dagster_home(folders.warehouse))) as instance,
    ):
        return check_health(folders, instance, watcher=FROM_OUTSIDE, notify=notify)
