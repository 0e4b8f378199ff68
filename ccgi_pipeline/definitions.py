"""The entry point for Dagster: loads everything below ``defs`` and applies policy to all of it."""

from datetime import timedelta
from pathlib import Path

import dagster as dg

from ccgi_pipeline.defs.automation import DAILY_ASSETS

FRESH = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=30), warn_window=timedelta(hours=26)
)
"""How old what every night makes may be. The daemon judges it (dagster.yaml: freshness)."""
OWNERS = ["team:district-data"]


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors of the project."""
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    owned = dg.map_asset_specs(
        lambda spec: spec.replace_attributes(
            owners=OWNERS, freshness_policy=FRESH if spec.key in DAILY_ASSETS else None
        ),
        [asset for asset in loaded.assets or [] if isinstance(asset, dg.AssetsDefinition)],
    )
    return dg.Definitions(
        assets=owned,
        jobs=loaded.jobs,
        schedules=loaded.schedules,
        sensors=loaded.sensors,
        resources=loaded.resources,
        executor=loaded.executor,
    )
