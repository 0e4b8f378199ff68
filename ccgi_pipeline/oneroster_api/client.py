"""Asks one district's OneRoster API, with patience and within limits.

Belongs here: requests, what a status means, retries, limits on bytes, pages and time. Does not
belong here: which pages are asked for (``fetching``), what they hold (``pages``).

Logs and messages hold paths, statuses and counts: no query, no body, no header.
"""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import quote

import httpx

from ccgi_pipeline.common.errors import PermanentError, TransientError
from ccgi_pipeline.intake.file_stability import Clock
from ccgi_pipeline.oneroster_api.authorization import (
    Authorization,
    BearerTokens,
    OneRosterApiRefusedError,
    Signatures,
)
from ccgi_pipeline.oneroster_api.pages import PageFault, is_status_info, parse_json
from ccgi_pipeline.oneroster_api.patience import (
    find_lighter_page,
    find_wait,
    may_pass,
    parse_retry_after,
)
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile

_MEGABYTE = 1_000_000
_USER_AGENT = "ccgi-pipeline (OneRoster client)"
_LARGEST_PAGE = 128 * _MEGABYTE
"""Bytes of a page: it is held in memory several times."""
_LONGEST_ANSWER = 5
"""How many times its time without a byte an answer may take."""
_LARGEST_ERROR = 100_000
"""Bytes that are read of an answer that is no page."""


class OneRosterApiUnavailableError(TransientError):
    """A district's OneRoster API gives no roster now: the next fetch may succeed."""


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """An answer to a request for records.

    ``limit``: how many records were asked for. ``total`` and ``revision``: what the server says of
    the collection, None if it does not. ``found``: False if it says that there is no such thing.
    """

    body: bytes
    limit: int
    total: int | None
    revision: str | None
    found: bool = True


class QueryRefused(Exception):  # noqa: N818 - an answer that the caller may do without
    """The server does not accept the query (HTTP 400 or 422)."""


class OneRosterClient:
    """A client of one district's server. It is used by one thread at a time."""

    def __init__(
        self,
        profile: OneRosterApiProfile,
        secret: str,
        clock: Clock | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepares; nothing is sent. ``transport`` replaces the network.

        Raises OneRosterApiRefusedError if the certificate file cannot be used.
        """
        self._profile, self._clock = profile, clock or Clock()
        self.base = profile.server or ""
        """The address below which the collections are."""
        self._http = httpx.Client(
            verify=_load_trust(profile.ca_file),
            timeout=httpx.Timeout(profile.timeout_seconds, connect=30.0),
            headers={"User-Agent": _USER_AGENT, "Accept": "application/json"},
            follow_redirects=False,
            transport=transport,
        )
        self._authorization: Authorization = (
            Signatures(profile, secret)
            if profile.authentication == "oauth1"
            else BearerTokens(profile, secret, self._post_form, self._seconds)
        )
        self._ends = self._seconds() + 60 * profile.most_minutes
        self.bytes_read = 0
        self.pages_read = 0

    def __enter__(self) -> Self:
        """Returns the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes all connections."""
        self._http.close()

    def get_page(
        self, collection: str, offset: int, limit: int, query: Mapping[str, str]
    ) -> PageAnswer:
        """Asks for a page of a collection, as often as it takes.

        Raises:
            QueryRefused: the server does not accept the query.
            OneRosterApiUnavailableError: there was no answer; a later fetch may get one.
            OneRosterApiRefusedError: there is none until somebody acts, or a limit is reached.
        """
        attempt, renewed = 0, False
        while True:
            attempt += 1
            self._check_limits(collection)
            url = self._url(collection, {"limit": str(limit), "offset": str(offset), **query})
            response = self._get(url, collection)
            status = None if response is None else response.status_code
            if response is not None and status == HTTPStatus.OK:
                self.pages_read += 1
                return PageAnswer(
                    response.content,
                    limit,
                    _parse_total(response.headers),
                    response.headers.get("x-perm-rev"),
                )
            if response is not None and status == HTTPStatus.NOT_FOUND:
                return PageAnswer(b"", limit, None, None, found=False)
            if status == HTTPStatus.UNAUTHORIZED and not renewed and self._authorization.renew():
                renewed = True
                attempt -= 1
                continue
            if status in _QUERY_STATUSES:
                raise QueryRefused(_words_for(collection, response))
            if not may_pass(status):
                raise OneRosterApiRefusedError(_words_for(collection, response))
            self._wait(attempt, response, collection)
            limit = find_lighter_page(limit, status, attempt)

    def _url(self, collection: str, query: Mapping[str, str]) -> str:
        # A blank as %20: some servers keep the plus sign that httpx would write.
        asked = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return f"{self.base}/{collection}?{asked}"

    def _get(self, url: str, collection: str) -> httpx.Response | None:
        headers = self._authorization.make_headers(url)
        return self._send(self._http.build_request("GET", url, headers=headers), f"/{collection}")

    def _post_form(
        self, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> httpx.Response:
        """Sends a form to the token address until it gives an answer."""
        attempt = 0
        while True:
            attempt += 1
            response = self._send(
                self._http.build_request("POST", url, data=dict(form), headers=dict(headers)),
                "token address",
            )
            if response is not None and not may_pass(response.status_code):
                return response
            self._wait(attempt, response, "token address")

    def _send(self, request: httpx.Request, where: str) -> httpx.Response | None:
        """Sends a request; returns the answer with its whole body, None if there was none.

        Raises OneRosterApiRefusedError if there can be none until somebody acts.
        """
        refusal: PermanentError
        try:
            response = self._http.send(request, stream=True)
            try:
                body = self._read_body(response, where)
            finally:
                response.close()
        except httpx.HTTPError as error:
            found = _explain_request_error(error)
            if found is None:
                return None
            refusal = found
        else:
            return httpx.Response(
                response.status_code, headers=_headers_without_form(response), content=body
            )
        # Raised outside of the except block, so that the request is not part of its traceback.
        raise refusal

    def _read_body(self, response: httpx.Response, where: str) -> bytes:
        good = response.status_code == HTTPStatus.OK
        left = self._profile.most_megabytes * _MEGABYTE - self.bytes_read
        most = min(left, _LARGEST_PAGE) if good else min(left, _LARGEST_ERROR)
        parts: list[bytes] = []
        size, ends = 0, time.monotonic() + _LONGEST_ANSWER * self._profile.timeout_seconds
        for part in response.iter_bytes():
            size += len(part)
            if size > most:
                if not good:
                    break
                limit = _LARGEST_PAGE // _MEGABYTE
                msg = f"{where}: an answer has more than {limit} MB: make page_size smaller"
                if size > left:
                    msg = (
                        f"{where}: the answers have more than {self._profile.most_megabytes:,} MB: "
                        "raise most_megabytes if the district is that large"
                    )
                raise OneRosterApiRefusedError(msg)
            parts.append(part)
            if time.monotonic() > ends:
                msg = "the answer drips"
                raise httpx.ReadTimeout(msg, request=response.request)
            self._check_limits(where)
        self.bytes_read += size
        return b"".join(parts)

    def _check_limits(self, where: str) -> None:
        profile = self._profile
        if self.pages_read >= profile.most_pages:
            msg = f"{where}: more than {profile.most_pages:,} pages: see most_pages"
            raise OneRosterApiRefusedError(msg)
        if self._seconds() > self._ends:
            msg = f"{where}: not done after {profile.most_minutes:,} minutes: see most_minutes"
            raise OneRosterApiUnavailableError(msg)

    def _wait(self, attempt: int, response: httpx.Response | None, where: str) -> None:
        """Waits before the next attempt. Raises OneRosterApiUnavailableError if there is none."""
        asked = None
        if response is not None:
            asked = parse_retry_after(
                response.headers.get("retry-after"),
                response.headers.get("date"),
                self._clock.now(),
            )
        wait = find_wait(attempt, asked, random.random())  # noqa: S311 - no secret depends on it
        said = "no answer" if response is None else f"HTTP {response.status_code}"
        if wait is None:
            msg = f"{where}: {said}, {attempt} times in a row: the next fetch asks again"
            raise OneRosterApiUnavailableError(msg)
        if self._seconds() + wait > self._ends:
            msg = f"{where}: {said}, and most_minutes would be over before the next attempt"
            raise OneRosterApiUnavailableError(msg)
        self._clock.sleep(wait)

    def _seconds(self) -> float:
        return self._clock.now().timestamp()


_QUERY_STATUSES = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_ADVICE: Mapping[int, str] = {
    HTTPStatus.BAD_REQUEST: "the server does not accept the query",
    HTTPStatus.UNPROCESSABLE_ENTITY: "the server does not accept the query",
    HTTPStatus.UNAUTHORIZED: "a fresh token, or the signature, is not accepted: check the client, "
    "its scopes and authentication with the vendor",
    HTTPStatus.FORBIDDEN: "the client may not read it: have the vendor grant the scope",
}
_REDIRECTS = range(300, 400)


def _words_for(collection: str, response: httpx.Response | None) -> str:
    status = 0 if response is None else response.status_code
    known = _ADVICE.get(status, "the server refuses")
    if status in _REDIRECTS:
        known = "the server redirects, and a token is sent nowhere else: check server"
    said = ""
    if response is not None:
        try:
            said = ", with an error of OneRoster" * is_status_info(parse_json(response.content))
        except PageFault:
            said = ""
    return f"/{collection}: {known} (HTTP {status}{said})"


def _parse_total(headers: httpx.Headers) -> int | None:
    written = headers.get("x-total-count") or headers.get("x-count") or ""
    return int(written) if written.strip().isascii() and written.strip().isdecimal() else None


def _headers_without_form(response: httpx.Response) -> list[tuple[str, str]]:
    form = {"content-encoding", "content-length", "transfer-encoding"}
    return [(name, value) for name, value in response.headers.multi_items() if name not in form]


def _load_trust(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=Path(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError):
        pass
    msg = "no certificate can be read from ca_file: give a PEM file"
    raise OneRosterApiRefusedError(msg)


def _explain_request_error(error: httpx.HTTPError) -> PermanentError | None:
    """Returns the error for a request that cannot get an answer; None if the next one may."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return OneRosterApiRefusedError(
                f"the server's certificate is not trusted ({cause.verify_message}): check the "
                "address, or name the authority's certificate in ca_file"
            )
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            return OneRosterApiRefusedError("the host of an address is unknown: check the profile")
    if isinstance(error, httpx.DecodingError):
        return OneRosterApiRefusedError("the server packs an answer in a way that cannot be read")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
