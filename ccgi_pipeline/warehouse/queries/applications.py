"""The applications of CCCApply: which have no SSID, and what colleges download.

Belongs here: reading applications. Does not belong here: the look-up's answers
(load.application_ssids), the form of the download (reports.college_download).
"""

from __future__ import annotations

import duckdb
import polars as pl

from ccgi_pipeline.feeds.cccapply import APPLICATIONS

LOOKUP_COLUMNS = ("app_id", "ccc_id", "firstname", "lastname", "birthdate", "hs_cds_full")
"""The columns of an application that are sent to the look-up."""


def read_applications_without_ssid(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns ``LOOKUP_COLUMNS`` of the applications without an SSID, in the order of their ids."""
    return connection.sql(
        f"SELECT {', '.join(LOOKUP_COLUMNS)} FROM {APPLICATIONS.name} "
        "WHERE _active AND ssid IS NULL ORDER BY app_id"
    ).pl()


def read_applications_for_colleges(
    connection: duckdb.DuckDBPyConnection, columns: list[str]
) -> pl.DataFrame:
    """Returns ``columns`` of all applications as text, in the order of their ids."""
    chosen = ", ".join(f'"{name}"::VARCHAR AS "{name}"' for name in columns)
    return connection.sql(
        f"SELECT {chosen} FROM {APPLICATIONS.name} WHERE _active ORDER BY app_id"
    ).pl()
