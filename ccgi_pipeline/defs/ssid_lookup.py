"""The SSID exchange: SSIDs for applications, the colleges' download, how unique identities are.

Belongs here: assets and checks. The work is done in ``nightly.ssid_exchange``; the environment
names the look-up service.
"""

import base64
from collections.abc import Iterator

import dagster as dg

from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.defs.code_location import asset_key
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.feeds.calpads_identity import FEED as IDENTITIES
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.nightly import ssid_exchange
from ccgi_pipeline.ssid_lookup.research.uniqueness import (
    KEYS,
    count_uniqueness,
    draw_svg,
    format_rows,
)
from ccgi_pipeline.warehouse.queries import applications

ANSWERS, DOWNLOAD, UNIQUENESS = "application_ssids", "college_download", "identity_uniqueness"
GROUP = "ssid_lookup"
ALL_ANSWERED, NOTHING_RESTRICTED = "every_application_was_answered", "nothing_restricted_goes_out"
ONE_STUDENT_EACH = "every_cccid_is_one_students"


@dg.asset(
    key=asset_key(ANSWERS),
    group_name=GROUP,
    deps=[asset_key(APPLICATIONS.name)],
    kinds={"http", "ducklake"},
    check_specs=[
        build_check(
            ALL_ANSWERED,
            ANSWERS,
            "The look-up has answered every application without an SSID. Yellow: some wait until "
            "the hourly limit allows more requests, or no service is named.",
        ),
        build_check(
            ONE_STUDENT_EACH,
            ANSWERS,
            "All applications with one CCCID are of one student. Yellow: `ccgi lookup "
            "shared-cccids` shows where the others stand.",
        ),
    ],
    description="SSIDs of submitted applications, requested within the hourly limit. The column is "
    "restricted: it is stored beside the application and is sent to no college.",
)
def application_ssids(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Requests the SSIDs that are not answered yet."""
    connection, folders = warehouse.connection, warehouse.folders
    outcome, counts, waiting = ssid_exchange.ask_for_ssids(connection, folders, night.of(context))
    asked = {"service": "none is named"} if outcome is None else {"service": "was asked"}
    told = {f"applications {answer}": count for answer, count in counts.items()}
    yield dg.MaterializeResult(metadata={**asked, **told, "applications waiting": waiting})
    yield dg.AssetCheckResult(
        check_name=ALL_ANSWERED,
        passed=waiting <= 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"waiting": waiting},
    )
    shared = applications.count_shared_cccids(connection)
    yield dg.AssetCheckResult(
        check_name=ONE_STUDENT_EACH,
        passed=not shared,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"CCCIDs of two students": shared},
    )


@dg.asset(
    key=asset_key(DOWNLOAD),
    group_name=GROUP,
    deps=[asset_key(ANSWERS)],
    kinds={"csv"},
    check_specs=[
        build_check(
            NOTHING_RESTRICTED,
            DOWNLOAD,
            "The colleges' download file has no restricted column, above all no SSID. A file with "
            "one is not written.",
            blocking=True,
        )
    ],
    description="What colleges may download of applications: all columns that are not restricted.",
)
def college_download(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Writes the file."""
    connection, folders = warehouse.connection, warehouse.folders
    rows, restricted = ssid_exchange.write_download(connection, folders, night.of(context))
    yield dg.MaterializeResult(metadata={"dagster/row_count": rows})
    yield dg.AssetCheckResult(
        check_name=NOTHING_RESTRICTED, passed=not restricted, metadata={"columns": restricted}
    )


@dg.asset(
    key=asset_key(UNIQUENESS),
    group_name=GROUP,
    deps=[asset_key(IDENTITIES.name)],
    kinds={"duckdb"},
    description="How many students a look-up by a key finds: CDE's table of Result Count and Name "
    "Count, by first name or its initial, each with last name and birth date.",
)
def identity_uniqueness(warehouse: dg.ResourceParam[Warehouse]) -> dg.MaterializeResult[None]:
    """Counts the identities that a night received."""
    identities = warehouse.connection.sql(f"FROM lake.{IDENTITIES.name} WHERE _active")
    metadata: dict[str, dg.MarkdownMetadataValue] = {}
    for name in ("name_and_birth", "initial_and_birth"):
        table = count_uniqueness(identities, KEYS[name])
        if table.is_empty():
            continue
        rows = format_rows(table)
        shown = "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], _RULE, *rows[1:]])
        chart = base64.b64encode(draw_svg(table, name).encode()).decode()
        image = f"![{name}](data:image/svg+xml;base64,{chart})"
        metadata[name] = dg.MetadataValue.md(f"{shown}\n\n{image}")
    return dg.MaterializeResult(metadata={"keys": len(metadata), **metadata})


_RULE = ("---:",) * 4
"""The line below the head of a table in Markdown."""
