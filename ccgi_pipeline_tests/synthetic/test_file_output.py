"""Typed frames to the bytes of files."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ccgi_pipeline.feeds import platform, transcript
from ccgi_pipeline.synthetic.file_output import PLAIN, Dialect, FeedFile, as_text, dialect_of

TEST_GRADE = transcript.TEST_GRADE
ROWS = pl.DataFrame(
    {"StateID": ["1", "2", "3"], "TestName": ["SAT", "ACT, again", "José"], "TestDate": ["a"] * 3}
)


def test_columns_come_in_the_order_and_the_forms_of_the_declaration() -> None:
    text = as_text(
        pl.DataFrame(
            {
                "IsWorkInProgress": [True, False, None],
                "StateID": ["1000000001", None, "1000000003"],
                "CreditsEarned": pl.Series(["5.00", "2.50", None], dtype=pl.String),
            }
        ),
        transcript.COURSE_GRADE,
    )
    assert text.columns == list(transcript.COURSE_GRADE.columns)
    assert text["IsWorkInProgress"].to_list() == ["Y", "N", None]
    assert text["Term"].to_list() == [None, None, None]
    day = as_text(pl.DataFrame({"TestDate": [date(2026, 3, 7)]}), TEST_GRADE)
    assert day["TestDate"].item() == "03/07/2026"
    moment = pl.DataFrame({"OccurredAt": [datetime(2026, 3, 7, 1, 2, 3)]})  # noqa: DTZ001 - UTC
    assert as_text(moment, platform.JOURNALS)["OccurredAt"].item() == "2026-03-07T01:02:03Z"


def test_a_column_that_is_not_declared_is_refused() -> None:
    with pytest.raises(ValueError, match="has no column Score"):
        as_text(pl.DataFrame({"Score": ["1"]}), TEST_GRADE)


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (PLAIN, b'StateID,TestName,TestDate\n1,SAT\n2,"ACT, again",a\n3\n'),
        (
            Dialect(line_end="\r\n"),
            b'StateID,TestName,TestDate\r\n1,SAT\r\n2,"ACT, again",a\r\n3\r\n',
        ),
        (Dialect(separator="^"), b"StateID^TestName^TestDate\n1^SAT\n2^ACT, again^a\n3\n"),
    ],
)
def test_short_lines_lack_exactly_their_last_cells(
    tmp_path: Path, dialect: Dialect, expected: bytes
) -> None:
    file = FeedFile(tmp_path / "tests.csv", TEST_GRADE, dialect)
    file.append(ROWS, short=np.array([0, 2]), missing=np.array([1, 2]))
    assert file.path.read_bytes() == expected


def test_a_file_grows_block_by_block_under_one_header(tmp_path: Path) -> None:
    file = FeedFile(tmp_path / "tests.csv", TEST_GRADE, Dialect(byte_order_mark=True))
    file.append(ROWS.clear())
    assert not file.path.exists()
    file.append(ROWS.head(1))
    file.append(ROWS.tail(1))
    assert file.lines == 2
    assert file.path.read_text(encoding="utf-8") == (
        "\ufeffStateID,TestName,TestDate\n1,SAT,a\n3,José,a\n"
    )


def test_a_new_file_replaces_an_old_one(tmp_path: Path) -> None:
    for _ in range(2):
        file = FeedFile(tmp_path / "tests.csv", TEST_GRADE)
        file.append(ROWS)
    assert len(file.path.read_text(encoding="utf-8").splitlines()) == 4


def test_about_one_district_in_eight_sends_carets() -> None:
    separators = [dialect_of(ordinal).separator for ordinal in range(800)]
    assert separators.count("^") == 100
    assert dialect_of(0) == dialect_of(1) == PLAIN
