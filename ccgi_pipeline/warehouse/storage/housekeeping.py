"""What keeps a warehouse as small and as quick as its rows: fewer states, fewer and larger files.

Belongs here: expiring former states, merging small files, removing files that no state needs, and
measuring all of it. Does not belong here: which states are kept (operations.housekeeping), removing
all of the history at once (history).

Every step is one commit of DuckLake, or removes files that no state needs. So a process that is
killed leaves a sound warehouse, and the next housekeeping goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import duckdb

from ccgi_pipeline.common.failpoints import failpoint

_CATALOG = "__ducklake_metadata_lake"

SMALL_FILE = 16 << 20
"""Bytes. Smaller files of a table are merged. A larger one is left alone, so that no file is
written again every week because a few rows came."""
_SMALL_TABLE = 4 << 20
"""Bytes. Of a smaller table every file with deleted rows is written anew. The former file stays as
long as a kept state needs it, so of a larger table only files are that have lost half their rows.
"""
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class LakeSize:
    """How large a warehouse is.

    ``files`` and ``bytes`` of all kept states; ``live_files`` of them are read by the newest.
    ``snapshots``: kept states. ``waiting``: files that no state needs and that are not removed yet.
    """

    files: int
    live_files: int
    bytes: int
    snapshots: int
    waiting: int


def measure_lake(connection: duckdb.DuckDBPyConnection) -> LakeSize:
    """Returns the size of the warehouse, from its catalog."""
    row = connection.execute(
        f"""
        SELECT count(*), count(*) FILTER (end_snapshot IS NULL),
            coalesce(sum(file_size_bytes), 0)::BIGINT,
            (SELECT count(*) FROM {_CATALOG}.ducklake_snapshot),
            (SELECT count(*) FROM {_CATALOG}.ducklake_files_scheduled_for_deletion)
        FROM (SELECT end_snapshot, file_size_bytes FROM {_CATALOG}.ducklake_data_file
            UNION ALL SELECT end_snapshot, file_size_bytes FROM {_CATALOG}.ducklake_delete_file)
        """
    ).fetchone()
    return LakeSize(*row) if row else LakeSize(0, 0, 0, 0, 0)


def find_snapshots_to_expire(
    connection: duckdb.DuckDBPyConnection, needed: Collection[int], before: datetime
) -> list[int]:
    """Returns the states from before a moment that are not ``needed``; never the newest state."""
    rows = connection.execute(
        """
        SELECT snapshot_id FROM ducklake_snapshots('lake')
        WHERE snapshot_time < $before AND NOT list_contains($needed::BIGINT[], snapshot_id)
            AND snapshot_id < (SELECT max(snapshot_id) FROM ducklake_snapshots('lake'))
        ORDER BY snapshot_id
        """,
        {"before": before, "needed": sorted(needed)},
    ).fetchall()
    return [snapshot for (snapshot,) in rows]


def expire_snapshots(connection: duckdb.DuckDBPyConnection, snapshots: Collection[int]) -> None:
    """Forgets these states; files that no other state needs wait for their removal."""
    if not snapshots:
        return
    numbers = ", ".join(str(int(snapshot)) for snapshot in snapshots)
    with failpoint("housekeeping: states expired"):
        connection.execute(
            f"CALL ducklake_expire_snapshots('lake', versions => [{numbers}])"
        ).fetchall()


def count_files_to_merge(connection: duckdb.DuckDBPyConnection) -> int:
    """Returns how many small files are in tables that have several of them without deleted rows."""
    row = connection.execute(
        f"""
        SELECT coalesce(sum(files), 0)::BIGINT FROM (
            SELECT count(*) AS files FROM {_CATALOG}.ducklake_data_file AS file
            WHERE end_snapshot IS NULL AND file_size_bytes < {SMALL_FILE} AND NOT EXISTS (
                FROM {_CATALOG}.ducklake_delete_file AS deleted
                WHERE deleted.data_file_id = file.data_file_id AND deleted.end_snapshot IS NULL)
            GROUP BY table_id HAVING count(*) > 1)
        """
    ).fetchone()
    return int(row[0]) if row else 0


def merge_files(connection: duckdb.DuckDBPyConnection) -> None:
    """Writes files with deleted rows anew, then merges small files; all states stay as they are.

    DuckLake keeps in a merged file which state each row came with.
    """
    with _one_thread(connection):
        for schema, table, size in _list_tables_with_deleted_rows(connection):
            threshold = 0 if size < _SMALL_TABLE else _HALF
            with failpoint("housekeeping: deleted rows left out"):
                connection.execute(
                    "CALL ducklake_rewrite_data_files('lake', $table, schema => $schema, "
                    f"delete_threshold => {threshold})",
                    {"table": table, "schema": schema},
                ).fetchall()
        with failpoint("housekeeping: files merged"):
            connection.execute(
                f"CALL ducklake_merge_adjacent_files('lake', max_file_size => {SMALL_FILE})"
            ).fetchall()


def count_files_to_remove(connection: duckdb.DuckDBPyConnection, before: datetime) -> int:
    """Returns how many files no state has needed since ``before``."""
    row = connection.execute(
        f"SELECT count(*) FROM {_CATALOG}.ducklake_files_scheduled_for_deletion "
        "WHERE schedule_start::TIMESTAMPTZ < $before",
        {"before": before},
    ).fetchone()
    return int(row[0]) if row else 0


def remove_files(connection: duckdb.DuckDBPyConnection, before: datetime) -> int:
    """Removes files that no state has needed since ``before``, and those of killed writers.

    Returns how many. A reader that began later still finds what it began to read.
    """
    removed = 0
    for function in ("cleanup_old_files", "delete_orphaned_files"):
        with failpoint(f"housekeeping: {function}"):
            gone = connection.execute(
                f"CALL ducklake_{function}('lake', older_than => $before)", {"before": before}
            ).fetchall()
        removed += len(gone)
    return removed


def _list_tables_with_deleted_rows(
    connection: duckdb.DuckDBPyConnection,
) -> list[tuple[str, str, int]]:
    """Returns schema, name and bytes of the tables of which a file has deleted rows."""
    return connection.execute(
        f"""
        SELECT schema_name, table_name, sum(file_size_bytes)::BIGINT
        FROM {_CATALOG}.ducklake_data_file AS file
        JOIN {_CATALOG}.ducklake_table AS of_table USING (table_id)
        JOIN {_CATALOG}.ducklake_schema AS schema USING (schema_id)
        WHERE file.end_snapshot IS NULL AND of_table.end_snapshot IS NULL
            AND schema.end_snapshot IS NULL AND table_id IN (
                SELECT table_id FROM {_CATALOG}.ducklake_delete_file WHERE end_snapshot IS NULL)
        GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()


@contextmanager
def _one_thread(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Keeps to one thread: DuckLake has no lock for tables that it rewrites at the same time."""
    (threads,) = connection.execute("SELECT current_setting('threads')").fetchone() or (1,)
    connection.execute("SET threads = 1")
    try:
        yield
    finally:
        connection.execute(f"SET threads = {threads}")
