"""Looks: what was seen in the inboxes last, kept from one look to the next.

Belongs here: a small table in the warehouse folder, shared by the sensor and the night. It has
names of files, which may tell more than they should, so it is no cursor of the orchestrator's.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from ccgi_pipeline.databases import open_database, transaction
from ccgi_pipeline.intake.settling import Seen
from ccgi_pipeline.milestones import milestone

FILE_NAME = "looks.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS looks (
    path TEXT PRIMARY KEY, stamp TEXT NOT NULL, since REAL NOT NULL, looks INTEGER NOT NULL
)
"""


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
