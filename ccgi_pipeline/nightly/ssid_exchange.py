"""The SSID exchange of a night: looks up applications' SSIDs, writes the colleges' download.

Belongs here: the order of the work; each step can be run again at any time. Does not belong here:
asking the service (ssid_lookup), files that an operator matches by hand (operations.ssid_files).
"""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.delivery.ledger import FileKind
from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.nightly.made_files import record_made_files
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.reports.college_download import (
    COLUMNS,
    download_path,
    find_restricted_columns,
    render_download,
)
from ccgi_pipeline.reports.outbox import OutboxFile, sha256_of
from ccgi_pipeline.ssid_lookup.backlog import Backlog
from ccgi_pipeline.ssid_lookup.settings import open_lookup_client, read_hourly_limit
from ccgi_pipeline.warehouse.load import application_ssids
from ccgi_pipeline.warehouse.queries import applications

if TYPE_CHECKING:
    from ccgi_pipeline.ssid_lookup.batch import BatchOutcome


@value_free
def ask_for_ssids(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, on: date
) -> tuple[BatchOutcome | None, dict[str, int], int]:
    """Looks up the SSIDs of applications that have none, within the hour's budget.

    Returns the outcome of the requests (None if no service is named), how many applications have
    each answer, and how many wait for the next run.
    """
    lookup = open_lookup_client()
    waiting = applications.read_applications_without_ssid(connection)
    backlog = Backlog(folders.warehouse / "lookups")
    with closing(backlog):
        outcome = None
        if lookup is not None:
            from ccgi_pipeline.ssid_lookup.batch import (  # noqa: PLC0415 - slow to load
                LookupPace,
                look_up_all,
            )

            pace = LookupPace(hourly_limit=read_hourly_limit(), patience=0)
            with closing(lookup):
                outcome = look_up_all(waiting, lookup, backlog, pace)
        counts = application_ssids.record_answers(connection, collect_answers(backlog, waiting), on)
    return outcome, counts, waiting.height - sum(counts.values())


def collect_answers(backlog: Backlog, asked: pl.DataFrame) -> pl.DataFrame:
    """Returns the answers received so far to the applications, with text in every cell."""
    return backlog.read_answers(asked).with_columns(pl.col("fields").list.join(" "))


@value_free
def write_download(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, on: date
) -> tuple[int, list[str]]:
    """Writes the colleges' download file, unless it has restricted columns.

    Returns how many rows it has, and the restricted columns.
    """
    rows = applications.read_applications_for_colleges(connection, COLUMNS)
    if rows.is_empty():
        return 0, []
    content = render_download(rows)
    restricted = find_restricted_columns(content)
    if not restricted:
        path = download_path(on)
        folders.outgoing.write(path, content)
        file = OutboxFile(f"{path}", APPLICATIONS.family, sha256_of(content))
        record_made_files(connection, folders, on, [(FileKind.DOWNLOAD, "", "", file)])
    return rows.height, restricted
