"""The lock of a warehouse folder, which one process holds at a time.

Belongs here: the lock file and the error of a busy warehouse. Does not belong here: who must hold
which lock (writers), locks in a catalog database (postgres).
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccgi_pipeline.common.errors import TransientError

LOCK_FILE = "writer.lock"
"""The lock file in a warehouse's folder; the writing process holds it."""


class WarehouseBusyError(TransientError):
    """Another process is writing to the warehouse: try again when it has ended."""


def busy_error(folder: Path) -> WarehouseBusyError:
    """Returns the error that another process writes to the warehouse in ``folder``."""
    msg = f"another night is writing to {folder}; try again when it has ended"
    return WarehouseBusyError(msg)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder; takes no other lock. Raises WarehouseBusyError."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy_error(folder) from None
        yield
