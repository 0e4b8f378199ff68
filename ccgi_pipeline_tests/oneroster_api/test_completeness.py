"""Whether pages make a whole: lists of ids as servers might send them, without any HTTP."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccgi_pipeline.oneroster_api.completeness import Completeness, Unconfirmed


def take(pages: list[list[str]], *totals: int | None) -> Completeness:
    """Takes pages; of the totals the last one is said with all pages that follow."""
    completeness = Completeness()
    said = [*totals] or [None]
    for number, page in enumerate(pages):
        completeness.take(pl.Series(page, dtype=pl.String), said[min(number, len(said) - 1)])
    return completeness


def test_pages_that_each_begin_with_the_last_record_are_a_whole() -> None:
    whole = take([["a", "b", "c"], ["c", "d"], ["d"]], 4)
    assert whole.ended
    assert whole.taken == 4


def test_a_collection_without_records_is_a_whole() -> None:
    assert take([[]]).ended
    assert take([[]], 0).ended


def test_the_next_page_begins_at_the_last_record() -> None:
    assert take([["a", "b", "c"]]).offset == 2


def test_a_short_page_is_not_the_end() -> None:
    assert not take([["a", "b", "c"], ["c", "d"]]).ended


def test_a_server_that_sends_single_records_is_read_to_an_empty_page() -> None:
    one = take([["a"], ["b"], []])
    assert one.ended
    assert one.taken == 2


@pytest.mark.parametrize(
    ("pages", "totals", "said"),
    [
        ([["a", "b"], []], (), "an empty page came after 2 records"),
        ([["a", "b"], ["a", "b"]], (), "does not begin where the last ended"),
        ([["a", "b", "c"], ["d", "e"]], (), "does not begin where the last ended"),
        ([["a", "b"], ["b"]], (3,), "2 records came, and the server says that there are 3"),
        ([["a", "b"], ["b", "c"]], (2,), "3 records came, and the server says that there are 2"),
        ([["a", "b"], ["b", "c"]], (3, 2), "the total changed from 3 to 2"),
        ([["a", "b"], ["b", "a"], ["a"]], (), "1 records came twice"),
        ([[]], (5,), "0 records came, and the server says that there are 5"),
    ],
)
def test_every_sign_that_records_are_missing_is_told(
    pages: list[list[str]], totals: tuple[int, ...], said: str
) -> None:
    with pytest.raises(Unconfirmed, match=said):
        take(pages, *totals)


def test_a_second_look_that_finds_other_records_or_another_total_is_told() -> None:
    whole = take([["a", "b"], ["b"]], 2)
    whole.confirm(pl.Series(["a", "b"]), 2)
    with pytest.raises(Unconfirmed, match="other records"):
        whole.confirm(pl.Series(["b", "c"]), 2)
    with pytest.raises(Unconfirmed, match="the total changed"):
        whole.confirm(pl.Series(["a", "b"]), 3)


def test_a_snapshot_that_changes_between_pages_is_told() -> None:
    completeness = Completeness()
    completeness.take(pl.Series(["a", "b"]), None, "17")
    with pytest.raises(Unconfirmed, match="snapshot"):
        completeness.take(pl.Series(["b", "c"]), None, "18")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    records=st.lists(st.integers(0, 40), unique=True, min_size=1, max_size=25),
    size=st.integers(2, 6),
    changes=st.lists(
        st.tuples(st.integers(1, 12), st.booleans(), st.integers(0, 40)), min_size=1, max_size=4
    ),
    tells_total=st.booleans(),
)
def test_whatever_changes_between_pages_no_record_that_stayed_is_missing_from_a_whole(
    records: list[int], size: int, changes: list[tuple[int, bool, int]], *, tells_total: bool
) -> None:
    """A server in order, where records are added and removed before any of the requests."""
    now, stayed = set(records), set(records)
    completeness, seen, request = Completeness(), set(), 0
    while not completeness.ended:
        request += 1
        for at, adds, record in changes:
            if at == request:
                (now.add if adds else now.discard)(record)
                stayed &= now
        page = sorted(now)[completeness.offset : completeness.offset + size]
        ids = pl.Series([f"{record:02}" for record in page], dtype=pl.String)
        try:
            completeness.take(ids, len(now) if tells_total else None)
        except Unconfirmed:
            return
        seen |= set(page)
    assert stayed <= seen
