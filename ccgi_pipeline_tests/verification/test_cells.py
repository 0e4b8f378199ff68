"""Cells for those who asked: the right ones, and never those that nobody may repeat."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.verification.cells import as_shown, read_cells
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline_tests.files import as_bytes, delivered, good_lines, usual_name

NAME = usual_name(STUDENT)
PLACES = {"line": pl.UInt32, "column": pl.String}


def _cells(content: bytes, *places: tuple[int | None, str | None]) -> list[tuple[object, ...]]:
    frame = pl.DataFrame(places, schema=PLACES, orient="row")
    drops = delivered({NAME: content}, "transcript")
    (file,) = files_to_verify(drops, lambda *_: Content.of_bytes(content))
    whole = read_cells(frame, file, STUDENT.name)
    in_pieces = read_cells(frame, replace(file, piece=100), STUDENT.name)
    assert_frame_equal(whole, in_pieces)
    return whole.rows()


def test_a_place_has_its_cell():
    lines = good_lines(STUDENT)
    lines[2] = {**lines[2], "GradeLevel": "Zebra", "Suffix": ""}
    found = _cells(as_bytes(STUDENT, lines), (4, "GradeLevel"), (4, "Suffix"), (4, "GradeLevel"))
    assert found == [(4, "GradeLevel", "Zebra"), (4, "Suffix", None)]


def test_places_that_the_file_does_not_have_are_left_out():
    content = as_bytes(STUDENT, good_lines(STUDENT))
    assert _cells(content, (999, "StateID"), (2, "Nonsense"), (None, "StateID"), (2, None)) == []


def test_an_unreadable_file_has_no_cells():
    assert _cells(b"nothing of ours\n", (2, "StateID")) == []


def test_lines_are_found_behind_cells_with_line_breaks():
    lines = good_lines(STUDENT)
    lines[0] = {**lines[0], "LastName": "two\nlines"}
    lines[1] = {**lines[1], "GradeLevel": "Zebra"}
    assert _cells(as_bytes(STUDENT, lines), (4, "GradeLevel")) == [(4, "GradeLevel", "Zebra")]


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("GradeLevel", "Zebra", "Zebra"),
        ("GradeLevel", None, "(blank)"),
        ("GradeLevel", "  ", "(blank)"),
        ("StateID", "1234567890", "1234567890"),
        ("PrimaryCDSCode", "33671733335130", "33671733335130"),
        ("DateOfBirth", "05/31/2009", "05/31/2009"),
        ("LastName", "x" * 80, "x" * 80),
        ("LastName", "x" * 81, "x" * 79 + "…"),
    ],
)
def test_a_cell_is_shown_as_it_is_unless_it_is_blank_or_long(
    column: str, value: str | None, shown: str
):
    assert as_shown(column, value) == shown


@pytest.mark.parametrize(
    "value",
    ["078-05-1120", "078051120", " 078 05 1120 ", "SSN 078-05-1120, gr. 10", "078 - 05 - 1120"],
)
def test_what_may_be_a_social_security_number_is_not_repeated(value: str):
    assert "social security number" in as_shown("LocalStudentID", value)
    assert "1120" not in as_shown("LocalStudentID", value)


def test_a_password_is_not_repeated():
    assert "secret" not in as_shown("password", "secret")
