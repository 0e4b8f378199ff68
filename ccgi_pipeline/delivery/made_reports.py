"""The newest files of reports and the deliveries of each night, as the ledger counts them.

Belongs here: what reports and pages read of the ledger. Does not belong here: its tables (ledger).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from ccgi_pipeline.delivery.ledger import (
    ARRIVED,
    MADE,
    UNDER_WAY,
    DeliveryLedger,
    FileKind,
    MadeFile,
    parse_made,
)


@dataclass(frozen=True, slots=True)
class NewestReport:
    """The newest file of one report for one district; ``rows`` and ``since`` as in MadeFile."""

    owner: str
    name: str
    part: str
    since: date
    rows: int | None


def read_newest_reports(
    ledger: DeliveryLedger, files: Iterable[tuple[str, str, str]], on: date
) -> list[NewestReport]:
    """Returns the newest file until ``on`` of each of ``files`` (owner, report, part)."""
    columns = "owner, name, part, coalesce(since, night), rows"
    rows = _select_newest(ledger, columns, FileKind.REPORT, files, on)
    return [
        NewestReport(owner, name, part, date.fromisoformat(since), height)
        for owner, name, part, since, height in rows
    ]


def read_newest_records(
    ledger: DeliveryLedger, kind: FileKind, files: Iterable[tuple[str, str, str]], on: date
) -> list[MadeFile]:
    """Returns the newest record until ``on`` of each of ``files`` (owner, name, part)."""
    return [parse_made(row) for row in _select_newest(ledger, MADE, kind, files, on)]


def _select_newest(
    ledger: DeliveryLedger,
    columns: str,
    kind: FileKind,
    files: Iterable[tuple[str, str, str]],
    on: date,
) -> list[tuple[Any, ...]]:
    """Selects each newest file by one index look-up, however many nights there are."""
    database = ledger.database
    database.execute("CREATE TEMP TABLE IF NOT EXISTS asked (owner TEXT, name TEXT, part TEXT)")
    database.execute("BEGIN")
    try:
        database.execute("DELETE FROM asked")
        database.executemany("INSERT INTO asked VALUES (?, ?, ?)", files)
        return database.execute(
            f"SELECT {columns} FROM made WHERE rowid IN ("
            "SELECT (SELECT rowid FROM made WHERE kind = ? AND owner = asked.owner "
            "AND name = asked.name AND part = asked.part AND night <= ? "
            "ORDER BY night DESC, rowid DESC LIMIT 1) FROM asked)",
            [str(kind), on.isoformat()],
        ).fetchall()
    finally:
        database.execute("ROLLBACK")


def count_deliveries_by_night(ledger: DeliveryLedger, since: date) -> list[tuple[date, int, int]]:
    """Returns for each night from ``since`` on how many files arrived and how many wait."""
    rows = ledger.database.execute(
        "SELECT night, sum(state IN (?, ?, ?)), sum(state IN (?, ?, ?)) FROM deliveries "
        "WHERE night >= ? GROUP BY night ORDER BY night",
        [*map(str, ARRIVED), *map(str, UNDER_WAY), since.isoformat()],
    ).fetchall()
    return [(date.fromisoformat(night), arrived, waiting) for night, arrived, waiting in rows]
