"""The declaration of a feed: its columns and what is true of the file itself.

Does not belong here: any particular feed, reading, validation, SQL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import pandera.polars as pa

from ccgi_pipeline.feeds.column_rules import RULE_KINDS, repeated_key_rule, rules_of_column
from ccgi_pipeline.feeds.columns import Column, column_from_schema
from ccgi_pipeline.feeds.rules import HeaderRules, Relation, Rule, Severity

FILE, ROW, SENDER = "_file", "_row", "_sender"
"""Columns that say where a line comes from: the file's number in this night, the line's number
among all lines of its feed, the sender's code."""


CALENDAR = "profile_calendar"
"""The name under which rules see the school days of each sender (``_sender``, ``SchoolDate``)."""


class Lifecycle(StrEnum):
    """What the absence of a known record from a new file means."""

    SNAPSHOT = "snapshot"
    """The file is the sender's full set: a record that is not in it is no longer active."""
    UPSERT = "upsert"
    """The file adds to what is known: absence means nothing."""


@dataclass(frozen=True, kw_only=True)
class FeedSpec:
    """One kind of file: its columns (the pandera model) and what is true of the file itself.

    ``stems`` are the file's usual names without extension, date and district. ``keys`` identify a
    record within one sender; ``name`` is the table's and the asset's name too; ``prefix`` begins
    the ids of its rules; ``blank_words`` are cells that say "nothing" in words; a ``required``
    feed is one without which its family's package means nothing.

    ``unique_id`` is the column that alone identifies a record of a sender whose profile says that
    it is permanent. A new record that agrees with a known one in ``near_keys`` and not in ``keys``
    may be its correction. ``repeats_told_by``: the rule of the source that repeated keys break.
    ``one_date_form``: a file has its dates in one form. ``foster``: whoever is in the file is a
    foster youth, so nothing of it may reach a report of CCGI. ``headers``: what the specification
    says of the header's letters; ``edition_marks``: columns by which a header shows the version of
    its file. ``gone``: a column, and the value by which a line says that its record is no more;
    such files may hold changes only. ``guarded``: a full set that would end too many records waits
    for an operator. ``school``: the column that names the record's school.
    """

    name: str
    family: str
    title: str
    prefix: str
    model: type[pa.DataFrameModel]
    stems: tuple[str, ...]
    keys: tuple[str, ...]
    lifecycle: Lifecycle
    source: str
    separators: tuple[str, ...] = (",", "^", "\t")
    quote: str | None = '"'
    blank_words: tuple[str, ...] = ()
    required: bool = False
    repeated_key: Severity = Severity.WARNING
    unique_id: str | None = None
    near_keys: tuple[str, ...] = ()
    repeats_told_by: str | None = None
    one_date_form: bool = False
    foster: bool = False
    headers: HeaderRules | None = None
    edition_marks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gone: tuple[str, str] | None = None
    guarded: bool = False
    school: str | None = None
    rules: tuple[Rule, ...] = ()
    relations: tuple[Relation, ...] = ()

    @cached_property
    def schema(self) -> pa.DataFrameSchema:
        """The pandera schema, each check's ``error`` being the id of the rule it stands for."""
        schema = self.model.to_schema()
        for name, declared in schema.columns.items():
            codes = (declared.metadata or {})["codes"]
            for check in declared.checks:
                kind = (
                    "CODE" if codes and check.name == "str_matches" else RULE_KINDS[str(check.name)]
                )
                check.error = self.column_rule_id(kind, name)
        return schema

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns in the order of the specification, by name."""
        return {
            name: column_from_schema(name, declared, feed_is_foster=self.foster)
            for name, declared in self.schema.columns.items()
        }

    @cached_property
    def columns_by_folded_name(self) -> Mapping[str, Column]:
        """The columns by the form in which headers are compared, former names included."""
        former = {
            fold(name): declared for declared in self.columns.values() for name in declared.former
        }
        return {**former, **{fold(name): declared for name, declared in self.columns.items()}}

    def column_rule_id(self, kind: str, column_name: str) -> str:
        """The id of a column's own rule: ``TR-STU-REQ-StateID``."""
        return f"{self.prefix}-{kind}-{column_name}"

    def blank_rule_id(self, column_name: str) -> str:
        """The id of the rule that a blank cell of the column breaks."""
        return self.columns[column_name].blank_rule or self.column_rule_id("REQ", column_name)

    @property
    def knows_profile(self) -> bool:
        """Whether the feed's rules may use what the district's profile says."""
        return self.unique_id is not None or self.may_be_changes

    @property
    def may_be_changes(self) -> bool:
        """Whether a file may hold changes only, and its rules know whether it does."""
        return self.gone is not None

    def edition_of(self, header: Collection[str], otherwise: str) -> str:
        """The edition that a header (folded names) shows, or else ``otherwise``."""
        for edition, marks in self.edition_marks.items():
            if not {fold(mark) for mark in marks}.isdisjoint(header):
                return edition
        return otherwise

    @property
    def repeated_key_id(self) -> str:
        """The id of the rule that no two lines of a file have one key."""
        return f"{self.prefix}-UNIQUE"

    @cached_property
    def column_rules(self) -> Mapping[str, Rule]:
        """The rules that follow from the columns alone, by id."""
        found: dict[str, Rule] = {}
        for name, declared in self.schema.columns.items():
            for rule in rules_of_column(self, self.columns[name], declared):
                found[rule.id] = rule
        repeated = repeated_key_rule(self)
        return {**found, repeated.id: repeated}

    @cached_property
    def all_rules(self) -> Mapping[str, Rule]:
        """Every rule of this feed by id: its columns' first, then those across columns."""
        return {**self.column_rules, **{rule.id: rule for rule in self.rules}}


def fold(header: str) -> str:
    """The form in which a header is compared: letters and digits only, lower case."""
    return "".join(character for character in header.lower() if character.isalnum())
