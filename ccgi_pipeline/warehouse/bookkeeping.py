"""Bookkeeping: which bytes came, which drop they made, and what became of every line.

Belongs here: writing and reading our own tables. The ledger is checked where it is written: if the
fates of a file's lines do not add up to its physical lines, nothing of it is committed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

import duckdb
import polars as pl

from ccgi_pipeline.errors import PermanentError
from ccgi_pipeline.feeds import foster_focus
from ccgi_pipeline.feeds.file_rules import FAULT
from ccgi_pipeline.feeds.foster_focus.linking import CORRECTION
from ccgi_pipeline.feeds.foster_focus_cps import FEED as CHILDREN
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.spec import FILE, SENDER
from ccgi_pipeline.findings import WEIGHED_SCHEMA
from ccgi_pipeline.intake.inbox import UNKNOWN_FAMILY, Drop, InboxFile
from ccgi_pipeline.intake.receiving import DropHistory, Received, Remembered
from ccgi_pipeline.milestones import milestone
from ccgi_pipeline.profiles import Profiles
from ccgi_pipeline.verification.severities import usual
from ccgi_pipeline.verification.verifying import Verdict, Verification, drop_verdict
from ccgi_pipeline.warehouse import holds
from ccgi_pipeline.warehouse.conflicts import retried
from ccgi_pipeline.warehouse.guarding import guard
from ccgi_pipeline.warehouse.lake import transaction
from ccgi_pipeline.warehouse.linking import STUDENT, Linked, link
from ccgi_pipeline.warehouse.loading import FeedLoad, Overtaken, load_feed
from ccgi_pipeline.warehouse.lookups import refresh


class LedgerError(PermanentError):
    """The fates of a file's lines do not add up to the lines received: a defect."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load did, in counts: lines per feed and fate (``feed``, ``fate``, ``lines``).

    ``conflicts``: how often it lost against another writer, and was done again.
    """

    ledger: pl.DataFrame
    drops: int
    conflicts: int = 0


def remembered_files(connection: duckdb.DuckDBPyConnection) -> dict[str, Remembered]:
    """For each path that was ever taken, what lay there, but for what is to be taken again."""
    rows = connection.execute(
        f"""
        SELECT path, stamp, sha256
        FROM received_files ANTI JOIN ({_TO_TAKE_AGAIN}) USING (drop_id)
        """
    ).fetchall()
    return {path: Remembered(stamp, sha256) for path, stamp, sha256 in rows}


_TO_TAKE_AGAIN = f"""
    SELECT drop_id FROM findings WHERE rule = '{FAULT.id}'
    UNION
    SELECT drop_id FROM ledger JOIN drops USING (drop_id)
    LEFT JOIN (SELECT drop_id, max(last_drop) AS asked FROM replays GROUP BY ALL) USING (drop_id)
    WHERE fate = 'unmatched' AND greatest(position, coalesce(asked, 0))
        < (SELECT max(position) FROM drops WHERE family = '{CHILDREN.family}')
    UNION
    SELECT drop_id FROM ({holds.PENDING})
"""
"""Drops that met a fault of ours, those of which some lines had no child when the register of
children was an older one (and which were not taken once more since), and held ones that an operator
has approved."""


def known_drops(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """The ids of all drops that are done with."""
    return drop_history(connection).drops


def drop_history(connection: duckdb.DuckDBPyConnection) -> DropHistory:
    """All drops that are done with, and each sender's newest of a family."""
    rows = connection.execute(
        f"""
        SELECT drop_id, sender, family
        FROM drops ANTI JOIN ({_TO_TAKE_AGAIN}) USING (drop_id) ORDER BY position
        """
    ).fetchall()
    return DropHistory(
        frozenset(drop_id for drop_id, *_ in rows),
        {(sender, family): drop_id for drop_id, sender, family in rows},
    )


def record_arrivals(connection: duckdb.DuckDBPyConnection, received: Received, night: date) -> None:
    """Notes duplicates and touched files; new drops are noted with their load."""
    if not received.duplicates and not received.touched:
        return
    with transaction(connection):
        _restamp(connection, [file for file, _ in received.touched])
        for drop in received.duplicates:
            _remember(connection, [(file, sha, drop.id) for file, sha in drop.files])
            came = {"drop_id": [drop.id], "path": [drop.files[0][0].shown], "night": [night]}
            insert(connection, "duplicates", pl.DataFrame(came))


def load(
    connection: duckdb.DuckDBPyConnection,
    drops: Sequence[Drop],
    verification: Verification,
    night: date,
    profiles: Profiles | None = None,
    before: int | None = None,
) -> Loaded:
    """Loads verified drops of one family and notes them: one commit, all or nothing.

    It may run beside loads of other senders: what loses against one of them is done again. Raises
    ConflictError. ``before``: the snapshot at which other senders' records are looked up, if not
    the newest.
    """
    family = drops[0].family
    faults = at_fault(verification)
    terms = Terms(night, profiles or Profiles(), holds.answers(connection), before=before)
    # What met a fault of ours is not remembered, so that the next night takes it again.
    done = [drop for drop in drops if drop.id not in faults]

    def once() -> pl.DataFrame:
        with transaction(connection):
            _forget(connection, [drop.id for drop in drops])
            outcome = take(connection, family, verification, terms)
            holds.note_threats(connection, [drop.id for drop in drops], outcome.threats)
            ledger = note(connection, outcome, numbers_of(verification.files))
            _insert_drops(connection, numbered(connection, drops), outcome.files, night)
            _remember(connection, [(file, sha, d.id) for d in done for file, sha in d.files])
        return ledger

    ledger, conflicts = retried(once)
    counted = ledger.group_by("feed", "fate").agg(pl.col("lines").sum()).sort("feed", "fate")
    return Loaded(counted, len(drops), conflicts)


def numbered(connection: duckdb.DuckDBPyConnection, drops: Sequence[Drop]) -> list[Drop]:
    """``drops`` with their places in the order of loading, behind all that were ever loaded.

    The order is that of the families, then the given one. A night numbers its drops once, when it
    has received them: it does not matter which of its workers loads first. Those that have a number
    keep it.
    """
    order = {family: place for place, family in enumerate((UNKNOWN_FAMILY, *FAMILIES))}
    # Files that no family claims are loaded with the first one.
    order[UNKNOWN_FAMILY] = order[next(iter(FAMILIES))]
    without = sorted((d for d in drops if d.position is None), key=lambda d: order[d.family])
    if not without:
        return [*drops]
    latest = connection.execute("SELECT coalesce(max(position), 0) FROM drops").fetchone()
    first = latest[0] + 1 if latest else 1
    places = {id(drop): place for place, drop in enumerate(without, start=first)}
    return [replace(drop, position=places.get(id(drop), drop.position)) for drop in drops]


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms verified files are loaded.

    ``answers`` are operators' to held drops. ``overtaken``: by feed, what later drops of the same
    sender have done to it since, when an older drop is loaded once more. ``before``: the snapshot
    at which other senders' records are looked up, if not the newest.
    """

    night: date
    profiles: Profiles
    answers: Mapping[str, str] = field(default_factory=dict)
    overtaken: Mapping[str, Overtaken] = field(default_factory=dict)
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What loading made of verified files, not yet noted.

    ``files``: a frame of ``FILES_SCHEMA`` with the verdicts as they are now, and with
    ``no_longer_active``. ``ledger``: ``_file``, ``feed``, ``fate``, ``lines``; a file's fates add
    up to its lines. ``findings``: ``WEIGHED_SCHEMA`` with ``_file`` first. ``threats``: why drops
    are held.
    """

    files: pl.DataFrame
    ledger: pl.DataFrame
    findings: pl.DataFrame
    threats: pl.DataFrame


def take(
    connection: duckdb.DuckDBPyConnection, family: str, verification: Verification, terms: Terms
) -> Outcome:
    """Loads verified files of a family, at most one drop of each sender; part of a transaction."""
    profiles = terms.profiles
    fates, found = [_NO_FATES], [verification.findings]
    senders = verification.files[SENDER].unique().sort().to_list()
    if family == foster_focus.FAMILY:
        linked = link(connection, verification, terms.night, profiles.foster_focus)
        # Who has a child is what the newest demographics say.
        if foster_focus.DEMOGRAPHICS.name not in terms.overtaken:
            _note_links(connection, linked)
        refresh(connection, profiles, senders)
        fates.append(linked.fates)
        found.append(linked.findings)
        verification = linked.verification
    guarded = guard(connection, family, verification, profiles, terms.answers, before=terms.before)
    verification = guarded.verification
    fates.append(guarded.fates)
    found.append(guarded.findings)
    loads = _load_feeds(connection, family, verification, terms)
    fates += [load.fates for load in loads]
    found += [_corrections(load) for load in loads]
    files = _as_found(verification.files, _files_of(found[1:]), guarded.files)
    ended = pl.concat([_NONE_ENDED, *(load.ended for load in loads)])
    return Outcome(
        files.join(ended, on=FILE, how="left", maintain_order="left").with_columns(
            pl.col("no_longer_active").fill_null(0)
        ),
        _ledger(files, pl.concat(fates)),
        pl.concat(_weighed(part) for part in found),
        guarded.threats,
    )


def note(
    connection: duckdb.DuckDBPyConnection, outcome: Outcome, numbers: pl.DataFrame
) -> pl.DataFrame:
    """Notes files, ledger and findings of an outcome; part of a transaction. Returns the ledger.

    ``numbers`` are those of ``numbers_of``.
    """
    files = outcome.files.join(numbers, on=FILE, maintain_order="left")
    ledger = (
        outcome.ledger.join(numbers, on=FILE)
        .sort("drop_id", "file_number", "fate")
        .select("drop_id", "file_number", "feed", "fate", "lines")
    )
    insert(connection, "ledger", ledger)
    columns = (*("path", "feed", "encoding", "lines", "complete", "verdict"), "no_longer_active")
    insert(connection, "files", files.select("drop_id", "file_number", *columns))
    findings = outcome.findings.join(numbers, on=FILE)
    findings = findings.sort("drop_id", "file_number", maintain_order=True)
    insert(connection, "findings", findings.select("drop_id", "file_number", *WEIGHED_SCHEMA))
    return ledger


_NO_FATES = pl.DataFrame(schema={"_file": pl.UInt32, "fate": pl.String, "lines": pl.Int64})
_NONE_ENDED = pl.DataFrame(schema={"_file": pl.UInt32, "no_longer_active": pl.Int64})


def _weighed(found: pl.DataFrame) -> pl.DataFrame:
    """Findings with their severity, which those made by loading do not have yet."""
    weighed = found if "severity" in found.columns else found.with_columns(usual())
    schema = {"_file": pl.UInt32, **WEIGHED_SCHEMA}
    return weighed.select(pl.col(name).cast(dtype) for name, dtype in schema.items())


def _files_of(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([_NO_FATES.select("_file"), *(part.select("_file") for part in found)])


def _as_found(files: pl.DataFrame, later: pl.DataFrame, held: frozenset[int]) -> pl.DataFrame:
    """The verdicts of ``files`` where loading has found something in some of them (``_file``)."""
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


def _corrections(load: FeedLoad) -> pl.DataFrame:
    """The findings that tell of possible corrections."""
    return load.corrections.select(
        "_file",
        pl.lit(CORRECTION.id).alias("rule"),
        "line",
        pl.lit("SISSchoolCode").alias("column"),
        pl.lit(None, dtype=pl.String).alias("detail"),
    )


def _note_links(connection: duckdb.DuckDBPyConnection, linked: Linked) -> None:
    """Notes who has a child and who has none, in place of what was known of these students.

    A student without a child is in no table of a feed: until the next demographics, this is what is
    known of them.
    """
    answered = pl.concat([frame.select(STUDENT) for frame in (linked.matched, linked.unmatched)])
    for table, rows in (("child_links", linked.matched), ("unmatched", linked.unmatched)):
        connection.register("answered", answered.to_arrow())
        connection.execute(
            f"""
            DELETE FROM {table} WHERE list_contains($senders, _sender)
                OR (_sender, "SystemID", "SISLocalID") IN (FROM answered)
            """,
            {"senders": linked.senders_with_demographics},
        )
        connection.unregister("answered")
        insert(connection, table, rows)


def at_fault(verification: Verification) -> frozenset[str]:
    """The drops over which our own code stumbled."""
    faulty = verification.findings.filter(pl.col("rule") == FAULT.id).select("_file")
    drops = verification.files.join(faulty, on="_file", how="semi")["drop"]
    return frozenset(drops)


def _forget(connection: duckdb.DuckDBPyConnection, drop_ids: Sequence[str]) -> None:
    """Takes back what an earlier night noted of drops that it could not judge."""
    for table in ("drops", "drop_files", "files", "ledger", "findings", "receipts"):
        connection.execute(
            f"DELETE FROM {table} WHERE list_contains($ids, drop_id)", {"ids": list(drop_ids)}
        )


def _load_feeds(
    connection: duckdb.DuckDBPyConnection, family: str, verification: Verification, terms: Terms
) -> list[FeedLoad]:
    by_id = frozenset(terms.profiles.with_permanent_ids(verification.files[SENDER].unique()))
    return [
        load_feed(
            connection, feed, verification, terms.night, by_id, terms.overtaken.get(feed.name)
        )
        for feed in FAMILIES.get(family, ())
        if feed.name in verification.accepted
    ]


def numbers_of(files: pl.DataFrame) -> pl.DataFrame:
    """The drop of each of ``files``, and its number within the drop, from 1."""
    return files.select(
        FILE,
        pl.col("drop").alias("drop_id"),
        pl.col(FILE).rank("ordinal").over("drop").cast(pl.Int32).alias("file_number"),
    )


def _ledger(files: pl.DataFrame, fates: pl.DataFrame) -> pl.DataFrame:
    """Lines per file and fate. Raises LedgerError where they do not add up to those received."""
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


def _insert_drops(
    connection: duckdb.DuckDBPyConnection,
    drops: Sequence[Drop],
    files: pl.DataFrame,
    night: date,
) -> None:
    by_drop = {
        str(name): drop_verdict(group)
        for (name,), group in files.group_by("drop", maintain_order=True)
    }
    rows = [
        (
            *(drop.id, drop.sender, drop.family, str(by_drop.get(drop.id, Verdict.REJECTED))),
            *(night, drop.position, drop.correction),
        )
        for drop in drops
    ]
    columns = ["drop_id", "sender", "family", "verdict", "night", "position", "correction"]
    insert(connection, "drops", pl.DataFrame(rows, schema=columns, orient="row"))
    made_of = [
        (drop.id, file.shown, sha256, place)
        for drop in drops
        for place, (file, sha256) in enumerate(drop.files, start=1)
    ]
    columns = ["drop_id", "path", "sha256", "place"]
    insert(connection, "drop_files", pl.DataFrame(made_of, schema=columns, orient="row"))


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: pl.DataFrame) -> None:
    """Appends ``rows``, whose columns are named as the table's."""
    connection.register("new_rows", rows.to_arrow())
    with milestone(f"warehouse: {table} written"):
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")
    connection.unregister("new_rows")


def _restamp(connection: duckdb.DuckDBPyConnection, files: Sequence[InboxFile]) -> None:
    """Notes the new stamps of known files; which drop they made stays noted."""
    rows = [(file.shown, file.stamp) for file in files]
    stamps = pl.DataFrame(rows, schema={"path": pl.String, "stamp": pl.String}, orient="row")
    connection.register("stamps", stamps.to_arrow())
    connection.execute(
        "UPDATE received_files SET stamp = stamps.stamp FROM stamps "
        "WHERE received_files.path = stamps.path"
    )
    connection.unregister("stamps")


def forget_stamps(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
    """Has files that were taken and are gone count as sent again, should they come back."""
    if paths:
        connection.execute(
            "UPDATE received_files SET stamp = '' WHERE list_contains($paths, path)",
            {"paths": [*paths]},
        )


def _remember(
    connection: duckdb.DuckDBPyConnection, files: Sequence[tuple[InboxFile, str, str]]
) -> None:
    """Notes path, stamp and content of taken files, in place of what was known of the paths."""
    # A file of an approved drop that lies there no more, or as another, is nothing to remember.
    rows = [(file.shown, file.stamp, sha, drop_id) for file, sha, drop_id in files if file.stamp]
    if not rows:
        return
    frame = pl.DataFrame(rows, schema=["path", "stamp", "sha256", "drop_id"], orient="row")
    connection.register("taken", frame.to_arrow())
    connection.execute("DELETE FROM received_files WHERE path IN (SELECT path FROM taken)")
    connection.unregister("taken")
    insert(connection, "received_files", frame)
