"""What an operator sees: at a tick of the sensor ``heartbeat``, and of ``ccgi heartbeat``."""

from __future__ import annotations

import dagster as dg

from ccgi_pipeline.defs.heartbeat import HeartbeatError, heartbeat
from ccgi_pipeline.defs.resources import NightFolders
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.dagster_instance import check_health_from_outside


def tick(folders: PipelinePaths, instance: dg.DagsterInstance) -> tuple[bool, str]:
    """Whether the sensor's tick is red, and what it says."""
    paths = {name: str(getattr(folders, name)) for name in ("inbox", "outbox", "warehouse")}
    context = dg.build_sensor_context(instance, resources={"folders": NightFolders(**paths)})
    try:
        skipped = heartbeat(context)
    except HeartbeatError as red:
        return True, str(red)
    assert isinstance(skipped, dg.SkipReason)
    return False, skipped.skip_message or ""


def pages(folders: PipelinePaths) -> dict[str, str]:
    """What ``ccgi heartbeat --notify`` finds: words by page of the runbook."""
    found, unsent = check_health_from_outside(folders, notify=True)
    assert unsent == []
    return {alert.page: alert.words for alert in found}
