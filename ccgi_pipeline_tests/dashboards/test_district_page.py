"""What the page of a district says, by facts that are made up.

Belongs here: words and figures. Does not belong here: how it looks (test_pages_in_a_browser), facts
of nights (test_pages_of_nights).
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from html import unescape

import pytest

from ccgi_pipeline.dashboards.district_facts import group_by_week
from ccgi_pipeline.dashboards.district_page import describe_district
from ccgi_pipeline.profiles import ContactProfile
from ccgi_pipeline_tests.dashboards.made_facts import (
    ON,
    district,
    drop,
    funnel_row,
    outcome,
    page_of,
)


def told(page: str) -> str:
    """The page's text, without its markup."""
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


def test_it_says_what_to_do_with_each_newest_delivery_that_needs_somebody():
    good = drop(1, "accepted", family="oneroster", newest=True, recent=False)
    bad = drop(2, "accepted_with_findings", newest=True)
    text = told(
        page_of(
            district(
                drops=[good, bad],
                outcomes={
                    good["drop_id"]: outcome({"inserted": 120}, findings=False),
                    bad["drop_id"]: outcome({"inserted": 117, "rejected": 3}),
                },
            )
        )
    )
    now = text[text.index("What to do now") : text.index("What arrived Delivery")]
    assert "117 of 120 lines were loaded. 3 lines were not, because of errors." in now
    assert "Correct what is marked “Must fix” in your student information system" in now
    assert "OneRoster" not in now


def test_it_says_that_there_is_nothing_to_do():
    good = drop(1, "accepted", newest=True)
    facts = district(
        drops=[good], outcomes={good["drop_id"]: outcome({"inserted": 120}, findings=False)}
    )
    assert "Nothing. What arrived was loaded" in told(page_of(facts))


def test_a_fault_of_the_pipeline_is_not_laid_on_the_district():
    broken = drop(1, "rejected", newest=True)
    facts = district(
        drops=[broken], outcomes={broken["drop_id"]: outcome({"rejected": 120}, fault=True)}
    )
    text = told(page_of(facts))
    assert "What to do now Nothing" in text
    assert "Must fix" not in text


def test_a_receipt_that_is_not_there_is_not_linked():
    facts = district()
    stems = [f"{one['night']:%Y%m%d}_transcript_{one['drop_id']}" for one in facts.drops]
    shown = describe_district(facts, ContactProfile(), [f"{stems[-1]}.html"])
    assert shown["strip"][-1]["receipt"] == f"{stems[-1]}.html"
    assert all(one["receipt"] is None for one in shown["strip"][:-1])


def test_the_contact_is_the_operators_and_there_may_be_none():
    assert "support@example.org" in page_of(district())
    assert "Ask your contact at CCGI." in told(page_of(district(), ContactProfile()))


def test_reports_have_their_day_and_their_rows():
    text = told(page_of(district()))
    assert (
        "Account registrations legacy reporting/account registrations November 22, 2026 40 40"
        in text
    )


def test_where_small_cells_are_hidden_no_row_of_a_detail_file_is_counted():
    text = told(page_of(district(hides=True)))
    folder = "legacy reporting/account registrations"
    assert f"{folder} November 22, 2026 40 \u2013" in text


def test_sums_are_of_the_schools_that_show_their_counts():
    rows = [
        funnel_row("Large", "12", students=200, registered=150),
        funnel_row("Small", "12", students=None, registered=None),
        funnel_row("Hidden", "12", students=90, registered=None),
    ]
    text = told(page_of(district(funnel=rows, hides=True)))
    assert "have an account at CaliforniaColleges.edu 75 % 75 % 150 of 200, 1 of 3 schools" in text
    assert "Hidden 90 \u2013 60 40 50 30" in text
    assert "Small \u2013 \u2013" in text


def test_grades_below_high_school_are_not_counted_for_a_g():
    rows = [funnel_row("Middle", grade) for grade in ("06", "08", "09", "UE")]
    text = told(page_of(district(funnel=rows)))
    assert "Grade 9 70 %" in text
    assert "Grade 6" not in text
    assert "The roster has no student in grade 12." in text


def test_the_same_facts_make_the_same_bytes_whatever_the_day():
    later = district(on=ON + timedelta(days=200))
    assert page_of(district()) == page_of(later)


def test_many_nights_are_added_up_by_week():
    nights = [
        {"night": ON - timedelta(days=back), "lines": 10, "kept_out": 1}
        for back in reversed(range(90))
    ]
    weeks = group_by_week(nights)
    assert sum(week["lines"] for week in weeks) == 900
    assert {week["night"].weekday() for week in weeks} == {0}
    assert group_by_week(nights[:60]) == nights[:60]
    assert "Lines kept out, by week" in told(page_of(district(lines=nights)))


def test_one_night_is_no_chart_but_a_table():
    facts = district(
        drops=[drop(1, "accepted", newest=True)],
        sizes=[{"night": ON, "students": 7}],
        lines=[{"night": ON, "lines": 9, "kept_out": 0}],
    )
    page = page_of(facts)
    assert '<svg xmlns="http://www.w3.org/2000/svg" class="marks"' not in page
    assert "7 students since November 22, 2026." in told(page)


def test_the_curve_goes_on_to_the_newest_night():
    sizes = [{"night": date(2026, 9, 1), "students": 7}]
    shown = describe_district(district(sizes=sizes), ContactProfile(), [])
    points = shown["charts"][0]["points"]
    assert [point["night"] for point in points] == ["2026-09-01", f"{ON}"]
    assert [point["value"] for point in points] == [7, 7]


@pytest.mark.parametrize(
    ("count", "whole", "shown"),
    [
        (7, 16, "44 %"),
        (0, 3, "0 %"),
        (1, 1000, "1 %"),
        (999, 1000, "99 %"),
        (3, 3, "100 %"),
    ],
)
def test_a_percentage_is_rounded_and_only_all_are_a_hundred(
    count: int, whole: int, shown: str
) -> None:
    row = funnel_row("High", "12", students=whole, registered=count)
    assert f"{shown} {count:,} of {whole:,}" in told(page_of(district(funnel=[row])))
