"""Gates 2 and 3: each cell by its column's rules, each line by rules across cells and files.

Belongs here: how rules are applied to one feed's lines, of all districts at once. pandera is the
judge; because a call of it costs the same for one line as for a hundred thousand, and because most
lines are good, one vectorised pass made from the same declarations first picks the lines that are
worth judging (a test holds both to the same answer). pandera's own errors carry values and never
leave this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.errors import PermanentError
from ccgi_pipeline.feeds.spec import (
    ColumnType,
    FeedSpec,
    Relation,
    Requirement,
    Rule,
    Scope,
    Severity,
)
from ccgi_pipeline.verification.parsing import typed

FILE, SENDER = "_file", "_sender"
"""Columns that say where a line comes from: the file's number in this night, the sender's code."""
ROW = "_row"

FAILURES_SCHEMA = {ROW: pl.UInt32, "rule": pl.String}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Lines of one feed, typed, with every cell left out that failed its own rule.

    ``failures`` has a row (``_row``, ``rule``) for each rule that a line breaks; ``_row`` counts
    the lines of ``lines`` from 0.
    """

    lines: pl.DataFrame
    failures: pl.DataFrame


class JudgeError(PermanentError):
    """pandera could not judge: a fault of a declaration, never of a file. Carries no values."""


def judge(
    feed: FeedSpec,
    records: pl.DataFrame,
    known: Callable[[Relation, pl.DataFrame], pl.DataFrame],
    on: date,
) -> Judgement:
    """Judges the text ``records`` of one feed as of the date ``on``.

    ``known`` gives, for a relation and the typed lines, the boolean column of that relation (a
    frame of one column, in the order of the lines).
    """
    lines, cell_failures = judge_cells(feed, records)
    lines = lines.hstack([known(relation, lines).to_series() for relation in feed.relations])
    line_failures = judge_lines(feed, lines, on)
    errors = [rule.id for rule in feed.all_rules.values() if rule.severity is Severity.ERROR]
    rejected = pl.concat([cell_failures, line_failures]).filter(pl.col("rule").is_in(errors))[ROW]
    # A line that is not loaded does not stand in the way of its own correction further down.
    repeated = _repeated_keys(feed, lines.filter(~pl.col(ROW).is_in(rejected.implode())))
    return Judgement(
        lines.drop(relation.name for relation in feed.relations),
        pl.concat([cell_failures, line_failures, repeated]),
    )


# --- gate 2: cells ----------------------------------------------------------------------------


def judge_cells(feed: FeedSpec, records: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The typed lines and the column rules that they break."""
    columns = feed.columns
    parsed = records.with_row_index(ROW).with_columns(
        typed(declared) for declared in columns.values()
    )
    unparsed = _unparsed(feed, records, parsed)
    suspects = parsed.filter(~pl.all_horizontal(cell_expectations(feed)))
    failures = pl.concat([unparsed, _pandera_failures(feed.schema, suspects, feed)])
    failures = _without_consequences(feed, failures)
    return _without_failed_cells(feed, parsed, failures), failures


def _unparsed(feed: FeedSpec, records: pl.DataFrame, parsed: pl.DataFrame) -> pl.DataFrame:
    """Cells that hold something of which the parser could make nothing."""
    failures = [pl.DataFrame(schema=FAILURES_SCHEMA)]
    for name, declared in feed.columns.items():
        if declared.type is not ColumnType.STRING:
            lost = records[name].is_not_null() & parsed[name].is_null()
            failures.append(_failures(parsed[ROW].filter(lost), feed.column_rule_id("TYPE", name)))
    return pl.concat(failures)


def _failures(rows: pl.Series, rule_id: str) -> pl.DataFrame:
    return pl.DataFrame({ROW: rows, "rule": [rule_id] * len(rows)}, schema=FAILURES_SCHEMA)


def _pandera_failures(
    schema: pa.DataFrameSchema, suspects: pl.DataFrame, feed: FeedSpec
) -> pl.DataFrame:
    """What pandera finds wrong with ``suspects``, by row and rule id; no value comes along."""
    if suspects.is_empty():
        return pl.DataFrame(schema=FAILURES_SCHEMA)
    try:
        schema.validate(suspects, lazy=True)
    except pa.errors.SchemaErrors as refused:
        cases: pl.DataFrame = refused.failure_cases.select("column", "check", "index")
    else:
        return pl.DataFrame(schema=FAILURES_SCHEMA)
    if cases["index"].null_count():
        wrong = cases.filter(pl.col("index").is_null()).select("column", "check").rows()
        msg = f"pandera could not judge {feed.name}: {wrong}"
        raise JudgeError(msg) from None
    blank = pl.concat_str(pl.lit(f"{feed.prefix}-REQ-"), "column")
    return cases.select(
        suspects[ROW].gather(cases["index"]),
        pl.when(pl.col("check") == "not_nullable").then(blank).otherwise("check").alias("rule"),
    )


def _without_consequences(feed: FeedSpec, failures: pl.DataFrame) -> pl.DataFrame:
    """One rule a cell: what is of the wrong type is neither blank nor too long nor no code."""
    order = {
        rule_id: rank
        for name in feed.columns
        for rank, rule_id in enumerate(
            feed.column_rule_id(kind, name) for kind in ("TYPE", "LEN", "CODE", "REQ")
        )
    }
    column_of = {rule.id: rule.column for rule in feed.column_rules.values()}
    return (
        failures.with_columns(
            pl.col("rule").replace_strict(column_of, return_dtype=pl.String).alias("column"),
            pl.col("rule").replace_strict(order, default=9, return_dtype=pl.Int8).alias("rank"),
        )
        .sort(ROW, "column", "rank")
        .unique([ROW, "column"], keep="first", maintain_order=True)
        .select(FAILURES_SCHEMA.keys())
    )


def _without_failed_cells(
    feed: FeedSpec, parsed: pl.DataFrame, failures: pl.DataFrame
) -> pl.DataFrame:
    """Cells that failed their own rule become null: the rules that follow shall not see them."""
    cells = []
    for rule_id in failures["rule"].unique(maintain_order=True):
        column = feed.column_rules[rule_id].column or ""
        failed = failures.filter(pl.col("rule") == rule_id)[ROW].implode()
        cells.append(pl.when(~pl.col(ROW).is_in(failed)).then(pl.col(column)).alias(column))
    for cell in cells:  # one after the other: a column may fail by several rules
        parsed = parsed.with_columns(cell)
    return parsed


# The vectorised pass: pandera's own checks, as polars expressions of the same statistics.
_EXPECTATIONS: Mapping[str, Callable[[pl.Expr, Mapping[str, Any]], pl.Expr]] = {
    "isin": lambda cell, facts: cell.is_in(facts["allowed_values"]),
    "str_matches": lambda cell, facts: cell.str.contains(str(facts["pattern"])),
    "str_length": lambda cell, facts: cell.str.len_chars() <= facts["max_value"],
    "greater_than_or_equal_to": lambda cell, facts: cell >= facts["min_value"],
}


def cell_expectations(feed: FeedSpec) -> list[pl.Expr]:
    """What pandera will ask of each cell, as expressions that are true where it will be content."""
    expectations = []
    for name, declared in feed.schema.columns.items():
        cell = pl.col(name)
        if not declared.nullable:
            expectations.append(cell.is_not_null())
        for check in declared.checks:
            expected = _EXPECTATIONS[str(check.name)](cell, check.statistics)
            expectations.append(expected.fill_null(value=True))
    return expectations


# --- gate 3: lines ----------------------------------------------------------------------------


def judge_lines(feed: FeedSpec, lines: pl.DataFrame, on: date) -> pl.DataFrame:
    """The rules across cells and files that the typed ``lines`` break."""
    rules = [rule for rule in feed.all_rules.values() if rule.passes is not None]
    if not rules:
        return pl.DataFrame(schema=FAILURES_SCHEMA)
    answers = lines.select(ROW, *(_answer(rule, on) for rule in rules))
    suspects = answers.filter(~pl.all_horizontal(rule.id for rule in rules))
    schema = pa.DataFrameSchema(
        {rule.id: pa.Column(pl.Boolean, pa.Check.eq(value=True, error=rule.id)) for rule in rules}
    )
    return _pandera_failures(schema, suspects, feed)


def _answer(rule: Rule, on: date) -> pl.Expr:
    if rule.passes is None:
        msg = f"{rule.id} is not a rule of lines"
        raise ValueError(msg)
    return rule.passes(on).fill_null(value=True).alias(rule.id)


def _repeated_keys(feed: FeedSpec, lines: pl.DataFrame) -> pl.DataFrame:
    """Lines whose key an earlier line of the same file has.

    Hashes pick the lines to compare: comparing whole keys costs three times as much.
    """
    required = [n for n in feed.keys if feed.columns[n].requirement is Requirement.REQUIRED]
    keyed = lines.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in required))
    key = pl.struct(FILE, *feed.keys)
    suspects = keyed.filter(key.hash().is_duplicated())
    repeated = suspects.filter(~key.is_first_distinct())
    return _failures(repeated[ROW], feed.repeated_key_id)


def relation_column(
    relation: Relation, lines: pl.DataFrame, targets: Iterable[pl.DataFrame]
) -> pl.DataFrame:
    """True for each of ``lines`` whose counterpart is in one of ``targets``.

    A target has the column ``target_column`` and, unless the relation spans the state, the column
    of its scope (``_sender`` or ``_file``).
    """
    scope = {Scope.DROP: [FILE], Scope.SENDER: [SENDER], Scope.STATE: []}[relation.scope]
    there = [*scope, relation.target_column]
    here = [*scope, relation.column]
    target = pl.concat([target.select(there) for target in targets]).unique()
    matched = lines.select(ROW, *here).join(
        target.with_columns(pl.lit(value=True).alias(relation.name)),
        left_on=here,
        right_on=there,
        how="left",
        maintain_order="left",
    )
    # A blank or unreadable cell has a rule of its own.
    found = matched[relation.name].fill_null(value=False) | lines[relation.column].is_null()
    if relation.known_prefix is not None:
        prefix = pl.col(relation.target_column).str.head(relation.known_prefix)
        prefixes = target.select(prefix.unique()).to_series().implode()
        known = lines[relation.column].str.head(relation.known_prefix).is_in(prefixes)
        found = found | ~known
    return pl.DataFrame({relation.name: found})
