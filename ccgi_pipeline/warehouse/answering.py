"""Answering: which drops wait for their receipt, and what the receipt says, from the ledger.

Belongs here: reading our own tables for receipts. Does not belong here: the form of a receipt
(verification.receipts), the folder it goes to (night).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.feeds.foster_focus import FAMILY
from ccgi_pipeline.findings import WEIGHED_SCHEMA
from ccgi_pipeline.verification.receipts import (
    FileReport,
    StudentWithoutChild,
    receipt_csv,
    receipt_json,
)
from ccgi_pipeline.verification.verifying import Verdict
from ccgi_pipeline.warehouse.bookkeeping import insert


@dataclass(frozen=True, slots=True)
class Answer:
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


def unanswered(connection: duckdb.DuckDBPyConnection) -> list[Answer]:
    """New drops without a receipt, then drops that came again and were not told so."""
    new = connection.execute(
        """
        SELECT drop_id, sender, family, verdict, night
        FROM drops ANTI JOIN receipts USING (drop_id) ORDER BY position
        """
    ).fetchall()
    again = connection.execute(
        """
        SELECT drop_id, sender, family, duplicates.night, min(path)
        FROM duplicates JOIN drops USING (drop_id)
        ANTI JOIN receipts AS told
            ON told.drop_id = duplicates.drop_id || '_duplicate' AND told.night = duplicates.night
        GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    return [
        *(Answer(*row) for row in new),
        *(
            Answer(drop_id, sender, family, Verdict.DUPLICATE, night, path)
            for drop_id, sender, family, night, path in again
        ),
    ]


def receipts(
    connection: duckdb.DuckDBPyConnection, answers: Sequence[Answer]
) -> Iterator[tuple[Answer, list[tuple[str, bytes]]]]:
    """Each answer with the files of its receipt (name and content)."""
    reports = _file_reports(connection, [answer.drop_id for answer in answers])
    for answer in answers:
        head = {
            "drop": answer.drop_id,
            "sender": answer.sender,
            "family": answer.family,
            "night": f"{answer.night:%Y-%m-%d}",
            "verdict": str(answer.verdict),
        }
        if answer.again:
            head["message"] = f"{answer.again} has the content of a drop that was taken before."
            yield answer, [(f"{answer.stem}.json", receipt_json(head, []))]
            continue
        files = reports[answer.drop_id]
        yield (
            answer,
            [
                (f"{answer.stem}.json", receipt_json(head, files)),
                (f"{answer.stem}.csv", receipt_csv(files)),
            ],
        )


def _file_reports(
    connection: duckdb.DuckDBPyConnection, drop_ids: Sequence[str]
) -> dict[str, list[FileReport]]:
    """What became of each file of these drops, from the ledger; three questions for all of them."""
    asked = pl.DataFrame({"drop_id": drop_ids}, schema={"drop_id": pl.String}).unique()
    connection.register("asked", asked.to_arrow())
    files = connection.execute(
        """
        SELECT drop_id, file_number, path, family, feed, files.verdict, encoding, lines
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
        ORDER BY drop_id, file_number, line NULLS FIRST, rule, "column"
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
    for drop_id, number, path, family, feed, verdict, encoding, lines in files:
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
            )
        )
    return reports


def mark_answered(
    connection: duckdb.DuckDBPyConnection, answers: Sequence[Answer], on: date
) -> None:
    """Notes that these drops have their receipts."""
    rows = [
        (f"{answer.drop_id}_duplicate", answer.night) if answer.again else (answer.drop_id, on)
        for answer in answers
    ]
    frame = pl.DataFrame(rows, schema={"drop_id": pl.String, "night": pl.Date}, orient="row")
    insert(connection, "receipts", frame)


@dataclass(frozen=True, slots=True)
class WithoutChild:
    """The students of one district who are linked to no child of Foster Focus."""

    cd: str
    students: tuple[StudentWithoutChild, ...]


def students_without_child(connection: duckdb.DuckDBPyConnection) -> list[WithoutChild]:
    """For each district that ever sent foster youth its students without a child, maybe none."""
    rows = connection.execute(
        f"""
        SELECT senders.sender, "SystemID", "SISLocalID", line, rule, field
        FROM (SELECT DISTINCT sender FROM drops WHERE family = '{FAMILY}') AS senders
        LEFT JOIN unmatched ON unmatched._sender = senders.sender
        ORDER BY ALL
        """
    ).fetchall()
    by_district: dict[str, list[StudentWithoutChild]] = {}
    for cd, system_id, *told in rows:
        students = by_district.setdefault(cd, [])
        if system_id is not None:
            students.append(StudentWithoutChild(system_id, *told))
    return [WithoutChild(cd, tuple(students)) for cd, students in by_district.items()]
