"""Answering: which drops wait for their receipt, and what the receipt says, from the ledger.

Belongs here: reading our own tables for receipts. A receipt follows from the warehouse, the archive
and the profiles alone: made again, it has the same bytes. Does not belong here: the form of a
receipt (verification.receipts, verification.page), the folder it goes to (night).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.districts import DIRECTORY_SCHEMA, directory, districts
from ccgi_pipeline.feeds.foster_focus import NAME
from ccgi_pipeline.intake.archive import Archive, ArchiveDamagedError
from ccgi_pipeline.intake.findings import WEIGHED_SCHEMA
from ccgi_pipeline.intake.inbox import is_cd_code
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.cells import as_shown, cells_at
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.verification.next_steps import Delivery, Repeated
from ccgi_pipeline.verification.outcomes import Verdict
from ccgi_pipeline.verification.receipt_html import page_of_duplicate, page_of_receipt
from ccgi_pipeline.verification.receipts import (
    FIRST_LINES,
    FileReport,
    StudentWithoutChild,
    receipt_csv,
    receipt_json,
)
from ccgi_pipeline.warehouse.load.drop_records import append_rows
from ccgi_pipeline.warehouse.queries.drops import read_received_drops

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A drop that waits for its receipt. ``again``: the path under which it came a second time."""

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
    SELECT drop_id, sender, family, verdict, night FROM drops {told} ORDER BY position
"""
_AGAIN = """
    SELECT drop_id, sender, family, duplicates.night, min(path)
    FROM duplicates JOIN drops USING (drop_id) {told}
    GROUP BY ALL ORDER BY ALL
"""


def read_due_receipts(connection: duckdb.DuckDBPyConnection) -> list[Receipt]:
    """New drops without a receipt, then drops that came again and were not told so."""
    return _answers(
        connection,
        _NEW.format(told="ANTI JOIN receipts USING (drop_id)"),
        _AGAIN.format(
            told="ANTI JOIN receipts AS told ON told.drop_id = duplicates.drop_id || '_duplicate' "
            "AND told.night = duplicates.night"
        ),
    )


def read_receipts_by_stem(connection: duckdb.DuckDBPyConnection) -> dict[str, Receipt]:
    """The answers to all drops, given or not, by the stems of their receipts."""
    every = _answers(connection, _NEW.format(told=""), _AGAIN.format(told=""))
    return {answer.stem: answer for answer in every}


def _answers(connection: duckdb.DuckDBPyConnection, new: str, again: str) -> list[Receipt]:
    return [
        *(Receipt(*row) for row in connection.execute(new).fetchall()),
        *(
            Receipt(drop_id, sender, family, Verdict.DUPLICATE, night, path)
            for drop_id, sender, family, night, path in connection.execute(again).fetchall()
        ),
    ]


def build_receipts(
    connection: duckdb.DuckDBPyConnection,
    answers: Sequence[Receipt],
    archive: Archive,
    profiles: Profiles,
) -> Iterator[tuple[Receipt, list[tuple[str, bytes]]]]:
    """Each answer with the files of its receipt (name and content).

    ``archive`` and ``profiles`` are for districts that want cells in their receipts.
    """
    names = _names(connection, [answer.sender for answer in answers])
    reports = _file_reports(connection, [answer.drop_id for answer in answers])
    first = _first_time(connection, [answer for answer in answers if answer.again])
    for answer in answers:
        wanted = is_cd_code(answer.sender) and profiles.of(answer.sender).receipts.show_values
        head = {
            "drop": answer.drop_id,
            "sender": answer.sender,
            "family": answer.family,
            "night": f"{answer.night:%Y-%m-%d}",
            "verdict": str(answer.verdict),
        }
        delivery = Delivery(
            drop=answer.drop_id,
            sender=answer.sender,
            name=names[answer.sender],
            family=answer.family,
            night=answer.night,
            verdict=str(answer.verdict),
            stem=answer.stem,
            values_shown=wanted and not answer.again,
        )
        if answer.again:
            head["message"] = f"{answer.again} has the content of a drop that was taken before."
            page = page_of_duplicate(delivery, first[answer])
            yield (
                answer,
                [
                    (f"{answer.stem}.json", receipt_json(head, [])),
                    (f"{answer.stem}.html", page),
                ],
            )
            continue
        files = reports[answer.drop_id]
        if wanted:
            files = _with_cells(connection, answer, files, archive)
        yield (
            answer,
            [
                (f"{answer.stem}.json", receipt_json(head, files)),
                (f"{answer.stem}.csv", receipt_csv(files, with_cells=wanted)),
                (f"{answer.stem}.html", page_of_receipt(delivery, files)),
            ],
        )


def _names(connection: duckdb.DuckDBPyConnection, senders: Sequence[str]) -> dict[str, str]:
    """What each sender is called, by the directory in force."""
    columns = ", ".join(DIRECTORY_SCHEMA)
    received = connection.sql(f"SELECT {columns} FROM lake.cde_directory WHERE _active").pl()
    named = districts(directory(received), pl.Series("cd", senders, dtype=pl.String))
    return dict(named.select("cd", "District").iter_rows())


def _first_time(
    connection: duckdb.DuckDBPyConnection, again: Sequence[Receipt]
) -> dict[Receipt, Repeated]:
    """What each duplicate repeats.

    A drop that was taken once more since (a held one that was approved, say) has forgotten its
    first night; nothing is said of the later one, which its duplicate cannot have known.
    """
    if not again:
        return {}
    known = {
        drop_id: (night, verdict)
        for drop_id, night, verdict in connection.execute(
            "SELECT drop_id, night, verdict FROM drops WHERE list_contains($ids, drop_id)",
            {"ids": [answer.drop_id for answer in again]},
        ).fetchall()
    }
    found = {}
    for answer in again:
        night, verdict = known[answer.drop_id]
        told = (night, verdict) if night <= answer.night else ()
        found[answer] = Repeated(answer.again or "", *told)
    return found


def _with_cells(
    connection: duckdb.DuckDBPyConnection,
    answer: Receipt,
    reports: Sequence[FileReport],
    archive: Archive,
) -> list[FileReport]:
    """The reports with the cells at which the first findings of each rule point."""
    if all(report.feed is None for report in reports):
        return list(reports)  # nothing of it was read, and it may be too large for that
    try:
        drops = [*read_received_drops(connection, [answer.drop_id]).values()]
        opened = files_to_verify(drops, lambda _, sha256: archive.read(sha256))
        found = []
        for place, report in enumerate(reports):
            file = opened[place] if place < len(opened) else None
            if report.feed is None or file is None or file.path != report.path:
                found.append(report)  # no file of ours, or it is not known any more which it was
                continue
            first = report.findings.filter(pl.int_range(pl.len()).over("rule") < FIRST_LINES)
            cells = cells_at(first, file.content(), file.name, report.feed)
            shown = {
                (line, column): as_shown(column, value) for line, column, value in cells.iter_rows()
            }
            found.append(replace(report, cells=shown))
    except (ArchiveDamagedError, OSError):
        _LOG.warning("drop %s: its receipt has no cells, the archive lacks them", answer.drop_id)
        return list(reports)
    return found


def _file_reports(
    connection: duckdb.DuckDBPyConnection, drop_ids: Sequence[str]
) -> dict[str, list[FileReport]]:
    """What became of each file of these drops, from the ledger; three questions for all of them."""
    asked = pl.DataFrame({"drop_id": drop_ids}, schema={"drop_id": pl.String}).unique()
    connection.register("asked", asked.to_arrow())
    files = connection.execute(
        """
        SELECT drop_id, file_number, path, family, feed, files.verdict, encoding, lines,
               no_longer_active, complete
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
        SELECT drop_id, file_number, rule, line, "column", detail, severity
        FROM findings SEMI JOIN asked USING (drop_id)
        ORDER BY drop_id, file_number, line NULLS FIRST, rule, "column", length(detail), detail
        """
    ).pl()
    connection.unregister("asked")
    fates: dict[tuple[str, int], dict[str, int]] = {}
    for drop_id, number, fate, lines in ledger:
        fates.setdefault((drop_id, number), {})[fate] = lines
    place = ["drop_id", "file_number"]
    by_file = findings.cast(dict(WEIGHED_SCHEMA)).partition_by(  # type: ignore[arg-type]
        place, as_dict=True, include_key=False, maintain_order=True
    )
    none = pl.DataFrame(schema=WEIGHED_SCHEMA)
    reports: dict[str, list[FileReport]] = {}
    for drop_id, number, path, family, feed, verdict, encoding, lines, ended, complete in files:
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
                no_longer_active=ended or 0,
                complete=complete,
            )
        )
    return reports


def record_receipts(
    connection: duckdb.DuckDBPyConnection, answers: Sequence[Receipt], on: date
) -> None:
    """Notes that these drops have their receipts."""
    rows = [
        (f"{answer.drop_id}_duplicate", answer.night) if answer.again else (answer.drop_id, on)
        for answer in answers
    ]
    frame = pl.DataFrame(rows, schema={"drop_id": pl.String, "night": pl.Date}, orient="row")
    append_rows(connection, "receipts", frame)


@dataclass(frozen=True, slots=True)
class UnmatchedStudents:
    """The students of one district who are linked to no child of Foster Focus."""

    cd: str
    students: tuple[StudentWithoutChild, ...]


def read_unmatched_students(connection: duckdb.DuckDBPyConnection) -> list[UnmatchedStudents]:
    """For each district that ever sent foster youth its students without a child, maybe none."""
    rows = connection.execute(
        f"""
        SELECT senders.sender, "SystemID", "SISLocalID", line, rule, field
        FROM (SELECT DISTINCT sender FROM drops WHERE family = '{NAME}') AS senders
        LEFT JOIN unmatched ON unmatched._sender = senders.sender
        ORDER BY ALL
        """
    ).fetchall()
    by_district: dict[str, list[StudentWithoutChild]] = {}
    for cd, system_id, *told in rows:
        students = by_district.setdefault(cd, [])
        if system_id is not None:
            students.append(StudentWithoutChild(system_id, *told))
    return [UnmatchedStudents(cd, tuple(students)) for cd, students in by_district.items()]
