"""An attacker on aggregates with hidden cells, who knows more than anybody should.

Belongs here: exact answers to "which whole numbers fit what was published", for one night and over
nights. The attacker has every file of the delivery, the size of every roster, which rows hang
together, how percentages are rounded, and the rule of suppression with its constants. Nothing here
uses the rule's code: an attacker who asked it would share its mistakes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

STEPS = 200_000
"""An attack that needs more is not finished; it fails the test and never passes for safe."""


@dataclass
class Attack:
    """Unknown whole numbers and what is known of them.

    ``sums``: unknowns that together make a number. ``clauses``: of each, one unknown at least has
    1 to ``small`` students: so says the rule.
    """

    small: int = 0
    low: list[int] = field(default_factory=list)
    high: list[int] = field(default_factory=list)
    sums: list[tuple[tuple[int, ...], int]] = field(default_factory=list)
    clauses: list[tuple[int, ...]] = field(default_factory=list)
    _steps: int = 0
    _left: int = 0
    _of: list[list[int]] = field(default_factory=list)
    _fit: list[set[int]] = field(default_factory=list)

    def unknown(self, low: int, high: int) -> int:
        """One more unknown between two bounds."""
        self.low.append(low)
        self.high.append(high)
        return len(self.low) - 1

    def add_sum(self, parts: Sequence[int], total: int) -> None:
        """These unknowns together are ``total``."""
        self.sums.append((tuple(parts), total))

    def values(self, which: int, enough: int) -> list[int]:
        """The values that fit, at most ``enough`` of them."""
        if not self._fit:
            self._fit = [set() for _ in self.low]
        known = self._fit[which]
        for value in range(self.low[which], self.high[which] + 1):
            if len(known) >= enough:
                break
            low, high = [*self.low], [*self.high]
            low[which] = high[which] = value
            self._left = STEPS
            if value not in known and self._fits(low, high):
                known.add(value)
        return sorted(known)[:enough]

    def _fits(self, low: list[int], high: list[int]) -> bool:
        """Whether any numbers within the bounds fit: propagation, then branches. Exact."""
        self._steps += 1
        self._left -= 1
        if self._left < 0:
            msg = "the attack did not come to an end"
            raise RuntimeError(msg)
        if not self._narrow(low, high):
            return False
        branches = self._branches(low, high)
        if branches is None:
            # What fits shows a value of every unknown at once.
            for fit, value in zip(self._fit, low, strict=True):
                fit.add(value)
            return True
        return any(self._fits(*bounds) for bounds in branches)

    def _branches(
        self, low: list[int], high: list[int]
    ) -> list[tuple[list[int], list[int]]] | None:
        """Narrower bounds that together hold all that fits; None where nothing is open."""
        for clause in self.clauses:
            if not any(low[v] >= 1 and high[v] <= self.small for v in clause):
                return [_between(low, high, v, 1, self.small) for v in clause]
        open_ones = [v for v in range(len(low)) if low[v] < high[v] and self._sums_with(v)]
        if not open_ones:
            return None
        v = min(open_ones, key=lambda one: high[one] - low[one])
        # One value first, another each time, so that what fits shows many; then all the others.
        value = low[v] + self._steps * 7919 % (high[v] - low[v] + 1)
        parts = ((value, value), (low[v], value - 1), (value + 1, high[v]))
        return [_between(low, high, v, least, most) for least, most in parts]

    def _narrow(self, low: list[int], high: list[int]) -> bool:
        """Bounds by the sums, until nothing moves; False where nothing fits."""
        if any(floor > ceiling for floor, ceiling in zip(low, high, strict=True)):
            return False
        waiting = {*range(len(self.sums))}
        while waiting:
            one = waiting.pop()
            parts, total = self.sums[one]
            room, slack = total - sum(low[v] for v in parts), sum(high[v] for v in parts) - total
            if room < 0 or slack < 0:
                return False
            for v in parts:
                floor, ceiling = high[v] - slack, low[v] + room
                if floor > low[v] or ceiling < high[v]:
                    low[v], high[v] = max(low[v], floor), min(high[v], ceiling)
                    waiting.update(self._sums_with(v))
        return all(floor <= ceiling for floor, ceiling in zip(low, high, strict=True))

    def _sums_with(self, v: int) -> list[int]:
        if len(self._of) != len(self.low):
            self._of = [
                [n for n, (parts, _) in enumerate(self.sums) if one in parts]
                for one in range(len(self.low))
            ]
        return self._of[v]


def _between(
    low: list[int], high: list[int], v: int, least: int, most: int
) -> tuple[list[int], list[int]]:
    floors, ceilings = [*low], [*high]
    floors[v], ceilings[v] = max(low[v], least), min(high[v], most)
    return floors, ceilings


def counts_of_percentage(printed: str, size: int, decimals: int = 1) -> list[int]:
    """The counts of ``size`` that are printed as this percentage, rounded half up."""
    half = Fraction(1, 2 * 10**decimals)
    shown = Fraction(printed)
    return [
        count
        for count in range(size + 1)
        if shown - half <= Fraction(100 * count, size) < shown + half
    ]


def over_nights(
    shown: Sequence[Sequence[int] | None], sizes: Sequence[int], small: int
) -> list[list[set[int]]]:
    """The values that each cell of a line can have had, night by night. Exact.

    The line holds all students of the roster, in two or three cells that are there every night.
    ``shown``: its counts, or None where it is hidden; ``sizes``: the roster's, every night. The
    attacker knows that from one night to the next one student came, left or moved at most, and that
    a line is hidden if one of its cells has ``small`` students or fewer.
    """
    cells = len(next(counts for counts in shown if counts is not None))
    width = max(sizes) + 1
    nights = [
        _that_fit(counts, size, cells, width, small)
        for counts, size in zip(shown, sizes, strict=True)
    ]
    forward, backward = [nights[0]], [nights[-1]]
    for night in nights[1:]:
        forward.append(_one_student_later(forward[-1]) & night)
    for night in nights[-2::-1]:
        backward.append(_one_student_later(backward[-1]) & night)
    return [
        _values(before & after, size)
        for before, after, size in zip(forward, reversed(backward), sizes, strict=True)
    ]


Fitting = NDArray[np.bool_]


def _that_fit(
    counts: Sequence[int] | None, size: int, cells: int, width: int, small: int
) -> Fitting:
    """All but the last cell are the axes; the last is what they leave of the roster."""
    axes = np.indices((width,) * (cells - 1))
    every = [*axes, size - axes.sum(axis=0)]
    if counts is not None:
        return np.logical_and.reduce([a == c for a, c in zip(every, counts, strict=True)])
    there = np.logical_and.reduce([a >= 1 for a in every])
    return there & np.logical_or.reduce([a <= small for a in every])


def _one_student_later(fitting: Fitting) -> Fitting:
    """What a line can be a night later, or have been a night before: one student came, left, moved.

    The roster's size tells which of these it was; the size of the next night sorts them out.
    """
    reached = fitting.copy()
    steps = []
    for axis in range(fitting.ndim):
        for by in (1, -1):
            steps.append(((axis, by),))
            steps += [((axis, by), (other, -by)) for other in range(fitting.ndim) if other != axis]
    for step in steps:
        moved = fitting
        for axis, by in step:
            moved = np.roll(moved, by, axis=axis)
            edge: list[slice | int] = [slice(None)] * fitting.ndim
            edge[axis] = 0 if by == 1 else -1
            moved[tuple(edge)] = False
        reached |= moved
    return reached


def _values(fitting: Fitting, size: int) -> list[set[int]]:
    places = np.argwhere(fitting)
    every = np.column_stack([places, size - places.sum(axis=1)])
    return [{*map(int, every[:, cell])} for cell in range(every.shape[1])]
