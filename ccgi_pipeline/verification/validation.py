"""Gates 2 and 3: each cell by its column's rules, each line by rules across cells and files.

Belongs here: how rules are applied to one feed's lines, of all districts at once. pandera is the
judge; because a call of it costs the same for one line as for a hundred thousand, and because most
lines are good, one vectorised pass made from the same declarations first picks the lines that are
worth judging (a test holds both to the same answer). pandera's own errors carry values and never
leave this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.packed_frames import PackedFrame, Rows, distinct, frames_of
from ccgi_pipeline.feeds.columns import TIMESTAMP_SHAPE, ColumnType, Requirement
from ccgi_pipeline.feeds.registry import COMPARISONS
from ccgi_pipeline.feeds.repeated_rows import find_repeated_rows
from ccgi_pipeline.feeds.rules import Across, Relation, Rule, Scope
from ccgi_pipeline.feeds.spec import FILE, ROW, SENDER, FeedSpec
from ccgi_pipeline.verification.missing_records import MISSING_SCHEMA, items_of
from ccgi_pipeline.verification.typed_cells import BLANK_ITEM, typed_lines

FAILURES_SCHEMA = {ROW: pl.UInt32, "rule": pl.String, "column": pl.String}


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """Lines of one feed, typed, with every cell left out that failed its own rule.

    ``failures`` has a row (``_row``, ``rule``, ``column``) for each rule that a line breaks;
    ``_row`` counts all lines of the feed from 0.
    """

    lines: pl.DataFrame
    failures: pl.DataFrame


@dataclass(frozen=True, slots=True)
class TypedLines:
    """The typed lines of a feed, packed if they are many, and the failures of their cells.

    ``failures`` has a frame for each piece of ``lines`` (``frames_of``).
    """

    lines: Rows
    failures: Sequence[pl.DataFrame]


@dataclass(frozen=True, slots=True)
class Judgment:
    """All failures of a feed's lines, a frame for each piece of them.

    ``missing``: for those that name what is not there, which record of which feed that is
    (``MISSING_SCHEMA``).
    """

    failures: Sequence[pl.DataFrame]
    missing: pl.DataFrame


class RuleJudgmentError(PermanentError):
    """pandera could not judge: a fault of a declaration, never of a file. Carries no values."""


Related = Callable[[Relation, pl.DataFrame], pl.DataFrame]
"""For a relation and typed lines, line by line, its boolean column and, where a rule asks for it,
what is missing."""
Severe = Callable[[pl.DataFrame, pl.DataFrame], pl.Series]
"""For failures and the lines that they are of, the rows that are kept out."""
Seen = Callable[[str, tuple[str, ...], pl.DataFrame], pl.DataFrame]
"""For a feed, columns of it and typed lines of another: what their senders have of that feed."""


def validate(
    feed: FeedSpec,
    typed: TypedLines,
    related: Related,
    seen: Seen,
    severe: Severe,
    on: date,
) -> Judgment:
    """Judges the ``typed`` lines of one feed as of the date ``on``.

    Where the feed's rules need the profile, its facts stand beside the lines (``facts``).
    """
    comparisons = _Comparisons(feed, typed.lines, seen)
    failures: list[pl.DataFrame] = []
    missing: list[pl.DataFrame] = [pl.DataFrame(schema=MISSING_SCHEMA)]
    keys = _Keys(feed)
    for lines, of_cells in zip(frames_of(typed.lines), typed.failures, strict=True):
        with_relations = lines.hstack(
            [
                column
                for relation in feed.relations
                for column in related(relation, lines).get_columns()
            ]
        )
        compared = comparisons.answer(with_relations)
        found = _judge_piece(feed, with_relations, of_cells, compared, on)
        failures.append(found)
        missing.append(_missing(feed, with_relations, found))
        # A line that is not loaded does not stand in the way of its own correction further down.
        rejected = severe(found, lines)
        keys.add(_without(lines, rejected))
    repeated = keys.repeated(typed.lines)
    if not repeated.is_empty():
        failures = [
            pl.concat([found, _repeated_here(feed, repeated, found, lines[ROW])])
            for found, lines in zip(failures, frames_of(typed.lines, [ROW]), strict=True)
        ]
    return Judgment(failures, pl.concat(missing))


def _judge_piece(
    feed: FeedSpec,
    lines: pl.DataFrame,
    of_cells: pl.DataFrame,
    compared: pl.DataFrame,
    on: date,
) -> pl.DataFrame:
    """Returns the failures of a piece of the lines, but for keys that stand in another line."""
    of_lines = validate_lines(feed, lines, on)
    # A cell that its own rule refused is no blank.
    of_blanks = [rule.id for rule in feed.all_rules.values() if rule.of_blank]
    told = of_lines.filter(pl.col("rule").is_in(of_blanks))
    told = told.join(of_cells, on=[ROW, "column"], how="semi")
    return pl.concat(
        [
            of_cells,
            of_lines.join(told, on=[ROW, "rule"], how="anti"),
            _failed_comparisons(feed, compared),
        ]
    )


def places_in(lines: pl.DataFrame, rows: pl.Series) -> pl.Series:
    """Returns where ``rows`` (``_row``) stand in ``lines``, a piece of the lines of a feed."""
    return rows if rows.is_empty() else rows - lines.item(0, ROW)


def _without(lines: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    return lines if rows.is_empty() else lines.filter(~pl.col(ROW).is_in(rows.implode()))


def _missing(feed: FeedSpec, lines: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """Returns the records that lines name and that nobody has."""
    found = [pl.DataFrame(schema=MISSING_SCHEMA)]
    for rule in feed.rules:
        broken = failures.filter(pl.col("rule") == rule.id)
        if rule.missing is not None and not broken.is_empty():
            named = lines[_missing_item(rule.missing)]
            item = named.gather(places_in(lines, broken[ROW])).alias("item")
            target = pl.lit(rule.missing.target).alias("target")
            found.append(broken.select(ROW, "rule", target, item))
    return pl.concat(found)


# --- gate 2: cells ----------------------------------------------------------------------------


def validate_cells(feed: FeedSpec, records: pl.DataFrame, first: int = 0) -> ValidationResult:
    """Types the text ``records`` of a feed, and finds the column rules that they break.

    ``first``: the ``_row`` of the first of them.
    """
    parsed = typed_lines(feed, records.with_row_index(ROW, first))
    unparsed = _unparsed(feed, records, parsed)
    suspects = parsed.filter(~pl.all_horizontal(cell_expectations(feed)))
    failures = pl.concat([unparsed, _pandera_failures(feed.schema, suspects, feed)])
    failures = _without_consequences(feed, _without_gone(feed, failures, parsed))
    misspelt = _misspelt(feed, records, parsed).join(failures, on=[ROW, "column"], how="anti")
    return ValidationResult(
        _without_failed_cells(parsed, failures), pl.concat([failures, misspelt])
    )


def _unparsed(feed: FeedSpec, records: pl.DataFrame, parsed: pl.DataFrame) -> pl.DataFrame:
    """Returns the cells that are filled but could not be parsed."""
    failures = [pl.DataFrame(schema=FAILURES_SCHEMA)]
    for name, declared in feed.columns.items():
        if declared.type is not ColumnType.STRING:
            lost = records[name].is_not_null() & parsed[name].is_null()
            rule_id = feed.column_rule_id("TYPE", name)
            failures.append(_failures(parsed[ROW].filter(lost), rule_id, name))
    return pl.concat(failures)


def _misspelt(feed: FeedSpec, records: pl.DataFrame, parsed: pl.DataFrame) -> pl.DataFrame:
    """Returns the cells that could be parsed but are not written as the specification asks."""
    failures = [pl.DataFrame(schema=FAILURES_SCHEMA)]
    for name, declared in feed.columns.items():
        if declared.exact:
            boolean = declared.type is ColumnType.BOOLEAN
            as_sent = (
                ~records[name].is_in(declared.exact) if boolean else records[name] != parsed[name]
            )
            rule_id = feed.column_rule_id("FORM", name)
            rows = parsed[ROW].filter(as_sent & parsed[name].is_not_null())
            failures.append(_failures(rows, rule_id, name))
            continue
        sent = records[name]
        if declared.understood and sent.null_count() < len(sent):
            as_sent = ~sent.str.contains(TIMESTAMP_SHAPE) & parsed[name].is_not_null()
        elif declared.names_with_commas:
            as_sent = sent != parsed[name]
        elif declared.listed:
            as_sent = sent.str.contains(BLANK_ITEM)
        else:
            continue
        rule_id = feed.column_rule_id("FORM", name)
        failures.append(_failures(parsed[ROW].filter(as_sent), rule_id, name))
    return pl.concat(failures)


def _failures(rows: pl.Series, rule_id: str, column: str | None) -> pl.DataFrame:
    told = {ROW: rows, "rule": [rule_id] * len(rows), "column": [column] * len(rows)}
    return pl.DataFrame(told, schema=FAILURES_SCHEMA)


def _pandera_failures(
    schema: pa.DataFrameSchema, suspects: pl.DataFrame, feed: FeedSpec
) -> pl.DataFrame:
    """Returns what pandera finds wrong with ``suspects``, by row and rule id, without values."""
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
        raise RuleJudgmentError(msg) from None
    blank = {name: feed.blank_rule_id(name) for name in feed.columns}
    told_by_blank = pl.col("column").replace_strict(blank, default=None, return_dtype=pl.String)
    return cases.select(
        suspects[ROW].gather(cases["index"]),
        pl.when(pl.col("check") == "not_nullable")
        .then(told_by_blank)
        .otherwise("check")
        .alias("rule"),
        "column",
    )


def _without_consequences(feed: FeedSpec, failures: pl.DataFrame) -> pl.DataFrame:
    """Keeps one rule for each cell: one of the wrong type is not also called too long."""
    order = {
        feed.column_rule_id(kind, name): rank
        for name in feed.columns
        for rank, kind in enumerate(("TYPE", "LEN", "CODE"))
    }
    rank = pl.col("rule").replace_strict(order, default=9, return_dtype=pl.Int8)
    return (
        failures.sort(ROW, "column", rank)
        .unique([ROW, "column"], keep="first", maintain_order=True)
        .select(FAILURES_SCHEMA.keys())
    )


def _without_gone(feed: FeedSpec, failures: pl.DataFrame, parsed: pl.DataFrame) -> pl.DataFrame:
    """The failures without blanks of lines that say that their record is no more.

    Such a line needs its key only.
    """
    if feed.gone is None or failures.is_empty():
        return failures
    column, value = feed.gone
    gone = parsed[ROW].filter((parsed[column] == value).fill_null(value=False))
    if gone.is_empty():
        return failures
    blanks = [feed.blank_rule_id(name) for name in feed.columns if name not in feed.keys]
    excused = pl.col(ROW).is_in(gone.implode()) & pl.col("rule").is_in(blanks)
    return failures.filter(~excused)


def _without_failed_cells(parsed: pl.DataFrame, failures: pl.DataFrame) -> pl.DataFrame:
    """Makes cells null that failed their own rule, so that later rules do not see them."""
    return parsed.with_columns(
        pl.when(~pl.col(ROW).is_in(failed[ROW].implode())).then(pl.col(str(name))).alias(str(name))
        for (name,), failed in failures.group_by("column", maintain_order=True)
    )


# The vectorised pass: pandera's own checks, as polars expressions of the same statistics.
_EXPECTATIONS: Mapping[str, Callable[[pl.Expr, Mapping[str, Any]], pl.Expr]] = {
    "isin": lambda cell, facts: cell.is_in(facts["allowed_values"]),
    "str_matches": lambda cell, facts: cell.str.contains(str(facts["pattern"])),
    "str_length": lambda cell, facts: cell.str.len_chars() <= facts["max_value"],
    "greater_than_or_equal_to": lambda cell, facts: cell >= facts["min_value"],
}


def cell_expectations(feed: FeedSpec) -> list[pl.Expr]:
    """Returns what pandera will ask of each cell, as expressions that are true for good cells."""
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


def validate_lines(feed: FeedSpec, lines: pl.DataFrame, on: date) -> pl.DataFrame:
    """Returns the rules across cells and files that the typed ``lines`` break."""
    rules = [rule for rule in feed.all_rules.values() if rule.passes is not None]
    if not rules:
        return pl.DataFrame(schema=FAILURES_SCHEMA)
    answers = lines.select(ROW, *(_answer(rule, on) for rule in rules))
    suspects = answers.filter(~pl.all_horizontal(rule.id for rule in rules))
    columns = {rule.id: rule.column for rule in rules}
    found = _pandera_failures(_all_true([rule.id for rule in rules]), suspects, feed)
    return found.with_columns(
        pl.col("rule").replace_strict(columns, return_dtype=pl.String).alias("column")
    )


def _all_true(names: list[str]) -> pa.DataFrameSchema:
    """Returns a schema that demands true in each of the boolean columns."""
    return pa.DataFrameSchema(
        {name: pa.Column(pl.Boolean, pa.Check.eq(value=True, error=name)) for name in names}
    )


def _comparisons(feed: FeedSpec) -> list[tuple[str, tuple[Rule, Across]]]:
    """The comparisons on the feed's lines, each with the name of its boolean column."""
    return [(f"{number}", pair) for number, pair in enumerate(COMPARISONS[feed.name])]


class _Comparisons:
    """Compares the lines of a feed: those of a large file piece by piece, as far as possible."""

    def __init__(self, feed: FeedSpec, rows: Rows, seen: Seen) -> None:
        self._named = _comparisons(feed)
        self._seen = seen
        self._failing: dict[str, pl.Series] = {}
        if isinstance(rows, PackedFrame) and self._named:
            self._seen = _for_senders(seen, distinct(rows, [SENDER]))
            together = [pair for pair in self._named if _looks_at_others(pair[1][1])]
            for name, (_, across) in together:
                if not across.within:
                    lines = _concerned(across, rows.frames(_needed(across, rows)))
                    self._failing[name] = self._find_failing(name, across, lines)
            for within in dict.fromkeys(across.within for _, (_, across) in together):
                if within:
                    self._compare_in_parts(
                        rows, within, [pair for pair in together if pair[1][1].within == within]
                    )

    def _compare_in_parts(
        self,
        rows: PackedFrame,
        within: tuple[str, ...],
        named: Sequence[tuple[str, tuple[Rule, Across]]],
    ) -> None:
        """Compares lines that may matter to each other, as many at a time as fit into memory."""
        failing: dict[str, list[pl.Series]] = {name: [] for name, _ in named}
        parts = -(-len(rows.pieces) // _PIECES_TOGETHER)
        for part in rows.split_by([SENDER, *within], parts):
            every = pl.concat(part.frames())
            for name, (_, across) in named:
                lines = _concerned(across, [every])
                failing[name].append(self._find_failing(name, across, lines))
        self._failing |= {name: pl.concat(found) for name, found in failing.items()}

    def _find_failing(self, name: str, across: Across, lines: pl.DataFrame) -> pl.Series:
        return lines[ROW].filter(~_comparison(name, across, lines, self._seen))

    def answer(self, lines: pl.DataFrame) -> pl.DataFrame:
        """Returns ``_row`` and the boolean columns of a piece of the lines."""
        return lines.select(
            ROW,
            *(
                ~pl.col(ROW).is_in(self._failing[name].implode()).alias(name)
                if name in self._failing
                else _comparison(name, across, lines, self._seen)
                for name, (_, across) in self._named
            ),
        )


_PIECES_TOGETHER = 4
"""Pieces of a large file whose lines are compared together."""


def _looks_at_others(across: Across) -> bool:
    return across.looks_at is None or bool(across.looks_at)


def _needed(across: Across, rows: PackedFrame) -> list[str]:
    """Returns the columns that a comparison needs."""
    return [*dict.fromkeys([FILE, SENDER, ROW, *(across.looks_at or rows.columns)])]


def _concerned(across: Across, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Returns the lines that a comparison needs, in one frame."""
    concerns = pl.lit(value=True) if across.concerns is None else across.concerns
    return pl.concat(frame.filter(concerns) for frame in frames)


def _for_senders(seen: Seen, senders: pl.DataFrame) -> Seen:
    """Returns a ``seen`` of all these senders, which looks up everything once."""

    @cache
    def found(feed: str, columns: tuple[str, ...]) -> pl.DataFrame:
        return seen(feed, columns, senders)

    return lambda feed, columns, _: found(feed, columns)


def _comparison(name: str, across: Across, lines: pl.DataFrame, seen: Seen) -> pl.Series:
    others = {feed: seen(feed, columns, lines) for feed, columns in across.sees.items()}
    return across.holds(lines, others).fill_null(value=True).alias(name)


def _failed_comparisons(feed: FeedSpec, compared: pl.DataFrame) -> pl.DataFrame:
    pairs = dict(_comparisons(feed))
    if not pairs:
        return pl.DataFrame(schema=FAILURES_SCHEMA)
    suspects = compared.filter(~pl.all_horizontal([*pairs]))
    found = _pandera_failures(_all_true([*pairs]), suspects, feed)
    rules = {name: rule.id for name, (rule, _) in pairs.items()}
    columns = {name: across.column for name, (_, across) in pairs.items()}
    return found.select(
        ROW,
        pl.col("rule").replace_strict(rules, return_dtype=pl.String),
        pl.col("rule").replace_strict(columns, return_dtype=pl.String).alias("column"),
    )


def _answer(rule: Rule, on: date) -> pl.Expr:
    if rule.passes is None:
        msg = f"{rule.id} is not a rule of lines"
        raise ValueError(msg)
    return rule.passes(on).fill_null(value=True).alias(rule.id)


class _Keys:
    """Finds lines whose key an earlier line of the same file has.

    Of all lines only the hashes of their keys are kept; they pick the lines to compare.
    """

    def __init__(self, feed: FeedSpec) -> None:
        self._feed = feed
        self._hashed: list[pl.DataFrame] = []

    def add(self, lines: pl.DataFrame) -> None:
        """Adds a piece of the lines, without those that are not loaded."""
        required = [name for name in self._feed.keys if is_required(self._feed, name)]
        keyed = lines.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in required))
        hashes = self._keys(keyed).hash_rows().alias("hash")
        self._hashed.append(keyed.select(ROW, hashes))

    def repeated(self, rows: Rows) -> pl.Series:
        """Returns the ``_row`` of such lines; ``rows`` are all lines of the feed."""
        hashed = pl.concat(self._hashed)
        in_order = hashed["hash"].sort()
        several = in_order.filter(in_order == in_order.shift()).unique()
        if several.is_empty():
            return hashed[ROW].clear()
        suspects = hashed[ROW].filter(hashed["hash"].is_in(several.implode())).implode()
        lines = pl.concat(frame.filter(pl.col(ROW).is_in(suspects)) for frame in frames_of(rows))
        return lines[ROW].filter(find_repeated_rows(self._keys(lines)))

    def _keys(self, lines: pl.DataFrame) -> pl.DataFrame:
        by_keys = self._feed.unique_id is None or not lines["_by_id"].any()
        return lines.select(FILE, *(self._feed.keys if by_keys else key_of(self._feed)))


def is_required(feed: FeedSpec, name: str) -> bool:
    """Returns whether a column of the feed must be filled."""
    return feed.columns[name].requirement is Requirement.REQUIRED


def _repeated_here(
    feed: FeedSpec, repeated: pl.Series, failures: pl.DataFrame, rows: pl.Series
) -> pl.DataFrame:
    """Returns the failures of those of ``rows`` that repeat a key, unless another rule tells it."""
    here = repeated.filter(repeated.is_in(rows.implode()))
    found = _failures(here, feed.repeated_key_id, feed.keys[-1])
    if feed.repeats_told_by:
        told = failures.filter(pl.col("rule") == feed.repeats_told_by)
        found = found.join(told, on=ROW, how="anti")
    return found


def named_key(feed: FeedSpec) -> list[pl.Expr]:
    """As ``key_of``, under names that no column of a feed has."""
    return [cell.alias(f"_key{number}") for number, cell in enumerate(key_of(feed))]


def key_of(feed: FeedSpec) -> list[pl.Expr]:
    """What identifies a record: its unique ID where the sender's is permanent, else the keys.

    The profile's ``_by_id`` must stand beside the lines of a feed that has unique IDs.
    """
    if feed.unique_id is None:
        return [pl.col(name) for name in feed.keys]
    by_id = pl.col("_by_id") & pl.col(feed.unique_id).is_not_null()
    return [
        pl.when(by_id).then(feed.unique_id).alias(feed.unique_id),
        *(pl.when(~by_id).then(name).alias(name) for name in feed.keys),
    ]


def _missing_item(relation: Relation) -> str:
    return f"{relation.name}, missing"


def relation_column(
    relation: Relation, lines: pl.DataFrame, targets: Iterable[pl.DataFrame]
) -> pl.DataFrame:
    """Returns a column that is true for each of ``lines`` whose counterpart is in ``targets``.

    A target has the column ``target_column`` and, unless the relation spans the state, the column
    of its scope (``_sender`` or ``_file``).
    """
    scope = {Scope.DROP: [FILE], Scope.SENDER: [SENDER], Scope.STATE: []}[relation.scope]
    there = [*scope, relation.target_column]
    target = pl.concat([target.select(there) for target in targets]).unique()
    matched = lines.select(ROW, *scope, relation.column).join(
        target.with_columns(pl.lit(value=True).alias(relation.name)),
        left_on=[*scope, relation.column],
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


def named_records(
    relation: Relation, lines: pl.DataFrame, target: pl.DataFrame, senders: pl.Series
) -> pl.DataFrame:
    """Returns whether ``target`` has all records that a line names, and the first that it lacks.

    Null for lines of whom nothing of the target is known at all: of others than ``senders``.
    """
    if relation.target_is is not None:
        column, value = relation.target_is
        own_kind = pl.col(column).str.starts_with("ext:")  # a sender's own kind may be that kind
        target = target.filter((pl.col(column) == value) | own_kind)
    if senders.is_empty():
        nothing = {relation.name: pl.Boolean, _missing_item(relation): pl.String}
        return pl.DataFrame(schema=nothing).clear(lines.height)
    known = target.select(SENDER, item=relation.target_column).unique()
    absent = items_of(relation, lines).join(known, on=[SENDER, "item"], how="anti")
    missing = lines.select(ROW, SENDER).join(
        absent.group_by(ROW).agg(pl.col("item").first()),
        on=ROW,
        how="left",
        maintain_order="left",
    )
    can_be_said = pl.col(SENDER).is_in(senders.implode())
    return missing.select(
        pl.when(can_be_said).then(pl.col("item").is_null()).alias(relation.name),
        pl.when(can_be_said).then("item").alias(_missing_item(relation)),
    )
