"""Declares what a district is told when its records are linked to children of Foster Focus.

Belongs here: the reasons for which a record is not linked, flags that disagree, and the hint of a
possible correction, as rules with ids, so that receipts and dictionary speak of them. They are
found when records are loaded, not when a file is judged: only the warehouse knows the children.
Does not belong here: how children are matched (verification.child_match).
"""

from __future__ import annotations

from ccgi_pipeline.feeds.rules import Rule, Severity
from ccgi_pipeline.feeds.sources import FOSTER_FOCUS

_REPORT = f"{FOSTER_FOCUS.page(3)}: reasons on the child match report"


def _reason(id_: str, text: str, fix: str) -> Rule:
    return Rule(
        id=id_, severity=Severity.WARNING, text=text, fix=fix, source=_REPORT, column="SISLocalID"
    )


NO_SUCH_CHILD = _reason(
    "FF-MATCH-NONE",
    "No such child is in the data of Child Protective Services; nothing of the student was loaded.",
    "Check the student's name, birth date and SSID, and whether the student is a foster youth.",
)
INACTIVE = _reason(
    "FF-MATCH-INACTIVE",
    "The child's status has been inactive for more than 6 months; nothing of the student was "
    "loaded.",
    "Take the student out of the extracts, or let us know if the status is wrong.",
)
GRADUATED = _reason(
    "FF-MATCH-GRADUATED",
    "The child has graduated; nothing of the student was loaded.",
    "Take the student out of the extracts.",
)
OVER_AGE = _reason(
    "FF-MATCH-AGE",
    "The child is older than the age limit; nothing of the student was loaded.",
    "Take the student out of the extracts.",
)
DISAGREES = _reason(
    "FF-MATCH-DISAGREE",
    "A child is known who differs from the student in one field; nothing of the student was "
    "loaded.",
    "Compare the field with the child's papers, and correct what is wrong.",
)
AMBIGUOUS = _reason(
    "FF-MATCH-AMBIGUOUS",
    "More than one child fits the student; nothing of the student was loaded.",
    "Send the student's SSID.",
)
UNKNOWN = (NO_SUCH_CHILD, DISAGREES, AMBIGUOUS)
"""The reasons of students whom the register does not know for certain."""
REASONS = (NO_SUCH_CHILD, INACTIVE, GRADUATED, OVER_AGE, DISAGREES, AMBIGUOUS)
"""In the order in which they outweigh each other where several hold."""

NOT_SENT = _reason(
    "FF-MATCH-NOT-SENT",
    "The transcript roster flags the student as a foster youth, and no line of the demographics "
    "extract that could be read is the student's.",
    "Flag the student in the field from which the extract is made, or correct FosterYouth in the "
    "transcript files.",
)
NOT_FLAGGED = _reason(
    "FF-MATCH-NOT-FLAGGED",
    "The student is in the demographics extract and is not flagged as a foster youth in the "
    "transcript roster.",
    "Flag the student as a foster youth in your student system (state program code 190), or take "
    "the student out of the extracts.",
)
FLAGS = (NOT_SENT, NOT_FLAGGED)
"""Where two files of the district disagree. They say nothing about the register."""

CORRECTION = Rule(
    id="FF-CORRECTION",
    severity=Severity.WARNING,
    text="Possible correction: a record that differs in the school only was known and is no longer "
    "sent. Without permanent unique IDs both stand.",
    fix="If the older record was wrong, ask us to remove it; permanent unique IDs make corrections "
    "work by themselves.",
    source=FOSTER_FOCUS.page(4),
)
LINKING_RULES = (*REASONS, *FLAGS, CORRECTION)
