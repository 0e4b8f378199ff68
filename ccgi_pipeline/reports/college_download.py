"""Renders the colleges' download file: applications without restricted columns.

Belongs here: its columns, which follow from their classes, and its bytes. The SSID is a RESTRICTED
field and is left out (CCCApply, request 2015-17).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from ccgi_pipeline.common.spreadsheet_cells import sanitize_cells
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.reports.column_policies import Output, may_show
from ccgi_pipeline.reports.outbox import to_csv

COLUMNS = [
    name
    for name, column in APPLICATIONS.columns.items()
    if may_show(Output.COLLEGE_DOWNLOAD, column.classes)
]
"""Every column of an application that is not restricted."""


def download_path(on: date) -> Path:
    """Returns the path of a day's file in the outbox."""
    return Path("cccapply", "download", f"applications_{on:%Y%m%d}.csv")


def render_download(rows: pl.DataFrame) -> bytes:
    """Returns the file's bytes; ``rows`` have ``COLUMNS`` as text."""
    return to_csv(sanitize_cells(rows.select(COLUMNS), COLUMNS))


def find_restricted_columns(content: bytes) -> list[str]:
    """Returns the columns of a written file that it may not have; none if all is well."""
    header = content.split(b"\r\n", 1)[0].decode().split(",")
    return sorted({*APPLICATIONS.columns} & set(header) - {*COLUMNS})
