"""Reads the members of a zip safely; a file that is no zip is its own only member.

Belongs here: what may be read from a zip, and the limits. Nothing is extracted to disk, so a
member's name cannot lead out of a folder; a member whose name tries to is refused all the same.
"""

from __future__ import annotations

import io
import lzma
import re
import stat
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.rules import Rule

MEMBER_LIMIT = 200
"""A full OneRoster set with gradebook has under 40 files."""
SIZE_LIMIT = 2 << 30
"""Bytes that one zip may unpack to: twice the largest district's package."""
RATIO_LIMIT = 200
"""Real CSV shrinks to a fifth or a thirtieth, zeros to a thousandth."""
_RATIO_FROM = 16 << 20
"""Below this size the ratio is not checked, because a small file cannot exhaust the memory."""
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
)
"""What the standard library raises for damaged zips, found by damaging them."""
_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
"""Files that operating systems add to zips."""


CORRECTIONS = "corrections"
"""The folder for files that hold only corrected lines."""


def is_in_corrections(path: str) -> bool:
    """Returns whether a file lies in a folder for corrections, at any depth and in any case."""
    # A colon ends the name of the server that the path is on.
    return any(folder.lower() == CORRECTIONS for folder in re.split("[/:]", path)[:-1])


@dataclass(frozen=True, slots=True)
class Member:
    """One file to read: its name without folders, and its bytes or the rule that refuses it.

    ``in_folder``: it lies in a folder of its zip. ``correction``: in a folder for corrections.
    """

    name: str
    content: bytes = field(repr=False, default=b"")
    refused: Rule | None = None
    in_folder: bool = False
    correction: bool = False


def is_zip(file_name: str) -> bool:
    """Returns whether a file is opened as a zip."""
    return file_name.lower().endswith(".zip")


def read_members(file_name: str, content: bytes) -> list[Member]:
    """Returns the members of a received file, in the order of the zip."""
    if not is_zip(file_name):
        return [Member(file_name, content)]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as package:
            return _zip_members(file_name, package)
    except _BROKEN:
        return [Member(file_name, refused=file_rules.ZIP_BROKEN)]


def _zip_members(file_name: str, package: zipfile.ZipFile) -> list[Member]:
    entries = [
        entry
        for entry in package.infolist()
        if not _is_folder(entry) and not set(PurePosixPath(entry.filename).parts) & set(_LITTER)
    ]
    if len(entries) > MEMBER_LIMIT or sum(entry.file_size for entry in entries) > SIZE_LIMIT:
        return [Member(file_name, refused=file_rules.ZIP_TOO_LARGE)]
    if not entries:
        return [Member(file_name, refused=file_rules.EMPTY)]
    return [_zip_member(package, entry) for entry in entries]


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.endswith("/")


def _zip_member(package: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Member:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    refused: Rule | None = None
    leads_out = path.is_absolute() or ".." in path.parts or ":" in entry.filename
    if leads_out or not path.name or stat.S_ISLNK(entry.external_attr >> 16):
        refused = file_rules.ZIP_NAME
    elif path.suffix.lower() == ".zip":
        refused = file_rules.ZIP_NESTED
    elif entry.flag_bits & 1:
        refused = file_rules.ZIP_ENCRYPTED
    if refused is None:
        content = _unpack(package, entry)
        if content is None:
            refused = file_rules.ZIP_TOO_LARGE
        elif content.startswith(b"PK\x03\x04"):
            refused = file_rules.ZIP_NESTED
        else:
            return Member(
                path.name,
                content,
                in_folder=len(path.parts) > 1,
                correction=is_in_corrections(path.as_posix()),
            )
    return Member(path.name, refused=refused)


def _unpack(package: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes | None:
    """Returns the entry's bytes, or None as soon as there are too many for its packed size.

    The sizes in a zip's directory may be false, so the unpacked bytes are counted.
    """
    limit = max(_RATIO_FROM, entry.compress_size * RATIO_LIMIT)
    unpacked = io.BytesIO()
    with package.open(entry) as packed:
        while chunk := packed.read(_CHUNK):
            unpacked.write(chunk)
            if unpacked.tell() > min(limit, SIZE_LIMIT):
                return None
    return unpacked.getvalue()
