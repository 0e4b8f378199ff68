"""The roster of the synthetic state."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import transcript
from ccgi_pipeline.synthetic import places
from ccgi_pipeline.synthetic.people import people
from ccgi_pipeline.synthetic.random_draws import ssids
from ccgi_pipeline.synthetic.student_blocks import STUDENTS_IN_A_BLOCK, blocks

if TYPE_CHECKING:
    from ccgi_pipeline_tests.synthetic.conftest import Inbox

ON = date(2026, 11, 22)


def test_ssids_are_ten_digits_and_unique_in_the_state(clean: Inbox) -> None:
    ssid = clean.lines(transcript.STUDENT)["StateID"]
    assert ssid.str.contains(r"^\d{10}$").all()
    assert ssid.is_unique().all()


def test_no_two_numbers_ever_get_one_ssid() -> None:
    numbers = np.concatenate([np.arange(200_000), np.arange(8_999_900_000, 9_000_000_000)])
    for seed in (0, 1, 2**40):
        made = ssids(seed, numbers)
        assert made.is_unique().all()
        assert made.str.len_chars().unique().to_list() == [10]


def test_neighbours_ssids_do_not_look_alike() -> None:
    steps = ssids(1, np.arange(1_000)).cast(pl.Int64).diff().drop_nulls()
    assert steps.n_unique() > 990
    assert abs((steps > 0).mean() - 0.5) < 0.1


def test_a_districts_students_do_not_depend_on_how_many_districts_there_are() -> None:
    (few,), (many,) = (list(blocks(list(places.places(n))[2], 500, seed=4, on=ON)) for n in (3, 60))
    assert people(few).cells.equals(people(many).cells)


def test_blocks_hold_all_students_once_and_each_block_has_students_of_its_own() -> None:
    place = next(places.places(1))
    made = list(blocks(place, STUDENTS_IN_A_BLOCK + 300, seed=4, on=ON))
    numbers = np.concatenate([block.numbers for block in made])
    assert numbers.tolist() == list(range(STUDENTS_IN_A_BLOCK + 300))
    first, second = (people(block).cells for block in made)
    both = pl.concat([first, second])
    assert both["StateID"].is_unique().all()
    assert both["LocalStudentID"].is_unique().all()
    assert first["LastName"].head(300).to_list() != second["LastName"].to_list()


def test_students_go_to_schools_that_serve_their_grade(clean: Inbox) -> None:
    schools = places.senders(17).rename({"CDSCode": "PrimaryCDSCode"})
    students = clean.lines(transcript.STUDENT).join(schools, on="PrimaryCDSCode", how="left")
    grade = pl.col("GradeLevel").cast(pl.Int64)
    assert students.select(
        grade.is_between("first_grade", "last_grade").fill_null(value=False).all()
    ).item()
    assert students.select((pl.col("sender") == pl.col("CDCode")).all()).item()


def test_birth_dates_fit_grades(clean: Inbox) -> None:
    students = clean.lines(transcript.STUDENT).select(
        pl.col("GradeLevel").cast(pl.Int64),
        pl.col("DateOfBirth").str.to_date("%m/%d/%Y"),
    )
    age = (pl.date(2026, 9, 1) - pl.col("DateOfBirth")).dt.total_days() / 365.25
    years = students.select((age - pl.col("GradeLevel")).alias("lead"))["lead"]
    assert years.min() > 4.99
    assert years.max() < 7.01
    assert years.is_between(4.99, 6.01).mean() > 0.9


def test_names_have_what_files_must_survive(clean: Inbox) -> None:
    students = clean.lines(transcript.STUDENT)
    names = pl.concat([students["FirstName"], students["LastName"]])
    for trap in ("'", "-", " ", "é", "ñ", "ễ"):
        assert names.str.contains(trap, literal=True).any(), trap


def test_grades_are_of_one_size_where_all_are_taught() -> None:
    (block,) = blocks(next(places.places(1)), 7_000, seed=4, on=ON)
    sizes = people(block).cells["GradeLevel"].value_counts()["count"]
    assert len(sizes) == 7
    assert sizes.min() > 850
    assert sizes.max() < 1_150


def test_all_seven_grades_and_three_genders_are_there(clean: Inbox) -> None:
    students = clean.lines(transcript.STUDENT)
    assert sorted(students["GradeLevel"].unique()) == [f"{g:02d}" for g in range(6, 13)]
    assert set(students["Gender"]) == {"F", "M", "X"}


def test_mail_addresses_lead_nowhere(clean: Inbox) -> None:
    addresses = clean.lines(transcript.STUDENT)["DistrictAssignedStudentEmailAddress"]
    assert addresses.str.ends_with(".example").all()
