"""Plants faults as real files have them, and records which rule must find each.

Belongs here: the kinds of fault, and putting at most one of them into a line. Does not belong
here: faults of whole files, and finding them (intake and verification).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import file_rules, oneroster
from ccgi_pipeline.feeds.columns import DATE_FORMATS, Column, ColumnType, Requirement
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic.random_draws import Integers

_SSID_COLUMNS = ("StateID", "SSID")
_CDS_COLUMNS = ("PrimaryCDSCode", "CDSCode")
_GRADE_COLUMN = "GradeLevel"
_RACE_COLUMN = "RaceCode1"
_RETIRED_RACE = "500"
"""Hispanic, when it still was a race: systems that were never updated send it."""
_MOST_CELLS_MISSING = 2

_REFERRED_TO = (oneroster.USERS,)
"""Feeds whose lines others refer to: a line without its id would make the others wrong too."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault in one cell: where it can happen, and what the cell is like then."""

    rule_id: str
    column: str
    possible: pl.Expr
    broken: pl.Expr
    weight: float = 1.0


@dataclass(frozen=True)
class Planted:
    """Lines with faults in them.

    ``cells`` (text) may have more rows than there were, for repeated lines. ``rows`` (row of
    ``cells``) and ``rule_ids`` say what was planted where; of the rows ``short``, the last
    ``missing`` cells are to be left out when they are written.
    """

    cells: pl.DataFrame
    rows: Integers
    rule_ids: list[str]
    short: Integers
    missing: Integers


def plant(
    cells: pl.DataFrame, feed: FeedSpec, rng: np.random.Generator, share: float, mark: str = ""
) -> Planted:
    """Puts one fault into each of a ``share`` (0 to 1) of the lines of ``cells`` (text).

    ``mark`` makes ids of missing records differ from all others.
    """
    lines = cells.height
    hit = np.flatnonzero(rng.random(lines) < share)
    faults = list(_faults(feed, mark))
    repeatable = cells.select(_repeatable(feed)).to_series().to_numpy()
    rule_ids = np.array(
        [
            *(fault.rule_id for fault in faults),
            file_rules.FIELDS.id,
            feed.repeats_told_by or feed.repeated_key_id,
        ]
    )
    short_kind, repeated_kind = len(faults), len(faults) + 1
    possible = np.column_stack(
        [
            cells.select(
                fault.possible.fill_null(value=False).alias(str(n))
                for n, fault in enumerate(faults)
            ).to_numpy()[hit],
            # A short last line would look like a broken transfer.
            (hit < lines - 1) & (feed not in _REFERRED_TO),
            repeatable[hit],
        ]
    )
    weights = np.array([*(fault.weight for fault in faults), 1.0, 1.0])
    draw = rng.random(possible.shape) ** (1 / weights)
    kind = np.where(possible, draw, -1.0).argmax(axis=1)
    for n, fault in enumerate(faults):
        chosen = pl.Series(_flags(lines, hit[kind == n]))
        if chosen.any():
            broken = pl.when(chosen).then(fault.broken).otherwise(pl.col(fault.column))
            cells = cells.with_columns(broken.alias(fault.column))
    repeated = _flags(lines, hit[kind == repeated_kind]).astype(np.int64)
    row = np.arange(lines) + np.cumsum(repeated) - repeated
    short = hit[kind == short_kind]
    return Planted(
        cells=cells[np.repeat(np.arange(lines), 1 + repeated)] if repeated.any() else cells,
        rows=row[hit] + (kind == repeated_kind),
        rule_ids=rule_ids[kind].tolist(),
        short=row[short],
        missing=rng.integers(1, _MOST_CELLS_MISSING + 1, len(short)),
    )


def _repeatable(feed: FeedSpec) -> pl.Expr:
    """Whether a line can come twice, and no rule but that about keys fires."""
    all_or_none = pl.repeat(feed.repeated_key is Severity.ERROR, pl.len(), dtype=pl.Boolean)
    return _REPEATABLE.get(feed.name, all_or_none)


def _flags(length: int, positions: Integers) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    flags = np.zeros(length, dtype=np.bool_)
    flags[positions] = True
    return flags


def _faults(feed: FeedSpec, mark: str) -> Iterator[Fault]:
    """The faults of single cells that a file of ``feed`` can have, from its declared columns."""
    required = [
        c
        for c in feed.columns.values()
        if c.requirement is Requirement.REQUIRED
        and not (feed in _REFERRED_TO and c.name in feed.keys)
    ]
    for declared in required:
        rule_id = feed.blank_rule_id(declared.name)
        blank = pl.lit(None, dtype=pl.String)
        yield Fault(rule_id, declared.name, _filled(declared), blank, 1 / len(required))
    for declared in feed.columns.values():
        cell = pl.col(declared.name)
        wrong_form = feed.column_rule_id("TYPE", declared.name)
        no_code = feed.column_rule_id("CODE", declared.name)
        if declared.name in _SSID_COLUMNS:
            yield Fault(wrong_form, declared.name, _filled(declared), cell.str.head(9))
        elif declared.name in _CDS_COLUMNS:
            yield Fault(wrong_form, declared.name, cell.str.starts_with("0"), cell.str.tail(13))
        elif declared.name == _GRADE_COLUMN:
            yield Fault(no_code, declared.name, cell.str.starts_with("0"), cell.str.tail(1))
        elif declared.name == _RACE_COLUMN:
            yield Fault(no_code, declared.name, _filled(declared), pl.lit(_RETIRED_RACE))
        elif declared.type in _OTHER_FORMS and declared.requirement is Requirement.REQUIRED:
            known = declared.formats == DATE_FORMATS
            pattern, form = _NO_FORM if known else _OTHER_FORMS[declared.type]
            yield Fault(
                wrong_form, declared.name, _filled(declared), cell.str.replace(pattern, form)
            )
    if feed.name in _OWN_FAULTS:
        yield from _OWN_FAULTS[feed.name](mark)


def _filled(declared: Column) -> pl.Expr:
    return pl.col(declared.name).is_not_null()


_OTHER_FORMS = {
    ColumnType.DATE: (r"^(\d\d)/(\d\d)/(\d{4})$", "${3}-${1}-${2}"),
    ColumnType.TIMESTAMP: (r"^(\d{4})-(\d\d)-(\d\d)T(\d\d:\d\d).*$", "${2}/${3}/${1} ${4}"),
}
"""A declared date form, and the form that another system would write."""
_NO_FORM = (r"^(\d+)[-/](\d+)[-/](\d+)$", "${1}${2}${3}")
"""The same where both forms of dates are taken: digits alone are neither."""


# --- OneRoster --------------------------------------------------------------------------------

_STUDENT = "student"
_AMERICAN = (r"^(\d{4})-(\d\d)-(\d\d)$", "${2}/${3}/${1}")
"""A declared date, and how spreadsheets write it."""
_LONG_AGO = "2001-09-04"


def _instead(rule_id: str, said: str, wrong: str) -> Fault:
    """Another word than the one that was ``said``."""
    column = rule_id.rsplit("-", 1)[1]
    return Fault(rule_id, column, pl.col(column) == said, pl.lit(wrong))


def _to_nowhere(rule_id: str, mark: str) -> Fault:
    """A reference to a missing record; different each time, because each id is reported once."""
    column = rule_id.rsplit("-", 1)[1]
    nowhere = pl.concat_str(pl.lit("nowhere-"), "sourcedId", pl.lit(mark))
    return Fault(rule_id, column, pl.col(column).is_not_null(), nowhere)


def _status(prefix: str) -> Iterator[Fault]:
    """A status in a file that is none of changes, and none in one that is."""
    status, blank = pl.col("status"), pl.lit(None, dtype=pl.String)
    yield Fault(f"{prefix}-BULK-status", "status", status.is_null(), pl.lit("active"))
    yield Fault(f"{prefix}-DELTA-status", "status", status.is_not_null(), blank)


def _faults_of_users(mark: str) -> Iterator[Fault]:
    grades, password = pl.col("grades"), pl.lit("changeme", dtype=pl.String)
    # Version 1.2, which has no role here, leaves the codes of grades to the sender.
    listed = pl.col("role").is_not_null()
    short = grades.str.starts_with("0") & listed
    yield _instead("OR-USR-CODE-role", _STUDENT, "pupil")
    yield _instead("OR-USR-FORM-enabledUser", "true", "TRUE")
    yield _instead("OR-USR-TYPE-enabledUser", "true", "enabled")
    yield Fault("OR-USR-CODE-grades", "grades", grades.is_not_null() & listed, pl.lit("Freshman"))
    yield Fault("OR-USR-FORM-grades", "grades", short, grades.str.tail(1))
    yield Fault("OR-USR-PASSWORD", "password", pl.col("password").is_null(), password)
    yield _to_nowhere("OR-USR-REF-orgSourcedIds", mark)
    yield _to_nowhere("OR-USR-REF-agentSourcedIds", mark)
    yield from _status("OR-USR")


def _faults_of_enrollments(mark: str) -> Iterator[Fault]:
    begin, dated = pl.col("beginDate"), pl.col("beginDate").is_not_null()
    yield _instead("OR-ENR-CODE-role", _STUDENT, "aide")
    yield _instead("OR-ENR-FORM-primary", "true", "TRUE")
    yield Fault("OR-ENR-PRIMARY-ROLE", "primary", pl.col("role") == _STUDENT, pl.lit("true"))
    yield Fault("OR-ENR-TYPE-beginDate", "beginDate", dated, begin.str.replace(*_AMERICAN))
    yield Fault("OR-ENR-TERM", "beginDate", dated, pl.lit(_LONG_AGO))
    yield _to_nowhere("OR-ENR-REF-classSourcedId", mark)
    yield _to_nowhere("OR-ENR-REF-schoolSourcedId", mark)
    yield _to_nowhere("OR-ENR-REF-userSourcedId", mark)
    yield from _status("OR-ENR")


_OWN_FAULTS: Mapping[str, Callable[[str], Iterator[Fault]]] = {
    oneroster.USERS.name: _faults_of_users,
    oneroster.ENROLLMENTS.name: _faults_of_enrollments,
}
"""By feed, the faults that do not follow from its declared columns."""
_REPEATABLE: Mapping[str, pl.Expr] = {
    oneroster.ENROLLMENTS.name: pl.col("role").eq_missing(_STUDENT),
}
"""By feed, which lines can come twice, if not all: two primary teachers are another fault."""
