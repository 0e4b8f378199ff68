"""The HTTP service of the SSID Data Lookup.

Belongs here: the addresses, the order of the checks of a request (token, scope, limit, fields), and
the responses. Does not belong here: the checks themselves, and starting a server (``server``).

The handlers call SQLite directly although they are asynchronous: a call takes between 10 and 50
microseconds, less than passing it to a thread and back. Writes that wait for the disk run in a
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
    check_token,
    read_bearer_token,
)
from ccgi_pipeline.ssid_lookup.client_registry import SCOPES, ClientRegistry, ClientScope
from ccgi_pipeline.ssid_lookup.contract import (
    LOOKUP_ANSWER_FIELDS,
    LOOKUP_FIELDS,
    NO_STUDENT_FOUND,
    ContractField,
    InvalidRequestError,
    LookupRequest,
    build_invalid_request_answer,
    build_json_schema,
    build_match_answer,
    parse_lookup,
)
from ccgi_pipeline.ssid_lookup.enrollments import (
    ENROLLMENT_FIELDS,
    STORED,
    EnrollmentStore,
    parse_enrollment,
)
from ccgi_pipeline.ssid_lookup.group_commit import GroupCommit
from ccgi_pipeline.ssid_lookup.journal import Journal
from ccgi_pipeline.ssid_lookup.store import CccidStore, IdentityStore, NoIdentitiesError

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
class ServiceSettings:
    """The settings of the service; all its files are in ``folder``.

    ``hourly_limit`` (the contract's figure) holds for clients without a limit of their own.
    ``largest_body`` in bytes: the longest request of the contract has fewer than 4,000, even if
    every letter is a JSON escape.
    """

    folder: Path
    token_seconds: int = 600
    hourly_limit: int = 5000
    largest_body: int = 16 * 1024


class ServiceResources:
    """The stores, logs and limits that the handlers use; each worker has its own."""

    def __init__(self, settings: ServiceSettings, clock: Clock = time.time) -> None:
        folder = settings.folder
        self.settings = settings
        self.identities = IdentityStore(folder)
        self.cccids = CccidStore(folder, clock)
        self.enrollments = EnrollmentStore(folder, clock)
        self.cccid_writes = GroupCommit(self.cccids.store)
        self.enrollment_writes = GroupCommit(self.enrollments.store)
        self.clients = ClientRegistry(folder, clock)
        self.limiter = limits.Limiter(folder, clock)
        self.journal = Journal(folder / "logs", _PATHS, clock)
        self.tokens = TokenEndpoint(self.clients, settings.token_seconds)

    def close(self) -> None:
        """Closes all files."""
        self.identities.close()
        self.cccids.close()
        self.enrollments.close()
        self.clients.close()
        self.limiter.close()


class TooLargeError(Exception):
    """The body is larger than any request of the contract."""


class NotJsonError(Exception):
    """The body's content type is not JSON."""


class LimitReachedError(Exception):
    """The client has reached its hourly limit."""


def create_app(settings: ServiceSettings, clock: Clock = time.time) -> FastAPI:
    """Creates the service over the files in the settings' folder."""
    resources = ServiceResources(settings, clock)

    @asynccontextmanager
    async def until_closed(_: FastAPI) -> AsyncIterator[None]:
        yield
        resources.close()

    app = FastAPI(
        title="SSID Data Lookup",
        summary="Gives CCCApply a student's SSID, by exact match on all required fields.",
        docs_url=PAGE_PATH,
        redoc_url=None,
        openapi_url=OPENAPI_PATH,
        lifespan=until_closed,
    )
    app.state.resources = resources
    _add_routes(app)
    for error, answer in _ERROR_HANDLERS.items():
        app.add_exception_handler(error, answer)
    app.add_middleware(_ResponseMiddleware, journal=resources.journal)
    return app


def _add_routes(app: FastAPI) -> None:
    app.add_api_route(
        TOKEN_PATH,
        handle_token,
        methods=["POST"],
        summary="A bearer token for a client's id and secret (OAuth 2.0 client credentials)",
        openapi_extra={"requestBody": _TOKEN_BODY},
        responses=_responses({200: "A token", 400: "A bad request", 401: "Unknown client"}),
    )
    app.add_api_route(
        LOOKUP_PATH,
        handle_lookup,
        methods=["POST"],
        summary="The SSID of the one student that all required fields match",
        dependencies=[Security(_OAUTH2, scopes=[ClientScope.LOOKUP])],
        openapi_extra={"requestBody": _json_body(LOOKUP_FIELDS)},
        responses=_responses(
            {200: "The student's SSID and the CCCID", 400: "No student found", **_REFUSALS},
            LOOKUP_ANSWER_FIELDS,
        ),
    )
    app.add_api_route(
        VERIFICATION_PATH,
        handle_verification,
        methods=["POST"],
        summary="Takes a verification of enrollment; sending it twice is sending it once",
        dependencies=[Security(_OAUTH2, scopes=[ClientScope.VERIFY])],
        openapi_extra={"requestBody": _json_body(ENROLLMENT_FIELDS)},
        responses=_responses({200: "Stored", **_REFUSALS}),
    )
    app.add_api_route(
        HEALTH_PATH,
        handle_health,
        methods=["GET"],
        summary="Whether look-ups can be answered",
        responses=_responses({200: "They can", 503: "No identities have been loaded"}),
    )


# The following is shown on the OpenAPI page; requests are checked by the same declarations.

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
    429: "The hourly limit is reached; Retry-After says how long to wait",
}


def _json_body(fields: Sequence[ContractField]) -> dict[str, Any]:
    return {
        "required": True,
        "content": {"application/json": {"schema": build_json_schema(fields)}},
    }


def _responses(
    meanings: Mapping[int, str], answer: Sequence[ContractField] = ()
) -> dict[int | str, dict[str, Any]]:
    shown: dict[int | str, dict[str, Any]] = {
        status: {"description": meaning} for status, meaning in meanings.items()
    }
    if answer:
        shown[200]["content"] = {"application/json": {"schema": build_json_schema(answer)}}
    return shown


async def handle_token(request: Request) -> Response:
    """POST /oauth/token."""
    resources = _resources(request)
    body = await _read_body(request, resources.settings.largest_body)
    secure = request.url.scheme == "https"
    answer = resources.tokens.respond(
        request.headers.items(), request.url.query, body, secure=secure
    )
    request.state.client_id = answer.client_id
    outcome = "issued" if answer.body.get("access_token") else "refused"
    resources.journal.record_outcome(answer.client_id, "token", outcome, answer.body.get("error"))
    return JSONResponse(answer.body, answer.status, headers=answer.headers)


async def handle_lookup(request: Request) -> Response:
    """POST /ssid-lookup."""
    resources = _resources(request)
    client_id = _admit_client(request, ClientScope.LOOKUP)
    lookup = parse_lookup(await _read_json(request))
    ssid = resources.identities.look_up(lookup)
    if ssid is None:
        # The reason is looked up after the response, so that the time of the response is no hint.
        later = BackgroundTask(_record_miss, resources, client_id, lookup)
        return JSONResponse(NO_STUDENT_FOUND, 400, background=later)
    await resources.cccid_writes.put((ssid, lookup.cccid))
    differs = lookup.ssid is not None and lookup.ssid != ssid
    resources.journal.record_outcome(
        client_id, "lookup", "match", "ssid_differs" if differs else None
    )
    return JSONResponse(build_match_answer(ssid, lookup.cccid))


async def _record_miss(resources: ServiceResources, client_id: str, lookup: LookupRequest) -> None:
    resources.journal.record_outcome(
        client_id, "lookup", "no_match", resources.identities.explain_miss(lookup)
    )


async def handle_verification(request: Request) -> Response:
    """POST /enrollment-verifications."""
    resources = _resources(request)
    client_id = _admit_client(request, ClientScope.VERIFY)
    fate = await resources.enrollment_writes.put(parse_enrollment(await _read_json(request)))
    resources.journal.record_outcome(client_id, "verification", fate, None)
    return JSONResponse(STORED)


async def handle_health(request: Request) -> Response:
    """GET /health."""
    if _resources(request).identities.is_loaded():
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "no identities"}, 503)


def _resources(request: Request) -> ServiceResources:
    resources: ServiceResources = request.app.state.resources
    return resources


def _admit_client(request: Request, scope: ClientScope) -> str:
    """Returns the client that may send this request now; the request counts from here on."""
    resources = _resources(request)
    token = read_bearer_token(request.headers.getlist("authorization"), request.url.query)
    allowed = check_token(resources.clients, token, scope)
    request.state.client_id = allowed.client_id
    limit = allowed.hourly_limit or resources.settings.hourly_limit
    decision = resources.limiter.request(allowed.client_id, limit)
    request.state.limit_headers = limits.build_rate_headers(decision)
    if not decision.granted:
        resources.journal.record_outcome(allowed.client_id, "limit", "refused", None)
        raise LimitReachedError
    return allowed.client_id


async def _read_json(request: Request) -> bytes:
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json":
        raise NotJsonError
    return await _read_body(request, _resources(request).settings.largest_body)


async def _read_body(request: Request, largest: int) -> bytes:
    """Reads the body, but no more than ``largest`` bytes. Raises TooLargeError."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > largest:
            raise TooLargeError
    return bytes(parts)


def _error_response(status: int, error: str, message: str) -> Response:
    return JSONResponse({"error": error, "message": message}, status)


async def _handle_bad_fields(request: Request, error: Exception) -> Response:
    if not isinstance(error, InvalidRequestError):
        raise error
    client_id = request.state.client_id
    _resources(request).journal.record_outcome(
        client_id, "fields", "refused", _describe_fields(error)
    )
    return JSONResponse(build_invalid_request_answer(error), 422)


def _describe_fields(error: InvalidRequestError) -> str:
    """Returns the bad fields as codes: ``BirthDate:format CDSCode:required``."""
    named = [f"{problem.field or 'other'}:{problem.problem}" for problem in error.problems]
    return " ".join(named) or "no JSON object"


async def _handle_bad_token(_: Request, error: Exception) -> Response:
    if not isinstance(error, BearerError):
        raise error
    headers = {"WWW-Authenticate": error.challenge}
    return JSONResponse(error.body, error.status, headers=headers)


async def _handle_limit_reached(_: Request, _error: Exception) -> Response:
    return _error_response(
        429, "limit_reached", "The hourly limit is reached; Retry-After says how long to wait."
    )


async def _handle_not_json(_: Request, _error: Exception) -> Response:
    return _error_response(415, "unsupported_media_type", "The body must be application/json.")


async def _handle_too_large(_: Request, _error: Exception) -> Response:
    answer = _error_response(
        413, "too_large", "The body is larger than any request of the contract."
    )
    answer.headers["Connection"] = "close"
    return answer


async def _handle_no_identities(_: Request, _error: Exception) -> Response:
    return _error_response(503, "temporarily_unavailable", "No identities have been loaded yet.")


async def _handle_disconnect(_: Request, _error: Exception) -> Response:
    """Answers a client that closed the connection within its body, and will not read this."""
    return _error_response(400, "incomplete", "The body is incomplete.")


async def _handle_http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code, message = _HTTP_ERRORS.get(error.status_code, ("refused", "The request was refused."))
    return JSONResponse({"error": code, "message": message}, error.status_code, error.headers)


_HTTP_ERRORS = {
    404: ("not_found", "The service has no such address; /docs lists its addresses."),
    405: ("method_not_allowed", "This address does not accept this HTTP method; /docs lists them."),
}

_ERROR_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    InvalidRequestError: _handle_bad_fields,
    BearerError: _handle_bad_token,
    LimitReachedError: _handle_limit_reached,
    NotJsonError: _handle_not_json,
    TooLargeError: _handle_too_large,
    NoIdentitiesError: _handle_no_identities,
    ClientDisconnect: _handle_disconnect,
    HTTPException: _handle_http_error,
}

_COMMON_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""No cache may keep a response: most are about a student."""


class _ResponseMiddleware:
    """Adds the common headers to every response, logs every request, and answers server errors."""

    def __init__(self, app: ASGIApp, journal: Journal) -> None:
        self._app, self._journal = app, journal

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _ResponseRecorder(scope, send, self._journal)
        try:
            await self._app(scope, receive, answer.send)
        except library_errors() as error:
            # Not raised further: the server would log its message, which may hold a student's data.
            self._journal.record_outcome(
                answer.client_id, "fault", "error", describe_without_values(error)
            )
            if not answer.begun:
                fault = _error_response(500, "server_error", "An error happened in the service.")
                await fault(scope, receive, answer.send)


class _ResponseRecorder:
    """Passes one response on and records it in the access log."""

    def __init__(self, scope: Connection, send: Send, journal: Journal) -> None:
        self._scope, self._send, self._journal = scope, send, journal
        self._state: dict[str, Any] = scope.setdefault("state", {})
        self._started = time.perf_counter()
        self._status = 0
        self.begun = False

    @property
    def client_id(self) -> str | None:
        """The client that sent the request, once it is known."""
        client_id: str | None = self._state.get("client_id")
        return client_id

    async def send(self, message: Message) -> None:
        """Passes a part of the response on; logs the request before the last part."""
        if message["type"] == "http.response.start":
            self.begun, self._status = True, message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in {**_COMMON_HEADERS, **self._state.get("limit_headers", {})}.items():
                headers[name] = value
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            # Logged before the last part is sent, so that every complete response is in the log.
            seconds = time.perf_counter() - self._started
            method, path = self._scope["method"], self._scope["path"]
            self._journal.record_access(method, path, self._status, seconds, self.client_id)
        await self._send(message)
