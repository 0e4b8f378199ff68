"""A scratch copy of the warehouse: to see what a change would make of it, by making it there.

Belongs here: how such a copy comes about and goes away. It costs a copy of the catalog, no copy of
the data: files of tables are never changed once they are written. Does not belong here: what is
tried out.
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
"""Within the warehouse's own folder: what is written there is pupils' data too."""


@contextmanager
def make_preview_copy(folder: Path) -> Iterator[Path]:
    """A folder with a warehouse of the same records as that in ``folder``, gone afterwards.

    A night may write meanwhile: the copy is of the moment at which it was made. Raises
    WarehouseBusyError where another process has one already.
    """
    copy = folder / _FOLDER
    with _alone(copy):
        _clear(copy)  # of a process that was killed
        try:
            _copy(folder, copy)
            yield copy
        finally:
            _clear(copy)


@contextmanager
def _alone(copy: Path) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(folder_lock(copy))
        except WarehouseBusyError:
            msg = f"another command tries something out in {copy}; try again when it has ended"
            raise WarehouseBusyError(msg) from None
        yield


def _clear(copy: Path) -> None:
    for path in copy.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK_FILE:
            path.unlink()


def _copy(folder: Path, copy: Path) -> None:
    """The catalog first: the files that it names are all there by then."""
    where = locate_warehouse(folder)
    if where.server is not None:
        _copy_out_of_server(where, where.server, copy)
        return
    if (folder / ENCRYPTED_CATALOG).exists():
        shutil.copyfile(reader_catalog(folder), copy / ENCRYPTED_CATALOG)
    else:
        _copy_catalog(folder, copy)
    tables = folder / TABLES
    for path in tables.rglob("*"):
        if path.is_file():
            link = copy / TABLES / path.relative_to(tables)
            link.parent.mkdir(parents=True, exist_ok=True)
            try:
                link.hardlink_to(path)  # it stays, whatever happens to the other name
            except OSError:
                link.symlink_to(path.absolute())  # on a disk that knows no other links


def _copy_out_of_server(where: WarehouseLocation, server: Server, copy: Path) -> None:
    """A catalog of its own, which names the tables' files where they are: those are only read."""
    save_preview_location(copy)
    (copy / TABLES).mkdir()
    target = CatalogPlace.in_folder(copy, load_keys(copy))
    with duckdb.connect(":memory:") as connection:
        configure_connection(connection, where)
        copy_catalog_to_file(connection, server, target)
    with duckdb.connect(":memory:") as connection:
        configure_connection(connection, where)
        make_file_paths_absolute(connection, target, where.tables)


def _copy_catalog(folder: Path, copy: Path) -> None:
    catalog = f"{(folder / CATALOG).absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(catalog, uri=True)) as there,
        closing(sqlite3.connect(copy / CATALOG)) as here,
    ):
        there.backup(here)
