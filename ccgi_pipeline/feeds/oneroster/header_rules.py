"""Declares rules of OneRoster headers, and how other products' files are recognised by them.

Belongs here: the rules of line 1 and the names by which files of other makes are known. The reader
finds them. Does not belong here: rules of lines (rules) and of whole drops (package_rules).
"""

from __future__ import annotations

from ccgi_pipeline.feeds.oneroster.vocabulary import SOURCE
from ccgi_pipeline.feeds.rules import HeaderRules, Rule, Severity


def _rule(id_: str, severity: Severity, text: str, fix: str) -> Rule:
    return Rule(id=id_, severity=severity, text=text, fix=fix, source=SOURCE, strict=Severity.ERROR)


_W = Severity.WARNING
SEPARATOR = _rule(
    "OR-HEADER-SEPARATOR",
    _W,
    "The cells are not separated by commas; they were read all the same.",
    "Separate cells by commas, as the specification has it.",
)
ORDER = _rule(
    "OR-HEADER-ORDER",
    _W,
    "The columns are not in the specification's order; they were read by their names.",
    "Send the columns in the order of the data dictionary, those of your own (metadata.*) last.",
)
CASE = _rule(
    "OR-HEADER-CASE",
    _W,
    "A column's name is spelled in another way than the specification has it; it was understood.",
    "Column names are case-sensitive: spell it as the data dictionary does.",
)
ABSENT = _rule(
    "OR-HEADER-ABSENT",
    _W,
    "A column that may be blank is missing; it was read as blank.",
    "Send every column of the file, blank where there is nothing to say.",
)
UNKNOWN = _rule(
    "OR-HEADER-UNKNOWN",
    _W,
    "A column is none of this file's; it was not loaded.",
    "Take the column out, correct its name, or call it metadata.… and put it last.",
)
RENAMED = _rule(
    "OR-HEADER-1.0",
    _W,
    "A column has the name that it had in OneRoster 1.0; it was read as today's.",
    "Export OneRoster 1.1 or 1.2.",
)
FOREIGN = _rule(
    "OR-HEADER-SDS",
    Severity.ERROR,
    "This is a file of Microsoft School Data Sync (SDS), or came with one; it is not OneRoster's "
    "of that name, and nothing was loaded.",
    "Export OneRoster 1.1 or 1.2 instead of School Data Sync.",
)
RULES = (SEPARATOR, ORDER, CASE, ABSENT, UNKNOWN, RENAMED, FOREIGN)


def headers(*foreign_marks: str) -> HeaderRules:
    """The rules of a file's header; ``foreign_marks``: columns that only School Data Sync has."""
    return HeaderRules(
        separator=SEPARATOR,
        order=ORDER,
        case=CASE,
        absent=ABSENT,
        unknown=UNKNOWN,
        renamed=RENAMED,
        foreign=FOREIGN,
        foreign_marks=foreign_marks,
    )
