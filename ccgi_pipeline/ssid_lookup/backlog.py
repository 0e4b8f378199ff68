"""The backlog: the applications that were looked up, with their answers, and those that wait.

Belongs here: the request for an application; the answers, kept for good in ``asked.sqlite``; and
claims, so that two processes do not look up the same application at once. Does not belong here:
sending requests (``client``, ``batch``).

The key of an answer is the application's id and a digest of the fields that were sent. So an
application with an answer is not looked up again until one of these fields changes. The file holds
SSIDs, and only its owner can read it.
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
from ccgi_pipeline.ssid_lookup.contract import LookupRequest, normalize_column

REQUEST_FIELDS = {
    "ccc_id": "CCCID",
    "firstname": "FirstName",
    "lastname": "LastName",
    "birthdate": "BirthDate",
    "hs_cds_full": "CDSCode",
}
"""The fields of an application that are sent, with the contract's names: all required fields."""

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
"""One row for each application; other columns are ignored."""

ANSWER_SCHEMA = pl.Schema(
    {
        "app_id": pl.String(),
        "answer": pl.String(),
        "SSID": pl.String(),
        "fields": pl.List(pl.String()),
        "answered_at": pl.Datetime("us", "UTC"),
    }
)
"""``fields``: the contract's names of the missing or faulty fields; empty for most."""

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS asked (
        app_id TEXT NOT NULL, digest BLOB NOT NULL, answer TEXT NOT NULL,
        ssid TEXT, fields TEXT NOT NULL, answered_at REAL NOT NULL,
        PRIMARY KEY (app_id, digest)
    ) WITHOUT ROWID;
"""
"""``fields`` is a JSON list."""

_FROM_THESE = "FROM asked WHERE app_id IN (SELECT value FROM json_each(?))"
_MICROSECONDS = 1_000_000


class AnswerKind(StrEnum):
    """The kinds of answers to an application."""

    MATCHED = "matched"
    NO_STUDENT = "no_student"
    FAULT = "fault"
    NOT_ASKED = "not_asked"


QuestionKey = tuple[str, bytes]
"""An application's id and the digest of the fields that are sent."""


@dataclass(frozen=True, slots=True)
class Question:
    """The request for an application; it is not sent if ``missing`` names required fields."""

    key: QuestionKey = field(repr=False)
    request: LookupRequest
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MatchedReply:
    """The service knows the student. Its ``repr`` shows no SSID."""

    answer: ClassVar = AnswerKind.MATCHED
    fields: ClassVar[tuple[str, ...]] = ()
    ssid: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoStudentReply:
    """The service knows no such student, or several."""

    answer: ClassVar = AnswerKind.NO_STUDENT
    fields: ClassVar[tuple[str, ...]] = ()
    ssid: ClassVar[None] = None


@dataclass(frozen=True, slots=True)
class FaultReply:
    """The service says that the request breaks the contract in these ``fields``."""

    answer: ClassVar = AnswerKind.FAULT
    ssid: ClassVar[None] = None
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotAskedReply:
    """The application lacks required fields, so nothing was sent."""

    answer: ClassVar = AnswerKind.NOT_ASKED
    ssid: ClassVar[None] = None
    fields: tuple[str, ...]


LookupReply = MatchedReply | NoStudentReply | FaultReply | NotAskedReply


def build_questions(applications: pl.DataFrame) -> list[Question]:
    """Returns the request for each application, normalised by the contract's rule."""
    values = (
        applications.select(APPLICATION_SCHEMA.names())
        .match_to_schema(APPLICATION_SCHEMA)
        .with_columns(pl.col("birthdate").dt.to_string("%Y-%m-%d"))
        .with_columns(normalize_column(pl.col(*REQUEST_FIELDS)))
    )
    return [_build_question(app_id, asked) for app_id, *asked in values.iter_rows()]


def _build_question(app_id: str, asked: Sequence[str]) -> Question:
    cccid, first_name, last_name, birth_date, cds_code = asked
    return Question(
        # As JSON, so that other fields cannot give the same text.
        key=(app_id, hashlib.sha256(json.dumps(asked).encode()).digest()),
        request=LookupRequest(first_name, last_name, birth_date, cds_code, cccid),
        missing=tuple(
            name for name, value in zip(REQUEST_FIELDS.values(), asked, strict=True) if not value
        ),
    )


class Backlog:
    """The answers in ``asked.sqlite``, shared by all processes that send look-ups."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        # FULL: an answer is not lost in a power failure, so the application is not sent again.
        self._database = open_database(folder / "asked.sqlite", _SCHEMA, "FULL")
        self._claims = Claims(folder / "asked.claims")
        self._clock = clock
        self.folder = folder

    def close(self) -> None:
        """Closes the files."""
        self._claims.close()
        self._database.close()

    @value_free
    def select_pending(self, applications: pl.DataFrame) -> pl.DataFrame:
        """Returns the applications without an answer to their present fields."""
        keys = [question.key for question in build_questions(applications)]
        answered = self._read_answered(applications)
        return applications.filter(
            pl.Series([key not in answered for key in keys], dtype=pl.Boolean)
        )

    @value_free
    def read_answers(self, applications: pl.DataFrame) -> pl.DataFrame:
        """Returns the answers to the present fields of the applications, in their order."""
        known = self._read_answered(applications)
        rows = [
            (question.key[0], *known[question.key])
            for question in build_questions(applications)
            if question.key in known
        ]
        return pl.DataFrame(rows, schema=ANSWER_SCHEMA, orient="row")

    def _read_answered(self, applications: pl.DataFrame) -> dict[QuestionKey, tuple[object, ...]]:
        app_ids = json.dumps(applications["app_id"].to_list())
        rows = self._database.execute(
            f"SELECT app_id, digest, answer, ssid, fields, answered_at {_FROM_THESE}", (app_ids,)
        )
        return {
            (app_id, digest): (answer, ssid, json.loads(fields), int(at * _MICROSECONDS))
            for app_id, digest, answer, ssid, fields, at in rows
        }

    def count_answers(self) -> dict[AnswerKind, int]:
        """Counts the stored answers by kind."""
        rows = self._database.execute("SELECT answer, count(*) FROM asked GROUP BY answer")
        return dict.fromkeys(AnswerKind, 0) | {AnswerKind(answer): count for answer, count in rows}

    def delete_before(self, before: date) -> int:
        """Deletes the answers from before that day (UTC); returns how many.

        Such an application is looked up again if it comes again. An answer from the future was
        stored by a clock that was ahead; its age counts from now, so that it is deleted one day.
        """
        begins = datetime.combine(before, datetime.min.time(), UTC).timestamp()
        now = self._clock()
        with transaction(self._database):
            self._database.execute(
                "UPDATE asked SET answered_at = ? WHERE answered_at > ?", (now, now)
            )
            return self._database.execute(
                "DELETE FROM asked WHERE answered_at < ?", [begins]
            ).rowcount

    def is_answered(self, key: QuestionKey) -> bool:
        """Tells whether an answer is stored."""
        row = self._database.execute(
            "SELECT 1 FROM asked WHERE app_id = ? AND digest = ?", key
        ).fetchone()
        return row is not None

    def store(self, replies: Sequence[tuple[QuestionKey, LookupReply]]) -> None:
        """Stores answers durably; an earlier answer with the same key stays."""
        now = self._clock()
        with transaction(self._database):
            self._database.executemany(
                "INSERT OR IGNORE INTO asked VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (*key, reply.answer, reply.ssid, json.dumps(reply.fields), now)
                    for key, reply in replies
                ],
            )

    def claim(self, key: QuestionKey) -> bool:
        """Claims a question for this process; returns False if another has it or it is answered.

        A claim ends when it is released, or when the process ends.
        """
        return self._claims.take(key, self.is_answered)

    def release(self, key: QuestionKey) -> None:
        """Ends a claim; the caller has stored the answer before, if there is one."""
        self._claims.release(key)


class Claims:
    """Locks on single bytes of an empty file, one for each question under way.

    The locks belong to the open file, not to the process as POSIX locks do, so two backlogs in one
    process do not share them. The kernel releases them when the process ends.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, and makes it if it is not there."""
        self._file = os.open(path, os.O_CREAT | os.O_RDWR, OWNER_ONLY)

    def close(self) -> None:
        """Closes the file, which ends all claims."""
        os.close(self._file)

    def take(self, key: QuestionKey, is_answered: Callable[[QuestionKey], bool]) -> bool:
        """Takes a lock; returns False if somebody else has it or the question is answered."""
        try:
            self._set_lock(key, fcntl.F_WRLCK)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        # Whoever had the lock until now may have stored an answer.
        if is_answered(key):
            self.release(key)
            return False
        return True

    def release(self, key: QuestionKey) -> None:
        """Ends a claim."""
        self._set_lock(key, fcntl.F_UNLCK)

    def _set_lock(self, key: QuestionKey, kind: int) -> None:
        """Sets or releases a lock, by struct flock: kind, whence, first byte, length, process."""
        lock = struct.pack("hhqqi", kind, os.SEEK_SET, _lock_byte(key), 1, 0)
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, lock)


def _lock_byte(key: QuestionKey) -> int:
    """Returns the byte of a question among 2^62; two questions with one byte wait in turn."""
    app_id, digest = key
    return int.from_bytes(hashlib.sha256(digest + app_id.encode()).digest()[:8]) >> 2
