"""The client of the SSID Data Lookup: sends one request, and returns its answer or raises an error.

Belongs here: tokens, HTTP, and what each response of the service means. Does not belong here: many
requests and the hourly limit (``batch``), and keeping the answers (``backlog``).
"""

from __future__ import annotations

import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from ccgi_pipeline.common.errors import PermanentError, TransientError
from ccgi_pipeline.ssid_lookup.backlog import (
    FaultReply,
    LookupReply,
    MatchedReply,
    NoStudentReply,
)
from ccgi_pipeline.ssid_lookup.client_registry import ClientScope
from ccgi_pipeline.ssid_lookup.contract import (
    LOOKUP_FIELDS,
    LOOKUP_PATH,
    NO_STUDENT_FOUND,
    SSID,
    TOKEN_PATH,
    VERIFICATION_PATH,
    ContractField,
    InsecureError,
    LookupRequest,
)
from ccgi_pipeline.ssid_lookup.enrollments import (
    ENROLLMENT_FIELDS,
    STORED,
    EnrollmentVerification,
    VerificationFate,
)
from ccgi_pipeline.ssid_lookup.limits import HOUR, Clock

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_TOKEN_MARGIN = 30
"""Seconds before its end in which a token is not used any more; for short tokens, a tenth."""

_DEFAULT_WAIT = 60
"""Seconds to wait if the service says "too many requests" but not for how long."""

LONGEST_WAIT = HOUR + 60
"""The most seconds to wait, whatever the service says: its limit is of an hour, give or take a
clock. A service whose clock is wrong is asked again then."""

LARGEST_ANSWER = 64 * 1024
"""Bytes. The longest answer of the contract, with every field at fault, has fewer than 2,000."""

_LONGEST_ANSWER = 60
"""The most seconds that the body of an answer may take."""


class TooManyRequestsError(TransientError):
    """The hourly limit is reached; the next request may be sent after ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the service accepts no more requests for {seconds:.0f} seconds")
        self.seconds = seconds


class LookupUnavailableError(TransientError):
    """The service did not answer, or said that it cannot answer now."""


class LookupRefusedError(PermanentError):
    """The service refuses this client: wrong secret, certificate, address or scope."""


class ContractBrokenError(PermanentError):
    """The service's answer breaks the contract. Nothing of it was stored."""


@dataclass(frozen=True, slots=True)
class StoredReply:
    """The service has the verification; ``fate`` is None if it does not say what it did."""

    fate: VerificationFate | None


VerificationReply = StoredReply | FaultReply


@dataclass(frozen=True, slots=True)
class RateStatus:
    """The state of the hourly limit: requests that remain, and seconds until there is one more."""

    remaining: int
    seconds: int


class LookupClient:
    """The service for one registered client; several threads may use it at once."""

    def __init__(  # noqa: PLR0913 - address and client; the others are named and have defaults
        self,
        address: str,
        client_id: str,
        secret: str,
        *,
        certificate: Path | None = None,
        scope: ClientScope = ClientScope.LOOKUP,
        timeout: float = 10,
        clock: Clock = time.time,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepares the client; the first request opens a connection.

        Args:
            address: the service's address, ``https://host[:port]``.
            client_id: the id of the registered client.
            secret: the client's secret.
            certificate: of the service or its authority, trusted instead of the system's.
            scope: what the client does: look-ups, or verifications of enrollment.
            timeout: seconds without a byte after which a request has failed.
            clock: the time, for the end of a token.
            transport: replaces the network, for a service in the same process.

        Raises:
            LookupRefusedError: the address or the certificate cannot be used.
            InsecureError: the address is plain HTTP to another machine.
        """
        self.account = f"{client_id} at {_check_address(address)}"
        self.rate_status: RateStatus | None = None
        self._clock, self._scope = clock, scope
        self._http = httpx.Client(
            base_url=address,
            verify=_load_trust(certificate),
            timeout=timeout,
            transport=transport,
            # What is packed small may be large; no answer of the contract needs packing.
            headers={"Accept-Encoding": "identity"},
        )
        self._tokens = _TokenCache(self._http, (client_id, secret), scope, clock)

    def close(self) -> None:
        """Closes all connections."""
        self._http.close()

    def look_up(self, request: LookupRequest) -> LookupReply:
        """Sends one look-up and returns its answer.

        Raises:
            TooManyRequestsError: the hourly limit is reached.
            LookupUnavailableError: there was no answer; a later request may get one.
            LookupRefusedError: there is no answer until somebody acts.
            ContractBrokenError: the answer breaks the contract.
        """
        response = self._ask(LOOKUP_PATH, _build_body(request))
        return _parse_reply(response, request, self._scope, self._clock())

    def verify(self, enrollment: EnrollmentVerification) -> VerificationReply:
        """Sends one verification of enrollment and returns its answer. Raises as ``look_up``."""
        names = [spec.name for spec in ENROLLMENT_FIELDS]
        body = dict(zip(names, astuple(enrollment), strict=True))
        response = self._ask(VERIFICATION_PATH, body)
        return _parse_verification_reply(response, self._scope, self._clock())

    def _ask(self, path: str, body: Mapping[str, str]) -> httpx.Response:
        """Sends a request, a second time if its token was refused."""
        token = self._tokens.get()
        response = self._post(path, body, token)
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            response = self._post(path, body, self._tokens.replace(token))
        self.rate_status = parse_rate_status(response)
        return response

    def _post(self, path: str, body: Mapping[str, str], token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return _send(self._http, path, json=body, headers=headers)


class _TokenCache:
    """The current token, shared by all threads and fetched when it is needed."""

    def __init__(
        self, http: httpx.Client, credentials: tuple[str, str], scope: ClientScope, clock: Clock
    ) -> None:
        self._http, self._credentials, self._scope, self._clock = http, credentials, scope, clock
        self._lock = threading.Lock()
        self._token, self._ends = "", -math.inf

    def get(self) -> str:
        with self._lock:
            if self._clock() >= self._ends:
                self._fetch()
            return self._token

    def replace(self, refused: str) -> str:
        """Returns another token than ``refused``; fetches it unless another thread has."""
        with self._lock:
            if self._token == refused:
                self._fetch()
            return self._token

    def _fetch(self) -> None:
        now = self._clock()
        form = {"grant_type": "client_credentials", "scope": str(self._scope)}
        response = _send(self._http, TOKEN_PATH, data=form, auth=self._credentials)
        if response.status_code in _REFUSAL_STATUSES:
            raise LookupRefusedError(_explain_token_refusal(response, self._scope))
        if response.status_code != HTTPStatus.OK:
            raise _explain_response(response, self._scope, now)
        body = _parse_object(response)
        token, seconds = body.get("access_token"), body.get("expires_in", math.inf)
        if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
            msg = "the service's token endpoint gave no token: check the service's address"
            raise ContractBrokenError(msg)
        self._token, self._ends = token, now + seconds - min(_TOKEN_MARGIN, seconds / 10)


_REFUSAL_STATUSES = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
)


_TOKEN_REFUSALS = {
    "invalid_client": "client id and secret are not accepted: check both, and whether the client "
    "is enabled; the service can rotate a lost secret",
    "invalid_scope": "the client may not do {scope}: have it registered with that scope",
}
"""By the error codes of RFC 6749. The service's own message is not used: it may repeat a value."""


def _explain_token_refusal(response: httpx.Response, scope: ClientScope) -> str:
    known = _TOKEN_REFUSALS.get(str(_parse_object(response).get("error")), "").format(scope=scope)
    return known or f"the service gives no token (HTTP {response.status_code}): ask its operator"


def _check_address(address: str) -> str:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in ("https", "http") or not url.host or url.userinfo or url.query:
        msg = "write the service's address as https://host or https://host:port, nothing more"
        raise LookupRefusedError(msg)
    if url.scheme == "http" and url.host not in _LOOPBACK:
        msg = "plain HTTP is allowed only to a service on this machine: give an https:// address"
        raise InsecureError(msg)
    return address


def _load_trust(certificate: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate)
    except (OSError, ssl.SSLError):
        pass
    msg = f"no certificate can be read from {certificate}: give a PEM file"
    raise LookupRefusedError(msg)


def _build_body(request: LookupRequest) -> dict[str, str]:
    members = {
        "SSID": request.ssid,
        "CCCID": request.cccid,
        "FirstName": request.first_name,
        "LastName": request.last_name,
        "BirthDate": request.birth_date,
        "CDSCode": request.cds_code,
    }
    return {name: value for name, value in members.items() if value is not None}


def _send(http: httpx.Client, path: str, **request: Any) -> httpx.Response:  # noqa: ANN401
    """Sends a POST and returns its answer, of whose body no more is read than is allowed."""
    pipeline_error: PermanentError | TransientError
    try:
        with http.stream("POST", path, **request) as response:
            body = _read_answer(response)
    except httpx.RequestError as error:
        pipeline_error = explain_request_error(error)
    else:
        # A page of a proxy may be as long as it likes: its status says what there is to say.
        if body is not None or response.status_code != HTTPStatus.OK:
            return httpx.Response(
                response.status_code, headers=_select_headers(response), content=body or b""
            )
        pipeline_error = ContractBrokenError(
            f"the service's answer is packed, has more than {LARGEST_ANSWER:,} bytes or takes more "
            f"than {_LONGEST_ANSWER} seconds, as none of the contract does: check its address"
        )
    # Raised outside of the except block, so that the request is not part of its traceback.
    raise pipeline_error


def _read_answer(response: httpx.Response) -> bytes | None:
    """Returns the body of an answer; None if it is none of the contract by its form alone."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return None
    ends = time.monotonic() + _LONGEST_ANSWER
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > LARGEST_ANSWER or time.monotonic() > ends:
            return None
    return bytes(body)


def _select_headers(response: httpx.Response) -> list[tuple[str, str]]:
    """Returns the headers without those about the form of the body."""
    about_body = {"content-encoding", "content-length", "transfer-encoding"}
    headers = response.headers.multi_items()
    return [(name, value) for name, value in headers if name.lower() not in about_body]


def explain_request_error(error: httpx.RequestError) -> PermanentError | TransientError:
    """Returns the pipeline error for a request without a response; it repeats no value."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return LookupRefusedError(
                f"the service's certificate is not trusted ({cause.verify_message}): check the "
                "address, or give the certificate of the service or of its authority"
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _CLOSED_CONNECTION):
            return LookupRefusedError("the server at the service's address has no TLS: check it")
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            return LookupRefusedError("the host of the service's address is unknown: check it")
    return LookupUnavailableError(f"the service did not answer ({type(error).__name__})")


_CLOSED_CONNECTION = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
"""Errors of a connection that the server closed, as it does when it restarts."""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _parse_reply(
    response: httpx.Response, request: LookupRequest, scope: ClientScope, now: float
) -> LookupReply:
    status = response.status_code
    if status == HTTPStatus.OK:
        return _parse_match(_parse_object(response), request)
    if _is_about_request(response):
        if status == HTTPStatus.BAD_REQUEST and NO_STUDENT_FOUND["message"] in response.text:
            return NoStudentReply()
        body = _parse_object(response)
        if "error" in body:
            return FaultReply(_parse_fault_fields(body.get("fields"), LOOKUP_FIELDS))
    raise _explain_response(response, scope, now)


def _parse_verification_reply(
    response: httpx.Response, scope: ClientScope, now: float
) -> VerificationReply:
    body = _parse_object(response)
    if response.status_code == HTTPStatus.OK and body.get("result") == STORED["result"]:
        # A service of an older version does not tell the fate.
        fates = {str(fate): fate for fate in VerificationFate}
        return StoredReply(fates.get(str(body.get("fate"))))
    if _is_about_request(response) and "error" in body:
        return FaultReply(_parse_fault_fields(body.get("fields"), ENROLLMENT_FIELDS))
    raise _explain_response(response, scope, now)


def _is_about_request(response: httpx.Response) -> bool:
    """Returns whether a refusal is about the request; with a challenge it is about the token."""
    refused = response.status_code in _REQUEST_ERRORS
    return refused and "www-authenticate" not in response.headers


_REQUEST_ERRORS = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


def _parse_match(body: Mapping[str, Any], request: LookupRequest) -> MatchedReply:
    ssid = body.get("SSID")
    if not isinstance(ssid, str) or re.fullmatch(str(SSID.pattern), ssid) is None:
        msg = "the service answered a match without an SSID of 10 digits"
        raise ContractBrokenError(msg)
    if body.get("CCCID") != request.cccid:
        msg = "the service's answer has another CCCID than the request"
        raise ContractBrokenError(msg)
    return MatchedReply(ssid)


def _parse_fault_fields(fields: object, known: Sequence[ContractField]) -> tuple[str, ...]:
    """Returns the contract's fields that the service names; other names are ignored."""
    members = fields if isinstance(fields, list) else []
    named = {member.get("field") for member in members if isinstance(member, dict)}
    return tuple(spec.name for spec in known if spec.name in named)


def _parse_object(response: httpx.Response) -> Mapping[str, Any]:
    """Returns the JSON object of a response; an empty one for any other content."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _explain_response(
    response: httpx.Response, scope: ClientScope, now: float
) -> PermanentError | TransientError:
    """Returns the error for a response that is no answer of the contract."""
    status = response.status_code
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TooManyRequestsError(parse_retry_after(response, now))
    if status == HTTPStatus.REQUEST_TIMEOUT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return LookupUnavailableError(f"the service cannot answer now (HTTP {status})")
    if status == HTTPStatus.OK:
        return ContractBrokenError("the service's answer breaks the contract")
    advice: dict[int, str] = {
        HTTPStatus.UNAUTHORIZED: "a fresh token is not accepted: check the client with the "
        "service's operator",
        HTTPStatus.FORBIDDEN: f"the client may not do {scope}: have it registered with that scope",
        HTTPStatus.NOT_FOUND: "there is no look-up at this address: check it",
    }
    known = advice.get(status)
    return LookupRefusedError(f"{known or 'the service accepts no look-ups'} (HTTP {status})")


def parse_retry_after(response: httpx.Response, now: float) -> float:
    """Returns the seconds to wait. A date is compared with the service's own clock."""
    value = response.headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]{1,9}", value):
        return min(int(value), LONGEST_WAIT)
    until = _parse_http_date(value)
    if until is not None:
        asked_at = _parse_http_date(response.headers.get("date", "")) or now
        return min(max(0.0, until - asked_at), LONGEST_WAIT)
    status = parse_rate_status(response)
    return status.seconds if status else _DEFAULT_WAIT


def _parse_http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_rate_status(response: httpx.Response) -> RateStatus | None:
    """Returns the strictest of the service's limits (draft-ietf-httpapi-ratelimit-headers)."""
    value = response.headers.get("ratelimit", "")
    pairs = re.findall(r";\s*r=([0-9]{1,9})\s*;\s*t=([0-9]{1,9})", value)
    statuses = [
        RateStatus(int(remaining), min(int(seconds), LONGEST_WAIT)) for remaining, seconds in pairs
    ]
    return min(statuses, key=lambda one: (one.remaining, -one.seconds), default=None)
