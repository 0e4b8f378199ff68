"""SQLite files that several processes share.

Belongs here: how such a file is made, opened and written to; in an encrypted folder it is one of
SQLCipher's. Does not belong here: what is in it.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import sqlcipher3

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.keys import Keys, Purpose, keys_of

OWNER_ONLY = 0o600

_BUSY_SECONDS = 10.0
"""How long a writer waits for another one. Writes take less than a millisecond."""

_MAGIC = b"SQLite format 3\0"
_ENDINGS = (".sqlite", ".db")
"""Ours, and Dagster's."""

Durability = Literal["FULL", "NORMAL"]
"""FULL: what was written survives a power failure. NORMAL: the end of any process only; the last
writes before a power failure may be lost, which is four times as quick here."""


def open_database(path: Path, schema: str, durability: Durability) -> sqlite3.Connection:
    """Opens the file for reading and writing; makes it, readable by its owner only, if need be.

    Raises PermanentError where the keys of its folder do not open it.
    """
    keys = keys_of(path.parent, make=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _only_opener(path):
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, OWNER_ONLY))
        connection = connect(
            path, keys, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {durability}")
        connection.executescript(schema)
    return connection


def connect(
    database: Path | str,
    keys: Keys | None,
    **options: Any,  # noqa: ANN401 - whatever sqlite3 takes
) -> sqlite3.Connection:
    """A connection with the ``options`` of ``sqlite3.connect``; with ``keys``, to an encrypted one.

    Raises PermanentError where the keys do not open it.
    """
    if keys is None:
        plain: sqlite3.Connection = sqlite3.connect(database, **options)
        return plain
    connection = sqlcipher3.connect(str(database), **options)
    # A key of full strength as it is: nothing is gained by stretching it.
    connection.execute(f"PRAGMA key = \"x'{keys.of(Purpose.DATABASES).hex()}'\"")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlcipher3.DatabaseError as error:
        if isinstance(error, sqlcipher3.OperationalError):
            raise  # busy, or the disk's fault
        connection.close()
        name = str(database).partition("?")[0].rpartition("/")[2]
        msg = (
            f"{name} is not encrypted with the key of its folder, or is damaged: restore it from "
            "the same backup as encryption.json"
        )
        raise PermanentError(msg) from None
    return cast("sqlite3.Connection", connection)


@contextmanager
def _only_opener(path: Path) -> Iterator[None]:
    """SQLite does not wait where two processes turn one new file into a WAL file."""
    with path.with_name(path.name + ".opening").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def vacuum(folder: Path) -> None:
    """Leaves nothing in the SQLite files below ``folder`` of what was deleted from them.

    In an encrypted folder nobody reads what is left in a file: there, only plain ones are meant.
    """
    for path in folder.rglob("*"):
        if path.suffix in _ENDINGS and path.is_file():
            with path.open("rb") as file:
                begins = file.read(len(_MAGIC))
            if begins == _MAGIC:
                with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
                    connection.execute("VACUUM")
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def text_of(path: Path) -> bytes:
    """All cells of the SQLite file, which may be an encrypted one, a line each."""
    with closing(connect(path, keys_of(path.parent), timeout=_BUSY_SECONDS)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return "\n".join(
            str(cell)
            for (table,) in tables.fetchall()
            for row in connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own names
            for cell in row
        ).encode()


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
