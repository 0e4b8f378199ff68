"""The entry point for Dagster: loads everything below ``defs`` and applies policy to all of it once."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

OWNERS = ["team:district-data"]


@dg.definitions
def defs() -> dg.Definitions:
    """All assets, checks, jobs, schedules and sensors of the project."""
    loaded = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return loaded.map_asset_specs(func=lambda spec: spec.replace_attributes(owners=OWNERS))
