"""What is kept of the answers: nothing twice, nothing lost, changed applications anew.

Run as a program, it claims the first application of the frame and waits to be killed::

    python test_backlog.py FOLDER
"""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unicodedata import normalize

import polars as pl
import pytest

from ccgi_pipeline.common.errors import UnexpectedError
from ccgi_pipeline.ssid_lookup.backlog import (
    ANSWER_SCHEMA,
    APPLICATION_SCHEMA,
    REQUEST_FIELDS,
    AnswerKind,
    Backlog,
    FaultReply,
    MatchedReply,
    NoStudentReply,
    NotAskedReply,
    build_questions,
)
from ccgi_pipeline.ssid_lookup.contract import LOOKUP_FIELDS
from ccgi_pipeline_tests.ssid_lookup.people import HAYWARD_HIGH

_PROJECT = Path(__file__).parents[2]
_NOW = 1_800_000_000.25


def applications(number: int = 4) -> pl.DataFrame:
    rows = [
        (f"app-{place}", f"ABC{place:04d}", "Marisol", "de la Cruz", date(2008, 4, 9), HAYWARD_HIGH)
        for place in range(number)
    ]
    return pl.DataFrame(rows, schema=APPLICATION_SCHEMA, orient="row")


def keys(frame: pl.DataFrame) -> list[tuple[str, bytes]]:
    return [question.key for question in build_questions(frame)]


@pytest.fixture
def backlog(tmp_path: Path) -> Iterator[Backlog]:
    with closing(Backlog(tmp_path, lambda: _NOW)) as opened:
        yield opened


def test_every_kind_of_answer_is_kept_as_it_was_given(backlog: Backlog):
    frame = applications(5)
    replies = [
        MatchedReply("0123456789"),
        NoStudentReply(),
        FaultReply(("LastName", "CDSCode")),
        NotAskedReply(("CCCID",)),
    ]
    backlog.store(list(zip(keys(frame), replies, strict=False)))
    answers = backlog.read_answers(frame.reverse())
    at = datetime.fromtimestamp(_NOW, tz=UTC)
    assert answers.schema == ANSWER_SCHEMA
    assert answers.rows() == [
        ("app-3", "not_asked", None, ["CCCID"], at),
        ("app-2", "fault", None, ["LastName", "CDSCode"], at),
        ("app-1", "no_student", None, [], at),
        ("app-0", "matched", "0123456789", [], at),
    ]
    assert backlog.select_pending(frame).equals(frame.tail(1))
    assert backlog.count_answers() == dict.fromkeys(AnswerKind, 1)


def test_nothing_is_known_of_no_applications(backlog: Backlog):
    frame = applications(0)
    assert backlog.read_answers(frame).schema == ANSWER_SCHEMA
    assert backlog.select_pending(frame).equals(frame)
    assert backlog.count_answers() == dict.fromkeys(AnswerKind, 0)


def test_answers_outlive_the_process_and_the_first_one_stays(tmp_path: Path, backlog: Backlog):
    frame = applications(1)
    backlog.store([(keys(frame)[0], MatchedReply("0123456789"))])
    backlog.store([(keys(frame)[0], NoStudentReply())])
    with closing(Backlog(tmp_path)) as again:
        assert again.read_answers(frame)["SSID"].to_list() == ["0123456789"]


@pytest.mark.parametrize("column", REQUEST_FIELDS)
def test_an_application_that_was_changed_waits_again(backlog: Backlog, column: str):
    frame = applications(1)
    backlog.store([(keys(frame)[0], NoStudentReply())])
    other = date(2008, 4, 10) if column == "birthdate" else "other"
    changed = frame.with_columns(pl.lit(other).alias(column))
    assert backlog.select_pending(changed).equals(changed)
    assert backlog.read_answers(changed).is_empty()
    assert backlog.select_pending(frame).is_empty()


def test_blanks_around_a_value_and_further_columns_are_no_change(backlog: Backlog):
    frame = applications(1)
    backlog.store([(keys(frame)[0], NoStudentReply())])
    padded = frame.with_columns(("\u00a0" + pl.col("firstname") + " "), college=pl.lit("Chabot"))
    assert backlog.select_pending(padded).is_empty()


def test_an_application_whose_accents_are_stored_in_another_way_is_not_asked_again(
    backlog: Backlog,
):
    names = {form: pl.lit(normalize(form, "Zoë")).alias("firstname") for form in ("NFC", "NFD")}
    frame = applications(1).with_columns(names["NFC"])
    backlog.store([(keys(frame)[0], NoStudentReply())])
    assert backlog.select_pending(frame.with_columns(names["NFD"])).is_empty()


def test_what_is_asked_is_what_the_contract_requires():
    assert set(REQUEST_FIELDS.values()) == {spec.name for spec in LOOKUP_FIELDS if spec.required}
    (question,) = build_questions(applications(1))
    request = question.request
    assert (request.first_name, request.last_name) == ("Marisol", "de la Cruz")
    assert (request.birth_date, request.cds_code) == ("2008-04-09", HAYWARD_HIGH)
    assert (request.cccid, request.ssid) == ("ABC0000", None)


@pytest.mark.parametrize(("column", "name"), REQUEST_FIELDS.items())
def test_missing_fields_are_named_as_the_contract_names_them(column: str, name: str):
    dtype = APPLICATION_SCHEMA[column]
    without = applications(1).with_columns(pl.lit(None, dtype).alias(column))
    assert build_questions(without)[0].missing == (name,)
    blank = (
        applications(1).with_columns(pl.lit(" \t").alias(column)) if name != "BirthDate" else None
    )
    assert blank is None or build_questions(blank)[0].missing == (name,)


@pytest.mark.parametrize("between", ["X", "\x1f", '"', '", "', "\\"])
def test_no_value_can_be_taken_for_a_part_of_the_next_one(between: str):
    names = [(f"Ana{between}", "Maria"), ("Ana", f"{between}Maria"), ("Ana", f"Ma{between}ria")]
    digests = {
        keys(applications(1).with_columns(firstname=pl.lit(first), lastname=pl.lit(last)))[0]
        for first, last in names
    }
    assert len(digests) == 3


def test_a_question_can_be_claimed_once_until_it_is_released_or_answered(
    tmp_path: Path, backlog: Backlog
):
    first, second, *_ = keys(applications())
    with closing(Backlog(tmp_path)) as other:
        assert backlog.claim(first)
        assert not other.claim(first)
        assert other.claim(second)
        backlog.release(first)
        assert other.claim(first)
        other.store([(first, NoStudentReply())])
        other.release(first)
        assert not backlog.claim(first)
        assert backlog.is_answered(first)
        assert not backlog.claim(second)
    assert backlog.claim(second)


def test_an_answer_of_a_clock_that_was_ahead_is_deleted_by_its_age_one_day(tmp_path: Path):
    begins = datetime(2026, 11, 30, tzinfo=UTC)
    times = {"now": begins + timedelta(days=3650)}

    def tell() -> float:
        return times["now"].timestamp()

    (key,) = keys(applications(1))
    with closing(Backlog(tmp_path, tell)) as backlog:
        backlog.store([(key, NoStudentReply())])
        times["now"] = begins
        assert backlog.delete_before(begins.date()) == 0
        times["now"] = begins + timedelta(days=30)
        assert backlog.delete_before(begins.date()) == 0
        assert backlog.delete_before((begins + timedelta(days=1)).date()) == 1


def test_the_claims_of_a_killed_process_end_with_it(tmp_path: Path, backlog: Backlog):
    (key,) = keys(applications(1))
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(tmp_path)], cwd=_PROJECT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        assert not backlog.claim(key)
        process.kill()
        process.wait()
    assert backlog.claim(key)


def test_nothing_shows_a_value_and_the_files_are_their_owners_alone(
    tmp_path: Path, backlog: Backlog
):
    (question,) = build_questions(applications(1))
    for shown in (repr(question), repr(MatchedReply("0123456789")), repr(backlog)):
        for value in ("Marisol", "Cruz", "2008", HAYWARD_HIGH, "ABC0000", "0123456789", "app-0"):
            assert value not in shown
    backlog.store([(question.key, MatchedReply("0123456789"))])
    for file in [*tmp_path.glob("asked.sqlite*"), tmp_path / "asked.claims"]:
        assert file.name.endswith(".opening") or not stat.S_IMODE(file.stat().st_mode) & 0o077


def test_a_frame_of_another_shape_is_refused_without_its_values(backlog: Backlog):
    text = applications(1).with_columns(pl.lit("9 April 2008").alias("birthdate"))
    with pytest.raises(UnexpectedError) as refused:
        backlog.select_pending(text)
    assert "April" not in str(refused.value)


def main() -> None:
    """Claims and waits."""
    with closing(Backlog(Path(sys.argv[1]))) as backlog:
        backlog.claim(keys(applications(1))[0])
        sys.stdout.write("claimed\n")
        sys.stdout.flush()
        time.sleep(60)


if __name__ == "__main__":
    main()
