"""Verifying a whole warehouse: is every file as it was written?

Belongs here: the parts of a warehouse folder, and how each of them is checked. Nothing is mended.
Does not belong here: the checksums of tables and catalog (warehouse.storage.checksums), which each
writer compares too; whether rows make sense (warehouse.queries.health).
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import sqlcipher3

from ccgi_pipeline.common.errors import PipelineError, to_pipeline_error, value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.delivery.ledger import ledger_exists, open_ledger
from ccgi_pipeline.encryption.keys import load_keys
from ccgi_pipeline.encryption.sqlite import connect
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.operations import audit_log
from ccgi_pipeline.warehouse.storage import checksums
from ccgi_pipeline.warehouse.storage.catalog_health import find_catalog_fault
from ccgi_pipeline.warehouse.storage.checksums import FileFault, TableFile
from ccgi_pipeline.warehouse.storage.connection import open_warehouse, warehouse_exists
from ccgi_pipeline.warehouse.storage.location import CATALOG, locate_warehouse
from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError, folder_lock
from ccgi_pipeline.warehouse.storage.schema import quote_literal

_DATABASES = ("*.sqlite", "*/*.sqlite")
"""The databases in a warehouse's folder, and in the folders of its parts."""
_OF_DAGSTER = "dagster"


@dataclass(slots=True)
class VerifiedPart:
    """A part of a warehouse: how many files of it were checked, and what is wrong with them."""

    name: str
    checked: int = 0
    faults: list[str] = field(default_factory=list)


@value_free
def verify_warehouse(warehouse: Path, outbox: Path) -> list[VerifiedPart]:
    """Checks all files of a warehouse, and those in the outbox that were written from it."""
    return [
        _verify_catalog(warehouse),
        _verify_tables(warehouse),
        _verify_archive(warehouse),
        _verify_databases(warehouse),
        _verify_outbox(warehouse, outbox),
    ]


def _verify_catalog(warehouse: Path) -> VerifiedPart:
    part = VerifiedPart("catalog", 1)
    with _told_in(part):
        fault = find_catalog_fault(warehouse)
        if fault is not None:
            part.faults.append(fault)
            return part
        try:
            with folder_lock(warehouse):
                changed = checksums.find_catalog_change(warehouse)
        except WarehouseBusyError:
            changed = None  # whoever writes has compared it
        if changed is not None:
            part.faults.append(f"{CATALOG} {changed}")
    return part


def _verify_tables(warehouse: Path) -> VerifiedPart:
    part = VerifiedPart("tables")
    with _told_in(part):
        if not warehouse_exists(warehouse):
            return part
        with open_warehouse(warehouse, read_only=True) as connection:
            files = checksums.list_files(connection)
            part.checked = len(files)
            tables = checksums.local_tables(warehouse)
            damaged = (
                _find_absent(connection, locate_warehouse(warehouse).tables, files)
                if tables is None
                else checksums.find_damaged_files(warehouse, tables, files)
            )
        if damaged:  # a purge may have removed them meanwhile
            with open_warehouse(warehouse, read_only=True) as connection:
                still = {file.path for file in checksums.list_files(connection)}
            part.faults += [f"{path}: {why}" for path, why in damaged.items() if path in still]
    return part


def _find_absent(
    connection: duckdb.DuckDBPyConnection, tables: str, files: Sequence[TableFile]
) -> dict[str, FileFault]:
    """Compares files in object storage by name and size; the store itself guards their content."""
    pattern = quote_literal(f"{tables}/**/*.parquet")
    rows = connection.execute(f"SELECT filename, size FROM read_blob({pattern})").fetchall()  # noqa: S608 - quoted
    sizes = {name.removeprefix(f"{tables}/"): size for name, size in rows}
    return {
        file.path: FileFault.CUT if file.path in sizes else FileFault.MISSING
        for file in files
        if sizes.get(file.path) != file.size
    }


def _verify_archive(warehouse: Path) -> VerifiedPart:
    part = VerifiedPart("archive")
    with _told_in(part):
        archive = Archive.of(warehouse)
        paths = archive.files()
        step = ProgressCounter("verifying the archive", len(paths))
        for path in paths:
            part.checked += 1
            with _told_in(part):
                archive.read(path.name)
            step.advance()
    return part


def _verify_databases(warehouse: Path) -> VerifiedPart:
    """Checks the form of each database, and the chain of the audit log."""
    part = VerifiedPart("databases")
    for path in sorted(path for name in _DATABASES for path in warehouse.glob(name)):
        if path.name == CATALOG:
            continue
        part.checked += 1
        keys = None if path.parent.name == _OF_DAGSTER else load_keys(path.parent)
        try:
            with closing(connect(path, keys)) as opened:
                sound = opened.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
        except (sqlite3.Error, sqlcipher3.Error, PipelineError):
            sound = False
        if not sound:
            part.faults.append(f"{path.relative_to(warehouse)}: damaged")
    with _told_in(part):
        audit_log.verify_log(warehouse)
    return part


def _verify_outbox(warehouse: Path, outbox: Path) -> VerifiedPart:
    """Compares the files that lie in the outbox with those that were written; others are left."""
    part = VerifiedPart("outbox")
    if not ledger_exists(warehouse):
        return part
    with _told_in(part), open_ledger(warehouse) as ledger:
        for path in sorted(path for path in outbox.rglob("*") if path.is_file()):
            name = path.relative_to(outbox).as_posix()
            if ledger.find_made(name) is None:
                continue
            part.checked += 1
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if ledger.find_made(name, digest) is None:
                part.faults.append(f"{name}: {FileFault.CHANGED}")
    return part


@contextmanager
def _told_in(part: VerifiedPart) -> Iterator[None]:
    """Adds an error of the block to the faults: what cannot be read does not hide the rest."""
    try:
        yield
    except (PipelineError, duckdb.Error, sqlite3.Error, OSError) as error:
        part.faults.append(str(to_pipeline_error(error)))
