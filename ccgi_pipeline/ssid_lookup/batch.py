"""Many applications looked up within the hourly limit: pace, retries, progress."""

from __future__ import annotations

import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.common.progress import ProgressCounter
from ccgi_pipeline.ssid_lookup.backlog import (
    Answer,
    Backlog,
    Key,
    NotAsked,
    Question,
    Reply,
    questions,
)
from ccgi_pipeline.ssid_lookup.client import (
    Clock,
    LookupClient,
    LookupUnavailableError,
    RateStanding,
    TooManyRequestsError,
)
from ccgi_pipeline.ssid_lookup.limits import HOUR, Limiter


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


AGREED_PACE = Pace()


class Remaining(StrEnum):
    """Why some applications still wait."""

    FOR_THE_HOUR = "for_the_hour"
    SERVICE_UNAVAILABLE = "service_unavailable"


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What is known of the given applications now; the counts sum up to how many there are.

    ``seconds_left``: until those that wait can all have been asked, by the budget alone.
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
def look_up_all(  # noqa: PLR0913 - who is asked what; the rest is named and has a default
    applications: pl.DataFrame,
    lookup: LookupClient,
    backlog: Backlog,
    pace: Pace = AGREED_PACE,
    *,
    clock: Clock = time.time,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
    hear_eta: Callable[[float], None] = lambda _: None,
) -> BatchOutcome:
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
        asking = _BatchRun(lookup, backlog, budget, pace, _Waits(clock, sleep, jitter, hear_eta))
        left = asking.ask([each for each in open_ones if not each.missing])
    return _outcome(applications, backlog, left, budget)


def _outcome(
    applications: pl.DataFrame, backlog: Backlog, left: Remaining | None, budget: _Budget
) -> BatchOutcome:
    counts = Counter(backlog.answers(applications)["answer"].to_list())
    waiting = applications.height - counts.total()
    return BatchOutcome(
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

    def __init__(self, limiter: Limiter, lookup: LookupClient, pace: Pace, clock: Clock) -> None:
        self._limiter, self._lookup, self._clock = limiter, lookup, clock
        self._limit = pace.hourly_limit
        self._ours = RateStanding(pace.hourly_limit, HOUR)
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
        self._ours = RateStanding(ruling.remaining, ruling.seconds)
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
        now = RateStanding(0, math.ceil(seconds)) if seconds else self._ours
        return estimate_finish(pending, self._limit, now.remaining, now.seconds)

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


class _BatchRun:
    """One call of ``ask_all``."""

    def __init__(
        self, lookup: LookupClient, backlog: Backlog, budget: _Budget, pace: Pace, waits: _Waits
    ) -> None:
        self._lookup, self._backlog, self._budget = lookup, backlog, budget
        self._pace, self._waits = pace, waits
        self._queue: deque[Question] = deque()
        self._under_way: dict[Future[Reply], _Sent] = {}
        self._failed: Counter[Key] = Counter()
        self._failures = self._failures_in_a_row = 0
        self._pause_ends = -math.inf
        self._slept = 0.0
        self._left: Remaining | None = None

    def ask(self, to_ask: list[Question]) -> Remaining | None:
        """Asks until all is answered, or says why something is left."""
        self._queue.extend(to_ask)
        self._step = ProgressCounter("SSID look-ups", len(to_ask))
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
        return self._left is Remaining.FOR_THE_HOUR or self._failures_in_a_row >= self._pace.tries

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
            self._left = Remaining.SERVICE_UNAVAILABLE
        # What was under way together fails together, and counts once.
        if sent.failures == self._failures:
            self._failures += 1
            self._failures_in_a_row += 1
            longer = self._pace.first_pause * 2 ** (self._failures_in_a_row - 1)
            spread = (1 + self._waits.jitter()) / 2
            self._pause(min(longer, self._pace.longest_pause) * spread)
        if self._failures_in_a_row >= self._pace.tries:
            self._left = Remaining.SERVICE_UNAVAILABLE

    def _pause(self, seconds: float) -> None:
        self._pause_ends = max(self._pause_ends, self._waits.clock() + seconds)

    def _wait(self) -> None:
        """Sleeps until something may be sent, or notes that patience does not last so long."""
        seconds = self._budget.wait()
        if self._slept + seconds > self._pace.patience:
            self._left = Remaining.FOR_THE_HOUR
            return
        if seconds:
            self._slept += seconds
            self._waits.hear_eta(self._budget.eta(len(self._queue)))
        pause = self._pause_ends - self._waits.clock()
        self._waits.sleep(max(seconds, pause, 0.0))
