"""The backlog: which applications were asked for, what the answer was, which ones still wait.

Belongs here: what is asked for an application, and the answers, kept for good in ``asked.sqlite``;
keeping two processes from asking for the same one at once. Does not belong here: asking (asking).

An answer belongs to an application *as it was asked for*: its key is the application's id and a
digest of the asked fields. So an application that was answered is never asked for again, and one
that was changed since is. The file holds SSIDs and belongs to its owner alone.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.encryption.sqlite import OWNER_ONLY, open_database, transaction
from ccgi_pipeline.ssid_lookup.contract import BLANKS, LookupRequest

ASKED = {
    "ccc_id": "CCCID",
    "firstname": "FirstName",
    "lastname": "LastName",
    "birthdate": "BirthDate",
    "hs_cds_full": "CDSCode",
}
"""What an application says, and the contract's name of it: all required fields, nothing else."""

APPLICATION_SCHEMA = pl.Schema(
    {
        "app_id": pl.String(),
        "ccc_id": pl.String(),
        "firstname": pl.String(),
        "lastname": pl.String(),
        "birthdate": pl.Date(),
        "hs_cds_full": pl.String(),
    }
)
"""One row for each application; further columns are left alone."""

ANSWER_SCHEMA = pl.Schema(
    {
        "app_id": pl.String(),
        "answer": pl.String(),
        "SSID": pl.String(),
        "fields": pl.List(pl.String()),
        "answered_at": pl.Datetime("us", "UTC"),
    }
)
"""``fields``: the contract's names of what is missing or faulty; empty for most."""

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS asked (
        app_id TEXT NOT NULL, digest BLOB NOT NULL, answer TEXT NOT NULL,
        ssid TEXT, fields TEXT NOT NULL, answered_at REAL NOT NULL,
        PRIMARY KEY (app_id, digest)
    ) WITHOUT ROWID;
"""
"""``fields`` is a JSON list."""

_OF_THESE = "FROM asked WHERE app_id IN (SELECT value FROM json_each(?))"
_MICROSECONDS = 1_000_000


class Answer(StrEnum):
    """What became of an application."""

    MATCHED = "matched"
    NO_STUDENT = "no_student"
    FAULT = "fault"
    NOT_ASKED = "not_asked"


Key = tuple[str, bytes]
"""An application's id and the digest of what is asked."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for an application; ``missing`` fields (of the contract) forbid to ask."""

    key: Key = field(repr=False)
    request: LookupRequest
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Matched:
    """The service knows the student. ``repr`` tells no SSID."""

    answer: ClassVar = Answer.MATCHED
    fields: ClassVar[tuple[str, ...]] = ()
    ssid: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoStudent:
    """The service knows no such student, or more than one."""

    answer: ClassVar = Answer.NO_STUDENT
    fields: ClassVar[tuple[str, ...]] = ()
    ssid: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class Fault:
    """The service says that the request is not the contract's; ``fields``: the ones it names."""

    answer: ClassVar = Answer.FAULT
    ssid: ClassVar[None] = None
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The application lacks required fields: nothing was sent."""

    answer: ClassVar = Answer.NOT_ASKED
    ssid: ClassVar[None] = None
    fields: tuple[str, ...]


Reply = Matched | NoStudent | Fault | NotAsked


def questions(applications: pl.DataFrame) -> list[Question]:
    """What is asked for each application, normalised as the contract says."""
    values = (
        applications.select(APPLICATION_SCHEMA.names())
        .match_to_schema(APPLICATION_SCHEMA)
        .with_columns(pl.col("birthdate").dt.to_string("%Y-%m-%d"))
        .with_columns(pl.col(*ASKED).str.strip_chars(BLANKS).fill_null(""))
    )
    return [_question(app_id, asked) for app_id, *asked in values.iter_rows()]


def _question(app_id: str, asked: Sequence[str]) -> Question:
    cccid, first_name, last_name, birth_date, cds_code = asked
    return Question(
        # As JSON, so that no value can reach into the next one.
        key=(app_id, hashlib.sha256(json.dumps(asked).encode()).digest()),
        request=LookupRequest(first_name, last_name, birth_date, cds_code, cccid),
        missing=tuple(name for name, value in zip(ASKED.values(), asked, strict=True) if not value),
    )


class Backlog:
    """The answers in ``asked.sqlite``, shared by all processes that ask."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        # FULL: an answer that was received is not asked for again, not even after a power failure.
        self._database = open_database(folder / "asked.sqlite", _SCHEMA, "FULL")
        self._claims = _Claims(folder / "asked.claims")
        self._clock = clock
        self.folder = folder

    def close(self) -> None:
        """Lets go of the files."""
        self._claims.close()
        self._database.close()

    @value_free
    def pending(self, applications: pl.DataFrame) -> pl.DataFrame:
        """The applications that have no answer as they stand now."""
        keys = [question.key for question in questions(applications)]
        answered = self._answered(applications)
        return applications.filter(
            pl.Series([key not in answered for key in keys], dtype=pl.Boolean)
        )

    @value_free
    def answers(self, applications: pl.DataFrame) -> pl.DataFrame:
        """The answers of all applications that have one as they stand now, in their order."""
        known = self._answered(applications)
        rows = [
            (question.key[0], *known[question.key])
            for question in questions(applications)
            if question.key in known
        ]
        return pl.DataFrame(rows, schema=ANSWER_SCHEMA, orient="row")

    def _answered(self, applications: pl.DataFrame) -> dict[Key, tuple[object, ...]]:
        app_ids = json.dumps(applications["app_id"].to_list())
        rows = self._database.execute(
            f"SELECT app_id, digest, answer, ssid, fields, answered_at {_OF_THESE}", (app_ids,)
        )
        return {
            (app_id, digest): (answer, ssid, json.loads(fields), int(at * _MICROSECONDS))
            for app_id, digest, answer, ssid, fields, at in rows
        }

    def counts(self) -> dict[Answer, int]:
        """How many answers of each kind there are, of all applications ever asked for."""
        rows = self._database.execute("SELECT answer, count(*) FROM asked GROUP BY answer")
        return dict.fromkeys(Answer, 0) | {Answer(answer): count for answer, count in rows}

    def forget(self, before: date) -> int:
        """Forgets answers that were given before that day (UTC); returns how many.

        Should such an application come again, it is asked for again.
        """
        begins = datetime.combine(before, datetime.min.time(), UTC).timestamp()
        with transaction(self._database):
            return self._database.execute(
                "DELETE FROM asked WHERE answered_at < ?", [begins]
            ).rowcount

    def is_answered(self, key: Key) -> bool:
        """Whether somebody stored an answer."""
        row = self._database.execute(
            "SELECT 1 FROM asked WHERE app_id = ? AND digest = ?", key
        ).fetchone()
        return row is not None

    def store(self, replies: Sequence[tuple[Key, Reply]]) -> None:
        """Stores answers; once it returns, nothing undoes them. A first answer stays."""
        now = self._clock()
        with transaction(self._database):
            self._database.executemany(
                "INSERT OR IGNORE INTO asked VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (*key, reply.answer, reply.ssid, json.dumps(reply.fields), now)
                    for key, reply in replies
                ],
            )

    def claim(self, key: Key) -> bool:
        """Whether the question is ours to ask: nobody else is at it, and none has an answer.

        A claim ends when it is released, and with the process however that ends.
        """
        if not self._claims.take(key):
            return False
        if self.is_answered(key):
            self._claims.release(key)
            return False
        return True

    def release(self, key: Key) -> None:
        """Ends a claim; the answer, if there is one, has been stored."""
        self._claims.release(key)


class _Claims:
    """Locks on single bytes of an empty file, one for each question under way.

    They are of the open file, not of the process (as POSIX's own are), so two backlogs in one
    process do not share them. The kernel lets go of them when the process ends.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_RDWR, OWNER_ONLY)

    def close(self) -> None:
        os.close(self._file)

    def take(self, key: Key) -> bool:
        try:
            self._set(key, fcntl.F_WRLCK)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def release(self, key: Key) -> None:
        self._set(key, fcntl.F_UNLCK)

    def _set(self, key: Key, kind: int) -> None:
        """The members of struct flock: kind, from where, first byte, bytes, process (none)."""
        lock = struct.pack("hhqqi", kind, os.SEEK_SET, _place(key), 1, 0)
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, lock)


def _place(key: Key) -> int:
    """A byte of 2^62 of them; that two questions share one only makes one wait for the other."""
    app_id, digest = key
    return int.from_bytes(hashlib.sha256(digest + app_id.encode()).digest()[:8]) >> 2
