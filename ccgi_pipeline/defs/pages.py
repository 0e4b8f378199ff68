"""The pages of the districts, made before their files are sent.

Belongs here: the asset, and the check that says which pages could not be made. A page that fails
stops nothing: reports, receipts and deliveries go on. What pages show is decided elsewhere
(dashboards).
"""

from collections.abc import Callable, Iterator

import dagster as dg

from ccgi_pipeline.dashboards.publication import (
    PagesOutcome,
    contain_faults,
    write_district_pages,
)
from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.defs.code_location import asset_key, asset_keys
from ccgi_pipeline.defs.receipts import CHILD_MATCH
from ccgi_pipeline.defs.reports import asset_name
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.reports.registry import REPORTS

DISTRICT_PAGES, PAGES_ARE_MADE = "district_pages", "pages_are_made"
ADVICE = (
    "Yellow: a page could not be made, and the one of an earlier night stays. Reports, receipts "
    "and deliveries are not concerned."
)


@dg.asset(
    key=asset_key(DISTRICT_PAGES),
    group_name="answers",
    deps=asset_keys([*(asset_name(spec) for spec in REPORTS), CHILD_MATCH, "receipts"]),
    kinds={"html"},
    check_specs=[
        build_check(PAGES_ARE_MADE, DISTRICT_PAGES, f"Each district has its page. {ADVICE}")
    ],
    description="The page of each district, `_receipts/index.html` in its folder: what arrived, "
    "what became of it, what to do now, its reports, how far its students are. Counts only. A page "
    "that would not change is not written again.",
)
def district_pages(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Writes the pages of the districts that change."""
    on = night.of(context)
    yield from report_pages(
        lambda: write_district_pages(warehouse.connection, warehouse.folders, on)
    )


def report_pages(
    write: Callable[[], PagesOutcome],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Writes pages, and says what became of them; an error is told, and stops nothing."""
    outcome = contain_faults(write)
    failed = {kind: count for kind, count in outcome.failed.items() if count}
    yield dg.MaterializeResult(
        metadata={
            "pages": outcome.pages,
            "files written": outcome.written,
            "bytes written": outcome.size,
            "charts drawn": outcome.drawn,
        }
    )
    yield dg.AssetCheckResult(
        check_name=PAGES_ARE_MADE,
        passed=not failed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=failed,
    )
