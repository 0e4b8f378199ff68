"""The kinds of rules by which causes look for findings, whatever feed and column they are of.

Belongs here: one name for rules that say the same of different columns and feeds. Does not belong
here: the rules (feeds).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import polars as pl

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FEEDS, RULES
from ccgi_pipeline.feeds.rules import Hint
from ccgi_pipeline.feeds.spec import FeedSpec

BLANK, FORM, CODE, LENGTH, REPEATED = "blank", "form", "code", "length", "repeated"
SEPARATOR = "separator"
"""Of cells: a blank where a value is due; of the wrong form or type; no code of its list; too
long. Of lines: the key of an earlier line. Of a file: it is read, but separated otherwise."""

OF_CELLS = frozenset({BLANK, FORM, CODE, LENGTH, REPEATED})
"""Kinds of rules that single lines of many files break."""

OTHER_DISTRICT, EARLIER_YEAR = str(Hint.OTHER_DISTRICT), str(Hint.EARLIER_YEAR)
"""Of rules with a hint. Plain text, since polars takes a list that begins with a member of an
enumeration for one of that enumeration only."""

_OF_COLUMNS = {"REQ": BLANK, "TYPE": FORM, "FORM": FORM, "CODE": CODE, "LEN": LENGTH}


def kinds_of_rules(findings: pl.DataFrame) -> pl.Expr:
    """Returns for each of the ``findings`` the kind of its rule."""
    kinds = {rule: kind_of_rule(rule) for rule in findings["rule"].unique()}
    return pl.col("rule").replace_strict(kinds, return_dtype=pl.String)


@cache
def kind_of_rule(rule_id: str) -> str:
    """Returns the kind of a rule; one without a kind is its own kind."""
    rule = RULES.get(rule_id)
    if rule is None:
        return rule_id
    if rule.hint:
        return str(rule.hint)
    kind = rule_id
    for feed in FEEDS:
        kind = _of_headers(feed).get(rule_id, kind)
        # Only a feed whose rule this may be has its columns made.
        if rule_id.startswith(f"{feed.prefix}-"):
            kind = _of_columns(feed).get(rule_id, kind)
    return kind


def _of_headers(feed: FeedSpec) -> Mapping[str, str]:
    if feed.headers is None:
        return {}
    return {
        feed.headers.separator.id: SEPARATOR,
        feed.headers.absent.id: file_rules.COLUMN_ABSENT.id,
        feed.headers.unknown.id: file_rules.COLUMN_UNKNOWN.id,
    }


def _of_columns(feed: FeedSpec) -> Mapping[str, str]:
    kinds: dict[str, str] = {}
    for name in feed.columns:
        kinds |= {feed.column_rule_id(of, name): kind for of, kind in _OF_COLUMNS.items()}
        kinds[feed.blank_rule_id(name)] = BLANK
    kinds[feed.repeated_key_id] = REPEATED
    if feed.repeats_told_by:
        kinds[feed.repeats_told_by] = REPEATED
    return kinds
