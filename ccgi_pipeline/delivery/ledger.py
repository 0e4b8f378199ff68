"""The ledger of deliveries: which files were made of which night's data, and how far each has come.

Belongs here: our own tables in one SQLite file of the warehouse folder (thousands of small writes a
night are not what DuckLake is for), and the states that a delivery goes through. Does not belong
here: what is to be sent (choosing), sending (delivering).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.sqlite import open_database, transaction

FILE_NAME = "deliveries.sqlite"


class State(StrEnum):
    """How far a delivery has come.

    PREPARED: it is to be sent. UPLOADED: all of it lies on the server under a partial name.
    VERIFIED: it was read back, and is what was sent. DELIVERED: it has its name. PICKED_UP: it is
    gone from there, or was read. CHANGED: it lies there with other content than was delivered.
    SUPERSEDED: before it could be sent, a newer file of the same name was made.
    """

    PREPARED = "prepared"
    UPLOADED = "uploaded"
    VERIFIED = "verified"
    DELIVERED = "delivered"
    PICKED_UP = "picked_up"
    CHANGED = "changed"
    SUPERSEDED = "superseded"


UNDER_WAY = (State.PREPARED, State.UPLOADED, State.VERIFIED)
"""States of what is still to be brought to its end."""
ARRIVED = (State.DELIVERED, State.PICKED_UP, State.CHANGED)
"""States of what was visible to its district under its name."""


_ENDED = (*ARRIVED, State.SUPERSEDED)


class Kind(StrEnum):
    """What a file of the outbox is, and so how it can be made again."""

    REPORT = "report"
    RECEIPT = "receipt"
    CHILD_MATCH = "child_match"
    DOWNLOAD = "download"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file of the outbox, and of what it was made.

    ``path`` is relative to the outbox. ``owner``: whose it is (a CD code, or a state-wide sender).
    ``name`` and ``part`` say which report and which of its files, or which receipt. ``snapshot`` is
    the warehouse's, ``settings`` the SHA-256 of the profiles in force, in the archive.
    """

    path: str
    sha256: str
    owner: str
    kind: str
    name: str
    part: str
    night: date
    snapshot: int
    settings: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file on its way to a server, or there. Times are the server's, in seconds since 1970."""

    id: str
    server: str
    remote: str
    path: str
    sha256: str
    owner: str
    night: date
    state: State
    size: int | None = None
    mtime: int | None = None
    atime: int | None = None

    @property
    def part(self) -> str:
        """The name on the server until it is whole."""
        folder, _, name = self.remote.rpartition("/")
        return f"{folder}/.{name}.{self.id[:8]}.part"


def delivery_id(server: str, remote: str, sha256: str) -> str:
    """The identity of a delivery: the same content to the same place is the same delivery."""
    named = f"{server}\n{remote}\n{sha256}"
    return hashlib.sha256(named.encode(errors="surrogateescape")).hexdigest()[:24]


_SCHEMA = """
CREATE TABLE IF NOT EXISTS made (
    path TEXT NOT NULL, sha256 TEXT NOT NULL, owner TEXT NOT NULL, kind TEXT NOT NULL,
    name TEXT NOT NULL, part TEXT NOT NULL, night TEXT NOT NULL, snapshot INTEGER NOT NULL,
    settings TEXT NOT NULL, PRIMARY KEY (path, sha256)
);
CREATE INDEX IF NOT EXISTS made_nights ON made (night);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, server TEXT NOT NULL, remote TEXT NOT NULL, path TEXT NOT NULL,
    sha256 TEXT NOT NULL, owner TEXT NOT NULL, night TEXT NOT NULL, state TEXT NOT NULL,
    size INTEGER, mtime INTEGER, atime INTEGER, arrival INTEGER
);
CREATE INDEX IF NOT EXISTS delivery_states ON deliveries (server, state);
CREATE INDEX IF NOT EXISTS delivery_places ON deliveries (server, remote);
CREATE INDEX IF NOT EXISTS delivery_arrivals ON deliveries (arrival);
CREATE TABLE IF NOT EXISTS changes_of_state (
    id TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS changes_of_deliveries ON changes_of_state (id);
"""
_DELIVERY = "id, server, remote, path, sha256, owner, night, state, size, mtime, atime"
_MADE = "path, sha256, owner, kind, name, part, night, snapshot, settings"


@contextmanager
def open_ledger(warehouse: Path) -> Iterator[DeliveryLedger]:
    """The ledger of the warehouse in this folder."""
    # What the last moments before a power failure noted may be lost: every step looks at the server
    # before it acts, so that costs a look and no file.
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database:
        yield DeliveryLedger(database)


def exists(warehouse: Path) -> bool:
    """Whether anything was ever made here."""
    return (warehouse / FILE_NAME).exists()


class UnknownDeliveryError(PermanentError):
    """No delivery, or more than one, has an id that begins so."""


@dataclass(frozen=True, slots=True)
class DeliveryLedger:
    """The open ledger."""

    database: sqlite3.Connection

    def note_made(self, made: Sequence[Made]) -> None:
        """Notes files of the outbox. What was made again is noted as it was made last."""
        with failpoint("delivery: made noted"), transaction(self.database):
            self.database.executemany(
                f"INSERT OR REPLACE INTO made ({_MADE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(file.path, file.sha256, file.owner, str(file.kind), file.name, file.part),
                        *(file.night.isoformat(), file.snapshot, file.settings),
                    )
                    for file in made
                ],
            )

    def made_on(self, night: date) -> list[Made]:
        """The newest file of each path of a night, in the order in which they were made."""
        rows = self.database.execute(
            f"SELECT {_MADE} FROM made WHERE night = ? AND rowid IN "
            "(SELECT max(rowid) FROM made GROUP BY path) ORDER BY rowid",
            [night.isoformat()],
        )
        return [_made(row) for row in rows]

    def made(self, path: str, sha256: str | None = None) -> Made | None:
        """The file of this path and content, or the newest of this path."""
        rows = self.database.execute(
            f"SELECT {_MADE} FROM made WHERE path = ? AND (? IS NULL OR sha256 = ?) "
            "ORDER BY rowid DESC LIMIT 1",
            [path, sha256, sha256],
        ).fetchall()
        return _made(rows[0]) if rows else None

    def reports(self, owner: str, name: str, part: str, night: date | None) -> Made | None:
        """The newest file of a report for ``owner``, of ``night`` or of any."""
        rows = self.database.execute(
            f"SELECT {_MADE} FROM made WHERE owner = ? AND kind = ? AND name = ? AND part = ? "
            "AND (? IS NULL OR night = ?) ORDER BY night DESC, rowid DESC LIMIT 1",
            [owner, str(Kind.REPORT), name, part, *[night.isoformat() if night else None] * 2],
        ).fetchall()
        return _made(rows[0]) if rows else None

    def prepare(self, wanted: Iterable[tuple[Made, str, str]]) -> None:
        """Notes what is to be sent: each file with its server and its path there.

        What is under way, or came to its place last, stays as it is: the same content is not sent
        twice. Of what was to go to the same place and was not yet verified, nothing more is sent.
        """
        now = _now()
        with failpoint("delivery: prepared"), transaction(self.database):
            for file, server, remote in wanted:
                identity = delivery_id(server, remote, file.sha256)
                added = self.database.execute(
                    f"INSERT INTO deliveries ({_DELIVERY}) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL) "
                    "ON CONFLICT (id) DO UPDATE SET state = excluded.state, night = excluded.night "
                    "WHERE deliveries.state = ? OR deliveries.arrival < (SELECT max(arrival) "
                    "FROM deliveries AS d WHERE d.server = ? AND d.remote = ?)",
                    [
                        *(identity, server, remote, file.path, file.sha256, file.owner),
                        *(file.night.isoformat(), str(State.PREPARED)),
                        *(str(State.SUPERSEDED), server, remote),
                    ],
                ).rowcount
                if added:
                    self._note(identity, State.PREPARED, now)
                    self._supersede(identity, server, remote, now)

    def _supersede(self, identity: str, server: str, remote: str, now: str) -> None:
        # One that was verified may have its name already: that comes to its end first.
        rows = self.database.execute(
            "UPDATE deliveries SET state = ? WHERE server = ? AND remote = ? AND id <> ? "
            "AND state IN (?, ?) RETURNING id",
            [str(State.SUPERSEDED), server, remote, identity, *map(str, UNDER_WAY[:2])],
        ).fetchall()
        for (former,) in rows:
            self._note(former, State.SUPERSEDED, now)

    def advance(
        self,
        delivery: Delivery,
        state: State,
        facts: tuple[int, int, int] | None = None,
    ) -> None:
        """Notes that ``delivery`` has come to ``state``; ``facts``: size, mtime, atime there."""
        with failpoint(f"delivery: {state.value} noted"), transaction(self.database):
            self.database.execute(
                "UPDATE deliveries SET state = ?, size = coalesce(?, size), "
                "mtime = coalesce(?, mtime), atime = coalesce(?, atime), arrival = CASE "
                "WHEN ? THEN (SELECT coalesce(max(arrival), 0) + 1 FROM deliveries) "
                "ELSE arrival END WHERE id = ?",
                [
                    *(str(state), *(facts or (None, None, None))),
                    *(state is State.DELIVERED, delivery.id),
                ],
            )
            self._note(delivery.id, state, _now())

    def _note(self, identity: str, state: State, now: str) -> None:
        self.database.execute(
            "INSERT INTO changes_of_state VALUES (?, ?, ?)", [identity, str(state), now]
        )

    def of_server(self, server: str, states: Sequence[State]) -> list[Delivery]:
        """A server's deliveries in these states, the oldest first."""
        return self._deliveries(
            f"server = ? AND state IN ({', '.join('?' * len(states))})",
            [server, *map(str, states)],
        )

    def newest_at(self, server: str, since: date) -> dict[str, Delivery]:
        """What should lie at each place of a server: the delivery that came there last.

        Of nights from ``since`` on.
        """
        arrived = self._deliveries(
            "server = ? AND state IN (?, ?, ?) AND night >= ?",
            [server, *map(str, ARRIVED), since.isoformat()],
            order="arrival",
        )
        return {delivery.remote: delivery for delivery in arrived}  # the last of a place stays

    def find(
        self, identity: str = "", owner: str | None = None, states: Sequence[State] = tuple(State)
    ) -> list[Delivery]:
        """Deliveries whose id begins so, of an owner, in some states; the newest last."""
        return self._deliveries(
            "substr(id, 1, length(?)) = ? AND (? IS NULL OR owner = ?) "
            f"AND state IN ({', '.join('?' * len(states))})",
            [identity, identity, owner, owner, *map(str, states)],
        )

    def the_delivery(self, identity: str) -> Delivery:
        """The delivery whose id begins so. Raises UnknownDeliveryError."""
        found = self.find(identity)
        if len(found) != 1:
            msg = f"{len(found)} deliveries begin with {identity}: see `ccgi deliveries list`"
            raise UnknownDeliveryError(msg)
        return found[0]

    def of_file(self, made: Made) -> list[Delivery]:
        """The deliveries of a file of the outbox."""
        return self._deliveries("path = ? AND sha256 = ?", [made.path, made.sha256])

    def servers(self) -> list[str]:
        """The servers that something is on its way to."""
        rows = self.database.execute(
            "SELECT DISTINCT server FROM deliveries WHERE state IN (?, ?, ?) ORDER BY 1",
            [*map(str, UNDER_WAY)],
        )
        return [server for (server,) in rows]

    def waiting_since(self, before: datetime) -> dict[str, tuple[int, datetime]]:
        """How many files wait for each server since ``before``, and since when the oldest does."""
        ended = ", ".join("?" * len(_ENDED))
        rows = self.database.execute(
            f"""
            SELECT server, count(*), min(since) FROM (
                SELECT server, (
                    SELECT min(at) FROM changes_of_state AS began
                    WHERE began.id = deliveries.id AND began.state = ? AND began.rowid > coalesce((
                        SELECT max(rowid) FROM changes_of_state AS ended
                        WHERE ended.id = deliveries.id AND ended.state IN ({ended})
                    ), 0)
                ) AS since
                FROM deliveries WHERE state IN (?, ?, ?)
            )
            WHERE since < ? GROUP BY server ORDER BY server
            """,
            [
                *(str(State.PREPARED), *map(str, _ENDED), *map(str, UNDER_WAY)),
                before.astimezone(UTC).isoformat(timespec="milliseconds"),
            ],
        )
        return {server: (count, datetime.fromisoformat(since)) for server, count, since in rows}

    def by_owner(self) -> dict[str, tuple[str | None, int]]:
        """When a file was last delivered to each owner (UTC), and how many are still to be sent."""
        rows = self.database.execute(
            "SELECT owner, max(at) FILTER (WHERE changes_of_state.state = ?), "
            "count(DISTINCT id) FILTER (WHERE deliveries.state IN (?, ?, ?)) "
            "FROM deliveries JOIN changes_of_state USING (id) GROUP BY owner",
            [str(State.DELIVERED), *map(str, UNDER_WAY)],
        )
        return {owner: (at, waiting) for owner, at, waiting in rows}

    def history(self, identity: str) -> list[tuple[str, str]]:
        """The states of a delivery with the moment (UTC) of each."""
        return self.database.execute(
            "SELECT state, at FROM changes_of_state WHERE id = ? ORDER BY rowid", [identity]
        ).fetchall()

    def since(self) -> dict[str, str]:
        """The moment (UTC) at which each delivery came to its state."""
        rows = self.database.execute("SELECT id, at, max(rowid) FROM changes_of_state GROUP BY id")
        return {identity: at for identity, at, _ in rows}

    def counts(self) -> list[tuple[str, str, int]]:
        """Server, state and how many deliveries."""
        return self.database.execute(
            "SELECT server, state, count(*) FROM deliveries GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()

    def forget(self, owner: str | None, before: date | None) -> int:
        """Forgets what was made for ``owner``, or for nights ``before``; returns how many files."""
        if owner is not None:
            theirs, values = "owner = ?", [owner]
        else:
            theirs, values = "night < ?", [before.isoformat() if before else ""]
        with transaction(self.database):
            forgotten = self.database.execute(f"DELETE FROM made WHERE {theirs}", values).rowcount
            self.database.execute(
                "DELETE FROM changes_of_state WHERE id IN "
                f"(SELECT id FROM deliveries WHERE {theirs})",
                values,
            )
            self.database.execute(f"DELETE FROM deliveries WHERE {theirs}", values)
        return forgotten

    def _deliveries(
        self, where: str, values: Sequence[object], order: str = "night, rowid"
    ) -> list[Delivery]:
        rows = self.database.execute(
            f"SELECT {_DELIVERY} FROM deliveries WHERE {where} ORDER BY {order}",
            values,
        ).fetchall()
        return [
            Delivery(*[*row[:6], date.fromisoformat(row[6]), State(row[7]), *row[8:]])
            for row in rows
        ]


def _made(row: tuple[str, str, str, str, str, str, str, int, str]) -> Made:
    names = [name.strip() for name in _MADE.split(",")]
    values: dict[str, object] = dict(zip(names, row, strict=True))
    return Made(**{**values, "night": date.fromisoformat(row[6])})  # type: ignore[arg-type]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
