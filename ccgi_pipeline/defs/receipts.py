"""The end of the night: receipts for senders, and an event for each district that sent something.

Belongs here: ``receipts``, the child match report, and ``district_night``, whose partitions are the
districts by CD code. The night reports on partitions without running them; running one by hand does
one district's whole night: takes its new files, loads them, writes its reports and receipts.
"""

from collections.abc import Iterator

import dagster as dg

from ccgi_pipeline.defs.checks import check_spec
from ccgi_pipeline.defs.dagster_internals import read_unpassed_partitions
from ccgi_pipeline.defs.feeds import counts_table
from ccgi_pipeline.defs.reports import asset_name
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS
from ccgi_pipeline.nightly.evaluate import evaluate_eligibility
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.receive import receive_drops
from ccgi_pipeline.nightly.report import open_reports, sweep_outbox, write_reports
from ccgi_pipeline.nightly.respond import write_child_match, write_receipts
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse.queries import health as health_queries

DISTRICTS = dg.DynamicPartitionsDefinition(name="district")
FILES_ARE_GOOD = "newest_files_are_good"


DROPS_ARE_ACCEPTED = "newest_drops_were_accepted"


@dg.asset(
    group_name="answers",
    deps=[*(asset_name(spec) for spec in REPORTS), *(feed.name for feed in FEEDS)],
    kinds={"json", "csv"},
    check_specs=[
        check_spec(
            DROPS_ARE_ACCEPTED,
            "receipts",
            "The newest drop of every sender and family was accepted, at least in "
            "part. Red: nothing of it was loaded, or not the file that it is about.",
        )
    ],
    description="What each sender gets back for each drop: the verdict, what became of every line, "
    "and which line, column and rule to mend.",
)
def receipts(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Answers every drop that waits for its receipt, and tells of each district that sent one."""
    answered = write_receipts(warehouse.connection, warehouse.folders, night.of(context))
    statuses = health_queries.read_district_statuses(warehouse.connection, answered)
    context.instance.add_dynamic_partitions(str(DISTRICTS.name), [told.cd for told in statuses])
    check = dg.AssetCheckKey(dg.AssetKey("district_night"), FILES_ARE_GOOD)
    not_green = read_unpassed_partitions(context.instance, check)
    for status in statuses:
        _report(context, status, was_green=status.cd not in not_green)
    yield dg.MaterializeResult(metadata={"receipts": len(answered)})
    refused = health_queries.read_refused_drops(warehouse.connection)
    yield dg.AssetCheckResult(
        check_name=DROPS_ARE_ACCEPTED,
        passed=refused.is_empty(),
        metadata={} if refused.is_empty() else {"refused": counts_table(refused)},
    )


def _report(
    context: dg.AssetExecutionContext, status: health_queries.DistrictStatus, *, was_green: bool
) -> None:
    """Tells of the district's night; of its check, where it is not green or was not.

    Each event costs some ten milliseconds: a thousand good districts are told of in one each.
    """
    context.log_event(
        dg.AssetMaterialization("district_night", partition=status.cd, metadata=dict(status.words))
    )
    if status.good and was_green:
        return
    context.log_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("district_night"),
            check_name=FILES_ARE_GOOD,
            passed=status.good,
            partition=status.cd,
            severity=_severity(status),
            metadata=dict(status.words),
        )
    )


def _severity(status: health_queries.DistrictStatus) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if status.bad else dg.AssetCheckSeverity.WARN


CHILD_MATCH = "foster_focus_child_match"


@dg.asset(
    name=CHILD_MATCH,
    group_name="answers",
    deps=[feed.name for feed in foster_focus.FEEDS],
    kinds={"csv"},
    description="The daily child match report of each district that sends foster youth: which "
    "students are linked to no child of Foster Focus, and why (counts by the reason's rule). "
    "Nothing of theirs is loaded.",
)
def child_match(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> dg.MaterializeResult[None]:
    """Writes the reports, and counts the reasons."""
    connection, folders = warehouse.connection, warehouse.folders
    reasons = write_child_match(connection, folders, night.of(context))
    without = {"students without a child": sum(reasons.values())}
    return dg.MaterializeResult(metadata={**without, **reasons})


@dg.asset(
    group_name="answers",
    deps=[receipts, CHILD_MATCH],
    partitions_def=DISTRICTS,
    kinds={"ducklake", "csv"},
    check_specs=[
        check_spec(
            FILES_ARE_GOOD,
            "district_night",
            "The district's newest drop of each family was accepted. Red: a file was refused, and "
            "the last good roster stands. A night evaluates it where it is not green, or was not; "
            "a district without an evaluation never lost a line.",
            partitions=DISTRICTS,
        )
    ],
    description="The district's night: verdicts and counts of what it sent. Run a partition to do "
    "one district's night by hand.",
)
def district_night(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Takes, loads, reports and answers one district."""
    cd = context.partition_key
    on = night.of(context)
    connection, folders = warehouse.connection, warehouse.folders
    receive_drops(connection, folders, on, only=cd)
    for family in FAMILIES:
        verify_family(connection, folders, family, on)
        load_family(connection, folders, family, on)
    evaluate_eligibility(connection, folders, on)
    named = open_reports(connection, folders, on, only=cd)
    for spec in REPORTS:
        write_reports(connection, folders, spec, named, on)
    sweep_outbox(folders)
    write_child_match(connection, folders, on, only=cd)
    write_receipts(connection, folders, on, only=cd)
    (status,) = health_queries.read_district_statuses(connection, [cd])
    yield dg.MaterializeResult(metadata=dict(status.words))
    yield dg.AssetCheckResult(
        check_name=FILES_ARE_GOOD,
        passed=status.good,
        severity=_severity(status),
        metadata=dict(status.words),
    )
