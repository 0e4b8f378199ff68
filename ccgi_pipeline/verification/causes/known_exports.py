"""Exports that are made for somebody else, and the column names by which each is known.

Belongs here: exports of student systems that arrive by mistake. Does not belong here: the files
that the pipeline reads (feeds).
"""

from __future__ import annotations

from dataclasses import dataclass

from ccgi_pipeline.feeds.spec import fold


@dataclass(frozen=True, slots=True)
class KnownExport:
    """An export: its title, and folded column names of which it has at least ``least``."""

    title: str
    marks: frozenset[str]
    least: int = 3


def _export(title: str, *names: str, least: int = 3) -> KnownExport:
    return KnownExport(title, frozenset(map(fold, names)), least)


KNOWN_EXPORTS = (
    _export(
        "a CALPADS file",
        *("Record Type Code", "Transaction Type Code", "Local Record ID", "Reporting LEA"),
        *("School of Attendance", "School of Attendance NPS", "Academic Year ID", "SSID"),
    ),
    _export(
        "a Clever roster",
        *("School_id", "Student_id", "Student_number", "State_id", "Section_id", "Teacher_id"),
        *("Hispanic_Latino", "Frl_status", "Ell_status", "Contact_relationship"),
        least=4,
    ),
    _export(
        "an attendance list",
        *("Attendance Date", "Absence Code", "Attendance Code", "All Day Code", "Period"),
        *("Days Absent", "Days Present", "Days Enrolled", "Att_Date", "Att_Code", "Tardies"),
    ),
    _export(
        "a grade book",
        *("Assignment", "Assignment Name", "Points Possible", "Score", "Due Date", "Category"),
        *("Points Earned", "Overall Score", "Missing", "Assignment Type"),
    ),
    _export(
        "a contact list",
        *("Parent Name", "Guardian", "Home Phone", "Cell Phone", "Mailing Address", "Relationship"),
        *("Contact 1 Name", "Emergency Contact", "Parent Email", "Guardian Email"),
    ),
    _export(
        "a master schedule",
        *("Section", "Section Number", "Room", "Teacher", "Teacher Name", "Max Students"),
        *("Course Title", "Period", "Days", "Semester"),
        least=5,
    ),
)
