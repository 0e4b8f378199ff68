"""Cells: what stands in the file where a finding points, for those who asked to see it.

Belongs here: reading a file once more and taking single cells out of it. They are students' data:
nobody gets them who did not ask (``ccgi check --show-values``, ``show_values`` in a district's
profile). Does not belong here: where they are shown.
"""

from __future__ import annotations

import re

import polars as pl

from ccgi_pipeline.common.packed_frames import frames_of
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline.verification.drop_files import FileToVerify, read_file

CELLS_SCHEMA = {"line": pl.UInt32, "column": pl.String, "value": pl.String}


def read_cells(places: pl.DataFrame, file: FileToVerify, feed: str) -> pl.DataFrame:
    """Returns the cells (``CELLS_SCHEMA``) at ``places`` (``line``, ``column``) of a file.

    A place that the file does not have, or that names no column, is left out; a blank is null.
    """
    wanted = places.select(pl.col("line").cast(pl.UInt32), "column").drop_nulls().unique()
    none = pl.DataFrame(schema=CELLS_SCHEMA)
    if wanted.is_empty():
        return none
    records = read_file(file, FEEDS_BY_NAME[feed]).records
    if records is None:
        return none
    columns = sorted(set(wanted["column"]) & set(records.columns))
    lines = pl.concat(
        frame.filter(pl.col(LINE).is_in(wanted["line"].implode()))
        for frame in frames_of(records, [LINE, *columns])
    )
    by_cell = lines.unpivot(index=LINE, variable_name="column", value_name="value")
    found = by_cell.with_columns(pl.col(LINE).cast(pl.UInt32).alias("line"))
    return (
        found.join(wanted, on=["line", "column"], how="semi")
        .select(pl.col(column).cast(dtype) for column, dtype in CELLS_SCHEMA.items())
        .sort("line", "column")
    )


_LONGEST = 80
"""Characters of a cell that a receipt shows: enough to recognise what an export put there."""
_NEVER_SHOWN = frozenset({"password"})
_SSN = re.compile(r"(?<!\d)\d{3}\W{0,3}\d{2}\W{0,3}\d{4}(?!\d)", re.ASCII)
"""Nine digits in the groups of a social security number, whatever stands between and around."""


def as_shown(column: str, value: str | None) -> str:
    """A cell as a receipt shows it to a district that asked for cells.

    Passwords and what may be a social security number are never repeated.
    """
    if value is None or not value.strip():
        return "(blank)"
    if column in _NEVER_SHOWN:
        return "(a password is never repeated)"
    if _SSN.search(value):
        return "(nine digits, not repeated: it may be a social security number)"
    return value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"
