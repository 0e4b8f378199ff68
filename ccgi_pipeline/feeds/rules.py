"""The vocabulary of rules: what a line, a file or a header must meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

import polars as pl


class Severity(StrEnum):
    """What a broken rule does: only an error keeps the record out."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Hint(StrEnum):
    """What has probably happened to a file of which nearly every line breaks a rule."""

    OTHER_DISTRICT = "other_district"
    EARLIER_YEAR = "earlier_year"


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """A comparison that becomes a boolean column of the lines of the feed ``lines_of``.

    ``sees`` names the feeds to compare with, and the columns of them that are needed: what the
    sender sends of them now, or sent before if it sends none. ``holds`` is given the lines and
    those frames (each with ``_sender`` and the profile's facts) and answers for each line; null
    where nothing can be said. A finding points at ``column``. ``looks_at``: the columns that it
    needs of all lines of a file at once, besides ``_file``, ``_sender`` and ``_row``; if nothing is
    said, all of them. Empty if it judges each line by itself, so that the lines of a large file
    need not lie in memory together. ``within``: the columns in which lines must agree to matter to
    each other, besides ``_sender``; a large file is compared in parts then. ``concerns``: only
    lines for which this is true can fail, or make others fail.
    """

    lines_of: str
    column: str
    holds: Callable[[pl.DataFrame, Mapping[str, pl.DataFrame]], pl.Series]
    sees: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    looks_at: tuple[str, ...] | None = None
    within: tuple[str, ...] = ()
    concerns: pl.Expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing a file must meet.

    ``passes`` makes, for the date of judgement, a boolean polars expression over the feed's typed
    columns, its relations' columns and the profile's facts; null counts as passed, since a missing
    or unreadable cell has a rule of its own. ``across`` are the lines on which the rule is judged
    by looking at other lines too; they may be another feed's, where what is missing in this file
    shows. ``step``: the name of a step that looks at all accepted lines of the feed and tells each
    fault once, with a count (verification has the table of them). Rules of single columns and of
    bytes need none of these: the pandera schema or the reader judges them. ``strict``: how much it
    weighs to a district that is held to the specification's letter, if other than ``severity``.
    ``reason``: why it weighs what it does, where the source does not say how much it weighs.
    ``missing``: the relation whose missing counterpart breaks the rule; it is reported once, with a
    count of the lines that depend on it. ``of_blank``: the rule is about a blank, and a cell that
    its own rule refused is none. ``hint``: what has probably happened where nearly every line of a
    file breaks it. ``counterexample`` are cells that break the rule when they are put into a good
    line; the tests use it.
    """

    id: str
    severity: Severity
    text: str
    fix: str
    source: str
    column: str | None = None
    passes: Callable[[date], pl.Expr] | None = None
    across: tuple[Across, ...] = ()
    step: str | None = None
    strict: Severity | None = None
    reason: str = ""
    missing: Relation | None = None
    of_blank: bool = False
    hint: Hint | None = None
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
