"""Reports that do not change tonight: which they are, and their files under tonight's names.

Belongs here: comparing tonight's basis of a report with that of its newest files, and recording
them for tonight. Does not belong here: what a basis is made of (reports.basis), what becomes of the
bytes (reports.outbox), writing the other reports (report).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Self

import duckdb
import polars as pl

from ccgi_pipeline.delivery.ledger import FileKind, MadeFile, ledger_exists, open_ledger
from ccgi_pipeline.delivery.made_reports import read_newest_records
from ccgi_pipeline.nightly.made_files import record_made_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.basis import compute_bases
from ccgi_pipeline.reports.outbox import Outbox, OutboxFile
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.reports.spreadsheets import part_path, spreadsheet_part


@dataclass(frozen=True, slots=True)
class FormerReports:
    """What is known of a report before it is written tonight.

    ``bases``: tonight's, by CD code. ``records``: the newest record of each file until tonight, by
    CD code and part. Both are empty if all reports are made anew.
    """

    outbox: Outbox
    bases: Mapping[str, str] = field(default_factory=dict)
    records: Mapping[tuple[str, str], MadeFile] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        connection: duckdb.DuckDBPyConnection,
        folders: PipelinePaths,
        spec: ReportSpec,
        named: pl.DataFrame,
        profiles: Profiles,
        on: date,
    ) -> Self:
        """Computes the bases of the districts ``named``, and reads their newest records."""
        outbox = open_outbox(folders, profiles)
        if profiles.reports.unchanged == "anew":
            return cls(outbox)
        cds = named["cd"].to_list()
        bases = compute_bases(connection, spec, profiles, REPORTS, cds)
        asked = [(cd, spec.name, part) for cd in cds for part in list_parts(spec, profiles, cd)]
        records = read_former_records(folders, profiles, FileKind.REPORT, asked, on)
        return cls(outbox, bases, {(made.owner, made.part): made for made in records})

    @property
    def files(self) -> dict[tuple[str, str], OutboxFile]:
        """The newest files, by CD code and part."""
        return {of: as_written(made) for of, made in self.records.items()}


def open_outbox(folders: PipelinePaths, profiles: Profiles) -> Outbox:
    """Returns the outbox, which copies unchanged files if the settings say so."""
    return replace(folders.outgoing, copies=profiles.reports.unchanged == "copy")


def read_former_records(
    folders: PipelinePaths,
    profiles: Profiles,
    kind: FileKind,
    files: Iterable[tuple[str, str, str]],
    on: date,
) -> list[MadeFile]:
    """Returns the newest record until ``on`` of each of ``files`` (owner, name, part).

    Returns none if the settings say that all files are made anew.
    """
    if profiles.reports.unchanged == "anew" or not ledger_exists(folders.warehouse):
        return []
    with open_ledger(folders.warehouse) as ledger:
        return read_newest_records(ledger, kind, files, on)


def list_parts(spec: ReportSpec, profiles: Profiles, cd: str) -> list[str]:
    """Lists the files of a report that a district gets, as they are recorded."""
    sheets = spec.files if profiles.of(cd).delivery.spreadsheets else ()
    return [*spec.files, *map(spreadsheet_part, sheets)]


def as_written(made: MadeFile) -> OutboxFile:
    """Returns the file of a record."""
    return OutboxFile(
        made.path, made.owner, made.sha256, made.rows, made.size, made.mtime_ns, made.since
    )


def carry_over_reports(  # noqa: PLR0913, PLR0917 - as write_reports
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    spec: ReportSpec,
    named: pl.DataFrame,
    on: date,
    former: FormerReports,
    profiles: Profiles,
    settings: str,
) -> dict[str, dict[str, OutboxFile]]:
    """Gives the files of unchanged reports tonight's names, and records them.

    Returns them by CD code and part. A report whose files are not all there as they were written
    is none of them: it is made.
    """
    carried: dict[str, dict[str, OutboxFile]] = {}
    recorded: list[tuple[FileKind, str, str, OutboxFile]] = []
    for cd, folder in named.select("cd", "folder").iter_rows():
        parts = list_parts(spec, profiles, cd)
        records = [former.records.get((cd, part)) for part in parts]
        same = [as_written(made) for made in records if made and made.basis == former.bases[cd]]
        if len(same) < len(parts):
            continue
        paths = [part_path(spec, folder, part, on) for part in parts]
        files = former.outbox.carry_over([*zip(same, paths, strict=True)])
        if files:
            carried[cd] = dict(zip(parts, files, strict=True))
            recorded += [
                (FileKind.REPORT, spec.name, part, file)
                for part, file, before in zip(parts, files, same, strict=True)
                if file.path != before.path
            ]
    record_made_files(connection, folders, on, recorded, settings, former.bases)
    return carried
