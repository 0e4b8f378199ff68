"""Names districts and schools by their CD and CDS codes, and districts' folders.

Belongs here: the names of CDE's directory, as reports print them. The project ships a small
directory (real entries of CDE's); the entries of a received directory replace those of the same
district. Does not belong here: accounts, districts' settings (profiles).
"""

from __future__ import annotations

import unicodedata
from importlib.resources import files

import polars as pl

from ccgi_pipeline.feeds.codes import COUNTY_NAMES

DIRECTORY_SCHEMA = {
    "CDSCode": pl.String,
    "County": pl.String,
    "District": pl.String,
    "School": pl.String,
}
_DISTRICT_PART = "0000000"
_CD = pl.col("CDSCode").str.head(7)


def shipped_directory() -> pl.DataFrame:
    """Returns the directory that comes with the project, in ``DIRECTORY_SCHEMA``."""
    with files("ccgi_pipeline").joinpath("register.tsv").open("rb") as register:
        rows = pl.read_csv(
            register.read(), separator="\t", infer_schema=False, null_values=["No Data"]
        )
    return rows.select(DIRECTORY_SCHEMA.keys())


def directory(received: pl.DataFrame) -> pl.DataFrame:
    """Returns the ``received`` entries, and shipped entries of districts that they lack."""
    shipped = shipped_directory()
    lacking = shipped.filter(~_CD.is_in(received.select(_CD.unique()).to_series().implode()))
    return pl.concat([received.select(DIRECTORY_SCHEMA.keys()), lacking]).sort("CDSCode")


def districts(entries: pl.DataFrame, cd_codes: pl.Series) -> pl.DataFrame:
    """Returns ``cd``, ``County``, ``District`` and ``folder`` of each of ``cd_codes``.

    A district that no directory lists is named by its code. Folders are unique over the whole
    directory, so that no district gets another's reports: if two names give the same folder, the
    county is added, and if that is not enough, the code.
    """
    listed = naming_entries(entries).select("cd", "County", "District")
    unlisted = cd_codes.unique().to_frame("cd").join(listed, on="cd", how="anti")
    unlisted = unlisted.with_columns(
        pl.col("cd")
        .str.head(2)
        .replace_strict(COUNTY_NAMES, default="Unknown", return_dtype=pl.String)
        .alias("County"),
        pl.col("cd").alias("District"),
    )
    named = pl.concat([listed, unlisted]).sort("cd")
    return named.with_columns(_folders(named)).filter(pl.col("cd").is_in(cd_codes.implode()))


def naming_entries(entries: pl.DataFrame) -> pl.DataFrame:
    """Returns the entry that names each district (``cd``): its own, or its first school's."""
    return (
        entries.with_columns(_CD.alias("cd"))
        .sort(pl.col("CDSCode").str.tail(7) != _DISTRICT_PART, "CDSCode")
        .unique("cd", keep="first", maintain_order=True)
    )


def folder_name(district: str) -> str:
    """Returns the folder of a district's name: ``PalmSpringsUnified``."""
    plain = unicodedata.normalize("NFKD", district).encode("ascii", "ignore").decode()
    return "".join(character for character in plain if character.isalnum())


def _folders(named: pl.DataFrame) -> pl.Series:
    names = pl.Series(
        "folder",
        [folder_name(name) or cd for name, cd in named.select("District", "cd").iter_rows()],
    )
    counties = pl.Series([folder_name(name) for name in named["County"]])
    for addition in (counties, named["cd"]):
        shared = names.str.to_lowercase().is_duplicated()
        names = names.zip_with(~shared, names + addition)
    return names.alias("folder")
