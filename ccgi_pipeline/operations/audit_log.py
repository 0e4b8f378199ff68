"""The audit log: who did what by hand with children's records, as a chain of entries.

Belongs here: adding an entry, reading the log, and proving that no entry was changed. Does not
belong here: what nights do by themselves (the ledger, Dagster's events), and any student's data: a
student has a pseudonym.

Every entry contains the hash of the entry before it, so an entry that is changed, removed or
inserted breaks the chain. If somebody rewrites the whole log from some entry on, a head that was
saved elsewhere shows it: every night's run saves one in Dagster.
"""

from __future__ import annotations

import getpass
import hashlib
import hmac
import json
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.sqlite import open_database, transaction

FILE_NAME = "audit.sqlite"


class Act(StrEnum):
    """A kind of act that is recorded."""

    APPROVED = "hold approved"
    DISCARDED = "hold discarded"
    FOLDER_CHANGED = "outbox folder changed"
    CLAIM_SHOWN = "claim shown"
    CLAIM_DECIDED = "claim decided"
    REPLAYED = "lines replayed"
    REBUILT = "file rebuilt"
    EXPLAINED = "student explained"
    TRACED = "report row traced"
    EXPORTED = "rows exported"
    PURGED = "records purged"
    HOUSEKEPT = "former states expired"
    MOVED = "warehouse moved"
    LOOKED_UP = "SSIDs looked up"
    ENROLLMENTS_SENT = "enrollments sent"
    IDENTITIES_LOADED = "identities loaded"
    CLIENT_ADDED = "look-up client added"
    CLIENT_CHANGED = "look-up client changed"
    ACCESS_REPLACED = "SFTP access replaced"
    ACCESS_REVOKED = "SFTP access revoked"
    KEY_ADDED = "OpenPGP key added"
    KEY_UPDATED = "OpenPGP key renewed"
    KEY_RETIRED = "OpenPGP key retired"
    KEY_CREATED = "OpenPGP key created"
    PLAIN_ALLOWED = "unencrypted delivery allowed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log. ``about``: drops, districts, paths in the outbox, counts, pseudonyms.

    ``number`` begins with 1. ``at``: the time in UTC, ISO 8601. ``who``: the name that was given.
    ``account``: the operating system's name. ``hash``: of all other fields.
    """

    number: int
    at: str
    act: str
    who: str
    account: str
    reason: str
    about: Mapping[str, str | int]
    previous: str
    hash: str = ""

    def sealed(self) -> Entry:
        """Returns the entry with the hash that it must have."""
        content = {name: value for name, value in asdict(self).items() if name != "hash"}
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return replace(self, hash=hashlib.sha256(text.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log: its last entry's number and hash; of an empty log 0 and zeros."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def of(cls, text: str) -> Head:
        """Parses a head. Raises ValueError."""
        found = re.fullmatch(r"([0-9]+):([0-9a-f]{64})", text.strip())
        if found is None:
            msg = "a head is written NUMBER:HASH, as `ccgi audit verify` prints it"
            raise ValueError(msg)
        return cls(int(found[1]), found[2])


EMPTY = Head(0, "0" * 64)


class AuditBrokenError(PermanentError):
    """The audit log was changed, by somebody or by a fault of the disk."""


class NotAuditedError(PermanentError):
    """The audit log cannot be written or read, so the act is not done."""


_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, act TEXT NOT NULL, who TEXT NOT NULL,
    account TEXT NOT NULL, reason TEXT NOT NULL, about TEXT NOT NULL, previous TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS pseudonyms (key TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS entries_stay BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the audit log is not changed'); END;
CREATE TRIGGER IF NOT EXISTS no_entry_goes BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the audit log is not changed'); END;
"""


def record_act(
    folder: Path, act: Act, about: Mapping[str, str | int], *, by: str = "", reason: str = ""
) -> Entry:
    """Adds an entry to the log in ``folder``; it is on disk when this returns.

    ``by``: the name of the person who acts; without one, the account's name is recorded.
    """
    account = _account()
    with _opened(folder) as database, transaction(database):
        before = _head(database)
        entry = Entry(
            number=before.number + 1,
            at=datetime.now(tz=UTC).isoformat(timespec="milliseconds"),
            act=act.value,
            who=by.strip() or account,
            account=account,
            reason=reason.strip(),
            about=dict(about),
            previous=before.hash,
        ).sealed()
        database.execute(
            "INSERT INTO entries VALUES (:number, :at, :act, :who, :account, :reason, :about, "
            ":previous, :hash)",
            {**asdict(entry), "about": json.dumps(entry.about)},
        )
    return entry


@contextmanager
def recorded_act(
    folder: Path, act: Act, about: Mapping[str, str | int], *, by: str = "", reason: str = ""
) -> Iterator[Entry]:
    """Records the act before it is done, so that no act is unrecorded, and records a failure."""
    entry = record_act(folder, act, about, by=by, reason=reason)
    try:
        yield entry
    except BaseException:
        record_act(folder, Act.FAILED, {"entry": entry.number, "act": entry.act}, by=by)
        raise


def _account() -> str:
    """Returns the operating system's name of the user; under sudo, of the user who called it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"  # a container's user may have no name


def read_entries(folder: Path) -> list[Entry]:
    """Returns the whole log, oldest entry first."""
    if not log_exists(folder):
        return []
    with _opened(folder) as database:
        return _entries(database)


def log_exists(folder: Path) -> bool:
    """Returns whether there is a log in ``folder``."""
    return (folder / FILE_NAME).exists()


def read_head(folder: Path) -> Head:
    """Returns the end of the log."""
    if not log_exists(folder):
        return EMPTY
    with _opened(folder) as database:
        return _head(database)


def make_pseudonym(folder: Path, ssid: str) -> str:
    """Returns the student's pseudonym in this log: the same for one SSID.

    Without the log's key nobody can find the SSID from it.
    """
    with _opened(folder) as database, transaction(database):
        row = database.execute("SELECT key FROM pseudonyms").fetchone()
        if row is None:
            row = (secrets.token_hex(32),)
            database.execute("INSERT INTO pseudonyms VALUES (?)", row)
    return hmac.new(bytes.fromhex(row[0]), ssid.encode(), hashlib.sha256).hexdigest()[:16]


def verify_log(folder: Path, kept: Sequence[Head] = ()) -> Head:
    """Checks that no entry was changed, and returns the end of the log.

    ``kept``: former heads that were saved elsewhere. Raises AuditBrokenError, which names the first
    wrong entry.
    """
    read = read_entries(folder)
    before = EMPTY
    hashes = {EMPTY.number: EMPTY.hash}
    for entry in read:
        if entry.number != before.number + 1:
            raise AuditBrokenError(_BROKEN.format(before.number + 1, "is missing"))
        if entry.previous != before.hash:
            raise AuditBrokenError(_BROKEN.format(entry.number, "does not follow the one before"))
        if entry.sealed().hash != entry.hash:
            raise AuditBrokenError(_BROKEN.format(entry.number, "was changed"))
        before = Head(entry.number, entry.hash)
        hashes[entry.number] = entry.hash
    for one in kept:
        if hashes.get(one.number) is None:
            raise AuditBrokenError(_BROKEN.format(one.number, "is missing: the log ends before it"))
        if hashes[one.number] != one.hash:
            raise AuditBrokenError(_BROKEN.format(one.number, "is not the one that was kept"))
    return before


_BROKEN = "the audit log is not what it was: entry {} {}"


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """Opens the log's database. Raises NotAuditedError if it cannot be written or read."""
    try:
        with closing(open_database(folder / FILE_NAME, _SCHEMA, "FULL")) as database:
            yield database
    except (OSError, sqlite3.Error) as error:
        msg = f"the audit log {folder / FILE_NAME} cannot be used ({type(error).__name__}: {error})"
        raise NotAuditedError(msg) from None


def _head(database: sqlite3.Connection) -> Head:
    row = database.execute(
        "SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return Head(*row) if row else EMPTY


def _entries(database: sqlite3.Connection) -> list[Entry]:
    rows = database.execute("SELECT * FROM entries ORDER BY number").fetchall()
    return [
        Entry(number, at, act, who, account, reason, json.loads(about), previous, hash_)
        for number, at, act, who, account, reason, about, previous, hash_ in rows
    ]
