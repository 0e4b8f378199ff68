"""How much a broken rule weighs, and to whom: a district's profile may say otherwise than the rule.

Belongs here: the severity of a finding. Does not belong here: what follows from it (gates).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ccgi_pipeline.feeds.registry import RULES
from ccgi_pipeline.feeds.rules import Rule, Severity
from ccgi_pipeline.feeds.spec import SENDER
from ccgi_pipeline.profiles import Profiles

_USUAL = {rule.id: str(rule.severity) for rule in RULES.values()}
_STRICT = {rule.id: str(rule.strict or rule.severity) for rule in RULES.values()}
_OWN_SCHEMA = {SENDER: pl.String, "rule": pl.String, "own": pl.String}


def usual() -> pl.Expr:
    """The severity that the column ``rule`` has by its declaration."""
    return pl.col("rule").replace_strict(_USUAL, return_dtype=pl.String).alias("severity")


@dataclass(frozen=True)
class Severities:
    """The severities of some senders' findings, by their profiles."""

    strict: frozenset[str]
    own: pl.DataFrame

    @classmethod
    def of_profiles(cls, profiles: Profiles, senders: Iterable[str]) -> Severities:
        """As the profiles of ``senders`` have them."""
        known = {sender: profiles.of(sender) for sender in senders}
        rows = [
            (sender, rule, severity)
            for sender, profile in known.items()
            for rule, severity in profile.severities.items()
        ]
        strict = frozenset(sender for sender, profile in known.items() if profile.oneroster.strict)
        return cls(strict, pl.DataFrame(rows, schema=_OWN_SCHEMA, orient="row"))

    def weigh(self, found: pl.DataFrame) -> pl.DataFrame:
        """``found`` (``rule``, ``_sender`` and more) with the column ``severity``."""
        severity = usual()
        if self.strict:
            to_the_letter = pl.col("rule").replace_strict(_STRICT, return_dtype=pl.String)
            is_strict = pl.col(SENDER).is_in(sorted(self.strict))
            severity = pl.when(is_strict).then(to_the_letter).otherwise(severity)
        weighed = found.with_columns(severity.alias("severity"))
        if self.own.is_empty():
            return weighed
        joined = weighed.join(self.own, on=[SENDER, "rule"], how="left", maintain_order="left")
        return joined.with_columns(pl.coalesce("own", "severity").alias("severity")).drop("own")

    def of(self, rule: Rule, sender: str) -> Severity:
        """The severity of one rule to one sender."""
        found = pl.DataFrame({"rule": [rule.id], SENDER: [sender]})
        return Severity(self.weigh(found).item(0, "severity"))
