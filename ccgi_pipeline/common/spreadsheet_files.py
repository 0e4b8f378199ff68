"""Spreadsheet files (.xlsx): text stays text, the header is frozen, same rows give the same bytes.

Belongs here: writing rows of any height, in batches. Does not belong here: which cells are harmless
(spreadsheet_cells), what the rows are (reports, operations).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import polars as pl

from ccgi_pipeline.common.errors import PermanentError

if TYPE_CHECKING:
    import xlsxwriter

MAX_ROWS = 1_048_576
"""The rows of a sheet, with its header; what is more goes on in another sheet."""
_MAX_TITLE = 31
_FORBIDDEN = re.compile(r"[\[\]:*?/\\']")
_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")
_WIDEST = 40
_MADE = datetime(1980, 1, 1)  # noqa: DTZ001 - the file's format has no time zone
"""The time in every file, so that the same rows give the same bytes on any day."""


class SpreadsheetError(PermanentError):
    """A cell does not fit into a spreadsheet."""


class SpreadsheetWriter:
    """The sheets of one file, which are filled row by row and never are in memory as a whole."""

    def __init__(
        self,
        workbook: xlsxwriter.Workbook,
        title: str,
        columns: Sequence[str],
        numbers: Collection[str] = (),
    ) -> None:
        self._workbook, self._columns = workbook, list(columns)
        self._title = _FORBIDDEN.sub(" ", title)[: _MAX_TITLE - 5].strip() or "Rows"
        self._numbers = [name in numbers for name in columns]
        self._header = workbook.add_format({"bold": True, "num_format": "@"})
        self._text = workbook.add_format({"num_format": "@"})
        self.sheets, self._row = 0, MAX_ROWS
        if not columns:
            msg = "a spreadsheet needs at least one column"
            raise ValueError(msg)

    def write(self, rows: pl.DataFrame) -> None:
        """Adds rows whose cells are text; null is an empty cell."""
        if self.sheets == 0:
            self._begin_sheet(rows)
        for row in rows.select(self._columns).iter_rows():
            if self._row == MAX_ROWS:
                self._begin_sheet(rows)
            for place, cell in enumerate(row):
                if cell:
                    self._write_cell(place, cell)
            self._row += 1

    def _begin_sheet(self, rows: pl.DataFrame) -> None:
        self.sheets += 1
        title = self._title if self.sheets == 1 else f"{self._title} ({self.sheets})"
        self._sheet = self._workbook.add_worksheet(title)
        self._sheet.freeze_panes(1, 0)
        from xlsxwriter.utility import xl_range  # noqa: PLC0415 - as in open_spreadsheet

        cells = xl_range(0, 0, MAX_ROWS - 1, len(self._columns) - 1)
        self._sheet.ignore_errors({"number_stored_as_text": cells})
        lengths = rows.select(pl.col(self._columns).str.len_chars().max()).row(0)
        for place, (name, longest) in enumerate(zip(self._columns, lengths, strict=True)):
            width = min(_WIDEST, max(len(name), longest or 0) + 2)
            self._sheet.set_column(place, place, width, self._text)
        for place, name in enumerate(self._columns):
            self._sheet.write_string(0, place, name, self._header)
        self._row = 1

    def _write_cell(self, place: int, cell: str) -> None:
        if self._numbers[place] and _NUMBER.fullmatch(cell):
            self._sheet.write_number(self._row, place, float(cell))
        elif self._sheet.write_string(self._row, place, cell, self._text) != 0:
            msg = (
                f"a cell of {self._columns[place]} is too long for a spreadsheet: "
                "write the rows as csv or parquet"
            )
            raise SpreadsheetError(msg)


@contextmanager
def open_spreadsheet(
    target: BinaryIO,
    title: str,
    columns: Sequence[str],
    folder: Path,
    numbers: Collection[str] = (),
) -> Iterator[SpreadsheetWriter]:
    """Gives a writer of one file; the file is complete when the block ends.

    ``folder``: where rows are until then, in files that only their owner can read. ``numbers``:
    columns whose cells are numbers, where they can be read as one; every other cell is text.
    """
    import xlsxwriter  # noqa: PLC0415 - it takes long to load, and few districts want spreadsheets

    options = {"constant_memory": True, "tmpdir": str(folder)}
    with xlsxwriter.Workbook(target, options) as workbook:
        workbook.set_properties({"created": _MADE})
        writer = SpreadsheetWriter(workbook, title, columns, numbers)
        yield writer
        if writer.sheets == 0:
            writer.write(pl.DataFrame(schema=dict.fromkeys(columns, pl.String)))
