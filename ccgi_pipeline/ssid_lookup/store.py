"""The identity store: which student has these names, this birth date and this school.

Belongs here: the index of identities, how it is loaded and asked; the CCCIDs that became known
with matches. Does not belong here: what a request must look like (contract), who may ask.

The index is one SQLite file, read only, that holds no name and no birth date: a table without rowid
whose key of 16 bytes is

* 10 bytes of a SHA-256 of first name, last name and birth date. That two of 12.7 million people
  share them by chance has a probability of 1 in 15 billion;
* 6 bytes that are the CDS code itself, as a number. So the schools of one person stand side by
  side, and "the same person at another school" is asked of the same index.

A key with two SSIDs is two students whom the required fields do not tell apart.

In an encrypted folder it is one of SQLCipher's files, opened with the folder's key.

Names in an alias stand in the same table under digests of their own. They never match; they only
let the operator know why a look-up missed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import PermanentError, TransientError, value_free
from ccgi_pipeline.common.extensions import load_extension
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.encryption.duckdb_spill import encrypt_spill
from ccgi_pipeline.encryption.keys import Keys, load_keys
from ccgi_pipeline.encryption.sqlite import OWNER_ONLY, connect, open_database, transaction
from ccgi_pipeline.ssid_lookup.contract import BLANKS, NOT_IN_A_NAME, LookupRequest

IDENTITY_SCHEMA = pl.Schema(
    {
        "SSID": pl.String(),
        "FirstName": pl.String(),
        "LastName": pl.String(),
        "AliasFirstName": pl.String(),
        "AliasLastName": pl.String(),
        "BirthDate": pl.Date(),
        "CDSCode": pl.String(),
    }
)
"""One row for each student and each school of enrollment."""

_FORMAT = 1
"""Written into the file: an index of another format is not read."""

_TABLE = """
    CREATE TABLE identity (
        key BLOB NOT NULL, ssid INTEGER NOT NULL, PRIMARY KEY (key, ssid) ON CONFLICT IGNORE
    ) WITHOUT ROWID;
    CREATE TABLE about (lines INTEGER, unusable INTEGER, loaded_at REAL);
"""

_PERSON_BYTES = 10
_SCHOOL_BYTES = 6  # 10^14 CDS codes need 47 bits
_LEGAL, _ALIAS = "legal", "alias"
_SEPARATOR = "\x1f"  # it can stand in no name

_MEMORY = "1GB"
"""What DuckDB may take for digests and sorting; beyond that it goes to disk, beside the index."""


class NoIdentitiesError(PermanentError):
    """No index stands yet: load identities first."""


class StoreBusyError(TransientError):
    """Another process is loading identities."""


class Miss(StrEnum):
    """Why a look-up found no student; for the operator, never for the client."""

    AMBIGUOUS = "ambiguous"
    BIRTH_DAY_MONTH_SWAPPED = "birth_day_month_swapped"
    OTHER_SCHOOL = "other_school"
    ALIAS = "alias"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """What a load made: ``unusable`` lines can be nobody's match and are left out.

    ``keys``: what stands in the index, alias names included.
    """

    lines: int
    unusable: int
    keys: int
    seconds: float
    bytes: int


@value_free
def load_identities(
    folder: Path, frames: Iterable[pl.DataFrame], *, threads: int | None = None
) -> LoadSummary:
    """Makes a new index of all identities and puts it in the place of the old one.

    The old index serves until the new one stands; a load that is killed leaves it whole.
    """
    started = time.monotonic()
    keys = load_keys(folder, make=True)
    with _only_loader(folder) as scratch:
        made = scratch / "identities.sqlite"
        step = ProgressCounter("identities", 3)
        with closing(_sorter(scratch, threads)) as sorter:
            lines, unusable = _stage(sorter, frames)
            step.advance()
            _write_index(sorter, made, keys, lines, unusable)
        step.advance()
        count = _count(made, keys)
        _publish(made, _index_path(folder))
        step.advance()
    size = _index_path(folder).stat().st_size
    return LoadSummary(lines, unusable, count, time.monotonic() - started, size)


def _index_path(folder: Path) -> Path:
    return folder / "identities.sqlite"


@contextmanager
def _only_loader(folder: Path) -> Iterator[Path]:
    """A clean folder to load in, for one process at a time; what a killed load left goes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "identities.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another process is loading identities into {folder}"
            raise StoreBusyError(msg) from None
        scratch = folder / "loading"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch)


def _sorter(scratch: Path, threads: int | None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        config={
            "memory_limit": _MEMORY,
            "temp_directory": str(scratch / "spill"),
            **({"threads": threads} if threads else {}),
        }
    )
    connection.execute("SET enable_progress_bar = false")
    load_extension(connection, "sqlite_scanner")
    encrypt_spill(connection)
    connection.execute("CREATE TEMP TABLE staged (key BLOB, ssid BIGINT)")
    return connection


def _stage(sorter: duckdb.DuckDBPyConnection, frames: Iterable[pl.DataFrame]) -> tuple[int, int]:
    """Digests of all identities; returns how many lines there were and how many are unusable."""
    lines = unusable = 0
    for frame in frames:
        usable = _usable(frame)
        lines += frame.height
        unusable += frame.height - usable.height
        _stage_keys(sorter, usable, _LEGAL)
        _stage_keys(sorter, _alias_names(usable), _ALIAS)
    return lines, unusable


def _usable(frame: pl.DataFrame) -> pl.DataFrame:
    """The lines that a request could fit, normalised as requests are; aliases blank or not."""
    names = ["FirstName", "LastName", "AliasFirstName", "AliasLastName"]
    texts = pl.col("SSID", "CDSCode", *names).str.strip_chars(BLANKS).fill_null("")
    return (
        frame.select(IDENTITY_SCHEMA.names())
        .match_to_schema(IDENTITY_SCHEMA)
        .with_columns(texts)
        .filter(
            pl.col("SSID").str.contains("^[0-9]{10}$"),
            pl.col("CDSCode").str.contains("^[0-9]{14}$"),
            pl.col("FirstName") != "",
            pl.col("LastName") != "",
            pl.col("BirthDate").is_not_null(),
            ~pl.concat_str("FirstName", "LastName").str.contains(NOT_IN_A_NAME),
        )
    )


def _alias_names(usable: pl.DataFrame) -> pl.DataFrame:
    """Every way to name a student by an alias: alias first name, alias last name, both."""
    first, last = pl.col("AliasFirstName"), pl.col("AliasLastName")
    aliased = usable.filter((first != "") | (last != ""))
    return pl.concat(
        [
            aliased.filter(first != "").with_columns(FirstName=first),
            aliased.filter(last != "").with_columns(LastName=last),
            aliased.filter(first != "", last != "").with_columns(FirstName=first, LastName=last),
        ]
    )


def _stage_keys(sorter: duckdb.DuckDBPyConnection, people: pl.DataFrame, kind: str) -> None:
    """The same digest as ``_person`` makes, of all lines at once."""
    if people.is_empty():
        return
    sorter.register("people", people.to_arrow())
    sorter.execute(
        """
        INSERT INTO staged
        SELECT unhex(
                left(sha256(concat_ws(
                    chr(31), ?, FirstName, LastName, strftime(BirthDate, '%Y-%m-%d')
                )), 20)
                || printf('%012x', CDSCode::BIGINT)
            ),
            SSID::BIGINT
        FROM people
        """,
        [kind],
    )
    sorter.unregister("people")


def _write_index(
    sorter: duckdb.DuckDBPyConnection, made: Path, keys: Keys | None, lines: int, unusable: int
) -> None:
    """Writes in the order of the keys, so that each page of the file is written once."""
    os.close(os.open(made, os.O_CREAT | os.O_WRONLY, OWNER_ONLY))
    with closing(connect(made, keys)) as index:
        index.executescript(_TABLE)
        index.execute(f"PRAGMA user_version = {_FORMAT}")
        index.execute("INSERT INTO about VALUES (?, ?, ?)", (lines, unusable, time.time()))
        index.commit()
        if keys is not None:
            _write_encrypted(sorter, index)
            return
    # DuckDB binds no values here; a path is our own, and its quotes are doubled.
    sorter.execute(f"ATTACH '{str(made).replace(chr(39), chr(39) * 2)}' AS made (TYPE sqlite)")
    sorter.execute("INSERT INTO made.identity SELECT key, ssid FROM staged ORDER BY key, ssid")
    sorter.execute("DETACH made")


def _write_encrypted(sorter: duckdb.DuckDBPyConnection, index: sqlite3.Connection) -> None:
    """The same through SQLCipher: DuckDB cannot write its files."""
    sorted_keys = sorter.execute("SELECT key, ssid FROM staged ORDER BY key, ssid")
    while rows := sorted_keys.fetchmany(_ROWS_AT_ONCE):
        index.executemany("INSERT INTO identity VALUES (?, ?)", rows)
    index.commit()


_ROWS_AT_ONCE = 100_000


def _count(made: Path, keys: Keys | None) -> int:
    with closing(connect(made, keys)) as index:
        return int(index.execute("SELECT count(*) FROM identity").fetchone()[0])


def _publish(made: Path, index: Path) -> None:
    """Renames, once all bytes are on the disk."""
    for path in (made, made.parent):
        _flush(path)
    made.rename(index)
    _flush(index.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class IdentityStore:
    """Answers look-ups from the newest index; a new one is noticed with the next look-up."""

    def __init__(self, folder: Path) -> None:
        self._path = _index_path(folder)
        self._stamp: tuple[int, int, int] | None = None
        self._index: sqlite3.Connection | None = None

    def close(self) -> None:
        """Lets go of the index."""
        if self._index is not None:
            self._index.close()
        self._index = self._stamp = None

    def stands(self) -> bool:
        """Whether an index has been loaded."""
        return self._path.exists()

    def look_up(self, request: LookupRequest) -> str | None:
        """The SSID of the one student whom the request fits."""
        key = _key(_LEGAL, request)
        return _chosen(_ssids(self._current(), key), request.ssid)

    def look_up_many(self, requests: Sequence[LookupRequest]) -> list[str | None]:
        """The same for many requests, asked in the order of the index."""
        index = self._current()
        keys = [_key(_LEGAL, request) for request in requests]
        found = {key: _ssids(index, key) for key in sorted(set(keys))}
        return [
            _chosen(found[key], request.ssid) for key, request in zip(keys, requests, strict=True)
        ]

    def why_missed(self, request: LookupRequest) -> Miss:
        """Why a look-up found nobody. Asks the same questions whatever the answers are."""
        index = self._current()
        fits = {
            Miss.AMBIGUOUS: bool(_ssids(index, _key(_LEGAL, request))),
            Miss.BIRTH_DAY_MONTH_SWAPPED: _is_known_swapped(index, request),
            Miss.OTHER_SCHOOL: _is_known_elsewhere(index, request),
            Miss.ALIAS: bool(_ssids(index, _key(_ALIAS, request))),
        }
        return next((reason for reason, holds in fits.items() if holds), Miss.UNKNOWN)

    def _current(self) -> sqlite3.Connection:
        """The index that stands now, opened again if it is another file than the one before."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            msg = "no identities have been loaded"
            raise NoIdentitiesError(msg) from None
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._index is None or stamp != self._stamp:
            self.close()
            self._index, self._stamp = _opened(self._path), stamp
        return self._index


def _opened(path: Path) -> sqlite3.Connection:
    """Opens an index. It never changes (a new one is a new file), so nothing is ever locked."""
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    index = connect(uri, load_keys(path.parent), uri=True, check_same_thread=False)
    if index.execute("PRAGMA user_version").fetchone() != (_FORMAT,):
        index.close()
        msg = "the index of identities has another format: load the identities again"
        raise PermanentError(msg)
    # Pages are read where the operating system has them; all of the file, whatever its size.
    index.execute(f"PRAGMA mmap_size = {1 << 36}")
    return index


def _person(kind: str, first_name: str, last_name: str, birth_date: str) -> bytes:
    text = _SEPARATOR.join((kind, first_name, last_name, birth_date))
    return hashlib.sha256(text.encode()).digest()[:_PERSON_BYTES]


def _school(cds_code: str) -> bytes:
    return int(cds_code).to_bytes(_SCHOOL_BYTES, "big")


def _key(kind: str, request: LookupRequest) -> bytes:
    person = _person(kind, request.first_name, request.last_name, request.birth_date)
    return person + _school(request.cds_code)


def _ssids(index: sqlite3.Connection, key: bytes) -> list[int]:
    rows = index.execute("SELECT ssid FROM identity WHERE key = ?", (key,)).fetchall()
    return [ssid for (ssid,) in rows]


def _chosen(ssids: list[int], supplied: str | None) -> str | None:
    """The one student; of several, the one whose SSID was supplied.

    The match is on the required fields. A supplied SSID is optional, what a student remembers of
    it: it decides between students, and does not undo a match on all that is required.
    """
    if len(ssids) > 1 and supplied is not None:
        ssids = [ssid for ssid in ssids if ssid == int(supplied)]
    return f"{ssids[0]:010d}" if len(ssids) == 1 else None


def _is_known_swapped(index: sqlite3.Connection, request: LookupRequest) -> bool:
    """Whether the birth date with day and month exchanged fits. An impossible date fits nobody."""
    year, month, day = request.birth_date.split("-")
    person = _person(_LEGAL, request.first_name, request.last_name, f"{year}-{day}-{month}")
    return bool(_ssids(index, person + _school(request.cds_code)))


def _is_known_elsewhere(index: sqlite3.Connection, request: LookupRequest) -> bool:
    """Whether the person is known at any school."""
    person = _person(_LEGAL, request.first_name, request.last_name, request.birth_date)
    row = index.execute(
        "SELECT 1 FROM identity WHERE key BETWEEN ? AND ? LIMIT 1",
        (person + bytes(_SCHOOL_BYTES), person + b"\xff" * _SCHOOL_BYTES),
    ).fetchone()
    return row is not None


STUDENT_CCCID_TABLE = """
    CREATE TABLE IF NOT EXISTS student_cccid (
        ssid TEXT NOT NULL, cccid TEXT NOT NULL, first_matched_at REAL NOT NULL,
        PRIMARY KEY (ssid, cccid)
    ) WITHOUT ROWID;
"""


class Exchange:
    """The CCCIDs that are stored with students: kept apart, so that a reload keeps them."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        # FULL: the client was told of the match and will not ask again.
        self._database = open_database(folder / "exchange.sqlite", STUDENT_CCCID_TABLE, "FULL")
        self._clock = clock

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    def remember(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Stores CCCIDs with students, as (SSID, CCCID), and returns whether each pair is new."""
        new = [cccid not in self.cccids_of(ssid) for ssid, cccid in pairs]
        if any(new):
            now = self._clock()
            with transaction(self._database):
                self._database.executemany(
                    "INSERT OR IGNORE INTO student_cccid VALUES (?, ?, ?)",
                    [(*pair, now) for pair in pairs],
                )
        return new

    def cccids_of(self, ssid: str) -> list[str]:
        """The student's CCCIDs; more than one where somebody made more than one account."""
        rows = self._database.execute(
            "SELECT cccid FROM student_cccid WHERE ssid = ? ORDER BY cccid", (ssid,)
        ).fetchall()
        return [cccid for (cccid,) in rows]

    def count(self) -> int:
        """How many pairs of student and CCCID are known."""
        row = self._database.execute("SELECT count(*) FROM student_cccid").fetchone()
        return int(row[0])
