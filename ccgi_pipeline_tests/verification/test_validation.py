"""The judge: the quick pass and pandera give one answer, cell by cell and line by line.

Belongs here: judging one feed's lines. Which rule finds which fault is tested with the feeds.
"""

from __future__ import annotations

import random
import re

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.feeds.columns import Column, Requirement
from ccgi_pipeline.feeds.platform import GOALS
from ccgi_pipeline.feeds.registry import FEEDS, RULES
from ccgi_pipeline.feeds.rules import Relation, Scope, Severity
from ccgi_pipeline.feeds.spec import FILE, ROW, SENDER, FeedSpec
from ccgi_pipeline.feeds.transcript import COURSE_CATALOG, COURSE_GRADE, STUDENT
from ccgi_pipeline.verification.typed_cells import typed_lines
from ccgi_pipeline.verification.validation import (
    TypedLines,
    cell_expectations,
    relation_column,
    validate,
    validate_cells,
)
from ccgi_pipeline_tests.files import DISTRICT, ON, Line, good_lines, pattern_of, school_of
from ccgi_pipeline_tests.intake.changes import PROFILE

_ODD_CELLS: list[str | None] = [
    None, "?", "~", "-1", "-0.0001", "1e5", "00", "02/30/2024", "2024-02-30", "12/31/9999",
    "9999-12-31T23:59:59Z", "99999999999999999999", "1234567890", "\u0661\u0662", "\u0661" * 10,
    "0.99999", "y", "TRUE", "É", "\u200b", "a\u0301", "a@b", "x" * 300, "x" * 5000, "=1+1",
]  # fmt: skip
"""Cells that one type or another stumbles over."""


def _records(lines: list[dict[str, str | None]], feed: FeedSpec) -> pl.DataFrame:
    """Text lines as the reader and verification hand them on."""
    cells = pl.DataFrame(lines, schema=dict.fromkeys(feed.columns, pl.String))
    return cells.select(
        pl.lit(0, dtype=pl.UInt32).alias(FILE),
        pl.lit(DISTRICT).alias(SENDER),
        pl.int_range(2, pl.len() + 2, dtype=pl.UInt32).alias("_line"),
        pl.lit(1, dtype=pl.UInt32).alias("_span"),
        pl.all(),
    )


def _damaged(feed: FeedSpec, seed: int, count: int = 25) -> pl.DataFrame:
    """Good lines in which about every fifth cell is an odd one or a code of another column."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    codes = [
        code for column in feed.columns.values() if column.codes for code in column.codes.values
    ]
    odd = [*_ODD_CELLS, *codes]
    return _records(
        [
            {
                name: chance.choice(odd) if chance.random() < 0.2 else cell
                for name, cell in line.items()
            }
            for line in (good_lines(feed) * count)[:count]
        ],
        feed,
    )


def _typed(feed: FeedSpec, records: pl.DataFrame) -> pl.DataFrame:
    return typed_lines(feed, records.with_row_index(ROW))


def _pandera_on_all_lines(feed: FeedSpec, lines: pl.DataFrame) -> set[tuple[int, str, str]]:
    """Row, column and kind of everything that pandera finds wrong with typed ``lines``."""
    try:
        feed.schema.validate(lines, lazy=True)
    except pa.errors.SchemaErrors as refused:
        cases = refused.failure_cases.select("index", "column", "check").rows()
    else:
        return set()
    return {
        (row, column, "REQ" if check == "not_nullable" else _kind(feed, column, check))
        for row, column, check in cases
    }


def _kind(feed: FeedSpec, column: str, rule_id: str) -> str:
    return rule_id.removeprefix(f"{feed.prefix}-").removesuffix(f"-{column}")


def _of_spelling(feed: FeedSpec) -> pl.Expr:
    """Whether a failure is of a cell that was understood: pandera is given what it stands for."""
    return pl.col("rule").is_in([feed.column_rule_id("FORM", name) for name in feed.columns])


_WEIGHT = ("TYPE", "LEN", "CODE", "REQ")
"""Of several rules that one cell breaks the first is told."""


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
@settings(PROFILE, max_examples=2)
@given(seed=st.integers(0, 2**32))
def test_the_quick_pass_finds_what_pandera_finds_on_all_lines(feed: FeedSpec, seed: int):
    records = _damaged(feed, seed)
    lines = _typed(feed, records)
    found = _pandera_on_all_lines(feed, lines)
    found |= {
        (row, name, "TYPE")
        for name in feed.columns
        for row in lines[ROW].filter(records[name].is_not_null() & lines[name].is_null())
    }
    one_a_cell: dict[tuple[int, str], str] = {}
    for row, column, kind in sorted(found, key=lambda case: _WEIGHT.index(case[2])):
        one_a_cell.setdefault((row, column), kind)
    failures = validate_cells(feed, records).failures.filter(~_of_spelling(feed))
    judged = {
        (row, column): "REQ" if rule == feed.blank_rule_id(column) else _kind(feed, column, rule)
        for row, rule, column in failures.rows()
    }
    assert judged == one_a_cell
    assert failures.height == len(judged)


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
@settings(PROFILE, max_examples=2)
@given(seed=st.integers(0, 2**32))
def test_the_quick_pass_suspects_a_line_if_and_only_if_pandera_refuses_it(
    feed: FeedSpec, seed: int
):
    lines = _typed(feed, _damaged(feed, seed))
    suspects = lines.filter(~pl.all_horizontal(cell_expectations(feed)))
    assert set(suspects[ROW]) == {row for row, *_ in _pandera_on_all_lines(feed, lines)}


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_cell_that_failed_is_left_out_and_every_other_one_is_kept(feed: FeedSpec):
    records = _damaged(feed, seed=7)
    judged = validate_cells(feed, records)
    refused = judged.failures.filter(~_of_spelling(feed))
    failed = {(row, column) for row, _, column in refused.rows()}
    expected = _typed(feed, records)
    for name in feed.columns:
        kept = [None if (r, name) in failed else v for r, v in enumerate(expected[name])]
        assert judged.lines[name].to_list() == kept


def test_no_cell_is_both_understood_and_refused():
    for feed in FEEDS:
        failures = validate_cells(feed, _damaged(feed, seed=11)).failures
        assert failures.select(ROW, "column").is_unique().all()


def test_pandera_lets_every_value_of_a_lazy_frame_pass_and_so_is_never_given_one():
    bad = _records([{**good_lines(STUDENT)[0], "StateID": "12"}], STUDENT)
    STUDENT.schema.validate(_typed(STUDENT, bad).lazy(), lazy=True).collect()
    failures = validate_cells(STUDENT, bad).failures
    assert failures["rule"].to_list() == ["TR-STU-TYPE-StateID"]


# --- lines ----------------------------------------------------------------------------------------


def _everything_known(relation: Relation, lines: pl.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({relation.name: [True] * lines.height})


def _nothing_seen(*_: object) -> pl.DataFrame:
    pytest.fail("these feeds are compared with no other")


def _as_usual(failures: pl.DataFrame, _: pl.DataFrame) -> pl.Series:
    """The rows that errors keep out where no district's profile says otherwise."""
    errors = [rule.id for rule in RULES.values() if rule.severity is Severity.ERROR]
    return failures.filter(pl.col("rule").is_in(errors))[ROW]


def _judged(feed: FeedSpec, records: pl.DataFrame) -> list[tuple[int, str]]:
    cells = validate_cells(feed, records)
    typed = TypedLines(cells.lines, [cells.failures])
    judged = validate(feed, typed, _everything_known, _nothing_seen, _as_usual, ON)
    return pl.concat(judged.failures).select(ROW, "rule").rows()


def _found(feed: FeedSpec, lines: list[Line]) -> list[tuple[int, str]]:
    return _judged(feed, _records(lines, feed))


_ZEROS = {"Arabic": "\u0660", "full width": "\uff10", "bold": "\U0001d7ce", "Devanagari": "\u0966"}


def _in_other_digits(cell: str, zero: str) -> str:
    return cell.translate({ord(digit): chr(ord(zero) + int(digit)) for digit in "0123456789"})


@pytest.mark.parametrize("zero", _ZEROS.values(), ids=_ZEROS)
@pytest.mark.parametrize(
    ("feed", "column"),
    [
        (COURSE_GRADE, "SchoolYear"),
        (COURSE_GRADE, "StateID"),
        (STUDENT, "StateID"),
        (STUDENT, "PrimaryCDSCode"),
        (GOALS, "SSID"),
        (COURSE_CATALOG, "CDSCode"),
    ],
    ids=lambda given: given if isinstance(given, str) else given.name,
)
def test_digits_of_other_scripts_are_no_digits_of_a_code(feed: FeedSpec, column: str, zero: str):
    line = good_lines(feed)[0]
    records = _records([{**line, column: _in_other_digits(line[column], zero)}], feed)
    failures = validate_cells(feed, records).failures
    assert failures["rule"].to_list() == [feed.column_rule_id("TYPE", column)]


@pytest.mark.parametrize("zero", _ZEROS.values(), ids=_ZEROS)
def test_a_school_year_in_other_digits_does_not_stop_the_night(zero: str):
    line = good_lines(COURSE_GRADE)[0]
    found = _found(COURSE_GRADE, [{**line, "SchoolYear": _in_other_digits("2023-24", zero)}])
    assert {rule for _, rule in found} <= {"TR-CRS-TYPE-SchoolYear", "TR-CRS-YEAR"}


@pytest.mark.parametrize(
    ("year", "found"),
    [
        ("1999-00", []),
        ("2026-27", []),
        ("2027-28", ["TR-CRS-YEAR"]),
        ("2026-26", ["TR-CRS-YEAR"]),
        ("2099-00", ["TR-CRS-YEAR"]),
    ],
)
def test_a_school_year_is_two_years_that_follow_and_have_begun(year: str, found: list[str]):
    line = {**good_lines(COURSE_GRADE)[0], "SchoolYear": year}
    assert [rule for _, rule in _found(COURSE_GRADE, [line])] == found


def _columns_with_a_pattern() -> list[tuple[FeedSpec, Column]]:
    return [
        (feed, column)
        for feed in FEEDS
        for name, column in feed.columns.items()
        if pattern_of(feed, name) is not None
    ]


@pytest.mark.parametrize(
    ("feed", "column"),
    _columns_with_a_pattern(),
    ids=[f"{feed.name}.{column.name}" for feed, column in _columns_with_a_pattern()],
)
@pytest.mark.parametrize("added", ["{}?x y", "?x y{}"], ids=["behind", "in front"])
def test_a_pattern_holds_for_the_whole_cell(feed: FeedSpec, column: Column, added: str):
    good = good_lines(feed)[0]
    assert re.fullmatch(pattern_of(feed, column.name) or "", good[column.name])
    line = {**good, column.name: added.format(good[column.name])}
    failures = validate_cells(feed, _records([line], feed)).failures
    kind = "TYPE" if column.codes is None else "CODE"
    assert feed.column_rule_id(kind, column.name) in failures["rule"].to_list()


def test_a_line_without_its_key_repeats_no_other():
    required = [n for n in STUDENT.keys if STUDENT.columns[n].requirement is Requirement.REQUIRED]
    lines = [{**line, **dict.fromkeys(required)} for line in good_lines(STUDENT, 2)]
    assert STUDENT.repeated_key_id not in [rule for _, rule in _found(STUDENT, lines)]


def test_the_same_key_in_two_files_is_not_repeated():
    records = _records(good_lines(STUDENT, 1) * 2, STUDENT)
    apart = records.with_columns(pl.int_range(2, dtype=pl.UInt32).alias(FILE))
    assert validate_cells(STUDENT, records).failures.is_empty()
    assert _judged(STUDENT, records) == [(1, "TR-STU-UNIQUE")]
    assert _judged(STUDENT, apart) == []


# --- relations ------------------------------------------------------------------------------------


def _lines_of(*cells: tuple[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [(row, row % 2, sender, cell) for row, (sender, cell) in enumerate(cells)],
        schema={ROW: pl.UInt32, FILE: pl.UInt32, SENDER: pl.String, "here": pl.String},
        orient="row",
    )


def _relation(scope: Scope, known_prefix: int | None = None) -> Relation:
    return Relation(
        name="found",
        target="x",
        column="here",
        target_column="there",
        scope=scope,
        known_prefix=known_prefix,
    )


def _target(*cells: tuple[int, str, str]) -> pl.DataFrame:
    schema = {FILE: pl.UInt32, SENDER: pl.String, "there": pl.String}
    return pl.DataFrame(cells, schema=schema, orient="row")


@pytest.mark.parametrize(
    ("scope", "expected"),
    [(Scope.STATE, [True, True]), (Scope.SENDER, [True, False]), (Scope.DROP, [True, False])],
)
def test_a_counterpart_counts_within_the_scope_of_the_relation(scope: Scope, expected: list[bool]):
    lines = _lines_of(("a", "1"), ("b", "1"))
    found = relation_column(_relation(scope), lines, [_target((0, "a", "1"))])
    assert found["found"].to_list() == expected


def test_a_counterpart_may_be_in_any_of_the_targets_and_counts_once():
    lines = _lines_of(("a", "1"), ("a", "2"), ("a", "3"))
    targets = [_target((0, "a", "1"), (0, "a", "1")), _target((0, "a", "2"), (1, "a", "1"))]
    found = relation_column(_relation(Scope.SENDER), lines, targets)
    assert found["found"].to_list() == [True, True, False]


def test_what_the_target_does_not_know_at_all_is_not_held_against_a_line():
    known, unknown = school_of(DISTRICT), school_of("0110017")
    lines = _lines_of(("a", known), ("a", f"{DISTRICT}9999999"), ("a", unknown))
    target = [_target((0, "cde", known))]
    found = relation_column(_relation(Scope.STATE, 7), lines, target)
    assert found["found"].to_list() == [True, False, True]


@pytest.mark.parametrize("prefix", [None, 7])
def test_a_blank_cell_has_no_counterpart_to_lack(prefix: int | None):
    lines = _lines_of(("a", None), ("a", "33671739999999"))
    found = relation_column(_relation(Scope.STATE, prefix), lines, [_target((0, "a", "33671731"))])
    assert found["found"].fill_null(value=True).to_list() == [True, False]
