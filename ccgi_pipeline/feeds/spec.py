"""The declarations of a feed and of a family: all that generic code needs to know of them.

Belongs here: the vocabulary in which they are declared. Does not belong here: any particular feed
or family, reading, validation, SQL.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache

import pandera.polars as pa

from ccgi_pipeline.feeds.column_rules import RULE_KINDS, repeated_key_rule, rules_of_column
from ccgi_pipeline.feeds.columns import Column, column_from_schema
from ccgi_pipeline.feeds.rules import HeaderRules, Relation, Rule, Severity

FILE, ROW, SENDER = "_file", "_row", "_sender"
"""Columns that say where a line comes from: the file's number in this night, the line's number
among all lines of its feed, the sender's code."""


FILES_OF_DROP = "files_of_drop"
"""The target of relations that look for a file of the same drop by its name."""

CALENDAR = "profile_calendar"
"""The name under which rules see the school days of each sender (``_sender``, ``SchoolDate``)."""


class Lifecycle(StrEnum):
    """What the absence of a known record from a new file means."""

    SNAPSHOT = "snapshot"
    """The file is the sender's full set: a record that is not in it is no longer active."""
    UPSERT = "upsert"
    """The file adds to what is known: absence means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWhile:
    """What keeps a record, however old it is: a row of ``table`` with the same ``columns``.

    ``columns``: from the feed's column to the table's. ``same_sender``: the row must be of the
    record's own sender. Rows of a feed's table count while they are active.
    """

    table: str
    columns: Mapping[str, str]
    same_sender: bool = True


@dataclass(frozen=True, kw_only=True)
class FeedSpec:
    """One kind of file: its columns (the pandera model) and what is true of the file itself.

    ``stems`` are the file's usual names without extension, date and district. ``keys`` identify a
    record within one sender; ``name`` is the table's and the asset's name too; ``prefix`` begins
    the ids of its rules; ``blank_words`` are cells that say "nothing" in words; a ``required``
    feed is one without which its family's package means nothing.

    ``unique_id`` is the column that alone identifies a record of a sender whose profile says that
    it is permanent. A new record that agrees with a known one in ``near_keys`` and not in ``keys``
    may be its correction. ``other_ids`` tell a sender's records apart as the key does;
    ``described_by`` are columns by which a line without a readable key may be known to be a
    record's (the key's own columns if none are named). ``repeats_told_by``: the rule of the source
    that repeated keys break.
    ``one_date_form``: a file has its dates in one form. ``foster``: every student in the file is a
    foster youth, so nothing of it may reach a report of CCGI. ``headers``: what the specification
    says of the header's letters; ``edition_marks``: columns by which a header shows the version of
    its file; ``editions``: the versions of its family that have this file, if not all. ``gone``: a
    column, and the value by which a line says that its record is no more; such files may hold
    changes only. ``guarded``: a full set that would end too many records waits for an operator.
    ``growth_guarded``: so does a drop that would add too many. ``school``: the column that names
    the record's school.

    ``noun``: what a receipt calls a record. ``records``: what analysts call them, where the name of
    the table is not plain (see ``current_view``). ``name_in_profile``: under which name a
    district's profile may give the file another one. ``manifest``: the file names the files of its
    drop.
    ``shipped``: the project has a copy, which counts until one is received. ``event_time``: the
    column with the UTC time at which something happened; reports read such a feed, up to the
    night's end, under the name ``view``. ``ssid``: the column with the student's SSID.
    ``district``: the column with the student's district, where another one may send the file.
    ``kept_while``: what keeps a record at a purge by age. Without it, a record of a full set stays
    while it is active, and any other goes once the drop that last changed it is old enough.
    ``police_columns``: columns whose words show that a line mentions police; such lines are not
    kept. ``decides_links``: the file says which students its sender has; those without a
    counterpart are in no feed's table, yet count as sent. ``correction``: the rule that tells of a
    possible correction (``near_keys``). ``checks``: checks that only this feed's table gets, by the
    names that the Dagster room gives them.
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
    other_ids: tuple[str, ...] = ()
    described_by: tuple[str, ...] = ()
    repeats_told_by: str | None = None
    one_date_form: bool = False
    foster: bool = False
    headers: HeaderRules | None = None
    edition_marks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    editions: tuple[str, ...] = ()
    gone: tuple[str, str] | None = None
    guarded: bool = False
    growth_guarded: bool = False
    school: str | None = None
    noun: str = "record"
    records: str | None = None
    name_in_profile: str | None = None
    manifest: bool = False
    shipped: bool = False
    event_time: str | None = None
    ssid: str | None = None
    district: str | None = None
    kept_while: KeptWhile | None = None
    police_columns: tuple[str, ...] = ()
    decides_links: bool = False
    correction: Rule | None = None
    checks: tuple[str, ...] = ()
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
    def folded_stems(self) -> tuple[str, ...]:
        """The stems in the form in which names are compared."""
        return tuple(map(fold, self.stems))

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
    def ids(self) -> tuple[str, ...]:
        """The columns each of which tells a sender's records apart."""
        return (*(self.keys if len(self.keys) == 1 else ()), *self.other_ids)

    @property
    def descriptions(self) -> tuple[str, ...]:
        """The columns by which a line without a readable key may be known to be a record's."""
        return self.described_by or self.keys

    @property
    def view(self) -> str:
        """The name under which reports read a feed of events: without its family's."""
        return self.name.removeprefix(f"{self.family}_")

    @property
    def current_view(self) -> str:
        """The name of the view of the current records, for analysts: ``current_students``."""
        return f"current_{self.records or (self.view if self.event_time else self.name)}"

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
            if otherwise > edition:
                continue  # the set is known to be newer: an old name is a slip
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


@dataclass(frozen=True, slots=True)
class StatewideSender:
    """One sender for all districts: its ``folder`` in the inbox, and what a receipt calls it."""

    folder: str
    title: str


@dataclass(frozen=True, slots=True)
class Link:
    """Only records with a counterpart in another family, the ``register``, are loaded.

    ``step`` is the name of the step that finds it, in the warehouse's table of steps.
    """

    step: str
    register: str


@dataclass(frozen=True, kw_only=True)
class FamilySpec:
    """Where a family's files come from, and what is true of its drops.

    ``title`` is what receipts call the family. ``sender``: a district, unless a state-wide sender
    is named. ``comes_after``: families that are loaded before, besides those whose feeds its rules
    look up. ``rules``: rules of whole drops, headers and links, which no feed lists.
    ``required_files``: by feed the rule that a drop without its file breaks. ``nothing_sent``: the
    rule that a drop breaks which refers to a feed of which nothing was ever sent;
    ``changes_refer``: the same of files that hold changes only. ``left_alone``: names of files that
    belong to a drop and are counted, but not read. ``answers_strays``: drops that no family claims
    are answered with this one's. ``independent_files``: each file stands for itself; else the files
    in one folder are one set, also where only some of them are new. ``editions``: the versions of
    the files of which a sender chooses one, the newest last; earlier ones are read too.

    Steps are named here and found in a table of the room that has them: ``drop_rules`` judges drops
    as wholes (verification), ``link`` finds counterparts (warehouse), ``after_load`` follows the
    load of all senders (nightly).
    """

    name: str
    title: str
    feeds: tuple[FeedSpec, ...]
    sender: StatewideSender | None = None
    comes_after: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    required_files: Mapping[str, Rule] = field(default_factory=dict)
    nothing_sent: Rule | None = None
    changes_refer: Rule | None = None
    left_alone: tuple[str, ...] = ()
    answers_strays: bool = False
    independent_files: bool = False
    editions: tuple[str, ...] = ()
    drop_rules: str | None = None
    link: Link | None = None
    after_load: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError where a feed names another family."""
        strangers = [feed.name for feed in self.feeds if feed.family != self.name]
        if strangers:
            msg = f"{', '.join(strangers)}: declared in {self.name}, but of another family"
            raise ValueError(msg)


@lru_cache(maxsize=10_000)
def fold(header: str) -> str:
    """The form in which a header is compared: letters and digits only, lower case."""
    return "".join(character for character in header.lower() if character.isalnum())
