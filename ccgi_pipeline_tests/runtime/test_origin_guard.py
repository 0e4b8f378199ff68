"""The guard around the UI: another site's page gets nothing done, the UI's own pages everything."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest
from dagster_webserver import cli
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from ccgi_pipeline.runtime import web_server

NAME = "create_app_from_workspace_process_context"
AT = "127.0.0.1:3000"
OWN = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Origin": f"http://{AT}"}
JSON = {"Content-Type": "application/json"}
LINK = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def _dagster_app(*_: object, **__: object) -> Starlette:
    """An application with the routes that Dagster's has."""

    async def answer(_: Asked) -> PlainTextResponse:
        return PlainTextResponse("reached")

    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("reached")
        await socket.close()

    methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
    return Starlette(
        routes=[
            WebSocketRoute("/graphql", talk),
            Route("/{path:path}", answer, methods=methods),
        ]
    )


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Starlette:
    """The application as the program of the UI serves it, behind a login at ``ui.example.org``."""
    served: list[Starlette] = []

    def serve() -> None:
        served.append(getattr(cli, NAME)())

    monkeypatch.setenv(web_server.HOSTS, "ui.example.org, look.example.org")
    monkeypatch.setattr(cli, NAME, _dagster_app)
    monkeypatch.setattr(cli, "main", serve)
    web_server.main()
    return served[0]


def test_dagsters_program_makes_its_application_by_that_name() -> None:
    assert NAME in cli.host_dagster_ui_with_workspace_process_context.__code__.co_names


def test_the_projects_pages_are_served_beside_dagsters(app: Starlette) -> None:
    assert app.router.routes[0].path == "/docs/{page}"


def _ask(app: Starlette, method: str, path: str, **headers: str) -> int:
    named = {"Host": AT, **{name.replace("_", "-"): value for name, value in headers.items()}}

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{AT}") as client:
            return await client.request(method, path, headers=named)

    answer = asyncio.run(asked())
    assert (answer.text == "reached") == (answer.status_code == 200)
    assert answer.status_code != 200 or answer.headers["X-Frame-Options"] == "DENY"
    return answer.status_code


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("GET", "/", {"Sec-Fetch-Site": "none", **LINK}),
        ("GET", "/runs", {"Sec-Fetch-Site": "cross-site", **LINK}),
        ("GET", "/assets/main.js", OWN),
        ("GET", "/server_info", {"Host": "localhost:3000"}),
        ("GET", "/", {"Host": "[::1]:3000"}),
        ("GET", "/", {"Host": "UI.example.org"}),
        ("POST", "/graphql", {**OWN, **JSON}),
        ("POST", "/graphql", {"Content-Type": "application/json; charset=utf-8"}),
        (
            "POST",
            "/graphql",
            {"Host": "ui.example.org", "Origin": "https://ui.example.org", **JSON},
        ),
        ("GET", "/download_debug/1", OWN),
    ],
)
def test_the_uis_own_pages_and_scripts_get_their_answers(
    app: Starlette, method: str, path: str, headers: dict[str, str]
) -> None:
    assert _ask(app, method, path, **headers) == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/graphql?query=mutation{x}", {}, 405),
        ("GET", "/graphql?query=mutation{x}", OWN, 405),
        ("GET", "/graphql/", {}, 405),
        ("POST", "/graphql", {"Content-Type": "text/plain"}, 415),
        ("POST", "/graphql", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", "/graphql", {}, 415),
        ("POST", "/graphql", {**JSON, "Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/graphql", {**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ("POST", "/graphql", {**JSON, "Sec-Fetch-Site": "none"}, 403),
        ("POST", "/graphql", {**JSON, "Sec-Fetch-Site": "cross-site", **LINK}, 403),
        ("POST", "/graphql", {**JSON, "Origin": "https://evil.example"}, 403),
        ("POST", "/graphql", {**JSON, "Origin": "null"}, 403),
        ("POST", "/graphql", {**JSON, "Origin": "http://127.0.0.1:8080"}, 403),
        ("OPTIONS", "/graphql", {"Origin": "https://evil.example"}, 403),
        ("GET", "/runs", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("GET", "/runs", {"Sec-Fetch-Site": "cross-site", **LINK, "Sec-Fetch-Dest": "iframe"}, 403),
        ("GET", "/download_debug/1", {"Sec-Fetch-Site": "cross-site", **LINK}, 403),
        ("POST", "/report_asset_check/deliveries", OWN, 403),
        ("POST", "/report_asset_check/deliveries", {}, 403),
        ("POST", "/report_asset_materialization/x", {**JSON}, 403),
        ("POST", "/report_asset_observation/x", {**JSON}, 403),
        ("GET", "/", {"Host": "evil.example:3000"}, 421),
        ("GET", "/", {"Host": "127.0.0.1.evil.example"}, 421),
        ("GET", "/", {"Host": "ui.example.org.evil.example"}, 421),
        ("GET", "/", {"Host": ""}, 421),
        (
            "POST",
            "/graphql",
            {**JSON, "Host": "evil.example", "Origin": "http://evil.example"},
            421,
        ),
    ],
)
def test_what_another_site_could_send_is_refused(
    app: Starlette, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    named = {name.replace("-", "_"): value for name, value in headers.items()}
    assert _ask(app, method, path, **named) == status


@pytest.mark.parametrize(
    ("headers", "reached"),
    [
        ({"Origin": f"http://{AT}"}, True),
        ({}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Host": "evil.example"}, False),
    ],
)
def test_only_its_own_pages_open_the_websocket(
    app: Starlette, headers: dict[str, str], *, reached: bool
) -> None:
    scope = {
        "type": "websocket",
        "path": "/graphql",
        "headers": [
            (name.lower().encode(), value.encode())
            for name, value in {"Host": AT, **headers}.items()
        ],
        "subprotocols": [],
    }
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert (sent[0]["type"] == "websocket.accept") is reached
    assert reached or [message["type"] for message in sent] == ["websocket.close"]
