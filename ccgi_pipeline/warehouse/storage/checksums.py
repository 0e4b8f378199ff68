"""Checksums of a warehouse's files: whoever writes reads only what was written.

Belongs here: noting the SHA-256 of the tables' files and of the catalog when a writer ends, and
comparing when the next one begins. A file of a table never changes once it is written, and neither
Parquet nor SQLite notices that a disk returns other values. Does not belong here: checking all that
a warehouse folder has (operations.verification).

Left out is what has checksums of its own: object storage, a catalog in PostgreSQL (with
``data_checksums``), and the catalog of an encrypted warehouse, whose every block is authenticated.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import duckdb

from ccgi_pipeline.common.errors import (
    DatabaseInUseError,
    TablesDamagedError,
    catalog_damaged_error,
    to_pipeline_error,
)
from ccgi_pipeline.common.prefetch import prefetch
from ccgi_pipeline.encryption.sqlite import open_database, transaction
from ccgi_pipeline.warehouse.storage.location import (
    CATALOG,
    S3,
    locate_warehouse,
)

FILE_NAME = "checksums.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS catalog (one INTEGER PRIMARY KEY CHECK (one = 1), sha256 TEXT);
"""
CATALOG_CHANGED, CATALOG_UNREADABLE = "is not as the last writer left it", "cannot be read"
"""What is wrong with a catalog that another program, or the disk, has changed."""

_FILES_NAMED = 5


class FileFault(StrEnum):
    """What is wrong with a file of a table, in words."""

    MISSING = "missing"
    CUT = "of another size"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file of a table as the catalog has it. ``live``: the newest snapshot reads it."""

    path: str
    size: int
    live: bool


# --- the tables' files ----------------------------------------------------------------------------


@contextmanager
def checked_tables(connection: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[None]:
    """Compares the files of the newest snapshot, and notes new ones at the end of the block.

    Raises TablesDamagedError.
    """
    tables = local_tables(folder)
    if tables is None:
        yield
        return
    damaged = find_damaged_files(folder, tables, [f for f in list_files(connection) if f.live])
    if damaged:
        raise tables_damaged_error(damaged)
    try:
        yield
    finally:
        # A broken connection tells nothing: then the next writer notes the new files.
        with suppress(duckdb.Error):
            record_files(folder, tables, list_files(connection))


def local_tables(folder: Path) -> Path | None:
    """Returns the folder of the tables' files; None if they are in object storage."""
    tables = locate_warehouse(folder).tables
    return None if tables.startswith(S3) else Path(tables)


def list_files(connection: duckdb.DuckDBPyConnection) -> list[TableFile]:
    """Returns the files of all snapshots, with paths below the tables' folder."""
    catalog = "__ducklake_metadata_lake"
    rows = connection.execute(
        " UNION ALL ".join(
            f"""
            SELECT CASE WHEN file.path_is_relative THEN of_table.path ELSE '' END || file.path,
                file.file_size_bytes, file.end_snapshot IS NULL
            FROM {catalog}.{kind} AS file JOIN (
                SELECT table_id, any_value(schema.path || named.path) AS path
                FROM {catalog}.ducklake_table AS named
                JOIN {catalog}.ducklake_schema AS schema USING (schema_id) GROUP BY table_id
            ) AS of_table USING (table_id)
            """
            for kind in ("ducklake_data_file", "ducklake_delete_file")
        )
    ).fetchall()
    return [TableFile(*row) for row in rows]


def find_damaged_files(
    folder: Path, tables: Path, files: Sequence[TableFile]
) -> dict[str, FileFault]:
    """Returns which of ``files`` are not as they were written; notes those that were not noted."""
    known = _read_known(folder)
    damaged: dict[str, FileFault] = {}
    new: list[tuple[str, int, str]] = []
    for file, digest in _hash_files(tables, files):
        size, sha256 = known.get(file.path, (file.size, None))
        if digest is None:
            damaged[file.path] = FileFault.MISSING
        elif digest[0] != size or size != file.size:
            damaged[file.path] = FileFault.CUT
        elif sha256 is None:
            new.append((file.path, *digest))
        elif digest[1] != sha256:
            damaged[file.path] = FileFault.CHANGED
    if new:
        _store(folder, new, ())
    return damaged


def record_files(folder: Path, tables: Path, files: Sequence[TableFile]) -> None:
    """Notes the files that are new, and forgets those that the catalog no longer has."""
    known = _read_known(folder)
    fresh = [file for file in files if file.path not in known]
    made = [(file.path, *digest) for file, digest in _hash_files(tables, fresh) if digest]
    gone = known.keys() - {file.path for file in files}
    if made or gone:
        _store(folder, made, gone)


def _hash_files(
    tables: Path, files: Sequence[TableFile]
) -> Iterator[tuple[TableFile, tuple[int, str] | None]]:
    """Yields each file with its size and SHA-256; None if it is not there."""

    def hashed(file: TableFile) -> tuple[TableFile, tuple[int, str] | None]:
        try:
            with (tables / file.path).open("rb") as opened:
                size = os.fstat(opened.fileno()).st_size
                return file, (size, hashlib.file_digest(opened, "sha256").hexdigest())
        except FileNotFoundError:
            return file, None

    return prefetch(hashed, files, os.cpu_count() or 1)


def tables_damaged_error(damaged: dict[str, FileFault]) -> TablesDamagedError:
    """Returns the error that names damaged files and says what to do."""
    named = ", ".join(f"{path} ({fault})" for path, fault in [*damaged.items()][:_FILES_NAMED])
    more = len(damaged) - _FILES_NAMED
    return TablesDamagedError(
        f"files of the warehouse's tables are not as they were written: {named}"
        f"{f' and {more:,} more' if more > 0 else ''}. Nothing was read or changed. Copy them from "
        "a backup into the folder of the tables; `ccgi warehouse verify` checks all files"
    )


# --- the catalog ----------------------------------------------------------------------------------


def begin_writing(folder: Path) -> None:
    """Compares the catalog in the folder with what the last writer left; only for the writer.

    After a writer that was killed only its form is known. Raises CatalogDamagedError.
    """
    catalog = _find_catalog(folder)
    if catalog is None:
        return
    with _opened(folder) as database, _translated(folder):
        fault = _compare_catalog(database, catalog)
        if fault is not None:
            raise catalog_damaged_error(fault)
        with transaction(database):
            database.execute("INSERT OR REPLACE INTO catalog VALUES (1, NULL)")


def end_writing(folder: Path) -> None:
    """Notes the catalog as it is; only for the writer, when its connections are closed."""
    catalog = _find_catalog(folder)
    if catalog is None:
        return
    with _opened(folder) as database, _translated(folder):
        digest = _hash_catalog(catalog)
        with transaction(database):
            database.execute("INSERT OR REPLACE INTO catalog VALUES (1, ?)", [digest])


def forget_catalog(folder: Path) -> None:
    """Forgets the catalog: it was moved to another place, or came from there."""
    if (folder / FILE_NAME).exists():
        with _opened(folder) as database, transaction(database):
            database.execute("DELETE FROM catalog")


def find_catalog_change(folder: Path) -> str | None:
    """Returns what is wrong with the catalog in the folder; None if nothing is.

    Only while nobody writes, and with the folder's lock.
    """
    catalog = _find_catalog(folder)
    if catalog is None:
        return None
    with _opened(folder) as database, _translated(folder):
        return _compare_catalog(database, catalog)


def _find_catalog(folder: Path) -> Path | None:
    catalog = folder / CATALOG
    return catalog if catalog.exists() and catalog.stat().st_size else None


def _compare_catalog(database: sqlite3.Connection, catalog: Path) -> str | None:
    row = database.execute("SELECT sha256 FROM catalog").fetchone()
    if row is None:
        return None  # nobody has noted it yet
    try:
        if row[0] is not None:
            return None if _hash_catalog(catalog) == row[0] else CATALOG_CHANGED
        with closing(sqlite3.connect(catalog)) as opened:
            sound = opened.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
    except sqlite3.DatabaseError as error:
        if isinstance(to_pipeline_error(error), DatabaseInUseError):
            raise
        sound = False
    return None if sound else CATALOG_UNREADABLE


def _hash_catalog(catalog: Path) -> str:
    """Returns the SHA-256 of a catalog with the commits that are still in its log."""
    with closing(sqlite3.connect(catalog)) as opened:
        return hashlib.sha256(opened.serialize()).hexdigest()


# --- what is noted --------------------------------------------------------------------------------


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    try:
        opened = open_database(folder / FILE_NAME, _SCHEMA, "NORMAL")
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise to_pipeline_error(error, [folder]) from None
        msg = (
            f"{FILE_NAME} is damaged, so nobody knows whether the other files are sound. Compare "
            "them with a backup, then remove it: the next night makes it again"
        )
        raise TablesDamagedError(msg) from None
    with closing(opened):
        yield opened


@contextmanager
def _translated(folder: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise to_pipeline_error(error, [folder]) from None


def _read_known(folder: Path) -> dict[str, tuple[int, str]]:
    with _opened(folder) as database, _translated(folder):
        rows = database.execute("SELECT path, size, sha256 FROM files").fetchall()
    return {path: (size, sha256) for path, size, sha256 in rows}


def _store(folder: Path, made: Sequence[tuple[str, int, str]], gone: Iterable[str]) -> None:
    with _opened(folder) as database, _translated(folder), transaction(database):
        database.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in gone])
        database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", made)
