"""Resources: the folders of a run, the date of its night, and the connection to the warehouse.

Belongs here: what assets ask for. The folders come from the environment, so that the same
definitions serve the demo, a production machine and the tests.
"""

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import PrivateAttr

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

    ``take``: which files it takes (``now``, ``wait``, ``settled``: see ``WaitMode``).
    """

    date: str = ""
    take: str = WaitMode.NOW.value

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


class NightFolders(dg.ConfigurableResource[None]):
    """The three folders, for read-only access: nothing is opened, nothing is locked."""

    inbox: str = ""
    outbox: str = ""
    warehouse: str = ""

    @property
    def paths(self) -> PipelinePaths:
        """Inbox, outbox and warehouse."""
        return _resolve_folders(self.inbox, self.outbox, self.warehouse)


def _resolve_folders(inbox: str, outbox: str, warehouse: str) -> PipelinePaths:
    """Takes each folder as given, else from the environment, else from the demo.

    The environment is read at each use: one process may run nights over several warehouses.
    """
    given = {INBOX: inbox, OUTBOX: outbox, WAREHOUSE: warehouse}
    return PipelinePaths(
        *(
            Path(path or os.environ.get(variable) or DEFAULT_FOLDERS[variable])
            for variable, path in given.items()
        )
    )


class Warehouse(DuckDBResource):
    """The three folders, and the warehouse in one of them, open and locked during a run."""

    database: str = ":memory:"
    connection_config: dict[str, Any] = VERIFIED_HERE
    inbox: str = ""
    outbox: str = ""
    warehouse: str = ""
    _connection: duckdb.DuckDBPyConnection | None = PrivateAttr(default=None)

    @property
    def folders(self) -> PipelinePaths:
        """Inbox, outbox and warehouse."""
        return _resolve_folders(self.inbox, self.outbox, self.warehouse)

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The run's connection; the warehouse is its default catalog."""
        if self._connection is None:
            msg = "the warehouse is open only while a run is executed"
            raise RuntimeError(msg)
        return self._connection

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Warehouse"]:
        """Opens the warehouse for one run. Raises WarehouseBusyError if another run writes.

        What it reads is compared with what was written. Raises CatalogDamagedError and
        TablesDamagedError.
        """
        del context
        folder = self.folders.warehouse
        with exclusive_writer(folder), self.get_connection() as connection:
            attach_warehouse(connection, folder)
            create_missing_tables(connection)
            self._connection = connection
            try:
                with checked_tables(connection, folder):
                    yield self
            finally:
                self._connection = None
                connection.close()  # before the lock is released, however the run ended


@dg.definitions
def surroundings() -> dg.Definitions:
    """Returns the resources, and the executor: a night is one process."""
    return dg.Definitions(
        resources={
            "night": NightDate.configure_at_launch(),
            "folders": NightFolders(),
            "warehouse": Warehouse(),
        },
        executor=dg.in_process_executor,
    )
