"""Batches: many requests are sent within the hourly limit of the service.

Belongs here: the pace, retries after failures, progress, and sharing the hour with other
processes. Does not belong here: one request (``client``), keeping the answers (``backlog``,
``enrollment_journal``), and counting the hour (``limits``).
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.ssid_lookup.backlog import (
    AnswerKind,
    Backlog,
    NotAskedReply,
    build_questions,
)
from ccgi_pipeline.ssid_lookup.client import (
    LookupClient,
    LookupUnavailableError,
    RateStatus,
    TooManyRequestsError,
)
from ccgi_pipeline.ssid_lookup.limits import HOUR, Clock, Limiter


@dataclass(frozen=True, slots=True)
class LookupPace:
    """How fast requests are sent and how long a batch waits.

    ``patience``: the seconds in all that a batch may sleep for the hourly limit; then the rest is
    left for later. ``tries``: the failures, of one request or of all in a row, after which it is
    left for later as well; the pauses between tries begin with ``first_pause`` seconds and
    double up to ``longest_pause``.
    """

    hourly_limit: int = 5000
    in_flight: int = 8
    patience: float = 60
    tries: int = 6
    first_pause: float = 1
    longest_pause: float = 60


AGREED_PACE = LookupPace()


class Remaining(StrEnum):
    """Why some requests are left for later."""

    FOR_THE_HOUR = "for_the_hour"
    SERVICE_UNAVAILABLE = "service_unavailable"


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """The state of a batch's applications; the counts add up to their number.

    ``seconds_left``: until all that wait can be sent, as far as the hourly limit is concerned.
    """

    matched: int
    no_student: int
    faults: int
    not_asked: int
    waiting: int
    left: Remaining | None = None
    seconds_left: float = 0


def estimate_finish(
    pending: int, limit: int, remaining_now: int, seconds_until_more: float
) -> float:
    """Returns the seconds until the last of ``pending`` requests can be sent.

    The first ``remaining_now`` go at once, and the next one after ``seconds_until_more``. The
    estimate assumes that the rest of the limit comes back evenly until an hour from now, and
    again in each later hour.
    """
    later = pending - remaining_now
    if later <= 0:
        return 0
    hours, place = divmod(later - 1, limit)
    return hours * HOUR + seconds_until_more + (HOUR - seconds_until_more) * place / limit


@value_free
def look_up_all(  # noqa: PLR0913 - four inputs; the others are named and have defaults
    applications: pl.DataFrame,
    lookup: LookupClient,
    backlog: Backlog,
    pace: LookupPace = AGREED_PACE,
    *,
    clock: Clock = time.time,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
    report_eta: Callable[[float], None] = lambda _: None,
) -> BatchOutcome:
    """Looks up all applications without an answer, as far as limit, patience and service allow.

    Answers are stored before more requests are sent, so the next call goes on where this one
    stopped or was killed. Several processes may do this at once: they share the hourly limit and
    send each application once.

    Args:
        applications: rows of ``backlog.APPLICATION_SCHEMA``.
        lookup: the service.
        backlog: keeps the answers and, in the same folder, the count of the hour.
        pace: how fast and how patient.
        clock: the time; give the backlog the same clock.
        sleep: waits for a number of seconds.
        jitter: returns a number from 0 to 1, which varies the pauses after failures.
        report_eta: is called with the seconds that are left at every wait for the limit.

    Raises:
        LookupRefusedError: somebody must act; earlier answers are stored.
        ContractBrokenError: the service's answer breaks the contract; earlier answers are stored.
    """
    open_questions = {
        question.key: question for question in build_questions(backlog.select_pending(applications))
    }.values()
    backlog.store(
        [
            (question.key, NotAskedReply(question.missing))
            for question in open_questions
            if question.missing
        ]
    )
    asked = [
        Letter(question.key, question.request)
        for question in open_questions
        if not question.missing
    ]
    timing = Timing(clock, sleep, jitter, report_eta)
    with closing(Limiter(backlog.folder, clock)) as limiter:
        budget = Budget(limiter, lookup, pace, clock)
        run = BatchRun(lookup.look_up, backlog, budget, pace, timing)
        left = run.run(asked, "SSID look-ups")
    return _summarize(applications, backlog, left, budget)


def _summarize(
    applications: pl.DataFrame, backlog: Backlog, left: Remaining | None, budget: Budget
) -> BatchOutcome:
    counts = Counter(backlog.read_answers(applications)["answer"].to_list())
    waiting = applications.height - counts.total()
    return BatchOutcome(
        matched=counts[AnswerKind.MATCHED],
        no_student=counts[AnswerKind.NO_STUDENT],
        faults=counts[AnswerKind.FAULT],
        not_asked=counts[AnswerKind.NOT_ASKED],
        waiting=waiting,
        left=left if waiting else None,
        seconds_left=budget.estimate_seconds(waiting),
    )


class _Pause:
    """A time in which nothing is sent; a clock that is set back ends it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._ends = -math.inf

    def extend(self, seconds: float) -> None:
        """Makes the pause last for so many seconds from now, unless it does already."""
        if self.seconds_left() < seconds:
            self._began = self._clock()
            self._ends = self._began + seconds

    def seconds_left(self) -> float:
        """Returns the seconds until the pause ends; 0 if there is none."""
        now = self._clock()
        return max(0.0, self._ends - now) if now >= self._began else 0.0


class LimitedService(Protocol):
    """A service with an hourly limit, as one client sees it."""

    account: str
    rate_status: RateStatus | None


class Budget:
    """The hourly limit, by our own count and by the service's headers; the stricter one holds."""

    def __init__(
        self, limiter: Limiter, service: LimitedService, pace: LookupPace, clock: Clock
    ) -> None:
        """Begins with what the limiter has counted so far."""
        self._limiter, self._service = limiter, service
        self._limit = pace.hourly_limit
        self._own_status = RateStatus(pace.hourly_limit, HOUR)
        self._in_flight = pace.in_flight
        self._returned = 0
        self._closed = _Pause(clock)

    def max_in_flight(self) -> int:
        """Returns how many requests may be under way: no more than the service says remain."""
        status = self._service.rate_status
        return self._in_flight if status is None else min(self._in_flight, max(1, status.remaining))

    def take_one(self) -> bool:
        """Takes one request from the budget; returns False if none may be sent now."""
        if self._closed.seconds_left():
            return False
        if self._returned:
            self._returned -= 1
            return True
        decision = self._limiter.request(self._service.account, self._limit)
        self._own_status = RateStatus(decision.remaining, decision.seconds)
        if not decision.granted:
            self._closed.extend(decision.seconds)
        return decision.granted

    def update_from_answer(self) -> None:
        """Stops sending if the service's last answer says that no request remains."""
        status = self._service.rate_status
        if status is not None and status.remaining == 0:
            self._closed.extend(status.seconds)

    def give_back(self, seconds: float) -> None:
        """Gives a request back that the service refused, and so did not count."""
        self._returned += 1
        self._closed.extend(max(1.0, seconds))

    def seconds_to_wait(self) -> float:
        """Returns the seconds until a request may be sent, as far as is known; 0 for now."""
        return self._closed.seconds_left()

    def estimate_seconds(self, pending: int) -> float:
        """Returns the seconds until ``pending`` requests can be sent."""
        seconds = self.seconds_to_wait()
        now = RateStatus(0, math.ceil(seconds)) if seconds else self._own_status
        return estimate_finish(pending, self._limit, now.remaining, now.seconds)


@dataclass(frozen=True, slots=True)
class Timing:
    """The clock, and how a batch sleeps and reports; tests replace them."""

    clock: Clock
    sleep: Callable[[float], None]
    jitter: Callable[[], float]
    report_eta: Callable[[float], None]


KeyT = TypeVar("KeyT", bound=Hashable)
RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")
_KeyT_contra = TypeVar("_KeyT_contra", contravariant=True)
_ReplyT_contra = TypeVar("_ReplyT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Letter(Generic[KeyT, RequestT]):
    """A request to send, and the key under which its answer is kept."""

    key: KeyT = field(repr=False)
    request: RequestT


class AnswerStore(Protocol[_KeyT_contra, _ReplyT_contra]):
    """What keeps answers, and claims letters for a process while they are under way."""

    def claim(self, key: _KeyT_contra) -> bool:
        """Claims a letter; returns False if another process has it or it is answered."""

    def is_answered(self, key: _KeyT_contra) -> bool:
        """Tells whether an answer is stored."""

    def store(self, replies: Sequence[tuple[_KeyT_contra, _ReplyT_contra]]) -> None:
        """Stores answers durably."""

    def release(self, key: _KeyT_contra) -> None:
        """Ends a claim."""


@dataclass(frozen=True, slots=True)
class _SentLetter(Generic[KeyT, RequestT]):
    """A letter under way; ``failures``: the batch's count of failures when it was sent."""

    letter: Letter[KeyT, RequestT]
    failures: int


_CLAIMED_PAUSE = 0.1
"""Seconds to wait while other processes work on all that is left."""


class BatchRun(Generic[KeyT, RequestT, ReplyT]):
    """Sends a batch once: each letter until it has an answer, or is left for later."""

    def __init__(
        self,
        send: Callable[[RequestT], ReplyT],
        answers: AnswerStore[KeyT, ReplyT],
        budget: Budget,
        pace: LookupPace,
        timing: Timing,
    ) -> None:
        """Prepares a run; ``send`` is called by several threads at once."""
        self._send, self._answers, self._budget = send, answers, budget
        self._pace, self._timing = pace, timing
        self._queue: deque[Letter[KeyT, RequestT]] = deque()
        self._under_way: dict[Future[ReplyT], _SentLetter[KeyT, RequestT]] = {}
        self._failed: Counter[KeyT] = Counter()
        self._failures = self._failures_in_a_row = 0
        self._pause = _Pause(timing.clock)
        self._slept = 0.0
        self._left: Remaining | None = None

    def run(self, letters: Sequence[Letter[KeyT, RequestT]], title: str) -> Remaining | None:
        """Sends letters until all are answered; returns why some are left, if any are.

        ``title`` is what progress is shown of.
        """
        self._queue.extend(letters)
        self._step = ProgressCounter(title, len(letters))
        with ThreadPoolExecutor(self._pace.in_flight, "ssid-lookup") as threads:
            try:
                while self._under_way or (self._queue and not self._is_over()):
                    self._send_allowed(threads)
                    if self._under_way:
                        self._collect(wait(self._under_way, return_when=FIRST_COMPLETED).done)
                    elif self._queue:
                        self._sleep()
            finally:
                # After an error too, answers that still arrive are stored and not asked for again.
                self._collect(wait(self._under_way).done)
        return self._left

    def _is_over(self) -> bool:
        return self._left is Remaining.FOR_THE_HOUR or self._failures_in_a_row >= self._pace.tries

    def _send_allowed(self, threads: ThreadPoolExecutor) -> None:
        if self._is_over() or self._pause.seconds_left():
            return
        for _ in range(len(self._queue)):
            if len(self._under_way) >= self._budget.max_in_flight():
                return
            letter = self._queue.popleft()
            if not self._answers.claim(letter.key):
                self._skip_claimed(letter)
            elif self._budget.take_one():
                answer = threads.submit(self._send, letter.request)
                self._under_way[answer] = _SentLetter(letter, self._failures)
            else:
                self._answers.release(letter.key)
                self._queue.appendleft(letter)
                return
        if self._queue and not self._under_way:
            self._pause.extend(_CLAIMED_PAUSE)

    def _skip_claimed(self, letter: Letter[KeyT, RequestT]) -> None:
        """Handles a letter that another process has claimed: done, or checked again later."""
        if self._answers.is_answered(letter.key):
            self._step.advance()
        else:
            self._queue.append(letter)

    def _collect(self, done: Iterable[Future[ReplyT]]) -> None:
        """Stores answers, then releases the claims; raises errors that need a person."""
        sent = {answer: self._under_way.pop(answer) for answer in done}
        answered = {
            one.letter.key: answer.result()
            for answer, one in sent.items()
            if answer.exception() is None
        }
        if answered:
            self._answers.store(list(answered.items()))
            self._budget.update_from_answer()
            self._failures_in_a_row = 0
        for one in sent.values():
            self._answers.release(one.letter.key)
        for _ in answered:
            self._step.advance()
        for answer, one in sent.items():
            self._handle_error(answer.exception(), one)

    def _handle_error(self, error: BaseException | None, sent: _SentLetter[KeyT, RequestT]) -> None:
        if error is None:
            return
        if isinstance(error, TooManyRequestsError):
            self._budget.give_back(error.seconds)
            self._queue.appendleft(sent.letter)
        elif isinstance(error, LookupUnavailableError):
            self._retry_later(sent)
        else:
            raise error

    def _retry_later(self, sent: _SentLetter[KeyT, RequestT]) -> None:
        """Puts a failed letter at the end of the queue, unless it has failed too often."""
        self._failed[sent.letter.key] += 1
        if self._failed[sent.letter.key] < self._pace.tries:
            self._queue.append(sent.letter)
        else:
            self._left = Remaining.SERVICE_UNAVAILABLE
        # Requests that were under way at the same time fail together, which counts once.
        if sent.failures == self._failures:
            self._failures += 1
            self._failures_in_a_row += 1
            longer = self._pace.first_pause * 2 ** (self._failures_in_a_row - 1)
            spread = (1 + self._timing.jitter()) / 2
            self._pause.extend(min(longer, self._pace.longest_pause) * spread)
        if self._failures_in_a_row >= self._pace.tries:
            self._left = Remaining.SERVICE_UNAVAILABLE

    def _sleep(self) -> None:
        """Sleeps until a request may be sent, or ends the batch if that exceeds the patience."""
        seconds = self._budget.seconds_to_wait()
        if self._slept + seconds > self._pace.patience:
            self._left = Remaining.FOR_THE_HOUR
            return
        if seconds:
            self._slept += seconds
            self._timing.report_eta(self._budget.estimate_seconds(len(self._queue)))
        self._timing.sleep(max(seconds, self._pause.seconds_left()))
