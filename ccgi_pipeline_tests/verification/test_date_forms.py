"""One form of dates per file: the one in which most of its dates are written.

Belongs here: which form a Foster Focus extract is taken to have, and what becomes of dates in
another one. A day and a month are never guessed from the numbers: 10/11/2026 is 11 October, and
31/12/2026 is no date. Does not belong here: single dates of feeds that allow both forms in one file
(test_parsing).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest

from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.foster_focus import ATTENDANCE_PERIODS, DEMOGRAPHICS, FAMILY, FEEDS
from ccgi_pipeline.feeds.spec import SENDER, FeedSpec
from ccgi_pipeline.verification.outcomes import Verification
from ccgi_pipeline_tests.files import (
    as_bytes,
    broken_rules,
    good_lines,
    good_set,
    outcome,
    usual_name,
    verified,
    verified_together,
)

PERIODS = usual_name(ATTENDANCE_PERIODS)
ISO, AMERICAN = "%Y-%m-%d", "%m/%d/%Y"
DAYS = [date(2026, 9, day) for day in (1, 2, 3, 4, 8, 9)]


def _dated(cells: Sequence[str]) -> bytes:
    """Attendance periods with these dates, line by line."""
    lines = good_lines(ATTENDANCE_PERIODS, len(cells))
    return as_bytes(
        ATTENDANCE_PERIODS,
        [{**line, "SchoolDate": cell} for line, cell in zip(lines, cells, strict=True)],
    )


def _verified(*cells: str) -> Verification:
    return verified({PERIODS: _dated(cells)}, FAMILY.name)


def _loaded(verification: Verification) -> list[date]:
    return verification.accepted[ATTENDANCE_PERIODS.name]["SchoolDate"].to_list()


def _refused(verification: Verification) -> list[int | None]:
    """The lines whose date is told to be of the wrong form; nothing else may be found."""
    found = broken_rules(verification)
    assert {place[1] for place in found} <= {"FF-ATP-TYPE-SchoolDate"}
    return [line for *_, line, _ in found]


@pytest.mark.parametrize("form", [ISO, AMERICAN])
def test_all_dates_may_have_either_form(form: str):
    verification = _verified(*(day.strftime(form) for day in DAYS))
    assert _refused(verification) == []
    assert _loaded(verification) == DAYS


@pytest.mark.parametrize(("most", "few"), [(ISO, AMERICAN), (AMERICAN, ISO)])
def test_the_form_of_most_dates_is_that_of_the_file(most: str, few: str):
    forms = [few, most, most, few, most, most]
    cells = [day.strftime(form) for day, form in zip(DAYS, forms, strict=True)]
    verification = _verified(*cells)
    assert _refused(verification) == [2, 5]
    assert _loaded(verification) == [DAYS[n] for n in (1, 2, 4, 5)]
    assert outcome(verification, PERIODS)["rejected"] == 2


def test_where_both_forms_are_as_many_that_of_the_specification_s_country_stands():
    verification = _verified("2026-09-01", "09/02/2026")
    assert _refused(verification) == [2]
    assert _loaded(verification) == [date(2026, 9, 2)]


def test_the_dates_of_all_columns_are_counted_together():
    *others, last = good_lines(DEMOGRAPHICS)
    lines = [*others, {**last, "Birthdate": "01/11/2010", "ExitDate": "06/11/2027"}]
    name = usual_name(DEMOGRAPHICS)
    found = broken_rules(verified({name: as_bytes(DEMOGRAPHICS, lines)}, FAMILY.name))
    assert found == [
        (name, "FF-DEM-TYPE-Birthdate", 7, "Birthdate"),
        (name, "FF-DEM-TYPE-ExitDate", 7, "ExitDate"),
    ]


def test_files_of_one_night_have_each_their_own_form():
    american = _dated([day.strftime(AMERICAN) for day in DAYS])
    iso = _dated([day.strftime(ISO) for day in DAYS])
    same_drop = verified({f"one_{PERIODS}": american, f"two_{PERIODS}": iso}, FAMILY.name)
    assert same_drop.files["rejected"].to_list() == [0, 0]
    assert _loaded(same_drop) == [*DAYS, *DAYS]


def test_senders_of_one_night_have_each_their_own_form():
    sent = {
        sender: {
            PERIODS: as_bytes(
                ATTENDANCE_PERIODS,
                [
                    {**line, "SchoolDate": day.strftime(form)}
                    for line, day in zip(
                        good_lines(ATTENDANCE_PERIODS, sender=sender), DAYS, strict=True
                    )
                ],
            )
        }
        for sender, form in (("3300001", ISO), ("3300002", AMERICAN))
    }
    verification = verified_together(sent, FAMILY.name)
    assert broken_rules(verification) == []
    by_sender = verification.accepted[ATTENDANCE_PERIODS.name].group_by(SENDER).len()
    assert dict(by_sender.iter_rows()) == {"3300001": 6, "3300002": 6}


def test_a_day_is_never_taken_for_a_month():
    verification = _verified("09/13/2026", "10/11/2026", "13/09/2026", "31/12/2026")
    assert _refused(verification) == [4, 5]
    assert _loaded(verification) == [date(2026, 9, 13), date(2026, 10, 11)]


def test_a_file_of_days_before_months_is_not_guessed_either():
    cells = [day.strftime("%d/%m/%Y") for day in (date(2026, 9, 14), date(2026, 9, 15))]
    verification = _verified(*cells)
    assert _refused(verification) == [2, 3]
    assert _loaded(verification) == []


@pytest.mark.parametrize(
    "cell",
    [
        "09/01/26",
        "9/1/26",
        "26-09-01",
        "0026-09-01x",
        "2026/09/01",
        "2026-9-1",
        "20260901",
        "2026-09-01 00:00",
        "1 Sep 2026",
        "2026-02-30",
        "\uff12026-09-01",
    ],
)
def test_another_form_is_refused(cell: str):
    good = ["2026-09-01", "2026-09-02", "2026-09-03"]
    assert _refused(_verified(*good, cell)) == [5]


@pytest.mark.parametrize("cells", [["09/01/26"] * 3, ["26-09-01"] * 3], ids=str)
def test_two_digit_years_are_refused_even_in_a_file_of_nothing_else(cells: list[str]):
    assert _refused(_verified(*cells)) == [2, 3, 4]


def test_one_digit_of_day_and_month_is_enough_with_slashes():
    assert _loaded(_verified("9/1/2026", "09/02/2026")) == DAYS[:2]


def test_blank_dates_belong_to_either_form():
    lines = [{**line, "ExitDate": ""} for line in good_lines(DEMOGRAPHICS)]
    name = usual_name(DEMOGRAPHICS)
    verification = verified({name: as_bytes(DEMOGRAPHICS, lines)}, FAMILY.name)
    assert {place[1] for place in broken_rules(verification)} == {"FF-DEM-REQ-ExitDate"}
    loaded = verification.accepted[DEMOGRAPHICS.name]
    assert loaded["ExitDate"].null_count() == loaded.height == len(lines)
    assert loaded["EntryDate"].null_count() == 0


def _dates(feed: FeedSpec) -> list[str]:
    return [name for name, column in feed.columns.items() if column.type is ColumnType.DATE]


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_file_without_any_date_loses_no_line_from_sight(feed: FeedSpec):
    dates = _dates(feed)
    blank = dict.fromkeys(dates, "")
    name = usual_name(feed)
    content = as_bytes(feed, [{**line, **blank} for line in good_lines(feed)])
    verification = verified({name: content}, FAMILY.name)
    file = outcome(verification, name)
    assert file["accepted"] + file["rejected"] == file["lines"] == 6
    assert not {place[1] for place in broken_rules(verification) if "-TYPE-" in place[1]}
    loaded = verification.accepted[feed.name]
    assert all(loaded[column].null_count() == loaded.height for column in dates)


@pytest.mark.parametrize("feed", list(filter(_dates, FEEDS)), ids=lambda feed: feed.name)
def test_every_extract_with_dates_may_be_written_the_american_way(feed: FeedSpec):
    dates = _dates(feed)

    def american(name: str, cell: str) -> str:
        return date.fromisoformat(cell).strftime(AMERICAN) if name in dates else cell

    lines = [
        {name: american(name, cell) for name, cell in line.items()} for line in good_lines(feed)
    ]
    name = usual_name(feed)
    assert (
        broken_rules(verified({**good_set(FAMILY.name), name: as_bytes(feed, lines)}, FAMILY.name))
        == []
    )
