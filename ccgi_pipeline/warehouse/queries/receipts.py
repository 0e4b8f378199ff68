"""Receipts: which drops need one, and what it says.

Belongs here: reading the ledger for receipts. A receipt depends on the warehouse, the archive and
the profiles alone, so that it can be made again with the same bytes. Does not belong here: the form
of a receipt (verification.receipts, verification.receipt_html), its folder (nightly.respond).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.districts import districts
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.intake.archive import Archive, ArchiveDamagedError
from ccgi_pipeline.intake.findings import EXPLAINED_SCHEMA
from ccgi_pipeline.intake.inbox import is_cd_code
from ccgi_pipeline.intake.received_files import open_received_files
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.cells import as_shown, read_cells
from ccgi_pipeline.verification.drop_files import FileToVerify, files_to_verify
from ccgi_pipeline.verification.next_steps import Repeated, SentDrop
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.verification.receipt_html import render_duplicate, render_receipt
from ccgi_pipeline.verification.receipts import (
    FIRST_LINES,
    FileReport,
    format_receipt_csv,
    format_receipt_json,
)
from ccgi_pipeline.warehouse.queries.directory import read_directory
from ccgi_pipeline.warehouse.queries.drops import read_received_drops
from ccgi_pipeline.warehouse.queries.foster_flags import read_disagreeing_flags

_LOG = logging.getLogger(__name__)
_LINKED = ", ".join(f"'{family.name}'" for family in FAMILIES.values() if family.link)
"""Families whose records are linked to a register, as SQL lists them."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receipt of a drop. ``again``: the path under which the drop came a second time."""

    drop_id: str
    sender: str
    family: str
    verdict: str
    night: date
    again: str | None = None

    @property
    def stem(self) -> str:
        """The receipt's file name without extension: night, family, drop."""
        end = "_duplicate" if self.again else ""
        return f"{self.night:%Y%m%d}_{self.family}_{self.drop_id}{end}"


_NEW = """
    SELECT drop_id, sender, family, verdict, night FROM drops {due_only} ORDER BY position
"""
_AGAIN = """
    SELECT drop_id, sender, family, duplicates.night, min(path)
    FROM duplicates JOIN drops USING (drop_id) {due_only}
    GROUP BY ALL ORDER BY ALL
"""


def read_due_receipts(connection: duckdb.DuckDBPyConnection) -> list[Receipt]:
    """Returns the receipts that are due: of new drops, then of drops that came again."""
    return _read_receipts(
        connection,
        _NEW.format(due_only="ANTI JOIN receipts USING (drop_id)"),
        _AGAIN.format(
            due_only="ANTI JOIN receipts AS sent "
            "ON sent.drop_id = duplicates.drop_id || '_duplicate' AND sent.night = duplicates.night"
        ),
    )


def read_receipts_by_stem(connection: duckdb.DuckDBPyConnection) -> dict[str, Receipt]:
    """Returns the receipts of all drops, written or not, by their file names' stems."""
    every = _read_receipts(connection, _NEW.format(due_only=""), _AGAIN.format(due_only=""))
    return {receipt.stem: receipt for receipt in every}


def _read_receipts(connection: duckdb.DuckDBPyConnection, new: str, again: str) -> list[Receipt]:
    return [
        *(Receipt(*row) for row in connection.execute(new).fetchall()),
        *(
            Receipt(drop_id, sender, family, Verdict.DUPLICATE, night, path)
            for drop_id, sender, family, night, path in connection.execute(again).fetchall()
        ),
    ]


def build_receipts(
    connection: duckdb.DuckDBPyConnection,
    receipts: Sequence[Receipt],
    archive: Archive,
    profiles: Profiles,
) -> Iterator[tuple[Receipt, list[tuple[str, bytes]]]]:
    """Yields each receipt with its files (name and content).

    ``archive`` serves districts that want cells in their receipts; ``profiles`` say which.
    """
    dictionary = profiles.receipts.dictionary_url
    names = _names(connection, [receipt.sender for receipt in receipts])
    reports = _file_reports(connection, [receipt.drop_id for receipt in receipts])
    first = _first_time(connection, [receipt for receipt in receipts if receipt.again])
    for receipt in receipts:
        wanted = is_cd_code(receipt.sender) and profiles.of(receipt.sender).receipts.show_values
        head = {
            "drop": receipt.drop_id,
            "sender": receipt.sender,
            "family": receipt.family,
            "night": f"{receipt.night:%Y-%m-%d}",
            "verdict": str(receipt.verdict),
        }
        delivery = SentDrop(
            drop=receipt.drop_id,
            sender=receipt.sender,
            name=names[receipt.sender],
            family=receipt.family,
            night=receipt.night,
            verdict=str(receipt.verdict),
            stem=receipt.stem,
            values_shown=wanted and not receipt.again,
        )
        if receipt.again:
            head["message"] = f"{receipt.again} has the content of a drop that was taken before."
            page = render_duplicate(delivery, first[receipt])
            yield (
                receipt,
                [
                    (f"{receipt.stem}.json", format_receipt_json(head, [])),
                    (f"{receipt.stem}.html", page),
                ],
            )
            continue
        files = reports[receipt.drop_id]
        if wanted:
            files = _with_cells(connection, receipt, files, archive)
        yield (
            receipt,
            [
                (f"{receipt.stem}.json", format_receipt_json(head, files, dictionary)),
                (f"{receipt.stem}.csv", format_receipt_csv(files, with_cells=wanted)),
                (f"{receipt.stem}.html", render_receipt(delivery, files, dictionary)),
            ],
        )


def _names(connection: duckdb.DuckDBPyConnection, senders: Sequence[str]) -> dict[str, str]:
    """Returns the name of each sender by the directory in force."""
    named = districts(read_directory(connection), pl.Series("cd", senders, dtype=pl.String))
    return dict(named.select("cd", "District").iter_rows())


def _first_time(
    connection: duckdb.DuckDBPyConnection, again: Sequence[Receipt]
) -> dict[Receipt, Repeated]:
    """Returns what each duplicate repeats.

    A drop that was loaded again since then (for example a held drop that was approved) no longer
    has its first night; the receipt does not mention the later one.
    """
    if not again:
        return {}
    known = {
        drop_id: (night, verdict)
        for drop_id, night, verdict in connection.execute(
            "SELECT drop_id, night, verdict FROM drops WHERE list_contains($ids, drop_id)",
            {"ids": [receipt.drop_id for receipt in again]},
        ).fetchall()
    }
    found = {}
    for receipt in again:
        night, verdict = known[receipt.drop_id]
        first = (night, verdict) if night <= receipt.night else ()
        found[receipt] = Repeated(receipt.again or "", *first)
    return found


def _with_cells(
    connection: duckdb.DuckDBPyConnection,
    receipt: Receipt,
    reports: Sequence[FileReport],
    archive: Archive,
) -> list[FileReport]:
    """Returns the reports with the cells that the first findings of each rule are about."""
    if all(report.feed is None for report in reports):
        return list(reports)  # no file was recognised, and the drop may be too large to be read
    try:
        drops = [*read_received_drops(connection, [receipt.drop_id]).values()]
        with open_received_files(archive) as received:
            opened = files_to_verify(drops, received.as_sent, messages=received.open)
            return [
                _with_cells_of(report, opened[place] if place < len(opened) else None)
                for place, report in enumerate(reports)
            ]
    except (ArchiveDamagedError, OSError):
        _LOG.warning("drop %s: the archive lacks the cells for its receipt", receipt.drop_id)
        return list(reports)


def _with_cells_of(report: FileReport, file: FileToVerify | None) -> FileReport:
    """Returns a report with the cells of its file."""
    if report.feed is None or file is None or file.path != report.path:
        return report  # not recognised, or not known any more which file it was
    first = report.findings.filter(pl.int_range(pl.len()).over("rule") < FIRST_LINES)
    cells = read_cells(first, file, report.feed)
    shown = {(line, column): as_shown(column, value) for line, column, value in cells.iter_rows()}
    return replace(report, cells=shown)


def _file_reports(
    connection: duckdb.DuckDBPyConnection, drop_ids: Sequence[str]
) -> dict[str, list[FileReport]]:
    """Returns what became of each file of these drops; four queries serve all drops."""
    ids = sorted(set(drop_ids))
    asked = pl.DataFrame({"drop_id": ids}, schema={"drop_id": pl.String}).with_row_index("place")
    connection.register("asked", asked.to_arrow())
    files = connection.execute(
        """
        SELECT drop_id, file_number, path, family, feed, files.verdict, encoding, lines,
               no_longer_active, complete, kept, kept_since
        FROM files JOIN drops USING (drop_id) SEMI JOIN asked USING (drop_id)
        ORDER BY drop_id, file_number
        """
    ).fetchall()
    ledger = connection.execute(
        """
        SELECT drop_id, file_number, fate, lines
        FROM ledger SEMI JOIN asked USING (drop_id) ORDER BY ALL
        """
    ).fetchall()
    findings = connection.execute(
        """
        SELECT place, file_number, rule, line, "column", detail, severity, cause
        FROM findings JOIN asked USING (drop_id)
        ORDER BY place, file_number, line NULLS FIRST, rule, "column", length(detail), detail
        """
    ).pl()
    told = connection.execute(
        """
        SELECT drop_id, file_number, cause, evidence FROM causes SEMI JOIN asked USING (drop_id)
        """
    ).fetchall()
    connection.unregister("asked")
    causes: dict[tuple[str, int], dict[str, str]] = {}
    for drop_id, number, cause, evidence in told:
        causes.setdefault((drop_id, number), {})[cause] = evidence
    fates: dict[tuple[str, int], dict[str, int]] = {}
    for drop_id, number, fate, lines in ledger:
        fates.setdefault((drop_id, number), {})[fate] = lines
    by_file = {
        (ids[file["place"]], file["file_number"]): of_file
        for file, of_file in _split_by_file(findings)
    }
    none = pl.DataFrame(schema=EXPLAINED_SCHEMA)
    reports: dict[str, list[FileReport]] = {}
    for drop_id, number, path, family, feed, verdict, encoding, lines, *ended in files:
        no_longer_active, complete, kept, kept_since = ended
        reports.setdefault(drop_id, []).append(
            FileReport(
                path=path,
                family=family,
                feed=feed,
                verdict=verdict,
                encoding=encoding,
                lines=lines,
                fates=fates.get((drop_id, number), {}),
                findings=by_file.get((drop_id, number), none),
                no_longer_active=no_longer_active or 0,
                complete=complete,
                kept=kept or 0,
                kept_since=kept_since,
                causes=causes.get((drop_id, number), {}),
            )
        )
    return reports


def _split_by_file(findings: pl.DataFrame) -> Iterator[tuple[dict[str, int], pl.DataFrame]]:
    """Yields each file and its findings, which stand together; nothing is copied."""
    explained = findings.select(pl.col(n).cast(dtype) for n, dtype in EXPLAINED_SCHEMA.items())
    runs = findings.select(pl.struct("place", "file_number").rle().alias("run")).unnest("run")
    start = 0
    for length, file in runs.iter_rows():
        yield file, explained.slice(start, length)
        start += length


def read_unmatched_students(
    connection: duckdb.DuckDBPyConnection, on: date
) -> tuple[list[str], pl.DataFrame]:
    """Returns the districts that ever sent foster youth, and their students without a child.

    The students' columns are those of ``build_child_match_rows``. After those without a child come
    students of whom only one file of the district says that they are foster youth.
    """
    cds = connection.execute(
        f"SELECT DISTINCT sender FROM drops WHERE family IN ({_LINKED}) ORDER BY 1"
    ).fetchall()
    unmatched = connection.execute(
        """
        SELECT _sender AS cd, "SystemID", "SISLocalID", line, rule, field FROM unmatched
        ORDER BY ALL
        """
    ).pl()
    disagreeing = read_disagreeing_flags(connection, on).rename(
        {"sender": "cd", "system_id": "SystemID", "local_id": "SISLocalID"}
    )
    students = pl.concat([unmatched, disagreeing], how="diagonal")
    return [cd for (cd,) in cds], students.sort("cd", maintain_order=True)
