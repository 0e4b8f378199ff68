"""The replay of drops: lines that were kept out are judged again, and loaded if they may be.

Belongs here: which drops are read again from the archive, in which order, and isolating a drop that
cannot be judged. The same code previews the changes (on a preview copy of the warehouse) and makes
them. Does not belong here: loading a drop at its old position (warehouse.load.reload), asking the
operator (cli).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import (
    PermanentError,
    describe_without_values,
    library_errors,
    value_free,
)
from ccgi_pipeline.common.packed_frames import unpacked
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.spec import FILE, FeedSpec
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.inbox import UNKNOWN_FAMILY, Drop
from ccgi_pipeline.intake.received_files import open_received_files
from ccgi_pipeline.nightly.batches import bisect_failures, cut_batches
from ccgi_pipeline.nightly.reference_lookup import ReferenceLookup
from ccgi_pipeline.profiles import Profiles, read_profiles
from ccgi_pipeline.verification.drop_files import SizeLimit, files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline.verification.profile_overrides import apply_profile_overrides
from ccgi_pipeline.verification.validation import named_key
from ccgi_pipeline.warehouse.load.claims import update_claims
from ccgi_pipeline.warehouse.load.ledger import LoadTerms, find_faulty_drops
from ccgi_pipeline.warehouse.load.link_steps import link_step_of
from ccgi_pipeline.warehouse.load.reload import ReloadResult, ReloadState, Signature, reload_drop
from ccgi_pipeline.warehouse.load.upsert import Overtaken
from ccgi_pipeline.warehouse.queries.drops import read_received_drops
from ccgi_pipeline.warehouse.queries.quarantine import (
    LaterDrops,
    QuarantinedDrop,
    ReplaySelection,
    find_later_drops,
    find_quarantined_drops,
)
from ccgi_pipeline.warehouse.storage.connection import (
    open_warehouse,
    read_snapshot_id,
    warehouse_exists,
    write_warehouse,
)
from ccgi_pipeline.warehouse.storage.preview_copy import make_preview_copy
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables

_LOG = logging.getLogger(__name__)


class ReplayError(PermanentError):
    """Nothing can be replayed; the message says why."""


@value_free
def preview_replay(warehouse: Path, selection: ReplaySelection, on: date) -> list[ReloadResult]:
    """Returns what a replay of the selected drops as of ``on`` would do; changes nothing."""
    _must_exist(warehouse)
    with make_preview_copy(warehouse) as copy, open_warehouse(copy) as connection:
        create_missing_tables(connection)
        return list(_Replay(connection, warehouse, on, Signature("a preview")).run(selection))


@value_free
def run_replay(
    warehouse: Path, selection: ReplaySelection, on: date, signature: Signature
) -> list[ReloadResult]:
    """Replays the selected drops, with a commit for each drop that changes.

    Raises WarehouseBusyError while another process writes.
    """
    _must_exist(warehouse)
    with write_warehouse(warehouse) as connection:
        before = read_snapshot_id(connection)
        results = list(_Replay(connection, warehouse, on, signature).run(selection))
        update_claims(connection, on, before)
        return results


def _must_exist(warehouse: Path) -> None:
    if not warehouse_exists(warehouse):
        msg = f"there is no warehouse at {warehouse}"
        raise ReplayError(msg)


@dataclass(frozen=True)
class _Replay:
    """One replay: where drops are loaded, the warehouse with the archive, the day, the operator."""

    connection: duckdb.DuckDBPyConnection
    warehouse: Path
    on: date
    signature: Signature

    def run(self, selection: ReplaySelection) -> Iterator[ReloadResult]:
        """Replays family after family as in a night, each sender's drops in loading order."""
        found = find_quarantined_drops(self.connection, selection)
        step = ProgressCounter("replaying", len(found))
        for family in (*FAMILIES, UNKNOWN_FAMILY):
            to_judge = {}
            for old in found:
                if old.family != family:
                    continue
                known = self._known_before(old)
                if known is not None:
                    yield ReloadResult(old, known)
                    step.advance()
                else:
                    to_judge[old.drop] = old
            drops = [old.made_of for old in to_judge.values() if old.made_of is not None]
            for batch in cut_batches(drops, self.archive):
                # A new look-up for each batch also sees what was loaded meanwhile.
                with self._make_judge() as judge:
                    for part, verification in bisect_failures(batch, judge):
                        for drop in part:
                            yield self._reload(to_judge[drop.id], verification)
                            step.advance()

    @property
    def archive(self) -> Archive:
        """The archive of received files."""
        return Archive.of(self.warehouse)

    @property
    def profiles(self) -> Profiles:
        """The settings in force."""
        return read_profiles(self.warehouse)

    def _known_before(self, old: QuarantinedDrop) -> ReloadState | None:
        """Returns the result for a drop that need not, or cannot, be judged again; else None."""
        later = find_later_drops(self.connection, old)
        if set(old.lines) <= set(later.full_sets):
            return ReloadState.SUPERSEDED
        return None if old.made_of and self._is_archived(old.made_of) else ReloadState.LOST

    def _is_archived(self, drop: Drop) -> bool:
        return all(self.archive.has(sha256) for _, sha256 in drop.files)

    @contextmanager
    def _make_judge(self) -> Iterator[Callable[[Sequence[Drop]], Verification]]:
        """Gives a function that judges drops by today's rules, settings and records."""
        knowledge, profiles = ReferenceLookup(self.connection), self.profiles
        limit = SizeLimit(profiles.intake.largest_drop)

        # Without a day: what came before a key was retired, or a form was agreed, is read all the
        # same; whether it should be is what the operator decides with a replay.
        with open_received_files(self.archive, profiles) as received:

            def judged(drops: Sequence[Drop]) -> Verification:
                files = files_to_verify(drops, received.as_sent, limit, received.open)
                verification = verify(files, self.on, knowledge.known, profiles)
                return apply_profile_overrides(verification, profiles, self.on)

            yield judged

    def _reload(self, old: QuarantinedDrop, verification: Verification) -> ReloadResult:
        """Loads one of the judged drops; a fault of this software with it stops no other drop."""
        own = _of_drop(verification, old.drop)
        if old.drop in find_faulty_drops(own):
            return ReloadResult(old, ReloadState.FAULT)
        later = find_later_drops(self.connection, old)
        overtaken = Overtaken(old.position, self._named_later(later))
        terms = LoadTerms(
            self.on, self.profiles, overtaken=dict.fromkeys(later.overtaken, overtaken)
        )
        try:
            return reload_drop(self.connection, old, own, later, terms, self.signature)
        except (OSError, duckdb.Error):
            raise  # the machine's fault, not the drop's
        except library_errors() as error:
            _LOG.error(
                "drop %s could not be replayed: %s", old.drop, describe_without_values(error)
            )
            return ReloadResult(old, ReloadState.FAULT)

    def _named_later(self, later: LaterDrops) -> Callable[[FeedSpec, pl.DataFrame], pl.DataFrame]:
        """Returns a function that finds those lines whose record one of the later drops names.

        The later drops are judged again for this, because lines that repeat a record unchanged are
        not stored. A later drop that cannot be judged counts as naming all records, so that nothing
        is undone.
        """

        def named(feed: FeedSpec, lines: pl.DataFrame) -> pl.DataFrame:
            place, key = ["_file", "_line"], named_key(feed)
            others = lines.select(*place, "_by_id", *key)
            names = [name for name in others.columns if name not in {*place, "_by_id"}]
            by_id = bool(lines["_by_id"].any())
            found = [others.clear()]
            for drop_id in later.drops:
                if others.is_empty():
                    break
                accepted = self._accepted(drop_id, feed)
                if accepted is None:
                    found.append(others)
                    break
                there = accepted.with_columns(_by_id=by_id).select(key)
                found.append(others.join(there, on=names, how="semi", nulls_equal=True))
                others = others.join(there, on=names, how="anti", nulls_equal=True)
            return pl.concat(found).select(place)

        return named

    def _accepted(self, drop_id: str, feed: FeedSpec) -> pl.DataFrame | None:
        """Returns the lines of a drop that can be loaded today; None if that cannot be judged."""
        drop = read_received_drops(self.connection, [drop_id]).get(drop_id)
        if drop is None or not self._is_archived(drop):
            return None
        with self._make_judge() as judge:
            ((_, verification),) = bisect_failures([drop], judge)
        if drop_id in find_faulty_drops(verification):
            return None
        if (step := link_step_of(drop.family)) is not None:
            linked = step.find(self.connection, verification, self.on, self.profiles)
            verification = linked.verification
        accepted = verification.accepted.get(feed.name)
        if accepted is None:
            columns = {name: declared.dtype for name, declared in feed.columns.items()}
            return pl.DataFrame(schema=columns)
        return unpacked(accepted)


def _of_drop(verification: Verification, drop: str) -> Verification:
    """Returns the part of a verification that is about one drop."""
    files = verification.files.filter(pl.col("drop") == drop)
    own = pl.col(FILE).is_in(files[FILE].implode())
    return Verification(
        files,
        verification.findings.filter(own),
        verification.causes.filter(own),
        {feed: lines.filter(own) for feed, lines in verification.accepted.items()},
        {feed: keys.filter(own) for feed, keys in verification.kept_keys.items()},
        {feed: lines.filter(own) for feed, lines in verification.unread.items()},
    )
