"""Whether the catalog of a warehouse can be read, and what is wrong if it cannot.

Belongs here: looking at a catalog without writing. Does not belong here: whether the rows are sound
(queries.health).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb

from ccgi_pipeline.common.errors import (
    PermanentError,
    PipelineError,
    TransientError,
    catalog_damaged_error,
    to_pipeline_error,
)
from ccgi_pipeline.warehouse.storage.connection import (
    CATALOG_GONE,
    CATALOG_UNREADABLE,
    is_catalog_gone,
    open_warehouse,
)
from ccgi_pipeline.warehouse.storage.location import (
    CATALOG,
    ENCRYPTED_CATALOG,
    WarehouseLocation,
    locate_warehouse,
)


def find_catalog_fault(folder: Path) -> str | None:
    """Returns what is wrong with the catalog of the warehouse in ``folder``; None if nothing is."""
    try:
        where = locate_warehouse(folder)
    except PermanentError as error:
        return str(error)
    if is_catalog_gone(folder):
        return str(catalog_damaged_error(CATALOG_GONE))
    if where.server is not None:
        return _fault_of_served(where)
    if (folder / ENCRYPTED_CATALOG).exists():
        return _fault_of_encrypted(folder)
    return _fault_of_plain(folder) if (folder / CATALOG).exists() else None


def _fault_of_plain(folder: Path) -> str | None:
    """Returns what is wrong with a catalog that is a SQLite file."""
    catalog = (folder / CATALOG).absolute().as_uri()
    try:
        with closing(sqlite3.connect(f"{catalog}?mode=ro", uri=True)) as opened:
            sound = opened.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
    except sqlite3.Error as error:
        return str(to_pipeline_error(error, [folder]))
    return None if sound else str(catalog_damaged_error(CATALOG_UNREADABLE))


def _fault_of_served(where: WarehouseLocation) -> str | None:
    """Returns what is wrong with a catalog in a database: opening it reads its newest snapshot."""
    if not where.made:
        return None
    try:
        open_warehouse(where.folder, read_only=True).close()
    except (duckdb.Error, PipelineError) as error:
        return str(to_pipeline_error(error, [where.folder]))
    return None


def _fault_of_encrypted(folder: Path) -> str | None:
    """Returns what is wrong with an encrypted catalog: opening it checks its blocks and its key."""
    try:
        open_warehouse(folder, read_only=True).close()
    except TransientError:
        return None
    except (duckdb.Error, PermanentError) as error:
        return str(to_pipeline_error(error, [folder]))
    return None
