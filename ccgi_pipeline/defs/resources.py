"""Resources: the folders of a run, the date of its night, and the connection to the warehouse.

Belongs here: what assets ask for. The folders come from the environment, so that the same
definitions serve the demo, a production machine and the tests.
"""

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource

from ccgi_pipeline.common.environment import DEFAULT_FOLDERS, INBOX, OUTBOX, WAREHOUSE
from ccgi_pipeline.common.extensions import VERIFIED_HERE
from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.receive import WaitMode
from ccgi_pipeline.warehouse.storage.checksums import checked_tables
from ccgi_pipeline.warehouse.storage.connection import attach_warehouse
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer


class NightDate(dg.ConfigurableResource[None]):
    """The day that a night is for: a date, or the day on which the run was made, in California.

    ``take``: which files it takes (``now``, ``wait``, ``settled``: see ``WaitMode``). ``fail_on``:
    the run fails in the end if a check of this weight or a heavier one did not pass.
    """

    date: str = ""
    take: str = WaitMode.NOW.value
    fail_on: Literal["nothing", "warning", "error"] = "nothing"

    @property
    def taking(self) -> WaitMode:
        """Which files the night takes, as a WaitMode."""
        return WaitMode(self.take)

    def of(self, context: dg.AssetExecutionContext) -> dt.date:
        """Returns the date of this run's night: the same for each step, and for a retried run."""
        if self.date:
            return dt.date.fromisoformat(self.date)
        record = context.instance.get_run_record_by_id(
            context.run.root_run_id or context.run.run_id
        )
        created = record.create_timestamp if record else dt.datetime.now(tz=CALIFORNIA)
        return created.astimezone(CALIFORNIA).date()


@dataclass(frozen=True, slots=True)
class NightFolders:
    """The three folders, for read-only access: nothing is opened, nothing is locked.

    A folder that is not given is that of the environment, else that of the demo.
    """

    inbox: str = ""
    outbox: str = ""
    warehouse: str = ""

    @property
    def paths(self) -> PipelinePaths:
        """Inbox, outbox and warehouse.

        The environment is read at each use: one process may run nights over several warehouses.
        """
        given = {INBOX: self.inbox, OUTBOX: self.outbox, WAREHOUSE: self.warehouse}
        return PipelinePaths(
            *(
                Path(path or os.environ.get(variable) or DEFAULT_FOLDERS[variable])
                for variable, path in given.items()
            )
        )


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The three folders, and the connection to the warehouse, which is its default catalog."""

    folders: PipelinePaths
    connection: duckdb.DuckDBPyConnection


@contextmanager
def open_for_run(folders: PipelinePaths) -> Iterator[Warehouse]:
    """Opens and locks the warehouse for one run. Raises WarehouseBusyError if another run writes.

    What it reads is compared with what was written. Raises CatalogDamagedError and
    TablesDamagedError.
    """
    duckdb_resource = DuckDBResource(database=":memory:", connection_config={**VERIFIED_HERE})
    with exclusive_writer(folders.warehouse), duckdb_resource.get_connection() as connection:
        attach_warehouse(connection, folders.warehouse)
        create_missing_tables(connection)
        try:
            with checked_tables(connection, folders.warehouse):
                yield Warehouse(folders, connection)
        finally:
            connection.close()  # before the lock is released, however the run ended


def build_folder_resources(folders: NightFolders | None = None) -> dict[str, dg.ResourceDefinition]:
    """Returns the resources ``folders`` and ``warehouse``.

    They have no configuration: whoever starts a run in the UI cannot point it at other folders.
    """
    chosen = folders or NightFolders()

    @dg.resource(config_schema={}, description="Inbox, outbox and warehouse, as paths.")
    def folders_resource(_: dg.InitResourceContext) -> NightFolders:
        return chosen

    @dg.resource(config_schema={}, description="The warehouse, open and locked during a run.")
    @contextmanager
    def warehouse_resource(_: dg.InitResourceContext) -> Iterator[Warehouse]:
        with open_for_run(chosen.paths) as opened:
            yield opened

    return {"folders": folders_resource, "warehouse": warehouse_resource}


@dg.definitions
def surroundings() -> dg.Definitions:
    """Returns the resources, and the executor: a night is one process."""
    return dg.Definitions(
        resources={"night": NightDate.configure_at_launch(), **build_folder_resources()},
        executor=dg.in_process_executor,
    )
