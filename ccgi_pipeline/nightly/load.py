"""The third step of a night: loads verified batches into the warehouse, one commit each.

Belongs here: going through the staged batches of a family. Does not belong here: loading a batch
(warehouse.load).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

import duckdb

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.warehouse.load.claims import update_claims
from ccgi_pipeline.warehouse.load.drop_records import find_loaded_drops
from ccgi_pipeline.warehouse.load.ledger import LoadResult, load_drops
from ccgi_pipeline.warehouse.load.school_codes import record_school_codes
from ccgi_pipeline.warehouse.queries import rosters
from ccgi_pipeline.warehouse.queries.directory import read_directory_with_nces_ids
from ccgi_pipeline.warehouse.storage.connection import read_snapshot_id


@value_free
def load_family(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, family: str, on: date
) -> list[LoadResult]:
    """Loads all verified batches of ``family``, one commit each, and deletes them.

    Then does what the family declares for the time after the load of all senders.
    """
    loaded = []
    staging = folders.staging
    batches = staging.list_batches(family)
    # Other senders' records are looked up as they were before: the order of batches is free.
    before = read_snapshot_id(connection)
    profiles = read_profiles(folders.warehouse)
    step = ProgressCounter(f"loading {family}", len(batches))
    for folder in batches:
        drops, verified = staging.read_batch(folder)
        if len(find_loaded_drops(connection, drops)) < len(drops):
            loaded.append(load_drops(connection, drops, verified, on, profiles, before))
        staging.clear_batch(folder)
        step.advance()
    for after in FAMILIES[family].after_load:
        AFTER_LOAD[after](connection, on, before)
    return loaded


def _prepare_rosters(connection: duckdb.DuckDBPyConnection, _on: date, _before: int) -> None:
    rosters.create_views(connection)
    record_school_codes(connection, read_directory_with_nces_ids(connection))


AFTER_LOAD: Mapping[str, Callable[[duckdb.DuckDBPyConnection, date, int], None]] = {
    "oneroster_rosters": _prepare_rosters,
    "ssid_claims": update_claims,
}
"""The steps after a load, by the names under which families declare them.

Each gets the night, and the snapshot of the warehouse before the family was loaded."""
