"""Finds new files in the inboxes, archives them and groups them into drops.

Belongs here: comparing listings with the files that are remembered, and telling new drops from
duplicates. Does not belong here: listing an inbox (sources), deciding when a file is complete
(file_stability), what the files hold (reader).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from ccgi_pipeline.common.errors import PipelineError, TransientError
from ccgi_pipeline.common.prefetch import prefetch
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.intake.archive import Archive, make_stand_in
from ccgi_pipeline.intake.file_stability import (
    Sighting,
    expect_next_file,
    is_overdue,
    select_stable_files,
    update_sightings,
)
from ccgi_pipeline.intake.inbox import (
    NO_SENDER,
    UNKNOWN_FAMILY,
    Drop,
    InboxFile,
    delivery_place,
    folder_of,
    group_drops,
)
from ccgi_pipeline.intake.listed_files import FileStillGrowingError
from ccgi_pipeline.intake.received_files import ReceivedFiles, open_received_files
from ccgi_pipeline.intake.recognition import detect_family, detect_feed_of
from ccgi_pipeline.intake.sources import (
    Inboxes,
    InboxProblem,
    LocalInbox,
    RemoteInbox,
    Source,
    read_checksum_lists,
)
from ccgi_pipeline.intake.zip_files import SIZE_LIMIT, is_zip
from ccgi_pipeline.sftp.errors import SftpMissingError


@dataclass(frozen=True, slots=True)
class RememberedFile:
    """The stamp and the content of a file when it was last taken from its path, and its drop."""

    stamp: str
    sha256: str
    drop: str = ""


@dataclass(frozen=True, slots=True)
class DropHistory:
    """The ids of earlier drops, and each sender's newest of a family."""

    drops: frozenset[str] = frozenset()
    newest: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceivedDrops:
    """The result of a scan whose files were archived.

    ``drops`` are new, in the order in which they are loaded. ``duplicates`` have the content of
    their sender's newest drop. ``touched`` files have a new stamp and their old content.
    ``postponed`` files may be incomplete: a later scan takes them. ``strays`` lie in no sender's
    folder and stay there. ``strays`` and ``problems`` are reported to the operator.
    """

    drops: tuple[Drop, ...]
    duplicates: tuple[Drop, ...]
    touched: tuple[tuple[InboxFile, str], ...]
    postponed: tuple[InboxFile, ...]
    strays: tuple[InboxFile, ...]
    problems: tuple[InboxProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class InboxScan:
    """What a scan found, by source.

    ``new``: files that are not remembered with their present stamp.
    ``ready``: those of the new files that may be taken.
    ``overdue``: those that no longer wait for the other files of their folder.
    ``taken``: files that an earlier scan took and that have not changed.
    ``gone``: paths on servers where a file was taken and none lies now. The next file there is
    a new delivery, even if its stamp is the same.
    ``checksums``: the SHA-256 that senders announced, by folder and file name.
    ``expected``: when the first of the new files may be taken if none changes any more.
    """

    new: tuple[tuple[Source, tuple[InboxFile, ...]], ...] = ()
    ready: frozenset[InboxFile] = frozenset()
    overdue: frozenset[InboxFile] = frozenset()
    taken: tuple[tuple[Source, InboxFile], ...] = ()
    gone: tuple[str, ...] = ()
    strays: tuple[InboxFile, ...] = ()
    checksums: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    expected: datetime | None = None

    @property
    def all_ready(self) -> bool:
        """Whether every new file may be taken."""
        return all(file in self.ready for _, files in self.new for file in files)


@dataclass(frozen=True, slots=True)
class ScanTerms:
    """When files may be taken: once they have not changed for ``quiet``, counted at ``now``.

    Without ``wait_for_local``, files of the local inbox are taken at once: an operator who starts
    a night by hand has put them there. ``read_undated``: files whose server tells no time are
    fetched though they were taken before, since only their content shows a correction.
    """

    now: datetime
    quiet: timedelta
    wait_for_local: bool
    read_undated: bool = True


def scan_inboxes(
    inboxes: Inboxes,
    remembered: Mapping[str, RememberedFile],
    sightings: Mapping[str, Sighting],
    terms: ScanTerms,
    only: str | None = None,
) -> tuple[InboxScan, dict[str, Sighting]]:
    """Scans all inboxes; returns what it found, and the sightings that the next scan needs."""
    new: list[tuple[Source, tuple[InboxFile, ...]]] = []
    strays: list[InboxFile] = []
    ready: set[InboxFile] = set()
    overdue: set[InboxFile] = set()
    checksums: dict[str, Mapping[str, str]] = {}
    taken: list[tuple[Source, InboxFile]] = []
    gone: list[str] = []
    expected: list[datetime] = []
    listings = inboxes.list_all()
    failed = {problem.server for problem in inboxes.problems}
    seen_now = {path: last for path, last in sightings.items() if path.partition(":")[0] in failed}
    for source, listing in listings:
        strays += [file for file in listing.files if file.sender == NO_SENDER]
        own = [f for f in listing.files if f.sender != NO_SENDER and only in {None, f.sender}]
        known = {file for file in own if _is_remembered(file, remembered, inboxes.largest)}
        undated = {file for file in known if file.undated}
        if terms.read_undated:
            known -= undated
        files = tuple(file for file in own if file not in known)
        if isinstance(source, RemoteInbox) and only is None:
            present = {file.shown for file in listing.files}
            gone += [
                path
                for path, before in remembered.items()
                if path.startswith(f"{source.name}:") and before.stamp and path not in present
            ]
        taken += [
            (source, file)
            for file in own
            if file in known and not _was_too_large(file, remembered)  # its bytes are in no archive
        ]
        watched = {*files, *undated, *listing.unfinished}
        seen_now |= update_sightings(watched, sightings, terms.now)
        if not files:
            continue
        new.append((source, files))
        if isinstance(source, LocalInbox) and not terms.wait_for_local:
            ready |= {*files}
            continue
        try:
            checked = read_checksum_lists(source, listing)
        except (PipelineError, OSError):
            checked = {}  # the list may be incomplete: the files wait like all others
        checksums |= checked
        ready |= {
            *select_stable_files(
                files, listing.unfinished, seen_now, terms.now, terms.quiet, frozenset(checked)
            )
        }
        overdue |= {file for file in files if is_overdue(file, seen_now, terms.now, terms.quiet)}
        soonest = expect_next_file(
            files, listing.unfinished, seen_now, terms.quiet, frozenset(checked)
        )
        expected += [] if soonest is None else [soonest]
    scan = InboxScan(
        tuple(new),
        frozenset(ready),
        frozenset(overdue),
        tuple(taken),
        tuple(gone),
        tuple(strays),
        checksums,
        min(expected, default=None),
    )
    return scan, seen_now


def _is_remembered(
    file: InboxFile, remembered: Mapping[str, RememberedFile], largest: float
) -> bool:
    before = remembered.get(file.shown)
    if before is None or before.stamp != file.stamp:
        return False
    # A file that was too large is taken once the limit is raised.
    return file.size > largest or not _was_too_large(file, remembered)


def _was_too_large(file: InboxFile, remembered: Mapping[str, RememberedFile]) -> bool:
    """Returns whether a stand-in was archived in the place of the file."""
    before = remembered.get(file.shown)
    return before is not None and before.sha256 == _hash_stand_in(file)


def _hash_stand_in(file: InboxFile) -> str:
    return hashlib.sha256(make_stand_in(file.stamp)).hexdigest()


def receive_files(
    inboxes: Inboxes,
    scan: InboxScan,
    archive: Archive,
    remembered: Mapping[str, RememberedFile],
    history: DropHistory,
    progress: Callable[[str], None] = lambda _: None,
) -> ReceivedDrops:
    """Archives the files of ``scan`` that are ready, and groups them into drops.

    If a file cannot be read now, the other files of its folder wait with it for the next scan,
    because they may have been sent together. ``progress`` is called with the sender of each file.
    """
    archive.remove_partial_files()
    with open_received_files(archive) as received:
        return _receive(inboxes, scan, received, remembered, history, progress)


def _receive(
    inboxes: Inboxes,
    scan: InboxScan,
    received: ReceivedFiles,
    remembered: Mapping[str, RememberedFile],
    history: DropHistory,
    progress: Callable[[str], None],
) -> ReceivedDrops:
    archive = received.archive
    arrived: list[tuple[InboxFile, str]] = []
    touched: list[tuple[InboxFile, str]] = []
    postponed: list[InboxFile] = []
    for source, files in scan.new:
        postponed += [file for file in files if file not in scan.ready]
        ready = [file for file in files if file in scan.ready]
        take = partial(_archive_file, source, archive, inboxes)
        for file, sha256, later in prefetch(take, ready, source.parallel_reads):
            whole = file.size <= inboxes.largest
            if later or (whole and _announced_checksum(file, scan) not in {"", sha256 or ""}):
                postponed.append(file)
                continue
            if sha256 is None:
                continue
            progress(file.sender)
            before = remembered.get(file.shown)
            known = before is not None and before.stamp == file.stamp
            counts = source.resending_counts and not (known and file.undated)
            if before is not None and before.sha256 == sha256 and not counts:
                touched.append((file, sha256))
            else:
                arrived.append((_with_family(file, received, sha256), sha256))
    incomplete = {folder_of(file) for file in postponed}
    late = {f for f, _ in arrived if folder_of(f) in incomplete and f not in scan.overdue}
    arrived = [(file, sha256) for file, sha256 in arrived if file not in late]
    # If another delivery came since, in a zip for example, a file that lies here is out of date.
    newest = {*history.newest.values()}
    folders = {folder_of(file) for file, _ in arrived}
    unchanged = [pair for pair in touched if remembered[pair[0].shown].drop in newest]
    for source, file in scan.taken:
        before = remembered.get(file.shown)
        if before is None or before.drop not in newest or folder_of(file) not in folders:
            continue
        if not archive.has(before.sha256):  # a purge removed its bytes
            _archive_file(source, archive, inboxes, file)
        if archive.has(before.sha256):
            unchanged.append((file, before.sha256))
    unchanged = _select_set_members(arrived, unchanged, received)
    drops, duplicates = _split_duplicates(arrived, unchanged, history)
    return ReceivedDrops(
        drops,
        duplicates,
        tuple(touched),
        (*postponed, *sorted(late)),
        scan.strays,
        tuple(inboxes.problems),
    )


def _archive_file(
    source: Source, archive: Archive, inboxes: Inboxes, file: InboxFile
) -> tuple[InboxFile, str | None, bool]:
    """Archives a file; returns it, its SHA-256, and whether the next scan must try again.

    The SHA-256 is None if the file is gone or cannot be read.
    """
    if source not in inboxes.sources:
        return file, None, True
    try:
        if file.size > inboxes.largest:
            return file, archive.store_stand_in(file.stamp), False
        return file, source.store(file, archive), False
    except FileStillGrowingError:
        return file, None, True
    except (FileNotFoundError, SftpMissingError):
        return file, None, False
    except PipelineError as error:
        inboxes.record_failure(source, error)
        return file, None, isinstance(error, TransientError)


def _announced_checksum(file: InboxFile, scan: InboxScan) -> str:
    """Returns the SHA-256 that the sender announced for the file; empty if there is none."""
    return scan.checksums.get(folder_of(file), {}).get(file.name, "")


def _with_family(file: InboxFile, received: ReceivedFiles, sha256: str) -> InboxFile:
    """Returns the file with the family of its header, if folder and name say no family."""
    if file.family != UNKNOWN_FAMILY:
        return file
    if is_zip(file.content_name) and received.archive.size(sha256) > SIZE_LIMIT:
        return file  # a zip must be read to its end before its members are known
    content = received.content(file, sha256)
    return replace(file, family=detect_family(content, file.content_name, file.sender))


def _select_set_members(
    arrived: Sequence[tuple[InboxFile, str]],
    unchanged: Iterable[tuple[InboxFile, str]],
    received: ReceivedFiles,
) -> list[tuple[InboxFile, str]]:
    """Returns those of ``unchanged`` that belong to a set of which other files arrived.

    A sender who overwrites a folder means all that it holds, so a manifest or a roster counts even
    if its bytes are the same as before. An unchanged file is left out if another file of its feed
    arrived beside it. In folders for corrections, each file stands for itself.
    """
    loose = [(file, sha256) for file, sha256 in arrived if not is_zip(file.content_name)]
    places = {delivery_place(file) for file, _ in loose}
    feeds = {(delivery_place(file), _feed_name(file, sha256, received)) for file, sha256 in loose}
    selected = []
    for found, sha256 in unchanged:
        if found.correction or is_zip(found.content_name):
            continue
        file = _with_family(found, received, sha256)
        family = FAMILIES.get(file.family)
        if family is None or family.independent_files or delivery_place(file) not in places:
            continue
        feed = _feed_name(file, sha256, received)
        if feed is None or (delivery_place(file), feed) not in feeds:
            selected.append((file, sha256))
    return selected


def _feed_name(file: InboxFile, sha256: str, received: ReceivedFiles) -> str | None:
    """Returns the name of the feed that the file's name or header says; None if neither does."""
    content_of = partial(received.content, file, sha256)
    feed = detect_feed_of(content_of, file.content_name, file.family)
    return feed.name if feed else None


def _split_duplicates(
    arrived: Sequence[tuple[InboxFile, str]],
    unchanged: Sequence[tuple[InboxFile, str]],
    history: DropHistory,
) -> tuple[tuple[Drop, ...], tuple[Drop, ...]]:
    """Groups files into drops, and separates the new drops from duplicates.

    Files of ``unchanged`` make no drop without a file that arrived. Only a copy of a sender's
    newest drop is a duplicate. An older package that is sent again after a newer one replaces it,
    so it becomes a drop of its own.
    """
    newest = dict(history.newest)
    times = Counter(_content(known) for known in history.drops)
    drops: list[Drop] = []
    duplicates: list[Drop] = []
    new = {*arrived}
    for drop in group_drops([*arrived, *unchanged]):
        if new.isdisjoint(drop.files):
            continue
        key = drop.sender, drop.family
        if _content(newest.get(key, "")) == drop.id:
            duplicates.append(replace(drop, id=newest[key]))
            continue
        times[drop.id] += 1
        again = times[drop.id] > 1
        drops.append(replace(drop, id=f"{drop.id}-{times[drop.id]}") if again else drop)
        newest[key] = drops[-1].id
    return tuple(drops), tuple(duplicates)


def _content(drop_id: str) -> str:
    """Returns the part of a drop's id that depends on its content, without the repeat number."""
    return drop_id.split("-", 1)[0]
