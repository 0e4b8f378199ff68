"""A purge by age leaves nothing old of any feed, and keeps what its declaration keeps.

Belongs here: a record of each feed from an old drop and from a new one, and of a feed that does not
exist. Does not belong here: files, history and the proof of a purge (test_purge).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import duckdb
import pytest

from ccgi_pipeline.feeds.cccapply import APPLICATIONS
from ccgi_pipeline.feeds.registry import FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FeedSpec, KeptWhile, Lifecycle
from ccgi_pipeline.warehouse.load import erasure
from ccgi_pipeline.warehouse.load.erasure import PurgeSelection, delete_rows, mark_rows_to_purge
from ccgi_pipeline.warehouse.storage import schema
from ccgi_pipeline.warehouse.storage.schema import create_missing_tables, quote_identifier

SENDER = "3367173"
OLD, NEW = "old", "new"
BEFORE = date(2025, 7, 1)

EXTRA = replace(APPLICATIONS, name="added_later", ssid=None)
"""A feed as the next one may be: its file adds to what is known, and nothing keeps its records."""
EVERY_FEED = (*FEEDS, EXTRA)
KEPT = [feed for feed in FEEDS if feed.kept_while is not None]
FULL_SETS = [
    feed for feed in FEEDS if feed.lifecycle is Lifecycle.SNAPSHOT and feed.kept_while is None
]


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> Iterator[duckdb.DuckDBPyConnection]:
    """Empty tables of every feed, and of one more; the drops of an old and of a new night."""
    for module in (schema, erasure):
        monkeypatch.setattr(module, "FEEDS", EVERY_FEED)
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS lake")
        connection.execute("USE lake")
        create_missing_tables(connection)
        for drop, night in ((OLD, date(2020, 11, 22)), (NEW, date(2025, 11, 22))):
            connection.execute(
                "INSERT INTO drops (drop_id, sender, family, night, verdict) "
                "VALUES (?, ?, 'any', ?, 'accepted')",
                [drop, SENDER, night],
            )
        yield connection


def put(connection: duckdb.DuckDBPyConnection, table: str, **cells: str | bool) -> None:
    """A record of the sender, with these cells."""
    row = {"_sender": SENDER, **cells}
    names = ", ".join(map(quote_identifier, row))
    connection.execute(
        f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608
        [*row.values()],
    )


def purge(connection: duckdb.DuckDBPyConnection) -> None:
    wish = PurgeSelection(before=BEFORE)
    with mark_rows_to_purge(connection, wish):
        delete_rows(connection, wish)


def drops_in(connection: duckdb.DuckDBPyConnection, feed: FeedSpec) -> list[str]:
    """The drops of the records that are left."""
    rows = connection.execute(f"SELECT _drop FROM {feed.name} ORDER BY 1").fetchall()  # noqa: S608
    return [drop for (drop,) in rows]


def is_current(feed: FeedSpec) -> bool:
    """Whether a record that nothing keeps is active: of a full set it is not."""
    return feed.lifecycle is Lifecycle.UPSERT


def test_nothing_old_is_left_of_any_feed(lake: duckdb.DuckDBPyConnection):
    for feed in EVERY_FEED:
        for drop in (OLD, NEW):
            put(lake, feed.name, _drop=drop, _active=is_current(feed))
    purge(lake)
    assert {feed.name: drops_in(lake, feed) for feed in EVERY_FEED} == {
        feed.name: [NEW] for feed in EVERY_FEED
    }


@pytest.mark.parametrize("feed", KEPT, ids=lambda feed: feed.name)
@pytest.mark.parametrize("is_kept", [True, False])
def test_a_record_stays_while_what_its_feed_declares_is_there(
    lake: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    *,
    is_kept: bool,
):
    kept: KeptWhile | None = feed.kept_while
    assert kept is not None
    put(lake, feed.name, _drop=OLD, _active=True, **dict.fromkeys(kept.columns, "1000000001"))
    word = "1000000001" if is_kept else "1000000002"
    of_feed = {"_drop": NEW, "_active": True} if kept.table in FEEDS_BY_NAME else {}
    put(lake, kept.table, **of_feed, **dict.fromkeys(kept.columns.values(), word))
    purge(lake)
    assert drops_in(lake, feed) == ([OLD] if is_kept else [])


@pytest.mark.parametrize("feed", FULL_SETS, ids=lambda feed: feed.name)
def test_an_active_record_of_a_full_set_stays(lake: duckdb.DuckDBPyConnection, feed: FeedSpec):
    put(lake, feed.name, _drop=OLD, _active=True)
    purge(lake)
    assert drops_in(lake, feed) == [OLD]


def test_whoever_is_no_longer_active_keeps_nothing(lake: duckdb.DuckDBPyConnection):
    goals = FEEDS_BY_NAME["platform_goals"]
    put(lake, goals.name, _drop=OLD, _active=True, SSID="1000000001")
    put(lake, "transcript_student", _drop=NEW, _active=False, StateID="1000000001")
    purge(lake)
    assert drops_in(lake, goals) == []
