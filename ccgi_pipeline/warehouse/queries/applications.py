"""The applications of CCCApply: which have no SSID, and what colleges download.

Belongs here: reading applications, and finding CCCIDs of two students. Does not belong here: the
look-up's answers (load.application_ssids), the form of the download (reports.college_download).
"""

from __future__ import annotations

import duckdb
import polars as pl

from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.warehouse.queries.opt_outs import OPTED_OUT_ANYWHERE

LOOKUP_COLUMNS = ("app_id", "ccc_id", "firstname", "lastname", "birthdate", "hs_cds_full")
"""The columns of an application that are sent to the look-up."""


def read_applications_without_ssid(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns ``LOOKUP_COLUMNS`` of the applications without an SSID, in the order of their ids."""
    return connection.sql(
        f"SELECT {', '.join(LOOKUP_COLUMNS)} FROM {APPLICATIONS.name} "
        "WHERE _active AND ssid IS NULL ORDER BY app_id"
    ).pl()


def read_shared_cccids(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns where the applications of each CCCID stand that belongs to two students or more.

    Columns: ``case`` (a number for each CCCID), ``student`` (a number for each SSID in the case, 0
    for none), ``night``, ``drop``, ``line``; no value of an application. A student is an SSID: the
    applicant's own, or else the look-up's. Upper and lower case are one CCCID. One student with
    two CCCIDs is no fault: whoever forgets the first account opens another.
    """
    return connection.sql(
        f"""
        WITH asked AS (
            SELECT upper(application.ccc_id) AS cccid, application._drop, application._line,
                coalesce(application.ssid, found."SSID") AS ssid
            FROM {APPLICATIONS.name} AS application
            LEFT JOIN application_ssids AS found USING (app_id)
            WHERE application._active
        ),
        shared AS (SELECT cccid FROM asked GROUP BY cccid HAVING count(DISTINCT ssid) > 1)
        SELECT dense_rank() OVER (ORDER BY cccid) AS "case",
            CASE WHEN ssid IS NULL THEN 0
                ELSE dense_rank() OVER (PARTITION BY cccid ORDER BY ssid NULLS LAST)
            END AS student,
            drops.night, _drop AS "drop", _line AS line
        FROM asked SEMI JOIN shared USING (cccid) LEFT JOIN drops ON drops.drop_id = asked._drop
        ORDER BY ALL
        """
    ).pl()


def count_shared_cccids(connection: duckdb.DuckDBPyConnection) -> int:
    """Returns how many CCCIDs belong to two students or more."""
    return read_shared_cccids(connection)["case"].n_unique()


def read_applications_for_colleges(
    connection: duckdb.DuckDBPyConnection, columns: list[str]
) -> pl.DataFrame:
    """Returns ``columns`` of the applications as text, in the order of their ids.

    Students whose parents opted out are left out. An application whose SSID is not known yet cannot
    be told to be theirs.
    """
    chosen = ", ".join(f'application."{name}"::VARCHAR AS "{name}"' for name in columns)
    return connection.sql(
        f"""
        SELECT {chosen} FROM {APPLICATIONS.name} AS application
        LEFT JOIN application_ssids AS found USING (app_id)
        ANTI JOIN ({OPTED_OUT_ANYWHERE}) AS opted_out
            ON opted_out.SSID = coalesce(application.ssid, found."SSID")
        WHERE application._active ORDER BY app_id
        """
    ).pl()
