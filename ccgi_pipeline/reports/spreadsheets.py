"""Reports as spreadsheets (.xlsx) beside their CSV files, where a district's profile asks for them.

Belongs here: which cells are numbers, the sheets' names, the files' names. The cells are those of
the CSV file, so what is hidden or made harmless there is so here too. Does not belong here: the
form of a spreadsheet (common.spreadsheet_files), the rows (queries).
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType

import polars as pl

from ccgi_pipeline.common.spreadsheet_files import open_spreadsheet
from ccgi_pipeline.reports.outbox import Outbox, OutboxFile, report_path
from ccgi_pipeline.reports.spec import COUNTS, ReportSpec

SUFFIX = ".xlsx"
_NUMBERS = frozenset(column.name for column in COUNTS)
"""The columns of an aggregate that hold numbers, unless a cell is hidden."""


def spreadsheet_part(file: str) -> str:
    """Returns the name under which the spreadsheet of a report's file is recorded."""
    return f"{file}{SUFFIX}"


def part_path(spec: ReportSpec, folder: str, part: str, on: date) -> Path:
    """Returns the path of a district's report or spreadsheet, by the name of its part."""
    file = part.removesuffix(SUFFIX)
    path = report_path(spec, folder, file, on)
    return path if part == file else path.with_suffix(SUFFIX)


def write_spreadsheets(  # noqa: PLR0913, PLR0917 - as write_report
    outbox: Outbox,
    spec: ReportSpec,
    file: str,
    rows: pl.DataFrame,
    named: pl.DataFrame,
    on: date,
    former: Mapping[tuple[str, str], OutboxFile] = MappingProxyType({}),
) -> list[OutboxFile]:
    """Writes and returns a spreadsheet for each district of ``named``; ``rows`` as printed.

    ``former`` as in ``write_report``.
    """
    written: list[OutboxFile] = []
    if named.is_empty():
        return written
    for cd, folder, content in render_spreadsheets(spec, rows, named, outbox.unfinished()):
        part = spreadsheet_part(file)
        path = part_path(spec, folder, part, on)
        written.append(outbox.put(path, cd, content, former=former.get((cd, part))))
    return written


def render_spreadsheets(
    spec: ReportSpec, rows: pl.DataFrame, named: pl.DataFrame, folder: Path | None = None
) -> Iterator[tuple[str, str, bytes]]:
    """Yields CD code, folder and content for each district of ``named`` that gets this report.

    ``folder``: where unfinished sheets are, in a folder of their own that is removed afterwards; a
    temporary folder of the system if not given.
    """
    theirs = rows.filter(pl.col("cd").is_in(named["cd"].implode()))
    by_district = theirs.partition_by("cd", as_dict=True, include_key=False, maintain_order=True)
    nothing = rows.clear().drop("cd")
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        for cd, outbox_folder in named.select("cd", "folder").iter_rows():
            if spec.only_for is not None and cd not in spec.only_for:
                continue
            own = by_district.get((cd,), nothing)
            yield cd, outbox_folder, _render(spec, own, Path(unfinished))


def _render(spec: ReportSpec, rows: pl.DataFrame, unfinished: Path) -> bytes:
    content = io.BytesIO()
    with open_spreadsheet(content, spec.title, rows.columns, unfinished, _NUMBERS) as sheet:
        sheet.write(rows)
    return content.getvalue()
