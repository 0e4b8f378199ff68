"""The vocabulary of columns: type, length, requirement, code list, class."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds.rules import Severity


class Requirement(StrEnum):
    """How badly a column is needed."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"
    OPTIONAL = "optional"
    CONDITIONAL = "conditional"


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


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a feed, as declared in its pandera model."""

    name: str
    type: ColumnType
    dtype: pl.DataType
    requirement: Requirement
    length: int | None
    codes: CodeSet | None
    codes_in: tuple[str, ...]
    extended: bool
    pii: bool
    restricted: bool
    foster: bool
    formats: tuple[str, ...]
    understood: tuple[str, ...]
    true_values: tuple[str, ...]
    false_values: tuple[str, ...]
    exact: tuple[str, ...]
    also: Mapping[str, str]
    listed: bool
    names_with_commas: tuple[str, ...]
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


def without_commas(name: str) -> str:
    """Returns a name as a list with commas must have it."""
    return name.replace(",", "")


DATE_FORMATS = ("%m/%d/%Y", "%Y-%m-%d")


TIMESTAMP_FORMATS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S%.fZ")
TIMESTAMP_SHAPE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z$"
"""The shape of ``TIMESTAMP_FORMATS``."""


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
    understood: tuple[str, ...] = (),
    codes_in: tuple[str, ...] = (),
    year: bool = False,
    bit: bool = False,
    exact: bool = False,
    also: Mapping[str, str] | None = None,
    listed: bool = False,
    names_with_commas: tuple[str, ...] = (),
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
    is of the wrong type. ``formats`` are the date forms that the feed accepts; ``understood`` are
    those that are read and told. ``codes_in``: the editions in which only the codes are permitted,
    if not all. ``numbers``: the codes are numbers. ``year``: four digits; ``bit``: 1 or 0.
    ``exact``: the specification has codes (or ``true``, ``false``) to the letter; another case, or
    one of the words ``also`` (in lower case, with the code that each stands for), is understood and
    told. ``listed``: a list with commas, whose codes a rule of the feed judges;
    ``names_with_commas``: names that such a list must have without their commas, and that are
    understood and told with them. ``extended``: terms of the sender's own (``ext:…``) are permitted
    too. ``editions``: the versions of the file that
    have the column, if not all; ``former``: its names in older ones. ``wrong``, ``blank``: how much
    a wrong cell or a blank weighs, if other than the requirement says; ``blank_rule``: the id of
    the feed's rule that a blank breaks, where the source has one; ``blank_until``: what has to have
    happened before it is due. ``example`` is a good cell, needed where type and codes do not imply
    one.
    """
    checks: dict[str, Any] = {}
    if pattern is not None:
        # In polars \\d is a digit of any script; a code has those of ASCII.
        checks["str_matches"] = f"^(?:{pattern})$".replace(r"\d", "[0-9]")
    if codes is not None and extended:
        permitted = "|".join([*map(re.escape, codes.values), EXTENSION_PATTERN])
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
            "understood": understood,
            "codes_in": codes_in,
            "extended": extended,
            "year": year,
            "bit": bit,
            "exact": exact,
            "also": also or {},
            "listed": listed,
            "names_with_commas": names_with_commas,
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


EXTENSION_PATTERN = r"ext:[0-9A-Za-z._-]+"
"""A term of a sender's own, as OneRoster 1.2 permits it in most vocabularies."""

_COLUMN_TYPES: tuple[tuple[type[pl.DataType], ColumnType], ...] = (
    (pl.Date, ColumnType.DATE),
    (pl.Datetime, ColumnType.TIMESTAMP),
    (pl.Decimal, ColumnType.DECIMAL),
    (pl.Boolean, ColumnType.BOOLEAN),
    (pl.Int64, ColumnType.INTEGER),
    (pl.String, ColumnType.STRING),
)


_DEFAULT_FORMATS = {ColumnType.DATE: DATE_FORMATS, ColumnType.TIMESTAMP: TIMESTAMP_FORMATS}


def column_from_schema(name: str, declared: pa.Column, *, feed_is_foster: bool) -> Column:
    """Returns the column that a pandera schema declares under ``name``."""
    facts: Mapping[str, Any] = declared.metadata or {}
    given = declared.dtype.type  # an instance, or the class where it takes no parameters
    dtype = given() if isinstance(given, type) else given
    kind = next(kind for polars_type, kind in _COLUMN_TYPES if isinstance(dtype, polars_type))
    required = facts["requirement"] is Requirement.REQUIRED
    return Column(
        name=name,
        type=ColumnType.YEAR if facts["year"] else kind,
        dtype=dtype,
        requirement=facts["requirement"],
        length=facts["length"],
        codes=facts["codes"],
        codes_in=facts["codes_in"],
        extended=facts["extended"],
        pii=facts["pii"],
        restricted=facts["restricted"],
        foster=facts["foster"] or feed_is_foster,
        formats=facts["formats"] or _DEFAULT_FORMATS.get(kind, ()),
        understood=facts["understood"],
        true_values=ONE if facts["bit"] else YES,
        false_values=ZERO if facts["bit"] else NO,
        exact=_is_exact(facts, kind),
        also=facts["also"],
        listed=facts["listed"],
        names_with_commas=facts["names_with_commas"],
        editions=facts["editions"],
        former=facts["former"],
        blank=facts["blank"] or (Severity.ERROR if required else Severity.WARNING),
        blank_rule=facts["blank_rule"],
        blank_until=facts["blank_until"],
        example=facts["example"],
        description=declared.description or "",
        source=facts["source"],
    )


def _is_exact(facts: Mapping[str, Any], kind: ColumnType) -> tuple[str, ...]:
    """The only cells that are written as the specification has it."""
    if not facts["exact"]:
        return ()
    return ("true", "false") if kind is ColumnType.BOOLEAN else facts["codes"].values
