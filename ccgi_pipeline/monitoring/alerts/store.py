"""The alerts that are open, and the notices that are still to be sent.

Belongs here: one SQLite file of the warehouse folder. A notice is stored in the same transaction as
its alert, so a killed process loses no notice. Also when each of the two watchers last
ran. Does not belong here: sending (channels).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import open_database, transaction
from ccgi_pipeline.monitoring.alerts.types import Alert, AlertKind, Notice, NoticeEvent

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
def open_alert_store(warehouse: Path) -> Iterator[AlertStore]:
    """Opens the store of this warehouse; it is made where there is none."""
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "FULL")) as database:
        yield AlertStore(database)


def exists(warehouse: Path) -> bool:
    """Returns whether this warehouse has a store."""
    return (warehouse / FILE_NAME).exists()


@dataclass(frozen=True, slots=True)
class AlertStore:
    """An open store of alerts and notices."""

    database: sqlite3.Connection

    def record_alerts(
        self,
        alerts: Iterable[Alert],
        channels: Collection[str],
        at: datetime,
        unchecked: Collection[AlertKind] = (),
    ) -> None:
        """Stores the alerts that there are now, and a notice of each that is new or over.

        ``channels``: those by which notices are sent. ``unchecked``: kinds that could not all be
        checked; no alert of theirs is over.
        """
        now = {(t.kind, t.subject): t for t in alerts}
        with transaction(self.database):
            before = {(t.kind, t.subject): t for t in self.read_alerts()}
            for key, alert in now.items():
                if key not in before:
                    self._add_notice(NoticeEvent.BEGAN, alert, channels, at)
                self.database.execute(
                    "INSERT OR REPLACE INTO standing VALUES (?, ?, ?, ?)", _row(alert)
                )
            for key in before.keys() - now.keys():
                if key[0] in unchecked:
                    continue
                self._add_notice(NoticeEvent.OVER, before[key], channels, at)
                self.database.execute(
                    "DELETE FROM standing WHERE kind = ? AND subject = ?", [str(key[0]), key[1]]
                )

    def _add_notice(
        self, event: NoticeEvent, alert: Alert, channels: Collection[str], at: datetime
    ) -> None:
        number = self.database.execute(
            "INSERT INTO notices (event, kind, subject, words, page, at) "
            "VALUES (?, ?, ?, ?, ?, ?) RETURNING number",
            [str(event), *_row(alert), at.timestamp()],
        ).fetchone()[0]
        self.database.executemany(
            "INSERT INTO unsent VALUES (?, ?)", [(number, channel) for channel in channels]
        )

    def read_alerts(self) -> list[Alert]:
        """Returns the alerts that are open."""
        rows = self.database.execute(
            "SELECT kind, subject, words, page FROM standing ORDER BY 1, 2"
        )
        return [Alert(AlertKind(kind), *rest) for kind, *rest in rows]

    def read_unsent(self, channel: str) -> list[Notice]:
        """Returns the notices that are still to be sent by a channel, the oldest first."""
        rows = self.database.execute(
            "SELECT number, event, kind, subject, words, page, at "
            "FROM notices JOIN unsent USING (number) WHERE channel = ? ORDER BY number",
            [channel],
        )
        return [
            Notice(
                number,
                NoticeEvent(event),
                Alert(AlertKind(kind), subject, words, page),
                datetime.fromtimestamp(at, UTC),
            )
            for number, event, kind, subject, words, page, at in rows
        ]

    def mark_sent(self, channel: str, notices: Iterable[Notice]) -> None:
        """Records that a channel has sent these notices."""
        with transaction(self.database):
            self.database.executemany(
                "DELETE FROM unsent WHERE channel = ? AND number = ?",
                [(channel, notice.number) for notice in notices],
            )

    def read_unsent_since(self, channels: Collection[str]) -> datetime | None:
        """Returns since when the oldest notice waits for one of ``channels``."""
        marks = ", ".join("?" * len(channels))
        (at,) = self.database.execute(
            f"SELECT min(at) FROM notices JOIN unsent USING (number) WHERE channel IN ({marks})",
            [*channels],
        ).fetchone()
        return None if at is None else datetime.fromtimestamp(at, UTC)

    def record_watch(self, watcher: str, at: datetime) -> None:
        """Records that a watcher has run."""
        with transaction(self.database):
            self.database.execute(
                "INSERT OR REPLACE INTO watchers VALUES (?, ?)", [watcher, at.timestamp()]
            )

    def read_last_watch(self, watcher: str) -> datetime | None:
        """Returns when a watcher last ran; None if it never did."""
        row = self.database.execute("SELECT at FROM watchers WHERE name = ?", [watcher]).fetchone()
        return None if row is None else datetime.fromtimestamp(row[0], UTC)


def _row(alert: Alert) -> list[str]:
    return [str(alert.kind), alert.subject, alert.words, alert.page]
