"""How everybody stands, as the UI shows it: the last drop of each family, and the last delivery.

Belongs here: one asset, made at the end of each night. ``ccgi status`` prints the same.
"""

from collections import Counter
from collections.abc import Iterator

import dagster as dg

from ccgi_pipeline.defs.checks import check_spec
from ccgi_pipeline.defs.delivery import DELIVERIES
from ccgi_pipeline.defs.receipts import CHILD_MATCH
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.monitoring.district_status import format_markdown, query_statuses
from ccgi_pipeline.operations import audit_log

STANDING = "district_standing"
_SHOWN = 200
"""Rows of the table: the UI draws more of them slowly, and nobody reads them."""


AUDITED, HEAD = "audit_log_is_what_it_was", "audit_head"
_HEADS = 30
"""Nights whose heads the log is held against."""


@dg.asset(
    name=STANDING,
    group_name="answers",
    check_specs=[
        check_spec(
            AUDITED,
            STANDING,
            "The log of who did what by hand holds every entry as it was written, and those at "
            "which the nights before found it end. Red: somebody changed it, or the disk did.",
        )
    ],
    deps=["receipts", CHILD_MATCH, DELIVERIES],
    kinds={"ducklake"},
    description="Who stands badly: senders whose newest drop was refused or is held, or for whom "
    "files wait, with age and last delivery; and everybody, in counts. Codes and counts only.",
)
def district_standing(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Puts together how everybody stands after the night, and reads the audit log again."""
    folder = warehouse.folders.warehouse
    found = query_statuses(warehouse.connection, folder, night.of(context))
    bad = [standing for standing in found if standing.bad]
    verdicts = Counter(f"{s.family}: {s.verdict.replace('_', ' ')}" for s in found)
    kept = _heads(context)
    yield dg.MaterializeResult(
        metadata={
            "senders": len({standing.sender for standing in found}),
            "to be looked at": len({standing.sender for standing in bad}),
            "files to send": sum({s.sender: s.waiting for s in found}.values()),
            "who stands badly": dg.MetadataValue.md(
                format_markdown(bad, _SHOWN) if bad else "Nobody."
            ),
            "everybody": dg.MetadataValue.md(
                format_markdown(found, _SHOWN) if found else "Nobody has sent anything yet."
            ),
            # Kept outside the log itself: who rewrites the log cannot rewrite this as well.
            HEAD: str(audit_log.read_head(folder)),
            **dict(sorted(verdicts.items())),
        }
    )
    try:
        end = audit_log.verify_log(folder, kept)
    except audit_log.AuditBrokenError as broken:
        yield dg.AssetCheckResult(
            check_name=AUDITED, passed=False, metadata={"what is wrong": str(broken)}
        )
    else:
        yield dg.AssetCheckResult(check_name=AUDITED, passed=True, metadata={"entries": end.number})


def _heads(context: dg.AssetExecutionContext) -> list[audit_log.Head]:
    """Where the nights before found the audit log end."""
    found = context.instance.fetch_materializations(dg.AssetKey(STANDING), limit=_HEADS)
    told = [
        record.asset_materialization.metadata.get(HEAD)
        for record in found.records
        if record.asset_materialization
    ]
    return [audit_log.Head.of(str(head.value)) for head in told if head is not None]
