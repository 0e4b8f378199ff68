"""Receiving: what is new in the inboxes, put into the archive and grouped into drops.

Belongs here: the step from listings to drops with an identity. Does not belong here:
what is in the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from ccgi_pipeline.common.errors import PipelineError, TransientError
from ccgi_pipeline.common.prefetch import prefetch
from ccgi_pipeline.intake.archive import Archive, FileStillGrowingError
from ccgi_pipeline.intake.file_stability import Sighting, has_waited, sightings, stable_files
from ccgi_pipeline.intake.inbox import (
    NOBODY,
    UNKNOWN_FAMILY,
    Drop,
    InboxFile,
    folder_of,
    group_drops,
)
from ccgi_pipeline.intake.recognition import family_of
from ccgi_pipeline.intake.sources import (
    Inboxes,
    LocalInbox,
    RemoteInbox,
    Source,
    Unreachable,
    checked_folders,
)
from ccgi_pipeline.intake.zip_files import SIZE_LIMIT, is_zip
from ccgi_pipeline.sftp.faults import SftpMissingError


@dataclass(frozen=True, slots=True)
class RememberedFile:
    """What is known of a path of the inbox: its stamp and its content when it was last taken."""

    stamp: str
    sha256: str


@dataclass(frozen=True, slots=True)
class DropHistory:
    """The drops that are done with, and each sender's newest of a family (by sender and family)."""

    drops: frozenset[str] = frozenset()
    newest: Mapping[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceivedDrops:
    """What a look into the inboxes brought.

    ``drops`` are new, in the order in which they are to be loaded. ``duplicates`` have the
    content of a drop that is known. ``touched`` are known files whose stamp changed and whose
    content did not. ``growing`` files are not known to be whole: the next look takes them.
    ``strays`` lie in no sender's folder and stay there: the operator must be told, and so of
    servers that were ``unreachable``.
    """

    drops: tuple[Drop, ...]
    duplicates: tuple[Drop, ...]
    touched: tuple[tuple[InboxFile, str], ...]
    growing: tuple[InboxFile, ...]
    strays: tuple[InboxFile, ...]
    unreachable: tuple[Unreachable, ...] = ()


@dataclass(frozen=True, slots=True)
class InboxScan:
    """What of the inboxes is new to us, by source.

    ``new`` files are not remembered as they are now; those of them in ``ready`` may be taken, those
    in ``waited`` without the others of their folders. ``taken`` ones lie there as they were taken;
    ``gone`` are paths of servers where a file was taken and none is: what lies there next was sent
    again, even if it looks the same. ``checksums`` by folder and name, where senders told them.
    """

    new: tuple[tuple[Source, tuple[InboxFile, ...]], ...] = ()
    ready: frozenset[InboxFile] = frozenset()
    waited: frozenset[InboxFile] = frozenset()
    taken: tuple[tuple[Source, InboxFile], ...] = ()
    gone: tuple[str, ...] = ()
    strays: tuple[InboxFile, ...] = ()
    checksums: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether nothing new has to be waited for."""
        return all(file in self.ready for _, files in self.new for file in files)


@dataclass(frozen=True, slots=True)
class ScanTerms:
    """When files may be taken: after ``quiet``, at ``now``; ``patient`` with local files too.

    Without patience, what lies in the local inbox is taken as it is: whoever starts a night by hand
    has put it there.
    """

    now: datetime
    quiet: timedelta
    patient: bool


def scan_inboxes(
    inboxes: Inboxes,
    remembered: Mapping[str, RememberedFile],
    looks: Mapping[str, Sighting],
    watch: ScanTerms,
    only: str | None = None,
) -> tuple[InboxScan, dict[str, Sighting]]:
    """What is new in all inboxes and may be taken, and what was seen, for the next look."""
    new: list[tuple[Source, tuple[InboxFile, ...]]] = []
    strays: list[InboxFile] = []
    ready: set[InboxFile] = set()
    long: set[InboxFile] = set()
    checksums: dict[str, Mapping[str, str]] = {}
    taken: list[tuple[Source, InboxFile]] = []
    gone: list[str] = []
    listings = inboxes.look()
    unasked = {told.server for told in inboxes.unreachable}
    seen_now = {path: last for path, last in looks.items() if path.partition(":")[0] in unasked}
    for source, listing in listings:
        strays += [file for file in listing.files if file.sender == NOBODY]
        own = [f for f in listing.files if f.sender != NOBODY and only in {None, f.sender}]
        files = tuple(file for file in own if not _known(file, remembered))
        if isinstance(source, RemoteInbox) and only is None:
            listed = {file.shown for file in listing.files}
            gone += [
                path
                for path, before in remembered.items()
                if path.startswith(f"{source.name}:") and before.stamp and path not in listed
            ]
        taken += [(source, file) for file in own if _known(file, remembered)]
        seen_now |= sightings([*files, *listing.unfinished], looks, watch.now)
        if not files:
            continue
        new.append((source, files))
        if isinstance(source, LocalInbox) and not watch.patient:
            ready |= {*files}
            continue
        try:
            vouched = checked_folders(source, listing)
        except (PipelineError, OSError):
            vouched = {}  # its list is still being written: its files wait as all others do
        checksums |= vouched
        ready |= {
            *stable_files(
                files, listing.unfinished, seen_now, watch.now, watch.quiet, frozenset(vouched)
            )
        }
        long |= {file for file in files if has_waited(file, seen_now, watch.now, watch.quiet)}
    look = InboxScan(
        tuple(new),
        frozenset(ready),
        frozenset(long),
        tuple(taken),
        tuple(gone),
        tuple(strays),
        checksums,
    )
    return look, seen_now


def _known(file: InboxFile, remembered: Mapping[str, RememberedFile]) -> bool:
    before = remembered.get(file.shown)
    return before is not None and before.stamp == file.stamp


def receive_files(
    inboxes: Inboxes,
    look: InboxScan,
    archive: Archive,
    remembered: Mapping[str, RememberedFile],
    history: DropHistory,
    progress: Callable[[str], None] = lambda _: None,
) -> ReceivedDrops:
    """Archives the files of ``look`` that are ready, and groups them into drops.

    What of a folder cannot be had now is left to the next look, with all that lies beside it:
    it may have been sent together. ``progress`` hears the sender of each file taken.
    """
    archive.sweep()
    arrived: list[tuple[InboxFile, str]] = []
    touched: list[tuple[InboxFile, str]] = []
    growing: list[InboxFile] = []
    for source, files in look.new:
        growing += [file for file in files if file not in look.ready]
        ready = [file for file in files if file in look.ready]
        take = partial(_taken, source, archive, inboxes)
        for file, sha256, later in prefetch(take, ready, source.at_once):
            if later or _promised(file, look) not in {"", sha256 or ""}:
                growing.append(file)
                continue
            if sha256 is None:
                continue
            progress(file.sender)
            before = remembered.get(file.shown)
            if before is not None and before.sha256 == sha256 and not source.resending_counts:
                touched.append((file, sha256))
            else:
                arrived.append((_with_family(file, archive, sha256), sha256))
    incomplete = {folder_of(file) for file in growing}
    late = {f for f, _ in arrived if folder_of(f) in incomplete and f not in look.waited}
    arrived = [(file, sha256) for file, sha256 in arrived if file not in late]
    drops, duplicates = _sorted_out(arrived, history)
    return ReceivedDrops(
        drops,
        duplicates,
        tuple(touched),
        (*growing, *sorted(late)),
        look.strays,
        tuple(inboxes.unreachable),
    )


def _taken(
    source: Source, archive: Archive, inboxes: Inboxes, file: InboxFile
) -> tuple[InboxFile, str | None, bool]:
    """The file, its SHA-256 now that it is in the archive, and whether to come back for it.

    No SHA-256 where it is gone, must not be read, or cannot be had just now.
    """
    if source not in inboxes.sources:
        return file, None, True
    try:
        return file, source.store(file, archive), False
    except FileStillGrowingError:
        return file, None, True
    except (FileNotFoundError, SftpMissingError):
        return file, None, False
    except PipelineError as error:
        inboxes.failed(source, error)
        return file, None, isinstance(error, TransientError)


def _promised(file: InboxFile, look: InboxScan) -> str:
    """The SHA-256 that the sender told of the file; empty where none was told."""
    return look.checksums.get(folder_of(file), {}).get(file.name, "")


def _with_family(file: InboxFile, archive: Archive, sha256: str) -> InboxFile:
    """A file in no family's folder and with no known name may still have a known header."""
    if file.family != UNKNOWN_FAMILY:
        return file
    if is_zip(file.name) and archive.size(sha256) > SIZE_LIMIT:
        return file  # to look into it takes all of it
    return replace(file, family=family_of(partial(archive.first, sha256), file.name, file.sender))


def _sorted_out(
    arrived: list[tuple[InboxFile, str]], history: DropHistory
) -> tuple[tuple[Drop, ...], tuple[Drop, ...]]:
    """New drops apart from those that came before.

    Only what a sender sent last is a duplicate when it comes again: to send an older package once
    more after a newer one is to go back to it. It becomes a drop of its own.
    """
    newest = dict(history.newest)
    times = Counter(_content(known) for known in history.drops)
    drops: list[Drop] = []
    duplicates: list[Drop] = []
    for drop in group_drops(arrived):
        place = drop.sender, drop.family
        if _content(newest.get(place, "")) == drop.id:
            duplicates.append(replace(drop, id=newest[place]))
            continue
        times[drop.id] += 1
        again = times[drop.id] > 1
        drops.append(replace(drop, id=f"{drop.id}-{times[drop.id]}") if again else drop)
        newest[place] = drops[-1].id
    return tuple(drops), tuple(duplicates)


def _content(drop_id: str) -> str:
    """The part of a drop's id that follows from its content; the rest counts its comings."""
    return drop_id.split("-", 1)[0]
