"""The HTTP service of the SSID Data Lookup.

Belongs here: the addresses, the order of the checks of a request (token, scope, limit, fields), and
the responses. Does not belong here: the checks themselves, and starting a server (``server``).

The handlers call SQLite directly although they are asynchronous: a call takes between 10 and 50
microseconds, less than passing it to a thread and back. Writes that wait for the disk run in a
thread (``group_commit``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Security
from starlette.background import BackgroundTask
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from ccgi_pipeline.common.errors import describe_without_values, library_errors
from ccgi_pipeline.http_service.addresses import group_address
from ccgi_pipeline.http_service.refusals import TOO_LARGE, Refusal
from ccgi_pipeline.ssid_lookup import limits, openapi, refusals
from ccgi_pipeline.ssid_lookup.authorization import (
    BearerError,
    TokenEndpoint,
    check_token,
    read_bearer_token,
)
from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry, ClientScope
from ccgi_pipeline.ssid_lookup.contract import (
    LOOKUP_ANSWER_FIELDS,
    LOOKUP_FIELDS,
    LOOKUP_PATH,
    NO_STUDENT_FOUND,
    TOKEN_PATH,
    VERIFICATION_PATH,
    InvalidRequestError,
    LookupRequest,
    build_invalid_request_answer,
    build_match_answer,
    parse_lookup,
)
from ccgi_pipeline.ssid_lookup.enrollments import (
    ENROLLMENT_FIELDS,
    EnrollmentStore,
    VerificationFate,
    build_stored_answer,
    parse_enrollment,
)
from ccgi_pipeline.ssid_lookup.group_commit import GroupCommit
from ccgi_pipeline.ssid_lookup.journal import Journal
from ccgi_pipeline.ssid_lookup.limits import Clock
from ccgi_pipeline.ssid_lookup.refusal_log import MINUTE, RefusalLog, Refused
from ccgi_pipeline.ssid_lookup.store import CccidStore, IdentityStore, NoIdentitiesError

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
    every letter is a JSON escape. ``failed_logins``: so many of one client at one address are
    answered in a minute.
    """

    folder: Path
    token_seconds: int = 600
    hourly_limit: int = 5000
    largest_body: int = 16 * 1024
    failed_logins: int = 60


def open_journal(settings: ServiceSettings, clock: Clock = time.time) -> Journal:
    """Returns the logs in the settings' folder."""
    return Journal(settings.folder / "logs", _PATHS, clock)


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
        self.journal = open_journal(settings, clock)
        self.tokens = TokenEndpoint(self.clients, settings.token_seconds)
        self.refusals = RefusalLog(self.journal)
        self.page: tuple[str, Mapping[str, str]] | None = None

    def close(self) -> None:
        """Closes all files."""
        self.refusals.write_ended(all_of_them=True)
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


class TooManyFailuresError(Exception):
    """Too many logins of this client failed at this address; ``seconds``: how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many failed logins")
        self.seconds = seconds


def create_app(settings: ServiceSettings, clock: Clock = time.time) -> FastAPI:
    """Creates the service over the files in the settings' folder."""
    resources = ServiceResources(settings, clock)

    @asynccontextmanager
    async def until_closed(_: FastAPI) -> AsyncIterator[None]:
        every_minute = asyncio.create_task(_log_every_minute(resources))
        yield
        every_minute.cancel()
        resources.close()

    app = FastAPI(
        title="SSID Data Lookup",
        summary="Gives CCCApply a student's SSID, by exact match on all required fields.",
        # FastAPI's own page loads its scripts from another host.
        docs_url=None,
        redoc_url=None,
        # A redirection would go to the host that the client's request names.
        redirect_slashes=False,
        openapi_url=OPENAPI_PATH,
        lifespan=until_closed,
    )
    app.state.resources = resources
    _add_routes(app)
    for error, answer in _ERROR_HANDLERS.items():
        app.add_exception_handler(error, answer)
    app.add_middleware(_ResponseMiddleware, journal=resources.journal)
    return app


async def _log_every_minute(resources: ServiceResources) -> None:
    while True:
        await asyncio.sleep(MINUTE)
        resources.refusals.write_ended()


def _add_routes(app: FastAPI) -> None:
    security = openapi.build_security(TOKEN_PATH)
    app.add_api_route(
        TOKEN_PATH,
        handle_token,
        methods=["POST"],
        summary="A bearer token for a client's id and secret (OAuth 2.0 client credentials)",
        openapi_extra={"requestBody": openapi.TOKEN_BODY},
        responses={
            200: openapi.describe_example("A token", openapi.TOKEN_EXAMPLE),
            **openapi.describe_refusals(openapi.TOKEN_REFUSALS),
        },
    )
    app.add_api_route(
        LOOKUP_PATH,
        handle_lookup,
        methods=["POST"],
        summary="The SSID of the one student that all required fields match",
        dependencies=[Security(security, scopes=[ClientScope.LOOKUP])],
        openapi_extra={"requestBody": openapi.describe_body(LOOKUP_FIELDS)},
        responses={
            200: openapi.describe_fields("The student's SSID and the CCCID", LOOKUP_ANSWER_FIELDS),
            **openapi.describe_refusals(openapi.LOOKUP_REFUSALS),
        },
    )
    app.add_api_route(
        VERIFICATION_PATH,
        handle_verification,
        methods=["POST"],
        summary="Takes a verification of enrollment; sending it twice is sending it once",
        dependencies=[Security(security, scopes=[ClientScope.VERIFY])],
        openapi_extra={"requestBody": openapi.describe_body(ENROLLMENT_FIELDS)},
        responses={
            200: openapi.describe_example(
                "Stored; fate: inserted, updated or unchanged",
                build_stored_answer(VerificationFate.INSERTED),
            ),
            **openapi.describe_refusals(openapi.VERIFICATION_REFUSALS),
        },
    )
    app.add_api_route(
        HEALTH_PATH,
        handle_health,
        methods=["GET"],
        summary="Whether look-ups can be answered",
        responses={
            200: openapi.describe_example("They can", _HEALTHY),
            **openapi.describe_refusals([refusals.NO_IDENTITIES]),
        },
    )
    app.add_api_route(PAGE_PATH, handle_page, methods=["GET"], include_in_schema=False)


_HEALTHY = {"status": "ok"}


async def handle_token(request: Request) -> Response:
    """POST /oauth/token."""
    resources = _resources(request)
    body = await _read_body(request, resources.settings.largest_body)
    secure = request.url.scheme == "https"
    answer = resources.tokens.respond(
        request.headers.items(), request.url.query, body, secure=secure
    )
    request.state.client_id = answer.client_id
    error = answer.body.get("error")
    if answer.client_id is not None:
        outcome = "refused" if error else "issued"
        resources.journal.record_outcome(answer.client_id, "token", outcome, error)
    else:
        wait = _record_failed_login(request, answer.claimed, "token", str(error))
        if wait and answer.status == 401:  # noqa: PLR2004 - Unauthorized
            raise TooManyFailuresError(wait)
    return JSONResponse(answer.body, answer.status, headers=answer.headers)


def _record_failed_login(request: Request, client_id: str | None, what: str, reason: str) -> int:
    """Counts and logs a failed login; returns how long to wait, if there were too many."""
    resources = _resources(request)
    address = group_address(request.client.host) if request.client else ""
    return resources.refusals.record(
        Refused(client_id, address, what, reason), resources.settings.failed_logins
    )


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
    is_new = await resources.cccid_writes.put((ssid, lookup.cccid))
    reasons = {
        "ssid_differs": lookup.ssid is not None and lookup.ssid != ssid,
        "cccid_shared": is_new and resources.cccids.is_shared(lookup.cccid),
    }
    told = " ".join(reason for reason, holds in reasons.items() if holds)
    resources.journal.record_outcome(client_id, "lookup", "match", told or None)
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
    return JSONResponse(build_stored_answer(fate))


async def handle_health(request: Request) -> Response:
    """GET /health."""
    if _resources(request).identities.is_loaded():
        return JSONResponse(_HEALTHY)
    return _refuse(refusals.NO_IDENTITIES)


async def handle_page(request: Request) -> Response:
    """GET /docs."""
    resources = _resources(request)
    if resources.page is None:
        resources.page = openapi.render_page(request.app.openapi())
    page, headers = resources.page
    return HTMLResponse(page, headers=headers)


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


def _refuse(refusal: Refusal) -> Response:
    return JSONResponse(refusal.body, refusal.status)


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


async def _handle_bad_token(request: Request, error: Exception) -> Response:
    if not isinstance(error, BearerError):
        raise error
    # Too many are not refused: a client whose token has ended must learn that it needs another.
    _record_failed_login(request, error.client_id, "bearer", error.error or "missing")
    headers = {"WWW-Authenticate": error.challenge}
    return JSONResponse(error.body, error.status, headers=headers)


async def _handle_limit_reached(_: Request, _error: Exception) -> Response:
    return _refuse(refusals.LIMIT_REACHED)


async def _handle_too_many_failures(_: Request, error: Exception) -> Response:
    if not isinstance(error, TooManyFailuresError):
        raise error
    answer = _refuse(refusals.TOO_MANY_FAILURES)
    answer.headers["Retry-After"] = str(error.seconds)
    return answer


async def _handle_not_json(_: Request, _error: Exception) -> Response:
    return _refuse(refusals.NOT_JSON)


async def _handle_too_large(_: Request, _error: Exception) -> Response:
    answer = _refuse(TOO_LARGE)
    answer.headers["Connection"] = "close"
    return answer


async def _handle_no_identities(_: Request, _error: Exception) -> Response:
    return _refuse(refusals.NO_IDENTITIES)


async def _handle_disconnect(_: Request, _error: Exception) -> Response:
    """Answers a client that closed the connection within its body, and will not read this."""
    return _refuse(refusals.INCOMPLETE)


async def _handle_http_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    refusal = _HTTP_ERRORS.get(error.status_code)
    if refusal is None:
        refusal = Refusal(error.status_code, "refused", "The request was refused.")
    return JSONResponse(refusal.body, refusal.status, error.headers)


_HTTP_ERRORS = {refusal.status: refusal for refusal in (refusals.NOT_FOUND, refusals.WRONG_METHOD)}

_ERROR_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    InvalidRequestError: _handle_bad_fields,
    BearerError: _handle_bad_token,
    LimitReachedError: _handle_limit_reached,
    TooManyFailuresError: _handle_too_many_failures,
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
                fault = _refuse(refusals.SERVER_ERROR)
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
