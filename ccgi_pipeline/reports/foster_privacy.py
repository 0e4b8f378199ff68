"""Finds foster data that a report's query reads; CCGI's reports may read none.

Belongs here: which tables and columns hold foster data, and finding them in a query. Does not
belong here: the check that turns red (defs).
"""

from __future__ import annotations

import re

from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.reports.query_tables import find_table_names
from ccgi_pipeline.reports.spec import ReportSpec, shipped_query

FOSTER_TABLES = frozenset(
    {*(feed.name for feed in FEEDS if feed.foster), "child_links", "unmatched", "foster_lookups"}
)
"""Tables of foster youth: those of feeds, and those that link students to children."""
FOSTER_COLUMNS = frozenset(
    column.name
    for feed in FEEDS
    if not feed.foster
    for column in feed.columns.values()
    if column.foster
)
"""Columns of other tables that say who is a foster youth."""


def find_foster_data(spec: ReportSpec) -> list[str]:
    """Returns the foster tables and columns that the report's query or the roster's reads."""
    found: set[str] = set()
    for query in (spec.query.read_text(), shipped_query("roster.sql").read_text()):
        found |= find_table_names(query) & FOSTER_TABLES
        found |= set(re.findall(r"\w+", query)) & FOSTER_COLUMNS
    for column in spec.detail_columns:
        if column.origin and (
            column.origin[0] in FOSTER_TABLES or column.origin[1] in FOSTER_COLUMNS
        ):
            found.add(column.name)
    return sorted(found)
