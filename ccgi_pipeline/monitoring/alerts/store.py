"""The book of notices: which troubles the operator was told of, and what is still to be told.

Belongs here: one SQLite file of the warehouse folder. What is to be told is written down in the
same transaction in which a trouble is noted: so nothing is forgotten, whoever is killed when. Also
when each of the two watchers looked last. Does not belong here: sending.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import open_database, transaction
from ccgi_pipeline.monitoring.alerts.types import Alert, Event, Kind, Notice

FILE_NAME = "notices.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS standing (
    kind TEXT NOT NULL, subject TEXT NOT NULL, words TEXT NOT NULL, page TEXT NOT NULL,
    PRIMARY KEY (kind, subject)
);
CREATE TABLE IF NOT EXISTS notices (
    number INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, kind TEXT NOT NULL,
    subject TEXT NOT NULL, words TEXT NOT NULL, page TEXT NOT NULL, at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS unsent (
    number INTEGER NOT NULL, channel TEXT NOT NULL, PRIMARY KEY (number, channel)
);
CREATE TABLE IF NOT EXISTS watchers (name TEXT PRIMARY KEY, at REAL NOT NULL);
"""


@contextmanager
def open_book(warehouse: Path) -> Iterator[NoticeBook]:
    """The book of the warehouse in this folder."""
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "FULL")) as database:
        yield NoticeBook(database)


def exists(warehouse: Path) -> bool:
    """Whether anything was ever noted here."""
    return (warehouse / FILE_NAME).exists()


@dataclass(frozen=True, slots=True)
class NoticeBook:
    """The open book."""

    database: sqlite3.Connection

    def note(
        self,
        troubles: Iterable[Alert],
        channels: Collection[str],
        at: datetime,
        unknown: Collection[Kind] = (),
    ) -> None:
        """Notes the troubles that there are; what is new, and what is over, is to be told.

        ``channels``: by which it is. ``unknown``: kinds that could not be looked for: theirs are
        neither new nor over.
        """
        now = {(t.kind, t.subject): t for t in troubles if t.kind not in unknown}
        with transaction(self.database):
            before = {(t.kind, t.subject): t for t in self.standing() if t.kind not in unknown}
            for key, trouble in now.items():
                if key not in before:
                    self._tell(Event.BEGAN, trouble, channels, at)
                self.database.execute(
                    "INSERT OR REPLACE INTO standing VALUES (?, ?, ?, ?)", _row(trouble)
                )
            for key in before.keys() - now.keys():
                self._tell(Event.OVER, before[key], channels, at)
                self.database.execute(
                    "DELETE FROM standing WHERE kind = ? AND subject = ?", [str(key[0]), key[1]]
                )

    def _tell(self, event: Event, trouble: Alert, channels: Collection[str], at: datetime) -> None:
        number = self.database.execute(
            "INSERT INTO notices (event, kind, subject, words, page, at) "
            "VALUES (?, ?, ?, ?, ?, ?) RETURNING number",
            [str(event), *_row(trouble), at.timestamp()],
        ).fetchone()[0]
        self.database.executemany(
            "INSERT INTO unsent VALUES (?, ?)", [(number, channel) for channel in channels]
        )

    def standing(self) -> list[Alert]:
        """The troubles noted last."""
        rows = self.database.execute(
            "SELECT kind, subject, words, page FROM standing ORDER BY 1, 2"
        )
        return [Alert(Kind(kind), *rest) for kind, *rest in rows]

    def unsent(self, channel: str) -> list[Notice]:
        """What is still to be told by a channel, the oldest first."""
        rows = self.database.execute(
            "SELECT number, event, kind, subject, words, page, at "
            "FROM notices JOIN unsent USING (number) WHERE channel = ? ORDER BY number",
            [channel],
        )
        return [
            Notice(
                number,
                Event(event),
                Alert(Kind(kind), subject, words, page),
                datetime.fromtimestamp(at, UTC),
            )
            for number, event, kind, subject, words, page, at in rows
        ]

    def sent(self, channel: str, notices: Iterable[Notice]) -> None:
        """Notes that they were told."""
        with transaction(self.database):
            self.database.executemany(
                "DELETE FROM unsent WHERE channel = ? AND number = ?",
                [(channel, notice.number) for notice in notices],
            )

    def waiting_since(self, channels: Collection[str]) -> datetime | None:
        """Since when the oldest notice waits for one of ``channels``."""
        marks = ", ".join("?" * len(channels))
        (at,) = self.database.execute(
            f"SELECT min(at) FROM notices JOIN unsent USING (number) WHERE channel IN ({marks})",
            [*channels],
        ).fetchone()
        return None if at is None else datetime.fromtimestamp(at, UTC)

    def watched(self, watcher: str, at: datetime) -> None:
        """Notes that a watcher looked."""
        with transaction(self.database):
            self.database.execute(
                "INSERT OR REPLACE INTO watchers VALUES (?, ?)", [watcher, at.timestamp()]
            )

    def last_watched(self, watcher: str) -> datetime | None:
        """When a watcher looked last; None where it never did."""
        row = self.database.execute("SELECT at FROM watchers WHERE name = ?", [watcher]).fetchone()
        return None if row is None else datetime.fromtimestamp(row[0], UTC)


def _row(trouble: Alert) -> list[str]:
    return [str(trouble.kind), trouble.subject, trouble.words, trouble.page]
