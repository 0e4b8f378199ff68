"""Finds the tables and feeds that a report's query reads, with DuckDB's own parser.

Belongs here: parsing a query. Does not belong here: the views that queries read (queries), which
tables a report may read (foster_privacy).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

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
    return frozenset(
        str(node["table_name"])
        for node in walk_nodes(parse_query(query))
        if node.get("type") == "BASE_TABLE"
    )


@functools.cache
def find_common_tables(query: str) -> frozenset[str]:
    """Returns the names of the common table expressions of a SELECT."""
    defined = (node.get("cte_map", {}).get("map", ()) for node in walk_nodes(parse_query(query)))
    return frozenset(str(one["key"]) for of_node in defined for one in of_node)


def parse_query(query: str) -> dict[str, Any]:
    """Returns the tree of a SELECT. Raises PermanentError if it is none."""
    with _parser().cursor() as parser:
        row = parser.execute("SELECT json_serialize_sql($query)", {"query": query}).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {}
    if tree.get("error", True):
        msg = "a report's query could not be parsed"
        raise PermanentError(msg)
    return tree


@functools.cache
def _parser() -> duckdb.DuckDBPyConnection:
    """Returns one connection for all queries: opening one takes longer than parsing."""
    return duckdb.connect()


def walk_nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Yields every node of a parsed query."""
    if isinstance(tree, dict):
        yield tree
        for part in tree.values():
            yield from walk_nodes(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from walk_nodes(part)
