"""What tells this warehouse apart from the others of one Dagster deployment.

Belongs here: the warehouse's name, and what bears it: keys of assets, tags of runs, the districts'
partitions. A deployment has a code location for each warehouse, called by the same name. Dagster
keeps runs and events of all of them together, so what this one reads is filtered by the name.
Without a name, the deployment serves this warehouse alone, and nothing bears one.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from ccgi_pipeline.common.environment import WAREHOUSE_NAME
from ccgi_pipeline.common.errors import PermanentError

WAREHOUSE_TAG = "ccgi/warehouse"
"""The tag of each run; the queue of a deployment allows one run for each of its values."""


class WarehouseNameError(PermanentError):
    """The name of the warehouse cannot be part of an asset's key: choose another."""


def read_warehouse_name(environment: Mapping[str, str] = os.environ) -> str | None:
    """Returns the name of this warehouse; None if there is none. Raises WarehouseNameError."""
    name = environment.get(WAREHOUSE_NAME) or None
    if name is not None and not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        msg = (
            f"{WAREHOUSE_NAME} must be a small letter, then at most 39 small letters, digits and "
            "underscores, such as alameda or los_angeles"
        )
        raise WarehouseNameError(msg)
    return name


NAME = read_warehouse_name()
"""The name as it was when this process began: definitions are made once in a process."""
LOCATION = NAME or "ccgi_pipeline"
"""The name of the code location: without a name of the warehouse, that of ``workspace.yaml``."""
RUN_TAGS: Mapping[str, str] = {WAREHOUSE_TAG: NAME} if NAME else {}
"""The tags of all runs of this warehouse's jobs."""


def asset_key(name: str) -> dg.AssetKey:
    """Returns the key of the asset ``name``; it begins with the warehouse's name if it has one."""
    return dg.AssetKey([NAME, name] if NAME else [name])


def asset_keys(names: Iterable[str]) -> list[dg.AssetKey]:
    """Returns the keys of the assets ``names``."""
    return [asset_key(name) for name in names]


def own_runs(**conditions: Any) -> dg.RunsFilter:  # noqa: ANN401 - RunsFilter's own arguments
    """Returns a filter for runs of this warehouse that meet the conditions of ``RunsFilter``."""
    return dg.RunsFilter(tags=RUN_TAGS, **conditions)
