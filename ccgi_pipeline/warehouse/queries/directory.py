"""The directory of schools and districts in force, and the senders' folders in the outbox.

Belongs here: reading both from the warehouse; the directory is completed by the one that the
project ships. Does not belong here: naming districts by it (districts), remembering a folder
(load.outbox_folders).
"""

from __future__ import annotations

import duckdb
import polars as pl

from ccgi_pipeline.districts import DIRECTORY_SCHEMA, directory, districts
from ccgi_pipeline.warehouse.storage.schema import table_exists


def read_directory(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns the directory in force: the received entries, and the shipped ones for the rest."""
    return directory(
        connection.sql(
            f"SELECT {', '.join(DIRECTORY_SCHEMA)} FROM lake.cde_directory WHERE _active"
        ).pl()
    )


def read_directory_with_nces_ids(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns the directory in force with the NCES ids, which only a received directory has."""
    nces = connection.sql(
        "SELECT CDSCode, NCESDist, NCESSchool FROM lake.cde_directory WHERE _active"
    ).pl()
    return read_directory(connection).join(nces, on="CDSCode", how="left", maintain_order="left")


def read_outbox_folders(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Returns ``cd``, ``folder`` and ``current`` of all remembered folders, also former ones.

    A warehouse of an older version remembers none until the next night.
    """
    if not table_exists(connection, "outbox_folders"):
        return pl.DataFrame(schema={"cd": pl.String, "folder": pl.String, "current": pl.Boolean})
    return connection.sql("SELECT cd, folder, current FROM lake.outbox_folders ORDER BY ALL").pl()


def name_senders(connection: duckdb.DuckDBPyConnection, cd_codes: pl.Series) -> pl.DataFrame:
    """Returns ``cd``, ``County``, ``District`` and ``folder`` of each of ``cd_codes``.

    The folder is the remembered one. A new sender gets the folder that the directory names, with
    its code if that is, or once was, the folder of another.
    """
    named = districts(read_directory(connection), cd_codes)
    remembered = read_outbox_folders(connection)
    kept = remembered.filter(pl.col("current")).select("cd", kept="folder")
    lower = pl.col("folder").str.to_lowercase()
    taken = remembered.select(lower).to_series().implode()
    return (
        named.join(kept, on="cd", how="left", maintain_order="left")
        .with_columns(
            pl.when(pl.col("kept").is_not_null())
            .then("kept")
            .when(lower.is_in(taken))
            .then(pl.col("folder") + pl.col("cd"))
            .otherwise("folder")
            .alias("folder")
        )
        .drop("kept")
    )
