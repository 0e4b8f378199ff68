"""Files and folders that go while somebody looks, as they do where others are at work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest


class _Listed(Iterator[os.DirEntry[str]]):
    """What ``os.scandir`` gave, all of it read."""

    def __init__(self, entries: Iterable[os.DirEntry[str]]) -> None:
        self._entries = iter([*entries])

    def __next__(self) -> os.DirEntry[str]:
        return next(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        pass


@contextmanager
def once_listed(folder: Path, take_away: Callable[[], None]) -> Iterator[None]:
    """Has ``take_away`` called when somebody has just listed ``folder``."""
    scandir = os.scandir

    def listing(at: str | Path | int) -> _Listed:
        with scandir(at) as entries:
            listed = _Listed(entries)
        if at in {folder, str(folder)}:
            take_away()
        return listed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", listing)
        yield
