"""The project's pages beside the UI: a check's link leads to its section."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ccgi_pipeline.common.runbook import PAGE
from ccgi_pipeline.runtime import docs_pages
from ccgi_pipeline_tests.common.test_runbook import PROJECT, anchors


@dataclass(frozen=True)
class Client:
    """Asks an application for a page."""

    app: Starlette

    def get(self, path: str) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                return await client.get(path)

        return asyncio.run(asked())


@pytest.fixture
def client() -> Client:
    return Client(Starlette(routes=[docs_pages.build_route()]))


def test_each_section_has_the_anchor_that_links_name(client: Client) -> None:
    answer = client.get(f"/{PAGE}")
    assert answer.headers["content-type"].startswith("text/html")
    named = re.findall(r'<h[1-6] id="([^"]+)"', answer.text)
    assert named == anchors(PROJECT / PAGE)
    assert "newest_files_meet_the_rules" in named


def test_tables_and_commands_are_shown_and_markup_of_a_page_is_not_run(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a-page.md").write_text("# A\n\n| a |\n|---|\n| `x` |\n\n<script>1</script>\n")
    monkeypatch.setattr(docs_pages, "FOLDER", tmp_path)
    answer = client.get("/docs/a-page.md")
    assert "<td><code>x</code></td>" in answer.text
    assert "<script>" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("page", ["none.md", "..%2Fdagster.yaml", "..%2FREADME.md", "%2Fetc%2Fx"])
def test_nothing_else_is_served(client: Client, page: str) -> None:
    assert client.get(f"/docs/{page}").status_code == 404


def test_the_pages_come_before_dagsters_last_route() -> None:
    async def answer(_: object) -> PlainTextResponse:
        return PlainTextResponse("Dagster's")

    app = Starlette(routes=[Route("/{path:path}", answer)])
    app.router.routes.insert(0, docs_pages.build_route())
    client = Client(app)
    assert client.get("/docs/operating.md").text != "Dagster's"
    assert client.get("/runs").text == "Dagster's"
