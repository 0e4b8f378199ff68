"""The synthetic identities of the whole state, and the applications about them.

Belongs here: the calibration, and what is promised of the rows. Does not belong here: the table as
the analysis shows it (ssid_lookup).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ccgi_pipeline.synthetic import activity, places
from ccgi_pipeline.synthetic.identities import (
    APPLICATION_SCHEMA,
    IDENTITY_SCHEMA,
    MISTAKES,
    PUBLISHED,
    applications,
    identities,
    namesakes,
    students,
)
from ccgi_pipeline.synthetic.identities.mistakes import misspelled
from ccgi_pipeline.synthetic.random_draws import look_up
from ccgi_pipeline.synthetic.student_blocks import NUMBERS_OF_A_DISTRICT

MILLION = 1_000_000
INITIAL = pl.col("FirstName").str.head(1)


@pytest.fixture(scope="module")
def a_million() -> pl.DataFrame:
    return pl.concat(identities(MILLION, seed=11))


@pytest.fixture(scope="module")
def people(a_million: pl.DataFrame) -> pl.DataFrame:
    return a_million.unique("SSID")


@pytest.fixture(scope="module")
def applied(a_million: pl.DataFrame) -> pl.DataFrame:
    return applications(a_million, 50_000, seed=5)


def sizes(people: pl.DataFrame, first: pl.Expr) -> dict[int, int]:
    """How many combinations so many people share."""
    groups = people.group_by(first, "LastName", "BirthDate").len("size")
    return dict(groups.group_by("size").len().iter_rows())


def percent(counts: dict[int, int], size: int) -> float:
    return 100 * counts[size] / sum(counts.values())


# --- calibration ------------------------------------------------------------------------------


def test_a_million_students_share_initial_last_name_and_birth_date_as_the_state_published(
    people: pl.DataFrame,
) -> None:
    counts = sizes(people, INITIAL)
    assert percent(counts, 1) == pytest.approx(93.789, abs=0.005)
    assert percent(counts, 2) == pytest.approx(5.106, abs=0.005)
    assert percent(counts, 3) == pytest.approx(0.780, abs=0.005)


def test_of_a_million_students_the_published_share_of_full_names_is_unique(
    people: pl.DataFrame,
) -> None:
    assert percent(sizes(people, pl.col("FirstName")), 1) == pytest.approx(98.081, abs=0.05)


def test_the_published_number_of_students_has_the_published_groups_to_the_last() -> None:
    planted = namesakes.group_sizes(0, namesakes.PUBLISHED_STUDENTS)
    found = dict(
        zip(*(part.tolist() for part in np.unique(planted, return_counts=True)), strict=True)
    )
    assert found == {size: names for size, names in PUBLISHED.items() if size > 1}
    assert namesakes.PUBLISHED_STUDENTS - planted.sum() == PUBLISHED[1]


def test_blocks_of_students_add_up_to_the_groups_of_all() -> None:
    cuts = [0, 1, 999_983, 4_000_000, 12_700_000]
    in_blocks = np.concatenate(
        [namesakes.group_sizes(first, last) for first, last in itertools.pairwise(cuts)]
    )
    assert sorted(in_blocks) == sorted(namesakes.group_sizes(0, cuts[-1]))


def test_the_diversity_of_first_names_follows_from_the_published_share() -> None:
    # Ewens: the expected number of names that j of a group's k students have.
    expected: dict[int, float] = dict.fromkeys(PUBLISHED, 0.0)
    theta = namesakes.DIVERSITY
    for k, groups in PUBLISHED.items():
        for j in range(1, k + 1):
            ratio = math.prod((k - i) / (theta + k - 1 - i) for i in range(j))
            expected[j] += groups * theta / j * ratio
    assert 100 * expected[1] / sum(expected.values()) == pytest.approx(98.081, abs=0.0005)


def test_students_of_different_blocks_never_share_a_birth_date() -> None:
    blocks = list(identities(50_000, seed=3, in_a_block=20_000))
    assert [block["SSID"].n_unique() for block in blocks] == [20_000, 20_000, 10_000]
    births = [set(block["BirthDate"]) for block in blocks]
    assert not any(one & other for one, other in itertools.combinations(births, 2))
    everyone = pl.concat(blocks).unique("SSID")
    assert everyone.height == 50_000
    assert percent(sizes(everyone, INITIAL), 1) == pytest.approx(93.789, abs=0.05)


# --- rows -------------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_rows_and_another_seed_gives_others() -> None:
    first, again, other = (pl.concat(identities(5_000, seed)) for seed in (1, 1, 2))
    assert_frame_equal(first, again)
    assert not first.equals(other)


@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_any_number_of_students_can_be_had(count: int) -> None:
    made = list(identities(count, seed=1))
    assert sum(block["SSID"].n_unique() for block in made) == count


def test_a_student_has_ten_digits_and_one_to_three_schools(a_million: pl.DataFrame) -> None:
    assert a_million.schema == pl.Schema(IDENTITY_SCHEMA)
    assert a_million["SSID"].str.contains("^[0-9]{10}$").all()
    assert a_million["CDSCode"].str.contains("^[0-9]{14}$").all()
    schools = a_million.group_by("SSID").agg(pl.len(), pl.col("CDSCode").n_unique().alias("n"))
    assert schools.height == MILLION
    assert schools["len"].unique().sort().to_list() == [1, 2, 3]
    assert (schools["len"] == schools["n"]).all()


def test_no_ssid_is_one_that_the_districts_generated_students_can_have() -> None:
    # Different running numbers make different SSIDs; these are above those of all districts.
    after_districts = activity._STRANGERS_FROM + places.most_districts()
    assert after_districts * NUMBERS_OF_A_DISTRICT <= students._NUMBERS_FROM


def test_whoever_is_somebody_has_one_name_and_one_birth_date(a_million: pl.DataFrame) -> None:
    of_person = [name for name in IDENTITY_SCHEMA if name != "CDSCode"]
    assert a_million.select(of_person).unique().height == MILLION


def test_names_fit_the_look_up_and_some_are_missing(people: pl.DataFrame) -> None:
    assert (people["FirstName"].str.len_chars() <= 30).all()
    assert (people["LastName"].str.len_chars() <= 50).all()
    has_alias = pl.any_horizontal(pl.col("AliasFirstName", "AliasLastName").is_not_null())
    assert people.select(has_alias.mean()).item() == pytest.approx(0.08, abs=0.005)
    assert people["MiddleName"].is_null().mean() == pytest.approx(0.45, abs=0.01)


def test_namesakes_of_one_initial_are_sometimes_twins_at_the_same_schools(
    a_million: pl.DataFrame,
) -> None:
    schools = a_million.group_by("SSID").agg(
        INITIAL.first().alias("initial"),
        pl.col("FirstName", "LastName", "BirthDate").first(),
        pl.col("CDSCode").sort().str.join(",").alias("schools"),
    )
    pairs = schools.join(schools, on=["initial", "LastName", "BirthDate"]).filter(
        pl.col("SSID") < pl.col("SSID_right"), pl.col("FirstName") != pl.col("FirstName_right")
    )
    together = pairs.select((pl.col("schools") == pl.col("schools_right")).mean()).item()
    assert 0.04 < together < 0.12


# --- applications -----------------------------------------------------------------------------


def test_applications_are_as_many_as_wanted_and_the_same_every_time(
    a_million: pl.DataFrame, applied: pl.DataFrame
) -> None:
    assert applied.schema == pl.Schema(APPLICATION_SCHEMA)
    assert applied["app_id"].to_list() == list(range(1, 50_001))
    assert applied["ccc_id"].is_unique().all()
    assert applied["ccc_id"].str.contains("^[A-Z]{3}[0-9]{4}$").all()
    assert applied["true_ssid"].drop_nulls().is_unique().all()
    assert_frame_equal(applied, applications(a_million, 50_000, seed=5))


def test_a_tenth_of_the_applicants_was_never_a_pupil(applied: pl.DataFrame) -> None:
    assert applied["true_ssid"].null_count() == 5_000
    assert applied.filter(pl.col("true_ssid").is_null())["error"].is_null().all()


def test_an_application_without_a_mistake_says_what_the_state_knows(
    a_million: pl.DataFrame, applied: pl.DataFrame
) -> None:
    right = applied.filter(pl.col("error").is_null(), pl.col("true_ssid").is_not_null())
    known = a_million.select(
        pl.col("SSID").alias("true_ssid"),
        pl.col("FirstName").alias("firstname"),
        pl.col("LastName").alias("lastname"),
        pl.col("BirthDate").alias("birthdate"),
        pl.col("CDSCode").alias("hs_cds_full"),
    )
    assert right.join(known, on=known.columns, how="semi").height == right.height


def test_every_mistake_is_made_at_its_rate_and_never_more_often(applied: pl.DataFrame) -> None:
    pupils = applied.filter(pl.col("true_ssid").is_not_null())
    made = dict(pupils["error"].drop_nulls().value_counts().iter_rows())
    assert made.keys() == MISTAKES.keys()
    for name, mistake in MISTAKES.items():
        assert made[name] <= 1.2 * mistake.rate * pupils.height + 30, name
    # Everybody can name another school, and nearly everybody can mistype the last name.
    assert made["other_school"] == pytest.approx(0.06 * pupils.height, rel=0.1)
    assert made["typo_in_last_name"] > 0.7 * 0.018 * pupils.height


@pytest.mark.parametrize(
    ("error", "changed"),
    [
        ("typo_in_first_name", {"firstname"}),
        ("typo_in_last_name", {"lastname"}),
        ("nickname", {"firstname"}),
        ("day_and_month_swapped", {"birthdate"}),
        ("wrong_year", {"birthdate"}),
        ("other_school", {"hs_cds_full"}),
        ("names_swapped", {"firstname", "lastname"}),
    ],
)
def test_a_mistake_changes_what_it_is_about_and_nothing_else(
    people: pl.DataFrame, applied: pl.DataFrame, error: str, changed: set[str]
) -> None:
    told = applied.filter(pl.col("error") == error).join(
        people, left_on="true_ssid", right_on="SSID"
    )
    pairs = {"firstname": "FirstName", "lastname": "LastName", "birthdate": "BirthDate"}
    for column, known in pairs.items():
        same = told[column] == told[known]
        assert not same.any() if column in changed else same.all(), column


def test_a_misspelled_name_is_wrong_in_one_place() -> None:
    names = look_up(["Fernandez"], np.zeros(2_000, dtype=np.int64))
    wrong = misspelled(np.random.default_rng(1), names)
    assert wrong.str.starts_with("F").all()
    assert set(wrong.str.len_chars()) == {8, 9, 10}
    assert wrong.n_unique() > 100


def test_more_applicants_than_students_are_refused() -> None:
    few = pl.concat(identities(10, seed=1))
    with pytest.raises(ValueError, match="old enough to apply, 90 would have to"):
        applications(few, 100, seed=1)
