"""Words and figures of the Foster Focus extracts, as data.

Belongs here: absences, penalties, tests, disabilities, streets, and how common they are. Does not
belong here: drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

STREETS = (
    "Alder Street", "Bonita Avenue", "Buena Vista Drive", "Cedar Lane", "Cherry Street",
    "Del Mar Avenue", "El Dorado Street", "Elm Street", "Fairview Avenue", "Hillcrest Road",
    "La Paloma Court", "Lincoln Avenue", "Magnolia Street", "Main Street", "Mission Boulevard",
    "Oak Grove Road", "Orchard Way", "Palm Drive", "Ridgeway Court", "San Carlos Street",
    "Sierra Vista Way", "Sunset Drive", "Valley View Road", "Walnut Street",
)  # fmt: skip

# --- enrollments ------------------------------------------------------------------------------

STAYED, MOVED_ON = "E155", "T160"
LEFT_FOR = {"T160": 0.72, "T200": 0.1, "T180": 0.04, "T370": 0.06, "E140": 0.08}
"""CALPADS exit codes of students who leave before the year is over."""
SENIORS_LEFT_WITH = {"100": 0.5, "320": 0.3, "330": 0.2}
"""Completion codes of seniors who leave early: they have completed school."""
SENIORS_LEFT_FOR = "E230"
PROMOTED = "480"

# --- attendance -------------------------------------------------------------------------------

ABSENCES = (
    ("U", "Unverified Absence", 0.40),
    ("I", "Illness", 0.35),
    ("E", "Excused Absence", 0.15),
    ("C", "Cut", 0.10),
)
"""Code, description and share of the reasons for which periods are missed."""
SUSPENDED = ("S", "Suspended")

MIDDLE_SCHOOL_DAY = (
    "English Language Arts", "Science", "History and Social Science", "Physical Education",
    "Band", "Mathematics 6",
)  # fmt: skip
"""What fills a day of middle school beside the courses that transcripts count."""


# --- behavior ---------------------------------------------------------------------------------


class Penalty(NamedTuple):
    """What follows an incident: codes and descriptions as the file lists them.

    ``suspended``: for days; ``away``: out of school for them.
    """

    codes: str
    descriptions: str
    share: float
    suspended: bool = False
    away: bool = False


PENALTIES = (
    Penalty("10", "Warning", 0.22),
    Penalty("12", "Detention", 0.26),
    Penalty("12, 14", "Detention, Parent Conference", 0.14),
    Penalty("16", "Saturday School", 0.12),
    Penalty("20", "In-School Suspension", 0.10, suspended=True),
    Penalty("21", "Principal Suspension", 0.12, suspended=True, away=True),
    Penalty("21, 14", "Principal Suspension, Parent Conference", 0.04, suspended=True, away=True),
)
WITH_POLICE = (
    Penalty("30", "Referral to Law Enforcement", 0.4),
    Penalty("12, 31", "Detention, Citation by School Resource Officer", 0.3),
    Penalty("14, 32", "Parent Conference, Police Called", 0.3),
)
"""Records that must never be loaded."""

# --- tests ------------------------------------------------------------------------------------


class ScoredTest(NamedTuple):
    """A test of each spring: by grade the score from which the standard is met.

    ``older`` are type and subtype under which student systems that were never updated keep it.
    Levels begin at ``steps`` from that score. ``learners``: only English learners take it.
    """

    type: str
    subtype: str
    older: tuple[str, str]
    description: str
    day: tuple[int, int]
    met: Mapping[int, int]
    spread: float
    steps: tuple[int, ...]
    levels: tuple[str, ...]
    learners: bool = False


_STANDARD = ("Standard Not Met", "Standard Nearly Met", "Standard Met", "Standard Exceeded")
TESTS = (
    ScoredTest(
        "ELPAC", "ELPAC Summative", ("CELDT", "CELDT Overall"), "ELPAC overall", (3, 17),
        dict.fromkeys(range(6, 13), 1570), 55.0, (-75, -40, 0),
        ("Level 1", "Level 2", "Level 3", "Level 4"), learners=True,
    ),
    ScoredTest(
        "CAASPP", "SB ELA", ("SBAC", "SBAC ELA"), "Smarter Balanced English Language Arts",
        (5, 4), {6: 2531, 7: 2552, 8: 2567, 11: 2583}, 80.0, (-75, 0, 90), _STANDARD,
    ),
    ScoredTest(
        "CAASPP", "SB Math", ("SBAC", "SBAC Math"), "Smarter Balanced Mathematics",
        (5, 6), {6: 2552, 7: 2567, 8: 2586, 11: 2628}, 85.0, (-80, 0, 80), _STANDARD,
    ),
    ScoredTest(
        "CAST", "CAST Science", ("STAR", "CST Science"), "Science",
        (5, 11), {8: 415, 11: 615}, 14.0, (-25, 0, 14), _STANDARD,
    ),
)  # fmt: skip

# --- special education ------------------------------------------------------------------------

DISABILITIES = {
    "290": 0.40, "240": 0.16, "280": 0.16, "320": 0.12, "260": 0.08, "210": 0.05, "220": 0.01,
    "270": 0.01, "310": 0.01,
}  # fmt: skip
"""CALPADS disability categories of foster youth who receive services."""

# --- transcripts ------------------------------------------------------------------------------

STATE_COURSES = {
    "Social Science": "9200", "English": "9100", "Mathematics": "9240", "Science": "9260",
    "World Languages": "9140", "Visual and Performing Arts": "9000", "Electives": "9220",
    "Career Technical Education": "8000", "Physical Education": "9280",
}  # fmt: skip
"""A state course code for each department: of the right form, and no more than that."""
SCHOOL_ELSEWHERE = ("999", "Another district")
"""Code and name of a school outside the district, where marks were earned before."""
