"""The identity store: finds the student with given names, birth date and school.

Belongs here: the index of identities, loading and reading it; the CCCIDs of matched students. Does
not belong here: the fields of a request (``contract``), and which clients may send one.

The index is one read-only SQLite file without names or birth dates: a table without rowid whose key
of 16 bytes is

* 10 bytes of an HMAC-SHA-256 of first name, last name and birth date. That two of 12.7 million
  people share them by chance has a probability of 1 in 15 billion;
* 6 bytes with the CDS code as a number. So the schools of one person are neighbours in the table,
  and the same index finds the same person at another school.

A key with two SSIDs belongs to two students whom the required fields cannot tell apart.

The HMAC's key is 32 random bytes, made at the first load (``identities.key``): names and birth
dates are few, so without a key whoever has the index could try them all. In an encrypted folder it
is derived from the folder's key, with which SQLCipher also encrypts the index.

Aliases are in the same table with digests of their own. They never match; they only tell the
operator why a look-up found nobody.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
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
from ccgi_pipeline.common.owner_only import mend_folder
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.encryption.duckdb_spill import encrypt_spill
from ccgi_pipeline.encryption.keys import KEY_BYTES, KeyPurpose, Keys, load_keys
from ccgi_pipeline.encryption.sqlite import OWNER_ONLY, connect, open_database, transaction
from ccgi_pipeline.ssid_lookup.contract import NOT_IN_A_NAME, LookupRequest, normalize_column

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

_FORMAT = 2
"""The format of the index, which is written into it."""
_WITHOUT_KEY = 1
"""The format whose digests had no key. Such an index is made again when it is opened: the HMAC is
made of the digest, so no name is needed for that."""
_KEY_FILE = "identities.key"

_TABLE = """
    CREATE TABLE identity (
        key BLOB NOT NULL, ssid INTEGER NOT NULL, PRIMARY KEY (key, ssid) ON CONFLICT IGNORE
    ) WITHOUT ROWID;
    CREATE TABLE about (lines INTEGER, unusable INTEGER, loaded_at REAL);
"""

_PERSON_BYTES = 10
_SCHOOL_BYTES = 6  # 10^14 CDS codes need 47 bits
_LEGAL, _ALIAS = "legal", "alias"
_SEPARATOR = "\x1f"  # no name can contain it

_MEMORY = "1GB"
"""DuckDB's memory for digests and sorting; beyond that it spills into the folder of the index."""


class NoIdentitiesError(PermanentError):
    """There is no index yet: load identities first."""


class StoreBusyError(TransientError):
    """Another process is loading identities."""


class MissReason(StrEnum):
    """Why a look-up found no student, for the operator and never for the client."""

    AMBIGUOUS = "ambiguous"
    BIRTH_DAY_MONTH_SWAPPED = "birth_day_month_swapped"
    OTHER_SCHOOL = "other_school"
    ALIAS = "alias"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LoadSummary:
    """The result of a load; ``unusable`` lines can match no request and are left out.

    ``keys`` counts the entries of the index, aliases included.
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
    """Makes a new index of all identities and replaces the old one by it.

    The old index is used until the new one is complete, also if the load is killed.
    """
    started = time.monotonic()
    keys = load_keys(folder, make=True)
    with _loading_folder(folder) as scratch:
        made = scratch / "identities.sqlite"
        step = ProgressCounter("identities", 3)
        with closing(_open_sorter(scratch, threads)) as sorter:
            _set_key(sorter, _load_index_key(folder, keys, make=True))
            lines, unusable = _stage_identities(sorter, frames)
            step.advance()
            _write_index(sorter, made, keys, lines, unusable)
        step.advance()
        count = _count_keys(made, keys)
        _publish(made, _index_path(folder))
        step.advance()
    size = _index_path(folder).stat().st_size
    return LoadSummary(lines, unusable, count, time.monotonic() - started, size)


def _load_index_key(folder: Path, keys: Keys | None, *, make: bool = False) -> bytes:
    """Returns the key of the index's digests; ``make``: a new one if there is none."""
    if keys is not None:
        return keys.of(KeyPurpose.IDENTITIES)
    path = folder / _KEY_FILE
    if make and not path.exists():
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        _flush(folder)
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != KEY_BYTES:
        msg = (
            f"{path} is gone or damaged, and the index cannot be read without it: restore the file "
            "from a backup, or remove it and load the identities again"
        )
        raise PermanentError(msg)
    return key


def _set_key(sorter: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """Makes the macro ``keyed``, which computes the HMAC of a digest; no statement has the key."""
    inner, outer = (bytes(byte ^ pad for byte in key.ljust(64, b"\0")) for pad in (0x36, 0x5C))
    sorter.execute(
        "CREATE OR REPLACE TEMP TABLE padded AS SELECT ?::BLOB AS inside, ?::BLOB AS outside",
        [inner, outer],
    )
    sorter.execute(
        f"""
        CREATE OR REPLACE TEMP MACRO keyed(inside, outside, digest) AS
        unhex(left(sha256(outside || unhex(sha256(inside || digest))), {2 * _PERSON_BYTES}))
        """
    )


def _index_path(folder: Path) -> Path:
    return folder / "identities.sqlite"


@contextmanager
def _loading_folder(folder: Path) -> Iterator[Path]:
    """Gives an empty folder to load in to one process at a time; removes a killed load's files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "identities.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = (
                f"another process is loading identities into {folder}: try again when it has ended"
            )
            raise StoreBusyError(msg) from None
        scratch = folder / "loading"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch)


def _open_sorter(scratch: Path, threads: int | None) -> duckdb.DuckDBPyConnection:
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


def _stage_identities(
    sorter: duckdb.DuckDBPyConnection, frames: Iterable[pl.DataFrame]
) -> tuple[int, int]:
    """Stages the digests of all identities; returns the numbers of lines and of unusable lines."""
    lines = unusable = 0
    for frame in frames:
        usable = _select_usable(frame)
        lines += frame.height
        unusable += frame.height - usable.height
        _stage_keys(sorter, usable, _LEGAL)
        _stage_keys(sorter, _add_alias_names(usable), _ALIAS)
    return lines, unusable


def _select_usable(frame: pl.DataFrame) -> pl.DataFrame:
    """Returns the lines that a request can match, normalised as requests are."""
    names = ["FirstName", "LastName", "AliasFirstName", "AliasLastName"]
    texts = normalize_column(pl.col("SSID", "CDSCode", *names))
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


def _add_alias_names(usable: pl.DataFrame) -> pl.DataFrame:
    """Returns the names with an alias: as first name, as last name, and as both."""
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
    """Stages the digests that ``IdentityStore`` computes, for all lines at once."""
    if people.is_empty():
        return
    sorter.register("people", people.to_arrow())
    sorter.execute(
        """
        INSERT INTO staged
        SELECT keyed(inside, outside, unhex(left(sha256(concat_ws(
                chr(31), ?, FirstName, LastName, strftime(BirthDate, '%Y-%m-%d')
            )), 20))) || unhex(printf('%012x', CDSCode::BIGINT)),
            SSID::BIGINT
        FROM people, padded
        """,
        [kind],
    )
    sorter.unregister("people")


def _write_index(
    sorter: duckdb.DuckDBPyConnection, made: Path, keys: Keys | None, lines: int, unusable: int
) -> None:
    """Writes the index in the order of its keys, so that each page of the file is written once."""
    os.close(os.open(made, os.O_CREAT | os.O_WRONLY, OWNER_ONLY))
    with closing(connect(made, keys)) as index:
        index.executescript(_TABLE)
        index.execute(f"PRAGMA user_version = {_FORMAT}")
        index.execute("INSERT INTO about VALUES (?, ?, ?)", (lines, unusable, time.time()))
        index.commit()
        if keys is not None:
            _write_encrypted(sorter, index)
            return
    # DuckDB cannot bind a value here. The path is the pipeline's own, and its quotes are doubled.
    sorter.execute(f"ATTACH '{str(made).replace(chr(39), chr(39) * 2)}' AS made (TYPE sqlite)")
    sorter.execute("INSERT INTO made.identity SELECT key, ssid FROM staged ORDER BY key, ssid")
    sorter.execute("DETACH made")


def _write_encrypted(sorter: duckdb.DuckDBPyConnection, index: sqlite3.Connection) -> None:
    """Writes the rows through SQLCipher, whose files DuckDB cannot write."""
    sorted_keys = sorter.execute("SELECT key, ssid FROM staged ORDER BY key, ssid")
    while rows := sorted_keys.fetchmany(_ROWS_AT_ONCE):
        index.executemany("INSERT INTO identity VALUES (?, ?)", rows)
    index.commit()


_ROWS_AT_ONCE = 100_000


def _count_keys(made: Path, keys: Keys | None) -> int:
    with closing(connect(made, keys)) as index:
        return int(index.execute("SELECT count(*) FROM identity").fetchone()[0])


def _publish(made: Path, index: Path) -> None:
    """Replaces the index by the new file after all its bytes are on the disk."""
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


@value_free
def rekey_index(folder: Path) -> None:
    """Makes the index again from one whose digests had no key. Raises StoreBusyError."""
    keys = load_keys(folder)
    with _loading_folder(folder) as scratch:
        made = scratch / "identities.sqlite"
        with (
            closing(_connect_read_only(_index_path(folder), keys)) as old,
            closing(_open_sorter(scratch, None)) as sorter,
        ):
            if _read_format(old) != _WITHOUT_KEY:
                return  # another process has done it
            _set_key(sorter, _load_index_key(folder, keys, make=True))
            lines, unusable = old.execute("SELECT lines, unusable FROM about").fetchone()
            rows = old.execute("SELECT key, ssid FROM identity")
            while batch := rows.fetchmany(_ROWS_AT_ONCE):
                frame = pl.DataFrame(batch, schema=["key", "ssid"], orient="row")
                sorter.register("formerly", frame.to_arrow())
                sorter.execute(_REKEYED, {"school": _SCHOOL_BYTES})
                sorter.unregister("formerly")
            _write_index(sorter, made, keys, lines, unusable)
        _publish(made, _index_path(folder))


_REKEYED = """
    INSERT INTO staged
    SELECT keyed(inside, outside, key[:octet_length(key) - $school])
        || key[octet_length(key) - $school + 1:], ssid
    FROM formerly, padded
"""


def _read_format(index: sqlite3.Connection) -> int:
    return int(index.execute("PRAGMA user_version").fetchone()[0])


def _connect_read_only(path: Path, keys: Keys | None) -> sqlite3.Connection:
    """Connects to an index. It needs no locks, because a new index is a new file."""
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    return connect(uri, keys, uri=True, check_same_thread=False)


class IdentityStore:
    """Finds students in the newest index; a new index is used from the next look-up on."""

    def __init__(self, folder: Path) -> None:
        self._path = _index_path(folder)
        self._stamp: tuple[int, int, int] | None = None
        self._index: sqlite3.Connection | None = None
        self._key = b""

    def close(self) -> None:
        """Closes the index."""
        if self._index is not None:
            self._index.close()
        self._index = self._stamp = None

    def is_loaded(self) -> bool:
        """Tells whether there is an index."""
        return self._path.exists()

    def look_up(self, request: LookupRequest) -> str | None:
        """Returns the SSID of the one student that the request matches, or None."""
        index = self._open_current()
        return _choose_ssid(_find_ssids(index, self._build_key(_LEGAL, request)), request.ssid)

    def look_up_many(self, requests: Sequence[LookupRequest]) -> list[str | None]:
        """Looks up many requests, in the order of the index."""
        index = self._open_current()
        keys = [self._build_key(_LEGAL, request) for request in requests]
        found = {key: _find_ssids(index, key) for key in sorted(set(keys))}
        return [
            _choose_ssid(found[key], request.ssid)
            for key, request in zip(keys, requests, strict=True)
        ]

    def explain_miss(self, request: LookupRequest) -> MissReason:
        """Returns why a look-up found nobody; it always runs the same queries."""
        index = self._open_current()
        fits = {
            MissReason.AMBIGUOUS: bool(_find_ssids(index, self._build_key(_LEGAL, request))),
            MissReason.BIRTH_DAY_MONTH_SWAPPED: self._is_known_swapped(index, request),
            MissReason.OTHER_SCHOOL: self._is_known_elsewhere(index, request),
            MissReason.ALIAS: bool(_find_ssids(index, self._build_key(_ALIAS, request))),
        }
        return next((reason for reason, holds in fits.items() if holds), MissReason.UNKNOWN)

    def _open_current(self) -> sqlite3.Connection:
        """Returns the present index; opens it again if the file was replaced."""
        try:
            stamp = _stamp(self._path)
        except FileNotFoundError:
            msg = "no identities have been loaded"
            raise NoIdentitiesError(msg) from None
        if self._index is None or stamp != self._stamp:
            self.close()
            self._index, self._stamp = _open_index(self._path), stamp
            self._key = _load_index_key(self._path.parent, load_keys(self._path.parent))
        return self._index

    def _hash_person(self, kind: str, request: LookupRequest, birth_date: str) -> bytes:
        text = _SEPARATOR.join((kind, request.first_name, request.last_name, birth_date))
        digest = hashlib.sha256(text.encode()).digest()[:_PERSON_BYTES]
        return hmac.digest(self._key, digest, "sha256")[:_PERSON_BYTES]

    def _build_key(self, kind: str, request: LookupRequest) -> bytes:
        return self._hash_person(kind, request, request.birth_date) + _encode_school(
            request.cds_code
        )

    def _is_known_swapped(self, index: sqlite3.Connection, request: LookupRequest) -> bool:
        """Tells whether the request matches with day and month of the birth date exchanged."""
        year, month, day = request.birth_date.split("-")
        person = self._hash_person(_LEGAL, request, f"{year}-{day}-{month}")
        return bool(_find_ssids(index, person + _encode_school(request.cds_code)))

    def _is_known_elsewhere(self, index: sqlite3.Connection, request: LookupRequest) -> bool:
        """Tells whether the person is known at any school."""
        person = self._hash_person(_LEGAL, request, request.birth_date)
        row = index.execute(
            "SELECT 1 FROM identity WHERE key BETWEEN ? AND ? LIMIT 1",
            (person + bytes(_SCHOOL_BYTES), person + b"\xff" * _SCHOOL_BYTES),
        ).fetchone()
        return row is not None


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _open_index(path: Path) -> sqlite3.Connection:
    """Opens an index; makes it again if its digests had no key."""
    mend_folder(path.parent)
    index = _connect_read_only(path, load_keys(path.parent))
    if _read_format(index) == _WITHOUT_KEY:
        index.close()
        rekey_index(path.parent)
        index = _connect_read_only(path, load_keys(path.parent))
    if _read_format(index) != _FORMAT:
        index.close()
        msg = "the index of identities has another format: load the identities again"
        raise PermanentError(msg)
    # The whole file is mapped into memory, whatever its size.
    index.execute(f"PRAGMA mmap_size = {1 << 36}")
    return index


def _encode_school(cds_code: str) -> bytes:
    return int(cds_code).to_bytes(_SCHOOL_BYTES, "big")


def _find_ssids(index: sqlite3.Connection, key: bytes) -> list[int]:
    rows = index.execute("SELECT ssid FROM identity WHERE key = ?", (key,)).fetchall()
    return [ssid for (ssid,) in rows]


def _choose_ssid(ssids: list[int], supplied: str | None) -> str | None:
    """Returns the SSID of the one student; of several, the one with the supplied SSID.

    The match is on the required fields. The optional SSID, which a student may remember wrongly,
    only decides between several students.
    """
    if len(ssids) > 1 and supplied is not None:
        ssids = [ssid for ssid in ssids if ssid == int(supplied)]
    return f"{ssids[0]:010d}" if len(ssids) == 1 else None


STUDENT_CCCID_TABLE = """
    CREATE TABLE IF NOT EXISTS student_cccid (
        ssid TEXT NOT NULL, cccid TEXT NOT NULL, first_matched_at REAL NOT NULL,
        PRIMARY KEY (ssid, cccid)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS student_of_cccid ON student_cccid (cccid);
"""


class CccidStore:
    """The CCCIDs of matched students, in a file of their own, so that a new index keeps them."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        # FULL: the client has the match and does not send the request again.
        self._database = open_database(folder / "exchange.sqlite", STUDENT_CCCID_TABLE, "FULL")
        self._clock = clock

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def store(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Stores pairs of SSID and CCCID; returns whether each pair is new."""
        new = [cccid not in self.list_cccids(ssid) for ssid, cccid in pairs]
        if any(new):
            now = self._clock()
            with transaction(self._database):
                self._database.executemany(
                    "INSERT OR IGNORE INTO student_cccid VALUES (?, ?, ?)",
                    [(*pair, now) for pair in pairs],
                )
        return new

    def list_cccids(self, ssid: str) -> list[str]:
        """Returns the student's CCCIDs; several if the student made several accounts."""
        rows = self._database.execute(
            "SELECT cccid FROM student_cccid WHERE ssid = ? ORDER BY cccid", (ssid,)
        ).fetchall()
        return [cccid for (cccid,) in rows]

    def is_shared(self, cccid: str) -> bool:
        """Returns whether the CCCID was stored with two students or more."""
        row = self._database.execute(
            "SELECT count(*) FROM student_cccid WHERE cccid = ?", (cccid,)
        ).fetchone()
        return int(row[0]) > 1

    def count_shared(self) -> int:
        """Counts the CCCIDs that were stored with two students or more."""
        row = self._database.execute(
            "SELECT count(*) FROM (SELECT 1 FROM student_cccid GROUP BY cccid HAVING count(*) > 1)"
        ).fetchone()
        return int(row[0])

    def count(self) -> int:
        """Counts the known pairs of student and CCCID."""
        row = self._database.execute("SELECT count(*) FROM student_cccid").fetchone()
        return int(row[0])
