"""The directory of schools and districts in force.

Belongs here: reading it from the warehouse, completed by the one that the project ships. Does not
belong here: naming districts by it (districts).
"""

from __future__ import annotations

import duckdb
import polars as pl

from ccgi_pipeline.districts import DIRECTORY_SCHEMA, directory


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
