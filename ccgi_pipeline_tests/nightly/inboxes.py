"""Small inboxes, made line by line: who is on which roster, and what they did.

Belongs here: lines of rosters and activities with made-up students, and putting files where senders
put them. The bytes of a file come from ``ccgi_pipeline_tests.files``. Does not belong here: running
a night over an inbox (``nights``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ccgi_pipeline.feeds.cde_directory import FEED as DIRECTORY
from ccgi_pipeline.feeds.platform import FEEDS as ACTIVITIES
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_GRADE, MANIFEST, STUDENT
from ccgi_pipeline_tests.files import Line, as_bytes

PALM_SPRINGS, PALM_SPRINGS_HIGH = "3367173", "33671733335130"
HAYWARD, HAYWARD_HIGH = "0161192", "01611920133629"
BERKELEY, BERKELEY_HIGH = "0161143", "01611430131177"
"""Districts and schools as the shipped directory lists them."""

_ACTIVITY = {feed.name.removeprefix("platform_"): feed for feed in ACTIVITIES}
_EVENT_NUMBERS = itertools.count(1)


def line_of(feed: FeedSpec, cells: Mapping[str, str]) -> Line:
    """A line of ``feed``: the given cells, and blanks for the rest."""
    unknown = set(cells) - set(feed.columns)
    if unknown:
        msg = f"{feed.name} has no {unknown}"
        raise ValueError(msg)
    return {name: cells.get(name, "") for name in feed.columns}


def student(ssid: str, school: str, grade: str = "11", **cells: str) -> Line:
    """A student of the roster who breaks no rule."""
    usual = {
        "PrimaryCDSCode": school,
        "LocalStudentID": f"L{ssid}",
        "StateID": ssid,
        "FirstName": f"First{ssid}",
        "LastName": f"Last{ssid}",
        "DateOfBirth": "03/01/2010",
        "Gender": "F",
        "GradeLevel": grade,
        "ParentConsent": "Y",
        "HispanicEthnicity": "N",
        "RaceCode1": "600",
        "EnrollmentStartDate": "08/15/2026",
    }
    return line_of(STUDENT, {**usual, **cells})


def students(ssids: Iterable[str], school: str, grade: str = "11") -> list[Line]:
    """Several students alike."""
    return [student(ssid, school, grade) for ssid in ssids]


def numbered(first: int, count: int) -> list[str]:
    """``count`` SSIDs from ``first`` on."""
    return [f"{number:010d}" for number in range(first, first + count)]


def course(ssid: str, school: str, number: str = "C1", **cells: str) -> Line:
    """A finished course of a student, without a fault."""
    usual = {
        "StateID": ssid,
        "CDSCode": school,
        "IsWorkInProgress": "N",
        "GradeLevel": "10",
        "SchoolYear": "2025-26",
        "Term": "S1",
        "LocalCourseID": number,
        "TranscriptAbbreviation": f"Course {number}",
        "SubjectArea": "B",
        "CreditsAttempted": "5.00",
        "CreditsEarned": "5.00",
        "CourseGrade": "A",
    }
    return line_of(COURSE_GRADE, {**usual, **cells})


def event(activity: str, ssid: str, at: str = "2026-10-01T20:00:00Z", **cells: str) -> Line:
    """Something that a student did; ``at`` is a UTC time. Every event has an id of its own."""
    usual = {"EventID": f"event-{next(_EVENT_NUMBERS):08d}", "SSID": ssid, "OccurredAt": at}
    return line_of(_ACTIVITY[activity], {**usual, **cells})


def application(ssid: str, kind: str, status: str, college: str, at: str = "") -> Line:
    """A step of a college application."""
    return event(
        "college_applications",
        ssid,
        at or "2026-10-01T20:00:00Z",
        ApplicationType=kind,
        Origin="Launched",
        ApplicationStatus=status,
        CollegeName=college,
    )


def financial_aid(ssid: str, kind: str, status: str, at: str = "") -> Line:
    """A step of a FAFSA or CADAA application."""
    return event(
        "financial_aid_applications",
        ssid,
        at or "2026-10-01T20:00:00Z",
        ApplicationType=kind,
        Origin="Launched",
        ApplicationStatus=status,
    )


def directory_entry(cds_code: str, county: str, district: str, school: str) -> Line:
    """A line of CDE's directory."""
    cells = {
        "CDSCode": cds_code,
        "StatusType": "Active",
        "County": county,
        "District": district,
        "School": school,
    }
    blanks = dict.fromkeys(DIRECTORY.columns, "No Data")
    return {**blanks, **cells, "LastUpDate": "11/01/2026"}


def put(inbox: Path, path: str, content: bytes) -> Path:
    """Puts a file into the inbox at ``path`` (relative)."""
    file = inbox / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def roster_file(lines: Sequence[Line]) -> bytes:
    """A StudentTemplate file."""
    return as_bytes(STUDENT, lines)


def put_roster(inbox: Path, cd: str, lines: Sequence[Line], day: str = "20261120") -> Path:
    """A district's StudentTemplate and its manifest, as delivered on ``day``."""
    name = f"StudentTemplate_{day}.csv"
    manifest = as_bytes(MANIFEST, [{"FileName": name}])
    put(inbox, f"{cd}/transcript/Manifest_{day}.csv", manifest)
    return put(inbox, f"{cd}/transcript/{name}", roster_file(lines))


def put_events(inbox: Path, lines: Sequence[Line], day: str = "20261120") -> None:
    """The platform's files of one day: each event goes to the file that has its columns."""
    for activity, feed in _ACTIVITY.items():
        own = [line for line in lines if set(line) == set(feed.columns)]
        if own:
            put(inbox, f"platform/{activity}_{day}.csv", as_bytes(feed, own))


def put_directory(inbox: Path, lines: Sequence[Line]) -> Path:
    """CDE's directory."""
    return put(inbox, "cde/pubschls.txt", as_bytes(DIRECTORY, lines))
