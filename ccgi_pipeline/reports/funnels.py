"""How far a district's students have come, by school and grade: the counts of its page.

Belongs here: which reports the counts come from, and one count that no report has. A count is shown
where the aggregates that the district gets show it, and nowhere else. Does not belong here: the
rule for small cells (suppression), the page (dashboards).

In a district that hides small cells, a row that is missing in an aggregate may be none or left out;
a reader cannot tell which, so neither can the page: such a count is null.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import polars as pl

from ccgi_pipeline.common.spreadsheet_cells import sanitize_cells
from ccgi_pipeline.eligibility.evaluation import MEETS, ON_TRACK
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.basis import compute_bases
from ccgi_pipeline.reports.queries import (
    build_sent_aggregate_rows,
    create_detail_table,
    hold_roster,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import PLACE, ReportColumn, ReportSpec, Tables, shipped_query
from ccgi_pipeline.reports.suppression import COUNT, GUARD, LARGEST_SMALL, MARKS

_BY_NAME = {spec.name: spec for spec in REPORTS}

APPLICATION_PROGRESS = ReportSpec(
    name="college_application_progress",
    title="College applications, however many a student has",
    folder=("_receipts",),
    query=shipped_query("college_application_progress.sql"),
    columns=(ReportColumn("Application Progress", None, "Started or Submitted."),),
    rules=("A row for each student with an application to a college.",),
    dimensions=("Application Progress",),
    # It counts the same students as that report, so what is hidden there is hidden here.
    tables=Tables(linked_to="applications_and_launches"),
    files=("Agg",),
)


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """A count of the page: the report and the words of its dimension that are counted.

    ``words``: None counts every row.
    """

    name: str
    report: ReportSpec
    words: frozenset[str] | None = None

    @property
    def dimension(self) -> str:
        """The dimension of the report that the words are of: its last."""
        return self.report.dimensions[-1]


_CSU = _BY_NAME["csu_eligibility"]
_AID = _BY_NAME["fafsa_applications"]
STEPS = (
    FunnelStep("registered", _BY_NAME["account_registrations"], frozenset({"Registered"})),
    FunnelStep("applied", APPLICATION_PROGRESS),
    FunnelStep("submitted", APPLICATION_PROGRESS, frozenset({"Submitted"})),
    FunnelStep("aid_applied", _AID),
    FunnelStep("aid_submitted", _AID, frozenset({"Submitted", "Completed"})),
    FunnelStep("on_track", _CSU, frozenset({MEETS, ON_TRACK})),
)
_KEYS = ("cd", "School", "Grade Level")


def compute_funnel_bases(
    connection: duckdb.DuckDBPyConnection, profiles: Profiles, cds: Sequence[str]
) -> dict[str, str]:
    """Returns by CD code a digest of all that the counts depend on (``basis``)."""
    specs = {step.report.name: step.report for step in STEPS}.values()
    bases = [compute_bases(connection, spec, profiles, REPORTS, cds) for spec in specs]
    return {cd: hashlib.sha256("".join(of[cd] for of in bases).encode()).hexdigest() for cd in cds}


def read_funnels(
    connection: duckdb.DuckDBPyConnection, profiles: Profiles, cds: Sequence[str]
) -> pl.DataFrame:
    """Returns the counts of districts by school and grade; ``create_report_views`` came first.

    Columns: ``cd``, ``School``, ``Grade Level``, ``students``, and each of ``STEPS``. A count is
    null where the district's aggregates do not show it.
    """
    hold_roster(connection)
    places = connection.execute(
        'SELECT cd, School, "Grade Level", count(*)::BIGINT AS students '
        "FROM roster WHERE list_contains($cds, cd) GROUP BY ALL ORDER BY ALL",
        {"cds": [*cds]},
    ).pl()
    places = sanitize_cells(places, ["School", "Grade Level"])  # as the aggregates print them
    hiding = [cd for cd in places["cd"].unique() if profiles.of(cd).delivery.small_cells in MARKS]
    hides = pl.col("cd").is_in(hiding)
    counted = places
    rows_of: dict[str, pl.DataFrame] = {}
    for step in STEPS:
        if step.report.name not in rows_of:
            rows_of[step.report.name] = _read_shown_rows(connection, step.report, profiles, cds)
        shown = _count_step(rows_of[step.report.name], step)
        counted = counted.join(
            shown, on=[*_KEYS], how="left", nulls_equal=True, maintain_order="left"
        )
    small = hides & (pl.col("students") <= LARGEST_SMALL + GUARD)
    names = [step.name for step in STEPS]
    return counted.with_columns(
        *(pl.when(hides).then(name).otherwise(pl.col(name).fill_null(0)).alias(name)
          for name in names),
    ).with_columns(
        pl.when(small).then(None).otherwise(name).alias(name) for name in ("students", *names)
    )  # fmt: skip


def _read_shown_rows(
    connection: duckdb.DuckDBPyConnection,
    spec: ReportSpec,
    profiles: Profiles,
    cds: Sequence[str],
) -> pl.DataFrame:
    """Returns the rows of an aggregate as districts get them; counts only, without percentages.

    Rows of other districts than ``cds`` may be among them.
    """
    chosen = ("cd", "cds_code", "SSID", *PLACE, "Grade Level", *spec.dimensions)
    create_detail_table(connection, spec, chosen, cds)
    return build_sent_aggregate_rows(connection, spec, profiles, REPORTS, cds)


def _count_step(rows: pl.DataFrame, step: FunnelStep) -> pl.DataFrame:
    """Returns the step's count of each school and grade that has rows; null if one is hidden."""
    count = pl.col(COUNT).cast(pl.Int64, strict=False)
    counts_here = (
        pl.lit(value=True) if step.words is None else pl.col(step.dimension).is_in(step.words)
    )
    return rows.group_by(_KEYS).agg(
        pl.when(count.is_null().any())
        .then(None)
        .otherwise(count.filter(counts_here).sum())
        .alias(step.name)
    )


def sum_funnels(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> dict[str, int]:
    """Adds up the rows that show ``students`` and each of ``names``; ``rows`` says how many.

    A sum of shown counts tells nothing that they do not tell.
    """
    shown = [row for row in rows if all(row[name] is not None for name in ("students", *names))]
    sums = {name: sum(int(str(row[name])) for row in shown) for name in ("students", *names)}
    return {**sums, "rows": len(shown)}
