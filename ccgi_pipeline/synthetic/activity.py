"""Generates platform activity: what a block's students did on CaliforniaColleges.edu, and when.

Belongs here: drawing events so that each follows the registration of the account and the step
before it. Does not belong here: how common each activity is (activity_list).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import groupby

import numpy as np
import polars as pl

from ccgi_pipeline.feeds import platform
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic.activity_list import (
    ACCOUNT_SHARES,
    ACCOUNT_TYPES,
    ACTIVITIES,
    Activity,
)
from ccgi_pipeline.synthetic.people import People
from ccgi_pipeline.synthetic.places import FIRST_GRADE, LAST_GRADE
from ccgi_pipeline.synthetic.random_draws import (
    Floats,
    Integers,
    Part,
    chance,
    identifiers,
    look_up,
    pick_code,
    ssids,
)
from ccgi_pipeline.synthetic.student_blocks import NUMBERS_OF_A_DISTRICT, Block

_DAY = 86_400
_YEAR = 365 * _DAY
_SEASON = 100 * _DAY
_LAST_REGISTRATION = _YEAR - 7_200
"""Seconds; events lie between a year before the date and its last second, in UTC."""
_STRANGERS = 0.01
_BEGUN_AGAIN = 0.04
"""The share of activities that a student begins again, such as an application."""
_IN_THE_SAME_SECOND, _AFTER_THE_DAY = 0.2, 0.2
_END_IN_CALIFORNIA, _MORNING = _YEAR + _DAY + 8 * 3_600, 4 * 3_600
_STRANGERS_FROM = 4_000
"""SSIDs of students on no roster are made from the running numbers behind this many districts."""


@dataclass(frozen=True)
class _Audience:
    """Account holders: ``ssid`` (text), ``grade``, ``ability``, ``since`` (seconds)."""

    ssid: pl.Series
    grade: Integers
    ability: Floats
    since: Integers


def activity_lines(block: Block, people: People) -> Iterator[tuple[FeedSpec, pl.DataFrame]]:
    """Yields each platform feed with a block's events (typed columns), in the order of time.

    A hundredth of the events are of students who are on no district's roster.
    """
    rng, repeats = block.stream(Part.ACTIVITY), block.stream(Part.REPEATS)
    audience = _audience(block, people, rng)
    types = pick_code(rng, ACCOUNT_TYPES, len(audience.since)).alias("AccountType")
    registered = _events(block, rng, audience, np.arange(len(types)), audience.since)
    yield platform.ACCOUNT_REGISTRATIONS, _sorted(registered.with_columns(types))
    for name, activities in groupby(ACTIVITIES, key=lambda activity: activity.feed.name):
        parts = [_done(block, rng, repeats, audience, activity) for activity in activities]
        yield platform_feed(name), _sorted(pl.concat(parts))


def platform_feed(name: str) -> FeedSpec:
    """The platform's feed of that name."""
    return next(feed for feed in platform.FEEDS if feed.name == name)


def _sorted(events: pl.DataFrame) -> pl.DataFrame:
    return events.sort("OccurredAt", "EventID")


def _audience(block: Block, people: People, rng: np.random.Generator) -> _Audience:
    """Account holders of the block, and a few students who are on no roster."""
    strangers = int(block.stream(Part.STRANGERS).binomial(block.count, _STRANGERS))
    of_nobody = (_STRANGERS_FROM + block.place.ordinal) * NUMBERS_OF_A_DISTRICT
    ssid = pl.concat([people.ssid, ssids(block.seed, of_nobody + block.numbers[:strangers])])
    grade = np.concatenate([people.grade, rng.integers(FIRST_GRADE, LAST_GRADE + 1, strangers)])
    ability = np.concatenate([people.ability, rng.standard_normal(strangers)])
    share = np.array([ACCOUNT_SHARES.get(g, 0.0) for g in range(LAST_GRADE + 1)])[grade]
    holder = np.flatnonzero(chance(rng, share, len(grade)))
    since = (rng.random(len(holder)) * _LAST_REGISTRATION).astype(np.int64)
    return _Audience(ssid.gather(pl.Series(holder)), grade[holder], ability[holder], since)


def _done(
    block: Block,
    rng: np.random.Generator,
    repeats: np.random.Generator,
    audience: _Audience,
    activity: Activity,
) -> pl.DataFrame:
    """The events of one activity (typed columns of its feed), student by student.

    ``repeats`` draws who takes the first step once more, after or at the time of the last one.
    """
    shares = np.array([activity.shares.get(g, 0.0) for g in range(LAST_GRADE + 1)])
    share = shares[audience.grade] * (1 + activity.of_ability * audience.ability)
    doer = np.flatnonzero(chance(rng, share, len(share)))
    most = len(activity.named[1]) if activity.named else 9
    times = (1 + rng.poisson(activity.times - 1, len(doer))).clip(1, most)
    student = np.repeat(doer, times)
    nth = np.arange(len(student)) - np.repeat(np.cumsum(times) - times, times)

    reached = _reached(rng, activity, len(student))
    thread, step = np.nonzero(reached)
    moments = _moments(rng, audience.since[student], activity)
    events = _events(block, rng, audience, student[thread], moments[thread, step])
    if activity.status:
        events = events.with_columns(_words(rng, activity, thread, step).alias(activity.status))
    cells = _cells(block, rng, activity, student, nth)
    if activity.status:
        last = moments[np.arange(len(student)), reached.sum(axis=1) - 1]
        again, when = _begun_again(repeats, last)
        word = pl.lit(activity.steps[0].words[0]).alias(activity.status)
        more = _events(block, repeats, audience, student[again], when).with_columns(word)
        events, thread = pl.concat([events, more]), np.concatenate([thread, again])
    return events.hstack([cell.gather(pl.Series(thread)) for cell in cells])


def _reached(
    rng: np.random.Generator, activity: Activity, threads: int
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Which steps (columns) each thread (row) takes: none without the one before it."""
    shares = np.array([step.share for step in activity.steps])
    taken = rng.random((threads, len(shares))) < shares
    reached: np.ndarray[tuple[int, int], np.dtype[np.bool_]] = np.logical_and.accumulate(
        taken, axis=1
    )
    return reached


def _moments(rng: np.random.Generator, since: Integers, activity: Activity) -> Integers:
    """Seconds (threads x steps) after the registration, each step later than the one before."""
    steps = len(activity.steps)
    begin = np.maximum(since + 60, _YEAR - _SEASON if activity.in_season else 0)
    room = (_YEAR + _DAY - 1 - steps - begin)[:, np.newaxis]
    shares = np.sort(rng.random((len(since), steps)), axis=1)
    moments: Integers = begin[:, np.newaxis] + (shares * room).astype(np.int64) + np.arange(steps)
    return moments


def _begun_again(rng: np.random.Generator, last: Integers) -> tuple[Integers, Integers]:
    """Which threads begin again, and when: seconds after the year's begin.

    ``last``: the time of each thread's last step. Most begin again later in the year, some in the
    same second, and some after the day of the files has ended in California.
    """
    again = np.flatnonzero(chance(rng, _BEGUN_AGAIN, len(last)))
    room = _YEAR + _DAY - 1 - last[again]
    later = last[again] + (rng.random(len(again)) * room).astype(np.int64)
    after = _END_IN_CALIFORNIA + (rng.random(len(again)) * _MORNING).astype(np.int64)
    kind = rng.random(len(again))
    when: Integers = np.select(
        [kind < _IN_THE_SAME_SECOND, kind > 1 - _AFTER_THE_DAY], [last[again], after], later
    )
    return again, when


def _words(
    rng: np.random.Generator, activity: Activity, thread: Integers, step: Integers
) -> pl.Series:
    """The word of each step; where it has several, one of them."""
    words = [word for taken in activity.steps for word in taken.words]
    sizes = np.array([len(taken.words) for taken in activity.steps])
    starts = np.cumsum(sizes) - sizes
    return look_up(words, starts[step] + (rng.random(len(thread)) * sizes[step]).astype(np.int64))


def _cells(
    block: Block, rng: np.random.Generator, activity: Activity, student: Integers, nth: Integers
) -> list[pl.Series]:
    """The columns that are the same in all steps of a thread (one entry for each thread)."""
    count = len(student)
    cells = [
        *(look_up([word], nth * 0).alias(name) for name, word in activity.fixed.items()),
        *(pick_code(rng, words, count).alias(name) for name, words in activity.drawn.items()),
    ]
    if activity.numbered:
        cells.append(identifiers(rng, count).alias(activity.numbered))
    if activity.named:
        column, names = activity.named
        first = np.flatnonzero(nth == 0)
        of_student = np.cumsum(nth == 0) - 1
        starts, strides = _walks(block, rng, len(first), len(names), nearby=activity.nearby)
        position = (starts[of_student] + nth * strides[of_student]) % len(names)
        cells.append(look_up(names, position).alias(column))
    return cells


def _walks(
    block: Block, rng: np.random.Generator, count: int, size: int, *, nearby: bool
) -> tuple[Integers, Integers]:
    """Where each student starts in a list, and a stride that meets no entry twice."""
    coprime = np.array([step for step in range(1, size + 1) if math.gcd(step, size) == 1])
    starts = rng.integers(0, size, count)
    strides = coprime[rng.integers(0, len(coprime), count)]
    if nearby:
        near = block.place.ordinal * 7 + np.minimum(rng.geometric(0.5, count) - 1, 4)
        return near, np.ones(count, dtype=np.int64)
    return starts, strides


def _events(
    block: Block,
    rng: np.random.Generator,
    audience: _Audience,
    who: Integers,
    when: Integers,
) -> pl.DataFrame:
    """The columns that all events have: id, whose, and when (UTC)."""
    begin = np.datetime64(datetime.combine(block.on - timedelta(days=365), time()), "s")
    return pl.DataFrame(
        {
            "EventID": identifiers(rng, len(who)),
            "SSID": audience.ssid.gather(pl.Series(who)),
            "OccurredAt": pl.Series((begin + when).astype("datetime64[ms]")),
        }
    )
