"""A preview copy of the warehouse, on which a change is tried out to see its effect.

Belongs here: making and deleting the copy. Only the catalog is copied; the files of the tables are
linked, because they never change once they are written. Does not belong here: what is tried out.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import duckdb

from ccgi_pipeline.encryption.keys import load_keys
from ccgi_pipeline.warehouse.storage.connection import configure_connection
from ccgi_pipeline.warehouse.storage.location import (
    CATALOG,
    ENCRYPTED_CATALOG,
    TABLES,
    Server,
    WarehouseLocation,
    locate_warehouse,
    save_preview_location,
)
from ccgi_pipeline.warehouse.storage.locks import LOCK_FILE, WarehouseBusyError, folder_lock
from ccgi_pipeline.warehouse.storage.relocation import (
    CatalogPlace,
    copy_catalog_to_file,
    make_file_paths_absolute,
)
from ccgi_pipeline.warehouse.storage.writers import reader_catalog

_FOLDER = "preview"
"""The copy is within the warehouse's own folder, because it holds students' data too."""


@contextmanager
def make_preview_copy(folder: Path) -> Iterator[Path]:
    """Makes a copy of the warehouse in ``folder``, yields its folder, and deletes it afterwards.

    A night may write meanwhile: the copy keeps the state at which it was made. Raises
    WarehouseBusyError if another process has a preview copy already.
    """
    copy = folder / _FOLDER
    with _preview_lock(copy):
        _clear(copy)  # a killed process may have left its copy
        try:
            _copy_warehouse(folder, copy)
            yield copy
        finally:
            _clear(copy)


@contextmanager
def _preview_lock(copy: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(folder_lock(copy))
        except WarehouseBusyError:
            msg = f"another command uses the preview copy in {copy}; try again when it has ended"
            raise WarehouseBusyError(msg) from None
        yield


def _clear(copy: Path) -> None:
    for path in copy.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()


def _copy_warehouse(folder: Path, copy: Path) -> None:
    """Copies the catalog first, so that all files that it names exist when they are linked."""
    where = locate_warehouse(folder)
    if where.server is not None:
        _copy_server_catalog(where, where.server, copy)
        return
    if (folder / ENCRYPTED_CATALOG).exists():
        shutil.copyfile(reader_catalog(folder), copy / ENCRYPTED_CATALOG)
    else:
        _copy_sqlite_catalog(folder, copy)
    tables = folder / TABLES
    for path in tables.rglob("*"):
        if path.is_file():
            link = copy / TABLES / path.relative_to(tables)
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                link.hardlink_to(path)  # stays valid when the original is deleted
            except OSError:
                link.symlink_to(path.absolute())  # the disk has no hard links


def _copy_server_catalog(where: WarehouseLocation, server: Server, copy: Path) -> None:
    """Copies the catalog into the folder; it names the original's files, which are only read."""
    save_preview_location(copy)
    (copy / TABLES).mkdir()
    target = CatalogPlace.in_folder(copy, load_keys(copy))
    with duckdb.connect(":memory:") as connection:
        configure_connection(connection, where)
        copy_catalog_to_file(connection, server, target)
    with duckdb.connect(":memory:") as connection:
        configure_connection(connection, where)
        make_file_paths_absolute(connection, target, where.tables)


def _copy_sqlite_catalog(folder: Path, copy: Path) -> None:
    catalog = f"{(folder / CATALOG).absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(catalog, uri=True)) as there,
        closing(sqlite3.connect(copy / CATALOG)) as here,
    ):
        there.backup(here)
