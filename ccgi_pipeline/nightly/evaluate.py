"""The step that evaluates CSU and UC eligibility for every student on a roster.

Does not belong here: which rosters have changed, and storing results
(warehouse.load.eligibility_results); the rules (eligibility).
"""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.warehouse.load import eligibility_results


@value_free
def evaluate_eligibility(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, on: date
) -> pl.DataFrame:
    """Evaluates every student of every roster; returns ``system``, ``status``, ``students``."""
    step = ProgressCounter("evaluating eligibility", 1)
    counted = eligibility_results.evaluate_rosters(connection, on, read_profiles(folders.warehouse))
    step.advance()
    return counted
