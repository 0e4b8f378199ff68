"""The counts of the districts' pages from night to night: counted anew only where they may change.

Belongs here: the file that keeps them, and which districts are counted. Does not belong here: what
is counted, and what the counts depend on (reports.funnels).
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.kept_frames import keep_frame, read_kept_frame
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.reports.funnels import STEPS, compute_funnel_bases, read_funnels

_FILE = "funnels.parquet"
"""A file of the warehouse folder: the counts of the last night. It can be deleted at any time."""
_BASIS = "basis"
_SCHEMA = {
    "cd": pl.String,
    "School": pl.String,
    "Grade Level": pl.String,
    "students": pl.Int64,
    **{step.name: pl.Int64 for step in STEPS},
    _BASIS: pl.String,
}


def read_current_funnels(
    connection: duckdb.DuckDBPyConnection, warehouse: Path, profiles: Profiles
) -> pl.DataFrame:
    """Returns ``read_funnels`` of all districts with a roster; keeps it for the next night.

    ``create_report_views`` came first.
    """
    cds = connection.execute("FROM district_names").pl()["cd"].to_list()
    bases = compute_funnel_bases(connection, profiles, cds)
    known = read_kept_frame(warehouse / _FILE, _SCHEMA)
    current = pl.DataFrame({"cd": [*bases], _BASIS: [*bases.values()]}, schema_overrides=_KEYS)
    same = known.join(current, on=["cd", _BASIS], how="semi")
    counted = {*same["cd"]}
    missing = [cd for cd in cds if cd not in counted]
    if not missing and same.height == known.height:
        return same.drop(_BASIS)
    found = same
    if missing:
        rows = read_funnels(connection, profiles, missing).join(current, on="cd")
        found = pl.concat([same, rows.select(pl.col(n).cast(t) for n, t in _SCHEMA.items())])
        found = found.sort("cd", maintain_order=True)
    keep_frame(warehouse / _FILE, found)
    return found.drop(_BASIS)


_KEYS = {"cd": pl.String, _BASIS: pl.String}
