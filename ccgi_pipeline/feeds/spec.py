"""The vocabulary in which a feed is declared: columns, rules, relations, and the file itself.

Belongs here: the types that a declaration is made of, and what follows from one declaration alone
(its columns, its rules). Does not belong here: any particular feed, reading, judging, SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any

import pandera.polars as pa
import polars as pl

FILE, ROW, SENDER = "_file", "_row", "_sender"
"""Columns that say where a line comes from: the file's number in this night, the line's number
among all lines of its feed, the sender's code."""
CALENDAR = "profile_calendar"
"""The name under which rules see the school days of each sender (``_sender``, ``SchoolDate``)."""


class Requirement(StrEnum):
    """How badly a column is needed."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"
    OPTIONAL = "optional"
    CONDITIONAL = "conditional"


class Severity(StrEnum):
    """What a broken rule does: only an error keeps the record out."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class ColumnType(StrEnum):
    """The types that the data dictionary speaks of."""

    STRING = "string"
    DATE = "date"
    TIMESTAMP = "timestamp"
    INTEGER = "integer"
    YEAR = "year"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"


class ColumnClass(StrEnum):
    """Why a column is not for everybody; who may see which class is ``reports.classes``' matter.

    PII: it says who a student is, or leads there. RESTRICTED: it says what only who needs it may
    know. FOSTER: it says, or comes from a file that says, that a student is a foster youth.
    """

    PII = "pii"
    RESTRICTED = "restricted"
    FOSTER = "foster"


class Lifecycle(StrEnum):
    """What the absence of a known record from a new file means."""

    SNAPSHOT = "snapshot"
    """The file is the sender's full set: a record that is not in it is no longer active."""
    UPSERT = "upsert"
    """The file adds to what is known: absence means nothing."""


@dataclass(frozen=True, slots=True)
class Code:
    """One value of a code set, with the dates between which it may be used."""

    value: str
    name: str
    start: date | None = None
    end: date | None = None


@dataclass(frozen=True)
class CodeSet:
    """A dated list of codes, such as CALPADS' race categories."""

    name: str
    codes: tuple[Code, ...]
    source: str

    @cached_property
    def values(self) -> tuple[str, ...]:
        """Every value that ever was a code."""
        return tuple(code.value for code in self.codes)

    @cached_property
    def numbers(self) -> tuple[int, ...]:
        """The same, of a set whose codes are numbers."""
        return tuple(map(int, self.values))

    def retired(self, on: date) -> tuple[str, ...]:
        """The values that had ended before ``on``."""
        return tuple(code.value for code in self.codes if code.end is not None and code.end < on)


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """A comparison that becomes a boolean column of the lines of the feed ``lines_of``.

    ``sees`` names the feeds to compare with, and the columns of them that are needed: what the
    sender sends of them now, or sent before if it sends none. ``holds`` is given the lines and
    those frames (each with ``_sender`` and the profile's facts) and answers for each line; null
    where nothing can be said. A finding points at ``column``.
    """

    lines_of: str
    column: str
    holds: Callable[[pl.DataFrame, Mapping[str, pl.DataFrame]], pl.Series]
    sees: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing a file must meet.

    ``passes`` makes, for the date of judgement, a boolean polars expression over the feed's typed
    columns, its relations' columns and the profile's facts; null counts as passed, since a missing
    or unreadable cell has a rule of its own. ``across`` are the lines on which the rule is judged
    by looking at other lines too; they may be another feed's, where what is missing in this file
    shows. Rules of single columns and of bytes need neither: the pandera schema or the reader
    judges them. ``strict``: how much it weighs to a district that is held to the specification's
    letter, if other than ``severity``. ``missing``: the relation whose missing counterpart breaks
    the rule; it is told once, with a count of the lines that hang on it. ``of_blank``: it speaks of
    a blank, and a cell that its own rule refused is none. ``counterexample`` are cells that break
    the rule when put into a good line; the tests use it.
    """

    id: str
    severity: Severity
    text: str
    fix: str
    source: str
    column: str | None = None
    passes: Callable[[date], pl.Expr] | None = None
    across: tuple[Across, ...] = ()
    strict: Severity | None = None
    missing: Relation | None = None
    of_blank: bool = False
    counterexample: Mapping[str, str] | None = None


class Scope(StrEnum):
    """Among whose lines a relation looks for its counterpart."""

    DROP = "drop"
    SENDER = "sender"
    STATE = "state"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A semi-join that becomes a boolean column named ``name``.

    True where the line's ``column`` is found as ``target_column`` of the feed ``target`` (received
    now or known before) within ``scope``. ``known_prefix`` limits the judgement to lines whose
    first so many characters the target knows at all: a directory that does not hold a district
    says nothing about its schools. ``many``: the cell is a list, of which every item must be found.
    ``target_is``: a column of the target, and what it must hold for a line to count as found.
    ``replaces``: what was known of the target counts no more once a full set of it is received, and
    nothing is judged where nothing of it is received or known.
    """

    name: str
    target: str
    column: str
    target_column: str
    scope: Scope = Scope.SENDER
    known_prefix: int | None = None
    many: bool = False
    target_is: tuple[str, str] | None = None
    replaces: bool = False

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The columns of the target that are looked up."""
        kind = (self.target_is[0],) if self.target_is else ()
        return (self.target_column, *kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderRules:
    """Rules about a header of a feed whose specification fixes it to the letter.

    ``separator``: it is another than the feed's first one; ``order``: the columns are in another
    order; ``case``: a name is spelled in another case; ``absent``, ``unknown``: as of any file;
    ``renamed``: a name that an older version had; ``foreign``: a header of another product's file,
    known by one of the names ``foreign_marks``. Columns whose names begin with ``extension`` are
    the sender's own; they come last (``order``).
    """

    separator: Rule
    order: Rule
    case: Rule
    absent: Rule
    unknown: Rule
    renamed: Rule
    foreign: Rule
    foreign_marks: tuple[str, ...] = ()
    extension: str = "metadata."


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a feed, as declared in its pandera model."""

    name: str
    type: ColumnType
    dtype: pl.DataType
    requirement: Requirement
    length: int | None
    codes: CodeSet | None
    pii: bool
    restricted: bool
    foster: bool
    formats: tuple[str, ...]
    true_values: tuple[str, ...]
    false_values: tuple[str, ...]
    exact: tuple[str, ...]
    also: Mapping[str, str]
    listed: bool
    editions: tuple[str, ...]
    former: tuple[str, ...]
    blank: Severity
    blank_rule: str | None
    blank_until: str | None
    example: str | None
    description: str
    source: str

    @property
    def classes(self) -> frozenset[ColumnClass]:
        """The classes that the column is of; none where everybody may see it."""
        declared = {
            ColumnClass.PII: self.pii,
            ColumnClass.RESTRICTED: self.restricted,
            ColumnClass.FOSTER: self.foster,
        }
        return frozenset(name for name, is_one in declared.items() if is_one)

    @property
    def personal(self) -> bool:
        """Whether the column is of any class, so that it may not reach an aggregate."""
        return bool(self.classes)

    def expected_in(self, edition: str) -> bool:
        """Whether files of this edition of the feed have the column."""
        return not self.editions or not edition or edition in self.editions


DATE_FORMATS = ("%m/%d/%Y", "%Y-%m-%d")
TIMESTAMP_FORMATS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%.fZ")
YES, NO = ("Y", "YES", "TRUE", "1"), ("N", "NO", "FALSE", "0")
ONE, ZERO = ("1",), ("0",)


def column(  # noqa: PLR0913 - a column has this many facts; they are all named
    description: str,
    *,
    requirement: Requirement = Requirement.OPTIONAL,
    length: int | None = None,
    pattern: str | None = None,
    codes: CodeSet | None = None,
    numbers: bool = False,
    at_least: float | None = None,
    pii: bool = False,
    restricted: bool = False,
    foster: bool = False,
    formats: tuple[str, ...] = (),
    year: bool = False,
    bit: bool = False,
    exact: bool = False,
    also: Mapping[str, str] | None = None,
    listed: bool = False,
    extended: bool = False,
    editions: tuple[str, ...] = (),
    former: tuple[str, ...] = (),
    wrong: Severity | None = None,
    blank: Severity | None = None,
    blank_rule: str | None = None,
    blank_until: str | None = None,
    example: str | None = None,
    alias: str | None = None,
    source: str,
) -> Any:  # noqa: ANN401 - pandera's Field is Any, so that any annotation may take it
    """Declares one column of a feed inside a ``DataFrameModel``.

    ``pattern`` is the form of the whole cell (a regular expression); a cell that does not have it
    is of the wrong type. ``formats`` are the date forms that the feed accepts. ``numbers``: the
    codes are numbers. ``year``: four digits; ``bit``: 1 or 0. ``exact``: the specification has
    codes (or ``true``, ``false``) to the letter; another case, or one of the words ``also`` (in
    lower case, with the code that each stands for), is understood and told. ``listed``: a list with
    commas, whose codes a rule of the feed judges; ``extended``: terms of the sender's own
    (``ext:…``) are permitted too. ``editions``: the versions of the file that have the column, if
    not all; ``former``: its names in older ones. ``wrong``, ``blank``: how much a wrong cell or a
    blank weighs, if other than the requirement says; ``blank_rule``: the id of the feed's rule that
    a blank breaks, where the source has one; ``blank_until``: what has to have happened before it
    is due. ``example`` is a good cell, needed where type and codes do not imply one.
    """
    checks: dict[str, Any] = {}
    if pattern is not None:
        # In polars \\d is a digit of any script; a code has those of ASCII.
        checks["str_matches"] = f"^(?:{pattern})$".replace(r"\d", "[0-9]")
    if codes is not None and extended:
        permitted = "|".join([*map(re.escape, codes.values), _EXTENSION])
        checks["str_matches"] = f"^(?:{permitted})$"
    elif codes is not None and not listed:
        checks["isin"] = list(codes.numbers if numbers else codes.values)
    if length is not None:
        checks["str_length"] = {"max_value": length}
    if at_least is not None:
        checks["ge"] = at_least
    wanted = requirement in {Requirement.REQUIRED, Requirement.RECOMMENDED}
    return pa.Field(
        nullable=not wanted or bool(editions),
        alias=alias,
        description=description,
        metadata={
            "requirement": requirement,
            "length": length,
            "codes": codes,
            "pii": pii,
            "restricted": restricted,
            "foster": foster,
            "formats": formats,
            "year": year,
            "bit": bit,
            "exact": exact,
            "also": also or {},
            "listed": listed,
            "editions": editions,
            "former": former,
            "wrong": wrong,
            "blank": blank,
            "blank_rule": blank_rule,
            "blank_until": blank_until,
            "example": example,
            "source": source,
        },
        **checks,
    )


_EXTENSION = r"ext:[0-9A-Za-z._-]+"
"""A term of a sender's own, as OneRoster 1.2 permits it in most vocabularies."""

_TYPES: tuple[tuple[type[pl.DataType], ColumnType], ...] = (
    (pl.Date, ColumnType.DATE),
    (pl.Datetime, ColumnType.TIMESTAMP),
    (pl.Decimal, ColumnType.DECIMAL),
    (pl.Boolean, ColumnType.BOOLEAN),
    (pl.Int64, ColumnType.INTEGER),
    (pl.String, ColumnType.STRING),
)
_DEFAULT_FORMATS = {ColumnType.DATE: DATE_FORMATS, ColumnType.TIMESTAMP: TIMESTAMP_FORMATS}

# The four kinds of rule that a column can have of its own, by pandera check.
_KIND_OF_CHECK = {
    "not_nullable": "REQ",
    "str_matches": "TYPE",
    "greater_than_or_equal_to": "TYPE",
    "isin": "CODE",
    "str_length": "LEN",
}


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
                    "CODE"
                    if codes and check.name == "str_matches"
                    else _KIND_OF_CHECK[str(check.name)]
                )
                check.error = self.column_rule_id(kind, name)
        return schema

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns in the order of the specification, by name."""
        return {
            name: _column(name, declared, feed_is_foster=self.foster)
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
            for rule in _rules_of_column(self, self.columns[name], declared):
                found[rule.id] = rule
        repeated = _repeated_key_rule(self)
        return {**found, repeated.id: repeated}

    @cached_property
    def all_rules(self) -> Mapping[str, Rule]:
        """Every rule of this feed by id: its columns' first, then those across columns."""
        return {**self.column_rules, **{rule.id: rule for rule in self.rules}}


def fold(header: str) -> str:
    """The form in which a header is compared: letters and digits only, lower case."""
    return "".join(character for character in header.lower() if character.isalnum())


def _column(name: str, declared: pa.Column, *, feed_is_foster: bool) -> Column:
    facts: Mapping[str, Any] = declared.metadata or {}
    given = declared.dtype.type  # an instance, or the class where it takes no parameters
    dtype = given() if isinstance(given, type) else given
    kind = next(kind for polars_type, kind in _TYPES if isinstance(dtype, polars_type))
    required = facts["requirement"] is Requirement.REQUIRED
    return Column(
        name=name,
        type=ColumnType.YEAR if facts["year"] else kind,
        dtype=dtype,
        requirement=facts["requirement"],
        length=facts["length"],
        codes=facts["codes"],
        pii=facts["pii"],
        restricted=facts["restricted"],
        foster=facts["foster"] or feed_is_foster,
        formats=facts["formats"] or _DEFAULT_FORMATS.get(kind, ()),
        true_values=ONE if facts["bit"] else YES,
        false_values=ZERO if facts["bit"] else NO,
        exact=_exact(facts, kind),
        also=facts["also"],
        listed=facts["listed"],
        editions=facts["editions"],
        former=facts["former"],
        blank=facts["blank"] or (Severity.ERROR if required else Severity.WARNING),
        blank_rule=facts["blank_rule"],
        blank_until=facts["blank_until"],
        example=facts["example"],
        description=declared.description or "",
        source=facts["source"],
    )


def _exact(facts: Mapping[str, Any], kind: ColumnType) -> tuple[str, ...]:
    """The only cells that are written as the specification has it."""
    if not facts["exact"]:
        return ()
    return ("true", "false") if kind is ColumnType.BOOLEAN else facts["codes"].values


def _rules_of_column(feed: FeedSpec, declared: Column, schema: pa.Column) -> list[Rule]:
    """A column's own rules; one that the record can do without warns, and is left out."""
    required = declared.requirement is Requirement.REQUIRED
    severity = (schema.metadata or {})["wrong"] or (
        Severity.ERROR if required else Severity.WARNING
    )
    kept_out = severity is Severity.ERROR
    left_out = "" if kept_out else " The value was left out; the record was loaded."
    name = declared.name

    def rule(
        kind: str,
        text: str,
        fix: str,
        *,
        at: Severity = severity,
        passes: Callable[[date], pl.Expr] | None = None,
    ) -> Rule:
        return Rule(
            id=feed.column_rule_id(kind, name),
            severity=at,
            text=text,
            fix=fix,
            source=declared.source,
            column=name,
            strict=Severity.ERROR if feed.headers and at is Severity.WARNING else None,
            of_blank=kind == "REQ" and passes is not None,
            passes=passes,
        )

    rules: list[Rule] = []
    wanted = declared.requirement in {Requirement.REQUIRED, Requirement.RECOMMENDED}
    if wanted and declared.blank_rule is None:
        needed = declared.blank is Severity.ERROR
        outcome = "the record cannot be loaded without it" if needed else "it is recommended"
        text, fix = f"{name} is blank: {outcome}.", f"Fill {name}: {declared.description}"
        if declared.blank_until:
            text = f"{name} is blank, as it may be until {declared.blank_until}."
            fix = f"Fill {name} once {declared.blank_until}."
        passes = _filled_if_expected(declared) if declared.editions else None
        rules.append(rule("REQ", text, fix, at=declared.blank, passes=passes))
    checks = {str(check.name): check.statistics for check in schema.checks}
    form = _FORM[declared.type](declared)
    if (
        ("str_matches" in checks and not declared.codes)
        or "greater_than_or_equal_to" in checks
        or form
    ):
        form = form or declared.description
        rules.append(
            rule(
                "TYPE",
                f"{name} is not in the form that this file needs.{left_out}",
                f"Send {name} as {form}",
            )
        )
    if declared.exact:
        rules.append(
            rule(
                "FORM",
                f"{name} is not spelled as the specification has it; it was understood.",
                f"Use exactly one of: {_listed(declared.exact)}.",
                at=Severity.WARNING,
            )
        )
    if declared.length is not None:
        rules.append(
            rule(
                "LEN",
                f"{name} is longer than {declared.length} characters.{left_out}",
                f"Shorten {name} to {declared.length} characters.",
            )
        )
    if declared.codes is not None and not declared.listed:
        rules.append(
            rule(
                "CODE",
                f"{name} is not a code of the set {declared.codes.name}.{left_out}",
                f"Use one of: {_shown(declared.codes)}.",
            )
        )
        if any(code.end for code in declared.codes.codes):
            rules.append(
                Rule(
                    id=feed.column_rule_id("RETIRED", name),
                    severity=Severity.WARNING,
                    text=f"{name} is a code that has been retired.",
                    fix=f"Use a current code of {declared.codes.name}.",
                    source=declared.codes.source,
                    column=name,
                    passes=_not_retired(declared),
                )
            )
    return rules


def _repeated_key_rule(feed: FeedSpec) -> Rule:
    """Two lines with one key: as an error the first one stands, as a warning the last one does."""
    keys = ", ".join(feed.keys)
    stands = "first" if feed.repeated_key is Severity.ERROR else "last"
    return Rule(
        id=feed.repeated_key_id,
        severity=feed.repeated_key,
        text=f"A line above has the same {keys}: the {stands} one stands.",
        fix=f"Send one line for each {keys}.",
        source=feed.source,
        column=feed.keys[-1],
    )


def _filled_if_expected(declared: Column) -> Callable[[date], pl.Expr]:
    """That the column is filled in lines of the editions that have it."""
    filled = pl.col(declared.name).is_not_null()
    return lambda _: filled | ~pl.col("_edition").is_in(declared.editions)


def _not_retired(declared: Column) -> Callable[[date], pl.Expr]:
    codes = declared.codes
    if codes is None:
        msg = f"{declared.name} has no code set that could have retired codes"
        raise ValueError(msg)
    return lambda on: ~pl.col(declared.name).is_in(list(codes.retired(on)))


_SHOWN_CODES = 30
"""Longer code sets are named, not listed: a receipt stays readable."""


def _shown(codes: CodeSet) -> str:
    if len(codes.codes) > _SHOWN_CODES:
        return f"the {len(codes.codes)} codes of {codes.name} (see the data dictionary)"
    return _listed(
        code.value if code.value == code.name else f"{code.value} ({code.name})"
        for code in codes.codes
    )


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


_DATE_WORDS = {"%m/%d/%Y": "MM/DD/YYYY", "%Y-%m-%d": "YYYY-MM-DD"}


def _date_form(declared: Column) -> str:
    return f"a date, {' or '.join(_DATE_WORDS[form] for form in declared.formats)}."


_FORM: Mapping[ColumnType, Callable[[Column], str]] = {
    ColumnType.STRING: lambda _: "",
    ColumnType.DATE: _date_form,
    ColumnType.TIMESTAMP: lambda _: "a UTC time, YYYY-MM-DDTHH:MM:SSZ.",
    ColumnType.INTEGER: lambda _: "a whole number.",
    ColumnType.DECIMAL: lambda _: "a number with a decimal point, such as 2.50.",
    ColumnType.YEAR: lambda _: "a year of four digits.",
    ColumnType.BOOLEAN: lambda declared: (
        " or ".join(declared.exact or (declared.true_values[0], declared.false_values[0])) + "."
    ),
}
