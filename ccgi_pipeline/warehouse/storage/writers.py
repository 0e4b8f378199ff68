"""The one writer of a warehouse, and the catalog that readers open meanwhile.

Belongs here: who may write, and keeping the readers' copy current. Does not belong here: the locks
themselves (locks, postgres).

While one process has an encrypted catalog open for writing, no other process can read it. So
readers open a copy of it, which each writer replaces when it has finished.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.keys import load_keys
from ccgi_pipeline.warehouse.storage import checksums, postgres
from ccgi_pipeline.warehouse.storage.location import ENCRYPTED_CATALOG, locate_warehouse
from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError, busy_error, folder_lock

READER_CATALOG = "catalog.readers.duckdb"
"""The copy of an encrypted warehouse's catalog that readers open."""


@contextmanager
def exclusive_writer(folder: Path) -> Iterator[None]:
    """Holds the warehouse's lock, alone; the lock ends with the process, however that ends.

    At the end it refreshes the readers' copy of an encrypted catalog, and notes what the catalog
    is: every connection must be closed by then. Raises WarehouseBusyError if another process holds
    the lock, EncryptionKeyError before anything is touched, and CatalogDamagedError if the catalog
    is not as the last writer left it.
    """
    where = locate_warehouse(folder)
    load_keys(folder, make=True)
    if where.server is not None:
        with postgres.writer_lock(where.server, busy_error(folder)):
            yield
        return
    with folder_lock(folder):
        checksums.begin_writing(folder)
        refresh_reader_copy(folder)
        try:
            yield
        finally:
            # A failed night may have left the catalog open; the next reader refreshes the copy.
            with suppress(WarehouseBusyError):
                refresh_reader_copy(folder)
            checksums.end_writing(folder)


def reader_catalog(folder: Path) -> Path:
    """Returns the copy of an encrypted warehouse's catalog that can be read while a night writes.

    It has the state after the last writer that ended. If that writer was killed, its log is
    replayed first. Raises WarehouseBusyError while the first writer is still at work.
    """
    if not _is_copy_current(folder):
        with suppress(WarehouseBusyError, PermissionError), exclusive_writer(folder):
            pass  # that makes it current
    copy = folder / READER_CATALOG
    if not copy.exists():
        msg = f"the first night is writing to {folder}; try again when it has ended"
        raise WarehouseBusyError(msg)
    return copy


def _is_copy_current(folder: Path) -> bool:
    """Returns whether readers have the newest catalog; a killed writer leaves a log beside it."""
    catalog, copy = folder / ENCRYPTED_CATALOG, folder / READER_CATALOG
    if not catalog.exists():
        return True
    if not copy.exists() or Path(f"{catalog}.wal").exists():
        return False
    newest, read = catalog.stat(), copy.stat()
    return (newest.st_size, newest.st_mtime_ns) == (read.st_size, read.st_mtime_ns)


def refresh_reader_copy(folder: Path) -> None:
    """Copies the newest catalog for readers; only for the exclusive writer, with no connection."""
    if _is_copy_current(folder):
        return
    catalog = folder / ENCRYPTED_CATALOG
    if Path(f"{catalog}.wal").exists():
        from ccgi_pipeline.warehouse.storage.connection import (  # noqa: PLC0415 - it imports this
            open_warehouse,
        )

        open_warehouse(folder).close()  # replays the log
    part = folder / f"{READER_CATALOG}.part"
    shutil.copy2(catalog, part)
    with part.open("rb") as copied:
        os.fsync(copied.fileno())
    with failpoint("warehouse: shown to readers"):
        part.replace(folder / READER_CATALOG)
