"""What districts sent over time, in counts: drops, lines kept out, rosters, broken rules, look-ups.

Belongs here: the queries behind the pages, each for all districts in one pass. Does not belong
here: the newest state alone (health), what the pages say of it (dashboards).
"""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.feeds.file_rules import FAULT
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.verification.outcomes import Verdict

KEPT_OUT = "fate IN ('rejected', 'unmatched', 'held')"
"""The fates of lines that were not loaded although their sender meant them to be."""

_SENT = f"""
    SELECT drop_id, sender, family, night, verdict, position, false AS again FROM lake.drops
    UNION ALL
    SELECT DISTINCT drop_id, sender, family, again.night, '{Verdict.DUPLICATE}', position, true
    FROM lake.duplicates AS again JOIN lake.drops USING (drop_id)
"""


def read_recent_drops(connection: duckdb.DuckDBPyConnection, most: int) -> pl.DataFrame:
    """Returns the last ``most`` drops of each sender and its newest of each family, oldest first.

    Columns: ``sender``, ``family``, ``drop_id``, ``night``, ``verdict``, ``again`` (the same
    content came once more), ``lines``, ``kept_out``, ``answered`` (there is a receipt), ``newest``
    (of its family; duplicates are not) and ``recent`` (one of the last).
    """
    return connection.execute(
        f"""
        WITH sent AS ({_SENT}),
        placed AS (
            SELECT *,
                row_number() OVER (
                    PARTITION BY sender ORDER BY night DESC, again DESC, position DESC
                ) AS place,
                NOT again AND row_number() OVER (
                    PARTITION BY sender, family, again ORDER BY position DESC
                ) = 1 AS newest
            FROM sent
        ),
        chosen AS (SELECT * FROM placed WHERE newest OR place <= $most),
        counted AS (
            SELECT drop_id, sum(lines)::BIGINT AS lines,
                coalesce(sum(lines) FILTER ({KEPT_OUT}), 0)::BIGINT AS kept_out
            FROM lake.ledger SEMI JOIN chosen USING (drop_id) GROUP BY drop_id
        )
        SELECT sender, family, chosen.drop_id, chosen.night, verdict, again,
            coalesce(counted.lines, 0) AS lines, coalesce(counted.kept_out, 0) AS kept_out,
            receipts.drop_id IS NOT NULL AS answered, newest, place <= $most AS recent
        FROM chosen LEFT JOIN counted USING (drop_id)
        LEFT JOIN (SELECT DISTINCT drop_id FROM lake.receipts) AS receipts
            ON receipts.drop_id = chosen.drop_id || CASE WHEN again THEN '_duplicate' ELSE '' END
        ORDER BY sender, place DESC
        """,
        {"most": most},
    ).pl()


_NEWEST = """
    SELECT drop_id FROM lake.drops
    QUALIFY row_number() OVER (PARTITION BY sender, family ORDER BY position DESC) = 1
"""


def read_newest_outcomes(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns what became of the newest drop of each sender and family, a row a drop and fate.

    Columns: ``drop_id``, ``fate``, ``lines``, ``findings`` (whether there are any), ``fault``
    (the pipeline failed at it) and ``refused`` (the feed without which the drop means nothing, if
    its file was rejected). A drop without a line has one row without a fate.
    """
    required = [feed.name for feed in FEEDS if feed.required]
    return connection.execute(
        f"""
        WITH newest AS ({_NEWEST}),
        fates AS (
            SELECT drop_id, fate, sum(lines)::BIGINT AS lines
            FROM lake.ledger SEMI JOIN newest USING (drop_id) GROUP BY ALL
        ),
        found AS (
            SELECT drop_id, bool_or(rule = $fault) AS fault
            FROM lake.findings SEMI JOIN newest USING (drop_id) GROUP BY drop_id
        ),
        refused AS (
            SELECT drop_id, arg_min(feed, file_number) AS refused
            FROM lake.files SEMI JOIN newest USING (drop_id)
            WHERE verdict = '{Verdict.REJECTED}' AND list_contains($required, feed)
            GROUP BY drop_id
        )
        SELECT drop_id, fate, coalesce(lines, 0) AS lines, found.drop_id IS NOT NULL AS findings,
            coalesce(fault, false) AS fault, refused
        FROM newest LEFT JOIN fates USING (drop_id) LEFT JOIN found USING (drop_id)
        LEFT JOIN refused USING (drop_id)
        ORDER BY drop_id, fate
        """,
        {"fault": FAULT.id, "required": required},
    ).pl()


def read_lines_by_night(connection: duckdb.DuckDBPyConnection, since: date) -> pl.DataFrame:
    """Returns ``sender``, ``night``, ``lines`` and ``kept_out`` of the nights from ``since`` on."""
    return connection.execute(
        f"""
        SELECT sender, night, sum(lines)::BIGINT AS lines,
            coalesce(sum(lines) FILTER ({KEPT_OUT}), 0)::BIGINT AS kept_out
        FROM lake.ledger JOIN lake.drops USING (drop_id)
        WHERE night >= $since GROUP BY ALL ORDER BY ALL
        """,
        {"since": since},
    ).pl()


def read_roster_sizes(connection: duckdb.DuckDBPyConnection, on: date) -> pl.DataFrame:
    """Returns ``cd``, ``night`` and ``students`` of each night in which a roster's size changed."""
    return connection.execute(
        "SELECT _sender AS cd, night, students FROM lake.roster_sizes WHERE night <= $on "
        "ORDER BY ALL",
        {"on": on},
    ).pl()


def count_errors_by_rule(connection: duckdb.DuckDBPyConnection, since: date) -> pl.DataFrame:
    """Returns ``night``, ``rule`` and ``places`` of the errors that districts' files had."""
    return connection.execute(
        """
        SELECT night, rule, count(*) AS places
        FROM lake.findings JOIN lake.drops USING (drop_id)
        WHERE night >= $since AND severity = 'error' GROUP BY ALL ORDER BY ALL
        """,
        {"since": since},
    ).pl()


def count_lookup_answers(connection: duckdb.DuckDBPyConnection, since: date) -> pl.DataFrame:
    """Returns ``night``, ``answer`` and ``applications`` of the SSID look-ups."""
    return connection.execute(
        """
        SELECT answered_on AS night, answer, count(*) AS applications
        FROM lake.application_ssids WHERE answered_on >= $since GROUP BY ALL ORDER BY ALL
        """,
        {"since": since},
    ).pl()
