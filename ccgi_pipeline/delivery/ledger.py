"""The ledger of deliveries: which files were made from which data, and how far each was delivered.

Belongs here: its tables, in one SQLite file of the warehouse folder because DuckLake is not made
for thousands of small writes a night, and the states of a delivery. Does not belong here: which
files are sent (``routing``) and sending them (``upload``).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.sqlite import open_database, transaction

FILE_NAME = "deliveries.sqlite"


class DeliveryState(StrEnum):
    """How far a delivery has come.

    PREPARED: it has to be sent. UPLOADED: all of it is on the server, under a temporary name.
    VERIFIED: it was read back and is what was sent. DELIVERED: it has its final name. PICKED_UP:
    it was read on the server or removed from it. CHANGED: its content on the server is no longer
    what was delivered. SUPERSEDED: a newer file of the same name was made before it was sent.
    """

    PREPARED = "prepared"
    UPLOADED = "uploaded"
    VERIFIED = "verified"
    DELIVERED = "delivered"
    PICKED_UP = "picked_up"
    CHANGED = "changed"
    SUPERSEDED = "superseded"


ENCRYPTED = ".pgp"
"""What is added to the name of a file that is sent encrypted."""

UNDER_WAY = (DeliveryState.PREPARED, DeliveryState.UPLOADED, DeliveryState.VERIFIED)
"""States of deliveries that are not complete yet."""
ARRIVED = (DeliveryState.DELIVERED, DeliveryState.PICKED_UP, DeliveryState.CHANGED)
"""States of deliveries whose file the district could see under its name."""
_ENDED = (*ARRIVED, DeliveryState.SUPERSEDED)


class FileKind(StrEnum):
    """The kinds of files in the outbox; each is made, and made again, in its own way."""

    REPORT = "report"
    RECEIPT = "receipt"
    CHILD_MATCH = "child_match"
    DOWNLOAD = "download"
    PAGE = "page"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFile:
    """A file of the outbox and the data that it was made from.

    ``path`` is relative to the outbox. ``owner`` is a CD code or a state-wide sender. ``name`` and
    ``part`` are the report and its file (Agg or Detail), or the receipt and its format.
    ``snapshot`` is the snapshot of the warehouse, ``settings`` the SHA-256 of the profiles in
    force, which are in the archive. ``rows``: data rows of a report; None if they were not counted.
    ``basis``: the digest of all that a report shows; empty if none was computed. ``size`` and
    ``mtime_ns`` are the file's own as it was written. ``since``: the night that wrote these bytes,
    an earlier one if the file was carried over.
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
    rows: int | None = None
    basis: str = ""
    size: int | None = None
    mtime_ns: int | None = None
    since: date | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file that is or was sent to a server. Times are the server's, in seconds since 1970.

    ``sha256`` is that of the outbox's file. ``recipients``: the keys that it is encrypted to, in
    the form of ``envelopes``; empty if it is not. ``cipher``: the SHA-256 of what was encrypted
    last, which is never the same twice.
    """

    id: str
    server: str
    remote: str
    path: str
    sha256: str
    owner: str
    night: date
    state: DeliveryState
    size: int | None = None
    mtime: int | None = None
    atime: int | None = None
    recipients: str = ""
    cipher: str | None = None

    @property
    def sent_sha256(self) -> str | None:
        """The SHA-256 of the bytes on the server; None if they are not encrypted yet."""
        return self.cipher if self.recipients else self.sha256

    @property
    def part(self) -> str:
        """The file's temporary name on the server, until it is complete."""
        folder, _, name = self.remote.rpartition("/")
        return f"{folder}/.{name}.{self.id[:8]}.part"


def delivery_id(server: str, remote: str, sha256: str, recipients: str = "") -> str:
    """Returns a delivery's id: the same content for the same path and keys is the same delivery."""
    identity = "\n".join([server, remote, sha256, *([recipients] if recipients else [])])
    return hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:24]


_SCHEMA = """
CREATE TABLE IF NOT EXISTS made (
    path TEXT NOT NULL, sha256 TEXT NOT NULL, owner TEXT NOT NULL, kind TEXT NOT NULL,
    name TEXT NOT NULL, part TEXT NOT NULL, night TEXT NOT NULL, snapshot INTEGER NOT NULL,
    settings TEXT NOT NULL, rows INTEGER, basis TEXT NOT NULL DEFAULT '', size INTEGER,
    mtime_ns INTEGER, since TEXT, PRIMARY KEY (path, sha256)
);
CREATE INDEX IF NOT EXISTS made_nights ON made (night);
CREATE INDEX IF NOT EXISTS made_reports ON made (kind, owner, name, part, night);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT PRIMARY KEY, server TEXT NOT NULL, remote TEXT NOT NULL, path TEXT NOT NULL,
    sha256 TEXT NOT NULL, owner TEXT NOT NULL, night TEXT NOT NULL, state TEXT NOT NULL,
    size INTEGER, mtime INTEGER, atime INTEGER, arrival INTEGER,
    recipients TEXT NOT NULL DEFAULT '', cipher TEXT
);
CREATE INDEX IF NOT EXISTS delivery_states ON deliveries (server, state);
CREATE INDEX IF NOT EXISTS delivery_places ON deliveries (server, remote);
CREATE INDEX IF NOT EXISTS delivery_arrivals ON deliveries (arrival);
CREATE INDEX IF NOT EXISTS delivery_nights ON deliveries (night, state);
CREATE TABLE IF NOT EXISTS changes_of_state (
    id TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS changes_of_deliveries ON changes_of_state (id);
"""
_DELIVERY = (
    "id, server, remote, path, sha256, owner, night, state, size, mtime, atime, recipients, cipher"
)
MADE = (
    "path, sha256, owner, kind, name, part, night, snapshot, settings, rows, "
    "basis, size, mtime_ns, since"
)
"""The columns of a record that ``parse_made`` reads, in its order."""


@contextmanager
def open_ledger(warehouse: Path) -> Iterator[DeliveryLedger]:
    """Opens the ledger of a warehouse, and makes it if it is missing."""
    # A power failure may lose the last entries. That loses no file, because each step of a
    # delivery looks at the server before it acts.
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database:
        _add_missing_columns(database)
        yield DeliveryLedger(database)


def _add_missing_columns(database: sqlite3.Connection) -> None:
    """Adds to a ledger of an older version the columns that have been added since."""
    missing = [
        (table, column)
        for table, columns in _ADDED_COLUMNS.items()
        for there in [{name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")}]
        for column in columns
        if column.split()[0] not in there
    ]
    if missing:
        with transaction(database):
            for table, column in missing:
                database.execute(f"ALTER TABLE {table} ADD COLUMN {column}")


_ADDED_COLUMNS = {
    "deliveries": ("recipients TEXT NOT NULL DEFAULT ''", "cipher TEXT"),
    "made": (
        *("rows INTEGER", "basis TEXT NOT NULL DEFAULT ''"),
        *("size INTEGER", "mtime_ns INTEGER", "since TEXT"),
    ),
}
"""By table, the columns that the first version did not have."""


def ledger_exists(warehouse: Path) -> bool:
    """Tells whether the warehouse has a ledger, that is, whether a file was ever made."""
    return (warehouse / FILE_NAME).exists()


class UnknownDeliveryError(PermanentError):
    """No delivery, or more than one, has an id that begins with the given letters."""


@dataclass(frozen=True, slots=True)
class DeliveryLedger:
    """An open ledger."""

    database: sqlite3.Connection

    def record_made(self, made: Sequence[MadeFile]) -> None:
        """Records files of the outbox; a file that was made again replaces its former record."""
        with failpoint("delivery: made noted"), transaction(self.database):
            self.database.executemany(
                f"INSERT OR REPLACE INTO made ({MADE}) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(file.path, file.sha256, file.owner, str(file.kind), file.name, file.part),
                        *(file.night.isoformat(), file.snapshot, file.settings, file.rows),
                        *(file.basis, file.size, file.mtime_ns),
                        file.since.isoformat() if file.since else None,
                    )
                    for file in made
                ],
            )

    def list_made(self, night: date) -> list[MadeFile]:
        """Returns the newest file of each path of a night, in the order of their making.

        Both conditions use an index, so the time does not grow with the number of nights.
        """
        rows = self.database.execute(
            f"SELECT {MADE} FROM made WHERE night = ? AND NOT EXISTS (SELECT 1 FROM made AS later "
            "WHERE later.path = made.path AND later.rowid > made.rowid) ORDER BY rowid",
            [night.isoformat()],
        )
        return [parse_made(row) for row in rows]

    def read_snapshots(self, since: date) -> set[int]:
        """Returns the snapshots of the warehouse that files of nights from ``since`` on are of."""
        rows = self.database.execute(
            "SELECT DISTINCT snapshot FROM made WHERE night >= ?", [since.isoformat()]
        )
        return {snapshot for (snapshot,) in rows}

    def find_made(self, path: str, sha256: str | None = None) -> MadeFile | None:
        """Returns the file of this path and content; without ``sha256``, the newest of the path."""
        rows = self.database.execute(
            f"SELECT {MADE} FROM made WHERE path = ? AND (? IS NULL OR sha256 = ?) "
            "ORDER BY rowid DESC LIMIT 1",
            [path, sha256, sha256],
        ).fetchall()
        return parse_made(rows[0]) if rows else None

    def find_report(self, owner: str, name: str, part: str, night: date | None) -> MadeFile | None:
        """Returns the newest file of a report for ``owner``, of ``night`` or of any night."""
        rows = self.database.execute(
            f"SELECT {MADE} FROM made WHERE owner = ? AND kind = ? AND name = ? AND part = ? "
            "AND (? IS NULL OR night = ?) ORDER BY night DESC, rowid DESC LIMIT 1",
            [owner, str(FileKind.REPORT), name, part, *[night.isoformat() if night else None] * 2],
        ).fetchall()
        return parse_made(rows[0]) if rows else None

    def read_nights_of_reports(
        self, files: Iterable[tuple[str, str, str]], on: date
    ) -> dict[tuple[str, str, str], tuple[date | None, date | None]]:
        """Returns for each file (owner, report, part) the nights next to ``on`` that made it.

        The first is the newest until ``on``, the second the oldest after it. Each is looked up in
        the index, so the time does not grow with the number of nights.
        """
        this = "FROM made WHERE kind = ?1 AND owner = ?2 AND name = ?3 AND part = ?4 AND night"
        query = f"SELECT (SELECT max(night) {this} <= ?5), (SELECT min(night) {this} > ?5)"
        found = {}
        for file in files:
            nights = self.database.execute(
                query, [str(FileKind.REPORT), *file, on.isoformat()]
            ).fetchone()
            last, following = (date.fromisoformat(night) if night else None for night in nights)
            found[file] = last, following
        return found

    def prepare(
        self,
        wanted: Iterable[tuple[MadeFile, str, str]],
        recipients_of: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Records the files to send, each with its server and its path there.

        ``recipients_of`` returns the keys to which an owner's files are encrypted, if they are.

        A delivery that is under way, or was the last to arrive at its path, stays as it is: the
        same content is not sent twice. Other deliveries for the same path that are not verified
        yet become SUPERSEDED.
        """
        now = _now()
        with failpoint("delivery: prepared"), transaction(self.database):
            for file, server, remote in wanted:
                recipients = recipients_of(file.owner)
                path = f"{remote}{ENCRYPTED}" if recipients else remote
                source = (file.path, file.sha256, file.owner, file.night)
                self._prepare(server, path, source, recipients, now)

    def _prepare(
        self,
        server: str,
        remote: str,
        source: tuple[str, str, str, date],
        recipients: str,
        now: str,
    ) -> str:
        """Records one file to send, and returns the id of its delivery."""
        path, sha256, owner, night = source
        identity = delivery_id(server, remote, sha256, recipients)
        added = self.database.execute(
            f"INSERT INTO deliveries ({_DELIVERY}) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?, NULL) "
            "ON CONFLICT (id) DO UPDATE SET state = excluded.state, night = excluded.night "
            "WHERE deliveries.state = ? OR deliveries.arrival < (SELECT max(arrival) "
            "FROM deliveries AS d WHERE d.server = ? AND d.remote = ?)",
            [
                *(identity, server, remote, path, sha256, owner),
                *(night.isoformat(), str(DeliveryState.PREPARED), recipients),
                *(str(DeliveryState.SUPERSEDED), server, remote),
            ],
        ).rowcount
        if added:
            self._record_state(identity, DeliveryState.PREPARED, now)
            self._supersede(identity, server, (remote, path), now)
        return identity

    def readdress(self, delivery: Delivery, recipients: str) -> Delivery | None:
        """Replaces a delivery that is under way by one to other keys, or to none.

        Returns None if the file has arrived in that form already, or a newer one was made since.
        """
        now = _now()
        plain = delivery.remote.removesuffix(ENCRYPTED) if delivery.recipients else delivery.remote
        remote = f"{plain}{ENCRYPTED}" if recipients else plain
        source = (delivery.path, delivery.sha256, delivery.owner, delivery.night)
        with transaction(self.database):
            self.database.execute(
                "UPDATE deliveries SET state = ? WHERE id = ?",
                [str(DeliveryState.SUPERSEDED), delivery.id],
            )
            self._record_state(delivery.id, DeliveryState.SUPERSEDED, now)
            newest = self.find_made(delivery.path)
            if newest is not None and newest.sha256 != delivery.sha256:
                return None
            identity = self._prepare(delivery.server, remote, source, recipients, now)
        made = self.get_delivery(identity)
        return made if made.state in UNDER_WAY else None

    def record_cipher(self, delivery: Delivery, sha256: str) -> Delivery:
        """Records what the file is encrypted to for this attempt, before it is sent."""
        with transaction(self.database):
            self.database.execute(
                "UPDATE deliveries SET cipher = ? WHERE id = ?", [sha256, delivery.id]
            )
        return replace(delivery, cipher=sha256)

    def _supersede(self, identity: str, server: str, places: tuple[str, str], now: str) -> None:
        # A verified delivery is completed, because its file may have its final name already.
        rows = self.database.execute(
            "UPDATE deliveries SET state = ? WHERE server = ? AND (remote = ? OR path = ?) "
            "AND id <> ? AND state IN (?, ?) RETURNING id",
            [
                *(str(DeliveryState.SUPERSEDED), server, *places, identity),
                *map(str, UNDER_WAY[:2]),
            ],
        ).fetchall()
        for (former,) in rows:
            self._record_state(former, DeliveryState.SUPERSEDED, now)

    def advance(
        self,
        delivery: Delivery,
        state: DeliveryState,
        facts: tuple[int | None, int | None, int | None] | None = None,
    ) -> None:
        """Records a delivery's new ``state``; ``facts``: size, mtime and atime on the server."""
        with failpoint(f"delivery: {state.value} noted"), transaction(self.database):
            self.database.execute(
                "UPDATE deliveries SET state = ?, size = coalesce(?, size), "
                "mtime = coalesce(?, mtime), atime = coalesce(?, atime), arrival = CASE "
                "WHEN ? THEN (SELECT coalesce(max(arrival), 0) + 1 FROM deliveries) "
                "ELSE arrival END WHERE id = ?",
                [
                    *(str(state), *(facts or (None, None, None))),
                    *(state is DeliveryState.DELIVERED, delivery.id),
                ],
            )
            self._record_state(delivery.id, state, _now())

    def _record_state(self, identity: str, state: DeliveryState, now: str) -> None:
        self.database.execute(
            "INSERT INTO changes_of_state VALUES (?, ?, ?)", [identity, str(state), now]
        )

    def list_for_server(self, server: str, states: Sequence[DeliveryState]) -> list[Delivery]:
        """Returns a server's deliveries in these states, the oldest first."""
        return self._select(
            f"server = ? AND state IN ({', '.join('?' * len(states))})",
            [server, *map(str, states)],
        )

    def list_newest(self, server: str, since: date) -> dict[str, Delivery]:
        """Returns for each path of a server the delivery that arrived last, from ``since`` on."""
        arrived = self._select(
            "server = ? AND state IN (?, ?, ?) AND night >= ?",
            [server, *map(str, ARRIVED), since.isoformat()],
            order="arrival",
        )
        return {delivery.remote: delivery for delivery in arrived}  # the last one of a path stays

    def find_deliveries(
        self,
        identity: str = "",
        owner: str | None = None,
        states: Sequence[DeliveryState] = tuple(DeliveryState),
    ) -> list[Delivery]:
        """Returns deliveries, the newest last: of one owner, in some states.

        ``identity`` is the beginning of the id.
        """
        return self._select(
            "substr(id, 1, length(?)) = ? AND (? IS NULL OR owner = ?) "
            f"AND state IN ({', '.join('?' * len(states))})",
            [identity, identity, owner, owner, *map(str, states)],
        )

    def get_delivery(self, identity: str) -> Delivery:
        """Returns the delivery whose id begins with ``identity``. Raises UnknownDeliveryError."""
        found = self.find_deliveries(identity)
        if len(found) != 1:
            msg = (
                f"the ids of {len(found)} deliveries begin with {identity}: "
                "`ccgi deliveries list` shows the ids"
            )
            raise UnknownDeliveryError(msg)
        return found[0]

    def list_for_file(self, made: MadeFile) -> list[Delivery]:
        """Returns the deliveries of a file of the outbox."""
        return self._select("path = ? AND sha256 = ?", [made.path, made.sha256])

    def list_servers(self) -> list[str]:
        """Returns the servers with deliveries that are not complete yet."""
        rows = self.database.execute(
            "SELECT DISTINCT server FROM deliveries WHERE state IN (?, ?, ?) ORDER BY 1",
            [*map(str, UNDER_WAY)],
        )
        return [server for (server,) in rows]

    def count_waiting(self, before: datetime) -> dict[str, tuple[int, datetime]]:
        """Counts for each server the files that have waited since ``before`` or longer.

        Returns the count, and the moment since when the oldest waits.
        """
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
                *(str(DeliveryState.PREPARED), *map(str, _ENDED), *map(str, UNDER_WAY)),
                before.astimezone(UTC).isoformat(timespec="milliseconds"),
            ],
        )
        return {server: (count, datetime.fromisoformat(since)) for server, count, since in rows}

    def summarize_by_owner(self) -> dict[str, tuple[str | None, int]]:
        """Returns for each owner when a file was last delivered (UTC) and how many files wait."""
        rows = self.database.execute(
            "SELECT owner, max(at) FILTER (WHERE changes_of_state.state = ?), "
            "count(DISTINCT id) FILTER (WHERE deliveries.state IN (?, ?, ?)) "
            "FROM deliveries JOIN changes_of_state USING (id) GROUP BY owner",
            [str(DeliveryState.DELIVERED), *map(str, UNDER_WAY)],
        )
        return {owner: (at, waiting) for owner, at, waiting in rows}

    def read_history(self, identity: str) -> list[tuple[str, str]]:
        """Returns the states of a delivery in their order, each with its moment (UTC)."""
        return self.database.execute(
            "SELECT state, at FROM changes_of_state WHERE id = ? ORDER BY rowid", [identity]
        ).fetchall()

    def read_state_times(self) -> dict[str, str]:
        """Returns for each delivery the moment (UTC) of its last change of state."""
        rows = self.database.execute("SELECT id, at, max(rowid) FROM changes_of_state GROUP BY id")
        return {identity: at for identity, at, _ in rows}

    def count_by_state(self) -> list[tuple[str, str, int]]:
        """Returns server, state and number of deliveries."""
        return self.database.execute(
            "SELECT server, state, count(*) FROM deliveries GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()

    def delete_records(self, owner: str | None, before: date | None) -> int:
        """Deletes the records of files of ``owner``, or else of nights before ``before``.

        Returns the number of files.
        """
        if owner is not None:
            condition, values = "owner = ?", [owner]
        else:
            condition, values = "night < ?", [before.isoformat() if before else ""]
        with transaction(self.database):
            deleted = self.database.execute(f"DELETE FROM made WHERE {condition}", values).rowcount
            self.database.execute(
                "DELETE FROM changes_of_state WHERE id IN "
                f"(SELECT id FROM deliveries WHERE {condition})",
                values,
            )
            self.database.execute(f"DELETE FROM deliveries WHERE {condition}", values)
        return deleted

    def _select(
        self, where: str, values: Sequence[object], order: str = "night, rowid"
    ) -> list[Delivery]:
        rows = self.database.execute(
            f"SELECT {_DELIVERY} FROM deliveries WHERE {where} ORDER BY {order}",
            values,
        ).fetchall()
        return [
            Delivery(*[*row[:6], date.fromisoformat(row[6]), DeliveryState(row[7]), *row[8:]])
            for row in rows
        ]


def parse_made(row: Sequence[Any]) -> MadeFile:
    """Returns the record with the columns ``MADE``."""
    values = dict(zip(MADE.split(", "), row, strict=True))
    since = values["since"]
    return MadeFile(
        **{
            **values,
            "night": date.fromisoformat(values["night"]),
            "since": date.fromisoformat(since) if since else None,
        }
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
