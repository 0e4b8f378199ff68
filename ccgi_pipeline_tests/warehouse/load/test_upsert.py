"""Loading against a model: random histories of drops, for a full set and for events that add up.

Belongs here: what the tables and the ledger hold after every night, whatever was sent, and fixed
examples that say which rule is which. The model is in ``model``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ccgi_pipeline.feeds.registry import FEEDS_BY_NAME
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.verification.drop_files import files_to_verify
from ccgi_pipeline.verification.gates import verify
from ccgi_pipeline.verification.offline_check import shipped_knowledge
from ccgi_pipeline.warehouse.load.ledger import load_drops
from ccgi_pipeline.warehouse.load.upsert import has_records
from ccgi_pipeline_tests.files import ON
from ccgi_pipeline_tests.warehouse.model import (
    APPLICATION,
    GRADES,
    STATUSES,
    STUDENT,
    BadCell,
    BadKey,
    DropPlan,
    Fates,
    File,
    Good,
    Ragged,
    Sender,
    drop_of,
    event_id,
    ssid,
)


def _files(keys: st.SearchStrategy[int], *, bad_keys: bool = True) -> st.SearchStrategy[File]:
    good = st.builds(Good, keys, st.integers(0, 2))
    readable = st.one_of(good, good, good, st.builds(BadCell, keys))
    whose = st.one_of(st.none(), keys)
    ragged = st.builds(Ragged, whose)
    unreadable = (st.builds(BadKey, whose), ragged) if bad_keys else (ragged,)
    any_line = st.one_of(readable, readable, *unreadable)
    whole = st.lists(readable, min_size=1, max_size=4).map(tuple)
    return st.one_of(whole, whole, st.lists(any_line, max_size=4).map(tuple))


_SENDERS = range(5)


def _histories(
    first: st.SearchStrategy[int], second: st.SearchStrategy[int], *, apart: bool = False
) -> st.SearchStrategy[list[tuple[DropPlan | None, ...]]]:
    """Up to four loads, in each of which each of five senders may have a drop of one or two files.

    Where there are two files, these are their keys; no bad key is in both if they are ``apart``.
    """
    alone = st.tuples(_files(st.integers(0, 3)))
    two = st.tuples(_files(first), _files(second, bad_keys=not apart))
    drops = st.one_of(alone, alone, two)
    return st.lists(
        st.tuples(*(st.one_of(drops, drops, st.none()) for _ in _SENDERS)), min_size=1, max_size=4
    )


_EVENTS = _histories(st.integers(0, 3), st.integers(0, 3))
_ROSTERS = _histories(st.integers(0, 1), st.integers(2, 3), apart=True)
"""Which of two rosters with the same students counts is decided before they are loaded."""

_FRESH = itertools.count(1_000_000)
"""Each example has senders of its own, so that all of them can share one warehouse."""

_WORDS = {
    STUDENT.name: ("StateID", ssid, "GradeLevel", GRADES),
    APPLICATION.name: ("EventID", event_id, "ApplicationStatus", STATUSES),
}


def _live_through(
    connection: duckdb.DuckDBPyConnection,
    feed_name: str,
    history: Sequence[Sequence[DropPlan | None]],
) -> list[Sender]:
    """Takes load by load; after each, tables and ledger must be the model's.

    Returns the models of the senders.
    """
    models = {f"{next(_FRESH):07d}": Sender(snapshot=feed_name == STUDENT.name) for _ in _SENDERS}
    seen: set[str] = set()
    for plans in history:
        received = [
            (sender, *drop_of(feed_name, sender, plan), plan)
            for sender, plan in zip(models, plans, strict=False)
            if plan is not None
        ]
        new = [plan for plan in received if plan[1].id not in seen]  # as receiving does
        if not new:
            continue
        seen |= {drop.id for _, drop, _, _ in new}
        fates: Fates = {}
        for sender, drop, _, plan in new:
            fates |= models[sender].take(drop.id, plan)
        _load(connection, [(drop, contents) for _, drop, contents, _ in new])
        assert _ledger(connection, list(fates)) == {
            place: counts for place, counts in fates.items() if counts
        }
        assert {place: sum(counts.values()) for place, counts in fates.items()} == {
            (drop.id, number): len(file)
            for _, drop, _, plan in new
            for number, file in enumerate(plan, start=1)
        }
        assert _records(connection, feed_name, list(models)) == {
            (sender, key): (record.value, record.active, record.drop, record.line)
            for sender, model in models.items()
            for key, record in model.records.items()
        }
    return list(models.values())


def _load(
    connection: duckdb.DuckDBPyConnection, received: list[tuple[Drop, dict[str, bytes]]]
) -> None:
    """Verifies and loads drops of several senders together, as a night does."""
    drops = [drop for drop, _ in received]
    contents = dict(itertools.chain.from_iterable(held.items() for _, held in received))
    files = files_to_verify(drops, lambda _, content_id: Content.of_bytes(contents[content_id]))
    load_drops(connection, drops, verify(files, ON, shipped_knowledge), ON)


def _ledger(
    connection: duckdb.DuckDBPyConnection, places: list[tuple[str, int]]
) -> dict[tuple[str, int], dict[str, int]]:
    rows = connection.execute(
        "SELECT drop_id, file_number, fate, lines FROM ledger WHERE list_contains(?, drop_id)",
        [sorted({drop for drop, _ in places})],
    ).fetchall()
    ledger: dict[tuple[str, int], dict[str, int]] = {}
    for drop, file, fate, lines in rows:
        ledger.setdefault((drop, file), {})[fate] = lines
    return ledger


def _records(
    connection: duckdb.DuckDBPyConnection, feed_name: str, senders: list[str]
) -> dict[tuple[str, int], tuple[int, bool, str, int]]:
    key_column, key_word, value_column, values = _WORDS[feed_name]
    keys = {key_word(number): number for number in range(4)}
    rows = connection.execute(
        f"SELECT _sender, {key_column}, {value_column}, _active, _drop, _line "  # noqa: S608
        f"FROM {feed_name} WHERE list_contains(?, _sender)",
        [senders],
    ).fetchall()
    found = {
        (sender, keys[key]): (values.index(value), *rest) for sender, key, value, *rest in rows
    }
    assert len(found) == len(rows), "a key is there twice"
    return found


_SETTINGS = settings(
    deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), print_blob=True
)


@pytest.mark.slow
@settings(_SETTINGS, max_examples=40)
@given(history=_ROSTERS)
def test_a_roster_is_what_its_lines_make_it_one_after_the_other(
    connection: duckdb.DuckDBPyConnection, history: list[tuple[DropPlan | None, ...]]
):
    _live_through(connection, STUDENT.name, history)


@pytest.mark.slow
@settings(_SETTINGS, max_examples=15)
@given(history=_EVENTS)
def test_events_are_what_their_lines_make_them_one_after_the_other(
    connection: duckdb.DuckDBPyConnection, history: list[tuple[DropPlan | None, ...]]
):
    _live_through(connection, APPLICATION.name, history)


A, B = 0, 1
_ROSTER = ((Good(A, 0), Good(B, 0)),)
"""A drop of one file with two students."""
_A_ALONE = ((Good(A, 0),),)

_STORIES: dict[str, tuple[list[DropPlan], dict[int, bool]]] = {
    "who is in the newest full set is active": ([_ROSTER], {A: True, B: True}),
    "who left is not active": ([_ROSTER, _A_ALONE], {A: True, B: False}),
    "who comes back is active again": (
        [_ROSTER, _A_ALONE, ((Good(A, 1), Good(B, 0)),)],
        {A: True, B: True},
    ),
    "a rejected line whose key can be read protects its record": (
        [_ROSTER, ((Good(A, 0), BadCell(B)),)],
        {A: True, B: True},
    ),
    "a rejected line protects its record from its own set alone": (
        [_ROSTER, ((Good(A, 0), BadCell(B)),), _A_ALONE],
        {A: True, B: False},
    ),
    "a rejected line brings nobody back": (
        [_ROSTER, _A_ALONE, ((Good(A, 1), BadCell(B)),)],
        {A: True, B: False},
    ),
    "a line whose key cannot be read keeps the student whom it describes": (
        [_ROSTER, ((Good(A, 0), BadKey(B)),)],
        {A: True, B: True},
    ),
    "a line whose key cannot be read keeps nobody else": (
        [_ROSTER, ((Good(A, 0), BadKey()),)],
        {A: True, B: False},
    ),
    "a line that is no record keeps the student whom it names": (
        [_ROSTER, ((Good(A, 0), Ragged(B)),)],
        {A: True, B: True},
    ),
    "a line that shows a known student keeps nobody else": (
        [_ROSTER, ((Good(A, 0), Ragged(A)),)],
        {A: True, B: False},
    ),
    "a line that shows nothing ends nobody": (
        [_ROSTER, ((Good(A, 0), Ragged()),)],
        {A: True, B: True},
    ),
    "a line keeps its student from its own set alone": (
        [_ROSTER, ((Good(A, 0), Ragged(B)),), _A_ALONE],
        {A: True, B: False},
    ),
    "a file of nothing but a header ends nobody": ([_ROSTER, ((),)], {A: True, B: True}),
    "a file of nothing but rejected lines ends nobody": (
        [_ROSTER, ((BadCell(A),),)],
        {A: True, B: True},
    ),
    "two files of a drop are one full set": (
        [_ROSTER, ((Good(A, 0),), (Good(B, 0),))],
        {A: True, B: True},
    ),
    "a damaged file beside a whole one ends nobody": (
        [_ROSTER, ((Good(A, 0),), (Ragged(),))],
        {A: True, B: True},
    ),
    "of lines with one key in a roster's file the first stands": (
        [((Good(A, 0), Good(A, 1), Good(B, 0)),)],
        {A: True, B: True},
    ),
}


@pytest.mark.parametrize("story", _STORIES)
def test_in_a_roster(connection: duckdb.DuckDBPyConnection, story: str):
    drops, active = _STORIES[story]
    (model, *_) = _live_through(connection, STUDENT.name, [[drop] for drop in drops])
    assert {key: record.active for key, record in model.records.items()} == active


def test_the_same_student_in_two_districts_is_two_records(connection: duckdb.DuckDBPyConnection):
    history = [[_ROSTER, _ROSTER], [_A_ALONE, None]]
    first, second, *_ = _live_through(connection, STUDENT.name, history)
    assert (first.records[B].active, second.records[B].active) == (False, True)


def test_of_events_with_one_id_the_last_stands(connection: duckdb.DuckDBPyConnection):
    within, later = ((Good(A, 0), Good(A, 1)),), ((Good(A, 2), Good(B, 0)),)
    (model, *_) = _live_through(connection, APPLICATION.name, [[within], [later]])
    assert model.records[A].value == 2


def test_an_event_that_is_not_sent_again_stays(connection: duckdb.DuckDBPyConnection):
    (model, *_) = _live_through(connection, APPLICATION.name, [[_ROSTER], [_A_ALONE]])
    assert model.records[B].active


def test_one_load_takes_no_two_drops_of_a_sender(connection: duckdb.DuckDBPyConnection):
    received = [drop_of(STUDENT.name, "9999999", plan) for plan in (_ROSTER, ((Good(A, 1),),))]
    with pytest.raises(ValueError, match="one drop of each sender"):
        _load(connection, received)
    assert not _records(connection, STUDENT.name, ["9999999"])


def test_both_feeds_have_the_lifecycle_that_they_stand_for():
    assert FEEDS_BY_NAME[STUDENT.name].lifecycle == "snapshot"
    assert FEEDS_BY_NAME[APPLICATION.name].lifecycle == "upsert"


def test_records_are_those_of_the_senders_and_of_no_sender_between_them(
    connection: duckdb.DuckDBPyConnection,
):
    first, between, last, after = (f"{next(_FRESH):07d}" for _ in range(4))
    _load(connection, [drop_of(STUDENT.name, sender, _ROSTER) for sender in (first, last)])

    def known(*senders: str) -> bool:
        return has_records(connection, STUDENT, pl.Series(senders))

    assert known(first)
    assert known(between, last)
    assert known(last, after)
    assert not known(between)
    assert not known(after, between)
    assert not has_records(connection, APPLICATION, pl.Series([first, last]))
