"""Faults as real files have them, planted so that it is known which rule must find them.

Belongs here: the kinds of fault, and putting at most one of them into a line. Does not belong
here: faults of whole files, and finding them (intake and verification).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.spec import (
    DATE_FORMATS,
    Column,
    ColumnType,
    FeedSpec,
    Requirement,
    Severity,
)
from ccgi_pipeline.synthetic.chance import Integers

_SSID_COLUMNS = ("StateID", "SSID")
_CDS_COLUMNS = ("PrimaryCDSCode", "CDSCode")
_GRADE_COLUMN = "GradeLevel"
_RACE_COLUMN = "RaceCode1"
_RETIRED_RACE = "500"
"""Hispanic, when it still was a race: systems that were never updated send it."""
_MOST_CELLS_MISSING = 2


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


def plant(cells: pl.DataFrame, feed: FeedSpec, rng: np.random.Generator, share: float) -> Planted:
    """Puts one fault into each of a ``share`` (0 to 1) of the lines of ``cells`` (text)."""
    lines = cells.height
    hit = np.flatnonzero(rng.random(lines) < share)
    faults = list(_faults(feed))
    repeatable = feed.repeated_key is Severity.ERROR
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
            hit < lines - 1,  # a short last line would look like a broken transfer
            np.full(len(hit), repeatable),
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


def _flags(length: int, positions: Integers) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    flags = np.zeros(length, dtype=np.bool_)
    flags[positions] = True
    return flags


def _faults(feed: FeedSpec) -> Iterator[Fault]:
    """The faults of single cells that a file of ``feed`` can have, from its declared columns."""
    required = [c for c in feed.columns.values() if c.requirement is Requirement.REQUIRED]
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


def _filled(declared: Column) -> pl.Expr:
    return pl.col(declared.name).is_not_null()


_OTHER_FORMS = {
    ColumnType.DATE: (r"^(\d\d)/(\d\d)/(\d{4})$", "${3}-${1}-${2}"),
    ColumnType.TIMESTAMP: (r"^(\d{4})-(\d\d)-(\d\d)T(\d\d:\d\d).*$", "${2}/${3}/${1} ${4}"),
}
"""What a declared form looks like, and the form that another system would write."""
_NO_FORM = (r"^(\d+)[-/](\d+)[-/](\d+)$", "${1}${2}${3}")
"""The same where both forms of dates are taken: digits alone are neither."""
