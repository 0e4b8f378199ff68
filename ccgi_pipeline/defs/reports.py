"""Reports: one asset for each, with its files for all districts, written in one pass.

Belongs here: assets and checks made from the reports' declarations.
"""

import itertools
from collections.abc import Collection, Iterator, Sequence

import dagster as dg

from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.defs.code_location import asset_key, asset_keys
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.nightly.evaluate import evaluate_eligibility
from ccgi_pipeline.nightly.report import (
    WrittenReport,
    count_students_in_aggregates,
    open_reports,
    refresh_views,
    report_districts,
    sweep_outbox,
    write_reports,
)
from ccgi_pipeline.reports.column_lineage import Sources, trace_eligibility, trace_report
from ccgi_pipeline.reports.foster_privacy import find_foster_data
from ccgi_pipeline.reports.queries import ELIGIBILITY
from ccgi_pipeline.reports.query_tables import feeds_used
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.warehouse.storage.schema import ELIGIBILITY_SCHEMA


@dg.asset(
    key=asset_key(ELIGIBILITY),
    group_name="eligibility",
    deps=asset_keys(["transcript_student", "transcript_course_grade", "transcript_course_catalog"]),
    kinds={"polars", "ducklake"},
    metadata={
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, f"{dtype}") for name, dtype in ELIGIBILITY_SCHEMA.items()]
        )
    },
    description="How far each student of a roster is on the way to CSU and UC: an estimate of this "
    "project from the course history (docs/eligibility.md).",
)
def eligibility(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> dg.MaterializeResult[None]:
    """Evaluates the students of all rosters."""
    counted = evaluate_eligibility(warehouse.connection, warehouse.folders, night.of(context))
    students = counted["students"].sum() // max(1, counted["system"].n_unique())
    return dg.MaterializeResult(
        metadata={
            "students": int(students),
            **_describe_lineage(trace_eligibility()),
            **{f"{system}: {status}": n for system, status, n in counted.iter_rows()},
        }
    )


def _describe_columns(spec: ReportSpec, sources: Sources | None = None) -> dg.TableSchema:
    """Returns the columns of the detail file, with their sources if they are given.

    Dagster's open-source UI draws no lineage of columns, so their descriptions name the sources.
    """
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                description=" ".join(
                    part
                    for part in (
                        column.description,
                        _name_sources((sources or {}).get(column.name)),
                    )
                    if part
                ),
            )
            for column in spec.detail_columns
        ]
    )


def _name_sources(sources: Collection[tuple[str, str]] | None) -> str:
    """``From `platform_goals`: EventID, GoalType.``; nothing for a constant."""
    by_table = itertools.groupby(sorted(sources or ()), key=lambda source: source[0])
    named = [f"`{table}`: {', '.join(name for _, name in found)}" for table, found in by_table]
    return f"From {'; '.join(named)}." if named else ""


def _describe_lineage(sources: Sources) -> dict[str, dg.TableColumnLineage]:
    """Returns the metadata with which the UI shows where columns come from."""
    deps = {
        column: [dg.TableColumnDep(asset_key(table), name) for table, name in sorted(found)]
        for column, found in sources.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps)}


REPORT_IS_SOUND = "every_district_has_its_files"


def asset_name(spec: ReportSpec) -> str:
    """Returns the name of the report's asset: ``report_goals``."""
    return f"report_{spec.name}"


def _spec(spec: ReportSpec) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset_key(asset_name(spec)),
        deps=asset_keys(feeds_used(spec)),
        group_name=spec.group.replace(" ", "_"),
        kinds={"sql", "csv"},
        description=f"{spec.title}, for every district with a roster, when it is due: "
        f"`{'/'.join(spec.folder)}`. "
        f"Source of the columns: {spec.source}.",
        metadata={
            "dagster/column_schema": _describe_columns(spec),
            "files": ", ".join(spec.files),
        },
    )


def _check(spec: ReportSpec) -> dg.AssetCheckSpec:
    return build_check(
        REPORT_IS_SOUND,
        asset_name(spec),
        "Each district with a roster has each of the report's files, if the report is due for "
        "it tonight; an aggregate has no personal column, and no SSID of a student of the "
        "roster; the query reads no table and no column of foster youth.",
        blocking=True,
    )


@dg.multi_asset(
    name="write_reports",
    specs=[_spec(spec) for spec in REPORTS],
    check_specs=[_check(spec) for spec in REPORTS],
    can_subset=True,
    description="Builds each report once for all districts and writes the outbox tree. A report "
    "that shows the same as its newest files is not made again: they get tonight's names.",
)
def reports(
    context: dg.AssetExecutionContext,
    warehouse: dg.ResourceParam[Warehouse],
    night: dg.ResourceParam[NightDate],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Writes the selected reports as of the night."""
    on = night.of(context)
    refresh_views(warehouse.connection, warehouse.folders)
    named = open_reports(warehouse.connection, warehouse.folders, on)
    for spec in REPORTS:
        if asset_key(asset_name(spec)) not in context.selected_asset_keys:
            continue
        written = write_reports(warehouse.connection, warehouse.folders, spec, named, on)
        wanted = report_districts(spec, named).height
        yield dg.MaterializeResult(
            asset_key=asset_key(asset_name(spec)),
            metadata={
                "districts": named.height,
                "districts for which it is due": wanted,
                "files": sum(part.files for part in written),
                "unchanged files": sum(part.unchanged for part in written),
                **{f"rows {part.file}": part.rows for part in written},
                "dagster/column_schema": _describe_columns(spec, trace_report(spec)),
                **_describe_lineage(trace_report(spec)),
            },
        )
        cells = count_students_in_aggregates(warehouse.connection, written)
        yield _judged(spec, written, wanted, cells)
    sweep_outbox(warehouse.folders)


def _judged(
    spec: ReportSpec, written: Sequence[WrittenReport], wanted: int, cells: int
) -> dg.AssetCheckResult:
    counts = {part.file: part.files for part in written}
    personal = [column.name for column in spec.aggregate_columns if column.personal]
    foster = find_foster_data(spec)
    return dg.AssetCheckResult(
        asset_key=asset_key(asset_name(spec)),
        check_name=REPORT_IS_SOUND,
        passed=set(counts.values()) == {wanted} and not (personal or cells or foster),
        metadata={
            "districts": wanted,
            **{f"files {file}": files for file, files in counts.items()},
            "personal columns in the aggregate": personal,
            "SSIDs of the roster in the aggregate": cells,
            "foster data in the query": foster,
        },
    )
