"""The second step of a night: verifies the staged drops of a family, batch by batch.

Belongs here: reading batches ahead and verifying them. Does not belong here: the rules
(verification), where a batch ends (batches).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import library_errors, value_free
from ccgi_pipeline.common.prefetch import prefetch
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.intake.reader import Reading
from ccgi_pipeline.intake.received_files import ReceivedFiles, open_received_files
from ccgi_pipeline.nightly.batches import (
    BATCH_BYTES,
    bisect_failures,
    bytes_of,
    cut_batches,
    staged_families,
)
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.reference_lookup import ReferenceLookup
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.verification.drop_files import (
    FileToVerify,
    SizeLimit,
    files_to_verify,
    read_files,
)
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline.verification.profile_overrides import apply_profile_overrides
from ccgi_pipeline.warehouse.load.drop_records import find_loaded_drops


@value_free
def verify_family(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    family: str,
    on: date,
) -> pl.DataFrame:
    """Verifies the staged drops of ``family`` batch by batch; returns its files' outcomes."""
    staging, archive = folders.staging, folders.archive
    profiles = read_profiles(folders.warehouse)
    staging.clear_batches(family)
    drops = staging.read_drops(staged_families(family))
    loaded = find_loaded_drops(connection, drops) if drops else frozenset()
    drops = [drop for drop in drops if drop.id not in loaded]
    if not drops:
        return pl.DataFrame()
    with open_received_files(archive, profiles, on) as received:
        outcomes = _verify_drops(connection, folders, family, drops, on, received)
    return pl.concat(outcomes) if outcomes else pl.DataFrame()


def _verify_drops(
    connection: duckdb.DuckDBPyConnection,
    folders: PipelinePaths,
    family: str,
    drops: Sequence[Drop],
    on: date,
    received: ReceivedFiles,
) -> list[pl.DataFrame]:
    """Verifies drops batch by batch, and stages them; returns the outcomes of the files."""
    staging, archive = folders.staging, folders.archive
    profiles = read_profiles(folders.warehouse)
    step = ProgressCounter(f"verifying {family}", sum(len(drop.files) for drop in drops))
    outcomes = []

    limit = SizeLimit(profiles.intake.largest_drop)
    knowledge = ReferenceLookup(connection, drops)

    def read(batch: Sequence[Drop]) -> _Opened:
        files = files_to_verify(batch, received.as_sent, limit, received.open)
        return files, read_files(files, profiles, progress=step.advance)

    def read_ahead(batch: list[Drop]) -> tuple[list[Drop], _Opened | None]:
        # A batch above the limit (one large drop) fills the memory: it is not read ahead.
        if sum(bytes_of(drop, archive) for drop in batch) > BATCH_BYTES:
            return batch, None
        try:
            return batch, read(batch)
        except library_errors():
            return batch, None  # ``bisect_failures`` meets the error again and handles it

    def verified(
        part: Sequence[Drop], *, batch: Sequence[Drop], opened: _Opened | None
    ) -> Verification:
        files, readings = opened if opened is not None and part is batch else read(part)
        return verify(files, on, knowledge.known, profiles, readings=readings)

    for batch, opened in prefetch(read_ahead, cut_batches(drops, archive)):
        for part, verification in bisect_failures(
            batch, partial(verified, batch=batch, opened=opened)
        ):
            knowledge.learn(verification)
            staging.save_batch(family, part, apply_profile_overrides(verification, profiles, on))
            outcomes.append(verification.files)
    return outcomes


_Opened = tuple[list[FileToVerify], Mapping[int, Reading]]
"""The files of a batch, and what was read from each."""
