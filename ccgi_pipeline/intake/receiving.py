"""Receiving: what is new in the inbox, put into the archive and grouped into drops.

Belongs here: the step from a folder's listing to drops with an identity. Does not belong here:
what is in the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ccgi_pipeline.intake.archive import Archive, FileStillGrowingError
from ccgi_pipeline.intake.inbox import (
    NOBODY,
    UNKNOWN_FAMILY,
    Drop,
    InboxFile,
    group_drops,
    list_inbox,
)
from ccgi_pipeline.intake.recognising import family_of


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is known of a path of the inbox: its stamp and its content when it was last taken."""

    stamp: str
    sha256: str


@dataclass(frozen=True, slots=True)
class DropHistory:
    """The drops that are done with, and each sender's newest of a family (by sender and family)."""

    drops: frozenset[str] = frozenset()
    newest: Mapping[tuple[str, str], str] = field(default_factory=dict)


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
    history: DropHistory,
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
        before = remembered.get(file.shown)
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
    drops, duplicates = _sorted_out(arrived, history)
    return Received(drops, duplicates, tuple(touched), tuple(growing), strays)


def anything_new(inbox: Path, remembered: Mapping[str, Remembered]) -> bool:
    """Whether some sender's file is not remembered as it is now."""
    return any(
        (before := remembered.get(file.shown)) is None or before.stamp != file.stamp
        for file in list_inbox(inbox)
        if file.sender != NOBODY
    )


def _with_family(file: InboxFile, content: Path) -> InboxFile:
    """A file in no family's folder and with no known name may still have a known header."""
    if file.family != UNKNOWN_FAMILY:
        return file
    return replace(file, family=family_of(content, file.name, file.sender))


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
