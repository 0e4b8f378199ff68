"""Turns: which processes of one night may be at work on a warehouse at the same time.

Belongs here: three locks of the database that holds the catalog, so that all machines see them. One
process leads a night; its steps run in others. Most steps want to be alone, as in a night that one
process runs; steps that take a share each run beside each other. Does not belong here: what a step
does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2

from ccgi_pipeline.warehouse.storage import postgres
from ccgi_pipeline.warehouse.storage.location import LocationError, Server, locate_warehouse
from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError
from ccgi_pipeline.warehouse.storage.writers import exclusive_writer, shared_writer

_LEADING, _AT_WORK = (0x63636769, 2), (0x63636769, 3)
"""Keys of the advisory locks; the first key, that of the writers' lock, is in ``postgres``."""


@contextmanager
def leader_lock(folder: Path) -> Iterator[None]:
    """Leads a night: nobody else writes meanwhile but this night's own steps.

    Raises WarehouseBusyError where another night is on, or a step of one that was killed still is.
    """
    busy = WarehouseBusyError(f"another night is writing to {folder}; try again when it has ended")
    with _held(_server(folder), _LEADING, busy=busy):
        with exclusive_writer(folder):
            pass
        with shared_writer(folder):
            yield


@contextmanager
def single_step_lock(folder: Path) -> Iterator[None]:
    """A step of a night beside which no other one runs; waits for its turn."""
    with shared_writer(folder), _held(_server(folder), _AT_WORK):
        yield


@contextmanager
def share_step_lock(folder: Path) -> Iterator[None]:
    """A step that takes a share, while others take theirs; waits for its turn."""
    with shared_writer(folder), _held(_server(folder), _AT_WORK, shared=True):
        yield


def _server(folder: Path) -> Server:
    server = locate_warehouse(folder).server
    if server is None:
        msg = "several workers need a catalog in PostgreSQL: set CCGI_CATALOG"
        raise LocationError(msg)
    return server


@contextmanager
def _held(
    server: Server,
    key: tuple[int, int],
    *,
    shared: bool = False,
    busy: WarehouseBusyError | None = None,
) -> Iterator[None]:
    """Holds a lock: waits for it, or raises ``busy`` where that is given."""
    kind = "_shared" if shared else ""
    try_ = "" if busy is None else "try_"
    with postgres.connect(server) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_{try_}advisory_lock{kind}(%s, %s)", key)
            if busy is not None and cursor.fetchone() != (True,):
                raise busy
        try:
            yield
        finally:
            with suppress(psycopg2.Error), connection.cursor() as cursor:
                cursor.execute(f"SELECT pg_advisory_unlock{kind}(%s, %s)", key)
