"""Defines blocks of students, the unit of work, and their school year.

Belongs here: how a district is cut into blocks that fit in memory, and what follows from the date
alone. Does not belong here: anything about a student.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from ccgi_pipeline.synthetic.places import Place
from ccgi_pipeline.synthetic.random_draws import Integers, Part, stream

STUDENTS_IN_A_BLOCK = 20_000
"""A block's course history takes about half a gigabyte at its widest."""

NUMBERS_OF_A_DISTRICT = 1_000_000
"""Running numbers reserved for one district; SSIDs are made from them, and none is used twice."""

_FIRST_MONTH = 7
_SPRING_FROM, _SPRING_TO = 2, 6


@dataclass(frozen=True)
class Block:
    """``count`` students of one district, the first of whom is the district's number ``first``."""

    place: Place
    seed: int
    on: date
    number: int
    first: int
    count: int

    def stream(self, part: Part, *within: int) -> np.random.Generator:
        """The random numbers of one part of this block, or of something ``within`` the part."""
        return stream(self.seed, self.place.cd_code, part, self.number, *within)

    @property
    def numbers(self) -> Integers:
        """The students' numbers within the district (int64, from 0)."""
        return np.arange(self.first, self.first + self.count, dtype=np.int64)


def blocks(place: Place, students: int, seed: int, on: date) -> Iterator[Block]:
    """A district's ``students`` in blocks, as of the date ``on``."""
    if students > NUMBERS_OF_A_DISTRICT:
        msg = f"a district has at most {NUMBERS_OF_A_DISTRICT} students, not {students}"
        raise ValueError(msg)
    for number, first in enumerate(range(0, students, STUDENTS_IN_A_BLOCK)):
        count = min(STUDENTS_IN_A_BLOCK, students - first)
        yield Block(place, seed, on, number, first, count)


def first_year(on: date) -> int:
    """The year in which the school year of ``on`` began; it turns on 1 July."""
    return on.year if on.month >= _FIRST_MONTH else on.year - 1


def school_year(start: int) -> str:
    """A school year as files write it: 2026-27 for the one that began in 2026."""
    return f"{start}-{(start + 1) % 100:02d}"


def is_spring(on: date) -> bool:
    """Whether the second semester is running: February to June."""
    return _SPRING_FROM <= on.month <= _SPRING_TO
