"""Remembers fetches: how far one has come, what the last ones brought, and how a server behaves.

Belongs here: one SQLite file in the warehouse's folder, written so that a fetch that was killed
goes on with the next collection. Codes, counts and hashes: nothing of a student. Does not belong
here: what follows from it (``schedule``).
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import open_database, transaction
from ccgi_pipeline.oneroster_api.schedule import FetchHistory
from ccgi_pipeline.profile_oneroster_api import FetchMode

FILE_NAME = "oneroster_api.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS fetches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, cd TEXT NOT NULL, mode TEXT NOT NULL, why TEXT NOT NULL,
    settings TEXT NOT NULL, began REAL NOT NULL, first REAL NOT NULL, ended REAL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '', version TEXT NOT NULL DEFAULT '',
    pages INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, folder TEXT
);
CREATE INDEX IF NOT EXISTS fetches_by_district ON fetches (cd, id);
CREATE TABLE IF NOT EXISTS collections (
    fetch INTEGER NOT NULL, name TEXT NOT NULL, records INTEGER NOT NULL, total INTEGER,
    gone INTEGER NOT NULL, newest TEXT, tries INTEGER NOT NULL, note TEXT NOT NULL,
    files TEXT NOT NULL, PRIMARY KEY (fetch, name)
);
CREATE TABLE IF NOT EXISTS pages (
    cd TEXT NOT NULL, fetch INTEGER NOT NULL, collection TEXT NOT NULL, place INTEGER NOT NULL,
    sha256 TEXT NOT NULL, bytes INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS pages_by_content ON pages (sha256);
CREATE TABLE IF NOT EXISTS cursors (
    cd TEXT NOT NULL, collection TEXT NOT NULL, newest TEXT NOT NULL, PRIMARY KEY (cd, collection)
);
CREATE TABLE IF NOT EXISTS servers (
    cd TEXT PRIMARY KEY, settings TEXT NOT NULL, tombstones INTEGER NOT NULL, full_only TEXT
);
"""


class FetchState(StrEnum):
    """What became of a fetch.

    UNCHANGED: it brought what the last one brought, or no changes, so there was no drop. REFUSED:
    somebody must act. FAILED: a later one may succeed.
    """

    RUNNING = "running"
    DROPPED = "dropped"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    FAILED = "failed"


_SUCCEEDED = (FetchState.DROPPED, FetchState.UNCHANGED)


@dataclass(frozen=True, slots=True)
class CollectionResult:
    """A collection that came whole.

    ``records``: how many came. ``total``: how many the server says there are. ``gone``: how many
    are to be deleted. ``newest``: the latest change. ``note``: what an operator should know.
    ``files``: the SHA-256 of each file that it became; none if it has no lines.
    """

    name: str
    records: int
    total: int | None = None
    gone: int = 0
    newest: str | None = None
    tries: int = 1
    note: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fetch:
    """One fetch of one district."""

    id: int
    cd: str
    mode: FetchMode
    why: str
    settings: str
    began: datetime
    ended: datetime | None
    state: FetchState
    reason: str
    version: str
    pages: int
    bytes: int
    folder: str | None


_COLUMNS = "id, cd, mode, why, settings, began, ended, state, reason, version, pages, bytes, folder"


class FetchStore:
    """The file, open."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def begin(self, cd: str, mode: FetchMode, why: str, settings: str, now: datetime) -> Fetch:
        """Records that a fetch begins; one that was killed before is given up."""
        with transaction(self._database):
            self._give_up_running(cd, now)
            row = self._database.execute(
                "INSERT INTO fetches (cd, mode, why, settings, began, first, state)"
                f" VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}",
                [cd, mode, why, settings, now.timestamp(), now.timestamp(), FetchState.RUNNING],
            ).fetchone()
        return _fetch(row)

    def find_interrupted(self, cd: str, settings: str, since: datetime) -> Fetch | None:
        """Returns the newest fetch if it did not end, or the server did not answer any more.

        Only if it has these settings, and its first collection is not older than ``since``.
        """
        row = self._database.execute(
            f"SELECT {_COLUMNS} FROM fetches WHERE id = (SELECT max(id) FROM fetches WHERE cd = ?)"
            " AND state IN (?, ?) AND settings = ? AND first >= ?",
            [cd, FetchState.RUNNING, FetchState.FAILED, settings, since.timestamp()],
        ).fetchone()
        return _fetch(row) if row else None

    def go_on(self, before: Fetch, now: datetime) -> Fetch:
        """Records a fetch that goes on where one before it stopped."""
        with transaction(self._database):
            self._give_up_running(before.cd, now)
            row = self._database.execute(
                "INSERT INTO fetches (cd, mode, why, settings, began, first, state, version,"
                " folder) SELECT cd, mode, why, settings, ?, first, ?, version, folder"
                f" FROM fetches WHERE id = ? RETURNING {_COLUMNS}",
                [now.timestamp(), FetchState.RUNNING, before.id],
            ).fetchone()
            after = _fetch(row)
            self._database.execute(
                "UPDATE collections SET fetch = ? WHERE fetch = ?", [after.id, before.id]
            )
        return after

    def _give_up_running(self, cd: str, now: datetime) -> None:
        self._database.execute(
            "UPDATE fetches SET state = ?, ended = ?, reason = 'it was stopped'"
            " WHERE cd = ? AND state = ?",
            [FetchState.FAILED, now.timestamp(), cd, FetchState.RUNNING],
        )

    def record_version(self, fetch: int, version: str) -> None:
        """Records the version that the server speaks."""
        self._database.execute("UPDATE fetches SET version = ? WHERE id = ?", [version, fetch])

    def record_page(
        self, fetch: Fetch, collection: str, place: int, sha256: str, size: int
    ) -> None:
        """Records a page that was archived."""
        self._database.execute(
            "INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?)",
            [fetch.cd, fetch.id, collection, place, sha256, size],
        )

    def record_collection(self, fetch: int, result: CollectionResult) -> None:
        """Records a collection that came whole."""
        self._database.execute(
            "INSERT OR REPLACE INTO collections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                fetch, result.name, result.records, result.total, result.gone, result.newest,
                result.tries, result.note, json.dumps(dict(result.files)),
            ],
        )  # fmt: skip

    def read_collections(self, fetch: int) -> list[CollectionResult]:
        """Returns the collections of a fetch that came whole."""
        rows = self._database.execute(
            "SELECT name, records, total, gone, newest, tries, note, files FROM collections"
            " WHERE fetch = ? ORDER BY rowid",
            [fetch],
        )
        return [
            CollectionResult(name, records, total, gone, newest, tries, note, json.loads(files))
            for name, records, total, gone, newest, tries, note, files in rows
        ]

    def record_folder(self, fetch: int, folder: str) -> None:
        """Records the name that the drop will have, before it has it."""
        self._database.execute("UPDATE fetches SET folder = ? WHERE id = ?", [folder, fetch])

    def end(
        self,
        fetch: Fetch,
        state: FetchState,
        now: datetime,
        *,
        reason: str = "",
        pages: int = 0,
        size: int = 0,
    ) -> None:
        """Records the end of a fetch; what a good one brought counts for the next.

        A change that is dated after the beginning of the fetch counts as one of then: a system
        that dates a record decades ahead would otherwise hide all changes until that day.
        """
        with transaction(self._database):
            self._database.execute(
                "UPDATE fetches SET state = ?, ended = ?, reason = ?, pages = ?, bytes = ?"
                " WHERE id = ?",
                [state, now.timestamp(), reason, pages, size, fetch.id],
            )
            if state in _SUCCEEDED:
                self._database.execute(
                    "INSERT INTO cursors SELECT ?, name, min(newest, ?) FROM collections"
                    " WHERE fetch = ? AND newest IS NOT NULL ON CONFLICT (cd, collection)"
                    " DO UPDATE SET newest = max(newest, excluded.newest)",
                    [fetch.cd, f"{fetch.began.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z", fetch.id],
                )
                self._database.execute(
                    "UPDATE servers SET tombstones = 1 WHERE cd = ? AND EXISTS"
                    " (SELECT 1 FROM collections WHERE fetch = ? AND gone > 0)",
                    [fetch.cd, fetch.id],
                )

    def know_server(self, cd: str, settings: str) -> None:
        """Makes sure that what is remembered is of this server, and forgets another one's."""
        with transaction(self._database):
            row = self._database.execute(
                "SELECT settings FROM servers WHERE cd = ?", [cd]
            ).fetchone()
            if row is None or row[0] != settings:
                self._database.execute("DELETE FROM cursors WHERE cd = ?", [cd])
                self._database.execute(
                    "INSERT OR REPLACE INTO servers VALUES (?, ?, 0, NULL)", [cd, settings]
                )

    def record_full_only(self, cd: str, why: str) -> None:
        """Records that the server can only be asked for everything."""
        self._database.execute("UPDATE servers SET full_only = ? WHERE cd = ?", [why, cd])

    def read_cursors(self, cd: str) -> dict[str, str]:
        """Returns the latest change known of each collection."""
        rows = self._database.execute("SELECT collection, newest FROM cursors WHERE cd = ?", [cd])
        return dict(rows.fetchall())

    def read_history(self, cd: str, settings: str | None = None) -> FetchHistory:
        """Returns what is known of a district's fetches; ``settings``: of this server only."""
        good = self._database.execute(
            "SELECT max(CASE WHEN mode = 'full' AND settings = coalesce(?, settings)"
            " THEN began END), max(began) FROM fetches WHERE cd = ? AND state IN (?, ?)",
            [settings, cd, *_SUCCEEDED],
        ).fetchone()
        server = self._database.execute(
            "SELECT tombstones, full_only FROM servers WHERE cd = ?", [cd]
        ).fetchone() or (0, None)
        attempts = self._database.execute(
            "SELECT began FROM fetches WHERE cd = ? AND began > ? ORDER BY id DESC LIMIT 20",
            [cd, good[1] or 0.0],
        )
        return FetchHistory(
            full_at=_moment(good[0]),
            succeeded_at=_moment(good[1]),
            attempts=tuple(datetime.fromtimestamp(at, UTC) for (at,) in attempts),
            tombstones=bool(server[0]),
            full_only=server[1],
        )

    def forget(self, cd: str | None, before: datetime | None) -> list[str]:
        """Forgets the pages of a district, or of fetches before a time.

        Of the district, everything goes. Returns the SHA-256 of pages that nobody needs any more.
        """
        chosen = "cd = coalesce(?, cd) AND fetch IN (SELECT id FROM fetches WHERE began < ?)"
        limits = [cd, before.timestamp() if before else math.inf]
        with transaction(self._database):
            gone = self._database.execute(
                f"SELECT DISTINCT sha256 FROM pages WHERE {chosen} EXCEPT"
                f" SELECT sha256 FROM pages WHERE NOT ({chosen})",
                [*limits, *limits],
            ).fetchall()
            self._database.execute(f"DELETE FROM pages WHERE {chosen}", limits)
            if cd is not None and before is None:
                self._database.execute(
                    "DELETE FROM collections WHERE fetch IN (SELECT id FROM fetches WHERE cd = ?)",
                    [cd],
                )
                for table in ("fetches", "cursors", "servers"):
                    self._database.execute(f"DELETE FROM {table} WHERE cd = ?", [cd])
        return [sha256 for (sha256,) in gone]

    def read_newest(self, cd: str | None = None) -> list[Fetch]:
        """Returns the newest fetch of each district; ``cd``: of one."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM fetches WHERE id IN (SELECT max(id) FROM fetches"
            " WHERE cd = coalesce(?, cd) GROUP BY cd) ORDER BY cd",
            [cd],
        )
        return [_fetch(row) for row in rows]

    def read_last_drop(self, cd: str) -> Fetch | None:
        """Returns the newest fetch of a district that became a drop."""
        row = self._database.execute(
            f"SELECT {_COLUMNS} FROM fetches WHERE cd = ? AND state = ? ORDER BY id DESC LIMIT 1",
            [cd, FetchState.DROPPED],
        ).fetchone()
        return _fetch(row) if row else None

    def read_drops(self, cd: str, before: datetime) -> list[Fetch]:
        """Returns the fetches of a district that became drops and ended before a time."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM fetches WHERE cd = ? AND state = ? AND ended < ?",
            [cd, FetchState.DROPPED, before.timestamp()],
        )
        return [_fetch(row) for row in rows]


def _fetch(row: tuple[object, ...]) -> Fetch:
    named = dict(zip(_COLUMNS.split(", "), row, strict=True))
    began, ended, state = named.pop("began"), named.pop("ended"), named.pop("state")
    return Fetch(
        **named,  # type: ignore[arg-type] # the columns of its own table
        began=_moment(began) or datetime.min.replace(tzinfo=UTC),
        ended=_moment(ended),
        state=FetchState(str(state)),
    )


def _moment(at: object) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if isinstance(at, int | float) else None


def store_exists(warehouse: Path) -> bool:
    """Returns whether there was ever a fetch."""
    return (warehouse / FILE_NAME).exists()


@contextmanager
def open_store(warehouse: Path) -> Iterator[FetchStore]:
    """Opens the file of a warehouse; makes it if it is missing."""
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "FULL")) as database:
        yield FetchStore(database)


def read_newest_fetches(warehouse: Path, cd: str | None = None) -> list[Fetch]:
    """Returns the newest fetch of each district, none where there was never one."""
    if not store_exists(warehouse):
        return []
    with open_store(warehouse) as store:
        return store.read_newest(cd)
