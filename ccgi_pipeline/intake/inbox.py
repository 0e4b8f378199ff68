"""Lists an inbox and groups its files into drops by sender, family, folder and date.

Belongs here: the folder's layout (``inbox/<CD code>/<family>/...``) and the identity of a drop. All
functions except the listing are pure. Does not belong here: what the files hold.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ccgi_pipeline.common.display import escape_unprintable
from ccgi_pipeline.feeds.file_dates import date_in_name
from ccgi_pipeline.feeds.registry import (
    DISTRICT_FAMILIES,
    DISTRICT_FEEDS,
    STATEWIDE_SENDERS,
    feed_by_name,
)
from ccgi_pipeline.intake.file_names import (
    is_checksums,
    is_litter,
    is_marker,
    is_unfinished,
    is_unfinished_folder,
    strip_openpgp_ending,
)
from ccgi_pipeline.intake.listed_files import make_stamp
from ccgi_pipeline.intake.zip_files import CORRECTIONS, is_in_corrections, is_zip

UNKNOWN_FAMILY = "unknown"
"""The family of files that belong to no known family; their sender gets a receipt all the same."""

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
        """The path as text: bytes and characters that a screen cannot show are shown as numbers.

        Two names are never shown alike, because files are remembered by it.
        """
        name = self.path.encode(errors="surrogateescape")
        return escape_unprintable(name.decode(errors="backslashreplace"))

    @property
    def size(self) -> int:
        """The number of bytes when it was listed; 0 if it was gone."""
        size = self.stamp.partition("-")[0]
        return int(size) if size.isdecimal() else 0

    @property
    def undated(self) -> bool:
        """Whether its server tells no time: another content of the same length looks the same."""
        return self.stamp.endswith("-")

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return PurePosixPath(self.path).name

    @property
    def content_name(self) -> str:
        """The name of what the file holds: without the ending of its encryption."""
        return strip_openpgp_ending(self.name)

    @property
    def correction(self) -> bool:
        """Whether the file holds corrected lines only, so that it is no full set."""
        return is_in_corrections(self.path)


@dataclass(frozen=True, slots=True)
class Drop:
    """Files of one family that one sender delivered together.

    ``id`` depends on sender, family and content alone: the same bytes are the same drop under any
    name. (A full set and a correction with the same lines are different drops.)
    """

    id: str
    sender: str
    family: str
    files: tuple[tuple[InboxFile, str], ...]
    """Each file with the SHA-256 of its content."""
    position: int | None = None
    """Its position in the order of loading; None until it has one."""

    @property
    def correction(self) -> bool:
        """Whether the drop lies in a folder for corrections. All its files share one folder."""
        return any(file.correction for file, _ in self.files)


def is_cd_code(text: str) -> bool:
    """Returns whether ``text`` has the form of a district's CD code."""
    return _CD_CODE.fullmatch(text) is not None


DEPTH_LIMIT = 32
"""How many folders may lie within each other below an inbox; packages have three or four."""
_GONE = "gone"
"""The stamp of a file that disappeared during the scan. It may have been renamed to its final name
after that name was listed, so it stays in the listing and its folder waits for the next scan."""
NO_SENDER = ""
"""The sender of files that lie in no sender's folder: nobody gets a receipt for them."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of an inbox, each kind sorted by path.

    ``files`` have their final names. ``unfinished`` have a partial name: they are being written, or
    the upload broke off. ``checksums`` are lists of SHA-256 that prove whether other files are
    complete. ``locked`` has the sender of each folder that the pipeline may not read, ``faulty``
    that of each folder that lies too deep or whose path is too long.
    """

    files: tuple[InboxFile, ...] = ()
    unfinished: tuple[InboxFile, ...] = ()
    checksums: tuple[InboxFile, ...] = ()
    locked: tuple[str, ...] = ()
    faulty: tuple[str, ...] = ()


def sorted_listing(
    found: Iterable[InboxFile], locked: Iterable[str] = (), faulty: Iterable[str] = ()
) -> Listing:
    """Sorts files into a listing by their names; the others are senders of unreadable folders."""
    files, unfinished, checksums = [], [], []
    folders: dict[str, tuple[bool, bool]] = {}  # a state has many files in few folders
    for file in sorted(found):
        folder, _, name = file.path.rpartition("/")
        if folder not in folders:
            parts = folder.split("/") if folder else []
            folders[folder] = any(map(is_litter, parts)), any(map(is_unfinished_folder, parts))
        in_litter, in_unfinished = folders[folder]
        if in_litter or is_litter(name) or is_marker(name):
            continue
        if in_unfinished or is_unfinished(name):
            unfinished.append(file)
        elif is_checksums(name):
            checksums.append(file)
        else:
            files.append(file)
    return Listing(
        tuple(files),
        tuple(unfinished),
        tuple(checksums),
        tuple(sorted(locked)),
        tuple(sorted(faulty)),
    )


def scan_folder(inbox: Path) -> Listing:
    """Lists the files below ``inbox``. Links are not followed."""
    locked: list[str] = []
    faulty: list[str] = []
    files = [*_walk(inbox, locked, faulty)]
    return sorted_listing(files, locked, faulty)


def list_inbox(inbox: Path) -> list[InboxFile]:
    """Returns every file below ``inbox`` that has its final name, sorted by path."""
    return list(scan_folder(inbox).files)


def _walk(inbox: Path, locked: list[str], faulty: list[str]) -> Iterator[InboxFile]:
    """Yields the files below ``inbox``, folder by folder.

    ``locked`` gets the sender of each folder that may not be read, ``faulty`` that of each folder
    that cannot be read for another reason: a sender's folder never ends the scan of the others.
    """
    root = str(inbox)  # texts: a state has tens of thousands of files
    beginning = len(f"{root.rstrip(os.sep)}{os.sep}")
    waiting = [(root, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if is_unfinished_folder(entry.name):
                            continue
                        if depth < DEPTH_LIMIT:
                            waiting.append((entry.path, depth + 1))
                        else:
                            faulty.append(sender_of(folder[beginning:].replace(os.sep, "/")))
                    elif entry.is_file(follow_symlinks=False):
                        path = entry.path[beginning:].replace(os.sep, "/")
                        yield InboxFile(path, *sender_and_family(path), _stamp_of(entry))
        except (FileNotFoundError, NotADirectoryError):
            continue  # nobody has sent anything yet, or the folder was removed during the scan
        except PermissionError:
            locked.append(sender_of(folder[beginning:].replace(os.sep, "/")))
        except OSError:
            faulty.append(sender_of(folder[beginning:].replace(os.sep, "/")))


def _stamp_of(entry: os.DirEntry[str]) -> str:
    try:
        return make_stamp(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return _GONE


def sender_of(folder: str) -> str:
    """Returns the sender of a folder; NO_SENDER if it lies in no sender's folder."""
    return sender_and_family(f"{folder}/file")[0]


def sender_and_family(path: str) -> tuple[str, str]:
    """Returns sender and family of a path; NO_SENDER if it lies in no sender's folder."""
    parts = path.split("/")
    sender = parts[0]
    if len(parts) > 1 and sender in STATEWIDE_SENDERS:
        return sender, STATEWIDE_SENDERS[sender]
    if len(parts) == 1 or not is_cd_code(sender):
        return NO_SENDER, UNKNOWN_FAMILY
    for part in parts[1:-1]:
        if part.lower() in DISTRICT_FAMILIES:
            return sender, part.lower()
    named = feed_by_name(strip_openpgp_ending(parts[-1]), DISTRICT_FEEDS)
    return sender, named.family if named else UNKNOWN_FAMILY


_NEWEST = "99999999"
"""The date of files without one in their names: they are the newest."""


def group_drops(files: Sequence[tuple[InboxFile, str]]) -> list[Drop]:
    """Groups newly arrived files into drops, in the order in which they are loaded.

    A zip is a drop. Loose files of one folder are one drop for each date in their names, so that
    packages of several days stay apart; the older date comes first. Files without a date belong to
    the newest.
    """
    loose = [(file, sha256) for file, sha256 in files if not is_zip(file.content_name)]
    zips = [(file, sha256) for file, sha256 in files if is_zip(file.content_name)]
    newest: defaultdict[tuple[str, str, str], str] = defaultdict(str)
    for file, _ in loose:
        newest[delivery_place(file)] = max(
            newest[delivery_place(file)], date_in_name(_below_sender(file))
        )
    groups: defaultdict[tuple[str, ...], list[tuple[InboxFile, str]]] = defaultdict(list)
    for file, sha256 in loose:
        dated = date_in_name(_below_sender(file)) or newest[delivery_place(file)] or _NEWEST
        groups[dated, *delivery_place(file), ""].append((file, sha256))
    for file, sha256 in zips:
        groups[
            date_in_name(_below_sender(file)) or _NEWEST, *delivery_place(file), file.name
        ].append((file, sha256))
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
        for (_, sender, family, _, _), group in sorted(groups.items())
    ]


def _below_sender(file: InboxFile) -> str:
    """Returns the path below the sender's folder, in whose names a date may stand."""
    return file.path.rpartition(f"{file.sender}/")[2] if file.sender else file.name


def delivery_place(file: InboxFile) -> tuple[str, str, str]:
    """Returns sender, family and folder: files that share them may have been sent together."""
    return file.sender, file.family, folder_of(file)


def folder_of(file: InboxFile) -> str:
    """Returns the path of the folder that holds the file."""
    return str(PurePosixPath(file.path).parent)


def drop_id(sender: str, family: str, contents: Iterable[str], *, correction: bool = False) -> str:
    """Returns a drop's id: 24 hexadecimal digits of a hash over sender, family and contents."""
    kind = [CORRECTIONS] if correction else []
    named = "\n".join([sender, family, *kind, *sorted(contents)])
    digest = hashlib.sha256(named.encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]
