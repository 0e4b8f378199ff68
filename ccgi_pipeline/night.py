"""One night, step by step, without an orchestrator: receive, verify, load, report, answer.

Belongs here: the order of the rooms, and what passes from one to the next. Each step can be run
again at any time: what it does follows from the archive and the warehouse alone. Does not belong
here: how any step is done (the rooms), when it is done (defs).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.districts import DIRECTORY_SCHEMA, directory, districts
from ccgi_pipeline.errors import UNFORESEEN, kind_and_place, value_free
from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS, linking
from ccgi_pipeline.feeds.foster_focus.comparing import CHILD
from ccgi_pipeline.feeds.registry import COMPARISONS, FAMILIES, FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import SENDER
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.inbox import NOBODY, UNKNOWN_FAMILY, Drop, InboxFile, list_inbox
from ccgi_pipeline.intake.receiving import Received, anything_new, receive
from ccgi_pipeline.profiles import read_profiles
from ccgi_pipeline.progress import Step
from ccgi_pipeline.reports.building import aggregate_rows, detail_rows, open_views
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.reports.writing import Outbox, write_report
from ccgi_pipeline.verification.as_meant import as_meant
from ccgi_pipeline.verification.opening import files_to_verify
from ccgi_pipeline.verification.receipts import child_match_csv
from ccgi_pipeline.verification.verifying import (
    Known,
    Verification,
    nothing_known,
    refused,
    verify,
)
from ccgi_pipeline.warehouse import (
    answering,
    bookkeeping,
    eligible,
    holds,
    inspecting,
    lake,
    rosters,
)
from ccgi_pipeline.warehouse.bookkeeping import Loaded
from ccgi_pipeline.warehouse.lake import quoted
from ccgi_pipeline.warehouse.staging import Staging

_LOG = logging.getLogger(__name__)

BATCH_BYTES = 256 << 20
"""Received bytes that are verified together: enough to make a pandera call cheap, and small enough
that a night of any size needs the memory of one batch."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a night finds what came, keeps what it knows, and puts what it made."""

    inbox: Path
    outbox: Path
    warehouse: Path

    @property
    def archive(self) -> Archive:
        """The received bytes."""
        return Archive(self.warehouse / "archive")

    @property
    def staging(self) -> Staging:
        """What lies between the steps."""
        return Staging(self.warehouse / "staging")

    @property
    def outgoing(self) -> Outbox:
        """The tree that districts fetch."""
        return Outbox(self.outbox)


@value_free
def receive_drops(
    connection: duckdb.DuckDBPyConnection,
    folders: Folders,
    on: date,
    only: str | None = None,
) -> Received:
    """Archives what is new in the inbox and stages its drops; ``only`` one sender's, if given."""
    step = Step("receiving", 0)
    holds.expire(connection, on)
    approved = [d for d in holds.approved_drops(connection) if only in {None, d.sender}]
    received = receive(
        folders.inbox,
        folders.archive,
        bookkeeping.remembered_files(connection),
        bookkeeping.drop_history(connection),
        only=only,
        progress=step.advance,
    )
    bookkeeping.record_arrivals(connection, received, on)
    arrived = {drop.id for drop in received.drops}
    again = tuple(drop for drop in approved if drop.id not in arrived)
    received = replace(received, drops=(*again, *received.drops))
    folders.staging.save_drops(received.drops)
    return received


@value_free
def verify_family(
    connection: duckdb.DuckDBPyConnection, folders: Folders, family: str, on: date
) -> pl.DataFrame:
    """Verifies the staged drops of ``family`` batch by batch; returns its files' outcomes."""
    staging = folders.staging
    profiles = read_profiles(folders.warehouse)
    staging.clear_batches(family)
    known = bookkeeping.known_drops(connection)
    drops = [drop for drop in staging.drops(_with_strays(family)) if drop.id not in known]
    step = Step(f"verifying {family}", sum(len(drop.files) for drop in drops))
    outcomes = []

    def content_of(_: InboxFile, sha256: str) -> bytes:
        return folders.archive.read(sha256)

    knowledge = _Knowledge(connection)

    def verified(batch: Sequence[Drop]) -> Verification:
        files = files_to_verify(batch, content_of)
        return verify(files, on, knowledge.known, profiles, step.advance)

    for batch in _batches(drops, folders.archive):
        for part, verification in _isolated(batch, verified):
            knowledge.learn(verification)
            staging.save_batch(family, part, as_meant(verification, profiles, on))
            outcomes.append(verification.files)
    return pl.concat(outcomes) if outcomes else pl.DataFrame()


def _isolated(
    batch: list[Drop], verified: Callable[[Sequence[Drop]], Verification]
) -> Iterator[tuple[list[Drop], Verification]]:
    """Verifies ``batch``; if that fails unforeseen, in halves, until the drop at fault is alone.

    So a drop over which our own code stumbles costs its sender an answer that says so, and no
    other district its night.
    """
    try:
        verification = verified(batch)
    except (OSError, duckdb.Error):
        raise  # the machine's fault, not the drop's: all of it is taken again
    except UNFORESEEN as error:
        if len(batch) == 1:
            _LOG.error("drop %s could not be judged: %s", batch[0].id, kind_and_place(error))
            yield batch, refused(batch)
            return
        middle = len(batch) // 2
        yield from _isolated(batch[:middle], verified)
        yield from _isolated(batch[middle:], verified)
        return
    yield batch, verification


def _with_strays(family: str) -> list[str]:
    """Files that no family claims are answered with the first family, the directory's."""
    return [family, UNKNOWN_FAMILY] if family == next(iter(FAMILIES)) else [family]


def _batches(drops: Sequence[Drop], archive: Archive) -> Iterator[list[Drop]]:
    """Drops in their order, cut where a batch would grow too large, or a sender come twice."""
    batch: list[Drop] = []
    senders: set[str] = set()
    size = 0
    for drop in drops:
        bytes_ = sum(archive.path(sha256).stat().st_size for _, sha256 in drop.files)
        other_family = bool(batch) and batch[0].family != drop.family
        if batch and (drop.sender in senders or other_family or size + bytes_ > BATCH_BYTES):
            yield batch
            batch, senders, size = [], set(), 0
        batch.append(drop)
        senders.add(drop.sender)
        size += bytes_
    if batch:
        yield batch


_LOOKED_UP = {
    *(
        (relation.target, relation.target_columns)
        for feed in FEEDS
        for relation in feed.relations
        if relation.target in FEEDS_BY_NAME
    ),
    *(
        (target, columns)
        for comparisons in COMPARISONS.values()
        for _, across in comparisons
        for target, columns in across.sees.items()
        if target in FEEDS_BY_NAME
    ),
}
"""Feeds and columns of them that rules look up in other lines."""


class _Knowledge:
    """What rules may look up: the warehouse's active records, the night's earlier batches."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._stored: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}
        self._learnt: dict[tuple[str, tuple[str, ...]], list[pl.DataFrame]] = {
            looked_up: [] for looked_up in _LOOKED_UP
        }

    def learn(self, verification: Verification) -> None:
        """Remembers what later batches may refer to."""
        for (feed, columns), frames in self._learnt.items():
            frames.append(verification.named(feed, columns).unique())

    def known(
        self, feed: str, columns: tuple[str, ...], senders: Sequence[str] | None
    ) -> pl.DataFrame:
        """Senders and cells of columns of a feed."""
        if senders is not None:
            stored = self._ask(feed, columns, senders)
        else:
            # Several rules look up the same, and nothing is loaded meanwhile.
            if (feed, columns) not in self._stored:
                self._stored[feed, columns] = self._ask(feed, columns, None)
            stored = self._stored[feed, columns]
        learnt = pl.concat([nothing_known(feed, columns), *self._learnt[feed, columns]])
        if senders is not None:
            learnt = learnt.filter(pl.col(SENDER).is_in(list(senders)))
        return pl.concat([stored.cast(learnt.schema), learnt])

    def _ask(
        self, feed: str, columns: tuple[str, ...], senders: Sequence[str] | None
    ) -> pl.DataFrame:
        """What the warehouse has."""
        if feed == "cde_directory":
            return known_directory(self._connection).select(pl.lit("cde").alias(SENDER), *columns)
        listed = ", ".join(map(quoted, columns))
        of_senders = "" if senders is None else "AND list_contains($senders, _sender)"
        # A student without a child of Foster Focus is in no table, and yet was sent.
        of_students = feed == DEMOGRAPHICS.name and set(columns) <= set(CHILD)
        more = f"UNION SELECT {SENDER}, {listed} FROM lake.unmatched" if of_students else ""
        return self._connection.execute(
            f"SELECT DISTINCT {SENDER}, {listed} FROM "
            f"(SELECT {SENDER}, {listed} FROM lake.{feed} WHERE _active {more}) "
            f"WHERE true {of_senders}",
            None if senders is None else {"senders": list(senders)},
        ).pl()


def known_directory(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The directory in force: what was received, and what the project ships for the rest."""
    return directory(
        connection.sql(
            f"SELECT {', '.join(DIRECTORY_SCHEMA)} FROM lake.cde_directory WHERE _active"
        ).pl()
    )


@value_free
def load_family(
    connection: duckdb.DuckDBPyConnection, folders: Folders, family: str, on: date
) -> list[Loaded]:
    """Loads the verified batches of ``family``, a commit each, and forgets them."""
    loaded = []
    batches = list(folders.staging.batch_folders(family))
    profiles = read_profiles(folders.warehouse)
    step = Step(f"loading {family}", len(batches))
    for folder in batches:
        drops, verified = folders.staging.batch(folder)
        known = bookkeeping.known_drops(connection)
        if not known.issuperset(drop.id for drop in drops):
            loaded.append(bookkeeping.load(connection, drops, verified, on, profiles))
        folders.staging.clear_batch(folder)
        step.advance()
    if family == oneroster.FAMILY:
        rosters.make_views(connection)
        rosters.note_schools(connection, _known_schools(connection))
    return loaded


def _known_schools(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The directory in force, with the NCES ids that a received one has."""
    nces = connection.sql(
        "SELECT CDSCode, NCESDist, NCESSchool FROM lake.cde_directory WHERE _active"
    ).pl()
    return known_directory(connection).join(nces, on="CDSCode", how="left", maintain_order="left")


@value_free
def evaluate_eligibility(
    connection: duckdb.DuckDBPyConnection, folders: Folders, on: date
) -> pl.DataFrame:
    """Evaluates every student of every roster; returns ``system``, ``status``, ``students``."""
    step = Step("evaluating eligibility", 1)
    counted = eligible.evaluate_rosters(connection, on, read_profiles(folders.warehouse))
    step.advance()
    return counted


@dataclass(frozen=True, slots=True)
class Written:
    """One file of a report for all districts: its rows in all, and how many files that made."""

    file: str
    rows: int
    files: int
    aggregate: pl.DataFrame | None = None


@value_free
def open_reports(
    connection: duckdb.DuckDBPyConnection, folders: Folders, on: date, only: str | None = None
) -> pl.DataFrame:
    """Prepares the reports' views; returns the districts that get reports."""
    folders.outgoing.sweep()
    named = open_views(connection, on)
    return named if only is None else named.filter(pl.col("cd") == only)


@value_free
def write_reports(
    connection: duckdb.DuckDBPyConnection,
    folders: Folders,
    spec: ReportSpec,
    named: pl.DataFrame,
    on: date,
) -> list[Written]:
    """Builds one report for the districts ``named`` and writes its files."""
    written = []
    settings = read_profiles(folders.warehouse).reports
    step = Step(f"writing {spec.title}", named.height * len(spec.files))
    cds = named["cd"].implode()
    detail = detail_rows(connection, spec).filter(pl.col("cd").is_in(cds))
    for file in spec.files:
        if file == "Agg":
            rows = aggregate_rows(connection, spec, settings).filter(pl.col("cd").is_in(cds))
        else:
            rows = detail
        files = write_report(folders.outgoing, spec, file, rows, named, on, step.advance)
        written.append(Written(file, rows.height, files, rows if file == "Agg" else None))
    return written


def districts_of(spec: ReportSpec, named: pl.DataFrame) -> pl.DataFrame:
    """The districts of ``named`` that get this report."""
    return named if spec.only_for is None else named.filter(pl.col("cd").is_in(spec.only_for))


@value_free
def pupils_in_aggregates(connection: duckdb.DuckDBPyConnection, written: Sequence[Written]) -> int:
    """How many students' SSIDs stand in a cell of an aggregate that was just written."""
    aggregates = [part.aggregate for part in written if part.aggregate is not None]
    cells = [frame.select(pl.col(pl.String).exclude("cd")).unpivot() for frame in aggregates]
    if not cells:
        return 0
    numbers = pl.concat(cells)["value"].str.extract_all("[0-9]{10}").explode().drop_nulls()
    connection.register("numbers", numbers.alias("SSID").to_frame().to_arrow())
    found = connection.execute(
        "SELECT count(DISTINCT SSID) FROM numbers SEMI JOIN roster USING (SSID)"
    )
    row = found.fetchone()
    connection.unregister("numbers")
    return int(row[0]) if row else 0


def close_reports(folders: Folders) -> None:
    """Leaves nothing in the outbox but what is to be delivered."""
    folders.outgoing.sweep()


@value_free
def write_receipts(
    connection: duckdb.DuckDBPyConnection, folders: Folders, on: date, only: str | None = None
) -> list[str]:
    """Answers every drop that has no answer yet (``only`` one sender's); returns the senders."""
    waiting = [
        answer
        for answer in answering.unanswered(connection)
        if only is None or answer.sender == only
    ]
    if not waiting:
        return []
    senders = pl.Series("cd", [answer.sender for answer in waiting], dtype=pl.String)
    named = districts(known_directory(connection), senders)
    folder_of = dict(named.select("cd", "folder").iter_rows())
    step = Step("writing receipts", len(waiting))
    for answer, files in answering.receipts(connection, waiting):
        folder = Path(folder_of[answer.sender], "_receipts")
        for name, content in files:
            folders.outgoing.write(folder / name, content)
        step.advance()
    close_reports(folders)
    answering.mark_answered(connection, waiting, on)
    return list(dict.fromkeys(senders))


@value_free
def write_child_match(
    connection: duckdb.DuckDBPyConnection, folders: Folders, on: date, only: str | None = None
) -> dict[str, int]:
    """Writes the child match report of each district that sends foster youth.

    Returns how many students have no child, by the id of the reason.
    """
    rows = answering.students_without_child(connection)
    if only is not None:
        rows = [row for row in rows if row.cd == only]
    senders = pl.Series("cd", [row.cd for row in rows], dtype=pl.String)
    named = districts(known_directory(connection), senders)
    folder_of = dict(named.select("cd", "folder").iter_rows())
    for row in rows:
        name = f"{on:%Y%m%d}_foster_focus_child_match.csv"
        path = Path(folder_of[row.cd], "_receipts", name)
        folders.outgoing.write(path, child_match_csv(row.students))
    close_reports(folders)
    reasons = [student.rule for row in rows for student in row.students]
    return {rule.id: reasons.count(rule.id) for rule in linking.REASONS}


def offline_knowledge(warehouse: Path) -> Known:
    """What the warehouse in this folder knows, for a check that changes nothing."""
    connection = lake.connect(warehouse, read_only=True)
    return _Knowledge(connection).known


@dataclass(frozen=True, slots=True)
class NightSummary:
    """What a night did, in counts, for a person."""

    night: date
    districts: int
    students: int
    verdicts: list[tuple[str, str, int]]
    fates: list[tuple[str, str, int]]
    findings: list[tuple[str, str, int, str]]
    reports: int
    receipts: int
    strays: int
    events_outside_rosters: int


@dataclass(frozen=True, slots=True)
class Before:
    """How things stand before a night: ``last_drop`` is the position of the drop loaded last.

    ``quiet``: nothing came since, and the ledger adds up.
    """

    last_drop: int = 0
    quiet: bool = False


def before_the_night(folders: Folders) -> Before:
    """Where the ledger ends, and whether the inbox holds a file that is not known as it is.

    A file that a killed night did not load, or that met a fault of ours, is not known.
    """
    if not lake.exists(folders.warehouse):
        return Before()
    lake.bring_up_to_date(folders.warehouse)
    with lake.connect(folders.warehouse, read_only=True) as connection:
        known = bookkeeping.remembered_files(connection)
        news = (
            anything_new(folders.inbox, known)
            or holds.approved_drops(connection)
            or inspecting.unbalanced_files(connection)
        )
        return Before(inspecting.last_drop(connection), quiet=not news)


def summary(folders: Folders, on: date, before: Before) -> NightSummary:
    """What the drops since ``before`` brought, and what the outbox has of ``on``."""
    with lake.connect(folders.warehouse, read_only=True) as connection:
        counts = inspecting.counts_since(connection, before.last_drop)
    reports = folders.outbox.glob(f"*/*reporting/**/*_{on:%Y%m%d}_*.csv")
    receipts = folders.outbox.glob(f"*/_receipts/{on:%Y%m%d}_*.json")
    return NightSummary(
        night=on,
        strays=sum(1 for file in list_inbox(folders.inbox) if file.sender == NOBODY),
        reports=sum(1 for _ in reports),
        receipts=sum(1 for _ in receipts),
        **counts,
    )
