"""The client of the SSID Data Lookup: one request, its answer or its error."""

from __future__ import annotations

import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from ccgi_pipeline.common.errors import PermanentError, TransientError
from ccgi_pipeline.ssid_lookup.backlog import (
    Fault,
    Matched,
    NoStudent,
    Reply,
)
from ccgi_pipeline.ssid_lookup.client_registry import Scope
from ccgi_pipeline.ssid_lookup.contract import LOOKUP_FIELDS, NO_STUDENT_FOUND, SSID, LookupRequest
from ccgi_pipeline.ssid_lookup.server import InsecureError
from ccgi_pipeline.ssid_lookup.service import LOOKUP_PATH, TOKEN_PATH

Clock = Callable[[], float]

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_EARLIER = 30
"""Seconds before its end from which a token is not used any more; of short ones, a tenth."""

_UNTOLD = 60
"""Seconds to wait where the service says "too many" and not for how long."""


class TooManyRequestsError(TransientError):
    """The hour is used up; ask again after so many ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the service takes no more requests for {seconds:.0f} seconds")
        self.seconds = seconds


class LookupUnavailableError(TransientError):
    """The service did not answer, or said that it cannot right now."""


class LookupRefusedError(PermanentError):
    """The service will not answer us: wrong secret, certificate, address or scope."""


class ContractBrokenError(PermanentError):
    """An answer that the contract does not know. Nothing of it was stored."""


@dataclass(frozen=True, slots=True)
class RateStanding:
    """What the service says of our hour: how many more, and when there is one more than that."""

    remaining: int
    seconds: int


class LookupClient:
    """The service, as one registered client may ask it; several threads may do so at once."""

    def __init__(  # noqa: PLR0913 - who asks whom; the rest is named and has a default
        self,
        address: str,
        client_id: str,
        secret: str,
        *,
        certificate: Path | None = None,
        timeout: float = 10,
        clock: Clock = time.time,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
            address: where the service is, ``https://host[:port]``.
            client_id: who asks.
            secret: what the client was given when it was registered.
            certificate: of the service or its authority, trusted instead of the system's.
            timeout: seconds without a sign of life after which a request has failed.
            clock: says when a token ends.
            transport: instead of a network, for a service in the same process.

        Raises:
            LookupRefusedError: the address or the certificate cannot be used.
            InsecureError: the address is plain HTTP to another machine.
        """
        self.account = f"{client_id} at {_checked(address)}"
        self.standing: RateStanding | None = None
        self._clock = clock
        self._http = httpx.Client(
            base_url=address, verify=_trust(certificate), timeout=timeout, transport=transport
        )
        self._tokens = _Tokens(self._http, (client_id, secret), clock)

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def ask(self, request: LookupRequest) -> Reply:
        """Asks once.

        Raises:
            TooManyRequestsError: the hour is used up.
            LookupUnavailableError: there was no answer; another one may come.
            LookupRefusedError: there will be none until somebody acts.
            ContractBrokenError: the answer is not one of the contract's.
        """
        token = self._tokens.current()
        response = self._post(request, token)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            response = self._post(request, self._tokens.instead_of(token))
        self.standing = _rate_standing(response)
        return _reply(response, request, self._clock())

    def _post(self, request: LookupRequest, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return _sent(lambda: self._http.post(LOOKUP_PATH, json=_members(request), headers=headers))


class _Tokens:
    """The token of the moment, shared by all threads, fetched when it is needed."""

    def __init__(self, http: httpx.Client, credentials: tuple[str, str], clock: Clock) -> None:
        self._http, self._credentials, self._clock = http, credentials, clock
        self._lock = threading.Lock()
        self._token, self._ends = "", -math.inf

    def current(self) -> str:
        with self._lock:
            if self._clock() >= self._ends:
                self._fetch()
            return self._token

    def instead_of(self, refused: str) -> str:
        """Another one, unless somebody has fetched it already."""
        with self._lock:
            if self._token == refused:
                self._fetch()
            return self._token

    def _fetch(self) -> None:
        now = self._clock()
        form = {"grant_type": "client_credentials", "scope": str(Scope.LOOKUP)}
        response = _sent(lambda: self._http.post(TOKEN_PATH, data=form, auth=self._credentials))
        if response.status_code in _NOT_ACCEPTED:
            raise LookupRefusedError(_why_no_token(response))
        if response.status_code != HTTPStatus.OK:
            raise _trouble(response, now)
        body = _object(response)
        token, seconds = body.get("access_token"), body.get("expires_in", math.inf)
        if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
            msg = "the service's token endpoint gave no token: is this the service's address?"
            raise ContractBrokenError(msg)
        self._token, self._ends = token, now + seconds - min(_EARLIER, seconds / 10)


_NOT_ACCEPTED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


_WHY_NO_TOKEN = {
    "invalid_client": "client id and secret are not accepted: check both, and whether the client "
    "is enabled; the service can rotate a lost secret",
    "invalid_scope": f"the client may not do {Scope.LOOKUP}: have it registered with that scope",
}
"""By the error codes of RFC 6749. Only words of ours are told: a service's may repeat a value."""


def _why_no_token(response: httpx.Response) -> str:
    told = _WHY_NO_TOKEN.get(str(_object(response).get("error")))
    return told or f"the service gives us no token (HTTP {response.status_code}): ask its operator"


def _checked(address: str) -> str:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("https", "http") or not url.host or url.userinfo or url.query:
        msg = "the service's address is written https://host or https://host:port, nothing more"
        raise LookupRefusedError(msg)
    if url.scheme == "http" and url.host not in _LOOPBACK:
        msg = "plain HTTP is for a service on this machine alone: give an https:// address"
        raise InsecureError(msg)
    return address


def _trust(certificate: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate)
    except (OSError, ssl.SSLError):
        pass
    msg = f"no certificate can be read from {certificate}: give a PEM file"
    raise LookupRefusedError(msg)


def _members(request: LookupRequest) -> dict[str, str]:
    members = {
        "SSID": request.ssid,
        "CCCID": request.cccid,
        "FirstName": request.first_name,
        "LastName": request.last_name,
        "BirthDate": request.birth_date,
        "CDSCode": request.cds_code,
    }
    return {name: value for name, value in members.items() if value is not None}


def _sent(send: Callable[[], httpx.Response]) -> httpx.Response:
    try:
        return send()
    except httpx.RequestError as error:
        trouble = _in_our_words(error)
    # Out here, so that the request is not chained to what is raised.
    raise trouble


def _in_our_words(error: httpx.RequestError) -> PermanentError | TransientError:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return LookupRefusedError(
                f"the service's certificate is not trusted ({cause.verify_message}): check the "
                "address, or give the certificate of the service or of its authority"
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _CUT_SHORT):
            return LookupRefusedError("no TLS is spoken at the service's address: check it")
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            return LookupRefusedError("nobody knows the host of the service's address: check it")
    return LookupUnavailableError(f"the service did not answer ({type(error).__name__})")


_CUT_SHORT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""The other side went away: as likely a restart as anything."""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reply(response: httpx.Response, request: LookupRequest, now: float) -> Reply:
    status = response.status_code
    if status == HTTPStatus.OK:
        return _match(_object(response), request)
    # A challenge means that the token is bad, not the request.
    if status in _ABOUT_THE_REQUEST and "www-authenticate" not in response.headers:
        if status == HTTPStatus.BAD_REQUEST and NO_STUDENT_FOUND["message"] in response.text:
            return NoStudent()
        body = _object(response)
        if "error" in body:
            return Fault(_named_fields(body.get("fields")))
    raise _trouble(response, now)


_ABOUT_THE_REQUEST = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


def _match(body: Mapping[str, Any], request: LookupRequest) -> Matched:
    ssid = body.get("SSID")
    if not isinstance(ssid, str) or re.fullmatch(str(SSID.pattern), ssid) is None:
        msg = "the service answered a match without an SSID of 10 digits"
        raise ContractBrokenError(msg)
    if body.get("CCCID") != request.cccid:
        msg = "the service answered for another CCCID than the one that was asked"
        raise ContractBrokenError(msg)
    return Matched(ssid)


def _named_fields(told: object) -> tuple[str, ...]:
    """The contract's fields among those that the service names; other words are its own."""
    members = told if isinstance(told, list) else []
    named = {member.get("field") for member in members if isinstance(member, dict)}
    return tuple(spec.name for spec in LOOKUP_FIELDS if spec.name in named)


def _object(response: httpx.Response) -> Mapping[str, Any]:
    """The JSON object of an answer; empty for anything else."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _trouble(response: httpx.Response, now: float) -> PermanentError | TransientError:
    """What an answer means that answers nothing."""
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TooManyRequestsError(_retry_after(response, now))
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return LookupUnavailableError(f"the service cannot answer now (HTTP {status})")
    if status == HTTPStatus.OK:
        return ContractBrokenError("the service answered with something else than the contract's")
    advice: dict[int, str] = {
        HTTPStatus.UNAUTHORIZED: "a fresh token is not accepted: check the client with the "
        "service's operator",
        HTTPStatus.FORBIDDEN: f"the client may not do {Scope.LOOKUP}: have it registered with that "
        "scope",
        HTTPStatus.NOT_FOUND: "there is no look-up at this address: check it",
    }
    told = advice.get(status)
    return LookupRefusedError(f"{told or 'the service does not take look-ups'} (HTTP {status})")


def _retry_after(response: httpx.Response, now: float) -> float:
    """Seconds to wait: as told in seconds or as a date, which is by the service's own clock."""
    told = response.headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]{1,9}", told):
        return int(told)
    until = _http_date(told)
    if until is not None:
        return max(0.0, until - (_http_date(response.headers.get("date", "")) or now))
    standing = _rate_standing(response)
    return standing.seconds if standing else _UNTOLD


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _rate_standing(response: httpx.Response) -> RateStanding | None:
    """The tightest of the service's limits (draft-ietf-httpapi-ratelimit-headers)."""
    told = response.headers.get("ratelimit", "")
    pairs = re.findall(r";\s*r=([0-9]{1,9})\s*;\s*t=([0-9]{1,9})", told)
    standings = [RateStanding(int(remaining), int(seconds)) for remaining, seconds in pairs]
    return min(standings, key=lambda one: (one.remaining, -one.seconds), default=None)
