"""What the page of a district shows, read for all districts in one pass.

Belongs here: combining what the warehouse, the reports and the ledger of deliveries know, and
cutting it apart by district. Does not belong here: single queries (warehouse.queries.trends,
reports.funnels), words and form (district_page).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb
import polars as pl

from ccgi_pipeline.dashboards.funnel_cache import read_current_funnels
from ccgi_pipeline.delivery.ledger import ledger_exists, open_ledger
from ccgi_pipeline.delivery.made_reports import NewestReport, read_newest_reports
from ccgi_pipeline.intake.inbox import is_cd_code
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import Profiles, month_and_day
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.suppression import GUARD, LARGEST_SMALL, MARKS
from ccgi_pipeline.warehouse.queries import trends
from ccgi_pipeline.warehouse.queries.directory import name_senders

STRIP = 30
"""Drops of a district that its strip of verdicts shows."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DistrictFacts:
    """The facts about one district, as plain rows.

    ``drops``: the last ones and the newest of each family, oldest first (``trends``).
    ``outcomes``: by drop, the rows of ``trends.read_newest_outcomes``. ``sizes``: ``night`` and
    ``students`` of the roster, empty where they are hidden. ``lines``: ``night``, ``lines``,
    ``kept_out``. ``funnel``: the rows of ``reports.funnels``. ``hides``: whether its
    profile hides small cells.
    """

    cd: str
    name: str
    county: str
    folder: str
    on: date
    drops: Sequence[Row] = ()
    outcomes: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    sizes: Sequence[Row] = ()
    lines: Sequence[Row] = ()
    reports: Sequence[NewestReport] = ()
    funnel: Sequence[Row] = ()
    hides: bool = False


def read_district_facts(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    profiles: Profiles,
    on: date,
    only: str | None = None,
) -> list[DistrictFacts]:
    """Returns the facts of every district that ever sent something, in the order of CD codes.

    The views of the reports must be there (``ensure_report_views``).
    """
    drops = split_rows(trends.read_recent_drops(connection, STRIP), "sender")
    sizes = split_rows(trends.read_roster_sizes(connection, on), "cd")
    cds = sorted(cd for cd in {*drops, *sizes} if is_cd_code(cd) and only in {None, cd})
    named = name_senders(connection, pl.Series("cd", cds, dtype=pl.String))
    since = min((_year_before(profiles, cd, on) for cd in cds), default=on)
    lines = split_rows(trends.read_lines_by_night(connection, since), "sender")
    outcomes = split_rows(trends.read_newest_outcomes(connection), "drop_id")
    funnel = split_rows(read_current_funnels(connection, folders.warehouse, profiles), "cd")
    reports = _read_reports(folders, cds, on)
    return [
        DistrictFacts(
            cd=cd,
            name=name,
            county=county,
            folder=folder,
            on=on,
            drops=drops.get(cd, ()),
            outcomes={d["drop_id"]: outcomes.get(d["drop_id"], ()) for d in drops.get(cd, ())},
            sizes=[]
            if hides_sizes(profiles, cd, sizes.get(cd, ()))
            else _cut(sizes.get(cd, ()), begins),
            lines=[row for row in lines.get(cd, ()) if row["night"] >= begins],
            reports=reports.get(cd, ()),
            funnel=funnel.get(cd, ()),
            hides=profiles.of(cd).delivery.small_cells in MARKS,
        )
        for cd, county, name, folder in named.select(
            "cd", "County", "District", "folder"
        ).iter_rows()
        for begins in [_year_before(profiles, cd, on)]
    ]


def split_rows(rows: pl.DataFrame, by: str) -> dict[str, list[dict[str, Any]]]:
    """Returns the rows as mappings, by their column ``by``."""
    parts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.iter_rows(named=True):
        parts[row[by]].append(row)
    return parts


def _year_before(profiles: Profiles, cd: str, on: date) -> date:
    """Returns the day on which the last school year of the district began.

    The charts begin there: they have the year under way and the one before it to compare with.
    """
    profile = profiles.of(cd)
    month, day = month_and_day(profile.school_year_starts)
    years = profile.school_year(on) - 2
    return date(years, month, day) if (month, day) != (2, 29) else date(years, 3, 1)


def _cut(sizes: Sequence[Row], begins: date) -> list[Row]:
    """Returns the sizes from a day on; the size that was in force then stands at that day."""
    before = [row for row in sizes if row["night"] < begins]
    since = [row for row in sizes if row["night"] >= begins]
    if before and (not since or since[0]["night"] > begins):
        since.insert(0, {**before[-1], "night": begins})
    return since


def _read_reports(
    folders: PipelinePaths, cds: Collection[str], on: date
) -> dict[str, list[NewestReport]]:
    if not ledger_exists(folders.warehouse):
        return {}
    asked = [
        (cd, spec.name, file)
        for cd in cds
        for spec in REPORTS
        if spec.only_for is None or cd in spec.only_for
        for file in spec.files
    ]
    with open_ledger(folders.warehouse) as ledger:
        newest = read_newest_reports(ledger, asked, on)
    found: defaultdict[str, list[NewestReport]] = defaultdict(list)
    for report in newest:
        found[report.owner].append(report)
    return found


def hides_sizes(profiles: Profiles, cd: str, sizes: Sequence[Row]) -> bool:
    """Returns whether the district hides small cells, and its roster is or was one.

    A curve with one point left out would tell the point, so the whole curve is left out.
    """
    small = any(0 < row["students"] <= LARGEST_SMALL + GUARD for row in sizes)
    return small and profiles.of(cd).delivery.small_cells in MARKS


def group_by_week(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Adds up ``lines`` and ``kept_out`` by week, named by its Monday, if the nights are many."""
    if len(rows) <= _MOST_NIGHTS:
        return [dict(row) for row in rows]
    weeks: dict[date, dict[str, Any]] = {}
    for row in rows:
        monday = row["night"] - timedelta(days=row["night"].weekday())
        week = weeks.setdefault(monday, {"night": monday, "lines": 0, "kept_out": 0, "week": True})
        week["lines"] += row["lines"]
        week["kept_out"] += row["kept_out"]
    return [*weeks.values()]


_MOST_NIGHTS = 60
"""With more bars a chart cannot be read."""
