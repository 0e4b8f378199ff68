"""Stores what the last scan of the inboxes saw, for the next scan.

Belongs here: one small SQLite file in the warehouse's folder, shared by the sensor and the night.
File names may hold personal data, so they are kept here and not in a cursor of Dagster's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.sqlite import open_database, transaction
from ccgi_pipeline.intake.file_stability import Sighting

FILE_NAME = "inbox_state.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sightings (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL, since REAL NOT NULL, scans INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS last_scan (
    one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL, refusing TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS refusing_servers (server TEXT PRIMARY KEY, reason TEXT NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class LastScan:
    """The time of the sensor's last scan, and why each server refused it then."""

    at: datetime
    refusing: Mapping[str, str]


def read_sightings(warehouse: Path) -> dict[str, Sighting]:
    """Returns the last sighting of each file that is not taken yet, by path."""
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database:
        rows = database.execute("SELECT path, stamp, since, scans FROM sightings").fetchall()
    return {
        path: Sighting(stamp, datetime.fromtimestamp(since, UTC), scans)
        for path, stamp, since, scans in rows
    }


def save_sightings(warehouse: Path, sightings: Mapping[str, Sighting]) -> None:
    """Replaces the stored sightings."""
    rows = [(path, s.stamp, s.since.timestamp(), s.scans) for path, s in sightings.items()]
    with (
        failpoint("inbox state: saved"),
        closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database,
        transaction(database),
    ):
        database.execute("DELETE FROM sightings")
        database.executemany("INSERT INTO sightings VALUES (?, ?, ?, ?)", rows)


def save_last_scan(warehouse: Path, scan: LastScan) -> None:
    """Stores the time and result of the sensor's scan, for monitoring."""
    with (
        closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database,
        transaction(database),
    ):
        database.execute(
            "INSERT OR REPLACE INTO last_scan VALUES (1, ?, ?)",
            [scan.at.timestamp(), json.dumps(dict(scan.refusing))],
        )
        _replace_refusing_servers(database, scan.refusing)


def read_last_scan(warehouse: Path) -> LastScan | None:
    """Returns the sensor's last scan; None if it has never scanned."""
    if not (warehouse / FILE_NAME).exists():
        return None
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database:
        row = database.execute("SELECT at, refusing FROM last_scan").fetchone()
    return LastScan(datetime.fromtimestamp(row[0], UTC), json.loads(row[1])) if row else None


def save_refusing_servers(warehouse: Path, refusing: Mapping[str, str]) -> None:
    """Stores why each server refused the last scan, by the sensor or by a night."""
    with (
        closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database,
        transaction(database),
    ):
        _replace_refusing_servers(database, refusing)


def _replace_refusing_servers(database: sqlite3.Connection, refusing: Mapping[str, str]) -> None:
    database.execute("DELETE FROM refusing_servers")
    database.executemany("INSERT INTO refusing_servers VALUES (?, ?)", [*refusing.items()])


def read_refusing_servers(warehouse: Path) -> dict[str, str]:
    """Returns why each server refused the last scan; empty if all servers answered."""
    if not (warehouse / FILE_NAME).exists():
        return {}
    with closing(open_database(warehouse / FILE_NAME, _SCHEMA, "NORMAL")) as database:
        rows = database.execute("SELECT server, reason FROM refusing_servers ORDER BY server")
        return dict(rows.fetchall())
