"""Every declared rule of every feed finds what it is there to find, and nothing else does.

Belongs here: tests made from the declarations alone. One line of a good set of files is broken in
the way of one rule; that rule speaks, at that line, and no other. A new feed is tested by being
declared. The sets of one family are verified in one night, each from a sender of its own, so every
test also sees that no district answers for another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import pytest

from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, FEEDS_BY_NAME, RULES
from ccgi_pipeline.feeds.spec import Column, ColumnType, FeedSpec, Rule, Severity
from ccgi_pipeline.verification.verifying import Verification
from ccgi_pipeline_tests.files import (
    ON,
    Line,
    as_bytes,
    broken_rules,
    good_file,
    good_lines,
    good_set,
    matching,
    outcome,
    pattern_of,
    usual_name,
    verified,
    verified_together,
)

_BROKEN = -2
"""Which line is broken: neither the first (other files speak of it) nor the last."""


@dataclass(frozen=True)
class Way:
    """One way to break ``rule`` of ``feed``; ``cells`` makes the bad cells for a sender's lines."""

    feed: FeedSpec
    rule: Rule
    sender: str
    cells: Callable[[str], Line]

    def lines(self) -> list[Line]:
        lines = good_lines(self.feed, sender=self.sender)
        lines[_BROKEN] = {**lines[_BROKEN], **self.cells(self.sender)}
        return lines

    @property
    def line(self) -> int:
        """The physical line that is broken; the header is line 1."""
        return 2 + len(self.lines()) + _BROKEN

    def sent(self) -> dict[str, bytes]:
        """The broken file among the good files that could notice."""
        company = {
            usual_name(feed): good_file(feed, sender=self.sender) for feed in _company(self.feed)
        }
        return {**company, usual_name(self.feed): as_bytes(self.feed, self.lines())}


def _company(feed: FeedSpec) -> list[FeedSpec]:
    """The feeds whose lines speak of ``feed`` or are spoken of by it; required ones always."""
    family = FAMILIES[feed.family]
    targets = {relation.target for relation in feed.relations}
    if not targets <= set(FEEDS_BY_NAME):
        return list(family)
    return [
        other
        for other in family
        if other.required
        or other is feed
        or other.name in targets
        or feed.name in {relation.target for relation in other.relations}
    ]


def _unparsable(_: FeedSpec, column: Column) -> str:
    return {
        ColumnType.STRING: "?",
        ColumnType.DATE: "31/31/2010",
        ColumnType.TIMESTAMP: "yesterday",
        ColumnType.INTEGER: "seven",
        ColumnType.DECIMAL: "three",
        ColumnType.BOOLEAN: "perhaps",
    }[column.type]


def _too_long(feed: FeedSpec, column: Column) -> str:
    """A cell of one character too many whose form is right."""
    pattern = pattern_of(feed, column.name) or ".+"
    texts = (matching(pattern, 1, size) for size in range(column.length + 2))
    return next(text for text in texts if len(text) == column.length + 1)


_KINDS: Mapping[str, Callable[[FeedSpec, Column], str]] = {
    "REQ": lambda *_: "",
    "TYPE": _unparsable,
    "LEN": _too_long,
    "CODE": lambda *_: "~",
    "RETIRED": lambda _, column: column.codes.retired(ON)[0],
}
"""How a cell breaks each kind of rule that a column has of its own."""


def _broken_rules_of(feed: FeedSpec) -> list[tuple[Rule, Callable[[str], Line]]]:
    """Each rule of ``feed`` with the cells that break it, for the sender of the lines."""
    broken = [
        (rule, partial(_always, {name: break_cell(feed, column)}))
        for name, column in feed.columns.items()
        for kind, break_cell in _KINDS.items()
        if (rule := feed.column_rules.get(feed.column_rule_id(kind, name)))
    ]
    broken.append((feed.all_rules[feed.repeated_key_id], partial(_first_keys, feed)))
    broken += [(rule, partial(_counterexample, rule)) for rule in feed.rules]
    return broken


def _always(cells: Line, _: str) -> Line:
    return cells


def _first_keys(feed: FeedSpec, sender: str) -> Line:
    first = good_lines(feed, 1, sender)[0]
    return {name: first[name] for name in feed.keys}


def _counterexample(rule: Rule, sender: str) -> Line:
    cells = rule.counterexample or {}
    return {name: cell.format(sender=sender) for name, cell in cells.items()}


_WAYS = [
    Way(feed, rule, f"33{number:05d}", cells)
    for number, (feed, rule, cells) in enumerate(
        (feed, rule, cells) for feed in FEEDS for rule, cells in _broken_rules_of(feed)
    )
]


@cache
def _night(family: str) -> Verification:
    """All broken sets of ``family``, verified together."""
    ways = (way for way in _WAYS if way.feed.family == family)
    return verified_together({way.sender: way.sent() for way in ways}, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_good_set_of_files_breaks_no_rule(family: str):
    verification = verified(good_set(family), family)
    assert broken_rules(verification) == []
    assert set(verification.files["verdict"]) == {"accepted"}
    assert verification.files["rejected"].sum() == 0
    assert verification.files["complete"].all()


@pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.rule.id)
def test_a_broken_line_is_found_by_its_rule_at_its_place_and_by_no_other(way: Way):
    night = _night(way.feed.family)
    weighty = [
        place
        for place in broken_rules(night, way.sender)
        if RULES[place[1]].severity is not Severity.INFO or place[1] == way.rule.id
    ]
    assert weighty == [(usual_name(way.feed), way.rule.id, way.line, way.rule.column)]


@pytest.mark.parametrize("way", _WAYS, ids=lambda way: way.rule.id)
def test_an_error_keeps_its_line_out_and_a_warning_does_not(way: Way):
    file = outcome(_night(way.feed.family), usual_name(way.feed), way.sender)
    assert file["rejected"] == (way.rule.severity is Severity.ERROR)
    assert file["accepted"] + file["rejected"] == file["lines"] == len(way.lines())


def test_every_declared_rule_of_a_feed_has_a_way_to_break_it():
    declared = [rule_id for feed in FEEDS for rule_id in feed.all_rules]
    assert sorted(way.rule.id for way in _WAYS) == sorted(declared)


def test_no_two_rules_share_an_id():
    declared = [rule_id for feed in FEEDS for rule_id in feed.all_rules]
    assert len(declared) == len(set(declared))
