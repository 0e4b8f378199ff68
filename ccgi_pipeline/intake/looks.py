"""Looks: what was seen in the inboxes last, kept from one look to the next.

Belongs here: a small table in the warehouse folder, shared by the sensor and the night. It has
names of files, which may tell more than they should, so it is no cursor of the orchestrator's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccgi_pipeline.databases import open_database, transaction
from ccgi_pipeline.intake.settling import Seen
from ccgi_pipeline.milestones import milestone

FILE_NAME = "looks.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS looks (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL, since REAL NOT NULL, looks INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS last_look (
    one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL, refusing TEXT NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class LastLook:
    """When the sensor looked last, and the servers that refused then, each with the reason."""

    at: datetime
    refusing: Mapping[str, str]


def remembered_looks(warehouse: Path) -> dict[str, Seen]:
    """The last look at each file that was not taken then, by path."""
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database:
        rows = database.execute("SELECT path, stamp, since, looks FROM looks").fetchall()
    return {
        path: Seen(stamp, datetime.fromtimestamp(since, UTC), looks)
        for path, stamp, since, looks in rows
    }


def remember_looks(warehouse: Path, looks: Mapping[str, Seen]) -> None:
    """Keeps ``looks`` in place of those before."""
    rows = [(path, look.stamp, look.since.timestamp(), look.looks) for path, look in looks.items()]
    with (
        milestone("looks: kept"),
        closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database,
        transaction(database),
    ):
        database.execute("DELETE FROM looks")
        database.executemany("INSERT INTO looks VALUES (?, ?, ?, ?)", rows)


def note_look(warehouse: Path, look: LastLook) -> None:
    """Keeps that the sensor looked, for whoever watches it."""
    with (
        closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database,
        transaction(database),
    ):
        database.execute(
            "INSERT OR REPLACE INTO last_look VALUES (1, ?, ?)",
            [look.at.timestamp(), json.dumps(dict(look.refusing))],
        )


def last_look(warehouse: Path) -> LastLook | None:
    """The sensor's last look; None where it never looked."""
    if not (warehouse / FILE_NAME).exists():
        return None
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database:
        row = database.execute("SELECT at, refusing FROM last_look").fetchone()
    return LastLook(datetime.fromtimestamp(row[0], UTC), json.loads(row[1])) if row else None
