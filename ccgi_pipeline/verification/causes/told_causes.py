"""The causes of a file as a receipt tells them: each once, with all that it explains.

Belongs here: the counts of the findings that a cause explains. Does not belong here: the forms of
receipts (verification.receipts, verification.receipt_html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.verification.causes.declaration import Cause
from ccgi_pipeline.verification.causes.registry import CAUSES_BY_ID

_WEIGHTS = {str(Severity.ERROR): 0, str(Severity.WARNING): 1, str(Severity.INFO): 2}
_RANGES = 12
"""Ranges of lines that are named; further ones are counted."""


@dataclass(frozen=True, slots=True)
class ExplainedRule:
    """A rule and column of which a cause explains ``count`` findings."""

    rule: str
    column: str | None
    count: int


@dataclass(frozen=True, slots=True)
class ToldCause:
    """A cause of a file: ``findings`` are those that it explains, ``severity`` the worst of them.

    ``lines``: the lines concerned, such as ``2-49, 52``; blank for the file as a whole.
    """

    cause: Cause
    evidence: str
    severity: str
    findings: pl.DataFrame
    explains: tuple[ExplainedRule, ...]
    lines: str

    @property
    def places(self) -> str:
        """The lines in words, such as ``lines 2-49, 52``."""
        several = "-" in self.lines or "," in self.lines
        return f"line{'s' if several else ''} {self.lines}" if self.lines else ""

    @property
    def details(self) -> pl.DataFrame:
        """The findings of single lines that say more; none if there is one finding only."""
        if self.findings.height == 1:
            return self.findings.clear()
        return self.findings.filter(pl.col("line").is_not_null() & pl.col("detail").is_not_null())

    @property
    def columns(self) -> list[str]:
        """The columns concerned."""
        return list(dict.fromkeys(rule.column for rule in self.explains if rule.column))


def told_causes(causes: Mapping[str, str], findings: pl.DataFrame) -> list[ToldCause]:
    """Returns a file's ``causes`` (evidence by id), the weightiest first, then what explains most.

    A cause whose findings are gone, such as those of a rule that is no more, is not told.
    """
    told = []
    for id_, evidence in causes.items():
        cause, theirs = CAUSES_BY_ID.get(id_), findings.filter(pl.col("cause") == id_)
        if cause is None or theirs.is_empty():
            continue
        counted = theirs.group_by("rule", "column", maintain_order=True).len()
        worst = min(theirs["severity"].unique(), key=lambda severity: _WEIGHTS[severity])
        explains = tuple(ExplainedRule(*row) for row in counted.iter_rows())
        told.append(ToldCause(cause, evidence, worst, theirs, explains, ranges_of(theirs["line"])))
    return sorted(told, key=lambda cause: (_WEIGHTS[cause.severity], -cause.findings.height))


def unexplained(findings: pl.DataFrame) -> pl.DataFrame:
    """Returns the findings that no cause explains."""
    causes = findings["cause"]
    if causes.null_count() == len(causes):
        return findings  # as it is of most files
    return findings.filter(causes.is_null())


def ranges_of(lines: pl.Series) -> str:
    """Returns line numbers in words: ``2-49, 52``."""
    numbers = lines.drop_nulls().unique().sort().cast(pl.Int64).alias("line")
    if numbers.is_empty():
        return ""
    run = pl.col("line") - pl.int_range(pl.len())
    runs = (
        numbers.to_frame()
        .group_by(run.alias("run"), maintain_order=True)
        .agg(pl.col("line").min().alias("first"), pl.col("line").max().alias("last"))
    )
    named = [
        f"{first}" if first == last else f"{first}-{last}"
        for first, last in runs.head(_RANGES).select("first", "last").iter_rows()
    ]
    left = numbers.len() - int(
        runs.head(_RANGES).select((pl.col("last") - pl.col("first") + 1).sum()).item()
    )
    return ", ".join(named) + (f" and {left:,} more" if left else "")
