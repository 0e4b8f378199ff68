"""Which contracts there are, and what every form of them says of a feed and of a column.

Belongs here: one contract for each family and, where a sender chooses a version of its files, for
each version; names of files, forms of cells, references, and where a contract is narrower than the
pipeline. Does not belong here: the forms themselves (``data_contracts``, ``data_packages``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ccgi_pipeline.feeds.columns import Column, ColumnType, Requirement
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.rules import Relation, Rule, Scope, Severity
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec

NARROWER = (
    "The contract is narrower than the pipeline, which also takes columns in any order and case, "
    "files without columns that are not required, other separators, blanks around cells, and other "
    "encodings than UTF-8. A wrong cell of a column that is not required is only left out, and the "
    "record is loaded. Of several lines with one key the pipeline takes one. A record may refer to "
    "one that was sent on an earlier day."
)
"""What a program that judges files by a contract refuses, and the pipeline does not."""
WIDER = (
    "A contract has no rules that compare columns, lines and days: the pipeline may refuse a line "
    "that fits the contract. The rules of each file are listed with it; `ccgi check` judges all."
)
_DATE_WORDS: Mapping[str, str] = {"%m/%d/%Y": "MM/DD/YYYY", "%Y-%m-%d": "YYYY-MM-DD"}
_ISO = "%Y-%m-%d"


@dataclass(frozen=True, slots=True)
class Contract:
    """What files of one family, and of one version of it (or ""), must be."""

    family: FamilySpec
    edition: str

    @property
    def name(self) -> str:
        """``transcript``; ``oneroster-1.1`` where there are versions."""
        return f"{self.family.name}-{self.edition}" if self.edition else self.family.name

    @property
    def title(self) -> str:
        """What the family is called, with its version."""
        return f"{self.family.title} {self.edition}".rstrip()

    @property
    def feeds(self) -> tuple[FeedSpec, ...]:
        """The feeds that this version has."""
        return tuple(
            feed
            for feed in self.family.feeds
            if not feed.editions or not self.edition or self.edition in feed.editions
        )

    def columns(self, feed: FeedSpec) -> list[Column]:
        """Returns the columns that a feed has in this version."""
        return [column for column in feed.columns.values() if column.expected_in(self.edition)]

    def references(self, feed: FeedSpec) -> Iterator[Relation]:
        """Yields each column of a feed that names a record of another file of this contract.

        Each pair of columns comes once. Lists are left out: no form of contract has them.
        """
        targets = {other.name for other in self.feeds}
        names = {column.name for column in self.columns(feed)}
        told = set()
        for relation in feed.relations:
            pair = (relation.column, relation.target)
            judged = relation.scope is not Scope.STATE and not relation.many
            if (
                judged
                and relation.column in names
                and relation.target in targets
                and pair not in told
            ):
                told.add(pair)
                yield relation


CONTRACTS: Mapping[str, Contract] = {
    contract.name: contract
    for family in FAMILIES.values()
    for contract in (Contract(family, edition) for edition in family.editions or ("",))
}
"""All contracts by name, in the order of the families."""


def file_name(feed: FeedSpec) -> str:
    """Returns the usual name of a feed's file."""
    return f"{feed.stems[0].replace(' ', '')}.{'txt' if feed.quote is None else 'csv'}"


def is_required(column: Column) -> bool:
    """Returns whether a line without the column is kept out, whatever else it says."""
    return column.requirement is Requirement.REQUIRED and column.blank is Severity.ERROR


def pattern_of(feed: FeedSpec, column: Column, edition: str) -> str | None:
    """Returns the form that a whole cell must have, as a regular expression without anchors."""
    checks = {check.name: check.statistics for check in feed.schema.columns[column.name].checks}
    if "str_matches" in checks:
        pattern: str = checks["str_matches"]["pattern"]
        return pattern.removeprefix("^").removesuffix("$")
    if column.listed and column.codes and (not column.codes_in or edition in column.codes_in):
        code = "|".join(map(re.escape, column.codes.values))
        return f"(?:{code})(?:,(?:{code}))*"
    return None


def codes_of(column: Column) -> tuple[Any, ...]:
    """Returns the only values that a cell may have; none where it is not limited to a list."""
    if column.codes is None or column.listed or column.extended:
        return ()
    numeric = column.type is ColumnType.INTEGER
    return column.codes.numbers if numeric else column.codes.values


def least_of(feed: FeedSpec, column: Column) -> float | None:
    """Returns the least number that a cell may be."""
    for check in feed.schema.columns[column.name].checks:
        if check.name == "greater_than_or_equal_to":
            least: float = check.statistics["min_value"]
            return least
    return None


def date_form(column: Column) -> str | None:
    """Returns the one form of dates or times that the contract takes: ISO 8601 if it may be."""
    if not column.formats:
        return None
    return _ISO if _ISO in column.formats else column.formats[0]


def describe_column(column: Column) -> str:
    """Returns the description, with the forms that are read besides that of the contract."""
    words = [column.description]
    if column.requirement is Requirement.REQUIRED and not is_required(column):
        until = f" until {column.blank_until}" if column.blank_until else ""
        words.append(f"It may be blank{until}; the receipt says so.")
    if column.requirement is Requirement.RECOMMENDED:
        words.append("Recommended.")
    taken = date_form(column)
    others = [_DATE_WORDS[form] for form in column.formats if form in _DATE_WORDS and form != taken]
    if column.type is ColumnType.DATE and others:
        words.append(f"The pipeline also reads {', '.join(others)}.")
    if column.type is ColumnType.TIMESTAMP:
        words.append("The pipeline also reads fractions of a second.")
    if column.exact:
        words.append("The pipeline understands other cases, with a warning.")
    return " ".join(words)


def rules_of_column(feed: FeedSpec, column: Column) -> list[Rule]:
    """Returns the rules that judge a column of a feed."""
    return [rule for rule in feed.all_rules.values() if rule.column == column.name]
