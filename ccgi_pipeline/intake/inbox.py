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
from ccgi_pipeline.intake.packages import is_zip

UNKNOWN_FAMILY = "unknown"
"""The family of files that lie where no family is; they are answered all the same."""

_PARTIAL = re.compile(r"(?i)(\.part|\.filepart|\.tmp|\.crdownload|~)$|^\.|^~\$")
"""Names that WinSCP, FileZilla, lftp, browsers and editors give to what is not finished."""
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


@dataclass(frozen=True, slots=True)
class Drop:
    """Files of one family that one sender delivered together.

    ``id`` follows from sender, family and content alone: the same bytes are the same drop under
    any name.
    """

    id: str
    sender: str
    family: str
    files: tuple[tuple[InboxFile, str], ...]
    """Each file with the SHA-256 of its content."""


def is_cd_code(text: str) -> bool:
    """Whether ``text`` has the form of a district's CD code."""
    return _CD_CODE.fullmatch(text) is not None


def passed_over(name: str) -> bool:
    """Whether a file or folder of this name is not, or not yet, one that somebody sent."""
    return _PARTIAL.search(name) is not None


NOBODY = ""
"""The sender of files that lie in no sender's folder: nobody can be answered for them."""


def list_inbox(inbox: Path) -> list[InboxFile]:
    """Every whole file below ``inbox``, sorted by path.

    Links are not followed, partial names are passed over.
    """
    return sorted(_walk(inbox, inbox))


def _walk(folder: Path, inbox: Path) -> Iterator[InboxFile]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if passed_over(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(Path(entry.path), inbox)
            elif entry.is_file(follow_symlinks=False):
                path = Path(entry.path).relative_to(inbox).as_posix()
                facts = entry.stat(follow_symlinks=False)
                stamp = f"{facts.st_size}-{facts.st_mtime_ns}-{facts.st_ctime_ns}-{facts.st_ino}"
                yield InboxFile(path, *owner_of(path), stamp)


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
        newest[_place(file)] = max(newest[_place(file)], date_in_name(file.name))
    together: defaultdict[tuple[str, ...], list[tuple[InboxFile, str]]] = defaultdict(list)
    for file, sha256 in loose:
        dated = date_in_name(file.name) or newest[_place(file)] or _NEWEST
        together[dated, *_place(file), ""].append((file, sha256))
    for file, sha256 in zips:
        together[date_in_name(file.name) or _NEWEST, *_place(file), file.name].append(
            (file, sha256)
        )
    return [
        Drop(
            id=drop_id(sender, family, (sha256 for _, sha256 in group)),
            sender=sender,
            family=family,
            files=tuple(sorted(group)),
        )
        for (_, sender, family, _, _), group in sorted(together.items())
    ]


def _place(file: InboxFile) -> tuple[str, str, str]:
    return file.sender, file.family, str(PurePosixPath(file.path).parent)


def drop_id(sender: str, family: str, contents: Iterable[str]) -> str:
    """The identity of a drop: 24 hexadecimal digits of a hash over sender, family and contents."""
    named = "\n".join([sender, family, *sorted(contents)])
    digest = hashlib.sha256(named.encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]
