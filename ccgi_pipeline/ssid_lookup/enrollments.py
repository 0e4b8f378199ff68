"""Verifications of enrollment: what colleges report about students whose SSID they looked up.

Belongs here: the fields of a verification, storing it (a repeated one is stored once), and
counting. Does not belong here: matching students.

The sources leave the record open ("data would come from the CCCCO MIS database"), so college and
term have the form of that database: 3 digits for a college (element GI01); two digits for the year
and one for the term (GI03).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import open_database, transaction
from ccgi_pipeline.ssid_lookup.contract import CCCID, SSID, ContractField, read_fields
from ccgi_pipeline.ssid_lookup.store import STUDENT_CCCID_TABLE


class EnrollmentStatus(StrEnum):
    """The status of a student's enrollment that a college reports."""

    ENROLLED = "enrolled"
    NOT_ENROLLED = "not_enrolled"
    WITHDRAWN = "withdrawn"


class VerificationFate(StrEnum):
    """What became of a verification, for the client and the operator's log."""

    INSERTED = "inserted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


ENROLLMENT_FIELDS = (
    CCCID,
    replace(SSID, description="Statewide Student Identifier, as looked up", required=True),
    ContractField(
        "College", "MIS code of the college (GI01)", 3, "482", form="3 digits", pattern="[0-9]{3}"
    ),
    ContractField(
        "Term",
        "MIS identifier of the term (GI03): two digits of the year, one of the term",
        3,
        "267",
        form="3 digits",
        pattern="[0-9]{3}",
    ),
    ContractField(
        "Status",
        "The student's enrollment",
        12,
        str(EnrollmentStatus.ENROLLED),
        form=" or ".join(EnrollmentStatus),
        pattern=f"({'|'.join(EnrollmentStatus)})",
    ),
    ContractField(
        "Date",
        "The day from which the status holds",
        10,
        "2026-08-24",
        form="YYYY-MM-DD, a day of the calendar",
        pattern="[0-9]{4}-[0-9]{2}-[0-9]{2}",
        is_date=True,
    ),
)

STORED = {"result": "stored"}
"""What is in the answer to every valid verification, new or repeated."""


def build_stored_answer(fate: VerificationFate) -> dict[str, str]:
    """Returns the answer to a valid verification; ``fate`` says whether it was there before."""
    return {**STORED, "fate": str(fate)}


_SCHEMA = f"""
    {STUDENT_CCCID_TABLE}
    CREATE TABLE IF NOT EXISTS enrollment (
        cccid TEXT NOT NULL, ssid TEXT NOT NULL, college TEXT NOT NULL, term TEXT NOT NULL,
        status TEXT NOT NULL, date TEXT NOT NULL, received_at REAL NOT NULL,
        PRIMARY KEY (cccid, ssid, college, term)
    ) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class EnrollmentVerification:
    """One student at one college in one term. Its ``repr`` does not show the student."""

    cccid: str = field(repr=False)
    ssid: str = field(repr=False)
    college: str
    term: str
    status: str
    date: str


@dataclass(frozen=True, slots=True)
class EnrollmentCount:
    """A line of the report; ``looked_up`` counts students whose SSID the look-up returned."""

    college: str
    term: str
    status: str
    students: int
    looked_up: int


def parse_enrollment(body: bytes) -> EnrollmentVerification:
    """Returns the verification of a request's body; raises InvalidRequestError."""
    return EnrollmentVerification(*read_fields(body, ENROLLMENT_FIELDS).values())


class EnrollmentStore:
    """The verifications in ``exchange.sqlite``, beside the CCCIDs of matched students."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        # FULL: the client gets the answer "stored" and does not send it again.
        self._database = open_database(folder / "exchange.sqlite", _SCHEMA, "FULL")
        self._clock = clock

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def store(self, enrollments: Sequence[EnrollmentVerification]) -> list[VerificationFate]:
        """Stores verifications; of several about one enrollment the last one is kept."""
        with transaction(self._database):
            return [self._store_one(enrollment) for enrollment in enrollments]

    def _store_one(self, enrollment: EnrollmentVerification) -> VerificationFate:
        known = self._database.execute(
            "SELECT status, date FROM enrollment "
            "WHERE cccid = ? AND ssid = ? AND college = ? AND term = ?",
            astuple(enrollment)[:4],
        ).fetchone()
        if known == (enrollment.status, enrollment.date):
            return VerificationFate.UNCHANGED
        self._database.execute(
            "INSERT OR REPLACE INTO enrollment VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*astuple(enrollment), self._clock()),
        )
        return VerificationFate.UPDATED if known else VerificationFate.INSERTED

    def count_by_status(self) -> list[EnrollmentCount]:
        """Counts students by college, term and status."""
        rows = self._database.execute(
            """
            SELECT college, term, status, count(*), count(student_cccid.cccid)
            FROM enrollment LEFT JOIN student_cccid USING (ssid, cccid)
            GROUP BY college, term, status ORDER BY college, term, status
            """
        )
        return [EnrollmentCount(*row) for row in rows]
