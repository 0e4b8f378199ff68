"""What the page of the state says, by made-up facts: who needs a call, and how nights go."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from ccgi_pipeline.dashboards.state_facts import find_reasons, rank_errors
from ccgi_pipeline.monitoring.district_status import DistrictStatus
from ccgi_pipeline_tests.dashboards.made_facts import ON, state, state_page_of
from ccgi_pipeline_tests.dashboards.test_district_page import told

SIZES = [{"night": ON, "students": 100}]


def status(verdict: str = "accepted", *, kept_out: int = 0, days: int = 0, waiting: int = 0):
    night = ON - timedelta(days=days)
    return DistrictStatus(
        "3367173", "", "transcript", night, days, verdict, 100, kept_out, None, waiting
    )


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (status("rejected"), "rejected since November 22, 2026"),
        (status("held"), "on hold since November 22, 2026"),
        (status(), "11 of 100 lines not loaded, because of errors"),
        (status(days=31), "nothing has arrived for 31 days"),
        (status(waiting=1), "1 file waits to be sent"),
    ],
)
def test_a_district_needs_a_call_for_a_reason(facts: DistrictStatus, reason: str):
    rejected = {"transcript": 11} if "errors" in reason else {}
    (told_reason,) = find_reasons([facts], SIZES, rejected, in_year=True)
    assert told_reason.endswith(reason)


def test_a_district_that_does_well_needs_none():
    some = {"transcript": 10}
    assert find_reasons([status(kept_out=90, days=30)], SIZES, some, in_year=True) == []
    assert find_reasons([status(days=80)], SIZES, {}, in_year=False) == []


def test_an_empty_roster_is_a_reason():
    emptied = [*SIZES, {"night": ON + timedelta(days=1), "students": 0}]
    assert find_reasons([status()], emptied, {}, in_year=True) == [
        "no student is on the roster any more"
    ]


def test_rules_that_occur_less_are_added_up():
    day = date(2026, 11, 1)
    rows = [
        {"night": day, "rule": rule, "places": places}
        for rule, places in (("A", 9), ("B", 5), ("C", 2), ("D", 1))
    ]
    points, kinds = rank_errors(rows, 2)
    assert kinds == ["A", "B", "other rules"]
    assert [(point["kind"], point["value"]) for point in points] == [
        ("A", 9), ("B", 5), ("other rules", 3),
    ]  # fmt: skip


def test_the_page_counts_and_names_districts_by_county():
    facts = state(12)
    page = state_page_of(facts)
    text = told(page)
    assert "12 districts" in text
    assert f"{sum(row.sizes[-1]['students'] for row in facts.districts):,} students" in text
    assert page.count("data-name=") == 12
    assert page.index("Alameda County") < page.index("Kern County") < page.index("San Diego County")
    called = [row for row in facts.districts if row.reasons]
    assert f"{len(called)} need a call" in text
    assert "Look-ups that found an SSID" in text
    assert "Seconds that a night took" in text


def test_of_a_day_that_was_made_twice_the_longer_night_counts():
    facts = state(1)
    text = told(state_page_of(facts))
    longest = max(night.seconds for night in facts.nights)
    assert f"{longest:,.0f} s the longest" in text


@pytest.mark.slow
def test_a_thousand_districts_are_a_light_page():
    page = state_page_of(state(1_000))
    assert page.count("data-name=") == 1_000
    assert len(page.encode()) < 3_000_000
