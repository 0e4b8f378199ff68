"""Sets of the nine extracts with changes, each sent by a district of its own in one night.

Belongs here: how a test says what differs from a good set, and what is then found. The changes are
about the last student, whose line can be taken away without moving another. Does not belong here:
any rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from ccgi_pipeline.feeds.foster_focus import FEEDS, NAME
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME, RULES
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.feeds.spec import FILE, SENDER, FeedSpec
from ccgi_pipeline.profiles import DistrictProfile, FosterFocusProfile, Profiles
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.files import (
    LINES,
    Line,
    Place,
    as_bytes,
    broken_rules,
    good_lines,
    outcome,
    usual_name,
    verified_together,
)

DEM, ENR = "demographics", "enrollment_history"
ATP, ATX = "attendance_periods", "attendance_exceptions"
TST, SPE, GPA = "test_scores", "special_education", "gpa"
BEH, TRN = "behavior", "transcripts"
EXTRACTS = tuple(feed.name.removeprefix(f"{NAME}_") for feed in FEEDS)

FIRST, LINE, ADDED = 2, LINES + 1, LINES + 2
"""Physical lines: the first student's; the last student's; and one that is added below it."""
COUNTY_SCHOOL = "33103303330000"
"""A school of the county, which the directory of the night does not know."""
ANOTHER_SCHOOL = "{sender}9999999"

Extracts = dict[str, list[Line]]
Change = Callable[[Extracts, str], None]
"""Changes the lines of the extracts that a sender sends."""
Where = tuple[str, int, str]
"""Extract, line and column."""


def changed(*extracts: str, **cells: str) -> Change:
    """The student's line has other cells."""

    def change(sent: Extracts, sender: str) -> None:
        for extract in extracts:
            sent[extract][-1] = {**sent[extract][-1], **_cells(cells, sender)}

    return change


def added(extract: str, **cells: str) -> Change:
    """The student has another line, like the first one but for ``cells``."""

    def change(sent: Extracts, sender: str) -> None:
        another = {**sent[extract][LINES - 1], "UniqueID": "another", **_cells(cells, sender)}
        sent[extract].append(another)

    return change


def removed(*extracts: str) -> Change:
    """The student's line is not sent."""

    def change(sent: Extracts, _: str) -> None:
        for extract in extracts:
            sent[extract].pop()

    return change


def of_all(extract: str, **cells: str) -> Change:
    """All students' lines have other cells."""

    def change(sent: Extracts, sender: str) -> None:
        sent[extract] = [{**line, **_cells(cells, sender)} for line in sent[extract]]

    return change


def _cells(cells: Mapping[str, str], sender: str) -> Line:
    return {name: cell.format(sender=sender) for name, cell in cells.items()}


@dataclass(frozen=True, eq=False)
class Case:
    """A good set with ``changes``, and the ``places`` at which ``rule`` then speaks.

    ``besides`` are other warnings that the same change cannot but break, each with the reason.
    """

    rule: str
    words: str
    changes: Sequence[Change]
    places: Sequence[Where] = ()
    profile: FosterFocusProfile = field(default_factory=FosterFocusProfile)
    besides: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rule}: {self.words}"

    def sent(self, sender: str) -> dict[str, bytes]:
        """The changed set as files."""
        lines = {extract: good_lines(feed_of(extract), sender=sender) for extract in EXTRACTS}
        for change in self.changes:
            change(lines, sender)
        return {name_of(extract): as_bytes(feed_of(extract), lines[extract]) for extract in lines}

    @property
    def wanted(self) -> list[Place]:
        """The places as findings name them."""
        return [
            (name_of(extract), f"FF-{self.rule}", line, column)
            for extract, line, column in self.places
        ]


def feed_of(extract: str) -> FeedSpec:
    """The feed of an extract."""
    return FEEDS_BY_NAME[f"{NAME}_{extract}"]


def name_of(extract: str) -> str:
    """The usual file name of an extract."""
    return usual_name(feed_of(extract))


class Night:
    """All ``cases`` verified together, each from a district of its own with its own profile."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._senders = {case: f"33{number:05d}" for number, case in enumerate(cases)}
        districts = {
            sender: DistrictProfile(foster_focus=case.profile)
            for case, sender in self._senders.items()
        }
        sent = {sender: case.sent(sender) for case, sender in self._senders.items()}
        self.verification: Verification = verified_together(
            sent, NAME, Profiles(districts=districts)
        )

    def weighed(self, case: Case) -> dict[Place, str]:
        """The severity of each finding of the case's own rule."""
        findings = self.verification.findings["severity"]
        files = self.verification.files.filter(pl.col(SENDER) == self._senders[case])[FILE]
        mine = self.verification.findings[FILE].is_in(files.implode())
        places = broken_rules(self.verification, self._senders[case])
        told = zip(places, findings.filter(mine), strict=True)
        return {place: weight for place, weight in told if place[1] == f"FF-{case.rule}"}

    def outcome(self, case: Case, name: str) -> dict[str, object]:
        """What became of one file of the case's set."""
        return outcome(self.verification, name, self._senders[case])

    def found(self, case: Case) -> list[Place]:
        """What is found in the case's set, but for what is only said for information."""
        return [
            place
            for place in broken_rules(self.verification, self._senders[case])
            if RULES[place[1]].severity is not Severity.INFO
        ]
