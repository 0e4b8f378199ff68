"""Where in a warehouse given values occur, to prove that purged values are gone.

Belongs here: searching tables by rows, and reading the parts of a warehouse outside its folder.
Does not belong here: searching files (operations.purge_proof).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import polars as pl

from ccgi_pipeline.encryption.keys import load_keys
from ccgi_pipeline.warehouse.storage import postgres
from ccgi_pipeline.warehouse.storage.location import locate_warehouse
from ccgi_pipeline.warehouse.storage.schema import quote_identifier, quote_literal


def read_outside_folder(
    connection: duckdb.DuckDBPyConnection, folder: Path
) -> Iterator[tuple[Path, bytes]]:
    """Yields the parts of a warehouse outside its folder: a server's catalog, the tables' files.

    Encrypted files are left out: they are searched by their rows.
    """
    where = locate_warehouse(folder)
    if where.server is None:
        return
    for table, rows in postgres.read_catalog_tables(where.server):
        yield Path("catalog in PostgreSQL", table), rows
    if Path(where.tables).is_relative_to(where.folder) or load_keys(folder) is not None:
        return
    pattern = quote_literal(f"{where.tables}/**/*.parquet")
    files = connection.execute(f"SELECT file FROM glob({pattern})").fetchall()
    for (file,) in files:
        row = connection.execute(f"SELECT content FROM read_blob({quote_literal(file)})").fetchone()
        if row is not None:
            yield Path("tables elsewhere", file.removeprefix(f"{where.tables}/")), row[0]


def count_values_in_tables(
    connection: duckdb.DuckDBPyConnection, sought: pl.Series
) -> dict[str, int]:
    """Returns how many rows of each table have one of the values ``sought`` in a text column."""
    connection.register("sought", sought.alias("value").to_frame().to_arrow())
    found: dict[str, int] = {}
    try:
        for table, columns in connection.execute(
            "SELECT table_name, list(column_name) FROM duckdb_columns() SEMI JOIN duckdb_tables() "
            "USING (database_name, schema_name, table_name) "
            "WHERE database_name = 'lake' AND data_type = 'VARCHAR' GROUP BY 1 ORDER BY 1"
        ).fetchall():
            holds = " OR ".join(
                f"{quote_identifier(column)} IN (FROM sought)" for column in columns
            )
            row = connection.execute(
                f"SELECT count(*) FROM {quote_identifier(table)} WHERE {holds}"
            ).fetchone()
            if row and row[0]:
                found[table] = int(row[0])
    finally:
        connection.unregister("sought")
    return found
