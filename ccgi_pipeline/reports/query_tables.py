"""Finds the tables and feeds that a report's query reads, with DuckDB's own parser.

Belongs here: parsing a query. Does not belong here: the views that queries read (queries), which
tables a report may read (foster_privacy).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator

import duckdb

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.feeds.cde_directory import FEED as DIRECTORY
from ccgi_pipeline.feeds.registry import EVENT_FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.feeds.transcript import STUDENT
from ccgi_pipeline.reports.queries import ELIGIBILITY
from ccgi_pipeline.reports.spec import ReportSpec


def feeds_used(spec: ReportSpec) -> list[str]:
    """Lists the feeds whose tables the roster and the query read, and ELIGIBILITY if it is read."""
    named = find_table_names(spec.query.read_text())
    by_view = {feed.view: feed.name for feed in EVENT_FEEDS}
    known = [*FEEDS_BY_NAME, *by_view, ELIGIBILITY]
    read = [by_view.get(name, name) for name in known if name in named]
    return [*dict.fromkeys([STUDENT.name, DIRECTORY.name, *read])]


@functools.cache
def find_table_names(query: str) -> frozenset[str]:
    """Returns every table, view or common table expression that a SELECT reads."""
    with _parser().cursor() as parser:
        row = parser.execute("SELECT json_serialize_sql($query)", {"query": query}).fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree.get("error", True):
        msg = "a report's query could not be parsed"
        raise PermanentError(msg)
    return frozenset(_find_base_tables(tree))


@functools.cache
def _parser() -> duckdb.DuckDBPyConnection:
    """Returns one connection for all queries: opening one takes longer than parsing."""
    return duckdb.connect()


def _find_base_tables(tree: object) -> Iterator[str]:
    if isinstance(tree, dict):
        if tree.get("type") == "BASE_TABLE":
            yield str(tree["table_name"])
        for part in tree.values():
            yield from _find_base_tables(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _find_base_tables(part)
