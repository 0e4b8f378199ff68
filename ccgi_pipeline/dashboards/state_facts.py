"""What the page of the state shows: every district, who needs a call, and how nights go.

Belongs here: combining what the warehouse, the ledger and the monitoring know, and the reasons for
a call. Does not belong here: single queries (warehouse.queries, delivery.made_reports), words and
form of the page (state_page).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb
import polars as pl

from ccgi_pipeline.dashboards.district_facts import Row, hides_sizes, split_rows
from ccgi_pipeline.delivery.ledger import ledger_exists, open_ledger
from ccgi_pipeline.delivery.made_reports import count_deliveries_by_night
from ccgi_pipeline.intake.inbox import is_cd_code
from ccgi_pipeline.intake.inbox_state import read_refusing_servers
from ccgi_pipeline.monitoring.district_status import (
    DistrictStatus,
    query_statuses,
    read_key_notices,
)
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.cadence import is_in_academic_year
from ccgi_pipeline.verification import labels
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.load.claims import count_waiting_claims, read_claims
from ccgi_pipeline.warehouse.queries import trends
from ccgi_pipeline.warehouse.queries.directory import name_senders

NIGHTS = 60
"""Days back that the charts of the state show."""
STRIP = 8
"""Drops of a district that its row shows."""
SILENT_DAYS = 30
"""A district of which nothing came for so many days of the academic year is called."""
ERROR_SHARE = 0.10
"""A district is called if a larger share of its newest drop's lines has errors. A line about a
student whom Foster Focus does not know has none: most districts have such lines."""


@dataclass(frozen=True, slots=True)
class NightTime:
    """How long a night took, as the orchestrator recorded it."""

    night: date
    seconds: float


@dataclass(frozen=True, slots=True)
class DistrictRow:
    """A district in the table of the state. ``reasons``: why it needs a call, if it does.

    ``statuses``: its newest drops, one a family. ``sizes``: empty where they are hidden.
    """

    cd: str
    name: str
    county: str
    drops: Sequence[Row]
    sizes: Sequence[Row]
    statuses: Sequence[DistrictStatus]
    reasons: Sequence[str] = ()

    @property
    def waiting(self) -> int:
        """Files that are still to be sent to the district."""
        return max((status.waiting for status in self.statuses), default=0)


@dataclass(frozen=True, slots=True)
class StateFacts:
    """The facts of the state's page. Each row of a chart has its ``night``."""

    on: date
    installation: str
    districts: Sequence[DistrictRow] = ()
    errors: Sequence[Row] = ()
    answers: Sequence[Row] = ()
    deliveries: Sequence[tuple[date, int, int]] = ()
    nights: Sequence[NightTime] = ()
    refusing: Mapping[str, str] = field(default_factory=dict)


def read_state_facts(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    profiles: Profiles,
    on: date,
    nights: Sequence[NightTime] = (),
) -> StateFacts:
    """Returns the facts of the state's page."""
    since = on - timedelta(days=NIGHTS)
    deliveries: list[tuple[date, int, int]] = []
    if ledger_exists(folders.warehouse):
        with open_ledger(folders.warehouse) as ledger:
            deliveries = count_deliveries_by_night(ledger, since)
    return StateFacts(
        on=on,
        installation=profiles.notices.installation,
        districts=_read_districts(connection, folders, profiles, on),
        errors=trends.count_errors_by_rule(connection, since).rows(named=True),
        answers=trends.count_lookup_answers(connection, since).rows(named=True),
        deliveries=deliveries,
        nights=[one for one in nights if one.night >= since],
        refusing=read_refusing_servers(folders.warehouse),
    )


def _read_districts(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, profiles: Profiles, on: date
) -> list[DistrictRow]:
    drops = split_rows(trends.read_recent_drops(connection, STRIP), "sender")
    sizes = split_rows(trends.read_roster_sizes(connection, on), "cd")
    statuses: defaultdict[str, list[DistrictStatus]] = defaultdict(list)
    for status in query_statuses(connection, folders.warehouse, on):
        statuses[status.sender].append(status)
    outcomes = split_rows(trends.read_newest_outcomes(connection), "drop_id")
    claims = count_waiting_claims(read_claims(connection))
    _, held = read_key_notices(folders.warehouse)
    cds = sorted(cd for cd in {*drops, *sizes} if is_cd_code(cd))
    named = name_senders(connection, pl.Series("cd", cds, dtype=pl.String))
    return [
        DistrictRow(
            cd=cd,
            name=name,
            county=county,
            drops=[drop for drop in drops.get(cd, ()) if drop["recent"]],
            sizes=[] if hides_sizes(profiles, cd, sizes.get(cd, ())) else sizes.get(cd, ()),
            statuses=statuses[cd],
            reasons=[
                *find_reasons(
                    statuses[cd],
                    sizes.get(cd, ()),
                    _count_rejected(drops.get(cd, ()), outcomes),
                    in_year=is_in_academic_year(profiles.of(cd).cadence.academic_years, on),
                ),
                *_find_other_reasons(claims.get(cd, 0), held.get(cd)),
            ],
        )
        for cd, county, name in named.select("cd", "County", "District").iter_rows()
    ]


def _count_rejected(drops: Sequence[Row], outcomes: Mapping[str, Sequence[Row]]) -> dict[str, int]:
    """Returns by family how many lines of the newest drop have errors."""
    return {
        drop["family"]: sum(
            row["lines"] for row in outcomes.get(drop["drop_id"], ()) if row["fate"] == "rejected"
        )
        for drop in drops
        if drop["newest"]
    }


def find_reasons(
    statuses: Sequence[DistrictStatus],
    sizes: Sequence[Row],
    rejected: Mapping[str, int],
    *,
    in_year: bool,
) -> list[str]:
    """Returns why a district needs a call, the worst first; none if it does not.

    ``rejected``: by family, the lines of its newest drop that have errors. ``in_year``: whether the
    day is in the district's academic year; outside, silence is no reason.
    """
    reasons = []
    for status in statuses:
        title = labels.family(status.family)
        said = labels.VERDICTS[status.verdict].lower()
        if status.verdict in {Verdict.REJECTED, Verdict.HELD}:
            reasons.append(f"{title}: {said} since {labels.day(status.night)}")
        elif (errors := rejected.get(status.family, 0)) > ERROR_SHARE * status.lines:
            reasons.append(
                f"{title}: {errors:,} of {labels.counted(status.lines, 'line')} not loaded, "
                "because of errors"
            )
    if sizes and not sizes[-1]["students"]:
        reasons.append("no student is on the roster any more")
    quiet = min((status.days for status in statuses), default=0)
    if in_year and quiet > SILENT_DAYS:
        reasons.append(f"nothing has arrived for {quiet:,} days")
    waiting = max((status.waiting for status in statuses), default=0)
    if waiting:
        are = "file waits" if waiting == 1 else "files wait"
        reasons.append(f"{waiting:,} {are} to be sent")
    return reasons


def _find_other_reasons(claims: int, held: str | None) -> list[str]:
    reasons = []
    if claims:
        reasons.append(f"{labels.counted(claims, 'SSID')} claimed by two districts")
    if held:
        reasons.append(f"nothing is sent: {held}")
    return reasons


def rank_errors(rows: Sequence[Row], most: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Returns the errors by night of the ``most`` frequent rules and of the others, and the rules.

    The rules are in the order of their counts; the others are called OTHERS.
    """
    totals: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        totals[row["rule"]] += row["places"]
    ranked = sorted(totals, key=lambda rule: (-totals[rule], rule))
    top = ranked[:most]
    grouped: defaultdict[tuple[date, str], int] = defaultdict(int)
    for row in rows:
        grouped[row["night"], row["rule"] if row["rule"] in top else OTHERS] += row["places"]
    kinds = [*top, *([OTHERS] if len(ranked) > most else [])]
    return (
        [
            {"night": night, "kind": kind, "value": grouped[night, kind]}
            for night in sorted({night for night, _ in grouped})
            for kind in kinds
            if grouped[night, kind]
        ],
        kinds,
    )


OTHERS = "other rules"
