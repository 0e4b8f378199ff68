"""Uploading: brings each delivery from PREPARED to DELIVERED, one state after the other.

Belongs here: what is done on a server, how a delivery goes on after a crash at any step, and what
became of a file after its delivery. Does not belong here: which files are sent (``routing``) and
how states are stored (``ledger``).
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from ccgi_pipeline.common.errors import PermanentError, PipelineError, TransientError
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.delivery.envelopes import Envelopes
from ccgi_pipeline.delivery.ledger import UNDER_WAY, Delivery, DeliveryLedger, DeliveryState
from ccgi_pipeline.sftp.connection import Connection, RemoteFile

Connect = Callable[[], AbstractContextManager[Connection]]

_WATCHED = timedelta(days=30)
"""How long after its night a delivered file is checked: was it picked up or changed?"""
_CONNECTIONS = 3
"""How often one run connects to a server whose connection breaks."""
_PAUSE = 0.5
"""Seconds before the next connection, because a restarting server needs a moment."""


@dataclass(slots=True)
class DeliveryOutcome:
    """The result of a run's deliveries to one server.

    ``missing`` counts files that the outbox no longer has as they were made. ``why``: messages
    about what stopped or hindered deliveries; ``permanent``: somebody must act.
    """

    server: str
    arrived: int = 0
    noticed: Counter[DeliveryState] = field(default_factory=Counter)
    missing: int = 0
    waiting: int = 0
    why: list[str] = field(default_factory=list)
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class OutgoingFiles:
    """The outbox, and the envelopes that its files are put into."""

    outbox: Path
    envelopes: Envelopes


def deliver_to_server(
    server: str,
    connect: Connect,
    folders: Iterable[str],
    ledger: DeliveryLedger,
    outgoing: OutgoingFiles,
    on: date,
) -> DeliveryOutcome:
    """Completes every delivery to ``server`` that is under way, and updates the delivered ones.

    Errors of the server are not raised, but told in the outcome.
    """
    outcome = DeliveryOutcome(server)
    for attempt in range(1, _CONNECTIONS + 1):
        try:
            with connect() as connection:
                if attempt == 1:
                    _update_delivered(connection, server, folders, ledger, on, outcome)
                _send_all(connection, server, ledger, outgoing, outcome)
        except TransientError as error:
            if attempt == _CONNECTIONS:
                outcome.why.append(str(error))
            else:
                time.sleep(_PAUSE)
        except PermanentError as error:
            outcome.why.append(str(error))
            outcome.permanent = True
            break
        else:
            break
    outcome.waiting = len(ledger.list_for_server(server, UNDER_WAY))
    return outcome


# --- sending --------------------------------------------------------------------------------------


def _send_all(
    connection: Connection,
    server: str,
    ledger: DeliveryLedger,
    outgoing: OutgoingFiles,
    outcome: DeliveryOutcome,
) -> None:
    """Sends every file. Raises the error of a server that stopped answering; records others."""
    made: set[str] = set()
    for delivery in ledger.list_for_server(server, UNDER_WAY):
        try:
            outgoing.envelopes.require_usable(delivery.owner)
            addressed = _readdress(delivery, connection, ledger, outgoing.envelopes)
            if addressed is not None:
                sending = _Sending(connection, ledger, outgoing, made)
                outcome.arrived += _complete_delivery(addressed, sending)
        except _ContentGoneError:
            outcome.missing += 1
        except PipelineError as error:
            if isinstance(error, TransientError) or not _is_answering(connection):
                raise
            outcome.permanent = True
            if str(error) not in outcome.why:
                outcome.why.append(str(error))


def _is_answering(connection: Connection) -> bool:
    try:
        connection.stat(".")
    except PipelineError:
        return False
    return True


class _ContentGoneError(Exception):
    """The outbox no longer has the content that has to be sent."""


class DeliveryDamagedError(TransientError):
    """A file that was read back differs from what was sent; it is sent again."""


@dataclass(frozen=True, slots=True)
class _Sending:
    """What a delivery is sent with. ``made``: the folders that are known to be on the server."""

    connection: Connection
    ledger: DeliveryLedger
    outgoing: OutgoingFiles
    made: set[str]


def _readdress(
    delivery: Delivery, connection: Connection, ledger: DeliveryLedger, envelopes: Envelopes
) -> Delivery | None:
    """Returns the delivery as its owner's keys want it now; None if nothing is left to be sent.

    Keys may have changed since it was prepared: it was plain and has to be encrypted, or is
    encrypted to a key that counts no longer. What lies on the server of it is removed.
    """
    recipients = envelopes.recipients_of(delivery.owner)
    if delivery.recipients == recipients:
        return delivery
    is_there = delivery.state is DeliveryState.VERIFIED and connection.stat(delivery.part) is None
    if is_there and _is_delivered(delivery, connection):
        return delivery  # it has its final name already, and only that is to be recorded
    connection.remove(delivery.part)
    return ledger.readdress(delivery, recipients)


def _complete_delivery(delivery: Delivery, sending: _Sending) -> bool:
    """Completes one delivery from the state that it is in; returns whether it arrived."""
    connection, ledger = sending.connection, sending.ledger
    state = delivery.state
    if state is DeliveryState.VERIFIED and connection.stat(delivery.part) is None:
        if _is_delivered(delivery, connection):  # a crash came between renaming and recording
            _record_delivered(delivery, connection, ledger)
            return True
        state = DeliveryState.PREPARED
    if state is DeliveryState.UPLOADED and connection.stat(delivery.part) is None:
        state = DeliveryState.PREPARED
    if state is DeliveryState.PREPARED:
        delivery = _upload(delivery, sending)
        ledger.advance(delivery, DeliveryState.UPLOADED)
        state = DeliveryState.UPLOADED
    if state is DeliveryState.UPLOADED:
        with failpoint("delivery: read back"):
            _, sha256 = connection.read_back(delivery.part)
        if sha256 != delivery.sent_sha256:
            with failpoint("delivery: damaged part removed"):
                connection.remove(delivery.part)
            ledger.advance(delivery, DeliveryState.PREPARED)
            msg = f"{delivery.server}: a file that was read back differs; it is sent again"
            raise DeliveryDamagedError(msg)
        ledger.advance(delivery, DeliveryState.VERIFIED)
    with failpoint("delivery: renamed"):
        connection.rename(delivery.part, delivery.remote)
    _record_delivered(delivery, connection, ledger)
    return True


def _upload(delivery: Delivery, sending: _Sending) -> Delivery:
    """Sends the file under its temporary name; returns the delivery with what was sent."""
    connection, path = sending.connection, sending.outgoing.outbox / delivery.path
    if not path.is_file() or _sha256(path) != delivery.sha256:
        raise _ContentGoneError
    folder = delivery.remote.rpartition("/")[0]
    if folder not in sending.made:
        with failpoint("delivery: folder made"):
            connection.make_folders(folder)
        sending.made.add(folder)
    if not delivery.recipients:
        with failpoint("delivery: uploaded"):
            connection.upload(path, delivery.part)
        return delivery
    with sending.outgoing.envelopes.encrypt(delivery.owner, path) as (encrypted, sha256):
        delivery = sending.ledger.record_cipher(delivery, sha256)
        with failpoint("delivery: uploaded"):
            connection.upload(encrypted, delivery.part)
    return delivery


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_delivered(delivery: Delivery, connection: Connection) -> bool:
    if connection.stat(delivery.remote) is None:
        return False
    return connection.read_back(delivery.remote)[1] == delivery.sent_sha256


def _record_delivered(delivery: Delivery, connection: Connection, ledger: DeliveryLedger) -> None:
    """Records the file as it is on the server; the district may have fetched it already."""
    facts = connection.stat(delivery.remote)
    ledger.advance(delivery, DeliveryState.DELIVERED, _describe_remote(facts) if facts else None)
    if facts is None:
        ledger.advance(delivery, DeliveryState.PICKED_UP)


def _describe_remote(facts: RemoteFile) -> tuple[int | None, int | None, int | None]:
    return facts.size, facts.mtime, facts.atime


# --- after the delivery ---------------------------------------------------------------------------


def _update_delivered(
    connection: Connection,
    server: str,
    folders: Iterable[str],
    ledger: DeliveryLedger,
    on: date,
    outcome: DeliveryOutcome,
) -> None:
    """Records which delivered files were picked up and which were changed on the server."""
    watched = {
        remote: delivery
        for remote, delivery in ledger.list_newest(server, on - _WATCHED).items()
        if delivery.state is DeliveryState.DELIVERED
    }
    if not watched:
        return
    there: dict[str, RemoteFile] = {}
    for folder in folders:
        connection.make_folders(folder)
        for file in connection.walk(folder, lambda _: False):
            there[f"{folder}/{file.path}"] = file
    for delivery in watched.values():
        state = _find_change(delivery, there)
        if state is not None:
            ledger.advance(delivery, state)
            outcome.noticed[state] += 1


def _find_change(delivery: Delivery, there: Mapping[str, RemoteFile]) -> DeliveryState | None:
    """Returns the new state of a delivered file; None if it is there, unread and unchanged."""
    file = there.get(delivery.remote)
    if file is None:
        return DeliveryState.PICKED_UP
    # Some servers tell neither size nor time.
    pairs = [(file.size, delivery.size), (file.mtime, delivery.mtime)]
    if any(now is not None and now != before for now, before in pairs):
        return DeliveryState.CHANGED
    if None not in {file.atime, delivery.atime} and (file.atime or 0) > (delivery.atime or 0):
        return DeliveryState.PICKED_UP
    return None
