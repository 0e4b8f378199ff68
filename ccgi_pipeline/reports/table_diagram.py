"""A picture of the feeds' tables: which there are, what tells their records apart, what they name.

Belongs here: drawing it, as a Mermaid diagram, from the feeds' declarations. Run as a program, it
draws the picture in a page again::

    python -m ccgi_pipeline.reports.table_diagram docs/query-the-warehouse.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ccgi_pipeline.feeds.registry import FAMILIES, FEEDS_BY_NAME
from ccgi_pipeline.feeds.spec import FamilySpec, FeedSpec
from ccgi_pipeline.warehouse.storage.schema import sql_type

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
"""What stands around the pictures of a page."""


def draw_tables() -> str:
    """Returns a heading and a diagram for each family with more than one feed, and its links."""
    return "\n".join(_draw_family(family) for family in FAMILIES.values() if len(family.feeds) > 1)


def redraw_page(text: str) -> str:
    """Returns a page's text with today's pictures between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = f"the page lacks {BEGIN} or {END}"
        raise ValueError(msg)
    return f"{before}{begin}\n{draw_tables()}\n{end}{after}"


def _draw_family(family: FamilySpec) -> str:
    links = {link: None for feed in family.feeds for link in _links_of(feed)}
    others = {target for target, _, _ in links} - {feed.name for feed in family.feeds}
    feeds = [*family.feeds, *(FEEDS_BY_NAME[name] for name in sorted(others))]
    lines = [line for feed in feeds for line in _draw_feed(feed)]
    lines += [
        f'    {FEEDS_BY_NAME[target].current_view} ||--o{{ {view} : "{column}"'
        for target, view, column in links
    ]
    return "\n".join([f"\n### {family.title}\n", "```mermaid", "erDiagram", *lines, "```"])


def _draw_feed(feed: FeedSpec) -> Iterator[str]:
    yield f"    {feed.current_view} {{"
    yield "        VARCHAR sender PK"
    for key in feed.keys:
        kind = sql_type(feed.columns[key]).partition("(")[0]
        yield f"        {kind} {key} PK"
    yield "    }"


def _links_of(feed: FeedSpec) -> Iterator[tuple[str, str, str]]:
    """Yields feed, view and column of each link to another feed's records."""
    for relation in feed.relations:
        if relation.target in FEEDS_BY_NAME:
            yield relation.target, feed.current_view, relation.column
    kept = feed.kept_while
    if kept is not None and kept.table in FEEDS_BY_NAME:
        yield kept.table, feed.current_view, ", ".join(kept.columns)


def main() -> None:
    """Draws the pictures in the page that is named on the command line again."""
    page = Path(sys.argv[1])
    page.write_text(redraw_page(page.read_text()))


if __name__ == "__main__":
    main()
