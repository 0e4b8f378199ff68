"""Resources: where a run's folders are, which night it is, and the warehouse's one connection.

Belongs here: what assets are handed. Folders come from the environment, so that the same
definitions serve the demo, a production machine and the tests.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
from dagster_duckdb import DuckDBResource
from pydantic import PrivateAttr

from ccgi_pipeline.night import Folders, Taking
from ccgi_pipeline.reports.building import CALIFORNIA
from ccgi_pipeline.warehouse import lake


class NightDate(dg.ConfigurableResource[None]):
    """The day that a night is for: a date, or the day on which the run was made, in California.

    ``take``: which files it takes (``now``, ``wait``, ``settled``; see ``night.Taking``).
    """

    date: str = ""
    take: str = Taking.NOW.value

    @property
    def taking(self) -> Taking:
        """Which files the night takes."""
        return Taking(self.take)

    def of(self, context: dg.AssetExecutionContext) -> dt.date:
        """The night of this run; the same for each of its steps."""
        if self.date:
            return dt.date.fromisoformat(self.date)
        record = context.instance.get_run_record_by_id(context.run.run_id)
        created = record.create_timestamp if record else dt.datetime.now(tz=CALIFORNIA)
        return created.astimezone(CALIFORNIA).date()


class NightFolders(dg.ConfigurableResource[None]):
    """The three folders, for who only looks: nothing is opened, nothing locked."""

    inbox: str
    outbox: str
    warehouse: str

    @property
    def paths(self) -> Folders:
        """Inbox, outbox and warehouse."""
        return Folders(Path(self.inbox), Path(self.outbox), Path(self.warehouse))


class Warehouse(DuckDBResource):
    """The folders, and the DuckLake in one of them, open and locked for the length of a run."""

    database: str = ":memory:"
    inbox: str
    outbox: str
    warehouse: str
    _connection: duckdb.DuckDBPyConnection | None = PrivateAttr(default=None)

    @property
    def folders(self) -> Folders:
        """Inbox, outbox and warehouse."""
        return Folders(Path(self.inbox), Path(self.outbox), Path(self.warehouse))

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The run's connection; the warehouse is its default catalog."""
        if self._connection is None:
            msg = "the warehouse is open only while a run is executed"
            raise RuntimeError(msg)
        return self._connection

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["Warehouse"]:
        """Opens the warehouse for one run. Raises WarehouseBusyError where another one writes."""
        del context
        folder = Path(self.warehouse)
        with lake.only_writer(folder), self.get_connection() as connection:
            lake.attach(connection, folder)
            lake.prepare(connection)
            self._connection = connection
            try:
                yield self
            finally:
                self._connection = None
                connection.close()  # before the lock is let go, whatever ended the run


INBOX, OUTBOX, WAREHOUSE = "CCGI_INBOX", "CCGI_OUTBOX", "CCGI_WAREHOUSE"
"""Environment variables that name the three folders."""


@dg.definitions
def resources() -> dg.Definitions:
    """The resources by the names that assets ask for, and the executor that keeps them open."""
    places: dict[str, Any] = {
        "inbox": dg.EnvVar(INBOX),
        "outbox": dg.EnvVar(OUTBOX),
        "warehouse": dg.EnvVar(WAREHOUSE),
    }
    return dg.Definitions(
        resources={
            "night": NightDate.configure_at_launch(),
            "folders": NightFolders(**places),
            "warehouse": Warehouse(**places),
        },
        executor=dg.in_process_executor,
    )
