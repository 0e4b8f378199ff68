"""The words of a receipt: verdicts, fates, weights, families and sources in everyday language.

Belongs here: the words of a receipt's page that belong to no single rule. Everything said here is
for a reader who has an SFTP folder, a student information system, and nobody to ask. Does not
belong here: the words of a rule (feeds), the page itself (receipt_html).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

from ccgi_pipeline.common.display import shorten
from ccgi_pipeline.feeds.file_rules import FAULT, HELD
from ccgi_pipeline.feeds.registry import FAMILIES, STATEWIDE_SENDERS
from ccgi_pipeline.feeds.rules import Severity


@dataclass(frozen=True, slots=True)
class Label:
    """What became of a line: how it is called, and what that means."""

    title: str
    meaning: str


FATES: Mapping[str, Label] = {
    "inserted": Label("New", "We did not have this record yet; it was added."),
    "updated": Label("Changed", "We had this record with something else in it; now it is as sent."),
    "unchanged": Label("Same as before", "We had this record exactly as it is in your file."),
    "accepted": Label("Can be loaded", "Nothing keeps this line out."),
    "superseded": Label("Repeated", "A later line of this file, or a later file, is about the same "
                       "record; the later one counts."),
    "left_alone": Label("Not needed", "The line is in a file that nobody here asks for; it was "
                       "counted and not read."),
    "removed": Label("Left out on purpose", "The line mentions police involvement. Such lines are "
                    "not kept; there is nothing for you to do."),
    "unmatched": Label("No child found", "The line's student could not be matched with a child in "
                      "Foster Focus, so the line was not loaded."),
    "held": Label("Waiting", "The line itself can be loaded. It waits with its delivery until CCGI "
                 "has decided."),
    "rejected": Label("Not loaded", "The line has an error. What to fix is listed with its file."),
}  # fmt: skip
"""In the order in which a page shows them: what is well first, what needs somebody last."""

KEPT_OUT = Label("Cannot be loaded", FATES["rejected"].meaning)
"""What a check says of a line that would be rejected."""

LOADED = frozenset({"inserted", "updated", "unchanged", "superseded", "accepted"})
"""Fates of lines whose record is as the file has it."""


WEIGHTS: Mapping[str, str] = {
    str(Severity.ERROR): "Must fix",
    str(Severity.WARNING): "Please check",
    str(Severity.INFO): "For your information",
}
NOT_THE_SENDERS: Mapping[str, str] = {HELD.id: "CCGI decides", FAULT.id: "Our fault"}
"""What stands in place of a weight where a sender has nothing to correct."""
WEIGHTS_EXPLAINED = (
    "“Must fix” keeps lines out; “Please check” does not; “For your information” asks for nothing."
)

VERDICTS: Mapping[str, str] = {
    "accepted": "Accepted",
    "accepted_with_findings": "Accepted, with findings",
    "held": "On hold",
    "rejected": "Rejected",
    "duplicate": "Sent before",
}


def fate(name: str, *, checked: bool = False) -> Label:
    """What became of a line (or would, of one that was only checked)."""
    if checked and name == "rejected":
        return KEPT_OUT
    return FATES.get(name, Label(name.replace("_", " ").capitalize(), ""))


def family(name: str) -> str:
    """A family, as its sender would call it."""
    spec = FAMILIES.get(name)
    return spec.title if spec else "Files of a kind that we do not know"


def sender(code: str, name: str) -> str:
    """Who sent something: a district by its ``name``, others by what they are called."""
    spec = FAMILIES.get(STATEWIDE_SENDERS.get(code, ""))
    return spec.sender.title if spec and spec.sender else name


def is_district(code: str) -> bool:
    """Whether the sender is a district."""
    return code not in STATEWIDE_SENDERS


def source(declared: str) -> str:
    """Where a rule comes from, as its reader would say it."""
    told = declared.replace("this project", "our own check")
    return told[:1].upper() + told[1:]


_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
"""Not those of the machine's language: a page is the same wherever it is made."""


def day(on: date) -> str:
    """``November 22, 2026``."""
    return f"{_MONTHS[on.month - 1]} {on.day}, {on.year}"


def number(count: int) -> str:
    """``12,345``."""
    return f"{count:,}"


def counted(count: int, what: str, several: str | None = None) -> str:
    """``1 line``, ``2 lines``; ``several`` where that is no plain s."""
    return f"{count:,} {what if count == 1 else several or what + 's'}"


def file_name(path: str) -> str:
    """The name of a file without its folders, as it can be seen."""
    return as_seen(PurePosixPath(path).name)


def as_seen(name: str) -> str:
    """A name with the characters that nobody sees, or that turn the others around, spelled out.

    A name that is too long to be read is shortened.
    """
    return shorten(
        "".join(
            f"[U+{ord(letter):04X}]" if unicodedata.category(letter) in _UNSEEN else letter
            for letter in name
        )
    )


_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Control and format characters, private ones, and the two separators of lines."""
