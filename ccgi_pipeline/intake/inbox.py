"""The inbox: which files lie there, whose they are, and which of them were delivered together.

Belongs here: the folder's layout (``inbox/<CD code>/<family>/...``) and the identity of a drop.
Pure but for the listing. Does not belong here: what the files hold.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ccgi_pipeline.feeds.registry import (
    DISTRICT_FAMILIES,
    DISTRICT_FEEDS,
    STATEWIDE_SENDERS,
    date_in_name,
    feed_by_name,
)
from ccgi_pipeline.intake.zip_files import CORRECTIONS, among_corrections, is_zip

UNKNOWN_FAMILY = "unknown"
"""The family of files that lie where no family is; they are answered all the same."""

_PARTIAL = re.compile(r"(?i)(\.part|\.filepart|\.tmp|\.crdownload|~)$|^\.|^~\$")
"""Names that WinSCP, lftp, browsers, servers and editors give to what is not finished."""
_CHECKSUMS = re.compile(r"(?i)\.sha256(sums?)?$|^sha256sums?(\.txt)?$")
_CD_CODE = re.compile(r"[0-9]{7}")


@dataclass(frozen=True, slots=True, order=True)
class InboxFile:
    """One file of the inbox. ``stamp`` changes whenever the file may have changed."""

    path: str
    sender: str
    family: str
    stamp: str

    @property
    def shown(self) -> str:
        """The path in letters: a name may be bytes that are none."""
        return self.path.encode(errors="replace").decode()

    @property
    def name(self) -> str:
        """The name without folders."""
        return PurePosixPath(self.path).name

    @property
    def correction(self) -> bool:
        """Whether it holds some of many lines: it is no full set, whatever kind of file it is."""
        return among_corrections(self.path)


@dataclass(frozen=True, slots=True)
class Drop:
    """Files of one family that one sender delivered together.

    ``id`` follows from sender, family and content alone: the same bytes are the same drop under
    any name. (But a full set and a correction are two things, even if they have the same lines.)
    """

    id: str
    sender: str
    family: str
    files: tuple[tuple[InboxFile, str], ...]
    """Each file with the SHA-256 of its content."""
    position: int | None = None
    """Its place in the order of loading, once it has one."""

    @property
    def correction(self) -> bool:
        """Whether it lies in a folder for corrections: files of one drop share their folder."""
        return any(file.correction for file, _ in self.files)


def is_cd_code(text: str) -> bool:
    """Whether ``text`` has the form of a district's CD code."""
    return _CD_CODE.fullmatch(text) is not None


def passed_over(name: str) -> bool:
    """Whether a file or folder of this name is not, or not yet, one that somebody sent."""
    return _PARTIAL.search(name) is not None


def is_checksums(name: str) -> bool:
    """Whether a file of this name is a list of checksums, as ``sha256sum`` writes it."""
    return _CHECKSUMS.search(name) is not None


_GONE = "gone"
"""The stamp of a file that went while we looked. It may have got its final name, which we did not
see: so it is told of, and what lies beside it waits for the next look."""
NOBODY = ""
"""The sender of files that lie in no sender's folder: nobody can be answered for them."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in an inbox, each sorted by path.

    ``files`` have their final names. ``unfinished`` have a partial one: somebody is writing, or
    left off. ``checksums`` are lists of SHA-256 that say of other files whether they are whole.
    ``locked`` are the senders of folders that we may not look into, one a folder.
    """

    files: tuple[InboxFile, ...] = ()
    unfinished: tuple[InboxFile, ...] = ()
    checksums: tuple[InboxFile, ...] = ()
    locked: tuple[str, ...] = ()


def sorted_listing(found: Iterable[InboxFile], locked: Iterable[str] = ()) -> Listing:
    """Files told apart by their names, and the senders of ``locked`` folders."""
    files, unfinished, checksums = [], [], []
    for file in sorted(found):
        if any(passed_over(part) for part in PurePosixPath(file.path).parts):
            unfinished.append(file)
        elif is_checksums(file.name):
            checksums.append(file)
        else:
            files.append(file)
    return Listing(tuple(files), tuple(unfinished), tuple(checksums), tuple(sorted(locked)))


def look_into(inbox: Path) -> Listing:
    """What lies below ``inbox``. Links are not followed."""
    locked: list[str] = []
    files = [*_walk(inbox, inbox, locked)]
    return sorted_listing(files, locked)


def list_inbox(inbox: Path) -> list[InboxFile]:
    """Every file below ``inbox`` that has its final name, sorted by path."""
    return list(look_into(inbox).files)


def _walk(folder: Path, inbox: Path, locked: list[str]) -> Iterator[InboxFile]:
    """The files below ``folder``; ``locked`` gets the sender of each that we may not look into."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not passed_over(entry.name):
                        yield from _walk(Path(entry.path), inbox, locked)
                elif entry.is_file(follow_symlinks=False):
                    yield _inbox_file(entry, inbox)
    except (FileNotFoundError, NotADirectoryError):
        return  # nobody has sent anything yet, or the folder went while we looked
    except PermissionError:
        locked.append(sender_of(folder.relative_to(inbox).as_posix()))


def _inbox_file(entry: os.DirEntry[str], inbox: Path) -> InboxFile:
    path = Path(entry.path).relative_to(inbox).as_posix()
    try:
        facts = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        stamp = _GONE
    else:
        stamp = f"{facts.st_size}-{facts.st_mtime_ns}-{facts.st_ctime_ns}-{facts.st_ino}"
    return InboxFile(path, *owner_of(path), stamp)


def sender_of(folder: str) -> str:
    """Whose a folder of the inbox is; NOBODY where no sender's folder is above it."""
    return owner_of(f"{folder}/file")[0]


def owner_of(path: str) -> tuple[str, str]:
    """Sender and family of a path in the inbox; NOBODY where no sender's folder is above it."""
    parts = PurePosixPath(path).parts
    sender = parts[0]
    if len(parts) > 1 and sender in STATEWIDE_SENDERS:
        return sender, STATEWIDE_SENDERS[sender]
    if len(parts) == 1 or not is_cd_code(sender):
        return NOBODY, UNKNOWN_FAMILY
    for part in parts[1:-1]:
        if part.lower() in DISTRICT_FAMILIES:
            return sender, part.lower()
    named = feed_by_name(parts[-1], DISTRICT_FEEDS)
    return sender, named.family if named else UNKNOWN_FAMILY


_NEWEST = "99999999"
"""Where no name says a date, what arrived now is the newest."""


def group_drops(files: Sequence[tuple[InboxFile, str]]) -> list[Drop]:
    """The drops that newly arrived files make, in the order in which they are to be loaded.

    A zip is a drop. Loose files of one folder are one drop for each date in their names, so that
    packages of several days that lie side by side stay apart; the older date comes first. Files
    without a date belong to the newest.
    """
    loose = [(file, sha256) for file, sha256 in files if not is_zip(file.name)]
    zips = [(file, sha256) for file, sha256 in files if is_zip(file.name)]
    newest: defaultdict[tuple[str, str, str], str] = defaultdict(str)
    for file, _ in loose:
        newest[place(file)] = max(newest[place(file)], date_in_name(file.name))
    together: defaultdict[tuple[str, ...], list[tuple[InboxFile, str]]] = defaultdict(list)
    for file, sha256 in loose:
        dated = date_in_name(file.name) or newest[place(file)] or _NEWEST
        together[dated, *place(file), ""].append((file, sha256))
    for file, sha256 in zips:
        together[date_in_name(file.name) or _NEWEST, *place(file), file.name].append((file, sha256))
    return [
        Drop(
            id=drop_id(
                sender,
                family,
                (sha256 for _, sha256 in group),
                correction=group[0][0].correction,
            ),
            sender=sender,
            family=family,
            files=tuple(sorted(group)),
        )
        for (_, sender, family, _, _), group in sorted(together.items())
    ]


def place(file: InboxFile) -> tuple[str, str, str]:
    """Sender, family and folder: files of one place may have been delivered together."""
    return file.sender, file.family, folder_of(file)


def folder_of(file: InboxFile) -> str:
    """The path of the folder that the file lies in."""
    return str(PurePosixPath(file.path).parent)


def drop_id(sender: str, family: str, contents: Iterable[str], *, correction: bool = False) -> str:
    """The identity of a drop: 24 hexadecimal digits of a hash over sender, family and contents."""
    kind = [CORRECTIONS] if correction else []
    named = "\n".join([sender, family, *kind, *sorted(contents)])
    digest = hashlib.sha256(named.encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]
