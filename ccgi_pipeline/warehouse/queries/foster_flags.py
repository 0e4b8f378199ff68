"""Where a district's transcript roster and its demographics extract disagree on foster youth.

Belongs here: the comparison of two files of one district. It does not ask the register of children,
so that its answer is the same whether Foster Focus knows the student or not. Does not belong here:
who is linked (warehouse.load.child_links).
"""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.feeds.foster_focus.link_rules import NOT_FLAGGED, NOT_SENT
from ccgi_pipeline.feeds.transcript import STUDENT


def read_disagreeing_flags(connection: duckdb.DuckDBPyConnection, on: date) -> pl.DataFrame:
    """Returns the students whom one file calls a foster youth and the other does not.

    Columns: ``sender``, ``system_id``, ``local_id``, ``rule``. Students are the same if their local
    IDs agree, without leading zeros. SSIDs are not compared: of students without a child they are
    not kept, so that the answer would tell who has one. Only students count who are enrolled on
    ``on`` by the roster, of districts that send demographics; and a roster that fills FosterYouth
    for nobody says nothing.
    """
    return connection.execute(
        f"""
        WITH sent AS (
            SELECT student.*, ltrim(trim("SISLocalID"), '0') AS id
            FROM (
                SELECT _sender, "SystemID", "SISLocalID" FROM child_links
                UNION SELECT _sender, "SystemID", "SISLocalID" FROM unmatched
            ) AS student
        ),
        roster AS (
            SELECT _sender, ltrim(trim("LocalStudentID"), '0') AS id,
                any_value("LocalStudentID") AS local_id,
                bool_or(coalesce("FosterYouth", false)) AS flagged
            FROM {STUDENT.name}
            WHERE _active AND "LocalStudentID" IS NOT NULL
                AND coalesce("EnrollmentEndDate" >= $on, true)
                AND _sender IN (
                    SELECT _sender FROM {STUDENT.name} WHERE _active AND "FosterYouth" IS NOT NULL
                )
            GROUP BY ALL
        )
        SELECT _sender AS sender, _sender AS system_id, local_id, $not_sent AS rule
        FROM roster SEMI JOIN sent USING (_sender) ANTI JOIN sent AS same USING (_sender, id)
        WHERE flagged
        UNION ALL
        SELECT _sender, "SystemID", "SISLocalID", $not_flagged
        FROM sent JOIN roster USING (_sender, id) WHERE NOT flagged
        ORDER BY ALL
        """,
        {"on": on, "not_sent": NOT_SENT.id, "not_flagged": NOT_FLAGGED.id},
    ).pl()
