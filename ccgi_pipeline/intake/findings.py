"""Defines findings, the places where a rule is not met, and the frame that holds them.

Belongs here: the one frame in which all modules pass findings on. A finding never holds a student's
value: ``detail`` has counts and column names only. Text and fix belong to the rule and are added
when a finding is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ccgi_pipeline.feeds.rules import Rule

FINDINGS_SCHEMA = {
    "rule": pl.String,
    "line": pl.UInt32,
    "column": pl.String,
    "detail": pl.String,
}
"""One row per finding; ``line`` is the physical line (the header is 1), null for the whole file."""
WEIGHED_SCHEMA = {**FINDINGS_SCHEMA, "severity": pl.String}
"""The same with the severity that the sender's profile gives each finding."""
EXPLAINED_SCHEMA = {**WEIGHED_SCHEMA, "cause": pl.String}
"""The same with the id of the cause that explains the finding, if one does."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where ``rule`` is not met."""

    rule: Rule
    line: int | None = None
    column: str | None = None
    detail: str | None = None


def findings_frame(findings: Iterable[Finding]) -> pl.DataFrame:
    """Returns the findings as a frame of ``FINDINGS_SCHEMA``."""
    rows = [(found.rule.id, found.line, found.column, found.detail) for found in findings]
    return pl.DataFrame(rows, schema=FINDINGS_SCHEMA, orient="row")


def line_findings(lines: pl.Series, rule: Rule, detail: pl.Series | None = None) -> pl.DataFrame:
    """Returns one finding of ``rule`` for each of ``lines`` (physical line numbers)."""
    return pl.DataFrame({"line": lines.cast(pl.UInt32)}).select(
        pl.lit(rule.id).alias("rule"),
        "line",
        pl.lit(rule.column, dtype=pl.String).alias("column"),
        pl.lit(None, dtype=pl.String).alias("detail") if detail is None else detail.alias("detail"),
    )
