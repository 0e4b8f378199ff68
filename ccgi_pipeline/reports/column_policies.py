"""Declares who may see which class of columns and which students, by kind of output.

Belongs here: the one table of policies, with every kind of output that leaves the pipeline. Does
not belong here: the class of a column (its feed declares it), what an output holds (reports).
Tests plant values and check that each output keeps to the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import get_args

from ccgi_pipeline.feeds.columns import ColumnClass
from ccgi_pipeline.profiles import OptOutScope

PII, RESTRICTED, FOSTER = ColumnClass.PII, ColumnClass.RESTRICTED, ColumnClass.FOSTER


class Output(StrEnum):
    """A kind of output, by the name that readers know."""

    AGGREGATE = "aggregate reports"
    DETAIL = "detail and daily reports"
    CHILD_MATCH = "child match reports"
    RECEIPT = "receipts"
    RECEIPT_WITH_CELLS = "receipts with cells"
    COLLEGE_DOWNLOAD = "the colleges' download"
    EXPORT = "an operator's exports"
    RECORD = "logs, Dagster and notices"
    SUPPORT_BUNDLE = "support bundles"


@dataclass(frozen=True, slots=True)
class Policy:
    """Who reads a kind of output, which classes it may show, and why.

    ``opt_out``: the setting of ``opt_out_covers`` from which on students are left out whose parents
    opted out. None: the output answers a district about its own file, or shows no student.
    """

    reader: str
    shows: frozenset[ColumnClass]
    why: str
    opt_out: OptOutScope | None = None


_NONE: frozenset[ColumnClass] = frozenset()

POLICIES: Mapping[Output, Policy] = {
    Output.AGGREGATE: Policy(
        "anyone to whom the district gives them", _NONE, "they hold counts only.", "counts"
    ),
    Output.DETAIL: Policy(
        "the students' own district",
        frozenset({PII, RESTRICTED}),
        "a counsellor must know whom a line is about, so it has the SSID and the report's values. "
        "No report of CCGI says who is a foster youth.",
        "details",
    ),
    Output.CHILD_MATCH: Policy(
        "the students' own district",
        frozenset({PII, RESTRICTED, FOSTER}),
        "it names students by local ID, so that the district can correct its Foster Focus file.",
    ),
    Output.RECEIPT: Policy(
        "the sender of the file",
        _NONE,
        "line, column and rule lead to a cell. File names are the sender's own words.",
    ),
    Output.RECEIPT_WITH_CELLS: Policy(
        "a district whose profile asks for it",
        frozenset({PII, RESTRICTED, FOSTER}),
        "the cells are those of the district's own file.",
    ),
    Output.COLLEGE_DOWNLOAD: Policy(
        "colleges",
        frozenset({PII}),
        "they already have the applicant's name; the SSID is restricted.",
        "exports",
    ),
    Output.EXPORT: Policy(
        "those to whom the operator gives them",
        _NONE,
        "nobody knows where a file goes. `ccgi export --include` adds a class, `--with-opted-out` "
        "all students; the audit log records both, with a reason.",
        "exports",
    ),
    Output.RECORD: Policy(
        "the operators", _NONE, "they are kept for long and read by many; counts are enough."
    ),
    Output.SUPPORT_BUNDLE: Policy("outside support", _NONE, "the structure is enough."),
}


def may_show(output: Output, classes: frozenset[ColumnClass]) -> bool:
    """Returns whether an output may show a column of these classes."""
    return classes <= POLICIES[output].shows


def leaves_out_opted_out(output: Output, covers: OptOutScope) -> bool:
    """Returns whether an output leaves out students whose parents opted out, under a setting."""
    scopes = get_args(OptOutScope)
    from_scope = POLICIES[output].opt_out
    return from_scope is not None and scopes.index(covers) >= scopes.index(from_scope)
