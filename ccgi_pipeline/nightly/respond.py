"""The fifth step of a night: writes receipts and child match reports for the senders.

Belongs here: which receipts are written into which folder. Does not belong here: what a receipt
says (warehouse.queries.receipts) and its form (verification.receipts).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.delivery.ledger import FileKind
from ccgi_pipeline.feeds.foster_focus import link_rules
from ccgi_pipeline.nightly.made_files import archived_profiles, record_made_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.report import sweep_outbox
from ccgi_pipeline.nightly.unchanged_reports import (
    as_written,
    open_outbox,
    read_former_records,
)
from ccgi_pipeline.reports.outbox import OutboxFile, sha256_of, split_by_district
from ccgi_pipeline.verification.receipts import build_child_match_rows
from ccgi_pipeline.warehouse.load.drop_records import record_receipts
from ccgi_pipeline.warehouse.load.outbox_folders import remember_folders
from ccgi_pipeline.warehouse.queries import receipts as receipt_queries
from ccgi_pipeline.warehouse.queries.directory import name_senders


@value_free
def write_receipts(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, on: date, only: str | None = None
) -> list[str]:
    """Writes the receipts that are due (``only``: one sender's); returns the senders."""
    waiting = [
        answer
        for answer in receipt_queries.read_due_receipts(connection)
        if only is None or answer.sender == only
    ]
    if not waiting:
        return []
    senders = pl.Series("cd", [answer.sender for answer in waiting], dtype=pl.String)
    named = name_senders(connection, senders)
    remember_folders(connection, named, on)
    folder_of = dict(named.select("cd", "folder").iter_rows())
    step = ProgressCounter("writing receipts", len(waiting))
    made = []
    profiles, settings = archived_profiles(folders)
    for answer, files in receipt_queries.build_receipts(
        connection, waiting, folders.archive, profiles
    ):
        folder = Path(folder_of[answer.sender], "_receipts")
        for name, content in files:
            folders.outgoing.write(folder / name, content)
            file = OutboxFile(f"{folder / name}", answer.sender, sha256_of(content))
            made.append((FileKind.RECEIPT, answer.stem, Path(name).suffix, file))
        step.advance()
    sweep_outbox(folders)
    record_made_files(connection, folders, on, made, settings)
    with failpoint("receipts: noted"):
        record_receipts(connection, waiting, on)
    return list(dict.fromkeys(senders))


@value_free
def write_child_match(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, on: date, only: str | None = None
) -> dict[str, int]:
    """Writes the child match report of each district that sends foster youth.

    Returns how many students have no child, and how many have flags that disagree, by rule.
    """
    cds, students = receipt_queries.read_unmatched_students(connection, on)
    if only is not None:
        cds = [cd for cd in cds if cd == only]
        students = students.filter(cd=only)
    named = name_senders(connection, pl.Series("cd", cds, dtype=pl.String))
    remember_folders(connection, named, on)
    folder_of = dict(named.select("cd", "folder").iter_rows())
    profiles, settings = archived_profiles(folders)
    outbox = open_outbox(folders, profiles)
    asked = [(cd, "", "") for cd in cds]
    records = read_former_records(folders, profiles, FileKind.CHILD_MATCH, asked, on)
    former = {made.owner: as_written(made) for made in records}
    made = []
    for cd, content in split_by_district(build_child_match_rows(students), cds):
        name = f"{on:%Y%m%d}_foster_focus_child_match.csv"
        path = Path(folder_of[cd], "_receipts", name)
        file = outbox.put(path, cd, content, former=former.get(cd))
        made.append((FileKind.CHILD_MATCH, "", "", file))
    sweep_outbox(folders)
    record_made_files(connection, folders, on, made, settings)
    reasons = dict(students.group_by("rule").len().iter_rows())
    return {rule.id: reasons.get(rule.id, 0) for rule in (*link_rules.REASONS, *link_rules.FLAGS)}
