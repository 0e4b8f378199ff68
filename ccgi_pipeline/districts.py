"""The register of districts and schools: what a CD or CDS code is called, and its folder's name.

Belongs here: the directory's names as reports print them. The project ships a small register (real
entries of CDE's directory); a directory that was received takes its place district by district.
Does not belong here: who may log in, what a district wants (profiles).
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
    """The register that comes with the project, in ``DIRECTORY_SCHEMA``."""
    with files("ccgi_pipeline").joinpath("register.tsv").open("rb") as register:
        rows = pl.read_csv(
            register.read(), separator="\t", infer_schema=False, null_values=["No Data"]
        )
    return rows.select(DIRECTORY_SCHEMA.keys())


def directory(received: pl.DataFrame) -> pl.DataFrame:
    """The directory in force: ``received`` entries, and shipped ones of districts it lacks."""
    shipped = shipped_directory()
    lacking = shipped.filter(~_CD.is_in(received.select(_CD.unique()).to_series().implode()))
    return pl.concat([received.select(DIRECTORY_SCHEMA.keys()), lacking]).sort("CDSCode")


def districts(entries: pl.DataFrame, cd_codes: pl.Series) -> pl.DataFrame:
    """``cd``, ``County``, ``District`` and ``folder`` of each of ``cd_codes``.

    A district that no directory lists goes by its code. Folders are unique over the whole
    directory, since one district must never find another's reports: where two names fold to one,
    the county is added, and the code where that does not help.
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
    """The entry by which each district (``cd``) is named: its own, else its first school's."""
    return (
        entries.with_columns(_CD.alias("cd"))
        .sort(pl.col("CDSCode").str.tail(7) != _DISTRICT_PART, "CDSCode")
        .unique("cd", keep="first", maintain_order=True)
    )


def folder_name(district: str) -> str:
    """``Palm Springs Unified`` as a folder: ``PalmSpringsUnified``."""
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
