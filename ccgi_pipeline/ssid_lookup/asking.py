"""The client's side: asks the service for the SSIDs of many applications, within the hour's budget.

Belongs here: one request over HTTP and what its answer means (``Lookup``); when to send the next
one, when to wait and when to leave the rest for another time (``ask_all``). Does not belong here:
what is kept of the answers (backlog), where applications come from.

Only one thread decides: it asks the budget, sends, takes answers and stores them before it sends
again. The others do nothing but wait for HTTP. No error and no ``repr`` holds a value, a token or
the secret: httpx's own errors hold whole requests, so none of them is raised further or chained.
"""

from __future__ import annotations

import math
import random
import re
import socket
import ssl
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from ccgi_pipeline.errors import PermanentError, TransientError, value_free
from ccgi_pipeline.progress import Step
from ccgi_pipeline.ssid_lookup.backlog import (
    Answer,
    Backlog,
    Fault,
    Key,
    Matched,
    NoStudent,
    NotAsked,
    Question,
    Reply,
    questions,
)
from ccgi_pipeline.ssid_lookup.clients import Scope
from ccgi_pipeline.ssid_lookup.contract import (
    LOOKUP_FIELDS,
    NO_STUDENT_FOUND,
    SSID,
    LookupRequest,
)
from ccgi_pipeline.ssid_lookup.limits import HOUR, Limiter
from ccgi_pipeline.ssid_lookup.service import LOOKUP_PATH, TOKEN_PATH
from ccgi_pipeline.ssid_lookup.serving import InsecureError

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
class Standing:
    """What the service says of our hour: how many more, and when there is one more than that."""

    remaining: int
    seconds: int


class Lookup:
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
        self.standing: Standing | None = None
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
        self.standing = _standing(response)
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
    standing = _standing(response)
    return standing.seconds if standing else _UNTOLD


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _standing(response: httpx.Response) -> Standing | None:
    """The tightest of the service's limits (draft-ietf-httpapi-ratelimit-headers)."""
    told = response.headers.get("ratelimit", "")
    pairs = re.findall(r";\s*r=([0-9]{1,9})\s*;\s*t=([0-9]{1,9})", told)
    standings = [Standing(int(remaining), int(seconds)) for remaining, seconds in pairs]
    return min(standings, key=lambda one: (one.remaining, -one.seconds), default=None)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast to ask and how long to wait.

    ``patience`` is how many seconds may be slept for the hour's budget, in all, before the rest is
    left waiting. ``tries``: after so many failures (of one application, or of everything in a row)
    it is left waiting, too; in between there are pauses from ``first_pause`` seconds to
    ``longest_pause``, each twice the last one.
    """

    hourly_limit: int = 5000
    in_flight: int = 8
    patience: float = 60
    tries: int = 6
    first_pause: float = 1
    longest_pause: float = 60


AS_AGREED = Pace()


class Left(StrEnum):
    """Why some applications still wait."""

    FOR_THE_HOUR = "for_the_hour"
    SERVICE_UNAVAILABLE = "service_unavailable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of the given applications now; the counts sum up to how many there are.

    ``seconds_left``: until those that wait can all have been asked, by the budget alone.
    """

    matched: int
    no_student: int
    faults: int
    not_asked: int
    waiting: int
    left: Left | None = None
    seconds_left: float = 0


def eta(pending: int, limit: int, remaining_now: int, seconds_until_more: float) -> float:
    """Seconds until the last of ``pending`` requests can be sent.

    The first ``remaining_now`` go at once. Of the others, the first goes after
    ``seconds_until_more``; the rest of the hour's room is taken to come back evenly until an hour
    from now, and then again with each hour.
    """
    later = pending - remaining_now
    if later <= 0:
        return 0
    hours, place = divmod(later - 1, limit)
    return hours * HOUR + seconds_until_more + (HOUR - seconds_until_more) * place / limit


@value_free
def ask_all(  # noqa: PLR0913 - who is asked what; the rest is named and has a default
    applications: pl.DataFrame,
    lookup: Lookup,
    backlog: Backlog,
    pace: Pace = AS_AGREED,
    *,
    clock: Clock = time.time,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
    hear_eta: Callable[[float], None] = lambda _: None,
) -> Outcome:
    """Asks for all applications without an answer, as far as the hour, patience and service go.

    What was answered is stored before anything else is sent, so the next call goes on where this
    one stopped or was killed. Several processes may do this at once: they share the hour, and ask
    for an application only once.

    Args:
        applications: rows of ``backlog.APPLICATION_SCHEMA``.
        lookup: the service.
        backlog: keeps the answers and, in the same folder, the count of the hour.
        pace: how fast and how patient.
        clock: the time; of the backlog's answers, too, if it is the backlog's clock.
        sleep: waits for so many seconds.
        jitter: a number from 0 to 1, which spreads the pauses after failures.
        hear_eta: is told how many seconds are left, with every wait for the budget.

    Raises:
        LookupRefusedError: somebody must act; what was answered before is stored.
        ContractBrokenError: the same.
    """
    open_ones = {each.key: each for each in questions(backlog.pending(applications))}.values()
    backlog.store([(each.key, NotAsked(each.missing)) for each in open_ones if each.missing])
    with closing(Limiter(backlog.folder, clock)) as limiter:
        budget = _Budget(limiter, lookup, pace, clock)
        asking = _Asking(lookup, backlog, budget, pace, _Waits(clock, sleep, jitter, hear_eta))
        left = asking.ask([each for each in open_ones if not each.missing])
    return _outcome(applications, backlog, left, budget)


def _outcome(
    applications: pl.DataFrame, backlog: Backlog, left: Left | None, budget: _Budget
) -> Outcome:
    counts = Counter(backlog.answers(applications)["answer"].to_list())
    waiting = applications.height - counts.total()
    return Outcome(
        matched=counts[Answer.MATCHED],
        no_student=counts[Answer.NO_STUDENT],
        faults=counts[Answer.FAULT],
        not_asked=counts[Answer.NOT_ASKED],
        waiting=waiting,
        left=left if waiting else None,
        seconds_left=budget.eta(waiting),
    )


class _Budget:
    """The hour, as we count it ourselves and as the service tells it: the stricter one holds."""

    def __init__(self, limiter: Limiter, lookup: Lookup, pace: Pace, clock: Clock) -> None:
        self._limiter, self._lookup, self._clock = limiter, lookup, clock
        self._limit = pace.hourly_limit
        self._ours = Standing(pace.hourly_limit, HOUR)
        self._most = pace.in_flight
        self._unspent = 0
        self._opens_at = -math.inf

    def room(self) -> int:
        """How many requests may be under way: no more than the service said are left to us."""
        told = self._lookup.standing
        return self._most if told is None else min(self._most, max(1, told.remaining))

    def grants(self) -> bool:
        """Whether one request may be sent now; it counts from here on."""
        if self._clock() < self._opens_at:
            return False
        if self._unspent:
            self._unspent -= 1
            return True
        ruling = self._limiter.ask(self._lookup.account, self._limit)
        self._ours = Standing(ruling.remaining, ruling.seconds)
        if not ruling.granted:
            self._close_for(ruling.seconds)
        return ruling.granted

    def answered(self) -> None:
        """Heeds what the service said with an answer."""
        told = self._lookup.standing
        if told is not None and told.remaining == 0:
            self._close_for(told.seconds)

    def refused(self, seconds: float) -> None:
        """The service did not take a request: it did not count it, so it may be sent again."""
        self._unspent += 1
        self._close_for(max(1.0, seconds))

    def wait(self) -> float:
        """Seconds until there is more, as far as is known; 0 for now."""
        return max(0.0, self._opens_at - self._clock())

    def eta(self, pending: int) -> float:
        """Seconds until so many can have been sent."""
        seconds = self.wait()
        now = Standing(0, math.ceil(seconds)) if seconds else self._ours
        return eta(pending, self._limit, now.remaining, now.seconds)

    def _close_for(self, seconds: float) -> None:
        self._opens_at = max(self._opens_at, self._clock() + seconds)


@dataclass(frozen=True, slots=True)
class _Waits:
    """Time, and how to spend it."""

    clock: Clock
    sleep: Callable[[float], None]
    jitter: Callable[[], float]
    hear_eta: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request under way; ``failures``: how often everything had failed when it was sent."""

    question: Question
    failures: int


_OTHERS_SECONDS = 0.1
"""How long to look away while all that is left is under way in other processes."""


class _Asking:
    """One call of ``ask_all``."""

    def __init__(
        self, lookup: Lookup, backlog: Backlog, budget: _Budget, pace: Pace, waits: _Waits
    ) -> None:
        self._lookup, self._backlog, self._budget = lookup, backlog, budget
        self._pace, self._waits = pace, waits
        self._queue: deque[Question] = deque()
        self._under_way: dict[Future[Reply], _Sent] = {}
        self._failed: Counter[Key] = Counter()
        self._failures = self._failures_in_a_row = 0
        self._pause_ends = -math.inf
        self._slept = 0.0
        self._left: Left | None = None

    def ask(self, to_ask: list[Question]) -> Left | None:
        """Asks until all is answered, or says why something is left."""
        self._queue.extend(to_ask)
        self._step = Step("SSID look-ups", len(to_ask))
        with ThreadPoolExecutor(self._pace.in_flight, "ssid-lookup") as threads:
            try:
                while self._under_way or (self._queue and not self._is_over()):
                    self._send_what_may_be_sent(threads)
                    if self._under_way:
                        self._take(wait(self._under_way, return_when=FIRST_COMPLETED).done)
                    elif self._queue:
                        self._wait()
            finally:
                # Whatever stopped us: what is answered all the same is not asked again.
                self._take(wait(self._under_way).done)
        return self._left

    def _is_over(self) -> bool:
        return self._left is Left.FOR_THE_HOUR or self._failures_in_a_row >= self._pace.tries

    def _send_what_may_be_sent(self, threads: ThreadPoolExecutor) -> None:
        if self._is_over() or self._waits.clock() < self._pause_ends:
            return
        for _ in range(len(self._queue)):
            if len(self._under_way) >= self._budget.room():
                return
            question = self._queue.popleft()
            if not self._backlog.claim(question.key):
                self._leave_to_others(question)
            elif self._budget.grants():
                answer = threads.submit(self._lookup.ask, question.request)
                self._under_way[answer] = _Sent(question, self._failures)
            else:
                self._backlog.release(question.key)
                self._queue.appendleft(question)
                return
        if self._queue and not self._under_way:
            self._pause(_OTHERS_SECONDS)

    def _leave_to_others(self, question: Question) -> None:
        """Another process asks for it or has done so: looked at again when the others are done."""
        if self._backlog.is_answered(question.key):
            self._step.advance()
        else:
            self._queue.append(question)

    def _take(self, done: Iterable[Future[Reply]]) -> None:
        """Stores answers, then lets others have the questions; raises what somebody must mend."""
        sent = {answer: self._under_way.pop(answer) for answer in done}
        answered = {
            one.question.key: answer.result()
            for answer, one in sent.items()
            if answer.exception() is None
        }
        if answered:
            self._backlog.store(list(answered.items()))
            self._budget.answered()
            self._failures_in_a_row = 0
        for one in sent.values():
            self._backlog.release(one.question.key)
        for _ in answered:
            self._step.advance()
        for answer, one in sent.items():
            self._heed(answer.exception(), one)

    def _heed(self, error: BaseException | None, sent: _Sent) -> None:
        if error is None:
            return
        if isinstance(error, TooManyRequestsError):
            self._budget.refused(error.seconds)
            self._queue.appendleft(sent.question)
        elif isinstance(error, LookupUnavailableError):
            self._fail(sent)
        else:
            raise error

    def _fail(self, sent: _Sent) -> None:
        """Tries again later and behind the others, unless that has been done often enough."""
        self._failed[sent.question.key] += 1
        if self._failed[sent.question.key] < self._pace.tries:
            self._queue.append(sent.question)
        else:
            self._left = Left.SERVICE_UNAVAILABLE
        # What was under way together fails together, and counts once.
        if sent.failures == self._failures:
            self._failures += 1
            self._failures_in_a_row += 1
            longer = self._pace.first_pause * 2 ** (self._failures_in_a_row - 1)
            spread = (1 + self._waits.jitter()) / 2
            self._pause(min(longer, self._pace.longest_pause) * spread)
        if self._failures_in_a_row >= self._pace.tries:
            self._left = Left.SERVICE_UNAVAILABLE

    def _pause(self, seconds: float) -> None:
        self._pause_ends = max(self._pause_ends, self._waits.clock() + seconds)

    def _wait(self) -> None:
        """Sleeps until something may be sent, or notes that patience does not last so long."""
        seconds = self._budget.wait()
        if self._slept + seconds > self._pace.patience:
            self._left = Left.FOR_THE_HOUR
            return
        if seconds:
            self._slept += seconds
            self._waits.hear_eta(self._budget.eta(len(self._queue)))
        pause = self._pause_ends - self._waits.clock()
        self._waits.sleep(max(seconds, pause, 0.0))
