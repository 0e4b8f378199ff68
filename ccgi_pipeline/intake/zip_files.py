"""Reads the members of a zip safely; a file that is no zip is its own only member.

Belongs here: what may be read from a zip, and the limits. Nothing is extracted to disk, so a
member's name cannot lead out of a folder; a member whose name tries to is refused all the same.
"""

from __future__ import annotations

import errno
import io
import lzma
import math
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.file_dates import time_in_name
from ccgi_pipeline.feeds.rules import Rule
from ccgi_pipeline.intake.contents import EMPTY, Content
from ccgi_pipeline.intake.file_names import is_litter

MEMBER_LIMIT = 200
"""A full OneRoster set with gradebook has under 40 files."""
SIZE_LIMIT = 2 << 30
"""Bytes that one zip may unpack to: twice the largest district's package."""
RATIO_LIMIT = 200
"""Real CSV shrinks to a fifth or a thirtieth, zeros to a thousandth."""
RATIO_FROM = 16 << 20
"""Below this size, of a member or of the whole zip, the ratio is not checked, because so few bytes
cannot exhaust the memory."""
_CHUNK = 1 << 20
_BROKEN = (
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    IndexError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""What the standard library raises for damaged zips, found by damaging them."""
_OF_ZIPS = (None, errno.EINVAL)
"""Numbers of an OSError about a damaged zip: it names a place that no file has."""
CORRECTIONS = "corrections"
"""The folder for files that hold only corrected lines."""


def is_in_corrections(path: str) -> bool:
    """Returns whether a file lies in a folder for corrections, at any depth and in any case."""
    # A colon ends the name of the server that the path is on.
    return any(folder.lower() == CORRECTIONS for folder in re.split("[/:]", path)[:-1])


@dataclass(frozen=True, slots=True)
class Member:
    """One file to read: its name without folders, and its content or the rule that refuses it.

    ``in_folder``: it lies in a folder of its zip. ``correction``: in a folder for corrections.
    ``sent_at``: the digits of the time in its name or folder, if any.
    """

    name: str
    content: Content = EMPTY
    refused: Rule | None = None
    in_folder: bool = False
    correction: bool = False
    sent_at: str = ""


def is_zip(file_name: str) -> bool:
    """Returns whether a file is opened as a zip."""
    return file_name.lower().endswith(".zip")


def read_members(file_name: str, content: Content, most: float = math.inf) -> list[Member]:
    """Returns the members of a received file, in the order of the zip.

    Of a zip that unpacks to more than ``most`` bytes, no member is held in memory: each is unpacked
    again whenever it is read.
    """
    if not is_zip(file_name):
        return [Member(file_name, content)]
    with content.open() as packed:
        try:
            with zipfile.ZipFile(packed) as package:
                if _has_overlaps(packed, package.infolist()):
                    return [Member(file_name, refused=file_rules.ZIP_BROKEN)]
                return _zip_members(file_name, package, content, most)
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno not in _OF_ZIPS:
                raise  # the machine's fault, not the zip's
            return [Member(file_name, refused=file_rules.ZIP_BROKEN)]


_LOCAL_HEADER = struct.Struct("<4s22xHH")
"""An entry's header in front of its bytes: signature, then the lengths of its name and extra."""


def _has_overlaps(packed: BinaryIO, entries: Sequence[zipfile.ZipInfo]) -> bool:
    """Returns whether two entries share packed bytes, so that a small zip unpacks to any size."""
    ended = 0
    for start, size in sorted((entry.header_offset, entry.compress_size) for entry in entries):
        if start < ended:
            return True
        packed.seek(start)
        _, name, extra = _LOCAL_HEADER.unpack(packed.read(_LOCAL_HEADER.size))
        ended = start + _LOCAL_HEADER.size + name + extra + size
    return False


def _zip_members(
    file_name: str, package: zipfile.ZipFile, content: Content, most: float
) -> list[Member]:
    entries = [
        entry
        for entry in package.infolist()
        if not _is_folder(entry) and not any(map(is_litter, _path(entry).parts))
    ]
    room = min(SIZE_LIMIT, max(RATIO_FROM, content.size * RATIO_LIMIT))
    claimed = [entry.file_size for entry in entries if entry.file_size <= _limit_of(entry)]
    if len(entries) > MEMBER_LIMIT or sum(claimed) > room:
        return [Member(file_name, refused=file_rules.ZIP_TOO_LARGE)]
    if not entries:
        return [Member(file_name, refused=file_rules.EMPTY)]
    whole = content if sum(claimed) > most else None
    members = []
    for entry in entries:
        members.append(_zip_member(package, entry, room, whole))
        room -= members[-1].content.size
    return members


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    # Compress-Archive of PowerShell writes folders with a backslash.
    return entry.filename.endswith(("/", "\\"))


def _path(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))


def _zip_member(
    package: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int, read_again: Content | None
) -> Member:
    """Returns one member; if ``read_again`` is given, it is unpacked from there when it is read."""
    path = _path(entry)
    refused: Rule | None = None
    leads_out = path.is_absolute() or ".." in path.parts or ":" in entry.filename
    if leads_out or not path.name or stat.S_ISLNK(entry.external_attr >> 16):
        refused = file_rules.ZIP_NAME
    elif path.suffix.lower() == ".zip":
        refused = file_rules.ZIP_NESTED
    elif entry.flag_bits & 1:
        refused = file_rules.ZIP_ENCRYPTED
    if refused is None:
        content = _unpack(package, entry, room, read_again)
        if content is None:
            refused = file_rules.ZIP_TOO_LARGE
        elif content.read_start(len(_ZIP_BEGINNING)) == _ZIP_BEGINNING:
            refused = file_rules.ZIP_NESTED
        else:
            return Member(
                path.name,
                content,
                in_folder=len(path.parts) > 1,
                correction=is_in_corrections(path.as_posix()),
                sent_at=time_in_name(path.as_posix()),
            )
    return Member(path.name, refused=refused)


def _limit_of(entry: zipfile.ZipInfo) -> int:
    """Returns how many bytes an entry may unpack to, by its packed size."""
    return min(SIZE_LIMIT, max(RATIO_FROM, entry.compress_size * RATIO_LIMIT))


_ZIP_BEGINNING = b"PK\x03\x04"


def _unpack(
    package: zipfile.ZipFile, entry: zipfile.ZipInfo, room: int, read_again: Content | None
) -> Content | None:
    """Returns the entry's content, or None as soon as there is too much for its packed size.

    ``room``: how many bytes the other entries have left to it.

    The sizes in a zip's directory may be false, so the unpacked bytes are counted.
    """
    limit = min(_limit_of(entry), room)
    if entry.file_size > limit:
        return None
    unpacked = io.BytesIO()
    size = 0
    for chunk in _read_entry(package, entry):
        size += len(chunk)
        if size > limit:
            return None
        if read_again is None:
            unpacked.write(chunk)
    if read_again is None:
        return Content.of_bytes(unpacked.getvalue())
    return Content.of_pieces(size, partial(_unpack_again, read_again, entry))


def _read_entry(package: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    with package.open(entry) as packed:
        while chunk := packed.read(_CHUNK):  # never more at once, whatever the entry claims
            yield chunk


def _unpack_again(content: Content, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yields the bytes of an entry that was found sound."""
    with content.open() as packed, zipfile.ZipFile(packed) as package:
        yield from _read_entry(package, entry)
