"""Foster data in CCGI's reports: there is none, and this is how it is seen.

Belongs here: what a report's query reads, by table and by column. Does not belong here: what is
done about it (defs: a red check).
"""

from __future__ import annotations

import re

from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.reports.query_tables import tables_named
from ccgi_pipeline.reports.spec import ReportSpec, shipped_query

FOSTER_TABLES = frozenset(
    {*(feed.name for feed in FEEDS if feed.foster), "child_links", "unmatched", "foster_lookups"}
)
"""Tables of foster youth: the feeds', and what links them to children."""
FOSTER_COLUMNS = frozenset(
    column.name
    for feed in FEEDS
    if not feed.foster
    for column in feed.columns.values()
    if column.foster
)
"""Columns of other tables that say who is a foster youth."""


def foster_data_read(spec: ReportSpec) -> list[str]:
    """The foster tables and columns that the report, or the roster that it begins with, reads."""
    found: set[str] = set()
    for query in (spec.query.read_text(), shipped_query("roster.sql").read_text()):
        found |= tables_named(query) & FOSTER_TABLES
        found |= set(re.findall(r"\w+", query)) & FOSTER_COLUMNS
    for column in spec.detail_columns:
        if column.origin and (
            column.origin[0] in FOSTER_TABLES or column.origin[1] in FOSTER_COLUMNS
        ):
            found.add(column.name)
    return sorted(found)
