"""The last step of the night: the outbox is sent to the districts' folders on SFTP servers.

Belongs here: the asset, its checks, and the schedule that sends again what a server did not accept.
The profiles say what is sent to which server; if they name none, nothing is sent.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.defs.code_location import RUN_TAGS, asset_key, asset_keys
from ccgi_pipeline.defs.pages import DISTRICT_PAGES
from ccgi_pipeline.defs.receipts import CHILD_MATCH
from ccgi_pipeline.defs.reports import asset_name
from ccgi_pipeline.defs.resources import NightDate, NightFolders
from ccgi_pipeline.defs.ssid_lookup import DOWNLOAD
from ccgi_pipeline.delivery.ledger import DeliveryState
from ccgi_pipeline.nightly.deliver import deliver_outbox, has_pending_deliveries
from ccgi_pipeline.reports.registry import REPORTS

if TYPE_CHECKING:
    from ccgi_pipeline.delivery.upload import DeliveryOutcome

DELIVERIES, ALL_SENT, AS_SENT = "deliveries", "everything_was_sent", "nothing_sent_was_changed"


@dg.asset(
    key=asset_key(DELIVERIES),
    group_name="delivery",
    deps=asset_keys(
        [
            *(asset_name(spec) for spec in REPORTS),
            *(CHILD_MATCH, "receipts", DOWNLOAD, DISTRICT_PAGES),
        ]
    ),
    kinds={"sftp"},
    check_specs=[
        build_check(
            ALL_SENT,
            DELIVERIES,
            "Every file to be sent is on its server under its final name, and was read back. "
            "Yellow: a server cannot be reached; the next run sends the rest. Red: a server "
            "refuses until somebody acts, a district's OpenPGP key cannot be used, or a file is no "
            "longer in the outbox.",
        ),
        build_check(
            AS_SENT,
            DELIVERIES,
            "The files on the servers are as they were delivered. Yellow: somebody has changed a "
            "file since the last run; `ccgi deliveries` names it.",
        ),
    ],
    description="Reports, receipts and pages, sent to the districts' folders. Each is written "
    "under a partial name, read back, renamed and recorded. The same content is never sent twice, "
    "and an interrupted delivery is completed.",
)
def deliveries(
    context: dg.AssetExecutionContext,
    folders: dg.ResourceParam[NightFolders],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Sends the files that are not delivered yet."""
    outcomes = deliver_outbox(folders.paths, night.of(context))
    noticed = {
        state.value: sum(outcome.noticed[state] for outcome in outcomes)
        for outcome in outcomes
        for state in outcome.noticed
    }
    yield dg.MaterializeResult(
        metadata={
            "servers": len(outcomes),
            "files sent": sum(outcome.arrived for outcome in outcomes),
            "files waiting": sum(outcome.waiting for outcome in outcomes),
            **{f"files {state.replace('_', ' ')}": count for state, count in noticed.items()},
        }
    )
    yield _judge_all_sent(outcomes)
    changed = {o.server: o.noticed[DeliveryState.CHANGED] for o in outcomes}
    yield dg.AssetCheckResult(
        check_name=AS_SENT,
        passed=not any(changed.values()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={server: count for server, count in changed.items() if count},
    )


def _judge_all_sent(outcomes: "Sequence[DeliveryOutcome]") -> dg.AssetCheckResult:
    failed = [outcome for outcome in outcomes if outcome.why or outcome.waiting]
    red = any(outcome.permanent or outcome.missing for outcome in failed)
    return dg.AssetCheckResult(
        check_name=ALL_SENT,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if red else dg.AssetCheckSeverity.WARN,
        metadata={outcome.server: _describe_failure(outcome) for outcome in failed},
    )


def _describe_failure(outcome: "DeliveryOutcome") -> str:
    missing = f"{outcome.missing} files are no longer in the outbox (ccgi rebuild makes them)"
    parts = [f"{outcome.waiting} files wait", *outcome.why, *([missing] if outcome.missing else [])]
    return "; ".join(parts)


delivery_job = dg.define_asset_job(
    "delivery",
    selection=dg.AssetSelection.assets(asset_key(DELIVERIES)),
    tags=RUN_TAGS,
    description="Sends what earlier runs could not send, and checks what was sent.",
)


@dg.schedule(
    job=delivery_job,
    cron_schedule="*/15 * * * *",
    execution_timezone=CALIFORNIA.key,
    description="Every quarter of an hour, if files wait to be sent.",
    required_resource_keys={"folders"},
)
def unsent_deliveries(
    context: dg.ScheduleEvaluationContext,
) -> dg.RunRequest | dg.SkipReason:
    """Requests a run if files wait."""
    folders: NightFolders = context.resources.folders
    if not has_pending_deliveries(folders.paths.warehouse):
        return dg.SkipReason("no file waits to be sent")
    return dg.RunRequest()
