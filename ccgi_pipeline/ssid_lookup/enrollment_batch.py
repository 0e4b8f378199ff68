"""Batches of enrollments: a file's verifications are sent within the hourly limit of the service.

Belongs here: which lines are sent, and what became of each of them. Does not belong here: reading
the file (``enrollment_files``), pace and retries (``batch``).

The contract has no request for several verifications, so each line is a request of its own; several
are under way at once.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.ssid_lookup.backlog import FaultReply, QuestionKey
from ccgi_pipeline.ssid_lookup.batch import (
    AGREED_PACE,
    BatchRun,
    Budget,
    Letter,
    LookupPace,
    Remaining,
    Timing,
)
from ccgi_pipeline.ssid_lookup.client import LookupClient, StoredReply, VerificationReply
from ccgi_pipeline.ssid_lookup.enrollment_files import (
    FIELDS,
    KEY,
    REFUSED_BY_SERVICE,
    EnrollmentFile,
    describe_refused,
)
from ccgi_pipeline.ssid_lookup.enrollment_journal import EnrollmentJournal, build_key
from ccgi_pipeline.ssid_lookup.enrollments import EnrollmentVerification, VerificationFate
from ccgi_pipeline.ssid_lookup.limits import Clock, Limiter


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """What became of the lines of a file; the counts add up to ``lines``.

    ``sent``: lines that the service has by this run, by what it did with them (None: an older
    service does not say it). ``already_sent``: lines that an earlier run sent, and of which nothing
    else was sent since. ``superseded``: a later line is about the same enrollment. ``refused``: a
    frame of ``REFUSED_SCHEMA``, whether refused here or by the service. ``waiting``: lines that are
    left for later, and why (``left``).
    """

    lines: int
    sent: dict[VerificationFate | None, int]
    already_sent: int
    superseded: int
    refused: pl.DataFrame
    waiting: int
    left: Remaining | None = None
    seconds_left: float = 0


@value_free
def send_enrollments(  # noqa: PLR0913 - three inputs; the others are named and have defaults
    file: EnrollmentFile,
    client: LookupClient,
    folder: Path,
    pace: LookupPace = AGREED_PACE,
    *,
    again: bool = False,
    clock: Clock = time.time,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
) -> SendOutcome:
    """Sends the enrollments of a file that were not sent before, as far as the limit allows.

    What the service has is noted in ``folder`` before more is sent, so the next call goes on where
    this one stopped or was killed. A line that was sent and not noted is sent again, which changes
    nothing at the service. ``again``: also lines that were sent before.

    Raises:
        LookupRefusedError: somebody must act; what was sent before is noted.
        ContractBrokenError: the service's answer breaks the contract; likewise.
    """
    latest = file.enrollments.unique(KEY, keep="last", maintain_order=True)
    keys = [build_key(EnrollmentVerification(*row)) for row in latest.select(FIELDS).iter_rows()]
    with (
        closing(EnrollmentJournal(folder, client.account, clock)) as journal,
        closing(Limiter(folder, clock)) as limiter,
    ):
        if again:
            journal.forget(keys)
        known = [journal.is_answered(key) for key in keys]
        letters = [
            Letter(key, EnrollmentVerification(*row))
            for key, row, sent in zip(keys, latest.select(FIELDS).iter_rows(), known, strict=True)
            if not sent
        ]
        budget = Budget(limiter, client, pace, clock)
        timing = Timing(clock, sleep, jitter, lambda _: None)
        run: BatchRun[QuestionKey, EnrollmentVerification, VerificationReply] = BatchRun(
            client.verify, journal, budget, pace, timing
        )
        left = run.run(letters, "enrollments")
        # What another process sent meanwhile is the same to the service.
        by_others = sum(
            letter.key not in journal.replies and journal.is_answered(letter.key)
            for letter in letters
        )
        replies = [journal.replies.get(key) for key in keys]
    stored = Counter(reply.fate for reply in replies if isinstance(reply, StoredReply))
    refused = _describe_faults(latest, replies)
    already_sent = sum(known) + by_others
    waiting = latest.height - stored.total() - refused.height - already_sent
    return SendOutcome(
        lines=file.lines,
        sent=dict(stored),
        already_sent=already_sent,
        superseded=file.enrollments.height - latest.height,
        refused=pl.concat([file.refused, refused]).sort("line"),
        waiting=waiting,
        left=left if waiting else None,
        seconds_left=budget.estimate_seconds(waiting) if waiting else 0,
    )


def _describe_faults(lines: pl.DataFrame, replies: list[VerificationReply | None]) -> pl.DataFrame:
    """Returns the lines that the service refused, as a frame of ``REFUSED_SCHEMA``."""
    fields = [
        ", ".join(reply.fields) if isinstance(reply, FaultReply) else None for reply in replies
    ]
    faults = lines.select("line", pl.Series("fields", fields, dtype=pl.String)).drop_nulls("fields")
    broken = faults.select("line", pl.lit(REFUSED_BY_SERVICE.id).alias("rule"))
    return describe_refused(lines, broken, faults["fields"])
