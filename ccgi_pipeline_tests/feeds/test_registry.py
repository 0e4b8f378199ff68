"""Which feed a file is, by its name or by its header.

Belongs here: recognition and dates in names. What follows from a recognised feed is tested where
files are read.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from ccgi_pipeline.feeds.columns import Requirement
from ccgi_pipeline.feeds.file_dates import date_in_name
from ccgi_pipeline.feeds.file_rules import FILE_RULES
from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS, RULES, feed_by_header, feed_by_name
from ccgi_pipeline.feeds.spec import FeedSpec, fold

_STEMS = [(feed, stem) for feed in FEEDS for stem in feed.stems]


@pytest.mark.parametrize(("feed", "stem"), _STEMS, ids=[stem for _, stem in _STEMS])
@pytest.mark.parametrize(
    "form",
    [
        "{stem}.csv",
        "{stem}.TXT",
        "{stem}_20261120.csv",
        "20261120_{stem}.csv",
        "PalmSprings_{stem}_2026-11-20.csv",
        "Palm Springs Unified {stem} 2026_11_20.csv",
        "folder/of.a/{stem}.csv",
    ],
)
@pytest.mark.parametrize(
    "spelled",
    [str, str.upper, lambda stem: stem.replace(" ", "_")],
    ids=["as it is", "upper case", "underscores"],
)
def test_a_file_is_recognised_by_its_usual_name_with_district_and_date(
    feed: FeedSpec, stem: str, form: str, spelled: Callable[[str], str]
):
    assert feed_by_name(form.format(stem=spelled(stem)), FAMILIES[feed.family].feeds) is feed


@pytest.mark.parametrize(("feed", "stem"), _STEMS, ids=[stem for _, stem in _STEMS])
def test_a_name_that_two_families_have_speaks_of_neither(feed: FeedSpec, stem: str):
    families = {other.family for other, known in _STEMS if fold(known) == fold(stem)}
    assert feed_by_name(f"{stem}_20261120.csv") is (feed if len(families) == 1 else None)


def test_the_names_that_two_families_have_are_few():
    names = [name for _, name in {(feed.name, fold(stem)) for feed, stem in _STEMS}]
    assert {name for name in names if names.count(name) > 1} == {"manifest", "demographics"}


@pytest.mark.parametrize("name", ["Notes.csv", "StudentTemplate.csv.bak.old", ".csv", "20261120"])
def test_a_name_that_speaks_of_no_feed_is_not_recognised(name: str):
    assert feed_by_name(name) is None


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("StudentTemplate_20261120.csv", "20261120"),
        ("2026-11-20 StudentTemplate.csv", "20261120"),
        ("2026_11_20_StudentTemplate.csv", "20261120"),
        ("StudentTemplate.csv", ""),
        ("StudentTemplate_33671732026112.csv", ""),
        ("StudentTemplate_120261120.csv", ""),
    ],
)
def test_a_date_in_a_name_is_eight_digits_that_stand_alone(name: str, digits: str):
    assert date_in_name(name) == digits


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_full_header_is_recognised_in_any_order_and_case(feed: FeedSpec):
    header = [name.upper() for name in reversed(list(feed.columns))]
    assert feed_by_header(header) is feed


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.name)
def test_a_header_without_a_required_column_is_no_feeds(feed: FeedSpec):
    required = [
        name
        for name, column in feed.columns.items()
        if column.requirement is Requirement.REQUIRED and not column.editions
    ]
    others = [name for name in feed.columns if name != required[-1]]
    assert feed_by_header(others) is not feed


def test_a_line_of_a_pupil_is_no_header():
    assert feed_by_header(["33671733335130", "0000000001", "José", "Núñez", "03/01/2010"]) is None


def test_rules_are_found_one_by_one_as_they_stand_together() -> None:
    together = {
        **{rule.id: rule for rule in FILE_RULES},
        **{rule.id: rule for family in FAMILIES.values() for rule in family.rules},
        **{rule.id: rule for feed in FEEDS for rule in feed.all_rules.values()},
    }
    assert [*RULES] == [*together]
    assert len(RULES) == len(together)
    assert all(RULES[rule_id] is rule for rule_id, rule in together.items())
    assert "FF-ENR-REQ-Former" not in RULES


def test_the_rules_of_one_column_need_no_other_feed() -> None:
    """A start of the command would take a tenth longer if each feed were prepared."""
    script = (
        "from ccgi_pipeline.feeds.registry import FEEDS, RULES\n"
        "import ccgi_pipeline.verification.offline_check\n"
        "RULES['OR-ENR-REQ-sourcedId']\n"
        "print([feed.name for feed in FEEDS if 'schema' in vars(feed)])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['oneroster_enrollments']"
