"""Delivery to all servers at once, by one process at a time.

Belongs here: the lock of the delivery, and one connection for each server. Does not belong here:
what is sent to one server (upload), which files go where (routing).
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

from ccgi_pipeline.common.errors import TransientError
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.delivery.envelopes import open_envelopes
from ccgi_pipeline.delivery.ledger import open_ledger
from ccgi_pipeline.delivery.routing import find_shared_folders, list_folders, route_files
from ccgi_pipeline.delivery.upload import DeliveryOutcome, OutgoingFiles, deliver_to_server
from ccgi_pipeline.intake.sources import connect_to_server
from ccgi_pipeline.profiles import Profiles

_SERVERS_AT_ONCE = 8
"""Servers that are served at the same time, so that a slow one does not hold up the others."""


_SHARED = (
    "{}: districts.{}.delivery.folder in profiles.toml is the folder of {}, which has that name. "
    "Nothing is sent there; name another folder"
)


class DeliveryBusyError(TransientError):
    """Another process is delivering: it or the next night sends what this one would send."""


def deliver_to_all_servers(
    warehouse: Path, outbox: Path, profiles: Profiles, on: date
) -> list[DeliveryOutcome]:
    """Sends the files of ``on``, and those that earlier nights could not send.

    Raises DeliveryBusyError if another process is delivering.
    """
    with _delivery_lock(warehouse), open_envelopes(warehouse, profiles) as envelopes:
        with open_ledger(warehouse) as ledger:
            made = ledger.list_made(on)
            shared = find_shared_folders(made, profiles)
            refused = {owner for pairs in shared.values() for owner, _ in pairs}
            made = [file for file in made if file.owner not in refused]
            ledger.prepare(route_files(made, profiles), envelopes.recipients_of)
        servers = [name for name in profiles.sftp if profiles.sftp[name].outbox is not None]
        step = ProgressCounter("delivering", len(servers))

        def deliver(server: str) -> DeliveryOutcome:
            with open_ledger(warehouse) as ledger:
                outcome = deliver_to_server(
                    server,
                    partial(connect_to_server, server, profiles.sftp[server]),
                    list_folders(server, profiles),
                    ledger,
                    OutgoingFiles(outbox, envelopes),
                    on,
                )
            if server in shared:
                outcome.permanent = True
                outcome.why += [_SHARED.format(server, *pair) for pair in shared[server]]
            step.advance()
            return outcome

        with ThreadPoolExecutor(_SERVERS_AT_ONCE) as pool:
            return [*pool.map(deliver, servers)]


@contextmanager
def _delivery_lock(warehouse: Path) -> Iterator[None]:
    with (warehouse / "delivery.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = "deliveries are under way already; try again when they have ended"
            raise DeliveryBusyError(msg) from None
        yield
