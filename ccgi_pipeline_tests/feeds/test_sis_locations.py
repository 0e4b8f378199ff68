"""Where student information systems keep a column's value: every entry can be followed up."""

from __future__ import annotations

import re

import pytest

from ccgi_pipeline.feeds import sis_locations
from ccgi_pipeline.feeds.registry import DISTRICT_FEEDS, FEEDS_BY_NAME

KNOWN = list(sis_locations.known_columns())


@pytest.mark.parametrize(("feed", "column"), KNOWN)
def test_every_entry_names_a_column_a_system_a_place_and_a_source(feed: str, column: str):
    assert column in FEEDS_BY_NAME[feed].columns
    places = sis_locations.places(feed, column)
    assert places
    assert {place.system for place in places} <= set(sis_locations.SYSTEMS)
    assert len({place.system for place in places}) == len(places)
    for place in places:
        assert place.where == place.where.strip(" .")
        assert re.search(r"[a-z]+\.(com|org)\b|public repository", place.source)


def test_no_column_is_named_twice():
    assert len(set(KNOWN)) == len(KNOWN)


def test_only_districts_keep_student_information_systems():
    assert {feed for feed, _ in KNOWN} <= {feed.name for feed in DISTRICT_FEEDS}


@pytest.mark.parametrize("feed", ["transcript_student", "transcript_course_grade"])
def test_of_the_columns_that_are_needed_most_is_known_somewhere(feed: str):
    needed = [
        name
        for name, column in FEEDS_BY_NAME[feed].columns.items()
        if column.requirement in {"required", "recommended"}
    ]
    assert [name for name in needed if not sis_locations.places(feed, name)] == []


def test_of_an_unknown_column_nothing_is_said():
    assert sis_locations.places("transcript_student", "NSLP") == ()
    assert sis_locations.places("oneroster_users", "givenName") == ()
    assert sis_locations.places("nowhere", "StateID") == ()
