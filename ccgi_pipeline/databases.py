"""SQLite files that several processes share.

Belongs here: how such a file is made, opened and written to. Does not belong here: what is in it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

OWNER_ONLY = 0o600

_BUSY_SECONDS = 10.0
"""How long a writer waits for another one. Writes take less than a millisecond."""

_MAGIC = b"SQLite format 3\0"

Durability = Literal["FULL", "NORMAL"]
"""FULL: what was written survives a power failure. NORMAL: the end of any process only; the last
writes before a power failure may be lost, which is four times as quick here."""


def open_database(path: Path, schema: str, durability: Durability) -> sqlite3.Connection:
    """Opens the file for reading and writing; makes it, readable by its owner only, if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _only_opener(path):
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, OWNER_ONLY))
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {durability}")
        connection.executescript(schema)
    return connection


@contextmanager
def _only_opener(path: Path) -> Iterator[None]:
    """SQLite does not wait where two processes turn one new file into a WAL file."""
    with path.with_name(path.name + ".opening").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def vacuum(path: Path) -> None:
    """Leaves nothing in the file of what was deleted from it; does nothing to any other file."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        begins = file.read(len(_MAGIC))
    if begins == _MAGIC:
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Everything inside or nothing; other writers, of any process, wait from the first line on."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
