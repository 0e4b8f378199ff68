"""The journal of enrollments that were sent: what the service has of each one.

Belongs here: remembering the last status and date that were sent of an enrollment, so that a batch
that was stopped goes on where it was. Does not belong here: sending (``enrollment_batch``).

Enrollments are kept as digests. The file says nothing without a file of enrollments beside it, but
who has one can tell what was sent, so only its owner can read it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import open_database, transaction
from ccgi_pipeline.ssid_lookup.backlog import Claims, QuestionKey
from ccgi_pipeline.ssid_lookup.client import StoredReply, VerificationReply
from ccgi_pipeline.ssid_lookup.enrollments import EnrollmentVerification

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS sent (
        account TEXT NOT NULL, enrollment TEXT NOT NULL, digest BLOB NOT NULL,
        sent_at REAL NOT NULL,
        PRIMARY KEY (account, enrollment)
    ) WITHOUT ROWID;
"""
_LENGTH_OF_KEY = 4
"""The first fields of a verification, which say which enrollment it is about."""


def build_key(enrollment: EnrollmentVerification) -> QuestionKey:
    """Returns a digest of the enrollment, and one of all that is said of it."""
    said = astuple(enrollment)
    of_key, of_all = (
        hashlib.sha256(json.dumps(part).encode()) for part in (said[:_LENGTH_OF_KEY], said)
    )
    return of_key.hexdigest(), of_all.digest()


class EnrollmentJournal:
    """What was sent to one service by one client (``account``), in ``sent.sqlite``.

    ``replies``: the answers of this process, refusals too. A refusal is not remembered longer, so
    that the next batch sends the line again.
    """

    def __init__(self, folder: Path, account: str, clock: Callable[[], float] = time.time) -> None:
        # FULL: what the service has is not sent again after a power failure.
        self._database = open_database(folder / "sent.sqlite", _SCHEMA, "FULL")
        self._claims = Claims(folder / "sent.claims")
        self._account, self._clock = account, clock
        self.replies: dict[QuestionKey, VerificationReply] = {}

    def close(self) -> None:
        """Closes the files."""
        self._claims.close()
        self._database.close()

    def forget(self, keys: Sequence[QuestionKey]) -> None:
        """Forgets that these were sent, so that they are sent again."""
        with transaction(self._database):
            self._database.executemany(
                "DELETE FROM sent WHERE account = ? AND enrollment = ?",
                [(self._account, enrollment) for enrollment, _ in keys],
            )

    def is_answered(self, key: QuestionKey) -> bool:
        """Tells whether the last that was sent of the enrollment is this."""
        row = self._database.execute(
            "SELECT 1 FROM sent WHERE account = ? AND enrollment = ? AND digest = ?",
            (self._account, *key),
        ).fetchone()
        return row is not None

    def store(self, replies: Sequence[tuple[QuestionKey, VerificationReply]]) -> None:
        """Stores durably what the service has now."""
        now = self._clock()
        self.replies.update(replies)
        with transaction(self._database):
            self._database.executemany(
                "INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?)",
                [
                    (self._account, *key, now)
                    for key, reply in replies
                    if isinstance(reply, StoredReply)
                ],
            )

    def claim(self, key: QuestionKey) -> bool:
        """Claims an enrollment for this process; returns False if another has it or sent it."""
        return self._claims.take(key, self.is_answered)

    def release(self, key: QuestionKey) -> None:
        """Ends a claim; the caller has stored the answer before, if there is one."""
        self._claims.release(key)
