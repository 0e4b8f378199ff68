"""The lock of a warehouse folder, which one process holds at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccgi_pipeline.common.errors import TransientError

LOCK_FILE = "writer.lock"
"""The lock of who writes, in a warehouse's folder."""


class WarehouseBusyError(TransientError):
    """Another night is writing: try again when it has ended."""


def busy_error(folder: Path) -> WarehouseBusyError:
    """The error that another one writes to the warehouse."""
    msg = f"another night is writing to {folder}; try again when it has ended"
    return WarehouseBusyError(msg)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder, and does nothing else. Raises WarehouseBusyError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy_error(folder) from None
        yield
