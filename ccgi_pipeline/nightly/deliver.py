"""The last step of a night: sends the outbox to the districts' folders on SFTP servers."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

from ccgi_pipeline.common.errors import TransientError, value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.delivery.ledger import ledger_exists, open_ledger
from ccgi_pipeline.delivery.routing import list_folders, route_files
from ccgi_pipeline.delivery.upload import DeliveryOutcome, deliver_to_server
from ccgi_pipeline.intake.sources import connect_to_server
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import read_profiles


@value_free
def deliver_outbox(folders: PipelinePaths, on: date) -> list[DeliveryOutcome]:
    """Sends what the profiles have sent of the outbox of ``on``, and what earlier nights could not.

    Raises DeliveryBusyError where another process is at it.
    """
    profiles = read_profiles(folders.warehouse)
    if not profiles.sftp:
        return []
    with _delivery_lock(folders.warehouse):
        with open_ledger(folders.warehouse) as ledger:
            ledger.prepare(route_files(ledger.list_made(on), profiles))
            servers = [name for name in profiles.sftp if profiles.sftp[name].outbox is not None]
        step = ProgressCounter("delivering", len(servers))

        def delivered(server: str) -> DeliveryOutcome:
            with open_ledger(folders.warehouse) as ledger:
                outcome = deliver_to_server(
                    server,
                    partial(connect_to_server, server, profiles.sftp[server]),
                    list_folders(server, profiles),
                    ledger,
                    folders.outbox,
                    on,
                )
            step.advance()
            return outcome

        with ThreadPoolExecutor(_SERVERS_AT_ONCE) as pool:
            return [*pool.map(delivered, servers)]


_SERVERS_AT_ONCE = 8
"""Servers that wait do not hold up others; each has one connection."""


class DeliveryBusyError(TransientError):
    """Another process is delivering: what this one would send, that one or the next will."""


@contextmanager
def _delivery_lock(warehouse: Path) -> Iterator[None]:
    with (warehouse / "delivery.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = "deliveries are under way already; try again when they have ended"
            raise DeliveryBusyError(msg) from None
        yield


@value_free
def has_pending_deliveries(warehouse: Path) -> bool:
    """Whether something made is still to be sent, or on its way."""
    if not read_profiles(warehouse).sftp or not ledger_exists(warehouse):
        return False
    with open_ledger(warehouse) as ledger:
        return bool(ledger.list_servers())
