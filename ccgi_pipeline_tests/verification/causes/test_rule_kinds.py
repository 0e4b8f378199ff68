"""Tests that a rule's kind is found without a look at all feeds."""

from __future__ import annotations

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FEEDS, RULES
from ccgi_pipeline.verification.causes.rule_kinds import kind_of_rule

_OF_COLUMNS = {"REQ": "blank", "TYPE": "form", "FORM": "form", "CODE": "code", "LEN": "length"}


def _kinds() -> dict[str, str]:
    """The kinds of all rules, found by a look at every column of every feed."""
    kinds: dict[str, str] = {}
    for feed in FEEDS:
        for name in feed.columns:
            kinds |= {feed.column_rule_id(of, name): kind for of, kind in _OF_COLUMNS.items()}
            kinds[feed.blank_rule_id(name)] = "blank"
        kinds[feed.repeated_key_id] = "repeated"
        if feed.repeats_told_by:
            kinds[feed.repeats_told_by] = "repeated"
        if feed.headers:
            kinds[feed.headers.separator.id] = "separator"
            kinds[feed.headers.absent.id] = file_rules.COLUMN_ABSENT.id
            kinds[feed.headers.unknown.id] = file_rules.COLUMN_UNKNOWN.id
    return kinds | {rule.id: str(rule.hint) for rule in RULES.values() if rule.hint}


def test_each_rule_has_the_kind_that_a_look_at_all_feeds_finds() -> None:
    kinds = _kinds()
    assert {rule: kind_of_rule(rule) for rule in RULES} == {r: kinds.get(r, r) for r in RULES}


def test_a_rule_that_is_no_more_is_its_own_kind() -> None:
    assert kind_of_rule("FF-ENR-REQ-Former") == "FF-ENR-REQ-Former"
