"""The status of each district in the UI: its last drop of each family, and its last delivery.

Belongs here: one asset, made at the end of each night. ``ccgi status`` prints the same.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg
import duckdb

from ccgi_pipeline.defs import check_results
from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.defs.code_location import asset_key, asset_keys
from ccgi_pipeline.defs.delivery import DELIVERIES
from ccgi_pipeline.defs.receipts import CHILD_MATCH
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.monitoring.district_status import (
    DistrictStatus,
    format_markdown,
    query_report_cadence,
    query_statuses,
)
from ccgi_pipeline.oneroster_api.fetch_status import FetchStatus, read_fetch_statuses
from ccgi_pipeline.oneroster_api.fetch_status import format_markdown as format_fetches
from ccgi_pipeline.operations import audit_log
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.queries import health as health_queries

DISTRICT_STATUS = "district_status"
_SHOWN = 200
"""Rows shown: the UI is slow with more, and nobody reads them."""


AUDITED, HEAD = "audit_log_is_what_it_was", "audit_head"
FETCHED = "every_roster_was_fetched"
_HEADS = 30
"""How many nights' heads the log is compared with."""


@dg.asset(
    key=asset_key(DISTRICT_STATUS),
    group_name="answers",
    check_specs=[
        build_check(
            AUDITED,
            DISTRICT_STATUS,
            "The audit log holds every entry as it was written, among them the last entries that "
            "earlier nights recorded. Red: an entry was changed, removed or inserted.",
        ),
        build_check(
            FETCHED,
            DISTRICT_STATUS,
            "The roster of every district with a OneRoster API was fetched in time. Yellow: a "
            "server has not answered for too long. Red: a fetch was refused, or a roster did not "
            "come whole, and somebody must act. What was loaded before stays.",
        ),
    ],
    deps=asset_keys(["receipts", CHILD_MATCH, DELIVERIES]),
    kinds={"ducklake"},
    description="Districts that need attention: their newest drop was rejected or is held, or "
    "files wait to be sent to them. Then all districts, with the age of their drops and their last "
    "delivery, and which reports are not due daily. Codes and counts only.",
)
def district_status(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Shows the status of each district after the night, and verifies the audit log.

    Raises ChecksFailedError if checks did not pass and the run is to fail then.
    """
    folder = warehouse.folders.warehouse
    found = query_statuses(warehouse.connection, folder, night.of(context))
    cadence = query_report_cadence(warehouse.connection, folder, night.of(context))
    bad = [status for status in found if status.needs_attention]
    fetches = read_fetch_statuses(folder, read_profiles(folder), datetime.now(UTC))
    kept = _read_heads(context)
    yield dg.MaterializeResult(
        metadata={
            **_count(warehouse.connection, found),
            "districts that need attention": dg.MetadataValue.md(
                format_markdown(bad, _SHOWN) if bad else "None."
            ),
            "all districts": dg.MetadataValue.md(
                format_markdown(found, _SHOWN) if found else "Nobody has sent anything yet."
            ),
            "reports": dg.MetadataValue.md(
                "\n".join(f"* {state.describe()}" for state in cadence) or "All are written daily."
            ),
            "rosters by API": dg.MetadataValue.md(
                format_fetches(fetches, _SHOWN) if fetches else "No district has a OneRoster API."
            ),
            # A copy outside the log: somebody who rewrites the log does not rewrite this.
            HEAD: str(audit_log.read_head(folder)),
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
    yield _judge_fetches(fetches)
    if night.fail_on != "nothing":
        # This asset is the last of a night: all other checks have their results.
        results = check_results.read_results_of_run(context.instance, context.run_id)
        check_results.refuse_failed(results, check_results.Weight(night.fail_on))


def _judge_fetches(fetches: Sequence[FetchStatus]) -> dg.AssetCheckResult:
    wrong = [status for status in fetches if status.needs_attention]
    red = any(status.refused for status in wrong)
    return dg.AssetCheckResult(
        check_name=FETCHED,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR if red else dg.AssetCheckSeverity.WARN,
        metadata={status.cd: status.words for status in wrong[:_SHOWN]},
    )


def _count(
    connection: duckdb.DuckDBPyConnection, found: Sequence[DistrictStatus]
) -> dict[str, int]:
    """Returns the counts that the UI plots over the nights: the same ones each night, zeros too."""
    students, reported = health_queries.count_rosters(connection)
    without = health_queries.find_districts_without_reports(connection)
    verdicts = Counter(status.verdict for status in found)
    return {
        "senders": len({status.sender for status in found}),
        "need attention": len({status.sender for status in found if status.needs_attention}),
        "students on rosters": students,
        "districts with reports": reported,
        "districts without reports": sum(map(len, without.values())),
        "newest drops held": verdicts[Verdict.HELD],
        "newest drops rejected": verdicts[Verdict.REJECTED],
        "newest drops with findings": verdicts[Verdict.ACCEPTED_WITH_FINDINGS],
        "lines of newest drops": sum(status.lines for status in found),
        "lines kept out": sum(status.kept_out for status in found),
        "days since the oldest newest drop": max((status.days for status in found), default=0),
        "files to send": sum({status.sender: status.waiting for status in found}.values()),
    }


def _read_heads(context: dg.AssetExecutionContext) -> list[audit_log.Head]:
    """Returns the last entries of the audit log that earlier nights recorded."""
    found = context.instance.fetch_materializations(asset_key(DISTRICT_STATUS), limit=_HEADS)
    told = [
        record.asset_materialization.metadata.get(HEAD)
        for record in found.records
        if record.asset_materialization
    ]
    return [audit_log.Head.of(str(head.value)) for head in told if head is not None]
