"""How things stand: each sender's newest drop of each family, and what was last delivered to it.

Belongs here: putting together what the warehouse and the ledger of deliveries know, for who runs
the pipeline. Codes, counts, verdicts and nights: nothing of a pupil.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.delivery import ledger as deliveries
from ccgi_pipeline.districts import districts
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.queries.directory import read_directory
from ccgi_pipeline.warehouse.storage.connection import open_warehouse


@dataclass(frozen=True, slots=True)
class DistrictStatus:
    """How one sender stands with one family.

    ``days``: since the night of its newest drop. ``kept_out``: lines of that drop that were not
    loaded. ``delivered``: the moment (UTC) of the last delivery to the sender, if there ever was
    one; ``waiting``: files that are still to be sent to it.
    """

    sender: str
    name: str
    family: str
    night: date
    days: int
    verdict: str
    lines: int
    kept_out: int
    delivered: str | None
    waiting: int

    @property
    def bad(self) -> bool:
        """Whether somebody should look: the drop was refused or is held, or a file waits."""
        return self.verdict in {Verdict.REJECTED, Verdict.HELD} or self.waiting > 0


def read_statuses(warehouse: Path, on: date, only: str | None = None) -> list[DistrictStatus]:
    """Every sender's standing with every family that it ever sent (``only`` one sender's)."""
    with open_warehouse(warehouse, read_only=True) as connection:
        return query_statuses(connection, warehouse, on, only)


def query_statuses(
    connection: duckdb.DuckDBPyConnection, warehouse: Path, on: date, only: str | None = None
) -> list[DistrictStatus]:
    """The same, of a warehouse that is open."""
    newest = health_queries.read_newest_drops(connection)
    senders = pl.Series("cd", newest["sender"].unique(), dtype=pl.String)
    named = districts(read_directory(connection), senders)
    names = dict(named.select("cd", "District").iter_rows())
    sent: dict[str, tuple[str | None, int]] = {}
    if deliveries.ledger_exists(warehouse):
        with deliveries.open_ledger(warehouse) as ledger:
            sent = ledger.summarize_by_owner()
    return [
        DistrictStatus(
            sender,
            names.get(sender) or sender,
            family,
            night,
            (on - night).days,
            verdict,
            lines,
            kept_out,
            *sent.get(sender, (None, 0)),
        )
        for sender, family, night, verdict, lines, kept_out in newest.iter_rows()
        if only in {None, sender}
    ]


def format_markdown(standings: Sequence[DistrictStatus], most: int) -> str:
    """Standings as a table, the worst first; of more than ``most``, how many are left out."""
    shown = sorted(standings, key=_how_bad)[:most]
    # Without a server nothing is delivered, and there is nothing to say of it.
    sent = any(standing.delivered or standing.waiting for standing in shown)
    head = [*_HEAD, *(_HEAD_OF_DELIVERY if sent else ())]
    rows = [
        [
            *(_named(standing), standing.family, standing.verdict.replace("_", " ")),
            *(f"{standing.night:%Y-%m-%d}", f"{standing.days:,}"),
            f"{standing.kept_out:,} of {standing.lines:,}",
            *(_delivery(standing) if sent else ()),
        ]
        for standing in shown
    ]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    left_out = len(standings) - len(shown)
    return "\n".join([*lines, *([f"\n{left_out:,} more: `ccgi status`"] if left_out else [])])


_HEAD = ["sender", "family", "last drop", "night", "days ago", "lines kept out"]
_HEAD_OF_DELIVERY = ["last delivery (UTC)", "files to send"]


def _named(standing: DistrictStatus) -> str:
    if standing.name == standing.sender:
        return standing.sender
    # A name in a directory could hold anything; it stays within its cell.
    name = standing.name.replace("|", "/").replace("\n", " ")
    return f"{name} ({standing.sender})"


def _delivery(standing: DistrictStatus) -> tuple[str, str]:
    return (standing.delivered or "")[:16].replace("T", " "), f"{standing.waiting:,}"


_WORST = (Verdict.REJECTED, Verdict.HELD)


def _how_bad(standing: DistrictStatus) -> tuple[bool, bool, int, str, str]:
    return (
        standing.verdict not in _WORST,
        not standing.waiting,
        -standing.days,
        standing.sender,
        standing.family,
    )
