"""Exports: the current records of a feed, or the rows of a report, as one file of all districts.

Belongs here: which columns and students an export has, and streaming its rows into a file. Does not
belong here: the classes and the policy (reports.column_policies), the act's record (audit_log).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

import duckdb
import polars as pl
import pyarrow.parquet as pq

from ccgi_pipeline.common.errors import PermanentError, value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.common.spreadsheet_cells import sanitize_cells
from ccgi_pipeline.common.spreadsheet_files import open_spreadsheet
from ccgi_pipeline.feeds.columns import ColumnClass
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.column_policies import POLICIES, Output
from ccgi_pipeline.reports.outbox import to_csv
from ccgi_pipeline.reports.queries import (
    build_sent_aggregate_rows,
    create_detail_table,
    create_report_views,
    district_filter,
    read_detail_batches,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import COUNTS, ReportSpec
from ccgi_pipeline.warehouse.queries.opt_outs import OPTED_OUT_ANYWHERE
from ccgi_pipeline.warehouse.storage.schema import quote_identifier, sql_type

_BATCH = 50_000
_NUMBERS = ("BIGINT", "DECIMAL")


class ExportFormat(StrEnum):
    """A form in which rows leave the warehouse."""

    PARQUET = "parquet"
    CSV = "csv"
    XLSX = "xlsx"


class ExportError(PermanentError):
    """Nothing is exported; the message says why, and what to ask for instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportScope:
    """What an export has beyond the policy, because its operator says so.

    ``classes``: columns of these classes too. ``opted_out``: students too whose parents opted out.
    """

    classes: frozenset[ColumnClass] = frozenset()
    opted_out: bool = False

    def may_show(self, classes: frozenset[ColumnClass]) -> bool:
        """Returns whether a column of these classes is exported."""
        return classes <= POLICIES[Output.EXPORT].shows | self.classes


@dataclass(frozen=True, slots=True)
class Export:
    """What is exported: ``columns`` as in the file, ``left_out`` those that are not, its rows.

    ``without_ssid``, ``opted_out``: rows that are left out, because nobody can tell whose they are,
    or because a parent opted out.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    numbers: frozenset[str]
    total: int
    batches: Iterator[pl.DataFrame]
    opted_out: int = 0
    without_ssid: int = 0


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file that was written: its path, its rows, and the sheets of a spreadsheet."""

    path: Path
    rows: int
    sheets: int = 0


def find_feed(written: str) -> FeedSpec:
    """Returns the feed of a table's or view's name: ``students``, ``transcript_student``, ...

    Raises ExportError.
    """
    for feed in FEEDS:
        view = feed.current_view
        if written in {feed.name, view, view.removeprefix("current_")}:
            return feed
    views = ", ".join(feed.current_view.removeprefix("current_") for feed in FEEDS)
    msg = f"no table has this name; there are {views}"
    raise ExportError(msg)


# --- rows of a feed -------------------------------------------------------------------------------


@value_free
def export_records(
    connection: duckdb.DuckDBPyConnection, feed: FeedSpec, scope: ExportScope, form: ExportFormat
) -> Export:
    """Returns the current records of a feed. Raises ExportError."""
    if feed.manifest:
        msg = f"{feed.title} has names of files, which are their senders' own words: it stays here"
        raise ExportError(msg)
    shown = tuple(n for n, column in feed.columns.items() if scope.may_show(column.classes))
    hidden = tuple(name for name in feed.columns if name not in shown)
    _require_columns(shown, hidden)
    if not scope.opted_out and feed.ssid is None and any(c.personal for c in feed.columns.values()):
        msg = (
            f"the records of {feed.title} have no SSID, so those of students whose parents opted "
            "out cannot be left out. --with-opted-out exports all of them"
        )
        raise ExportError(msg)
    whose = "'kept'"
    if not scope.opted_out and feed.ssid is not None:
        ssid = quote_identifier(feed.ssid)
        whose = (
            f"CASE WHEN {ssid} IS NULL THEN 'without_ssid' "
            f"WHEN {ssid} IN ({OPTED_OUT_ANYWHERE}) THEN 'opted_out' ELSE 'kept' END"
        )
    records = f"(FROM lake.{feed.name} WHERE _active) AS record"
    counted = dict(
        connection.execute(f"SELECT {whose} AS fate, count(*) FROM {records} GROUP BY 1").fetchall()
    )
    as_is = form is ExportFormat.PARQUET
    cells = ", ".join(
        quote_identifier(n) if as_is else f"{quote_identifier(n)}::VARCHAR AS {quote_identifier(n)}"
        for n in shown
    )
    order = ", ".join(["_sender", *map(quote_identifier, feed.keys)])
    query = (
        f"SELECT _sender AS sender, {cells} FROM {records} WHERE {whose} = 'kept' ORDER BY {order}"
    )
    reader = connection.execute(query).to_arrow_reader(_BATCH)
    return Export(
        feed.current_view,
        feed.title,
        ("sender", *shown),
        hidden,
        frozenset(n for n in shown if sql_type(feed.columns[n]).startswith(_NUMBERS)),
        counted.get("kept", 0),
        (pl.DataFrame(pl.from_arrow(batch)) for batch in reader),
        counted.get("opted_out", 0),
        counted.get("without_ssid", 0),
    )


def _require_columns(shown: Sequence[str], hidden: Sequence[str]) -> None:
    if not shown:
        msg = (
            f"none of the {len(hidden)} columns may leave: each is of a class. "
            "--include names the classes that you may export"
        )
        raise ExportError(msg)


# --- rows of a report -----------------------------------------------------------------------------


def read_newest_night(connection: duckdb.DuckDBPyConnection) -> date:
    """Returns the newest night that loaded something. Raises ExportError if there is none."""
    row = connection.execute("SELECT max(night) FROM lake.drops").fetchone()
    if row is None or row[0] is None:
        msg = "no night has loaded anything yet"
        raise ExportError(msg)
    night: date = row[0]
    return night


@value_free
def export_report(
    connection: duckdb.DuckDBPyConnection,
    spec: ReportSpec,
    file: str,
    scope: ExportScope,
    profiles: Profiles,
    on: date,
) -> Export:
    """Returns the rows of a report's file of all districts, as of the night ``on``.

    They are as printed: small cells are hidden as each district's profile says. Raises ExportError.
    """
    if file not in spec.files:
        msg = f"{spec.name} has no {file} file, but {' and '.join(spec.files)}"
        raise ExportError(msg)
    columns = spec.columns_of(file)
    shown = tuple(column.name for column in columns if scope.may_show(column.classes))
    hidden = tuple(column.name for column in columns if column.name not in shown)
    _require_columns(shown, hidden)
    named = create_report_views(connection, on, profiles.reports)
    create_detail_table(connection, spec)
    opted_out = 0
    batches: Iterator[pl.DataFrame]
    if file == "Agg":
        rows = build_sent_aggregate_rows(connection, spec, profiles, REPORTS)
        total, batches = rows.height, iter((rows,))
    else:
        excluded = connection.sql(OPTED_OUT_ANYWHERE).pl()
        if scope.opted_out:
            excluded = excluded.clear()
        connection.register("excluded", excluded.to_arrow())
        counted = connection.execute(
            "SELECT count(*), count(*) FILTER (SSID IN (SELECT SSID FROM excluded)) "
            f"FROM (FROM detail {district_filter(spec)}) ANTI JOIN left_out_of_details "
            "USING (cd, SSID)"
        ).fetchone()
        connection.unregister("excluded")
        there, opted_out = counted or (0, 0)
        total = there - opted_out
        batches = (
            rows.join(excluded, on="SSID", how="anti", maintain_order="left")
            for _, rows in read_detail_batches(connection, spec, named)
        )
    numbers = frozenset(column.name for column in COUNTS)
    name = f"report_{spec.name}_{file.lower()}"
    return Export(
        name,
        spec.title,
        ("cd", *shown),
        hidden,
        numbers,
        total,
        (batch.select("cd", *shown) for batch in batches),
        opted_out,
    )


# --- files ----------------------------------------------------------------------------------------


@value_free
def write_export(export: Export, form: ExportFormat, folder: Path, *, force: bool) -> ExportedFile:
    """Writes the rows into a file of ``folder``, whole or not at all, readable by its owner alone.

    Raises ExportError if the file is there already and ``force`` is not set.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{export.name}.{form}"
    if path.exists() and not force:
        msg = f"{path} is there already; --force writes over it"
        raise ExportError(msg)
    descriptor, unfinished = tempfile.mkstemp(dir=folder, prefix=".export-")
    try:
        with os.fdopen(descriptor, "wb") as target:
            rows, sheets = _WRITERS[form](export, target, folder)
            target.flush()
            os.fsync(target.fileno())
        Path(unfinished).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(unfinished).unlink()
    return ExportedFile(path, rows, sheets)


def _counted(export: Export) -> Iterator[pl.DataFrame]:
    step = ProgressCounter(f"exporting {export.name}", -(-export.total // _BATCH))
    for batch in export.batches:
        yield batch
        step.advance()


def _write_parquet(export: Export, target: BinaryIO, _: Path) -> tuple[int, int]:
    rows, writer = 0, None
    for batch in _counted(export):
        table = batch.to_arrow()
        writer = writer or pq.ParquetWriter(target, table.schema)
        writer.write_table(table)
        rows += batch.height
    if writer is None:
        empty = pl.DataFrame(schema=dict.fromkeys(export.columns, pl.String)).to_arrow()
        writer = pq.ParquetWriter(target, empty.schema)
    writer.close()
    return rows, 0


def _write_csv(export: Export, target: BinaryIO, _: Path) -> tuple[int, int]:
    rows = 0
    target.write(to_csv(pl.DataFrame(schema=dict.fromkeys(export.columns, pl.String))))
    header = target.tell()
    for batch in _counted(export):
        target.write(to_csv(sanitize_cells(batch, export.columns))[header:])
        rows += batch.height
    return rows, 0


def _write_xlsx(export: Export, target: BinaryIO, folder: Path) -> tuple[int, int]:
    rows = 0
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as sheets,
        open_spreadsheet(
            target, export.title, export.columns, Path(sheets), export.numbers
        ) as writer,
    ):
        for batch in _counted(export):
            writer.write(sanitize_cells(batch, export.columns))
            rows += batch.height
    return rows, max(writer.sheets, 1)


_WRITERS = {
    ExportFormat.PARQUET: _write_parquet,
    ExportFormat.CSV: _write_csv,
    ExportFormat.XLSX: _write_xlsx,
}
