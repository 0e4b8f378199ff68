"""The project's pages in ``docs``, shown beside Dagster's UI, so that its checks can link to them.

Belongs here: turning a Markdown page into HTML, and the route that serves it. Does not belong here:
which section a check leads to (common.runbook). A copy of the project without ``docs`` has no
pages: there ``CCGI_RUNBOOK_URL`` names another place.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from ccgi_pipeline.runtime.dagster_instance import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "docs"
_NAME = re.compile(r"[a-z0-9-]+\.md")
_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


def build_route() -> Route:
    """Returns the route of all pages: ``/docs/when-something-is-red.md``."""
    return Route("/docs/{page}", _answer)


async def _answer(request: Request) -> Response:
    page = FOLDER / request.path_params["page"]
    if not _NAME.fullmatch(page.name) or not page.is_file():
        return PlainTextResponse("There is no such page.\n", status_code=404)
    return HTMLResponse(render_page(page), headers=_HEADERS)


def render_page(page: Path) -> str:
    """Returns a Markdown page as HTML; each heading has the anchor that GitHub gives it."""
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
    tokens = markdown.parse(page.read_text(encoding="utf-8"))
    for opening, words in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", _make_anchor(words))
    body = markdown.renderer.render(tokens, markdown.options, {})
    return _PAGE.format(title=page.stem.replace("-", " ").capitalize(), body=body)


def _make_anchor(heading: Token) -> str:
    title = "".join(part.content for part in heading.children or ())
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 1rem auto 60vh;
  padding: 0 1rem; overflow-wrap: break-word; }}
pre {{ overflow-x: auto; padding: .5rem; border: 1px solid; }}
table {{ border-collapse: collapse; }}
th, td {{ border: 1px solid; padding: .2rem .5rem; text-align: left; vertical-align: top; }}
:target {{ border-left: .3rem solid; padding-left: .5rem; }}
</style>
</head>
<body>
{body}</body>
</html>
"""
