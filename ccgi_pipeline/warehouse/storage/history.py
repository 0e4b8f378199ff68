"""The former states of a warehouse, and their removal.

Belongs here: leaving only the newest snapshot, its files and its statistics. Does not belong here:
which rows are deleted before (load.erasure), letting single states expire (housekeeping).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb

from ccgi_pipeline.common.errors import DatabaseInUseError
from ccgi_pipeline.warehouse.storage import postgres
from ccgi_pipeline.warehouse.storage.connection import attach_warehouse
from ccgi_pipeline.warehouse.storage.location import CATALOG, ENCRYPTED_CATALOG, locate_warehouse

_WAIT_SECONDS = 10.0
"""How long to wait for readers. Most end within a second."""


def delete_history(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Deletes all former snapshots with their files and statistics; only the newest state stays.

    Returns how many snapshots were deleted. Files that were made from them cannot be made again.
    """
    before = _count_snapshots(connection)
    (threads,) = connection.execute("SELECT current_setting('threads')").fetchone() or (1,)
    for statement in (
        "SET threads = 1",  # DuckLake has no lock for tables that it rewrites at the same time
        "CALL ducklake_rewrite_data_files('lake', delete_threshold => 0)",
        "CALL ducklake_expire_snapshots('lake', older_than => now() + INTERVAL 1 DAY)",
        "CALL ducklake_cleanup_old_files('lake', cleanup_all => true)",
        "CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)",
        f"SET threads = {threads}",
    ):
        connection.execute(statement).fetchall()
    after = _count_snapshots(connection)
    server = locate_warehouse(folder).server
    encrypted = server is None and (folder / ENCRYPTED_CATALOG).exists()
    if encrypted:
        connection.execute(_STATISTICS.format(catalog="__ducklake_metadata_lake.", sorted=""))
    connection.execute("USE memory")
    connection.execute("DETACH lake")
    if server is not None:
        # By default PostgreSQL sorts text by the rules of a language.
        postgres.rewrite_catalog(server, _STATISTICS.format(catalog="", sorted=' COLLATE "C"'))
    elif not encrypted:
        with closing(sqlite3.connect(folder / CATALOG, timeout=_WAIT_SECONDS)) as catalog:
            catalog.execute(_STATISTICS.format(catalog="", sorted=""))
            catalog.commit()
            catalog.execute("VACUUM")  # until then its free pages contain what was deleted
            busy, *_ = catalog.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            msg = (
                "another command still reads the catalog, so what was deleted remains in its file: "
                "end that command, and run this one again"
            )
            raise DatabaseInUseError(msg)
    attach_warehouse(connection, folder)
    return before - after


_STATISTICS = """
    UPDATE {catalog}ducklake_table_column_stats AS of_table
    SET min_value = (SELECT min(min_value{sorted})
                     FROM {catalog}ducklake_file_column_stats AS of_file
                     WHERE of_file.table_id = of_table.table_id
                         AND of_file.column_id = of_table.column_id),
        max_value = (SELECT max(max_value{sorted})
                     FROM {catalog}ducklake_file_column_stats AS of_file
                     WHERE of_file.table_id = of_table.table_id
                         AND of_file.column_id = of_table.column_id)
    WHERE EXISTS (SELECT 1 FROM {catalog}ducklake_column AS declared
                  WHERE declared.table_id = of_table.table_id
                      AND declared.column_id = of_table.column_id
                      AND declared.column_type IN ('varchar', 'date'))
"""
"""The catalog keeps a table's least and greatest values after their rows are deleted, so they are
computed again from the existing files. Numbers are left out: their text sorts in another order."""


def _count_snapshots(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("SELECT count(*) FROM ducklake_snapshots('lake')").fetchone()
    return int(row[0]) if row else 0
