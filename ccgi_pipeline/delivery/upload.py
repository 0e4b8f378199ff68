"""Delivering: each file from prepared to delivered, one step of state after the other.

Belongs here: what is done at a server, what a state found there after a crash means, and noticing
what became of a file later. Every step may be the last: whatever the next run finds, it goes on
from there. Does not belong here: what is sent (choosing), how states are kept (ledger).
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
from ccgi_pipeline.delivery.ledger import UNDER_WAY, Delivery, DeliveryLedger, State
from ccgi_pipeline.sftp.connection import Connection, RemoteFile

Connect = Callable[[], AbstractContextManager[Connection]]

_WATCHED = timedelta(days=30)
"""So long after its night a delivered file is looked after: was it picked up, or changed."""
_CONNECTIONS = 3
"""How often a server is connected to in one run, where the connection breaks off under way."""


@dataclass(slots=True)
class Outcome:
    """How deliveries to one server went. ``why``: what stopped or hindered them, in words."""

    server: str
    arrived: int = 0
    noticed: Counter[State] = field(default_factory=Counter)
    missing: int = 0
    waiting: int = 0
    why: list[str] = field(default_factory=list)
    permanent: bool = False


_PAUSE = 0.5
"""Seconds before the next connection: a server that restarts is not there at once."""


def deliver_to(
    server: str,
    connect: Connect,
    folders: Iterable[str],
    ledger: DeliveryLedger,
    outbox: Path,
    on: date,
) -> Outcome:
    """Brings every delivery that is under way to ``server`` to its end, and looks after the others.

    ``missing`` counts files that are no longer in ``outbox`` as they were made. Raises nothing of
    the server's: the outcome says what went wrong.
    """
    outcome = Outcome(server)
    for attempt in range(1, _CONNECTIONS + 1):
        try:
            with connect() as connection:
                if attempt == 1:
                    _look_after(connection, server, folders, ledger, on, outcome)
                _send_all(connection, server, ledger, outbox, outcome)
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
    outcome.waiting = len(ledger.of_server(server, UNDER_WAY))
    return outcome


# --- sending --------------------------------------------------------------------------------------


def _send_all(
    connection: Connection, server: str, ledger: DeliveryLedger, outbox: Path, outcome: Outcome
) -> None:
    """Raises the server's error if it has stopped answering; one file's own is only noted."""
    made: set[str] = set()
    for delivery in ledger.of_server(server, UNDER_WAY):
        try:
            outcome.arrived += _bring(delivery, connection, ledger, outbox, made)
        except _ContentGoneError:
            outcome.missing += 1
        except PipelineError as error:
            if isinstance(error, TransientError) or not _answers(connection):
                raise
            outcome.permanent = True
            if str(error) not in outcome.why:
                outcome.why.append(str(error))


def _answers(connection: Connection) -> bool:
    try:
        connection.facts(".")
    except PipelineError:
        return False
    return True


class _ContentGoneError(Exception):
    """The outbox no longer has what is to be sent."""


class DeliveryDamagedError(TransientError):
    """What was read back is not what was sent: it is sent again."""


def _bring(
    delivery: Delivery,
    connection: Connection,
    ledger: DeliveryLedger,
    outbox: Path,
    made: set[str],
) -> bool:
    """Brings one delivery to its end, from whatever state it is in; whether it got there."""
    state = delivery.state
    if state is State.VERIFIED and connection.facts(delivery.part) is None:
        if _is_there(delivery, connection):  # renamed, and stopped before that was noted
            _note_delivered(delivery, connection, ledger)
            return True
        state = State.PREPARED
    if state is State.UPLOADED and connection.facts(delivery.part) is None:
        state = State.PREPARED
    if state is State.PREPARED:
        _upload(delivery, connection, outbox, made)
        ledger.advance(delivery, State.UPLOADED)
        state = State.UPLOADED
    if state is State.UPLOADED:
        with failpoint("delivery: read back"):
            _, sha256 = connection.read_back(delivery.part)
        if sha256 != delivery.sha256:
            with failpoint("delivery: damaged part removed"):
                connection.remove(delivery.part)
            ledger.advance(delivery, State.PREPARED)
            msg = f"{delivery.server}: a file came back other than it was sent; it is sent again"
            raise DeliveryDamagedError(msg)
        ledger.advance(delivery, State.VERIFIED)
    with failpoint("delivery: renamed"):
        connection.rename(delivery.part, delivery.remote)
    _note_delivered(delivery, connection, ledger)
    return True


def _upload(delivery: Delivery, connection: Connection, outbox: Path, made: set[str]) -> None:
    path = outbox / delivery.path
    if not path.is_file() or _sha256(path) != delivery.sha256:
        raise _ContentGoneError
    folder = delivery.remote.rpartition("/")[0]
    if folder not in made:
        with failpoint("delivery: folder made"):
            connection.make_folders(folder)
        made.add(folder)
    with failpoint("delivery: uploaded"):
        connection.upload(path, delivery.part)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_there(delivery: Delivery, connection: Connection) -> bool:
    if connection.facts(delivery.remote) is None:
        return False
    return connection.read_back(delivery.remote)[1] == delivery.sha256


def _note_delivered(delivery: Delivery, connection: Connection, ledger: DeliveryLedger) -> None:
    """Notes the file as it lies there; it may have been fetched already."""
    facts = connection.facts(delivery.remote)
    ledger.advance(delivery, State.DELIVERED, _noted(facts) if facts else None)
    if facts is None:
        ledger.advance(delivery, State.PICKED_UP)


def _noted(facts: RemoteFile) -> tuple[int, int, int]:
    return facts.size, facts.mtime, facts.atime


# --- looking after --------------------------------------------------------------------------------


def _look_after(
    connection: Connection,
    server: str,
    folders: Iterable[str],
    ledger: DeliveryLedger,
    on: date,
    outcome: Outcome,
) -> None:
    """Notices which delivered files were picked up, and which lie there changed."""
    watched = {
        remote: delivery
        for remote, delivery in ledger.newest_at(server, on - _WATCHED).items()
        if delivery.state is State.DELIVERED
    }
    if not watched:
        return
    there: dict[str, RemoteFile] = {}
    for folder in folders:
        connection.make_folders(folder)
        for file in connection.walk(folder, lambda _: False):
            there[f"{folder}/{file.path}"] = file
    for delivery in watched.values():
        became = _became(delivery, there)
        if became is not None:
            ledger.advance(delivery, became)
            outcome.noticed[became] += 1


def _became(delivery: Delivery, there: Mapping[str, RemoteFile]) -> State | None:
    """What a delivered file has become since; None if it lies there unread."""
    file = there.get(delivery.remote)
    if file is None:
        return State.PICKED_UP
    if delivery.size is None or (file.size, file.mtime) != (delivery.size, delivery.mtime):
        return State.CHANGED
    if delivery.atime is not None and file.atime > delivery.atime:
        return State.PICKED_UP
    return None
