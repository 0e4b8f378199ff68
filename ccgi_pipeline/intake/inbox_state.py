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

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.sqlite import open_database, transaction
from ccgi_pipeline.intake.file_stability import Sighting

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
class LastScan:
    """When the sensor looked last, and the servers that refused then, each with the reason."""

    at: datetime
    refusing: Mapping[str, str]


def read_sightings(warehouse: Path) -> dict[str, Sighting]:
    """The last look at each file that was not taken then, by path."""
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database:
        rows = database.execute("SELECT path, stamp, since, looks FROM looks").fetchall()
    return {
        path: Sighting(stamp, datetime.fromtimestamp(since, UTC), looks)
        for path, stamp, since, looks in rows
    }


def save_sightings(warehouse: Path, looks: Mapping[str, Sighting]) -> None:
    """Keeps ``looks`` in place of those before."""
    rows = [(path, look.stamp, look.since.timestamp(), look.looks) for path, look in looks.items()]
    with (
        failpoint("looks: kept"),
        closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database,
        transaction(database),
    ):
        database.execute("DELETE FROM looks")
        database.executemany("INSERT INTO looks VALUES (?, ?, ?, ?)", rows)


def save_last_scan(warehouse: Path, look: LastScan) -> None:
    """Keeps that the sensor looked, for whoever watches it."""
    with (
        closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database,
        transaction(database),
    ):
        database.execute(
            "INSERT OR REPLACE INTO last_look VALUES (1, ?, ?)",
            [look.at.timestamp(), json.dumps(dict(look.refusing))],
        )


def read_last_scan(warehouse: Path) -> LastScan | None:
    """The sensor's last look; None where it never looked."""
    if not (warehouse / FILE_NAME).exists():
        return None
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database:
        row = database.execute("SELECT at, refusing FROM last_look").fetchone()
    return LastScan(datetime.fromtimestamp(row[0], UTC), json.loads(row[1])) if row else None
