"""The end of the night: receipts for senders, and an event for each district that sent something.

Belongs here: ``receipts``, the child match report, and ``district_night``, whose partitions are the
districts. A night records events on partitions without running them. Running one by hand
does the whole night of one district: it takes its new files, loads them, writes reports and
receipts.
"""

from collections.abc import Iterator

import dagster as dg
import polars as pl

from ccgi_pipeline.dashboards.publication import contain_faults, write_district_pages
from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.defs.code_location import asset_key, asset_keys
from ccgi_pipeline.defs.dagster_internals import read_unpassed_partitions
from ccgi_pipeline.defs.district_partitions import DISTRICTS, keep_partitions, read_cd_code
from ccgi_pipeline.defs.feeds import build_count_table
from ccgi_pipeline.defs.reports import asset_name
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.feeds.foster_focus import link_rules
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS
from ccgi_pipeline.nightly.evaluate import evaluate_eligibility
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.receive import receive_drops
from ccgi_pipeline.nightly.report import open_reports, sweep_outbox, write_reports
from ccgi_pipeline.nightly.respond import write_child_match, write_receipts
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.queries.directory import name_senders

DISTRICT_NIGHT = "district_night"
FILES_ARE_GOOD = "newest_files_are_good"
DROPS_ARE_ACCEPTED = "newest_drops_were_accepted"
ALL_GET_REPORTS = "every_district_gets_reports"


@dg.asset(
    key=asset_key("receipts"),
    group_name="answers",
    deps=asset_keys([*(asset_name(spec) for spec in REPORTS), *(feed.name for feed in FEEDS)]),
    kinds={"json", "csv"},
    check_specs=[
        build_check(
            DROPS_ARE_ACCEPTED,
            "receipts",
            "The newest drop of every sender and family was accepted, at least in part. Yellow: "
            "nothing of it was loaded, or not its main file.",
        ),
        build_check(
            ALL_GET_REPORTS,
            "receipts",
            "Every district that sent something has a roster, and so gets reports. Red: all "
            "rosters that a district sent were refused or are held. Yellow: it has sent none yet.",
        ),
    ],
    description="The answer to each drop: the verdict, the fate of every line, and of each finding "
    "the line, the column, the rule and how to fix it.",
)
def receipts(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Writes the receipts that are due, and records an event for each district that sent a drop."""
    answered = write_receipts(warehouse.connection, warehouse.folders, night.of(context))
    statuses = health_queries.read_district_statuses(warehouse.connection, answered)
    cds = pl.Series("cd", [status.cd for status in statuses], dtype=pl.String)
    named = name_senders(warehouse.connection, cds)
    keys = keep_partitions(context.instance, dict(named.select("cd", "folder").iter_rows()))
    check = dg.AssetCheckKey(asset_key(DISTRICT_NIGHT), FILES_ARE_GOOD)
    not_green = read_unpassed_partitions(context.instance, check)
    for status in statuses:
        key = keys[status.cd]
        _record_district(context, key, status, was_green=key not in not_green)
    yield dg.MaterializeResult(metadata={"receipts": len(answered)})
    refused = health_queries.read_refused_drops(warehouse.connection)
    yield dg.AssetCheckResult(
        check_name=DROPS_ARE_ACCEPTED,
        passed=refused.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={} if refused.is_empty() else {"refused": build_count_table(refused)},
    )
    without = health_queries.find_districts_without_reports(warehouse.connection)
    yield dg.AssetCheckResult(
        check_name=ALL_GET_REPORTS,
        passed=not any(without.values()),
        severity=_choose_severity(red=bool(without["refused"])),
        metadata={f"districts, roster {why}": cds for why, cds in without.items() if cds},
    )


def _record_district(
    context: dg.AssetExecutionContext,
    key: str,
    status: health_queries.VerdictSummary,
    *,
    was_green: bool,
) -> None:
    """Records the district's night, and its check if it is not green or was not green before.

    Each event costs some ten milliseconds, so a district that stays green gets only one.
    """
    context.log_event(
        dg.AssetMaterialization(
            asset_key(DISTRICT_NIGHT), partition=key, metadata=dict(status.words)
        )
    )
    if status.good and was_green:
        return
    context.log_event(
        dg.AssetCheckEvaluation(
            asset_key=asset_key(DISTRICT_NIGHT),
            check_name=FILES_ARE_GOOD,
            passed=status.good,
            partition=key,
            severity=_choose_severity(red=not status.reported),
            metadata=dict(status.words),
        )
    )


def _choose_severity(*, red: bool) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if red else dg.AssetCheckSeverity.WARN


CHILD_MATCH = "foster_focus_child_match"


@dg.asset(
    key=asset_key(CHILD_MATCH),
    group_name="answers",
    deps=asset_keys(feed.name for feed in foster_focus.FEEDS),
    kinds={"csv"},
    description="The daily child match report of each district that sends foster youth: which "
    "students are linked to no child of Foster Focus, and why (counts by rule); none of their "
    "records is loaded. And which students only one file of the district calls a foster youth.",
)
def child_match(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> dg.MaterializeResult[None]:
    """Writes the reports, and counts the reasons."""
    connection, folders = warehouse.connection, warehouse.folders
    reasons = write_child_match(connection, folders, night.of(context))
    without = {"students without a child": sum(reasons[rule.id] for rule in link_rules.REASONS)}
    return dg.MaterializeResult(metadata={**without, **reasons})


@dg.asset(
    key=asset_key(DISTRICT_NIGHT),
    group_name="answers",
    deps=asset_keys(["receipts", CHILD_MATCH]),
    partitions_def=DISTRICTS,
    kinds={"ducklake", "csv"},
    check_specs=[
        build_check(
            FILES_ARE_GOOD,
            DISTRICT_NIGHT,
            "The district's newest drop of each family was accepted, with every line. Yellow: a "
            "file was refused, and the last good one counts, or lines were kept out. Red: the "
            "district has no roster, and so gets no reports. A night evaluates this check only for "
            "districts that are not green, or were not; one without an evaluation has never lost a "
            "line.",
            partitions=DISTRICTS,
        )
    ],
    description="The night of one district: verdicts and counts of what it sent. Run a partition "
    "to do the night of that district by hand.",
)
def district_night(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Receives, verifies, loads and reports one district, and writes its receipts."""
    cd = read_cd_code(context.partition_key)
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
    contain_faults(lambda: write_district_pages(connection, folders, on, only=cd))
    (status,) = health_queries.read_district_statuses(connection, [cd])
    yield dg.MaterializeResult(metadata=dict(status.words))
    yield dg.AssetCheckResult(
        check_name=FILES_ARE_GOOD,
        passed=status.good,
        severity=_choose_severity(red=not status.reported),
        metadata=dict(status.words),
    )
