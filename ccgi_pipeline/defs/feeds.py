"""Verifying and loading: two steps for each family, one table for each feed, checks on each table.

Belongs here: assets and checks made from the feeds' declarations. All districts go through each
step together; what one district did wrong is in the ledger, and never stops another.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import dagster as dg
import duckdb
import polars as pl

from ccgi_pipeline.defs.checks import build_check
from ccgi_pipeline.defs.code_location import asset_key, asset_keys
from ccgi_pipeline.defs.resources import NightDate, Warehouse
from ccgi_pipeline.feeds.columns import Column, Requirement
from ccgi_pipeline.feeds.registry import FAMILIES, families_before
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.nightly.load import load_family
from ccgi_pipeline.nightly.verify import verify_family
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.warehouse.load import claims, outbox_folders
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.queries import rosters


def verified_asset_name(family: str) -> str:
    """Returns the name of the asset that verifies ``family``."""
    return f"verified_{family}"


def _build_verification(family: str) -> dg.AssetsDefinition:
    depends: list[str] = ["received_drops"]
    depends += [feed.name for first in families_before(family) for feed in FAMILIES[first].feeds]

    @dg.asset(
        key=asset_key(verified_asset_name(family)),
        group_name=family,
        deps=asset_keys(depends),
        kinds={"polars", "pandera"},
        description=f"The {family} files of the new drops, read strictly and judged line by line.",
    )
    def verify(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        night: dg.ResourceParam[NightDate],
    ) -> dg.MaterializeResult[None]:
        files = verify_family(warehouse.connection, warehouse.folders, family, night.of(context))
        if files.is_empty():
            return dg.MaterializeResult(metadata={"files": 0, "lines": 0})
        verdicts = dict(files.group_by("verdict").len().sort("verdict").iter_rows())
        return dg.MaterializeResult(
            metadata={
                "files": files.height,
                "lines": int(files["lines"].sum()),
                "accepted lines": int(files["accepted"].sum()),
                "rejected lines": int(files["rejected"].sum()),
                **{f"files {verdict}": count for verdict, count in verdicts.items()},
            }
        )

    return verify


def build_table_schema(feed: FeedSpec) -> dg.TableSchema:
    """Returns the feed's columns, which the UI shows even before the first run."""
    return dg.TableSchema(columns=[_table_column(c) for c in feed.columns.values()])


def _table_column(column: Column) -> dg.TableColumn:
    return dg.TableColumn(
        column.name,
        type=str(column.type),
        description=column.description,
        constraints=dg.TableColumnConstraints(
            nullable=column.requirement is not Requirement.REQUIRED,
            other=[f"at most {column.length} characters"] if column.length else [],
        ),
        tags={str(name): "" for name in sorted(column.classes)},
    )


TABLE_IS_SOUND = "table_is_sound"
RULES_ARE_MET = "newest_files_meet_the_rules"
ROSTERS_STAND = "no_district_lost_its_roster"
FOLDERS_STAND = "every_district_keeps_its_folder"
SSIDS_ARE_OWN = "every_ssid_is_one_students"
ROSTERS_AGREE = "students_are_those_of_the_transcripts"


def _build_checks(feed: FeedSpec) -> list[dg.AssetCheckSpec]:
    checks = [
        build_check(
            TABLE_IS_SOUND,
            feed.name,
            "The fates of each file's lines add up to the physical lines received; the "
            "table has the declared columns, and each key once.",
            blocking=True,
        ),
        build_check(
            RULES_ARE_MET,
            feed.name,
            "Each sender's newest file meets every rule. Yellow: rules are broken; of weight "
            "error they keep lines out. The receipts say which lines.",
        ),
    ]
    checks += [
        build_check(
            name,
            feed.name,
            TABLE_CHECKS[name].description,
            blocking=TABLE_CHECKS[name].blocking,
        )
        for name in feed.checks
    ]
    return checks


def _build_loading(family: str) -> dg.AssetsDefinition:
    feeds = FAMILIES[family].feeds

    @dg.multi_asset(
        name=f"load_{family}",
        specs=[
            dg.AssetSpec(
                asset_key(feed.name),
                deps=[asset_key(verified_asset_name(family))],
                group_name=family,
                kinds={"ducklake", "table"},
                description=f"{feed.title}.\n\n{(feed.model.__doc__ or '').strip()}\n\n"
                f"Key: {', '.join(feed.keys)}. Source: {feed.source}.",
                metadata={"dagster/column_schema": build_table_schema(feed)},
            )
            for feed in feeds
        ],
        check_specs=[check for feed in feeds for check in _build_checks(feed)],
        description=f"Loads verified {family} lines: upsert by key, one commit.",
    )
    def load(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        night: dg.ResourceParam[NightDate],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        connection, folders = warehouse.connection, warehouse.folders
        loaded = load_family(connection, folders, family, night.of(context))
        ledger = pl.concat([health_queries.NO_FATES, *(batch.ledger for batch in loaded)])
        changed = frozenset().union(*(batch.senders for batch in loaded))
        unbalanced = health_queries.count_unbalanced_files(connection)
        broken = health_queries.count_broken_rules(connection)
        outside = health_queries.count_events_outside_rosters(connection, feeds)
        for feed in feeds:
            state = LoadState(
                ledger.filter(pl.col("feed") == feed.name),
                changed,
                unbalanced.get(feed.name, 0),
                broken.filter(pl.col("feed") == feed.name).drop("feed"),
                outside.get(feed.name),
            )
            yield from _record_load(warehouse, feed, state)

    return load


@dataclass(frozen=True, slots=True)
class LoadState:
    """What is counted for all feeds of a family together, of one of them.

    ``ledger``: ``feed``, ``fate``, ``lines`` of tonight. ``changed``: the senders that were loaded.
    ``unbalanced``: files whose fates do not add up to their lines. ``broken``: rules that the
    newest files break. ``outside``: events of students outside the rosters, if it has events.
    """

    ledger: pl.DataFrame
    changed: Collection[str]
    unbalanced: int
    broken: pl.DataFrame
    outside: int | None


def _record_load(
    warehouse: Warehouse, feed: FeedSpec, state: LoadState
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """Yields the counts and checks that the UI shows of a feed after its load; never a value."""
    connection = warehouse.connection
    by_fate = state.ledger.group_by("fate").agg(pl.col("lines").sum()).sort("fate")
    fates = dict(by_fate.iter_rows())
    rows = health_queries.count_active_records(connection, feed)
    yield dg.MaterializeResult(
        asset_key=asset_key(feed.name),
        metadata={
            "dagster/row_count": rows,
            "lines received": sum(fates.values()),
            **(
                {}
                if state.outside is None
                else {"events of students outside the rosters": state.outside}
            ),
            **{f"lines {fate}": lines for fate, lines in fates.items()},
        },
    )
    result = partial(dg.AssetCheckResult, asset_key=asset_key(feed.name))
    faults = health_queries.find_table_faults(
        connection,
        feed,
        state.changed,
        read_profiles(warehouse.folders.warehouse),
    )
    yield result(
        check_name=TABLE_IS_SOUND,
        passed=not state.unbalanced and not faults,
        metadata={"files whose ledger does not add up": state.unbalanced, "faults": faults},
    )
    broken = state.broken
    errors = broken.filter(pl.col("severity") == "error")
    yield result(
        check_name=RULES_ARE_MET,
        passed=broken.is_empty(),
        severity=dg.AssetCheckSeverity.WARN,  # errors are for the pipeline's own faults
        description=f"{errors.height} rules of weight error and {broken.height - errors.height} "
        "warnings are broken in the senders' newest files.",
        metadata={"rules": build_count_table(broken)} if not broken.is_empty() else {},
    )
    for name in feed.checks:
        yield result(check_name=name, **TABLE_CHECKS[name].evaluate(connection, feed))


def _judge_claims(connection: duckdb.DuckDBPyConnection, _: FeedSpec) -> dict[str, Any]:
    """Counts the SSIDs that wait for an operator, by district."""
    counts = claims.count_waiting_claims(claims.read_claims(connection))
    rows = pl.DataFrame(
        list(counts.items()), schema={"district": pl.String, "SSIDs": pl.Int64}, orient="row"
    )
    return {
        "passed": not counts,
        "severity": dg.AssetCheckSeverity.WARN,
        "metadata": {"waiting": build_count_table(rows)} if counts else {},
    }


def _judge_folders(connection: duckdb.DuckDBPyConnection, _: FeedSpec) -> dict[str, Any]:
    """Lists the districts whose folder would have another name by the directory."""
    changes = outbox_folders.read_folder_changes(connection)
    return {
        "passed": not changes,
        "severity": dg.AssetCheckSeverity.WARN,
        "metadata": {"districts": [change.cd for change in changes]},
    }


_SCHOOLS_SHOWN = 100


def _judge_rosters_agree(connection: duckdb.DuckDBPyConnection, _: FeedSpec) -> dict[str, Any]:
    """Compares OneRoster's students with the transcripts', by school."""
    covered = rosters.compare_rosters(connection)
    apart = rosters.find_disagreeing_schools(covered)
    counts = covered.drop("district", "school").sum().row(0, named=True)
    return {
        "passed": apart.is_empty(),
        "severity": dg.AssetCheckSeverity.WARN,
        "metadata": {
            **{f"students {words}": int(count or 0) for words, count in counts.items()},
            "schools": covered.height,
            "schools that disagree": apart.height,
            **(
                {"disagreeing": build_count_table(apart.head(_SCHOOLS_SHOWN))}
                if apart.height
                else {}
            ),
        },
    }


def _judge_rosters_stand(connection: duckdb.DuckDBPyConnection, feed: FeedSpec) -> dict[str, Any]:
    """Finds districts that had a roster and have none."""
    lost = health_queries.find_districts_without_roster(connection, feed)
    return {"passed": not lost, "metadata": {"districts": lost}}


@dataclass(frozen=True, slots=True)
class TableCheck:
    """A check that only some feeds' tables get; ``evaluate`` returns the parts of its result."""

    description: str
    evaluate: Callable[[duckdb.DuckDBPyConnection, FeedSpec], dict[str, Any]]
    blocking: bool = False


TABLE_CHECKS: Mapping[str, TableCheck] = {
    ROSTERS_AGREE: TableCheck(
        "The students of each school in OneRoster are those of its district's transcript roster. "
        "Yellow: more than a tenth of some school's are in one only.",
        _judge_rosters_agree,
    ),
    FOLDERS_STAND: TableCheck(
        "No district's folder in the outbox would have another name by the directory. Yellow: it "
        "keeps the old one; `ccgi folders list` shows what waits for an approval.",
        _judge_folders,
    ),
    SSIDS_ARE_OWN: TableCheck(
        "No SSID is on the rosters of two districts under different identities, unless it is "
        "decided whose it is. Yellow: `ccgi claims list` shows what waits.",
        _judge_claims,
    ),
    ROSTERS_STAND: TableCheck(
        "Every district that ever had an accepted package has active students.",
        _judge_rosters_stand,
        blocking=True,
    ),
}
"""The checks by the names that feeds declare in ``FeedSpec.checks``."""


def build_count_table(rows: pl.DataFrame) -> dg.TableMetadataValue:
    """Returns a frame of counts and words as a table of the UI."""
    return dg.MetadataValue.table(
        [dg.TableRecord(row) for row in rows.iter_rows(named=True)],
        schema=dg.TableSchema(
            columns=[
                dg.TableColumn(name, "int" if dtype.is_integer() else "string")
                for name, dtype in rows.schema.items()
            ]
        ),
    )


@dg.definitions
def families() -> dg.Definitions:
    """Builds the assets of all families."""
    return dg.Definitions(
        assets=[
            build(family) for family in FAMILIES for build in (_build_verification, _build_loading)
        ]
    )
