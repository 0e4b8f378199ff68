"""The first step of the night: new files are taken from the inboxes and archived."""

from collections.abc import Iterator, Sequence

import dagster as dg

from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.defs.code_location import asset_key
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.intake.sources import InboxProblem, problems_by_server
from ccgi_pipeline.nightly.receive import receive_drops

SERVERS_ANSWER = "every_server_was_asked"


@dg.asset(
    key=asset_key("received_drops"),
    group_name="received",
    kinds={"sftp", "file"},
    check_specs=[
        build_check(
            SERVERS_ANSWER,
            "received_drops",
            "Every SFTP server with an inbox was asked and gave every file, and so did the local "
            "inbox. Yellow: a server cannot be reached; the next scan asks it again. Red: until "
            "somebody acts, a server refuses, or a file or folder of an inbox may not be read.",
        )
    ],
    description="Files that came since the last night, from this machine's inbox and from SFTP "
    "servers: archived by their SHA-256, and grouped into drops (what one sender delivered "
    "together).",
)
def received_drops(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Takes every new file that is complete."""
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
    yield _judge_servers(received.problems)


def _judge_servers(problems: Sequence[InboxProblem]) -> dg.AssetCheckResult:
    refused = any(problem.permanent for problem in problems)
    return dg.AssetCheckResult(
        check_name=SERVERS_ANSWER,
        passed=not problems,
        severity=dg.AssetCheckSeverity.ERROR if refused else dg.AssetCheckSeverity.WARN,
        metadata={**problems_by_server(problems)},
    )
