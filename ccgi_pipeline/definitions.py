"""The entry point for Dagster: everything below ``defs``, with one policy applied to all of it."""

import warnings
from datetime import timedelta
from pathlib import Path

import dagster as dg

from ccgi_pipeline.common.owner_only import restrict_umask
from ccgi_pipeline.defs.automation import DAILY_ASSETS

restrict_umask()  # every process of Dagster that runs the pipeline imports this module

FRESH = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=30), warn_window=timedelta(hours=26)
)
"""How old what every night makes may be. The daemon judges it (dagster.yaml: freshness)."""
OWNERS = ["team:district-data"]


@dg.definitions
def defs() -> dg.Definitions:
    """Returns all that stands below ``defs``: assets, checks, jobs, schedules, sensors, others."""
    return apply_policy(dg.load_from_defs_folder(path_within_project=Path(__file__).parent))


def apply_policy(loaded: dg.Definitions) -> dg.Definitions:
    """Gives every asset its owners and its freshness policy. Everything else stays as it is."""
    # Dagster calls this method a preview. Building Definitions again, part by part, would lose
    # every part that is not named.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return loaded.map_asset_specs(func=_with_policy)


def _with_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
    fresh = FRESH if spec.key in DAILY_ASSETS else spec.freshness_policy
    return spec.replace_attributes(owners=spec.owners or OWNERS, freshness_policy=fresh)
