"""The entry point for Dagster: loads everything below ``defs`` and applies policy to all of it."""

from pathlib import Path

import dagster as dg

OWNERS = ["team:district-data"]


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors of the project."""
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    owned = dg.map_asset_specs(
        lambda spec: spec.replace_attributes(owners=OWNERS),
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
