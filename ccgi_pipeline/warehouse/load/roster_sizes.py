"""The size of each district's roster over time, for the charts of the pages.

Belongs here: recording a size in the night in which it changed. Does not belong here: reading the
sizes back (queries.trends), who is counted (reports.funnels).
"""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.warehouse.storage.schema import transaction

_CHANGED = """
    WITH known AS (
        SELECT _sender, arg_max(students, night) AS students FROM lake.roster_sizes
        WHERE night <= $on GROUP BY _sender
    )
    SELECT _sender, coalesce(now.students, 0)::BIGINT AS students
    FROM sizes_now AS now FULL JOIN known USING (_sender)
    WHERE known.students IS DISTINCT FROM coalesce(now.students, 0)
    ORDER BY _sender
"""


def record_roster_sizes(
    connection: duckdb.DuckDBPyConnection, sizes: pl.DataFrame, on: date
) -> int:
    """Records the ``sizes`` (``cd``, ``students``) that differ from those before.

    Returns how many. A district that is not among them has no student any more. A night that is
    made again replaces its own record.
    """
    connection.register("sizes_now", sizes.select("students", _sender="cd").to_arrow())
    try:
        changed = connection.execute(_CHANGED, {"on": on}).pl()
    finally:
        connection.unregister("sizes_now")
    if changed.is_empty():
        return 0
    connection.register("changed_sizes", changed.with_columns(night=pl.lit(on)).to_arrow())
    try:
        with transaction(connection):
            connection.execute(
                "DELETE FROM lake.roster_sizes WHERE night = ? "
                "AND _sender IN (SELECT _sender FROM changed_sizes)",
                [on],
            )
            connection.execute("INSERT INTO lake.roster_sizes BY NAME SELECT * FROM changed_sizes")
    finally:
        connection.unregister("changed_sizes")
    return changed.height
