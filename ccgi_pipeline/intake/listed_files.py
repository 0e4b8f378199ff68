"""Opens a file of an inbox as it was listed, whatever its sender has put in its place since.

Belongs here: opening without following a link and without waiting. A sender may put a link or a
named pipe in the place of a file after it was listed: a link would lead to any file that the
pipeline's account can read, and a pipe would never end. Does not belong here: listing (inbox).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ccgi_pipeline.common.errors import PermanentError, TransientError


class FileStillGrowingError(TransientError):
    """The file changed while it was read: the next scan takes it."""


class FileNotReadableError(PermanentError):
    """The pipeline's account may not read the file: its owner must grant the right."""


def make_stamp(facts: os.stat_result) -> str:
    """Returns a text that changes whenever the file may have changed."""
    return f"{facts.st_size}-{facts.st_mtime_ns}-{facts.st_ctime_ns}-{facts.st_ino}"


@contextmanager
def open_listed_file(root: Path, path: str, stamp: str | None = None) -> Iterator[BinaryIO]:
    """Opens the regular file at ``path`` below ``root``; no part of ``path`` may be a link.

    ``stamp``: what the file was like when it was listed. Raises FileStillGrowingError if it is
    another file now, no regular one, or changes until it is closed, FileNotReadableError if this
    account may not read it, and FileNotFoundError.
    """
    opened = _open_below(root, PurePosixPath(path).parts)
    before = os.fstat(opened)
    if not stat.S_ISREG(before.st_mode) or stamp not in {None, make_stamp(before)}:
        os.close(opened)
        raise _changed()
    with os.fdopen(opened, "rb") as file:
        yield file
        if make_stamp(os.fstat(file.fileno())) != make_stamp(before):
            raise _changed()


def _open_below(root: Path, parts: tuple[str, ...]) -> int:
    """Opens each folder below the one before, so that nobody can exchange one on the way."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = _open_part(part, os.O_DIRECTORY, folder)
            os.close(folder)
            folder = below
        return _open_part(parts[-1], os.O_NONBLOCK, folder)
    finally:
        os.close(folder)


def _open_part(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except PermissionError:
        msg = "the account that runs the pipeline may not read the file"
        raise FileNotReadableError(msg) from None
    except OSError:  # a link, a socket, or a folder that is none any more
        raise _changed() from None


def _changed() -> FileStillGrowingError:
    msg = "the file changed while it was read"
    return FileStillGrowingError(msg)
