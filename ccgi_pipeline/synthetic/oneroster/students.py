"""The students of a block as the student system has them: nearly those of its transcript roster.

Belongs here: who is in both, who in one of them only, and on which of the days. Does not belong
here: what they take (timetable), lines about them (users).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from ccgi_pipeline.synthetic.courses import IN_PROGRESS, History, history
from ccgi_pipeline.synthetic.people import People, people
from ccgi_pipeline.synthetic.random_draws import Flags, Integers
from ccgi_pipeline.synthetic.student_blocks import Block

SINCE, UNTIL = "_since", "_until"
"""Columns beside lines: the first day on which a line is sent, and the first one on which it no
longer is. Days count from 0; what is sent on the last one has their number as ``UNTIL``."""

_GONE_ONE_IN, _NEW_ONE_IN, _CHANGED_ONE_IN = 100, 100, 50
_STRIDE = 37
"""So far the next district's are from where this one's are."""
_STUDENTS_OF_A_SCHOOL_THAT_SOME_LEAVE = 25
"""In a smaller school one student is so many of them that a drop would be held for it."""
_NEW_BLOCKS_FROM = 1_000
"""Numbers of blocks of new students: a district has far fewer blocks of others."""
_NEW_NUMBERS_FROM = 4_000
"""Their SSIDs are of the numbers that activity's strangers begin to use from the other end."""


@dataclass(frozen=True)
class Students:
    """Students of a block; all arrays have one entry each.

    ``cells`` (StudentTemplate columns), ``grade``, ``school`` (row of the district's schools),
    ``since`` and ``until`` (days), ``changes`` (the day on which something about them changes; 0 of
    those who stay as they are). ``taken``: what they take now (``student`` is the entry here).
    """

    block: Block
    days: int
    cells: pl.DataFrame
    local_id: pl.Series
    grade: Integers
    school: Integers
    since: Integers
    until: Integers
    changes: Integers
    taken: History

    @property
    def changing(self) -> Integers:
        """Entries of those about whom something changes, even if there is no day for it."""
        return np.flatnonzero(self.changes >= 0)


def students(block: Block, roster: People, taken: History, days: int) -> Students:
    """The students of ``block`` on ``days`` days.

    Students who left are no longer in the system. A hundredth of the students enrolled by the
    roster are not either: they leave during these days. As many arrive who are not on the roster
    yet.
    """
    enrolled = np.flatnonzero(roster.cells["EnrollmentEndDate"].is_null().to_numpy())
    new_block = _new_block(block)
    new_roster = people(new_block) if new_block.count else None
    new = np.zeros(len(enrolled) + new_block.count, dtype=np.bool_)
    new[len(enrolled) :] = True

    parts = [roster.cells[enrolled]]
    local_ids = [parts[0]["LocalStudentID"]]
    grade, school = roster.grade[enrolled], roster.school[enrolled]
    histories = [_now(taken, roster, enrolled, 0)]
    if new_roster is not None:
        parts.append(new_roster.cells)
        local_ids.append("9" + new_roster.cells["LocalStudentID"])
        grade = np.concatenate([grade, new_roster.grade])
        school = np.concatenate([school, new_roster.school])
        everyone = np.arange(new_block.count)
        histories.append(_now(history(new_block, new_roster), new_roster, everyone, len(enrolled)))
    leaving, changing = _leaving_and_changing(block, school, new)
    return Students(
        block=block,
        days=days,
        cells=pl.concat(parts),
        local_id=pl.concat(local_ids),
        grade=grade,
        school=school,
        since=_spread(np.flatnonzero(new), days, np.zeros_like(grade)),
        until=_spread(leaving, days, np.full_like(grade, days)),
        changes=_spread(changing, days, np.full_like(grade, -1)),
        taken=History(
            *(
                np.concatenate([getattr(part, name) for part in histories])
                for name in ("student", "course", "grade", "term", "mark")
            )
        ),
    )


def _new_block(block: Block) -> Block:
    """Students whom the roster does not know, one for each hundred."""
    count = (block.count + _NEW_ONE_IN // 2) // _NEW_ONE_IN
    return Block(
        place=replace(block.place, ordinal=_NEW_NUMBERS_FROM + block.place.ordinal),
        seed=block.seed,
        on=block.on,
        number=_NEW_BLOCKS_FROM + block.number,
        first=block.first + block.count - count,
        count=count,
    )


def _now(taken: History, roster: People, rows: Integers, first: int) -> History:
    """What the students in ``rows`` take in the running term; ``first``: the first one's entry."""
    place = np.full(len(roster.grade), -1, dtype=np.int64)
    place[rows] = first + np.arange(len(rows))
    runs = (taken.mark == IN_PROGRESS) & (place[taken.student] >= 0)
    return History(
        place[taken.student[runs]],
        taken.course[runs],
        taken.grade[runs],
        taken.term[runs],
        taken.mark[runs],
    )


def _leaving_and_changing(block: Block, school: Integers, new: Flags) -> tuple[Integers, Integers]:
    """Every so many of the students, school by school: so no school loses many of its own."""
    order = np.argsort(school, kind="stable")
    order = order[~new[order]]
    sizes = np.bincount(school[order], minlength=block.place.schools.height)
    large = order[sizes[school[order]] >= _STUDENTS_OF_A_SCHOOL_THAT_SOME_LEAVE]
    turn = _STRIDE * block.place.ordinal
    leaving = large[turn % _GONE_ONE_IN :: _GONE_ONE_IN]
    changing = order[(turn + 1) % _CHANGED_ONE_IN :: _CHANGED_ONE_IN]
    return leaving, np.setdiff1d(changing, leaving)


def _spread(whose: Integers, days: int, otherwise: Integers) -> Integers:
    """``otherwise``, but for ``whose``: one day after the other, from the second one on."""
    spread = otherwise.copy()
    nth = np.arange(len(whose))
    spread[whose] = 1 + nth % (days - 1) if days > 1 else 0
    return spread
