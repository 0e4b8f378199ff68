"""Who may see which class of columns, by kind of output.

Belongs here: the one table of it. Everything that leaves the pipeline is of one of these kinds.
Does not belong here: which class a column is of (its feed's declaration), what an output holds
(reports), how it is found out whether it keeps to the table (the tests plant values and look).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ccgi_pipeline.feeds.columns import ColumnClass

PII, RESTRICTED, FOSTER = ColumnClass.PII, ColumnClass.RESTRICTED, ColumnClass.FOSTER


class Output(StrEnum):
    """A kind of output, as readers call it."""

    AGGREGATE = "aggregate reports"
    DETAIL = "detail and daily reports"
    CHILD_MATCH = "child match reports"
    RECEIPT = "receipts"
    RECEIPT_WITH_CELLS = "receipts with cells"
    COLLEGE_DOWNLOAD = "the colleges' download"
    RECORD = "logs, Dagster and notices"
    SUPPORT_BUNDLE = "support bundles"


@dataclass(frozen=True, slots=True)
class Policy:
    """Who reads a kind of output, which classes it may show, and why."""

    reader: str
    shows: frozenset[ColumnClass]
    why: str


_NONE: frozenset[ColumnClass] = frozenset()

POLICIES: Mapping[Output, Policy] = {
    Output.AGGREGATE: Policy("whoever the district hands them to", _NONE, "they count."),
    Output.DETAIL: Policy(
        "the students' own district",
        frozenset({PII, RESTRICTED}),
        "a counsellor must know whom a line is about: it has the SSID, and what the report is of. "
        "No report of CCGI says who is a foster youth.",
    ),
    Output.CHILD_MATCH: Policy(
        "the students' own district",
        frozenset({PII, RESTRICTED, FOSTER}),
        "it names students by local id, for the district to mend its file for Foster Focus.",
    ),
    Output.RECEIPT: Policy(
        "who sent the file",
        _NONE,
        "line, column and rule lead to a cell. Names of files are the sender's own words.",
    ),
    Output.RECEIPT_WITH_CELLS: Policy(
        "a district whose profile asks for it",
        frozenset({PII, RESTRICTED, FOSTER}),
        "the cells are those of the district's own file.",
    ),
    Output.COLLEGE_DOWNLOAD: Policy(
        "colleges",
        frozenset({PII}),
        "they have the applicant's name already; the SSID is restricted.",
    ),
    Output.RECORD: Policy(
        "who runs the pipeline", _NONE, "they are kept for ever and seen by many; counts suffice."
    ),
    Output.SUPPORT_BUNDLE: Policy("who helps from outside", _NONE, "structure suffices."),
}


def may_show(output: Output, classes: frozenset[ColumnClass]) -> bool:
    """Whether a column of these classes may stand in such an output."""
    return classes <= POLICIES[output].shows
