"""Declares OneRoster's vocabularies: the permitted words, and other words that are understood.

Belongs here: the code sets of versions 1.1 and 1.2 (1.2.1 changed none of them), and for each the
other words that student systems write and that can mean only one thing. Does not belong here: which
column has which vocabulary (files).
"""

from __future__ import annotations

from collections.abc import Mapping

from ccgi_pipeline.feeds.columns import Code, CodeSet

SOURCE = "OneRoster CSV binding 1.1 and 1.2"


def _words(name: str, *words: str) -> CodeSet:
    return CodeSet(name, tuple(Code(word, word) for word in words), source=SOURCE)


STATUS = _words("StatusType", "active", "tobedeleted")
GONE = "tobedeleted"
STATUS_ALSO = {"inactive": GONE, "to be deleted": GONE}
"""``inactive`` is version 1.0's word, which later versions ask to be read so."""

SESSION_TYPE = _words("SessionType", "gradingPeriod", "semester", "schoolYear", "term")
SESSION_TYPE_ALSO = {
    "grading period": "gradingPeriod",
    "school year": "schoolYear",
}
CLASS_TYPE = _words("ClassType", "homeroom", "scheduled")
ORG_TYPE = _words("OrgType", "department", "school", "district", "local", "state", "national")
USER_ROLE = _words(
    "RoleType",
    "administrator",
    "aide",
    "guardian",
    "parent",
    "proctor",
    "relative",
    "student",
    "teacher",
)
ENROLLMENT_ROLE = _words(
    "RoleType of enrollments", "administrator", "proctor", "student", "teacher"
)
ROLE = _words(
    "RoleType of roles",
    "aide",
    "counselor",
    "districtAdministrator",
    "guardian",
    "parent",
    "principal",
    "proctor",
    "relative",
    "siteAdministrator",
    "student",
    "systemAdministrator",
    "teacher",
)
ROLE_RANK = _words("Role rank", "primary", "secondary")
SEX = _words("Sex", "male", "female", "unspecified", "other")
SEX_ALSO = {"m": "male", "f": "female", "x": "other"}
MODE = _words("Import type", "absent", "bulk", "delta")

_GRADES = (
    ("IT", "infant or toddler"),
    ("PR", "preschool"),
    ("PK", "prekindergarten"),
    ("TK", "transitional kindergarten"),
    ("KG", "kindergarten"),
    *((f"{grade:02d}", f"grade {grade}") for grade in range(1, 14)),
    ("PS", "postsecondary"),
    ("UG", "ungraded"),
    ("Other", "other"),
)
GRADE = CodeSet(
    "CEDS Entry Grade Level",
    tuple(Code(value, name) for value, name in _GRADES),
    source="CEDS version 5, Entry Grade Level",
)
GRADE_ALSO: Mapping[str, str] = {
    **{str(grade): f"{grade:02d}" for grade in range(1, 10)},
    **{f"0{grade}": str(grade) for grade in range(10, 14)},
    **dict.fromkeys(("k", "kn", "0", "00", "kg1", "kindergarten"), "KG"),
    **dict.fromkeys(("ps3", "ps4", "pre-k", "prek"), "PK"),
    "un": "UG",
    "ug1": "UG",
}
"""CALPADS says KN for kindergarten and PS for prekindergarten; spreadsheets drop leading zeros.
``ps`` is not among them: CEDS has it for postsecondary."""
