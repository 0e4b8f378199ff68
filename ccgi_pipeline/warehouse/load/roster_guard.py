"""The roster guard: a drop that changes a roster too much is held until an operator decides.

Belongs here: how many records a full set would end and a drop would add, whether that is too much,
and the likely cause. A held drop is not loaded at all. Does not belong here: operators' decisions
(approvals).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import duckdb
import polars as pl

from ccgi_pipeline.feeds.file_rules import HELD
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME, feeds_of
from ccgi_pipeline.feeds.spec import FILE, SENDER, FeedSpec
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA
from ccgi_pipeline.profiles import GuardProfile, Profiles
from ccgi_pipeline.verification.outcomes import Verification, nothing_known
from ccgi_pipeline.warehouse.load.kept_records import find_kept_records
from ccgi_pipeline.warehouse.load.upsert import has_records
from ccgi_pipeline.warehouse.storage.schema import quote_identifier

LOSSES_SCHEMA = {
    "drop_id": pl.String,
    "feed": pl.String,
    "school": pl.String,
    "would_end": pl.Int64,
    "would_add": pl.Int64,
    "active": pl.Int64,
    "cause": pl.String,
}
"""What a held drop would do: how many of a feed's ``active`` records it would end, of one
``school`` or all, or how many new ones it would add to them."""

APPROVED, ADDS_ONLY, DISCARDED = "approved", "adds_only", "discarded"
"""The decisions about a held drop: load it as it is; load it and end no record; never load it."""

EMPTY = "the file is empty"
ANOTHER_DISTRICT = "the ids are another district's: perhaps its file"
LOST_ZEROS = "the ids have lost their leading zeros"
HALF = "the file ends early: perhaps half a file"
NEW_IDS = "most ids are new: another school year, or newly made ids"
MANY_NEW = "far more new ids than a district gains: perhaps students of others, or newly made ids"
_MOSTLY = 0.5
_ALMOST_ALL = 0.9


@dataclass(frozen=True, slots=True)
class GuardResult:
    """A verification without the held drops, and what is recorded of those.

    ``fates``: ``_file``, ``fate``, ``lines`` of held lines. ``findings``: ``FINDINGS_SCHEMA`` with
    ``_file`` first. ``losses``: ``LOSSES_SCHEMA``. ``files``: the numbers of held files.
    """

    verification: Verification
    fates: pl.DataFrame
    findings: pl.DataFrame
    losses: pl.DataFrame
    files: frozenset[int]


def guard_rosters(
    connection: duckdb.DuckDBPyConnection,
    family: str,
    verification: Verification,
    profiles: Profiles,
    approvals: Mapping[str, str],
    *,
    before: int | None = None,
) -> GuardResult:
    """Holds the drops that would end or add too many records, unless an operator approved them.

    ``approvals``: ``APPROVED`` or ``ADDS_ONLY`` by drop. ``before``: the snapshot at which other
    districts' ids are looked up, if not the newest; then the order of loading within a night makes
    no difference.
    """
    verification = _end_nothing_in_adding_drops(verification, approvals)
    losses = [
        loss
        for feed in feeds_of(family)
        if feed.guarded
        for find in (_find_losses, *((_find_gains,) if feed.growth_guarded else ()))
        for loss in find(connection, feed, verification, profiles, before)
        if loss.drop not in approvals
    ]
    return _leave_out_held(verification, losses)


MANY_UNKNOWN = "far more students than usual are not known to Foster Focus"


def guard_links(
    verification: Verification,
    sent: pl.DataFrame,
    profiles: Profiles,
    approvals: Mapping[str, str],
) -> GuardResult:
    """Holds the drops in which many students are unknown, unless an operator approved them.

    Otherwise an extract of a whole school would tell who of it is a foster youth. The receipt names
    no count, because the count tells how many are.
    """
    losses = []
    for drop, sender, file, students, unknown in sent.iter_rows():
        settings = profiles.of(sender).guard
        many = unknown > settings.unmatched * students and unknown >= settings.unmatched_at_least
        if many and drop not in approvals:
            (name,) = verification.files.filter(pl.col(FILE) == file)["feed"]
            cause = f"{unknown:,} of {students:,} students are not known to Foster Focus"
            feed = FEEDS_BY_NAME[name]
            losses.append(_DropLoss(drop, file, feed, None, 0, students, cause, told=MANY_UNKNOWN))
    return _leave_out_held(verification, losses)


def _end_nothing_in_adding_drops(
    verification: Verification, approvals: Mapping[str, str]
) -> Verification:
    """Returns ``verification`` in which drops that are approved to add only are no full sets."""
    adding = [drop for drop, decision in approvals.items() if decision == ADDS_ONLY]
    whole = pl.col("complete") & ~pl.col("drop").is_in(adding)
    return replace(verification, files=verification.files.with_columns(complete=whole))


@dataclass(frozen=True, slots=True)
class _DropLoss:
    """The records of one feed (of one school, if given) that one file would end: too many.

    Or the records that it would add.
    """

    drop: str
    file: int
    feed: FeedSpec
    school: str | None
    would_end: int
    active: int
    cause: str
    would_add: int = 0
    told: str = ""

    @property
    def words(self) -> str:
        """The words for a receipt: counts and a cause; the only value is a school's code."""
        if self.told:
            return self.told
        name = self.feed.name.removeprefix(f"{self.feed.family}_")
        if self.would_add:
            new = f"{self.would_add:,} new records of {name} would be added to {self.active:,}"
            return f"{new} active ones; {self.cause}"
        where = f" of school {self.school}" if self.school else ""
        counts = f"{self.would_end:,} of {self.active:,} active records of {name}{where} would end"
        return f"{counts}; {self.cause}"


def _find_losses(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    verification: Verification,
    profiles: Profiles,
    before: int | None,
) -> Iterator[_DropLoss]:
    # An empty file among the files of a set is suspicious. An empty file on its own is refused by
    # its rules, and a refused file ends no record.
    empty = (pl.col("lines") == 0) & pl.lit(feed.may_be_changes)
    counts = ~pl.col("changes") & ((pl.col("accepted") > 0) | empty)
    files = verification.files.filter((pl.col("feed") == feed.name) & counts)
    if files.is_empty():
        return
    if not has_records(connection, feed, files[SENDER]):
        return  # nothing can be lost
    keys = [quote_identifier(name) for name in feed.keys]
    present = _present_keys(feed, verification, files)
    complete = verification.files.filter("complete")[FILE]
    kept = find_kept_records(connection, feed, verification.unread_in(feed, complete), present)
    present = pl.concat([present, kept.select(present.columns)])
    connection.register("full_sets", files.select(SENDER, FILE).to_arrow())
    connection.register("present", present.to_arrow())
    school = f"record.{quote_identifier(feed.school)}" if feed.school else "NULL"
    same = " AND ".join(f"record.{key} IS NOT DISTINCT FROM present.{key}" for key in keys)
    try:
        counted = connection.execute(
            f"""
            SELECT record._sender, {school} AS school, count(*) AS active,
                   count(*) FILTER (present._sender IS NULL) AS would_end
            FROM {feed.name} AS record
            SEMI JOIN full_sets USING (_sender)
            LEFT JOIN (SELECT DISTINCT * FROM present) AS present
                ON record._sender = present._sender AND {same}
            WHERE record._active GROUP BY ALL
            """
        ).pl()
        first = files.sort(FILE).unique(SENDER, keep="first", maintain_order=True)
        by_sender = counted.partition_by(SENDER, as_dict=True)
        losses = [
            _DropLoss(file["drop"], file[FILE], feed, place, would_end, active, EMPTY)
            for file in first.iter_rows(named=True)
            if (of_sender := by_sender.get((file[SENDER],))) is not None
            for place, would_end, active in _excessive_losses(
                feed,
                of_sender,
                unread=_count_unread(files.filter(pl.col(SENDER) == file[SENDER])),
                settings=profiles.of(file[SENDER]).guard,
            )
        ]
        senders = dict(files.filter(pl.col("lines") > 0).select("drop", SENDER).iter_rows())
        at_risk = {senders[loss.drop] for loss in losses if loss.drop in senders}
        ids = _count_ids(connection, feed, sorted(at_risk), before) if at_risk else {}
        causes = {sender: _likely_cause(*of_sender) for sender, of_sender in ids.items()}
        for loss in losses:
            yield replace(loss, cause=causes.get(senders.get(loss.drop, ""), EMPTY))
    finally:
        connection.unregister("full_sets")
        connection.unregister("present")


def _find_gains(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    verification: Verification,
    profiles: Profiles,
    before: int | None,
) -> Iterator[_DropLoss]:
    """Yields what drops would add, where that is too much; a first roster never is.

    Records that the sender once had may come back: only those that it never had are new. Changes
    and corrections can add as much as a full set.
    """
    files = verification.files.filter((pl.col("feed") == feed.name) & (pl.col("accepted") > 0))
    accepted = verification.accepted.get(feed.name)
    if files.is_empty() or accepted is None:
        return
    if not has_records(connection, feed, files[SENDER]):
        return  # they are first rosters
    keys = [quote_identifier(name) for name in feed.keys]
    sent = accepted.filter(pl.col(FILE).is_in(files[FILE].implode())).select(SENDER, *feed.keys)
    connection.register("present", sent.unique().to_arrow())
    try:
        counted = connection.execute(
            f"""
            WITH known AS (
                SELECT _sender, count(*) FILTER (_active) AS active FROM {feed.name}
                SEMI JOIN present USING (_sender) GROUP BY _sender
            ),
            fresh AS (
                SELECT _sender, count(*) AS would_add
                FROM present ANTI JOIN {feed.name} USING (_sender, {", ".join(keys)})
                GROUP BY _sender
            )
            SELECT _sender, would_add, active FROM fresh JOIN known USING (_sender)
            """
        ).fetchall()
        gains = {
            sender: (would_add, active)
            for sender, would_add, active in counted
            if _is_excessive_gain(would_add, active, profiles.of(sender).guard)
        }
        ids = _count_ids(connection, feed, sorted(gains), before) if gains else {}
        first = files.sort(FILE).unique(SENDER, keep="first", maintain_order=True)
        for file in first.filter(pl.col(SENDER).is_in(sorted(gains))).iter_rows(named=True):
            would_add, active = gains[file[SENDER]]
            cause = _likely_cause_of_gain(*ids[file[SENDER]])
            yield _DropLoss(file["drop"], file[FILE], feed, None, 0, active, cause, would_add)
    finally:
        connection.unregister("present")


def _is_excessive_gain(would_add: int, active: int, settings: GuardProfile) -> bool:
    return would_add > settings.growth * active and would_add >= settings.growth_at_least


def _likely_cause_of_gain(_sent: int, fresh: int, missing: int, others: int, shortened: int) -> str:
    """Returns the likely cause of so many new ids, by the counts of ``_likely_cause``."""
    if others > _MOSTLY * fresh:
        return ANOTHER_DISTRICT
    return LOST_ZEROS if missing and shortened > _MOSTLY * fresh else MANY_NEW


def _count_unread(files: pl.DataFrame) -> int:
    """Returns how many lines of files that are not complete have no readable key.

    Each may be that of a missing record. In complete files it is known which records those are.
    """
    partial = files.filter(~pl.col("complete"))
    return int((partial["lines"] - partial["keyed"]).sum())


def _present_keys(feed: FeedSpec, verification: Verification, files: pl.DataFrame) -> pl.DataFrame:
    """Returns the keys of all lines that name a record, accepted or not."""
    named = [
        frame.filter(pl.col(FILE).is_in(files[FILE].implode())).select(SENDER, *feed.keys)
        for frames in (verification.accepted, verification.kept_keys)
        if (frame := frames.get(feed.name)) is not None
    ]
    return pl.concat([nothing_known(feed.name, feed.keys), *named])


def _excessive_losses(
    feed: FeedSpec, of_sender: pl.DataFrame, unread: int, settings: GuardProfile
) -> Iterator[tuple[str | None, int, int]]:
    """Yields school (None: all), records that would end, and active ones, where that is too much.

    Each of ``unread`` lines may be one of the missing records. A set has small files (terms,
    schools): losing half of such a file is too much, however few records that are.
    """
    active, would_end = int(of_sender["active"].sum()), int(of_sender["would_end"].sum()) - unread
    few = min(settings.at_least, _MOSTLY * active) if feed.may_be_changes else settings.at_least
    enough = would_end >= few
    if would_end > settings.share * active and enough:
        yield None, would_end, active
        return
    for school, known, missing in of_sender.select("school", "active", "would_end").iter_rows():
        gone = missing - unread
        if school and gone > settings.share * known and gone >= settings.school_at_least:
            yield school, gone, known


def _count_ids(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    senders: list[str],
    before: int | None,
) -> dict[str, tuple[int, ...]]:
    """Returns by sender the counts of ids from which ``_likely_cause`` tells the cause."""
    key = quote_identifier(feed.keys[-1])
    then = "" if before is None else f"AT (VERSION => {before})"
    rows = connection.execute(
        f"""
        WITH sent AS (
            SELECT DISTINCT _sender, {key} AS id FROM present WHERE list_contains($senders, _sender)
        ),
        known AS (SELECT _sender, {key} AS id FROM {feed.name} WHERE _active),
        elsewhere AS (SELECT _sender, {key} AS id FROM {feed.name} {then} WHERE _active),
        fresh AS (FROM sent ANTI JOIN known USING (_sender, id)),
        missing AS (
            SELECT * FROM known ANTI JOIN sent USING (_sender, id)
            WHERE list_contains($senders, _sender)
        ),
        counted AS (
            SELECT _sender, 'sent' AS what FROM sent
            UNION ALL SELECT _sender, 'fresh' FROM fresh
            UNION ALL SELECT _sender, 'missing' FROM missing
            UNION ALL SELECT fresh._sender, 'others' FROM fresh SEMI JOIN elsewhere
                ON elsewhere.id = fresh.id AND elsewhere._sender <> fresh._sender
            UNION ALL SELECT fresh._sender, 'shortened' FROM fresh SEMI JOIN missing
                ON missing._sender = fresh._sender AND starts_with(missing.id, '0')
                    AND ltrim(missing.id, '0') = fresh.id
        )
        SELECT _sender, {_COUNTS} FROM counted GROUP BY _sender
        """,
        {"senders": senders},
    ).fetchall()
    return {sender: tuple(counts) for sender, *counts in rows}


_COUNTS = ", ".join(
    f"count(*) FILTER (what = '{what}')"
    for what in ("sent", "fresh", "missing", "others", "shortened")
)


def _likely_cause(sent: int, fresh: int, missing: int, others: int, shortened: int) -> str:
    """Returns the likely cause by counts of ids.

    ``sent``: all ids of the drop. ``fresh``: new ids of the sender. ``missing``: active ids that
    were not sent. ``others``: fresh ids that another district has. ``shortened``: fresh ids that
    are missing ones without leading zeros.
    """
    if others > _MOSTLY * sent:
        return ANOTHER_DISTRICT
    if shortened > _MOSTLY * missing:
        return LOST_ZEROS
    return HALF if sent - fresh >= _ALMOST_ALL * sent else NEW_IDS


def _leave_out_held(verification: Verification, losses: list[_DropLoss]) -> GuardResult:
    held = sorted({loss.drop for loss in losses})
    files = verification.files
    of_held = pl.col("drop").is_in(held)
    numbers = frozenset(files.filter(of_held)[FILE])
    accepted = verification.accepted
    if numbers:
        others = ~pl.col(FILE).is_in(sorted(numbers))
        accepted = {name: lines.filter(others) for name, lines in accepted.items()}
    fates = files.filter(of_held & (pl.col("accepted") > 0)).select(
        FILE, pl.lit("held").alias("fate"), pl.col("accepted").cast(pl.Int64).alias("lines")
    )
    findings = pl.DataFrame(
        [(loss.file, HELD.id, None, None, loss.words) for loss in losses],
        schema={FILE: pl.UInt32, **FINDINGS_SCHEMA},
        orient="row",
    )
    rows = [
        (t.drop, t.feed.name, t.school, t.would_end, t.would_add, t.active, t.cause) for t in losses
    ]
    return GuardResult(
        replace(
            verification,
            files=files.with_columns(
                complete=pl.col("complete") & ~of_held, changes=pl.col("changes") | of_held
            ),
            accepted=accepted,
        ),
        fates,
        findings,
        pl.DataFrame(rows, schema=LOSSES_SCHEMA, orient="row"),
        numbers,
    )
