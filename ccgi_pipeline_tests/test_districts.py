"""The register: names, folders, and which directory is in force."""

from __future__ import annotations

import polars as pl
import pytest

from ccgi_pipeline.districts import (
    DIRECTORY_SCHEMA,
    directory,
    districts,
    folder_name,
    shipped_directory,
)

NOTHING = pl.DataFrame(schema=DIRECTORY_SCHEMA)


def entries(*rows: tuple[str, str, str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=DIRECTORY_SCHEMA, orient="row")


def folders(*rows: tuple[str, str, str, str | None]) -> list[str]:
    listed = entries(*rows)
    cds = listed["CDSCode"].str.head(7).unique().sort()
    return districts(listed, cds)["folder"].to_list()


@pytest.mark.parametrize(
    ("district", "folder"),
    [
        ("Palm Springs Unified", "PalmSpringsUnified"),
        ("La Cañada Unified", "LaCanadaUnified"),
        ("St. Helena (K-12) & O'Neil", "StHelenaK12ONeil"),
    ],
)
def test_a_folder_is_the_name_without_blanks_and_punctuation(district: str, folder: str) -> None:
    assert folder_name(district) == folder


def test_a_name_without_letters_leaves_the_code_as_the_folder() -> None:
    assert folders(("10111110000000", "Fresno", "学区", None)) == ["1011111"]


def test_two_districts_of_one_name_never_share_a_folder() -> None:
    assert folders(
        ("10111110000000", "Fresno", "Washington Unified", None),
        ("57222220000000", "Yolo", "Washington Unified", None),
    ) == ["WashingtonUnifiedFresno", "WashingtonUnifiedYolo"]


def test_two_districts_of_one_name_in_one_county_go_by_their_codes_too() -> None:
    assert folders(
        ("10111110000000", "Fresno", "Washington Unified", None),
        ("10222220000000", "Fresno", "Washington, Unified", None),
    ) == ["WashingtonUnifiedFresno1011111", "WashingtonUnifiedFresno1022222"]


def test_names_that_differ_in_capitals_alone_do_not_share_a_folder() -> None:
    assert (
        len(
            {
                name.lower()
                for name in folders(
                    ("10111110000000", "Fresno", "McKinley", None),
                    ("57222220000000", "Yolo", "Mckinley", None),
                )
            }
        )
        == 2
    )


def test_a_district_that_no_directory_lists_goes_by_its_code() -> None:
    row = districts(NOTHING, pl.Series(["3399999"])).row(0, named=True)
    assert row == {
        "cd": "3399999",
        "County": "Riverside",
        "District": "3399999",
        "folder": "3399999",
    }


def test_a_received_directory_takes_the_place_of_the_shipped_one_district_by_district() -> None:
    new = entries(("33671733335130", "Riverside", "Palm Springs Unified", "Palm Springs New High"))
    in_force = directory(new)
    palm_springs = in_force.filter(pl.col("CDSCode").str.starts_with("3367173"))
    assert palm_springs.rows() == new.rows()
    assert in_force.filter(pl.col("CDSCode") == "01611920133629")["School"].item() == "Hayward High"


def test_the_shipped_directory_has_the_places_of_the_seed() -> None:
    named = districts(shipped_directory(), pl.Series(["3367173", "0161192"]))
    assert named.rows() == [
        ("0161192", "Alameda", "Hayward Unified", "HaywardUnified"),
        ("3367173", "Riverside", "Palm Springs Unified", "PalmSpringsUnified"),
    ]


def test_every_shipped_entry_has_a_code_of_14_digits_that_occurs_once() -> None:
    codes = shipped_directory()["CDSCode"]
    assert codes.str.contains(r"^\d{14}$").all()
    assert codes.n_unique() == len(codes)
