"""Applications, and the SSID look-up's answers to them.

Belongs here: which applications have no SSID, recording answers, and the view of both. Does not
belong here: asking the service (ssid_lookup).
"""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.warehouse.storage.schema import qualify_table, transaction

VIEW_WITH_SSID = "cccapply_applications_with_ssid"
"""The view of all applications with an SSID: the applicant's own, or else the look-up's."""


def record_answers(
    connection: duckdb.DuckDBPyConnection, answers: pl.DataFrame, on: date
) -> dict[str, int]:
    """Records new and changed ``answers`` (``app_id``, ``answer``, ``SSID``, ``fields``).

    Returns how many applications have each answer.
    """
    new = answers.select("app_id", "answer", "SSID", "fields")
    connection.register("answers", new.to_arrow())
    try:
        changed = connection.execute(
            "SELECT count(*) FROM (FROM answers EXCEPT "
            'SELECT app_id, answer, "SSID", fields FROM application_ssids)'
        ).fetchone()
        if changed and changed[0]:
            with transaction(connection):
                connection.execute(
                    "DELETE FROM application_ssids WHERE app_id IN (SELECT app_id FROM answers)"
                )
                connection.execute(
                    "INSERT INTO application_ssids BY NAME SELECT *, ?::DATE AS answered_on "
                    "FROM answers",
                    [on],
                )
                connection.execute(f"CREATE OR REPLACE VIEW {VIEW_WITH_SSID} AS {_WITH_SSID}")
    finally:
        connection.unregister("answers")
    return dict(answers.group_by("answer").len().sort("answer").iter_rows())


_WITH_SSID = f"""
    SELECT application.* EXCLUDE (ssid), coalesce(application.ssid, found."SSID") AS ssid
    FROM {APPLICATIONS.name} AS application
    LEFT JOIN {qualify_table("application_ssids")} AS found USING (app_id)
    WHERE application._active
"""
