"""The status of each sender: its newest drops, its last delivery, and when its reports are due.

Belongs here: combining what the warehouse and the ledger of deliveries know, for operators. Codes,
counts, verdicts and nights: nothing of a student.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.delivery import ledger as deliveries
from ccgi_pipeline.delivery.envelopes import find_held_owners
from ccgi_pipeline.districts import districts
from ccgi_pipeline.encryption.openpgp_key_store import read_key_ring
from ccgi_pipeline.encryption.openpgp_keys import find_key_warnings
from ccgi_pipeline.nightly.report import read_cadence
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.reports.cadence import CadenceState
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.warehouse.load.claims import count_waiting_claims, read_claims
from ccgi_pipeline.warehouse.queries import health as health_queries
from ccgi_pipeline.warehouse.queries.applications import count_shared_cccids
from ccgi_pipeline.warehouse.queries.directory import read_directory
from ccgi_pipeline.warehouse.storage.connection import open_warehouse


@dataclass(frozen=True, slots=True)
class DistrictStatus:
    """The status of one sender and family.

    ``days``: since the night of its newest drop. ``kept_out``: lines of that drop that were not
    loaded. ``delivered``: the time (UTC) of the last delivery to the sender, if there was one.
    ``waiting``: how many files are still to be sent to it.
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
    def age(self) -> str:
        """Days since its night, in words where the day that is looked at lies before it."""
        return f"{self.days:,}" if self.days >= 0 else "later"

    @property
    def needs_attention(self) -> bool:
        """Whether it needs attention: the drop was rejected or is held, or a file waits."""
        return self.verdict in {Verdict.REJECTED, Verdict.HELD} or self.waiting > 0


def read_statuses(warehouse: Path, on: date, only: str | None = None) -> list[DistrictStatus]:
    """Returns the status of every sender and family; with ``only``, of one sender."""
    with open_warehouse(warehouse, read_only=True) as connection:
        return query_statuses(connection, warehouse, on, only)


def count_claims(warehouse: Path, only: str | None = None) -> dict[str, int]:
    """Returns by district how many SSIDs of its roster wait for an operator."""
    with open_warehouse(warehouse, read_only=True) as connection:
        counts = count_waiting_claims(read_claims(connection))
    return {cd: count for cd, count in counts.items() if only in {None, cd}}


def read_report_cadence(warehouse: Path, on: date, only: str | None = None) -> list[CadenceState]:
    """Returns how the reports of all districts stand that are not written daily on that day."""
    with open_warehouse(warehouse, read_only=True) as connection:
        return query_report_cadence(connection, warehouse, on, only)


def query_report_cadence(
    connection: duckdb.DuckDBPyConnection, warehouse: Path, on: date, only: str | None = None
) -> list[CadenceState]:
    """Returns the same from a warehouse that is open."""
    cds = [cd for cd in health_queries.read_districts_with_roster(connection) if only in {None, cd}]
    states = read_cadence(warehouse, read_profiles(warehouse), cds, on)
    return [state for state in states if not state.daily]


def count_cccids(warehouse: Path) -> int:
    """Returns how many CCCIDs are on the applications of two students or more."""
    with open_warehouse(warehouse, read_only=True) as connection:
        return count_shared_cccids(connection)


def read_key_notices(warehouse: Path, only: str | None = None) -> tuple[list[str], dict[str, str]]:
    """Returns the messages about OpenPGP keys, and the owners to whom nothing may be sent.

    The latter each with the reason.
    """
    ring, now = read_key_ring(warehouse), datetime.now(UTC)
    held = find_held_owners(ring, read_profiles(warehouse), now)
    warnings = find_key_warnings(ring, now)
    return (
        [told.words for told in warnings if only in {None, told.stored.owner}],
        {owner: fault for owner, fault in held.items() if only in {None, owner}},
    )


def query_statuses(
    connection: duckdb.DuckDBPyConnection, warehouse: Path, on: date, only: str | None = None
) -> list[DistrictStatus]:
    """Returns the same from a warehouse that is open."""
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


def format_markdown(statuses: Sequence[DistrictStatus], most: int) -> str:
    """Formats statuses as a table, the worst first; of more than ``most``, counts the rest."""
    shown = sorted(statuses, key=_sort_by_need)[:most]
    # Without a server nothing is delivered, and two columns would be empty.
    sent = any(status.delivered or status.waiting for status in shown)
    head = [*_HEAD, *(_HEAD_OF_DELIVERY if sent else ())]
    rows = [
        [
            *(_format_sender(status), status.family, status.verdict.replace("_", " ")),
            *(f"{status.night:%Y-%m-%d}", status.age),
            f"{status.kept_out:,} of {status.lines:,}",
            *(_format_delivery(status) if sent else ()),
        ]
        for status in shown
    ]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    left_out = len(statuses) - len(shown)
    return "\n".join([*lines, *([f"\n{left_out:,} more: `ccgi status`"] if left_out else [])])


_HEAD = ["sender", "family", "last drop", "night", "days ago", "lines kept out"]
_HEAD_OF_DELIVERY = ["last delivery (UTC)", "files to send"]


def _format_sender(status: DistrictStatus) -> str:
    if status.name == status.sender:
        return status.sender
    # A name in a directory could hold anything; it stays within its cell.
    name = status.name.replace("|", "/").replace("\n", " ")
    return f"{name} ({status.sender})"


def _format_delivery(status: DistrictStatus) -> tuple[str, str]:
    return (status.delivered or "")[:16].replace("T", " "), f"{status.waiting:,}"


_WORST = (Verdict.REJECTED, Verdict.HELD)


def _sort_by_need(status: DistrictStatus) -> tuple[bool, bool, int, str, str]:
    return (
        status.verdict not in _WORST,
        not status.waiting,
        -status.days,
        status.sender,
        status.family,
    )
