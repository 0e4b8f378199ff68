"""The colleges' download file: applications without what colleges may not have.

Belongs here: its columns, which follow from their class, and its bytes. The SSID is a RESTRICTED
field and is not among them (CCCApply, request 2015-17).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.reports.column_policies import Output, may_show
from ccgi_pipeline.reports.outbox import as_csv
from ccgi_pipeline.reports.queries import harmless

COLUMNS = [
    name
    for name, column in APPLICATIONS.columns.items()
    if may_show(Output.COLLEGE_DOWNLOAD, column.classes)
]
"""Every column of an application that is not restricted."""


def download_path(on: date) -> Path:
    """Where the file of a day lies in the outbox."""
    return Path("cccapply", "download", f"applications_{on:%Y%m%d}.csv")


def download_file(rows: pl.DataFrame) -> bytes:
    """The file, of rows that have ``COLUMNS`` as text."""
    return as_csv(harmless(rows.select(COLUMNS), COLUMNS))


def restricted_columns(content: bytes) -> list[str]:
    """The columns of a written file that it may not have: none."""
    header = content.split(b"\r\n", 1)[0].decode().split(",")
    return sorted({*APPLICATIONS.columns} & set(header) - {*COLUMNS})
