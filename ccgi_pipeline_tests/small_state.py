"""A synthetic state after one night, which tests of analysts' tools read.

Belongs here: preparing it, and opening its warehouse as an analyst does, with DuckDB alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from ccgi_pipeline.common.extensions import connect, load_extension
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.report import refresh_views
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.synthetic.state import generate
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    folders_in,
    report_and_answer,
    take_and_load,
    writing,
)


def make_small_state(root: Path) -> PipelinePaths:
    """Three districts with a few students each, after a night with every step."""
    folders = folders_in(root)
    generate(folders.inbox, districts=3, students=90, seed=7, on=ON)
    with writing(folders) as connection:
        take_and_load(connection, folders)
        refresh_views(connection, folders)
        report_and_answer(connection, folders)
    return folders


@contextmanager
def attached(warehouse: Path, name: str = "ccgi") -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse attached read-only to a plain connection, as the documents say."""
    with connect() as connection:
        for extension in ("ducklake", "sqlite_scanner"):
            load_extension(connection, extension)
        connection.execute(
            f"ATTACH 'ducklake:sqlite:{warehouse}/catalog.sqlite' AS {name} "
            f"(DATA_PATH '{warehouse}/tables', OVERRIDE_DATA_PATH true, READ_ONLY)"
        )
        yield connection


def delivered_rows(folders: PipelinePaths, spec: ReportSpec, file: str) -> list[tuple[str, ...]]:
    """The rows of one report of all districts, as they lie in the outbox."""
    found = folders.outbox.glob(f"*/{'/'.join(spec.folder)}/*_{file}.csv")
    return [
        tuple(row)
        for path in sorted(found)
        for row in list(csv.reader(io.StringIO(path.read_text()), strict=True))[1:]
    ]
