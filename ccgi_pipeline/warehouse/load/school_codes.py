"""The CDS codes of the schools in OneRoster sets.

Belongs here: finding a school's code in the directory, and the table of codes. Does not belong
here: the views that use it (queries.rosters), the directory (queries.directory).
"""

from __future__ import annotations

import duckdb
import polars as pl

from ccgi_pipeline.feeds import oneroster
from ccgi_pipeline.warehouse.storage.schema import transaction


def match_school_codes(schools: pl.DataFrame, directory: pl.DataFrame) -> pl.DataFrame:
    """Returns the CDS code of each school (``_sender``, ``sourcedId``, ``name``, ``identifier``).

    A school is found by a CDS code among its ids, by its NCES ID (the directory's district and
    school part), or by its name if the district has only one school of that name. ``directory`` has
    ``CDSCode``, ``School``, ``NCESDist`` and ``NCESSchool``.
    """
    of_districts = directory.filter(pl.col("CDSCode").str.tail(7) != "0000000").select(
        "CDSCode",
        pl.col("CDSCode").str.head(7).alias("_sender"),
        pl.concat_str("NCESDist", "NCESSchool").alias("nces"),
        pl.col("NCESSchool").alias("nces_school"),
        _folded("School").alias("folded"),
    )
    asked = schools.with_columns(
        _folded("name").alias("folded"),
        pl.col("identifier").str.replace_all(r"[^0-9]", "").alias("digits"),
    )
    by_id = [
        _match_column("cds code", asked, of_districts, "identifier", "CDSCode"),
        _match_column("cds code", asked, of_districts, "sourcedId", "CDSCode"),
        _match_column("nces id", asked, of_districts, "digits", "nces"),
        _match_column("nces id", asked, of_districts, "digits", "nces_school"),
    ]
    unique = of_districts.filter(pl.struct("_sender", "folded").is_unique())
    by_name = _match_column("name", asked, unique, "folded", "folded")
    return pl.concat([*by_id, by_name]).unique(
        ["_sender", "sourcedId"], keep="first", maintain_order=True
    )


def _folded(column: str) -> pl.Expr:
    """Returns a name's letters without accents, and its digits."""
    plain = pl.col(column).str.normalize("NFKD").str.to_lowercase()
    return plain.str.replace_all(r"[^a-z0-9]", "")


def _match_column(
    by: str, asked: pl.DataFrame, known: pl.DataFrame, here: str, there: str
) -> pl.DataFrame:
    """Returns the schools whose column ``here`` equals column ``there`` of a known school."""
    known = known.select("_sender", "CDSCode", pl.col(there).alias("value")).drop_nulls()
    found = asked.select("_sender", "sourcedId", pl.col(here).alias("value")).join(
        known.filter(pl.col("value") != ""), on=["_sender", "value"]
    )
    return found.select("_sender", "sourcedId", "CDSCode", pl.lit(by).alias("told_by"))


def record_school_codes(connection: duckdb.DuckDBPyConnection, directory: pl.DataFrame) -> None:
    """Records the CDS codes of all schools of OneRoster sets, if they have changed."""
    schools = connection.sql(
        f"SELECT _sender, sourcedId, name, identifier FROM {oneroster.ORGS.name} "
        f"WHERE _active AND type = 'school'"
    ).pl()
    new = match_school_codes(schools, directory).sort("_sender", "sourcedId")
    old = connection.sql("FROM school_codes ORDER BY _sender, sourcedId").pl()
    if new.equals(old.select(new.columns).cast(new.schema)):
        return
    with transaction(connection):
        connection.execute("DELETE FROM school_codes")
        connection.register("codes", new.to_arrow())
        connection.execute("INSERT INTO school_codes BY NAME SELECT * FROM codes")
        connection.unregister("codes")
