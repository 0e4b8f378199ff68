"""Verification of enrollment: what the colleges' side sends back about students it was told of.

Belongs here: the record's fields, storing them so that sending twice is sending once, counting
them. Does not belong here: matching students.

The seeds leave the record open ("data would come from the CCCCO MIS database"), so college and term
are written as that database writes them: a college by its 3 digits (element GI01), a term as two
digits of the year and one of the term (GI03).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from ccgi_pipeline.encryption.sqlite import open_database, transaction
from ccgi_pipeline.ssid_lookup.contract import CCCID, SSID, Field, read_fields
from ccgi_pipeline.ssid_lookup.store import STUDENT_CCCID_TABLE


class Status(StrEnum):
    """What a college says of a student's enrollment."""

    ENROLLED = "enrolled"
    NOT_ENROLLED = "not_enrolled"
    WITHDRAWN = "withdrawn"


class Fate(StrEnum):
    """What became of a verification; for the operator."""

    INSERTED = "inserted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


ENROLLMENT_FIELDS = (
    CCCID,
    replace(SSID, description="Statewide Student Identifier, as looked up", required=True),
    Field("College", "MIS code of the college (GI01)", 3, form="3 digits", pattern="[0-9]{3}"),
    Field(
        "Term",
        "MIS identifier of the term (GI03): two digits of the year, one of the term",
        3,
        form="3 digits",
        pattern="[0-9]{3}",
    ),
    Field(
        "Status",
        "The student's enrollment",
        12,
        form=" or ".join(Status),
        pattern=f"({'|'.join(Status)})",
    ),
    Field(
        "Date",
        "Since when the status holds",
        10,
        form="YYYY-MM-DD, a day of the calendar",
        pattern="[0-9]{4}-[0-9]{2}-[0-9]{2}",
        is_date=True,
    ),
)

STORED = {"result": "stored"}
"""The answer to every good verification, new or known."""

_SCHEMA = f"""
    {STUDENT_CCCID_TABLE}
    CREATE TABLE IF NOT EXISTS enrollment (
        cccid TEXT NOT NULL, ssid TEXT NOT NULL, college TEXT NOT NULL, term TEXT NOT NULL,
        status TEXT NOT NULL, date TEXT NOT NULL, received_at REAL NOT NULL,
        PRIMARY KEY (cccid, ssid, college, term)
    ) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Enrollment:
    """One student at one college in one term. ``repr`` does not tell who."""

    cccid: str = field(repr=False)
    ssid: str = field(repr=False)
    college: str
    term: str
    status: str
    date: str


@dataclass(frozen=True, slots=True)
class EnrollmentCount:
    """A line of the report; ``looked_up``: for how many the look-up had given that SSID."""

    college: str
    term: str
    status: str
    students: int
    looked_up: int


def parse_enrollment(body: bytes) -> Enrollment:
    """The verification that a request's body makes; raises InvalidRequestError."""
    return Enrollment(*read_fields(body, ENROLLMENT_FIELDS).values())


class Enrollments:
    """The verifications in ``exchange.sqlite``, beside the CCCIDs of matched students."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        # FULL: the client was told that it is stored and will not send it again.
        self._database = open_database(folder / "exchange.sqlite", _SCHEMA, "FULL")
        self._clock = clock

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    def store(self, enrollments: Sequence[Enrollment]) -> list[Fate]:
        """Stores verifications; of several about the same enrollment, the last one stands."""
        with transaction(self._database):
            return [self._store_one(enrollment) for enrollment in enrollments]

    def _store_one(self, enrollment: Enrollment) -> Fate:
        known = self._database.execute(
            "SELECT status, date FROM enrollment "
            "WHERE cccid = ? AND ssid = ? AND college = ? AND term = ?",
            astuple(enrollment)[:4],
        ).fetchone()
        if known == (enrollment.status, enrollment.date):
            return Fate.UNCHANGED
        self._database.execute(
            "INSERT OR REPLACE INTO enrollment VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*astuple(enrollment), self._clock()),
        )
        return Fate.UPDATED if known else Fate.INSERTED

    def counts(self) -> list[EnrollmentCount]:
        """The report: students by college, term and status."""
        rows = self._database.execute(
            """
            SELECT college, term, status, count(*), count(student_cccid.cccid)
            FROM enrollment LEFT JOIN student_cccid USING (ssid, cccid)
            GROUP BY college, term, status ORDER BY college, term, status
            """
        )
        return [EnrollmentCount(*row) for row in rows]
