"""The files of drops: zips unpacked, each file read by the strict reader as the feed that it is.

Belongs here: which feed a file of a drop is, and its reading. Does not belong here: what drops must
be as wholes (oneroster_sets), what lines must be (validation).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from types import MappingProxyType

from ccgi_pipeline.common.display import escape_unprintable
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.file_dates import time_in_name
from ccgi_pipeline.feeds.registry import FAMILIES, feed_by_name, feeds_of, folded_stem
from ccgi_pipeline.feeds.rules import Rule
from ccgi_pipeline.feeds.spec import FeedSpec, fold
from ccgi_pipeline.intake.batch_reader import SMALL, FileToRead, read_batch
from ccgi_pipeline.intake.contents import EMPTY, Content
from ccgi_pipeline.intake.findings import Finding, findings_frame
from ccgi_pipeline.intake.inbox import Drop, InboxFile
from ccgi_pipeline.intake.openpgp_messages import OpenedFile
from ccgi_pipeline.intake.piece_reader import (
    PIECE_BYTES,
    LargeFile,
    count_lines_in_pieces,
    read_in_pieces,
)
from ccgi_pipeline.intake.reader import Reading, count_lines, read
from ccgi_pipeline.intake.zip_files import is_zip, read_members
from ccgi_pipeline.profiles import Profiles

LARGE = 128 << 20
"""Bytes of a drop whose files are read in pieces: more than a night verifies together."""


@dataclass(frozen=True, slots=True)
class FileToVerify:
    """One file of a drop. ``number`` tells the files of one verification apart, in load order.

    ``path`` is where the sender put it, a zip's member behind its zip; ``in_folder``: the member
    lies in a folder of the zip; ``unpacked``: its bytes. ``piece``: the bytes of a piece if it is
    read in pieces; 0 if it is read whole. ``why_refused``: what the refusal says besides.
    ``told``: findings of its opening. ``content_name``: its name without the ending of its
    encryption. ``correction``: it holds some of many lines, and is no full set. ``sent_at``: the
    digits of the time in its name or folder, if any.
    """

    number: int
    drop: str
    sender: str
    family: str
    path: str
    content: Content
    refused: Rule | None = None
    piece: int = 0
    why_refused: str | None = None
    told: tuple[Finding, ...] = ()
    content_name: str = ""
    in_folder: bool = False
    unpacked: int = 0
    correction: bool = False
    sent_at: str = ""

    @property
    def name(self) -> str:
        """The name without folders."""
        return self.content_name or PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class SizeLimit:
    """How many bytes a drop may have, its zips opened, and how many may lie in memory.

    One drop that fills the disk would take the night from all others. Of a drop with more than
    ``large`` bytes, each file with more than ``piece`` is read in pieces of about so many.
    """

    bytes: float
    large: float = LARGE
    piece: int = PIECE_BYTES


NO_LIMIT = SizeLimit(math.inf)

ContentOf = Callable[[InboxFile, str], Content]
"""Returns what a received file holds, as it was sent."""
Messages = Callable[[InboxFile, str], OpenedFile | None]
"""Opens an encrypted file, or refuses it; None for a plain file that may be one."""


def no_messages(_: InboxFile, __: str) -> None:
    """Takes every file as it is."""


def files_to_verify(
    drops: Sequence[Drop],
    content_of: ContentOf,
    limit: SizeLimit = NO_LIMIT,
    messages: Messages = no_messages,
) -> list[FileToVerify]:
    """Returns the files of ``drops`` in order, zips opened.

    ``messages`` opens encrypted files, before anything else is done with them.

    Drops beyond ``limit`` are refused, and those that are so before a zip is opened are not read.
    """
    files: list[FileToVerify] = []
    for drop in drops:
        contents = [content_of(*received) for received in drop.files]
        size = sum(content.size for content in contents)
        if size > limit.bytes:
            files += [
                file_of_drop(drop, number, file.shown, refused=file_rules.TOO_LARGE)
                for number, (file, _) in enumerate(drop.files, len(files))
            ]
            continue
        theirs = _opened(drop, len(files), contents, limit, messages)
        # Lines of what is left alone are counted, which takes little.
        to_read = sum(file.unpacked for file in theirs if not _is_left_alone(file))
        if to_read > limit.bytes - size:
            theirs = [
                file_of_drop(drop, file.number, file.path, refused=file_rules.TOO_LARGE)
                for file in theirs
            ]
        elif sum(file.content.size for file in theirs) > limit.large:
            theirs = [
                replace(file, piece=limit.piece) if file.content.size > limit.piece else file
                for file in theirs
            ]
        files += theirs
    return files


def _opened(
    drop: Drop,
    first: int,
    contents: Sequence[Content],
    limit: SizeLimit,
    messages: Messages,
) -> list[FileToVerify]:
    """Returns the files of one drop, numbered from ``first``."""
    files: list[FileToVerify] = []
    for (file, sha256), received in zip(drop.files, contents, strict=True):
        message = messages(file, sha256)
        number = first + len(files)
        if message is not None and message.refused is not None:
            refused = file_of_drop(drop, number, file.shown, refused=message.refused.rule)
            files.append(replace(refused, why_refused=message.refused.detail))
            continue
        content = message.content if message else received
        if is_zip(file.content_name):
            members = _zip_members(drop, number, file, content, limit)
            if message and members:
                members[0] = replace(members[0], told=message.told)
            files += members
            continue
        opened = file_of_drop(drop, number, file.shown, content)
        files.append(
            replace(
                opened,
                content_name=file.content_name,
                unpacked=content.size if message else 0,
                told=message.told if message else (),
                correction=file.correction,
                sent_at=time_in_name(file.shown),
            )
        )
    return files


def _zip_members(
    drop: Drop, first: int, file: InboxFile, content: Content, limit: SizeLimit
) -> list[FileToVerify]:
    """Returns the files of a zip, numbered from ``first``."""
    files: list[FileToVerify] = []
    for member in read_members(file.content_name, content, limit.large):
        name = escape_unprintable(member.name)
        path = f"{file.shown}/{name}" if member.name != file.content_name else file.shown
        opened = file_of_drop(drop, first + len(files), path, member.content, member.refused)
        files.append(
            replace(
                opened,
                unpacked=member.content.size,
                in_folder=member.in_folder,
                correction=file.correction or member.correction,
                sent_at=member.sent_at or time_in_name(file.name),
            )
        )
    return files


def file_of_drop(
    drop: Drop,
    number: int,
    path: str,
    content: Content = EMPTY,
    refused: Rule | None = None,
) -> FileToVerify:
    """A file of ``drop`` under its number in the verification."""
    return FileToVerify(number, drop.id, drop.sender, drop.family, path, content, refused)


def read_files(
    files: Sequence[FileToVerify],
    profiles: Profiles,
    editions: Mapping[int, str] = MappingProxyType({}),
    progress: Callable[[str], None] = lambda _: None,
) -> dict[int, Reading]:
    """Reads ``files``, by number; ``progress`` is called with each file's name.

    ``editions``: by number the version of files whose header may show none.
    """
    readings: dict[int, Reading] = {}
    small: dict[int, FileToRead] = {}
    held = 0

    def read_small() -> None:
        nonlocal held
        readings.update(zip(small, read_batch([*small.values()]), strict=True))
        small.clear()
        held = 0

    for file in files:
        progress(file.name)
        to_read = _file_to_read(file, profiles, editions.get(file.number, ""))
        if isinstance(to_read, Reading):
            readings[file.number] = to_read
        elif len(to_read.content) > SMALL:
            readings[file.number] = read(
                to_read.content, to_read.file_name, to_read.candidates, to_read.edition
            )
        else:
            small[file.number] = to_read
            held += len(to_read.content)
            if held > _TOGETHER:
                read_small()
    read_small()
    return {file.number: readings[file.number] for file in files}


def read_file(file: FileToVerify, feed: FeedSpec) -> Reading:
    """Reads one file as a file of ``feed``."""
    if file.piece:
        return read_in_pieces(LargeFile(file.content.read_pieces, file.piece), file.name, [feed])
    return read(file.content.read(), file.name, [feed])


_TOGETHER = 32 << 20
"""Bytes of small files that are read together: many enough, and no burden to hold."""


def _file_to_read(file: FileToVerify, profiles: Profiles, edition: str) -> FileToRead | Reading:
    """Returns the arguments of the reader; the reading of a file that is large, or not read."""
    if file.refused is not None:
        refusal = findings_frame([Finding(file.refused, detail=file.why_refused)])
        return Reading(None, "", 0, None, 0, refusal)
    if _is_left_alone(file):
        if file.piece:
            return count_lines_in_pieces(file.content.read_pieces)
        return count_lines(file.content.read())
    name, candidates = file.name, feeds_of(file.family)
    named = _named_by_profile(file, profiles)
    if named is not None:
        # Without the profile, its own name means nothing, or another feed.
        name, candidates = named.stems[0], (named,)
    if file.piece:
        large = LargeFile(file.content.read_pieces, file.piece)
        return read_in_pieces(large, name, candidates, edition)
    return FileToRead(file.content.read(), name, candidates, edition)


def _is_left_alone(file: FileToVerify) -> bool:
    """Whether the file belongs to its drop, but no table or report needs it."""
    family = FAMILIES.get(file.family)
    if family is None or feed_by_name(file.name, family.feeds):
        return False
    stem = folded_stem(file.name)
    return any(stem.endswith(fold(name)) for name in family.left_alone)


def _named_by_profile(file: FileToVerify, profiles: Profiles) -> FeedSpec | None:
    """The feed whose file has this name by the sender's profile."""
    stem = fold(PurePosixPath(file.name).stem)
    names = profiles.of(file.sender).foster_focus.file_names
    for feed in feeds_of(file.family):
        name = names.get(feed.name_in_profile or "")
        if name is not None and fold(PurePosixPath(name).stem) == stem:
            return feed
    return None
