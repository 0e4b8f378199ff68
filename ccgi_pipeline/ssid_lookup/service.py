"""The HTTP service of the look-up.

Belongs here: its addresses, the order in which a request is judged (token, scope, limit, fields),
its answers. Does not belong here: any of those judgements themselves, and starting a server.

The handlers call SQLite directly although they are asynchronous: a call takes between 10 and 50
microseconds, less than handing it to a thread and back. What must wait for the disk does so in a
thread (``group_commit``).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Security
from fastapi.security import OAuth2
from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from ccgi_pipeline.common.errors import describe_without_values, library_errors
from ccgi_pipeline.ssid_lookup import limits
from ccgi_pipeline.ssid_lookup.authorization import (
    BearerError,
    TokenEndpoint,
    admitted,
    bearer_token,
)
from ccgi_pipeline.ssid_lookup.client_registry import SCOPES, Clients, Scope
from ccgi_pipeline.ssid_lookup.contract import (
    LOOKUP_ANSWER_FIELDS,
    LOOKUP_FIELDS,
    NO_STUDENT_FOUND,
    Field,
    InvalidRequestError,
    LookupRequest,
    invalid_request_answer,
    json_schema,
    match_answer,
    parse_lookup,
)
from ccgi_pipeline.ssid_lookup.enrollments import (
    ENROLLMENT_FIELDS,
    STORED,
    Enrollments,
    parse_enrollment,
)
from ccgi_pipeline.ssid_lookup.group_commit import GroupCommit
from ccgi_pipeline.ssid_lookup.journal import Journal
from ccgi_pipeline.ssid_lookup.store import Exchange, IdentityStore, NoIdentitiesError

Clock = Callable[[], float]

TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address
LOOKUP_PATH = "/ssid-lookup"
VERIFICATION_PATH = "/enrollment-verifications"
HEALTH_PATH = "/health"
PAGE_PATH = "/docs"
OPENAPI_PATH = "/openapi.json"
_PATHS = frozenset(
    {TOKEN_PATH, LOOKUP_PATH, VERIFICATION_PATH, HEALTH_PATH, PAGE_PATH, OPENAPI_PATH}
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How the service is run; all its files lie in ``folder``.

    ``hourly_limit`` (the contract's figure) is for clients without one of their own.
    ``largest_body`` in bytes: the longest request of the contract has fewer than 4,000, even if
    every letter is spelled as a JSON escape.
    """

    folder: Path
    token_seconds: int = 600
    hourly_limit: int = 5000
    largest_body: int = 16 * 1024


class Rooms:
    """All that the handlers ask: one of each for every worker."""

    def __init__(self, settings: Settings, clock: Clock = time.time) -> None:
        folder = settings.folder
        self.settings = settings
        self.identities = IdentityStore(folder)
        self.exchange = Exchange(folder, clock)
        self.enrollments = Enrollments(folder, clock)
        self.remembering = GroupCommit(self.exchange.remember)
        self.storing = GroupCommit(self.enrollments.store)
        self.clients = Clients(folder, clock)
        self.limiter = limits.Limiter(folder, clock)
        self.journal = Journal(folder / "logs", _PATHS, clock)
        self.tokens = TokenEndpoint(self.clients, settings.token_seconds)

    def close(self) -> None:
        """Lets go of all files."""
        self.identities.close()
        self.exchange.close()
        self.enrollments.close()
        self.clients.close()
        self.limiter.close()


class TooLargeError(Exception):
    """A body that is larger than any request of the contract."""


class NotJsonError(Exception):
    """A body that does not call itself JSON."""


class LimitReachedError(Exception):
    """The client has used up its hour."""


def create_app(settings: Settings, clock: Clock = time.time) -> FastAPI:
    """The service over the files in the settings' folder."""
    rooms = Rooms(settings, clock)

    @asynccontextmanager
    async def until_closed(_: FastAPI) -> AsyncIterator[None]:
        yield
        rooms.close()

    app = FastAPI(
        title="SSID Data Lookup",
        summary="Gives CCCApply a student's SSID, by exact match on all required fields.",
        docs_url=PAGE_PATH,
        redoc_url=None,
        openapi_url=OPENAPI_PATH,
        lifespan=until_closed,
    )
    app.state.rooms = rooms
    _add_routes(app)
    for error, answer in _ANSWERS.items():
        app.add_exception_handler(error, answer)
    app.add_middleware(_Around, journal=rooms.journal)
    return app


def _add_routes(app: FastAPI) -> None:
    app.add_api_route(
        TOKEN_PATH,
        give_token,
        methods=["POST"],
        summary="A bearer token for a client's id and secret (OAuth 2.0 client credentials)",
        openapi_extra={"requestBody": _TOKEN_BODY},
        responses=_responses({200: "A token", 400: "A bad request", 401: "Unknown client"}),
    )
    app.add_api_route(
        LOOKUP_PATH,
        look_up,
        methods=["POST"],
        summary="The SSID of the one student whom all required fields fit",
        dependencies=[Security(_OAUTH2, scopes=[Scope.LOOKUP])],
        openapi_extra={"requestBody": _json_body(LOOKUP_FIELDS)},
        responses=_responses(
            {200: "The student's SSID and the CCCID", 400: "No student found", **_REFUSALS},
            LOOKUP_ANSWER_FIELDS,
        ),
    )
    app.add_api_route(
        VERIFICATION_PATH,
        take_verification,
        methods=["POST"],
        summary="Takes a verification of enrollment; sending it twice is sending it once",
        dependencies=[Security(_OAUTH2, scopes=[Scope.VERIFY])],
        openapi_extra={"requestBody": _json_body(ENROLLMENT_FIELDS)},
        responses=_responses({200: "Stored", **_REFUSALS}),
    )
    app.add_api_route(
        HEALTH_PATH,
        tell_health,
        methods=["GET"],
        summary="Whether look-ups can be answered",
        responses=_responses({200: "They can", 503: "No identities have been loaded"}),
    )


# What follows is shown on the OpenAPI page; requests are judged by the same declarations.

_OAUTH2 = OAuth2(
    flows={
        "clientCredentials": {
            "tokenUrl": TOKEN_PATH,
            "scopes": {str(scope): meaning for scope, meaning in SCOPES.items()},
        }
    },
    auto_error=False,
)
_TOKEN_BODY = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {
                "type": "object",
                "required": ["grant_type"],
                "properties": {
                    "grant_type": {"type": "string", "const": "client_credentials"},
                    "scope": {"type": "string"},
                    "client_id": {"type": "string"},
                    "client_secret": {"type": "string", "format": "password"},
                },
            }
        }
    },
}
_REFUSALS = {
    401: "No valid token",
    403: "The token does not allow it",
    422: "Fields that do not meet the contract, each named",
    429: "The hour is used up; Retry-After says when to ask again",
}


def _json_body(fields: Sequence[Field]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": json_schema(fields)}}}


def _responses(
    meanings: Mapping[int, str], answer: Sequence[Field] = ()
) -> dict[int | str, dict[str, Any]]:
    shown: dict[int | str, dict[str, Any]] = {
        status: {"description": meaning} for status, meaning in meanings.items()
    }
    if answer:
        shown[200]["content"] = {"application/json": {"schema": json_schema(answer)}}
    return shown


async def give_token(request: Request) -> Response:
    """POST /oauth/token."""
    rooms = _rooms(request)
    body = await _body(request, rooms.settings.largest_body)
    secure = request.url.scheme == "https"
    answer = rooms.tokens.answer(request.headers.items(), request.url.query, body, secure=secure)
    request.state.client_id = answer.client_id
    outcome = "issued" if answer.body.get("access_token") else "refused"
    rooms.journal.outcome(answer.client_id, "token", outcome, answer.body.get("error"))
    return JSONResponse(answer.body, answer.status, headers=answer.headers)


async def look_up(request: Request) -> Response:
    """POST /ssid-lookup."""
    rooms = _rooms(request)
    client_id = _admit(request, Scope.LOOKUP)
    asked = parse_lookup(await _json(request))
    ssid = rooms.identities.look_up(asked)
    if ssid is None:
        # Looked into when the answer is out: neither its bytes nor its time tell why.
        later = BackgroundTask(_note_miss, rooms, client_id, asked)
        return JSONResponse(NO_STUDENT_FOUND, 400, background=later)
    await rooms.remembering.put((ssid, asked.cccid))
    differs = asked.ssid is not None and asked.ssid != ssid
    rooms.journal.outcome(client_id, "lookup", "match", "ssid_differs" if differs else None)
    return JSONResponse(match_answer(ssid, asked.cccid))


async def _note_miss(rooms: Rooms, client_id: str, asked: LookupRequest) -> None:
    rooms.journal.outcome(client_id, "lookup", "no_match", rooms.identities.why_missed(asked))


async def take_verification(request: Request) -> Response:
    """POST /enrollment-verifications."""
    rooms = _rooms(request)
    client_id = _admit(request, Scope.VERIFY)
    fate = await rooms.storing.put(parse_enrollment(await _json(request)))
    rooms.journal.outcome(client_id, "verification", fate, None)
    return JSONResponse(STORED)


async def tell_health(request: Request) -> Response:
    """GET /health."""
    if _rooms(request).identities.stands():
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "no identities"}, 503)


def _rooms(request: Request) -> Rooms:
    rooms: Rooms = request.app.state.rooms
    return rooms


def _admit(request: Request, scope: Scope) -> str:
    """The client that may ask this now; from here on the request counts, whatever it says."""
    rooms = _rooms(request)
    token = bearer_token(request.headers.getlist("authorization"), request.url.query)
    allowed = admitted(rooms.clients, token, scope)
    request.state.client_id = allowed.client_id
    limit = allowed.hourly_limit or rooms.settings.hourly_limit
    ruling = rooms.limiter.ask(allowed.client_id, limit)
    request.state.limit_headers = limits.headers(ruling)
    if not ruling.granted:
        rooms.journal.outcome(allowed.client_id, "limit", "refused", None)
        raise LimitReachedError
    return allowed.client_id


async def _json(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise NotJsonError
    return await _body(request, _rooms(request).settings.largest_body)


async def _body(request: Request, largest: int) -> bytes:
    """The body, read no further than the largest one that is allowed."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > largest:
            raise TooLargeError
    return bytes(parts)


def _told(status: int, error: str, message: str) -> Response:
    return JSONResponse({"error": error, "message": message}, status)


async def _bad_fields(request: Request, error: Exception) -> Response:
    if not isinstance(error, InvalidRequestError):
        raise error
    client_id = request.state.client_id
    _rooms(request).journal.outcome(client_id, "fields", "refused", _named(error))
    return JSONResponse(invalid_request_answer(error), 422)


def _named(error: InvalidRequestError) -> str:
    """The bad fields as codes: ``BirthDate:format CDSCode:required``."""
    named = [f"{problem.field or 'other'}:{problem.problem}" for problem in error.problems]
    return " ".join(named) or "no JSON object"


async def _bad_token(_: Request, error: Exception) -> Response:
    if not isinstance(error, BearerError):
        raise error
    headers = {"WWW-Authenticate": error.challenge}
    return JSONResponse(error.body, error.status, headers=headers)


async def _limit_reached(_: Request, _error: Exception) -> Response:
    return _told(429, "limit_reached", "The hour is used up; Retry-After says when to ask again.")


async def _not_json(_: Request, _error: Exception) -> Response:
    return _told(415, "unsupported_media_type", "The body must be application/json.")


async def _too_large(_: Request, _error: Exception) -> Response:
    answer = _told(413, "too_large", "The body is larger than any request of the contract.")
    answer.headers["Connection"] = "close"
    return answer


async def _no_identities(_: Request, _error: Exception) -> Response:
    return _told(503, "temporarily_unavailable", "No identities have been loaded yet.")


async def _gone(_: Request, _error: Exception) -> Response:
    """The client hung up in the middle of its body; nobody reads this answer."""
    return _told(400, "incomplete", "The body was not sent to its end.")


async def _no_such_address(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    words = {404: ("not_found", "There is nothing here."), 405: ("method_not_allowed", "Not so.")}
    code, message = words.get(error.status_code, ("refused", "The request was refused."))
    return JSONResponse({"error": code, "message": message}, error.status_code, error.headers)


_ANSWERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    InvalidRequestError: _bad_fields,
    BearerError: _bad_token,
    LimitReachedError: _limit_reached,
    NotJsonError: _not_json,
    TooLargeError: _too_large,
    NoIdentitiesError: _no_identities,
    ClientDisconnect: _gone,
    HTTPException: _no_such_address,
}

_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""No answer is to be kept on the way: most are about a student."""


class _Around:
    """Around every request: headers that all answers have, the access log, the last resort."""

    def __init__(self, app: ASGIApp, journal: Journal) -> None:
        self._app, self._journal = app, journal

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answering(scope, send, self._journal)
        try:
            await self._app(scope, receive, answer.send)
        except library_errors() as error:
            # Not raised further: the server would log it with its words, which may be a student's.
            self._journal.outcome(
                answer.client_id, "fault", "error", describe_without_values(error)
            )
            if not answer.begun:
                fault = _told(500, "server_error", "Something went wrong here.")
                await fault(scope, receive, answer.send)


class _Answering:
    """One answer on its way out."""

    def __init__(self, scope: Connection, send: Send, journal: Journal) -> None:
        self._scope, self._send, self._journal = scope, send, journal
        self._state: dict[str, Any] = scope.setdefault("state", {})
        self._started = time.perf_counter()
        self._status = 0
        self.begun = False

    @property
    def client_id(self) -> str | None:
        """Whose request it is, once that is known."""
        client_id: str | None = self._state.get("client_id")
        return client_id

    async def send(self, message: Message) -> None:
        """Passes a part of the answer on; notes the request with the last one."""
        if message["type"] == "http.response.start":
            self.begun, self._status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {**_ALWAYS, **self._state.get("limit_headers", {})}.items():
                headers[name] = value
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            # Before it is sent: whoever has an answer can rely on its line.
            seconds = time.perf_counter() - self._started
            method, path = self._scope["method"], self._scope["path"]
            self._journal.access(method, path, self._status, seconds, self.client_id)
        await self._send(message)
