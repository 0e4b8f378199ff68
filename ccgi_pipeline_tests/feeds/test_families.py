"""What families declare is found where it is named.

Belongs here: senders, names of steps and of checks. Does not belong here: what the steps do.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from ccgi_pipeline.defs.feeds import TABLE_CHECKS
from ccgi_pipeline.feeds import cccapply, oneroster
from ccgi_pipeline.feeds.registry import (
    DISTRICT_FAMILIES,
    EVENT_FEEDS,
    FAMILIES,
    FEEDS,
    FEEDS_BY_NAME,
    STATEWIDE_SENDERS,
    families_before,
)
from ccgi_pipeline.nightly.load import AFTER_LOAD
from ccgi_pipeline.verification.oneroster_sets import JUDGED_AS_SETS
from ccgi_pipeline.warehouse.load.link_steps import LINK_STEPS
from ccgi_pipeline.warehouse.storage.schema import all_tables


def test_every_step_that_a_family_names_is_in_its_table_and_none_is_left_over():
    assert {step for family in FAMILIES.values() for step in family.after_load} == set(AFTER_LOAD)
    links = [family.link for family in FAMILIES.values() if family.link]
    assert {link.step for link in links} == set(LINK_STEPS)
    assert {link.register for link in links} <= set(FAMILIES)
    with_rules = {family.name for family in FAMILIES.values() if family.drop_rules}
    assert with_rules == JUDGED_AS_SETS == {oneroster.NAME}


def test_every_check_that_a_feed_names_is_in_its_table_and_none_is_left_over():
    assert {name for feed in FEEDS for name in feed.checks} == set(TABLE_CHECKS)


def test_what_keeps_records_is_a_table_with_these_columns():
    tables = all_tables()
    for kept in (feed.kept_while for feed in FEEDS if feed.kept_while):
        needed = {*kept.columns.values(), *(["_sender"] if kept.same_sender else [])}
        assert needed <= set(tables[kept.table])


def test_files_that_a_family_requires_are_its_own():
    for family in FAMILIES.values():
        for name in family.required_files:
            assert FEEDS_BY_NAME[name] in family.feeds


def test_a_family_is_sent_by_districts_or_by_one_sender():
    assert set(DISTRICT_FAMILIES) | set(STATEWIDE_SENDERS.values()) == set(FAMILIES)
    assert set(DISTRICT_FAMILIES) & set(STATEWIDE_SENDERS.values()) == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_families_stand_after_those_that_they_look_up(family: str):
    order = list(FAMILIES)
    assert all(order.index(before) < order.index(family) for before in families_before(family))


def test_no_two_feeds_have_one_name_for_reports():
    names = [feed.view for feed in EVENT_FEEDS]
    assert len(names) == len({*names, *FEEDS_BY_NAME}) - len(FEEDS_BY_NAME)


def test_a_family_refuses_a_feed_of_another_one():
    with pytest.raises(ValueError, match="cccapply_applications"):
        replace(oneroster.FAMILY, feeds=cccapply.FEEDS)
