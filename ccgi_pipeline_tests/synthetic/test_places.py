"""Districts and schools of the synthetic state."""

from __future__ import annotations

import numpy as np
import polars as pl

from ccgi_pipeline.feeds.codes import COUNTY_NAMES
from ccgi_pipeline.synthetic import places

MANY = 2_000


def test_two_thousand_districts_have_codes_and_names_of_their_own() -> None:
    schools = places.senders(MANY)
    districts = schools.unique("CDCode")
    assert districts.height == MANY
    names = {places.file_name(name).lower() for name in districts["District"]}
    assert len(names) == MANY
    assert schools["CDSCode"].n_unique() == schools.height
    assert schools["CDSCode"].str.contains(r"^\d{14}$").all()
    assert schools.select(pl.struct("CDCode", "School").is_unique().all()).item()


def test_no_plausible_district_takes_a_real_ones_code_or_name() -> None:
    directory = places.directory(MANY)
    real = set(places.directory(1)["CDSCode"].str.head(7))
    made = directory.filter(~pl.col("CDSCode").str.head(7).is_in(list(real)))
    assert made["CDSCode"].str.head(7).n_unique() > MANY - 40
    assert made["CDSCode"].str.slice(2, 1).unique().to_list() == ["9"]
    real_names = set(places.directory(1)["District"].map_elements(places.file_name, pl.String))
    made_names = set(made["District"].map_elements(places.file_name, pl.String))
    assert not real_names & made_names


def test_counties_have_the_name_of_their_code() -> None:
    schools = places.senders(MANY)
    assert schools.select(
        (pl.col("CDCode").str.head(2).replace_strict(COUNTY_NAMES) == pl.col("County")).all()
    ).item()
    assert schools["CDCode"].str.head(2).n_unique() == len(COUNTY_NAMES)


def test_only_active_unified_and_high_school_districts_send_files() -> None:
    directory = places.directory(MANY).filter(pl.col("CDSCode").str.ends_with("0000000"))
    senders = directory.filter(
        pl.col("CDSCode").str.head(7).is_in(places.senders(MANY)["CDCode"].unique().implode())
    )
    assert senders.height == MANY
    assert senders["StatusType"].unique().to_list() == ["Active"]
    assert set(senders["DOC"]) == {"54", "56"}
    assert not senders["District"].str.contains("Office of Education").any()


def test_schools_serve_grades_6_to_12() -> None:
    schools = places.senders(MANY)
    assert schools.select(
        (pl.col("first_grade") <= pl.col("last_grade")).all()
        & pl.col("first_grade").is_between(6, 12).all()
        & pl.col("last_grade").is_between(6, 12).all()
    ).item()


def test_the_first_districts_are_the_same_however_many_there_are() -> None:
    few, many = places.senders(40), places.senders(300)
    assert few.equals(many.head(few.height))


def test_all_students_are_spread_and_sizes_differ() -> None:
    sizes = places.sizes(300, 100_000, seed=1)
    assert sizes.sum() == 100_000
    assert sizes.min() >= 20
    assert sizes.max() > 10 * np.median(sizes)


def test_every_district_has_a_student_even_if_there_are_hardly_any() -> None:
    assert places.sizes(7, 7, seed=1).tolist() == [1] * 7


def test_the_directory_file_is_sorted_and_lists_every_entry_once() -> None:
    codes = places.directory(200)["CDSCode"]
    assert codes.is_sorted()
    assert codes.is_unique().all()


def test_the_directory_file_has_the_real_schools_names_and_says_what_it_does_not_know() -> None:
    directory = places.directory(2)
    school = directory.row(by_predicate=pl.col("CDSCode") == "33671733335130", named=True)
    assert school["School"] == "Palm Springs High"
    assert school["County"] == "Riverside"
    assert school["AdmLName"] == "No Data"
    assert directory.null_count().sum_horizontal().item() == 0
