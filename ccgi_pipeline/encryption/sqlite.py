"""SQLite files that several processes share; in an encrypted folder, SQLCipher encrypts them.

Belongs here: how such a file is made, opened and written to. Does not belong here: its tables.
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
from ccgi_pipeline.encryption.keys import KeyPurpose, Keys, load_keys

OWNER_ONLY = 0o600

_BUSY_SECONDS = 10.0
"""How long a writer waits for another one. A write takes less than a millisecond."""

_MAGIC = b"SQLite format 3\0"
_SUFFIXES = (".sqlite", ".db")
"""Of the pipeline's files, and of Dagster's."""

Durability = Literal["FULL", "NORMAL"]
"""FULL: a write survives a power failure. NORMAL: a write survives the end of any process, but the
last ones before a power failure may be lost; it is four times as fast here."""


def open_database(path: Path, schema: str, durability: Durability) -> sqlite3.Connection:
    """Opens the file for reading and writing; makes it if it is missing, for its owner only.

    Raises PermanentError if the keys of its folder do not open it.
    """
    keys = load_keys(path.parent, make=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _opening_lock(path):
        # A file that is there is not opened here. If this process has a connection to it, closing
        # would end the connection's locks (POSIX), and the next process to leave the file would
        # take its log away, with all that the connection writes from then on.
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
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
    """Connects with the ``options`` of ``sqlite3.connect``; with ``keys``, to an encrypted file.

    Raises PermanentError if the keys do not open it.
    """
    if keys is None:
        plain: sqlite3.Connection = sqlite3.connect(database, **options)
        return plain
    connection = sqlcipher3.connect(str(database), **options)
    # The key has its full strength already, so it needs no key derivation.
    connection.execute(f"PRAGMA key = \"x'{keys.of(KeyPurpose.DATABASES).hex()}'\"")
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlcipher3.DatabaseError as error:
        if isinstance(error, sqlcipher3.OperationalError):
            raise  # the file is busy, or the disk fails
        connection.close()
        name = str(database).partition("?")[0].rpartition("/")[2]
        msg = (
            f"{name} is not encrypted with the key of its folder, or it is damaged: restore it "
            "from the same backup as encryption.json"
        )
        raise PermanentError(msg) from None
    return cast("sqlite3.Connection", connection)


@contextmanager
def _opening_lock(path: Path) -> Iterator[None]:
    """Lets one process at a time open the file: SQLite fails if two turn it into a WAL file."""
    with path.with_name(path.name + ".opening").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def vacuum_files(folder: Path) -> None:
    """Removes the remains of deleted rows from the unencrypted SQLite files below ``folder``.

    In an encrypted file nobody can read such remains.
    """
    for path in folder.rglob("*"):
        if path.suffix in _SUFFIXES and path.is_file():
            with path.open("rb") as file:
                begins = file.read(len(_MAGIC))
            if begins == _MAGIC:
                with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
                    connection.execute("VACUUM")
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def dump_cells(path: Path) -> bytes:
    """Returns all cells of a plain or encrypted SQLite file, one a line."""
    with closing(connect(path, load_keys(path.parent), timeout=_BUSY_SECONDS)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return "\n".join(
            str(cell)
            for (table,) in tables.fetchall()
            for row in connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - its own names
            for cell in row
        ).encode()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Runs the block as one transaction; writers of all processes wait for its end."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
