"""The page of the state, made at the end of the night, when it is known what was sent.

Belongs here: one asset with its check. What the page shows is decided elsewhere (dashboards).
"""

from collections.abc import Iterator

import dagster as dg

from ccgi_pipeline.dashboards.publication import write_state_page
from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.defs.code_location import asset_key, asset_keys
from ccgi_pipeline.defs.district_status import DISTRICT_STATUS
from ccgi_pipeline.defs.pages import ADVICE, DISTRICT_PAGES, PAGES_ARE_MADE, report_pages
from ccgi_pipeline.defs.recorded_runs import read_night_times
from ccgi_pipeline.defs.resources import NightDate, Warehouse

STATE_PAGE = "state_page"


@dg.asset(
    key=asset_key(STATE_PAGE),
    group_name="answers",
    deps=asset_keys([DISTRICT_STATUS, DISTRICT_PAGES]),
    kinds={"html"},
    check_specs=[
        build_check(PAGES_ARE_MADE, STATE_PAGE, f"The state page is that of tonight. {ADVICE}")
    ],
    description="The page for the operator and the county, `pages/index.html` in the warehouse "
    "folder: who needs a call and why, all districts, errors by rule, deliveries, look-ups, how "
    "long nights took.",
)
def state_page(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Writes the page of the state."""
    on = night.of(context)
    yield from report_pages(
        lambda: write_state_page(
            warehouse.connection,
            warehouse.folders,
            on,
            read_night_times(context.instance),
        ),
    )
