"""The HTTP service: a page that takes files and answers with their receipt.

Belongs here: the addresses, and the order in which an upload is limited, written, judged and
removed. Does not belong here: each of these steps, and starting a server (``server``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import date, datetime
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ccgi_pipeline.check_service import jobs, page, refusals, request_guard
from ccgi_pipeline.check_service.counts import Counts
from ccgi_pipeline.check_service.jobs import Job, Judgement
from ccgi_pipeline.check_service.refusals import RefusedError
from ccgi_pipeline.check_service.settings import CheckSettings
from ccgi_pipeline.check_service.upload_folders import open_upload_folder
from ccgi_pipeline.check_service.uploads import Upload, receive_upload, require_form
from ccgi_pipeline.common.errors import library_errors
from ccgi_pipeline.common.time_zone import CALIFORNIA
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.http_service.refusals import Refusal
from ccgi_pipeline.http_service.request_heads import read_head
from ccgi_pipeline.intake.inbox import is_cd_code

PAGE_PATH, CHECK_PATH, HEALTH_PATH = "/", "/check", "/health"
_FIRST_YEAR, _LAST_YEAR = 1980, 2100
_RETRY_SECONDS = 60
_SAVED_AS = 'attachment; filename="findings.json"'


class Workers(Protocol):
    """What judges uploads."""

    async def prepare(self) -> None:
        """Gets ready for the next upload."""

    async def judge(self, job: Job, seconds: float) -> Judgement:
        """Judges a job. Raises RefusedError."""

    def end_all(self) -> None:
        """Ends what is under way."""


class CheckService:
    """Takes uploads, a limited number at once, and has them judged."""

    def __init__(self, settings: CheckSettings, workers: Workers, counts: Counts) -> None:
        self.settings, self.counts = settings, counts
        self._workers = workers
        self._places = asyncio.Semaphore(settings.at_once)
        self._receiving = 0
        self._preparing: asyncio.Task[None] | None = None
        self.form = page.render_form(settings)

    async def check(self, request: Request) -> Response:
        """Answers an upload with its receipt; nothing of it is left when this returns."""
        boundary = require_form(
            request.headers.get("content-type", ""),
            request.headers.get("content-length"),
            self.settings,
        )
        if self._receiving >= self.settings.receiving:
            raise RefusedError(refusals.BUSY)
        self._receiving += 1
        try:
            with open_upload_folder(self.settings.folder) as folder:
                upload = await receive_upload(request.stream(), boundary, folder, self.settings)
                job = build_job(upload, f"{folder}", self.settings)
                judged = await self._judge(job, request)
        finally:
            self._receiving -= 1
        self.counts.record_verdict(judged.verdict)
        if job.form == jobs.JSON:
            headers = {"Content-Disposition": _SAVED_AS}
            return Response(judged.content, media_type="application/json", headers=headers)
        return _answer_page(judged.content.decode(), page.receipt_policy())

    async def _judge(self, job: Job, request: Request) -> Judgement:
        """Judges a job when it is its turn; gives it up as soon as nobody waits for it."""
        asked = asyncio.create_task(self._judge_in_turn(job))
        gone = asyncio.create_task(_wait_for_end(request))
        try:
            await asyncio.wait({asked, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise ClientDisconnect
            return asked.result()
        finally:
            for task in (asked, gone):
                task.cancel()
            # Its process is ended before its folder is removed.
            await asyncio.gather(asked, gone, return_exceptions=True)

    async def _judge_in_turn(self, job: Job) -> Judgement:
        try:
            async with asyncio.timeout(self.settings.patience):
                await self._places.acquire()
        except TimeoutError:
            raise RefusedError(refusals.BUSY) from None
        try:
            return await self._workers.judge(job, self.settings.seconds)
        finally:
            self._places.release()
            self.prepare()

    def prepare(self) -> None:
        """Gets ready for the next upload, without waiting for it."""
        if self._preparing is None or self._preparing.done():
            self._preparing = asyncio.create_task(self._workers.prepare())

    def close(self) -> None:
        """Ends what is under way."""
        if self._preparing is not None:
            self._preparing.cancel()
        self._workers.end_all()


async def _wait_for_end(request: Request) -> None:
    """Waits until the browser has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def build_job(upload: Upload, folder: str, settings: CheckSettings) -> Job:
    """Returns what is to be judged; refuses options that mean nothing."""
    fields = {name: value.strip() for name, value in upload.fields.items()}
    family, sender = fields.get("family") or None, fields.get("district", "")
    form = fields.get("format") or jobs.HTML
    if family is not None and family not in FAMILIES:
        raise RefusedError(refusals.FAMILY)
    if sender and not is_cd_code(sender):
        raise RefusedError(refusals.DISTRICT)
    if form not in jobs.FORMS:
        raise RefusedError(refusals.FORMAT)
    return Job(
        folder=folder,
        names=tuple(upload.names),
        on=_read_day(fields.get("date", "")).isoformat(),
        family=family,
        sender=sender,
        show_values=bool(fields.get("show_values")),
        form=form,
        profiles=f"{settings.profiles.absolute()}" if settings.profiles else None,
        memory=settings.memory,
        seconds=settings.seconds,
    )


def _read_day(text: str) -> date:
    """Returns the day that is named, or today's in California."""
    if not text:
        return datetime.now(tz=CALIFORNIA).date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise RefusedError(refusals.DATE) from None
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise RefusedError(refusals.DATE)
    return day


# --- the app --------------------------------------------------------------------------------------


def create_app(settings: CheckSettings, workers: Workers, counts: Counts) -> Starlette:
    """Creates the service."""

    @asynccontextmanager
    async def until_closed(app: Starlette) -> AsyncIterator[Mapping[str, Any]]:
        service = CheckService(settings, workers, counts)
        app.state.service = service
        service.prepare()
        yield {}
        service.close()

    lifespan: Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]] = until_closed
    app = Starlette(
        routes=[
            Route(PAGE_PATH, _show_form, methods=["GET"]),
            Route(CHECK_PATH, _check, methods=["POST"]),
            Route(HEALTH_PATH, _tell_health, methods=["GET"]),
        ],
        exception_handlers={**_ERROR_HANDLERS},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.add_middleware(_GuardMiddleware, hosts=settings.hosts, counts=counts)
    return app


def _service(request: Request) -> CheckService:
    service: CheckService = request.app.state.service
    return service


async def _show_form(request: Request) -> Response:
    return _answer_page(*_service(request).form)


async def _check(request: Request) -> Response:
    return await _service(request).check(request)


async def _tell_health(request: Request) -> Response:
    return JSONResponse({"status": "ok", **_service(request).counts.describe()})


def _answer_page(content: str, policy: str, status: int = 200) -> Response:
    return HTMLResponse(content, status, headers={"Content-Security-Policy": policy})


def _refuse(refusal: Refusal, counts: Counts) -> Response:
    counts.record_refusal(refusal.error)
    answer = _answer_page(*page.render_refusal(refusal), refusal.status)
    if refusal.status == refusals.BUSY.status:
        answer.headers["Retry-After"] = f"{_RETRY_SECONDS}"
    return answer


async def _handle_refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    return _refuse(error.refusal, _service(request).counts)


async def _handle_disconnect(request: Request, _error: Exception) -> Response:
    """Answers a browser that has closed the connection, and will not read this."""
    return _refuse(refusals.BROKEN_FORM, _service(request).counts)


async def _handle_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    refusal = _HTTP_ERRORS.get(error.status_code, refusals.NOT_FOUND)
    answer = _refuse(refusal, _service(request).counts)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


_HTTP_ERRORS = {refusal.status: refusal for refusal in (refusals.NOT_FOUND, refusals.WRONG_METHOD)}

_ERROR_HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = {
    RefusedError: _handle_refused,
    ClientDisconnect: _handle_disconnect,
    HTTPException: _handle_http_error,
}


class _GuardMiddleware:
    """Refuses what comes from other sites, adds the common headers, and answers faults."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], counts: Counts) -> None:
        self._app, self._hosts, self._counts = app, hosts, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_with_headers(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in request_guard.HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = request_guard.find_refusal(read_head(scope), self._hosts)
        if refusal is not None:
            await _refuse(refusal, self._counts)(scope, receive, send_with_headers)
            return
        try:
            await self._app(scope, receive, send_with_headers)
        except library_errors():
            # Not raised further: the server would log its message, which may hold a cell.
            if begun:
                self._counts.record_refusal(refusals.FAULT.error)
            else:
                fault = _refuse(refusals.FAULT, self._counts)
                await fault(scope, receive, send_with_headers)
