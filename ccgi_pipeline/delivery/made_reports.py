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
    """The newest file of one report for one district; ``rows`` as in MadeFile."""

    owner: str
    name: str
    part: str
    path: str
    night: date
    rows: int | None


def read_newest_reports(
    ledger: DeliveryLedger, files: Iterable[tuple[str, str, str]], on: date
) -> list[NewestReport]:
    """Returns the newest file until ``on`` of each of ``files`` (owner, report, part)."""
    rows = _select_newest(ledger, "owner, name, part, path, night, rows", files, on)
    return [
        NewestReport(owner, name, part, path, date.fromisoformat(night), height)
        for owner, name, part, path, night, height in rows
    ]


def read_newest_records(
    ledger: DeliveryLedger, files: Iterable[tuple[str, str, str]], on: date
) -> list[MadeFile]:
    """Returns the records of the files of ``read_newest_reports``."""
    return [parse_made(row) for row in _select_newest(ledger, MADE, files, on)]


def _select_newest(
    ledger: DeliveryLedger, columns: str, files: Iterable[tuple[str, str, str]], on: date
) -> list[tuple[Any, ...]]:
    """Selects each newest file by one index look-up, however many nights there are."""
    database = ledger.database
    database.execute(
        "CREATE TEMP TABLE IF NOT EXISTS asked_reports (owner TEXT, name TEXT, part TEXT)"
    )
    database.execute("BEGIN")
    try:
        database.execute("DELETE FROM asked_reports")
        database.executemany("INSERT INTO asked_reports VALUES (?, ?, ?)", files)
        chosen = ", ".join(f"made.{column}" for column in columns.split(", "))
        return database.execute(
            f"SELECT {chosen} "
            "FROM asked_reports AS asked CROSS JOIN made ON made.rowid = ("
            "SELECT rowid FROM made WHERE kind = ? AND owner = asked.owner AND name = asked.name "
            "AND part = asked.part AND night <= ? ORDER BY night DESC, rowid DESC LIMIT 1)",
            [str(FileKind.REPORT), on.isoformat()],
        ).fetchall()
    finally:
        database.execute("ROLLBACK")


def count_unchanged_reports(ledger: DeliveryLedger, night: date) -> int:
    """Returns how many of a night's reports have the bytes of an earlier night; no spreadsheets."""
    row = ledger.database.execute(
        "SELECT count(*) FROM made WHERE night = ? AND kind = ? AND since < night "
        "AND rows IS NOT NULL AND NOT EXISTS (SELECT 1 FROM made AS later "
        "WHERE later.path = made.path AND later.rowid > made.rowid)",
        [night.isoformat(), str(FileKind.REPORT)],
    ).fetchone()
    return int(row[0])


def count_deliveries_by_night(ledger: DeliveryLedger, since: date) -> list[tuple[date, int, int]]:
    """Returns for each night from ``since`` on how many files arrived and how many wait."""
    rows = ledger.database.execute(
        "SELECT night, sum(state IN (?, ?, ?)), sum(state IN (?, ?, ?)) FROM deliveries "
        "WHERE night >= ? GROUP BY night ORDER BY night",
        [*map(str, ARRIVED), *map(str, UNDER_WAY), since.isoformat()],
    ).fetchall()
    return [(date.fromisoformat(night), arrived, waiting) for night, arrived, waiting in rows]
