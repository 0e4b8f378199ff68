"""The third step of a night: loads verified batches into the warehouse, one commit each.

Belongs here: going through the staged batches of a family. Does not belong here: loading a batch
(warehouse.load).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.intake.shares import WHOLE, Share
from ccgi_pipeline.nightly.batches import share_suffix
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.warehouse.load.drop_records import find_loaded_drops
from ccgi_pipeline.warehouse.load.ledger import LoadResult, load_drops
from ccgi_pipeline.warehouse.load.school_codes import record_school_codes
from ccgi_pipeline.warehouse.queries import rosters
from ccgi_pipeline.warehouse.queries.directory import read_directory_with_nces_ids
from ccgi_pipeline.warehouse.storage.connection import read_snapshot_id

_LOADED = "loaded"


@value_free
def load_family(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, family: str, on: date
) -> list[LoadResult]:
    """Loads all verified batches of ``family``, and then does what concerns all senders."""
    prepare_loading(connection, folders, family)
    loaded = load_share(connection, folders, family, on, WHOLE)
    finish_loading(connection, family)
    return loaded


@value_free
def prepare_loading(
    connection: duckdb.DuckDBPyConnection, folders: PipelinePaths, family: str
) -> None:
    """Saves the snapshot at which all shares of ``family`` look up other senders' records."""
    folders.staging.save_snapshot(family, read_snapshot_id(connection))


@value_free
def load_share(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    family: str,
    on: date,
    share: Share,
) -> list[LoadResult]:
    """Loads the verified batches of a share of ``family``, one commit each, and deletes them."""
    loaded = []
    staging = folders.staging
    batches = staging.list_batches(family, share)
    before = staging.read_snapshot(family)
    profiles = read_profiles(folders.warehouse)
    step = ProgressCounter(f"loading {family}{share_suffix(share)}", len(batches))
    for folder in batches:
        drops, verified = staging.read_batch(folder)
        if len(find_loaded_drops(connection, drops)) < len(drops):
            loaded.append(load_drops(connection, drops, verified, on, profiles, before))
        staging.clear_batch(folder)
        step.advance()
    return loaded


@value_free
def save_loaded_share(
    folders: PipelinePaths, family: str, share: Share, loaded: Sequence[LoadResult]
) -> None:
    """Saves the ledger of a loaded share for ``read_loaded_shares``."""
    if loaded:
        ledger = pl.concat([batch.ledger for batch in loaded])
        folders.staging.save_outcome(family, share, _LOADED, ledger)


@value_free
def read_loaded_shares(folders: PipelinePaths, family: str) -> list[pl.DataFrame]:
    """Returns the ledgers of all loaded shares of ``family``, as ``LoadResult`` has them."""
    return folders.staging.read_outcomes(family, _LOADED)


@value_free
def finish_loading(connection: duckdb.DuckDBPyConnection, family: str) -> None:
    """Runs the steps that the family declares for the time after the load of all senders."""
    for step in FAMILIES[family].after_load:
        AFTER_LOAD[step](connection)


def _prepare_rosters(connection: duckdb.DuckDBPyConnection) -> None:
    rosters.create_views(connection)
    record_school_codes(connection, read_directory_with_nces_ids(connection))


AFTER_LOAD: Mapping[str, Callable[[duckdb.DuckDBPyConnection], None]] = {
    "oneroster_rosters": _prepare_rosters,
}
"""The steps after a load, by the names under which families declare them."""
