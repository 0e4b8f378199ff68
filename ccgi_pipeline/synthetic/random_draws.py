"""Draws random numbers that are the same for the same seed.

Belongs here: where each part of the generator gets its random numbers from, and the few ways in
which they are drawn. Does not belong here: what is drawn. A part's numbers follow from the seed,
the district's CD code and the part's own name alone, so no district's students depend on the order
in which districts are made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Part(IntEnum):
    """The parts of the generator that draw, each from its own stream."""

    SIZE = 1
    MIX = 2
    PEOPLE = 3
    COURSES = 4
    TESTS = 5
    STRANGERS = 6
    ACTIVITY = 7
    DEFECTS = 8
    FOSTER_YOUTH = 9
    FOSTER_SCHOOLING = 10
    FOSTER_ATTENDANCE = 11
    FOSTER_BEHAVIOR = 12
    FOSTER_TESTS = 13
    FOSTER_REGISTER = 14
    ONEROSTER = 15
    REPEATS = 16


def stream(seed: int, cd_code: str, part: Part, *within: int) -> np.random.Generator:
    """The random numbers of one part of one district, or of something ``within`` the part."""
    return np.random.Generator(np.random.PCG64([seed, int(cd_code), int(part), *within]))


def pick(rng: np.random.Generator, weights: Sequence[float] | Floats, count: int) -> Integers:
    """``count`` positions (int64) in ``weights``, each as often as its weight says."""
    shares = np.cumsum(np.asarray(weights, dtype=np.float64))
    found: Integers = np.searchsorted(shares, rng.random(count) * shares[-1], side="right")
    return found.clip(0, len(shares) - 1)


def pick_code(rng: np.random.Generator, shares: Mapping[str, float], count: int) -> pl.Series:
    """``count`` of the keys of ``shares`` (text), each as often as its share says."""
    return look_up(list(shares), pick(rng, list(shares.values()), count))


def chance(rng: np.random.Generator, probability: float | Floats, count: int) -> Flags:
    """``count`` flags, each true with its ``probability``."""
    flags: Flags = rng.random(count) < probability
    return flags


def look_up(
    table: Sequence[str | None] | pl.Series, positions: npt.NDArray[np.integer]
) -> pl.Series:
    """The values (text) of ``table`` at ``positions``."""
    values = table if isinstance(table, pl.Series) else pl.Series(table, dtype=pl.String)
    return values[pl.Series(positions)]  # three times as fast as gather where there are few


def repeated(value: str, count: int) -> pl.Series:
    """``value`` (text) so many times; faster than polars' own where that is few."""
    return pl.Series([value]).new_from_index(0, count)


def only_where(flags: Flags, values: pl.Series) -> pl.Series:
    """``values`` where ``flags`` is true, and null elsewhere."""
    return values.zip_with(
        pl.Series(flags), pl.repeat(None, len(flags), dtype=values.dtype, eager=True)
    )


_HALVES = (90_000, 100_000)
_MIX = 2_654_435_761
"""Knuth's multiplicative hash: the odd integer nearest 2**32 divided by the golden ratio."""
_ROUNDS = 4


def ssids(seed: int, numbers: Integers) -> pl.Series:
    """SSIDs (10 digits, text) of running ``numbers`` (0 to 9 * 10**9 - 1), one for each.

    The upper and lower half of a number are shifted by each other's hash in turn. Every step can
    be undone, so no two numbers ever get one SSID, whatever the seed.
    """
    upper, lower = (part.astype(np.uint64) for part in np.divmod(numbers, _HALVES[1]))
    for turn in range(_ROUNDS):
        upper = (upper + _hash(lower, seed, 2 * turn)) % np.uint64(_HALVES[0])
        lower = (lower + _hash(upper, seed, 2 * turn + 1)) % np.uint64(_HALVES[1])
    whole = (upper + np.uint64(_HALVES[0] // 9)) * np.uint64(_HALVES[1]) + lower
    return pl.Series(whole).cast(pl.String)


def _hash(half: npt.NDArray[np.uint64], seed: int, turn: int) -> npt.NDArray[np.uint64]:
    salt = (seed * 1_000_003 + turn * 7_919 + 12_345) % (1 << 31)
    mixed = (half + np.uint64(salt)) * np.uint64(_MIX)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(_MIX)
    return mixed >> np.uint64(33)


_FOUR_DIGITS = 1 << 16


@cache
def _hexadecimal() -> pl.Series:
    """Every number of four hexadecimal digits, as text."""
    return pl.Series([f"{word:04x}" for word in range(_FOUR_DIGITS)])


def identifiers(rng: np.random.Generator, count: int) -> pl.Series:
    """``count`` identifiers (text) in the form of a random UUID (version 4)."""
    words = rng.integers(0, _FOUR_DIGITS, size=(8, count), dtype=np.uint16)
    words[3] = words[3] & 0x0FFF | 0x4000
    words[4] = words[4] & 0x3FFF | 0x8000
    digits = look_up(_hexadecimal(), words.ravel())
    parts = pl.DataFrame({str(n): digits.slice(n * count, count) for n in range(len(words))})
    # In one piece, because polars 2.1.0 panics where it puts literals beside pieces of a column.
    return parts.rechunk().select(pl.format("{}{}-{}-{}-{}-{}{}{}", *parts.columns)).to_series()
