"""Encrypted folders for the tests of several rooms, and the search for what should not be found.

Belongs here: setting a key for a while, files in which each personal cell is a word that occurs
nowhere else, and looking through every byte below a folder for these words.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccgi_pipeline.encryption.keys import KEY, KEY_FILE
from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline_tests.files import Line, as_bytes, good_lines, pattern_of, sender_of, usual_name
from ccgi_pipeline_tests.nightly.inboxes import put

_WORD, _DIGITS = "Canary", "753100"
CANARIES = tuple(
    word.encode(encoding) for word in (_WORD, _DIGITS) for encoding in ("utf-8", "utf-16-le")
)
"""Long enough that encrypted bytes hold none of them by chance."""


@contextmanager
def key_set(key: str | None) -> Iterator[None]:
    """Has the environment name ``key``, or none."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv(KEY, raising=False)
        environment.delenv(KEY_FILE, raising=False)
        if key is not None:
            environment.setenv(KEY, key)
        yield


def files_with_canaries(folder: Path) -> set[str]:
    """The files below ``folder`` that hold a canary as it is, by relative path."""
    found = set()
    for path in folder.rglob("*"):
        if path.is_file():
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # a night is at work, and took it away
            if any(canary in content for canary in CANARIES):
                found.add(path.relative_to(folder).as_posix())
    return found


def lines_of_canaries(feed: FeedSpec, count: int) -> list[Line]:
    """Good lines of ``feed`` in which every personal cell that may be any text is a canary."""
    return [
        {name: _cell(feed, name, cell, number) for name, cell in line.items()}
        for number, line in enumerate(good_lines(feed, count, sender_of(feed.family)))
    ]


def _cell(feed: FeedSpec, name: str, cell: str, number: int) -> str:
    column = feed.columns[name]
    if column.type is not ColumnType.STRING or column.codes is not None or not cell:
        return cell
    if cell.isdigit() and len(cell) == 10:  # the same number in every file is the same student
        return _DIGITS + cell[len(_DIGITS) :]
    free = (column.pii or column.restricted) and pattern_of(feed, name) is None
    short = (column.length or 99) < len(f"{_WORD}{number}")
    return cell if not free or short or cell.isdigit() else f"{_WORD}{number}"


def put_canaries(inbox: Path, count: int = 6) -> None:
    """A file of every feed, each with ``count`` lines of canaries; one of them is in UTF-16."""
    for family, spec in FAMILIES.items():
        for feed in spec.feeds:
            content = as_bytes(feed, lines_of_canaries(feed, count))
            if feed.name == "platform_goals":
                content = content.decode().encode("utf-16")
            put(inbox, f"{sender_of(family)}/{family}/{usual_name(feed)}", content)
