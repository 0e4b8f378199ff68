"""One night, step by step, without an orchestrator: receive, verify, load, report, answer.

Belongs here: the order of the rooms, and what passes from one to the next. Each step can be run
again at any time: what it does follows from the archive and the warehouse alone. Does not belong
here: how any step is done (the rooms), when it is done (defs).
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.delivery.choosing import folders_on, to_be_sent
from ccgi_pipeline.delivery.delivering import Outcome, deliver_to
from ccgi_pipeline.delivery.ledger import Kind, Made, open_ledger
from ccgi_pipeline.delivery.ledger import exists as deliveries_exist
from ccgi_pipeline.districts import DIRECTORY_SCHEMA, directory, districts
from ccgi_pipeline.errors import UNFORESEEN, TransientError, kind_and_place, value_free
from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS, linking
from ccgi_pipeline.feeds.foster_focus.comparing import CHILD
from ccgi_pipeline.feeds.registry import COMPARISONS, FAMILIES, FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import SENDER
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.inbox import NOBODY, UNKNOWN_FAMILY, Drop, InboxFile, list_inbox
from ccgi_pipeline.intake.looks import LastLook, note_look, remember_looks, remembered_looks
from ccgi_pipeline.intake.reader import Reading
from ccgi_pipeline.intake.receiving import (
    Look,
    Received,
    Remembered,
    Watch,
    look_around,
    receive,
)
from ccgi_pipeline.intake.settling import Clock, attempt
from ccgi_pipeline.intake.shares import WHOLE, Share, bytes_of, drops_of
from ccgi_pipeline.intake.sources import Inboxes, connection_to, open_inboxes, reasons
from ccgi_pipeline.milestones import milestone
from ccgi_pipeline.overlapping import overlapped
from ccgi_pipeline.profiles import FILE_NAME as PROFILES
from ccgi_pipeline.profiles import Profiles, profiles_from, read_profiles
from ccgi_pipeline.progress import Step
from ccgi_pipeline.reports.building import (
    aggregate_as_sent,
    detail_batches,
    make_detail,
    open_views,
)
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.reports.spec import ReportSpec
from ccgi_pipeline.reports.writing import Outbox, OutboxFile, sha256_of, write_report
from ccgi_pipeline.verification.as_meant import as_meant
from ccgi_pipeline.verification.opening import FileToVerify, Limit, files_to_verify, read_files
from ccgi_pipeline.verification.receipts import child_match_csv
from ccgi_pipeline.verification.verifying import (
    Known,
    Verification,
    nothing_known,
    refused,
    verify,
    with_identity,
)
from ccgi_pipeline.warehouse import (
    answering,
    bookkeeping,
    eligible,
    holds,
    inspecting,
    lake,
    replaying,
    rosters,
)
from ccgi_pipeline.warehouse.bookkeeping import Loaded
from ccgi_pipeline.warehouse.lake import quoted
from ccgi_pipeline.warehouse.staging import Staging

_LOG = logging.getLogger(__name__)

BATCH_BYTES = 128 << 20
"""Received bytes that are verified together: enough to make a pandera call cheap, and small enough
that a night of any size needs the memory of one batch."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a night finds what came, keeps what it knows, and puts what it made."""

    inbox: Path
    outbox: Path
    warehouse: Path

    @property
    def places(self) -> tuple[Path, ...]:
        """Where a night writes."""
        return (self.warehouse, self.outbox)

    @property
    def archive(self) -> Archive:
        """The received bytes."""
        return Archive.of(self.warehouse)

    @property
    def staging(self) -> Staging:
        """What lies between the steps."""
        return Staging.of(self.warehouse)

    @property
    def outgoing(self) -> Outbox:
        """The tree that districts fetch."""
        return Outbox(self.outbox)


class Taking(StrEnum):
    """Which files a night takes.

    NOW: all of the local inbox as it is, and what stands still on servers, waiting if it must.
    WAIT: what stands still anywhere, waiting if it must. SETTLED: that, without waiting.
    """

    NOW = "now"
    WAIT = "wait"
    SETTLED = "settled"


@value_free
def receive_drops(
    connection: duckdb.DuckDBPyConnection,
    folders: Folders,
    on: date,
    only: str | None = None,
    taking: Taking = Taking.NOW,
    clock: Clock | None = None,
) -> Received:
    """Archives what is new in the inboxes and stages its drops; ``only`` one sender's, if given."""
    step = Step("receiving", 0)
    profiles = read_profiles(folders.warehouse)
    holds.expire(connection, on)
    approved = [d for d in holds.approved_drops(connection) if only in {None, d.sender}]
    with open_inboxes(folders.inbox, profiles) as inboxes:
        remembered = bookkeeping.remembered_files(connection)
        look = _look_until_at_rest(
            inboxes, remembered, folders, taking, clock or Clock(), only=only
        )
        bookkeeping.forget_stamps(connection, look.gone)
        _remove_taken(look, profiles)
        history = bookkeeping.drop_history(connection)
        received = receive(inboxes, look, folders.archive, remembered, history, step.advance)
    bookkeeping.record_arrivals(connection, received, on)
    arrived = {drop.id for drop in received.drops}
    again = tuple(drop for drop in approved if drop.id not in arrived)
    drops = bookkeeping.numbered(connection, (*again, *received.drops))
    received = replace(received, drops=tuple(drops))
    folders.staging.save_drops(received.drops)
    return received


_BETWEEN_LOOKS = 15.0
"""Seconds: a quiet period of minutes needs no closer watch."""


def _look_until_at_rest(
    inboxes: Inboxes,
    remembered: Mapping[str, Remembered],
    folders: Folders,
    taking: Taking,
    clock: Clock,
    *,
    only: str | None,
) -> Look:
    """Looks into the inboxes, again and again if the night waits, for little over a quiet period.

    Whoever is still sending then is taken by a later night.
    """
    quiet = timedelta(minutes=read_profiles(folders.warehouse).intake.quiet_minutes)
    until = clock.now() + quiet + 2 * timedelta(seconds=_BETWEEN_LOOKS)
    while True:
        watch = Watch(clock.now(), quiet, patient=taking is not Taking.NOW)
        before = remembered_looks(folders.warehouse)
        look, seen = look_around(inboxes, remembered, before, watch, only)
        remember_looks(folders.warehouse, seen if only is None else {**before, **seen})
        if look.settled or taking is Taking.SETTLED or clock.now() >= until:
            return look
        clock.sleep(min(_BETWEEN_LOOKS, max(1.0, quiet.total_seconds())))


def _remove_taken(look: Look, profiles: Profiles) -> None:
    """Removes files from servers where the district's profile says so, once they are loaded."""
    for source, file in look.taken:
        if profiles.of(file.sender).delivery.remove_taken:
            source.remove(file)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a look for new drops came to.

    ``due``: a night is due, under this key; None, and ``told`` says why not. ``refused``: servers
    that will not be looked into until somebody acts.
    """

    due: str | None
    told: str
    refused: tuple[str, ...] = ()


@value_free
def look_for_drops(folders: Folders, clock: Clock | None = None) -> Asked:
    """Looks into all inboxes once, and keeps what was seen for the next look."""
    now = (clock or Clock()).now()
    profiles = read_profiles(folders.warehouse)
    quiet = timedelta(minutes=profiles.intake.quiet_minutes)
    try:
        remembered = _remembered(folders.warehouse)
    except TransientError as later:
        return Asked(None, str(later))
    with open_inboxes(folders.inbox, profiles) as inboxes:
        watch = Watch(now, quiet, patient=True)
        look, seen = look_around(inboxes, remembered, remembered_looks(folders.warehouse), watch)
        unreachable = inboxes.unreachable
    remember_looks(folders.warehouse, seen)
    refusing = reasons(server for server in unreachable if server.permanent)
    note_look(folders.warehouse, LastLook(now, refusing))
    refused = tuple(refusing.values())
    new = [file for _, files in look.new for file in files]
    told = f"{len(new)} new files, none of them at rest"
    if unreachable:
        told = f"{told}; {'; '.join(server.why for server in unreachable)}"
    if not look.ready:
        return Asked(None, told, refused)
    identity = hashlib.sha256(f"{attempt(look.ready, seen, now)}".encode())
    for file in sorted(look.ready):
        identity.update(f"{file.shown}\0{file.stamp}\n".encode())
    return Asked(identity.hexdigest(), "", refused)


def _remembered(warehouse: Path) -> dict[str, Remembered]:
    if not lake.exists(warehouse):
        return {}
    with lake.connect(warehouse, read_only=True) as connection:
        return bookkeeping.remembered_files(connection)


def anything_new(connection: duckdb.DuckDBPyConnection, folders: Folders) -> bool:
    """Whether some inbox has a file that is not known as it is now, or cannot be asked."""
    remembered = bookkeeping.remembered_files(connection)
    with open_inboxes(folders.inbox, read_profiles(folders.warehouse)) as inboxes:
        watch = Watch(Clock().now(), timedelta(), patient=False)
        look, _ = look_around(inboxes, remembered, {}, watch)
        return bool(look.new or inboxes.unreachable)


@value_free
def shares(folders: Folders, family: str, count: int) -> list[Share]:
    """The shares of the staged drops of ``family``, ``count`` at most; none is empty."""
    drops = folders.staging.drops(_with_strays(family))
    of = min(count, len({drop.sender for drop in drops}))
    return [Share(number, of) for number in range(1, of + 1)]


@value_free
def cut_into_shares(folders: Folders, family: str, count: int) -> list[Share]:
    """The same, when nothing of ``family`` is verified yet."""
    folders.staging.clear_batches(family)
    return shares(folders, family, count)


@value_free
def verify_family(
    connection: duckdb.DuckDBPyConnection,
    folders: Folders,
    family: str,
    on: date,
    share: Share = WHOLE,
) -> pl.DataFrame:
    """Verifies the staged drops of ``family`` batch by batch; returns its files' outcomes."""
    staging, archive = folders.staging, folders.archive
    profiles = read_profiles(folders.warehouse)
    staging.clear_batches(family, share)
    # The cut is made of all drops: what other shares have loaded meanwhile must not move it.
    drops = drops_of(share, staging.drops(_with_strays(family)), archive)
    known = bookkeeping.known_drops(connection) if drops else frozenset()
    drops = [drop for drop in drops if drop.id not in known]
    step = Step(f"verifying {family}{_told(share)}", sum(len(drop.files) for drop in drops))
    outcomes = []

    def content_of(_: InboxFile, sha256: str) -> bytes:
        return archive.read(sha256)

    limit = Limit(profiles.intake.largest_drop, lambda _, sha256: archive.size(sha256))
    knowledge = Knowledge(connection, {drop.sender for drop in drops if drop.correction})

    def read(batch: Sequence[Drop]) -> _Opened:
        files = files_to_verify(batch, content_of, limit)
        return files, read_files(files, profiles, progress=step.advance)

    def read_ahead(batch: list[Drop]) -> tuple[list[Drop], _Opened | None]:
        # What is larger than a batch may be fills the memory alone: it is read in its turn.
        if sum(bytes_of(drop, archive) for drop in batch) > BATCH_BYTES:
            return batch, None
        try:
            return batch, read(batch)
        except UNFORESEEN:
            return batch, None  # it is met again, and answered, in its turn

    def verified(
        part: Sequence[Drop], *, batch: Sequence[Drop], opened: _Opened | None
    ) -> Verification:
        files, readings = opened if opened is not None and part is batch else read(part)
        return verify(files, on, knowledge.known, profiles, readings=readings)

    for batch, opened in overlapped(read_ahead, batches(drops, archive)):
        for part, verification in isolated(batch, partial(verified, batch=batch, opened=opened)):
            knowledge.learn(verification)
            staging.save_batch(family, part, as_meant(verification, profiles, on), share)
            outcomes.append(verification.files)
    return pl.concat(outcomes) if outcomes else pl.DataFrame()


_Opened = tuple[list[FileToVerify], Mapping[int, Reading]]
"""The files of a batch, and what the reader made of each."""


def verify_share(
    connection: duckdb.DuckDBPyConnection, folders: Folders, family: str, on: date, share: Share
) -> int:
    """Verifies a share, and keeps its files' outcomes for who sums up (``verified_shares``).

    Returns how many files it had.
    """
    outcomes = verify_family(connection, folders, family, on, share)
    if not outcomes.is_empty():
        folders.staging.save_outcome(family, share, _VERIFIED, outcomes)
    return outcomes.height


@value_free
def verified_shares(folders: Folders, family: str) -> pl.DataFrame:
    """The outcomes of the files of all shares of ``family``, as of ``verify_family``."""
    outcomes = folders.staging.outcomes(family, _VERIFIED)
    return pl.concat(outcomes) if outcomes else pl.DataFrame()


_VERIFIED, _LOADED = "verified", "loaded"
"""Names of what shares' steps keep."""


def _told(share: Share) -> str:
    return "" if share == WHOLE else f", share {share.number} of {share.of}"


def isolated(
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
        yield from isolated(batch[:middle], verified)
        yield from isolated(batch[middle:], verified)
        return
    yield batch, verification


def _with_strays(family: str) -> list[str]:
    """Files that no family claims are answered with the first family, the directory's."""
    return [family, UNKNOWN_FAMILY] if family == next(iter(FAMILIES)) else [family]


def batches(drops: Sequence[Drop], archive: Archive) -> Iterator[list[Drop]]:
    """Drops in their order, cut where a batch would grow too large, or a sender come twice."""
    batch: list[Drop] = []
    senders: set[str] = set()
    size = 0
    for drop in drops:
        bytes_ = bytes_of(drop, archive)
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
_CORRECTED = {
    (feed, with_identity(FEEDS_BY_NAME[feed], columns)) for feed, columns in _LOOKED_UP
} - _LOOKED_UP
"""The same with what tells records apart: needed where a correction may replace one."""


class Knowledge:
    """What rules may look up: the warehouse's active records, the night's earlier batches.

    ``correcting``: senders of corrections, of whose earlier lines more must be remembered.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, correcting: Iterable[str] = ()
    ) -> None:
        self._connection = connection
        self._correcting = sorted(correcting)
        self._stored: dict[tuple[str, tuple[str, ...]], pl.DataFrame] = {}
        self._learnt: dict[tuple[str, tuple[str, ...]], list[pl.DataFrame]] = {
            looked_up: [] for looked_up in _LOOKED_UP | _CORRECTED
        }

    def learn(self, verification: Verification) -> None:
        """Remembers what later batches may refer to."""
        for (feed, columns), frames in self._learnt.items():
            if (feed, columns) in _LOOKED_UP:
                frames.append(verification.named(feed, columns).unique())
            elif self._correcting:
                theirs = pl.col(SENDER).is_in(self._correcting)
                frames.append(verification.named(feed, columns).filter(theirs).unique())

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
        of_students = feed == DEMOGRAPHICS.name and set(columns) <= {*CHILD, DEMOGRAPHICS.unique_id}
        known = ", ".join(quoted(c) if c in CHILD else f"NULL AS {quoted(c)}" for c in columns)
        more = f"UNION SELECT {SENDER}, {known} FROM lake.unmatched" if of_students else ""
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
    """Loads all verified batches of ``family``, and does what follows."""
    before_loading(connection, folders, family)
    loaded = load_share(connection, folders, family, on, WHOLE)
    after_loading(connection, family)
    return loaded


@value_free
def before_loading(connection: duckdb.DuckDBPyConnection, folders: Folders, family: str) -> None:
    """Notes the state in which all shares of ``family`` look up other senders' records."""
    folders.staging.save_snapshot(family, lake.snapshot(connection))


@value_free
def load_share(
    connection: duckdb.DuckDBPyConnection, folders: Folders, family: str, on: date, share: Share
) -> list[Loaded]:
    """Loads the verified batches of a share of ``family``, a commit each, and forgets them."""
    loaded = []
    staging = folders.staging
    batches = staging.batch_folders(family, share)
    before = staging.snapshot(family)
    profiles = read_profiles(folders.warehouse)
    step = Step(f"loading {family}{_told(share)}", len(batches))
    known = bookkeeping.known_drops(connection) if batches else frozenset()
    for folder in batches:
        drops, verified = staging.batch(folder)
        if not known.issuperset(drop.id for drop in drops):
            loaded.append(bookkeeping.load(connection, drops, verified, on, profiles, before))
        staging.clear_batch(folder)
        step.advance()
    return loaded


@value_free
def note_loaded(folders: Folders, family: str, share: Share, loaded: Sequence[Loaded]) -> None:
    """Keeps what the load of a share came to, for who sums up (``loaded_shares``)."""
    if loaded:
        ledger = pl.concat([batch.ledger for batch in loaded])
        folders.staging.save_outcome(family, share, _LOADED, ledger)


@value_free
def loaded_shares(folders: Folders, family: str) -> list[pl.DataFrame]:
    """The ledgers of all shares of ``family``, as of ``Loaded``."""
    return folders.staging.outcomes(family, _LOADED)


@value_free
def after_loading(connection: duckdb.DuckDBPyConnection, family: str) -> None:
    """What follows the load of all shares of ``family``: of all senders together."""
    if family == oneroster.FAMILY:
        rosters.make_views(connection)
        rosters.note_schools(connection, _known_schools(connection))


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
    profiles, settings = profiles_in_force(folders)
    step = Step(f"writing {spec.title}", named.height * len(spec.files))
    make_detail(connection, spec)
    for file in spec.files:
        rows, aggregate = 0, None
        made: list[OutboxFile] = []
        if file == "Agg":
            theirs = pl.col("cd").is_in(named["cd"].implode())
            aggregate = aggregate_as_sent(connection, spec, profiles, REPORTS).drop("place")
            aggregate = aggregate.filter(theirs)
            parts = iter([(named, aggregate)])
        else:
            parts = detail_batches(connection, spec, named)
        write = partial(_written, folders.outgoing, spec, file, on, step.advance)
        for height, files in overlapped(write, parts):
            rows += height
            made += files
        written.append(Written(file, rows, len(made), aggregate))
        noted = [(Kind.REPORT, spec.name, file, one) for one in made]
        note_made(connection, folders, on, noted, settings)
    return written


def _written(
    outbox: Outbox,
    spec: ReportSpec,
    file: str,
    on: date,
    progress: Callable[[], None],
    part: tuple[pl.DataFrame, pl.DataFrame],
) -> tuple[int, list[OutboxFile]]:
    """How many rows the part of a report has, and its files."""
    named, rows = part
    return rows.height, write_report(outbox, spec, file, rows, named, on, progress)


def profiles_in_force(folders: Folders) -> tuple[Profiles, str]:
    """The profiles, and the SHA-256 under which the archive has them; empty where there are none.

    They are read from the archive, so that they are the noted ones whoever edits the file now.
    """
    given = folders.warehouse / PROFILES
    if not given.exists():
        return Profiles(), ""
    sha256 = sha256_of(given.read_bytes())
    archive = folders.archive
    if not archive.has(sha256):
        sha256 = archive.store(given)
    return profiles_from(archive.read(sha256), given), sha256


def note_made(
    connection: duckdb.DuckDBPyConnection,
    folders: Folders,
    on: date,
    files: Sequence[tuple[Kind, str, str, OutboxFile]],
    settings: str | None = None,
) -> None:
    """Notes of which state of the warehouse and of the settings files of the outbox were made.

    ``files``: each with its kind, and the name and part by which it can be made again.
    ``settings``: the SHA-256 of the profiles by which they were made; those in force if not given.
    """
    if settings is None:
        _, settings = profiles_in_force(folders)
    snapshot = lake.snapshot(connection)
    made = [
        Made(
            path=file.path,
            sha256=file.sha256,
            owner=file.owner,
            kind=kind,
            name=name,
            part=part,
            night=on,
            snapshot=snapshot,
            settings=settings,
        )
        for kind, name, part, file in files
    ]
    with open_ledger(folders.warehouse) as ledger:
        ledger.note_made(made)


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
    made = []
    profiles, settings = profiles_in_force(folders)
    for answer, files in answering.receipts(connection, waiting, folders.archive, profiles):
        folder = Path(folder_of[answer.sender], "_receipts")
        for name, content in files:
            folders.outgoing.write(folder / name, content)
            file = OutboxFile(f"{folder / name}", answer.sender, sha256_of(content))
            made.append((Kind.RECEIPT, answer.stem, Path(name).suffix, file))
        step.advance()
    close_reports(folders)
    note_made(connection, folders, on, made, settings)
    with milestone("receipts: noted"):
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
    made = []
    for row in rows:
        name = f"{on:%Y%m%d}_foster_focus_child_match.csv"
        path = Path(folder_of[row.cd], "_receipts", name)
        content = child_match_csv(row.students)
        folders.outgoing.write(path, content)
        file = OutboxFile(f"{path}", row.cd, sha256_of(content))
        made.append((Kind.CHILD_MATCH, "", "", file))
    close_reports(folders)
    note_made(connection, folders, on, made)
    reasons = [student.rule for row in rows for student in row.students]
    return {rule.id: reasons.count(rule.id) for rule in linking.REASONS}


@value_free
def deliver(folders: Folders, on: date) -> list[Outcome]:
    """Sends what the profiles have sent of the outbox of ``on``, and what earlier nights could not.

    Raises DeliveryBusyError where another process is at it.
    """
    profiles = read_profiles(folders.warehouse)
    if not profiles.sftp:
        return []
    with _only_deliverer(folders.warehouse):
        with open_ledger(folders.warehouse) as ledger:
            ledger.prepare(to_be_sent(ledger.made_on(on), profiles))
            servers = [name for name in profiles.sftp if profiles.sftp[name].outbox is not None]
        step = Step("delivering", len(servers))

        def delivered(server: str) -> Outcome:
            with open_ledger(folders.warehouse) as ledger:
                outcome = deliver_to(
                    server,
                    partial(connection_to, server, profiles.sftp[server]),
                    folders_on(server, profiles),
                    ledger,
                    folders.outbox,
                    on,
                )
            step.advance()
            return outcome

        with ThreadPoolExecutor(_SERVERS_AT_ONCE) as pool:
            return [*pool.map(delivered, servers)]


_SERVERS_AT_ONCE = 8
"""Servers that wait do not hold up others; each has one connection."""


class DeliveryBusyError(TransientError):
    """Another process is delivering: what this one would send, that one or the next will."""


@contextmanager
def _only_deliverer(warehouse: Path) -> Iterator[None]:
    with (warehouse / "delivery.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = "deliveries are under way already; try again when they have ended"
            raise DeliveryBusyError(msg) from None
        yield


@value_free
def waits_for_delivery(warehouse: Path) -> bool:
    """Whether something made is still to be sent, or on its way."""
    if not read_profiles(warehouse).sftp or not deliveries_exist(warehouse):
        return False
    with open_ledger(warehouse) as ledger:
        return bool(ledger.servers())


@value_free
def offline_knowledge(warehouse: Path) -> Known:
    """What the warehouse in this folder knows, for a check that changes nothing."""
    connection = lake.connect(warehouse, read_only=True)
    return Knowledge(connection).known


@dataclass(frozen=True, slots=True)
class NightSummary:
    """What a night did, in counts, for a person.

    ``not_had``: what could not be fetched from an inbox, and what to do about it.
    """

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
    not_had: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Before:
    """How things stand before a night: ``last_drop`` is the position of the drop loaded last.

    ``quiet``: nothing came since, and the ledger adds up.
    """

    last_drop: int = 0
    quiet: bool = False


@value_free
def before_the_night(folders: Folders) -> Before:
    """Where the ledger ends, and whether the inbox holds a file that is not known as it is.

    A file that a killed night did not load, or that met a fault of ours, is not known.
    """
    if not lake.exists(folders.warehouse):
        return Before()
    lake.bring_up_to_date(folders.warehouse)
    with lake.connect(folders.warehouse, read_only=True) as connection:
        news = (
            anything_new(connection, folders)
            or holds.approved_drops(connection)
            or replaying.unanswered(connection)
            or inspecting.unbalanced_files(connection)
        )
        return Before(inspecting.last_drop(connection), quiet=not news)


@value_free
def last_drop(folders: Folders) -> int:
    """The position of the drop that was loaded last."""
    with lake.connect(folders.warehouse, read_only=True) as connection:
        return inspecting.last_drop(connection)


@value_free
def summary(folders: Folders, on: date, before: Before) -> NightSummary:
    """What the drops since ``before`` brought, and what the outbox has of ``on``."""
    with lake.connect(folders.warehouse, read_only=True) as connection:
        counts = inspecting.counts_since(connection, before.last_drop)
    made = [entry.name for entry in folders.outgoing.files_on(on)]
    return NightSummary(
        night=on,
        strays=sum(1 for file in list_inbox(folders.inbox) if file.sender == NOBODY),
        reports=sum(name.endswith(("_Agg.csv", "_Detail.csv")) for name in made),
        receipts=sum(name.endswith(".json") for name in made),
        **counts,
    )
