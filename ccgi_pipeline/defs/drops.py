"""The first step of the night: what lies in the inboxes, taken and archived."""

from collections.abc import Iterator, Sequence

import dagster as dg

from ccgi_pipeline.defs.checks import check_spec
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.intake.sources import InboxProblem, problems_by_server
from ccgi_pipeline.nightly.receive import receive_drops

SERVERS_ANSWER = "every_server_was_asked"


@dg.asset(
    group_name="received",
    kinds={"sftp", "file"},
    check_specs=[
        check_spec(
            SERVERS_ANSWER,
            "received_drops",
            "Every SFTP server with an inbox was asked, and gave every file; so did the local "
            "inbox. Yellow: a server is away, and the next scan asks it again. Red: one refuses, "
            "or what lies in an inbox may not be read, until somebody acts.",
        )
    ],
    description="Files that senders put into the inboxes, of this machine and on SFTP servers, "
    "since the last night: archived under their SHA-256 and grouped into drops, what one sender "
    "delivered together.",
)
def received_drops(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Takes every new file that may be taken."""
    received = receive_drops(
        warehouse.connection, warehouse.folders, night.of(context), taking=night.taking
    )
    yield dg.MaterializeResult(
        metadata={
            "drops": len(received.drops),
            "files": sum(len(drop.files) for drop in received.drops),
            "duplicates": len(received.duplicates),
            "postponed files": len(received.postponed),
            "files in no sender's folder": len(received.strays),
        }
    )
    yield _servers_answer(received.problems)


def _servers_answer(problems: Sequence[InboxProblem]) -> dg.AssetCheckResult:
    refused = any(problem.permanent for problem in problems)
    return dg.AssetCheckResult(
        check_name=SERVERS_ANSWER,
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR if refused else dg.AssetCheckSeverity.WARN,
        metadata={**problems_by_server(problems)},
    )
