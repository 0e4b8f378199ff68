"""Finds from which columns of the feeds each column of a report comes, from the report's query.

Belongs here: tracing a query's columns with sqlglot, through the roster, the course evaluation and
the tables that are made of the directory and of code lists. Nothing is declared twice: a column
that a query makes of nothing (a constant) has no sources. What only decides which rows there are
(WHERE, JOIN) is no source, as in other tools.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.lineage import lineage
from sqlglot.schema import MappingSchema

from ccgi_pipeline.districts import DIRECTORY_SCHEMA
from ccgi_pipeline.feeds.cde_directory import FEED as DIRECTORY
from ccgi_pipeline.feeds.registry import EVENT_FEEDS, FEEDS, FEEDS_BY_NAME
from ccgi_pipeline.reports.queries import AREAS_NOT_COMPLETE, ELIGIBILITY
from ccgi_pipeline.reports.spec import ReportSpec, shipped_query
from ccgi_pipeline.warehouse.load.eligibility_results import HISTORY_QUERIES
from ccgi_pipeline.warehouse.storage.schema import ELIGIBILITY_SCHEMA

Source = tuple[str, str]
"""A feed, or ``eligibility``, and its column."""
Sources = Mapping[str, frozenset[Source]]

_DIALECT = "duckdb"
_ROSTER = "roster"
_CODES = "race_categories"
"""A code list as a table: what is read from it comes from the code with which it is joined."""
_OF_THE_DIRECTORY = ("directory", "district_names")
"""Tables that are made of the directory; their columns keep its names."""
_VIEWS = {feed.view: feed for feed in EVENT_FEEDS}
_KEPT_BY_THE_WAREHOUSE = ("_sender", "_active")


def trace_report(spec: ReportSpec) -> Sources:
    """Returns the sources of each column of the report's detail file."""
    found = _trace_report_query(spec.query.read_text())
    return {column.name: found[column.name.lower()] for column in spec.detail_columns}


@functools.cache
def _trace_report_query(query: str) -> Sources:
    found = _trace(query, {**_tables(), _ROSTER: [*_trace_roster()]})
    return {column: frozenset(_through_the_roster(sources)) for column, sources in found.items()}


def _through_the_roster(sources: frozenset[Source]) -> Iterator[Source]:
    for table, column in sources:
        if table == _ROSTER:
            yield from _trace_roster()[column]
        else:
            yield table, column


@functools.cache
def trace_eligibility() -> Sources:
    """Returns the sources of each column of the table ``eligibility``.

    The evaluation looks at a student's whole course history: each result comes from all columns
    that it reads.
    """
    tables = {feed.name: [*feed.columns, *_KEPT_BY_THE_WAREHOUSE] for feed in FEEDS}
    traced = [_trace(query, tables) for query in HISTORY_QUERIES]
    keys = {"_sender", "ssid", "student"}
    read = {column: found for part in traced for column, found in part.items()}
    history = frozenset(
        source for column, found in read.items() if column not in keys for source in found
    )
    known: dict[str, frozenset[Source]] = {
        "_sender": frozenset(),
        "SSID": read["ssid"],
        "system": frozenset(),
    }
    return {column: known.get(column, history) for column in ELIGIBILITY_SCHEMA}


@functools.cache
def _trace_roster() -> Sources:
    return _trace(shipped_query("roster.sql").read_text(), _tables())


def _tables() -> dict[str, list[str]]:
    """Returns the columns of each table and view that a query may read."""
    feeds = {feed.name: [*feed.columns, *_KEPT_BY_THE_WAREHOUSE] for feed in FEEDS}
    views = {view: feeds[feed.name] for view, feed in _VIEWS.items()}
    return {
        **feeds,
        **views,
        ELIGIBILITY: [*ELIGIBILITY_SCHEMA],
        "claims": ["_sender", "SSID", "sees"],
        "directory": [*DIRECTORY_SCHEMA],
        "district_names": ["cd", "County", "District", "folder"],
        _CODES: ["code", "name", "in_group"],
    }


def _trace(query: str, tables: Mapping[str, list[str]]) -> Sources:
    """Returns the sources of each column of a query, by its name in small letters."""
    tree = sqlglot.parse_one(query, dialect=_DIALECT)
    _expand_records(tree)
    _name_counted_columns(tree)
    codes = _find_joined_codes(tree, tables)
    schema = MappingSchema(
        {name: dict.fromkeys(columns, "text") for name, columns in tables.items()},
        dialect=_DIALECT,
    )
    spelled = {(name, column.lower()): column for name in tables for column in tables[name]}
    nodes = lineage(None, tree, schema, dialect=_DIALECT, trim_selects=False)
    return {
        column: frozenset(
            source
            for leaf in node.walk()
            if isinstance(leaf.expression, exp.Table)
            for source in _name_source(leaf.expression.name, leaf.name, spelled, codes)
        )
        for column, node in nodes.items()
    }


def _name_source(
    table: str, leaf: str, spelled: Mapping[Source, str], codes: frozenset[Source]
) -> Iterator[Source]:
    """Yields the feed and column of a leaf; none if the warehouse itself keeps the column."""
    column = spelled[table, leaf.rpartition(".")[2].strip('"').lower()]
    if table == _CODES:
        yield from codes
    elif table in _OF_THE_DIRECTORY and column in DIRECTORY.columns:
        yield DIRECTORY.name, column
    elif table == _ROSTER or column not in _KEPT_BY_THE_WAREHOUSE:
        yield (_VIEWS[table].name if table in _VIEWS else table), column


def _expand_records(tree: exp.Expr) -> None:
    """Replaces calls of the macro that takes a whole row by what it reads of the row."""
    head, _, body = AREAS_NOT_COMPLETE.partition(" AS ")
    name, _, parameter = head.rstrip(")").partition("(")
    for call in list(tree.find_all(exp.Anonymous)):
        if call.name == name:
            expanded = sqlglot.parse_one(body, dialect=_DIALECT)
            row = call.expressions[0].name
            for column in expanded.find_all(exp.Column):
                if column.table == parameter:
                    column.set("table", exp.to_identifier(row))
            call.replace(expanded)


def _name_counted_columns(tree: exp.Expr) -> None:
    """Lets ``count(*)`` count the key of the feed that it reads, or the columns of the subquery."""
    for count in list(tree.find_all(exp.Count)):
        select = count.find_ancestor(exp.Select)
        origin = select.find(exp.From) if select is not None else None
        if not isinstance(count.this, exp.Star) or origin is None:
            continue
        read = origin.this
        if isinstance(read, exp.Subquery):
            names = read.this.named_selects
        else:
            names = (_VIEWS.get(read.name) or FEEDS_BY_NAME[read.name]).keys
        count.set("this", exp.Distinct(expressions=[exp.column(name) for name in names]))


def _find_joined_codes(tree: exp.Expr, tables: Mapping[str, list[str]]) -> frozenset[Source]:
    """Returns the columns with which the code list is joined; none if it is not joined."""
    for join in tree.find_all(exp.Join):
        select = join.find_ancestor(exp.Select)
        origin = select.find(exp.From) if select is not None else None
        if join.this.name == _CODES and origin is not None:
            (key,) = join.args["using"]
            joined = exp.select(key.name).from_(origin.this.copy())
            return _trace(joined.sql(dialect=_DIALECT), tables)[key.name.lower()]
    return frozenset()
