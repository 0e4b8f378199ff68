"""Finds the causes of files, and says which cause explains which finding.

Belongs here: which causes are looked for in which files, so that files without the findings of a
cause cost nothing, and that one finding has one cause. Does not belong here: the causes (registry).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import polars as pl

from ccgi_pipeline.feeds.spec import FILE
from ccgi_pipeline.intake.reader import Reading
from ccgi_pipeline.verification.causes.declaration import Cause
from ccgi_pipeline.verification.causes.judged_file import KIND, JudgedFile
from ccgi_pipeline.verification.causes.registry import CAUSES
from ccgi_pipeline.verification.causes.rule_kinds import OF_CELLS, kinds_of_rules
from ccgi_pipeline.verification.drop_files import FileToVerify

CAUSES_SCHEMA = {FILE: pl.UInt32, "cause": pl.String, "evidence": pl.String}
"""One row a cause of a file."""

_NUMBER = "_number"
_MANY = 100
_SHARE = 0.05
"""Findings of cells that are fewer than so many, and less than this share of a file's lines, are
slips and no pattern."""

_BY_KIND: Mapping[str, Sequence[Cause]] = {
    kind: [cause for cause in CAUSES if kind in cause.kinds]
    for kind in {kind for cause in CAUSES for kind in cause.kinds}
}
_ORDER = {cause.id: place for place, cause in enumerate(CAUSES)}


def explain_findings(
    files: Iterable[FileToVerify],
    readings: Mapping[int, Reading],
    findings: pl.DataFrame,
    on: date,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns ``findings`` with the column ``cause``, and the causes (``CAUSES_SCHEMA``).

    The readings must have the records of all files, also of those that were refused later.
    """
    tried = _causes_to_try(findings, readings)
    unexplained = findings.with_columns(pl.lit(None, dtype=pl.String).alias("cause"))
    causes: list[tuple[int, str, str]] = []
    if not tried:
        return unexplained, pl.DataFrame(schema=CAUSES_SCHEMA)
    kind = kinds_of_rules(findings).alias(KIND)
    numbered = findings.with_row_index(_NUMBER)
    by_file = (
        numbered.filter(pl.col(FILE).is_in(list(tried)))
        .with_columns(kind)
        .partition_by(FILE, as_dict=True, maintain_order=True)
    )
    explained = [pl.DataFrame(schema={_NUMBER: pl.UInt32, "cause": pl.String})]
    for file in files:
        if file.number not in tried or file.refused is not None:
            continue  # of what was refused unopened there is nothing to look at
        left = by_file[file.number,]
        reading = readings[file.number]
        judged = JudgedFile(
            file.name, file.sender, reading, left, on, file.content, is_large=bool(file.piece)
        )
        kinds = set(left[KIND].unique())
        for cause in tried[file.number]:
            found = None if kinds.isdisjoint(cause.kinds) else cause.find(judged)
            if found is None:
                continue
            theirs = left.filter(found.explains)
            if theirs.height < cause.least:
                continue
            causes.append((file.number, cause.id, found.evidence))
            explained.append(theirs.select(_NUMBER, pl.lit(cause.id).alias("cause")))
            left = left.filter(~found.explains.fill_null(value=False))
            kinds = set(left[KIND].unique())
    if not causes:
        return unexplained, pl.DataFrame(schema=CAUSES_SCHEMA)
    joined = numbered.join(pl.concat(explained), on=_NUMBER, how="left", maintain_order="left")
    return joined.drop(_NUMBER), pl.DataFrame(causes, schema=CAUSES_SCHEMA, orient="row")


def _causes_to_try(
    findings: pl.DataFrame, readings: Mapping[int, Reading]
) -> dict[int, list[Cause]]:
    """Returns by file the causes for which it has enough findings, in the order of the registry."""
    counted = (
        findings.group_by(FILE, "rule")
        .agg(pl.len(), pl.col("line").is_not_null().any().alias("of_lines"))
        .with_columns(kinds_of_rules(findings))
        .filter(pl.col("rule").is_in(list(_BY_KIND)))
    )
    found: dict[int, dict[str, Cause]] = {}
    for number, kind, count, of_lines in counted.iter_rows():
        enough = count >= min(_MANY, _SHARE * readings[number].lines)
        if kind in OF_CELLS and of_lines and not enough:
            continue
        causes = [cause for cause in _BY_KIND[kind] if count >= cause.least]
        if causes:
            found.setdefault(number, {}).update({cause.id: cause for cause in causes})
    return {
        number: sorted(causes.values(), key=lambda cause: _ORDER[cause.id])
        for number, causes in found.items()
    }
