"""The kinds of rules by which causes look for findings, whatever feed and column they are of.

Belongs here: one name for rules that say the same of different columns and feeds. Does not belong
here: the rules (feeds).
"""

from __future__ import annotations

from collections.abc import Mapping

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.registry import FEEDS, RULES
from ccgi_pipeline.feeds.rules import Hint

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


def _kinds() -> dict[str, str]:
    kinds: dict[str, str] = {}
    for feed in FEEDS:
        for name in feed.columns:
            kinds |= {feed.column_rule_id(of, name): kind for of, kind in _OF_COLUMNS.items()}
            kinds[feed.blank_rule_id(name)] = BLANK
        kinds[feed.repeated_key_id] = REPEATED
        if feed.repeats_told_by:
            kinds[feed.repeats_told_by] = REPEATED
        if feed.headers:
            kinds[feed.headers.separator.id] = SEPARATOR
            kinds[feed.headers.absent.id] = file_rules.COLUMN_ABSENT.id
            kinds[feed.headers.unknown.id] = file_rules.COLUMN_UNKNOWN.id
    kinds |= {rule.id: str(rule.hint) for rule in RULES.values() if rule.hint}
    return {rule: kind for rule, kind in kinds.items() if rule in RULES}


KIND_OF_RULE: Mapping[str, str] = _kinds()
"""The kind of each rule that has one; any other rule is its own kind."""
