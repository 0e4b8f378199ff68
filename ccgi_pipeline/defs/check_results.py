"""The results of the checks, for those who run a night elsewhere than in the UI, such as in CI.

Belongs here: which results count, and which of them are heavy enough to fail a run. The check of
the districts' partitions counts once, for all of them: as a warning, because a district without
reports makes another check red.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import dagster as dg

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.runbook import runbook_link
from ccgi_pipeline.defs.code_location import asset_key
from ccgi_pipeline.defs.dagster_internals import (
    read_events,
    read_latest_evaluations,
    read_unpassed_partitions,
)
from ccgi_pipeline.defs.district_partitions import DISTRICTS
from ccgi_pipeline.defs.receipts import DISTRICT_NIGHT, FILES_ARE_GOOD


class Weight(StrEnum):
    """How heavy it is that a check did not pass: yellow or red in the UI."""

    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The last result of a check. ``failed``: its weight if it did not pass."""

    asset: str
    check: str
    failed: Weight | None
    words: str = ""


class ChecksFailedError(PermanentError):
    """Checks did not pass, and the run was started with the setting that it fails then."""


def read_last_results(
    instance: dg.DagsterInstance, checks: Collection[dg.AssetCheckKey]
) -> list[CheckResult]:
    """Returns the last result of each of ``checks`` that was ever evaluated, by asset and name."""
    return _make_results(instance, read_latest_evaluations(instance, checks))


def read_results_of_run(instance: dg.DagsterInstance, run_id: str) -> list[CheckResult]:
    """Returns the results that a run has had so far, by asset and name."""
    events = read_events(instance, run_id, [dg.DagsterEventType.ASSET_CHECK_EVALUATION])
    return _make_results(instance, (event.asset_check_evaluation_data for event in events))


def _make_results(
    instance: dg.DagsterInstance, evaluations: Iterable[dg.AssetCheckEvaluation]
) -> list[CheckResult]:
    results = [
        CheckResult(
            one.asset_key.to_user_string(),
            one.check_name,
            None if one.passed else _WEIGHTS[one.severity],
            one.description or "",
        )
        for one in evaluations
        if one.partition is None
    ]
    results.append(_read_district_result(instance))
    return sorted(results, key=lambda result: (result.asset, result.check))


def _read_district_result(instance: dg.DagsterInstance) -> CheckResult:
    """Returns how the check of the districts' newest files stands, for all districts together."""
    check = dg.AssetCheckKey(asset_key(DISTRICT_NIGHT), FILES_ARE_GOOD)
    districts = {*instance.get_dynamic_partitions(str(DISTRICTS.name))}
    count = len(districts & read_unpassed_partitions(instance, check))
    return CheckResult(
        check.asset_key.to_user_string(),
        check.name,
        Weight.WARNING if count else None,
        f"Of {len(districts):,} districts {count:,} are not green." if count else "",
    )


_WEIGHTS = {
    dg.AssetCheckSeverity.WARN: Weight.WARNING,
    dg.AssetCheckSeverity.ERROR: Weight.ERROR,
}


def select_failed(results: Iterable[CheckResult], weight: Weight) -> list[CheckResult]:
    """Returns the results of at least ``weight`` that did not pass."""
    enough = {Weight.WARNING, Weight.ERROR} if weight is Weight.WARNING else {Weight.ERROR}
    return [result for result in results if result.failed in enough]


def refuse_failed(results: Sequence[CheckResult], weight: Weight) -> None:
    """Raises ChecksFailedError if a check of at least ``weight`` did not pass."""
    failed = select_failed(results, weight)
    if failed:
        names = "; ".join(f"{one.check} of {one.asset} ({one.failed})" for one in failed)
        msg = f"{len(failed)} of {len(results)} checks did not pass: {names}"
        raise ChecksFailedError(msg)


def format_markdown(results: Sequence[CheckResult]) -> str:
    """Formats the results as Markdown: how many passed, and a table of the others, errors first."""
    failed = sorted(
        select_failed(results, Weight.WARNING), key=lambda result: result.failed is Weight.WARNING
    )
    errors = len(select_failed(results, Weight.ERROR))
    counts = (
        f"{len(results) - len(failed):,} checks passed, {len(failed) - errors:,} with warnings, "
        f"{errors:,} with errors."
    )
    if not failed:
        return counts
    rows = [
        (f"{one.failed}", one.asset, f"`{one.check}`", one.words, runbook_link(one.check))
        for one in failed
    ]
    head = ("weight", "asset", "check", "what is wrong", "what to do")
    table = [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]
    return "\n".join([counts, "", *table])
