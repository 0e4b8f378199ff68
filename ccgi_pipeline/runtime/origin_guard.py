"""The guard in front of Dagster's web server: what another site's page may not ask for.

Belongs here: which requests are refused, from their method, path and headers alone. Dagster answers
any page of the web: a GET to ``/graphql`` changes things, any host name is accepted, and a browser
sends a login along by itself. Does not belong here: logins (the server in front), starting the web
server (web_server).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ccgi_pipeline.http_service.request_heads import RequestHead, is_known_host, read_head

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_READING = frozenset({"GET", "HEAD"})
_GRAPHQL, _EVENTS_FROM_OUTSIDE = "/graphql", "/report_asset"
_DATA = (_GRAPHQL, _EVENTS_FROM_OUTSIDE, "/download_debug", "/logs", "/notebook", "/dagit")
"""Paths that are no pages: no link leads to them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a request that is refused."""

    status: int
    words: str


def find_refusal(request: RequestHead, hosts: Collection[str]) -> Refusal | None:
    """Returns why a request is refused; None if it is let through.

    ``hosts``: names besides this machine's own by which the UI is reached.
    """
    host = request.header("host") or ""
    if not is_known_host(host, hosts):
        return Refusal(421, "This name of the UI is not known: name it in CCGI_UI_HOSTS.")
    if _is_foreign(request, host):
        return Refusal(403, "Pages of other sites may not use the UI.")
    path = request.path.lower()
    if path.startswith(_EVENTS_FROM_OUTSIDE):
        return Refusal(403, "Events and checks come from nights, not from outside.")
    if path.startswith(_GRAPHQL) and not request.websocket:
        if request.method != "POST":
            return Refusal(405, "Send queries with POST.")
        sent = (request.header("content-type") or "").partition(";")[0].strip().lower()
        if sent != "application/json":
            return Refusal(415, "Send queries as application/json.")
    return None


def _is_foreign(request: RequestHead, host: str) -> bool:
    """Returns whether a browser says that another site's page has sent the request.

    What no browser has sent says nothing of it, and is let through.
    """
    origin = request.header("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return True
    site = request.header("sec-fetch-site")
    if site in {None, "same-origin"}:
        return False
    # A typed address or bookmark ("none"), or a link to a page, as in a mail: it only shows.
    shows = request.method in _READING and not request.websocket
    page = not request.path.lower().startswith(_DATA)
    followed = (
        request.header("sec-fetch-mode") == "navigate"
        and request.header("sec-fetch-dest") == "document"
    )
    return not (shows and page and (site == "none" or followed))


class OriginGuard:
    """The guard as ASGI middleware around the web server's application."""

    def __init__(self, app: App, hosts: Collection[str]) -> None:
        """Guards ``app``, which is reached by the names in ``hosts``."""
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers a request that is refused; hands on all others."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = find_refusal(read_head(scope), self._hosts)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.words})
        else:
            await _answer(send, refusal)


async def _answer(send: Send, refusal: Refusal) -> None:
    body = f"{refusal.words}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", f"{len(body)}".encode()),
        *([(b"allow", b"POST")] if refusal.status == 405 else []),  # noqa: PLR2004 - HTTP's own
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_ON_EVERY_ANSWER = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
"""No other site shows the UI in a frame, where a click would be the user's own."""


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in _ON_EVERY_ANSWER}
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() not in names]
            message["headers"] = [*kept, *_ON_EVERY_ANSWER]
        await send(message)

    return sent
