"""Receiving: what is new in the inbox, put into the archive and grouped into drops.

Belongs here: the step from a folder's listing to drops with an identity. Does not belong here:
what is in the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ccgi_pipeline.feeds.registry import DISTRICT_FEEDS
from ccgi_pipeline.intake.archive import Archive, FileStillGrowingError
from ccgi_pipeline.intake.inbox import (
    NOBODY,
    UNKNOWN_FAMILY,
    Drop,
    InboxFile,
    group_drops,
    list_inbox,
)
from ccgi_pipeline.intake.packages import is_zip
from ccgi_pipeline.intake.reader import BEGINNING, recognise


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a path of the inbox: its stamp and its content when it was last taken."""

    stamp: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Received:
    """What a look into the inbox brought.

    ``drops`` are new, in the order in which they are to be loaded. ``duplicates`` have the
    content of a drop that is known. ``touched`` are known files whose stamp changed and whose
    content did not. ``growing`` files changed while they were read: the next look takes them.
    ``strays`` lie in no sender's folder and stay there: the operator must be told.
    """

    drops: tuple[Drop, ...]
    duplicates: tuple[Drop, ...]
    touched: tuple[tuple[InboxFile, str], ...]
    growing: tuple[InboxFile, ...]
    strays: tuple[InboxFile, ...]


def receive(
    inbox: Path,
    archive: Archive,
    remembered: Mapping[str, Remembered],
    known_drops: frozenset[str],
    only: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Received:
    """Archives every file of ``inbox`` that is not remembered as it is now, and groups the new.

    ``only`` limits the look to one sender; ``progress`` hears the sender of each file taken.
    """
    archive.sweep()
    arrived: list[tuple[InboxFile, str]] = []
    touched: list[tuple[InboxFile, str]] = []
    growing: list[InboxFile] = []
    listed = list_inbox(inbox)
    strays = tuple(file for file in listed if file.sender == NOBODY)
    for file in listed:
        before = remembered.get(file.path)
        if file.sender == NOBODY or (only is not None and file.sender != only):
            continue
        if before is not None and before.stamp == file.stamp:
            continue
        try:
            sha256 = archive.store(inbox / file.path)
        except (FileStillGrowingError, FileNotFoundError):
            growing.append(file)
            continue
        progress(file.sender)
        if before is not None and before.sha256 == sha256:
            touched.append((file, sha256))
        else:
            arrived.append((_with_family(file, archive.path(sha256)), sha256))
    drops, duplicates = _sorted_out(arrived, known_drops)
    return Received(drops, duplicates, tuple(touched), tuple(growing), strays)


def _with_family(file: InboxFile, content: Path) -> InboxFile:
    """A file in no family's folder and with no known name may still have a known header."""
    if file.family != UNKNOWN_FAMILY or is_zip(file.name):
        return file
    with content.open("rb") as archived:
        feed = recognise(archived.read(BEGINNING), file.name, DISTRICT_FEEDS)
    return file if feed is None else replace(file, family=feed.family)


def _sorted_out(
    arrived: list[tuple[InboxFile, str]], known_drops: frozenset[str]
) -> tuple[tuple[Drop, ...], tuple[Drop, ...]]:
    """New drops apart from those that are known, or that came twice in this very look."""
    drops: dict[str, Drop] = {}
    duplicates: list[Drop] = []
    for drop in group_drops(arrived):
        if drop.id in known_drops or drop.id in drops:
            duplicates.append(drop)
        else:
            drops[drop.id] = drop
    return tuple(drops.values()), tuple(duplicates)
