"""The first step of the night: what lies in the inbox, taken and archived."""

import dagster as dg

from ccgi_pipeline import night as steps
from ccgi_pipeline.defs.resources import NightDate, Warehouse


@dg.asset(
    group_name="received",
    kinds={"sftp", "file"},
    description="Files that senders put into the inbox since the last night, archived under their "
    "SHA-256 and grouped into drops: what one sender delivered together.",
)
def received_drops(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> dg.MaterializeResult[None]:
    """Takes every new file of the inbox."""
    received = steps.receive_drops(warehouse.connection, warehouse.folders, night.of(context))
    return dg.MaterializeResult(
        metadata={
            "drops": len(received.drops),
            "files": sum(len(drop.files) for drop in received.drops),
            "duplicates": len(received.duplicates),
            "still growing": len(received.growing),
            "files in no sender's folder": len(received.strays),
        }
    )
