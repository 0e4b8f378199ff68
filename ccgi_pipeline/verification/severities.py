"""The severities of findings: a district's profile may change the one that a rule declares.

Belongs here: the severity of a finding. Does not belong here: what follows from it (gates).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import polars as pl

from ccgi_pipeline.feeds.registry import FAMILIES, RULES
from ccgi_pipeline.feeds.rules import Rule, Severity
from ccgi_pipeline.feeds.spec import SENDER
from ccgi_pipeline.profiles import Profiles

_OWN_SCHEMA = {SENDER: pl.String, "rule": pl.String, "own": pl.String}


def weigh_usually(found: pl.DataFrame) -> pl.DataFrame:
    """Returns ``found`` (``rule`` and more) with the ``severity`` that each rule declares."""
    return found.with_columns(_looked_up(found, lambda rule: str(rule.severity)).alias("severity"))


def _looked_up(found: pl.DataFrame, fact: Callable[[Rule], str | None]) -> pl.Expr:
    """Returns a fact of the rule in each row of ``found``."""
    facts = {rule: fact(RULES[rule]) for rule in found["rule"].unique()}
    return pl.col("rule").replace_strict(facts, return_dtype=pl.String)


@cache
def _strict_rules(family: str) -> Mapping[str, str]:
    """Returns the rules of a family that have another severity for a strict sender."""
    spec = FAMILIES[family]
    rules = (*spec.rules, *(rule for feed in spec.feeds for rule in feed.all_rules.values()))
    return {rule.id: str(rule.strict) for rule in rules if rule.strict is not None}


@dataclass(frozen=True)
class Severities:
    """The severities of some senders' findings, by their profiles.

    ``strict``: the senders that a profile holds to the letter, each with the family of which.
    """

    strict: frozenset[tuple[str, str]]
    own: pl.DataFrame

    @classmethod
    def of_profiles(cls, profiles: Profiles, senders: Iterable[str]) -> Severities:
        """Returns the severities that the profiles of ``senders`` set."""
        known = {sender: profiles.of(sender) for sender in senders}
        rows = [
            (sender, rule, severity)
            for sender, profile in known.items()
            for rule, severity in profile.severities.items()
        ]
        strict = frozenset(
            (sender, family)
            for sender, profile in known.items()
            for family in FAMILIES
            if profile.is_strict(family)
        )
        return cls(strict, pl.DataFrame(rows, schema=_OWN_SCHEMA, orient="row"))

    def weigh(self, found: pl.DataFrame) -> pl.DataFrame:
        """Returns ``found`` (``rule``, ``_sender`` and more) with the column ``severity``."""
        severity = _looked_up(found, lambda rule: str(rule.severity))
        for family in sorted({family for _, family in self.strict}):
            rules = _strict_rules(family)
            senders = sorted(sender for sender, strict in self.strict if strict == family)
            is_strict = pl.col(SENDER).is_in(senders) & pl.col("rule").is_in(list(rules))
            to_the_letter = pl.col("rule").replace_strict(
                rules, default=None, return_dtype=pl.String
            )
            severity = pl.when(is_strict).then(to_the_letter).otherwise(severity)
        weighed = found.with_columns(severity.alias("severity"))
        if self.own.is_empty():
            return weighed
        joined = weighed.join(self.own, on=[SENDER, "rule"], how="left", maintain_order="left")
        return joined.with_columns(pl.coalesce("own", "severity").alias("severity")).drop("own")

    def of(self, rule: Rule, sender: str) -> Severity:
        """Returns the severity of one rule for one sender."""
        found = pl.DataFrame({"rule": [rule.id], SENDER: [sender]})
        return Severity(self.weigh(found).item(0, "severity"))
