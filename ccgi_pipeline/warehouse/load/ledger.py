"""The ledger: the fate of every line of the loaded files, recorded in the same commit.

Belongs here: loading the drops of a family with fates, findings and verdicts that add up. Does not
belong here: writing the records of a feed (upsert), the records of drops (drop_records), loading an
older drop again (reload).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.feeds.file_rules import FAULT
from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME, feeds_of
from ccgi_pipeline.feeds.spec import FILE, SENDER, FeedSpec
from ccgi_pipeline.intake.findings import EXPLAINED_SCHEMA
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.outcomes import Verdict, Verification
from ccgi_pipeline.verification.severities import weigh_usually
from ccgi_pipeline.warehouse.load import approvals, claims
from ccgi_pipeline.warehouse.load.drop_records import (
    append_rows,
    delete_drops,
    insert_drops,
    keep_receipts,
    number_drops,
    read_answers,
    remember_files,
)
from ccgi_pipeline.warehouse.load.kept_records import (
    KEPT_SCHEMA,
    describe_kept_records,
    read_kept_since,
)
from ccgi_pipeline.warehouse.load.link_steps import link_step_of
from ccgi_pipeline.warehouse.load.roster_guard import guard_links, guard_rosters
from ccgi_pipeline.warehouse.load.upsert import FeedLoad, Overtaken, load_feed
from ccgi_pipeline.warehouse.storage.schema import transaction


class LedgerError(PermanentError):
    """The fates of a file's lines do not add up to the lines received: a defect."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did, in counts: lines per feed and fate (``feed``, ``fate``, ``lines``).

    ``senders``: whose drops were loaded.
    """

    ledger: pl.DataFrame
    drops: int
    senders: frozenset[str]


@dataclass(frozen=True, slots=True)
class LoadTerms:
    """The terms on which verified files are loaded.

    ``approvals``: operators' approvals of held drops, by drop. ``overtaken``: what later drops of
    the same sender did, by feed, if an older drop is loaded again. ``before``: the snapshot at
    which other senders' records are looked up, if not the newest.
    """

    night: date
    profiles: Profiles
    approvals: Mapping[str, str] = field(default_factory=dict)
    overtaken: Mapping[str, Overtaken] = field(default_factory=dict)
    before: int | None = None


@dataclass(frozen=True, slots=True)
class LoadOutcome:
    """The outcome of loading verified files, not yet recorded.

    ``files``: a frame of ``FILES_SCHEMA`` with the new verdicts, ``no_longer_active`` and ``kept``
    (records that stay active because a line could not be read).
    ``ledger``: ``_file``, ``feed``, ``fate``, ``lines``; the fates of a file add up to its lines.
    ``findings``: ``EXPLAINED_SCHEMA`` with ``_file`` first. ``causes``: ``CAUSES_SCHEMA``.
    ``losses``: what held drops would end.
    """

    files: pl.DataFrame
    ledger: pl.DataFrame
    findings: pl.DataFrame
    causes: pl.DataFrame
    losses: pl.DataFrame


_NO_FATES = pl.DataFrame(schema={"_file": pl.UInt32, "fate": pl.String, "lines": pl.Int64})
_NONE_ENDED = pl.DataFrame(schema={"_file": pl.UInt32, "no_longer_active": pl.Int64})


def load_drops(
    connection: duckdb.DuckDBPyConnection,
    drops: Sequence[Drop],
    verification: Verification,
    night: date,
    profiles: Profiles | None = None,
    before: int | None = None,
) -> LoadResult:
    """Loads verified drops of one family and records them: one commit, all or nothing.

    ``before``: the snapshot at which other senders' records are looked up, if not the newest.
    """
    family = drops[0].family
    terms = LoadTerms(
        night, profiles or Profiles(), approvals.read_approvals(connection), before=before
    )
    ids = [drop.id for drop in drops]
    with transaction(connection):
        answered = read_answers(connection, ids)
        delete_drops(connection, ids)
        outcome = load_files(connection, family, verification, terms)
        approvals.record_losses(connection, ids, outcome.losses)
        ledger = record_outcome(connection, outcome, number_files(verification.files), night)
        insert_drops(connection, number_drops(connection, drops), outcome.files, night)
        remember_files(connection, [(file, sha, d.id) for d in drops for file, sha in d.files])
        keep_receipts(connection, answered)
    counted = ledger.group_by("feed", "fate").agg(pl.col("lines").sum()).sort("feed", "fate")
    return LoadResult(counted, len(drops), frozenset(drop.sender for drop in drops))


def load_files(
    connection: duckdb.DuckDBPyConnection, family: str, verification: Verification, terms: LoadTerms
) -> LoadOutcome:
    """Loads verified files of a family, at most one drop of each sender; part of a transaction."""
    profiles = terms.profiles
    fates, found = [_NO_FATES], [verification.findings]
    senders = verification.files[SENDER].unique().sort().to_list()
    held = []
    if (step := link_step_of(family)) is not None:
        linked = step.find(connection, verification, terms.night, profiles)
        doubtful = guard_links(verification, linked.sent, profiles, terms.approvals)
        if doubtful.files:
            held.append(doubtful)
            linked = step.find(connection, doubtful.verification, terms.night, profiles)
        # The newest file that decides links says which records have a counterpart.
        decisive = {feed.name for feed in feeds_of(family) if feed.decides_links}
        if decisive.isdisjoint(terms.overtaken):
            step.record(connection, linked)
        step.refresh(connection, profiles, senders)
        fates.append(linked.fates)
        found.append(linked.findings)
        verification = linked.verification
    found.append(claims.find_claim_findings(connection, verification))
    guarded = guard_rosters(
        connection, family, verification, profiles, terms.approvals, before=terms.before
    )
    verification = guarded.verification
    held.append(guarded)
    fates += [part.fates for part in held]
    found += [part.findings for part in held]
    loads = _load_feeds(connection, family, verification, terms)
    fates += [load.fates for load in loads.values()]
    found += [_correction_findings(FEEDS_BY_NAME[name], load) for name, load in loads.items()]
    kept = pl.concat([pl.DataFrame(schema=KEPT_SCHEMA), *(load.kept for load in loads.values())])
    found.append(describe_kept_records(kept))
    files = _update_verdicts(
        verification.files,
        _file_numbers(found[1:]),
        frozenset().union(*(part.files for part in held)),
    )
    ended = pl.concat([_NONE_ENDED, *(load.ended for load in loads.values())])
    stay = kept.group_by(FILE).agg(pl.col("_record").n_unique().cast(pl.Int64).alias("kept"))
    return LoadOutcome(
        files.join(ended, on=FILE, how="left", maintain_order="left")
        .join(stay, on=FILE, how="left", maintain_order="left")
        .with_columns(pl.col("no_longer_active", "kept").fill_null(0)),
        _build_ledger(files, pl.concat(fates)),
        pl.concat(_complete(part) for part in found),
        verification.causes,
        pl.concat(part.losses for part in held),
    )


def record_outcome(
    connection: duckdb.DuckDBPyConnection,
    outcome: LoadOutcome,
    numbers: pl.DataFrame,
    night: date,
) -> pl.DataFrame:
    """Records files, ledger and findings of an outcome; part of a transaction. Returns the ledger.

    ``numbers`` are those of ``number_files``. ``night``: the date of the load.
    """
    files = outcome.files.join(numbers, on=FILE, maintain_order="left")
    ledger = (
        outcome.ledger.join(numbers, on=FILE)
        .sort("drop_id", "file_number", "fate")
        .select("drop_id", "file_number", "feed", "fate", "lines")
    )
    append_rows(connection, "ledger", ledger)
    columns = (*("path", "feed", "encoding", "lines", "complete", "verdict"), "no_longer_active")
    files = files.with_columns(read_kept_since(connection, files, night))
    append_rows(
        connection, "files", files.select("drop_id", "file_number", *columns, "kept", "kept_since")
    )
    _append_findings(connection, outcome.findings, numbers)
    if not outcome.causes.is_empty():
        causes = outcome.causes.join(numbers, on=FILE, maintain_order="left")
        append_rows(
            connection, "causes", causes.select("drop_id", "file_number", "cause", "evidence")
        )
    return ledger


def _append_findings(
    connection: duckdb.DuckDBPyConnection, findings: pl.DataFrame, numbers: pl.DataFrame
) -> None:
    """Appends findings in the order of their drops; SQL adds the long ids of these."""
    files = numbers.sort("drop_id", "file_number").with_row_index("place")
    placed = findings.join(files.select(FILE, "place"), on=FILE, maintain_order="left")
    placed = placed.sort("place", maintain_order=True)
    # DuckDB holds what was registered until the transaction ends, so it finds these by their names.
    new_files = files.select("place", "drop_id", "file_number").to_arrow()  # noqa: F841
    new_findings = placed.select("place", *EXPLAINED_SCHEMA).to_arrow()  # noqa: F841
    with failpoint("warehouse: findings written"):
        connection.execute(
            "INSERT INTO findings BY NAME SELECT new_files.drop_id, new_files.file_number, "
            "new_findings.* EXCLUDE (place) FROM new_findings JOIN new_files USING (place)"
        )


def _complete(found: pl.DataFrame) -> pl.DataFrame:
    """Returns findings with severity and cause, which the findings of the load do not have yet."""
    weighed = found if "severity" in found.columns else weigh_usually(found)
    if "cause" not in weighed.columns:
        weighed = weighed.with_columns(pl.lit(None, dtype=pl.String).alias("cause"))
    schema = {"_file": pl.UInt32, **EXPLAINED_SCHEMA}
    return weighed.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _file_numbers(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([_NO_FATES.select("_file"), *(part.select("_file") for part in found)])


def _update_verdicts(
    files: pl.DataFrame, later: pl.DataFrame, held: frozenset[int]
) -> pl.DataFrame:
    """Returns ``files`` with their verdicts after the load's findings (``later``) and holds."""
    found = pl.col("_file").is_in(later["_file"].unique().implode())
    accepted = pl.col("verdict") == Verdict.ACCEPTED
    with_findings = pl.lit(str(Verdict.ACCEPTED_WITH_FINDINGS))
    return files.with_columns(
        pl.when(pl.col("_file").is_in(sorted(held)))
        .then(pl.lit(str(Verdict.HELD)))
        .when(found & accepted)
        .then(with_findings)
        .otherwise("verdict")
        .alias("verdict")
    )


def _correction_findings(feed: FeedSpec, load: FeedLoad) -> pl.DataFrame:
    """Returns the findings about possible corrections, each at the key column that differs."""
    rule = feed.correction.id if feed.correction else None
    differs = next((name for name in feed.keys if name not in feed.near_keys), None)
    return load.corrections.select(
        "_file",
        pl.lit(rule, dtype=pl.String).alias("rule"),
        "line",
        pl.lit(differs, dtype=pl.String).alias("column"),
        pl.lit(None, dtype=pl.String).alias("detail"),
    )


def find_faulty_drops(verification: Verification) -> frozenset[str]:
    """Returns the drops that met a fault of this software."""
    faulty = verification.findings.filter(pl.col("rule") == FAULT.id).select("_file")
    drops = verification.files.join(faulty, on="_file", how="semi")["drop"]
    return frozenset(drops)


def _load_feeds(
    connection: duckdb.DuckDBPyConnection, family: str, verification: Verification, terms: LoadTerms
) -> dict[str, FeedLoad]:
    by_id = frozenset(terms.profiles.with_permanent_ids(verification.files[SENDER].unique()))
    return {
        feed.name: load_feed(
            connection, feed, verification, terms.night, by_id, terms.overtaken.get(feed.name)
        )
        for feed in feeds_of(family)
        if feed.name in verification.accepted
    }


def number_files(files: pl.DataFrame) -> pl.DataFrame:
    """Returns the drop of each of ``files``, and its number within the drop, from 1."""
    return files.select(
        FILE,
        pl.col("drop").alias("drop_id"),
        pl.col(FILE).rank("ordinal").over("drop").cast(pl.Int32).alias("file_number"),
    )


def _build_ledger(files: pl.DataFrame, fates: pl.DataFrame) -> pl.DataFrame:
    """Returns lines by file and fate. Raises LedgerError if they are not as many as received."""
    not_accepted = [
        files.filter(pl.col(fate) > 0).select(
            "_file", pl.lit(fate).alias("fate"), pl.col(fate).cast(pl.Int64).alias("lines")
        )
        for fate in ("rejected", "removed", "left_alone")
    ]
    ledger = pl.concat([fates, *not_accepted])
    sums = files.join(
        ledger.group_by("_file").agg(pl.col("lines").sum().alias("fated")), on="_file", how="left"
    )
    wrong = sums.filter(pl.col("fated").fill_null(0) != pl.col("lines"))
    if not wrong.is_empty():
        msg = f"the ledger of {wrong.height} files does not add up to their lines"
        raise LedgerError(msg)
    return files.select(FILE, "feed").join(ledger, on=FILE)
