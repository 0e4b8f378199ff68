"""How everybody stands, as the UI shows it: the last drop of each family, and the last delivery.

Belongs here: one asset, made at the end of each night. ``ccgi status`` prints the same.
"""

from collections import Counter

import dagster as dg

from ccgi_pipeline.defs.answers import CHILD_MATCH
from ccgi_pipeline.defs.delivery import DELIVERIES
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.standing import as_markdown, standings_in

STANDING = "district_standing"
_SHOWN = 200
"""Rows of the table: the UI draws more of them slowly, and nobody reads them."""


@dg.asset(
    name=STANDING,
    group_name="answers",
    deps=["receipts", CHILD_MATCH, DELIVERIES],
    kinds={"ducklake"},
    description="Who stands badly: senders whose newest drop was refused or is held, or for whom "
    "files wait, with age and last delivery; and everybody, in counts. Codes and counts only.",
)
def district_standing(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> dg.MaterializeResult[None]:
    """Puts together how everybody stands after the night."""
    folder = warehouse.folders.warehouse
    found = standings_in(warehouse.connection, folder, night.of(context))
    bad = [standing for standing in found if standing.bad]
    verdicts = Counter(f"{s.family}: {s.verdict.replace('_', ' ')}" for s in found)
    return dg.MaterializeResult(
        metadata={
            "senders": len({standing.sender for standing in found}),
            "to be looked at": len({standing.sender for standing in bad}),
            "files to send": sum({s.sender: s.waiting for s in found}.values()),
            "who stands badly": dg.MetadataValue.md(as_markdown(bad, _SHOWN) if bad else "Nobody."),
            "everybody": dg.MetadataValue.md(
                as_markdown(found, _SHOWN) if found else "Nobody has sent anything yet."
            ),
            **dict(sorted(verdicts.items())),
        }
    )
