"""Generates the identities of the state's students of thirty years, with their schools.

Belongs here: names, aliases, birth dates and schools of identities, block by block. Does not
belong here: how many are namesakes (namesakes), what they write on an application (applications).

No combination of first initial, last name and birth date is drawn twice: a block of students has
birth dates that no other block has, and within it a student who would share a combination by chance
is drawn again. Then each group of namesakes gets a combination, and every other student one alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import cache

import numpy as np
import polars as pl

from ccgi_pipeline.synthetic import places, rates
from ccgi_pipeline.synthetic.identities import namesakes
from ccgi_pipeline.synthetic.identities.nicknames import NICKNAMES
from ccgi_pipeline.synthetic.names import POOLS
from ccgi_pipeline.synthetic.people import from_pools
from ccgi_pipeline.synthetic.random_draws import (
    Flags,
    Integers,
    Part,
    chance,
    look_up,
    only_where,
    pick,
    ssids,
    stream,
)

IDENTITY_SCHEMA = {
    "SSID": pl.String,
    "FirstName": pl.String,
    "MiddleName": pl.String,
    "LastName": pl.String,
    "AliasFirstName": pl.String,
    "AliasLastName": pl.String,
    "BirthDate": pl.Date,
    "CDSCode": pl.String,
}

STUDENTS_IN_A_BLOCK = 1_000_000
"""A block takes about a gigabyte while it is made."""

WHOLE_STATE = "0000000"
"""No district's code: what is drawn for the whole state has a stream of its own."""

_NUMBERS_FROM = 8_000_000_000
"""Running numbers of SSIDs above all that the districts' generated students have."""

_BORN_FROM = np.datetime64(date(1990, 9, 2), "D")
_BIRTH_DATES = int((np.datetime64(date(2020, 9, 2), "D") - _BORN_FROM).astype(np.int64))
"""Birth years of thirty years of students: the first SSIDs were given in 2005, to seniors too."""

_TWO_LAST_NAMES_IN_SPANISH = 0.3
"""Father's and mother's; in other families two last names are ``rates.TWO_LAST_NAMES``."""
_JOINED_BY_HYPHEN = 0.5
_TWINS = 0.015
"""Of students, second ones of twins: three births in a hundred are of twins. They have last name,
birth date and schools in common."""
_TWINS_AMONG_NAMESAKES = 0.08
"""Of those who share initial, last name and birth date but no first name: there are about 190,000
pairs of twins in 12.7 million, of whom one in four or five has one initial, some 40,000, among
450,000 pairs of namesakes with different first names."""

_COMMON_INITIAL = 9
"""Namesakes have an initial with so many first names at least, as most people have."""
_SECOND_NAMES = ("Grace", "Marie", "Rose", "James", "Lee", "Luis")

_ALIAS = 0.08
_ALIAS_KINDS = {"first": 0.6, "last": 0.25, "both": 0.15}
_NICKNAME_AS_ALIAS = 0.8
"""Of aliases for a first name that has a nickname; the others are English names."""

_SCHOOLS_ATTENDED = (0.55, 0.33, 0.12)
"""One, two and three schools: the second in the district of the first, the third anywhere."""
_DISTRICTS = 800
"""They have some 2,400 schools with grade 12, continuation and charter schools among them."""

_ENGLISH = list(POOLS).index("english")
_SPANISH = list(POOLS).index("spanish")


def identities(
    count: int, seed: int, *, in_a_block: int = STUDENTS_IN_A_BLOCK
) -> Iterator[pl.DataFrame]:
    """``count`` students in ``IDENTITY_SCHEMA``, a row for each school of a student.

    They come in blocks of at most ``in_a_block`` students; which students follows from all three
    arguments.
    """
    blocks = range(-(-count // in_a_block))
    for block in blocks:
        first = block * in_a_block
        last = min(first + in_a_block, count)
        rng = stream(seed, WHOLE_STATE, Part.PEOPLE, block)
        days = np.arange(block, _BIRTH_DATES, len(blocks))
        numbers = np.arange(first, last, dtype=np.int64) + _NUMBERS_FROM
        yield _block(rng, ssids(seed, numbers), namesakes.group_sizes(first, last), days)


def strangers(rng: np.random.Generator, count: int) -> pl.DataFrame:
    """``FirstName``, ``LastName`` and ``BirthDate`` of people who are not students of the state."""
    drawn = _draw(rng, count, np.arange(_BIRTH_DATES))
    return drawn.select("FirstName", "LastName", "BirthDate")


def _block(
    rng: np.random.Generator, ssid: pl.Series, sizes: Integers, days: Integers
) -> pl.DataFrame:
    alone = len(ssid) - int(sizes.sum())
    combinations = _combinations(rng, alone + len(sizes), days)
    planted = _positions_of_namesakes(rng, combinations, len(sizes))
    others = np.delete(np.arange(combinations.height), planted)
    students = pl.concat(
        [_rows(combinations, others), _namesakes(rng, _rows(combinations, planted), sizes)]
    )
    students = _rows(students, rng.permutation(students.height))
    student, cds_code = _enrollments(rng, students["Family"].to_numpy())
    identified = students.with_columns(
        ssid.alias("SSID"), _middle_names(rng, students), *_aliases(rng, students)
    )
    return (
        _rows(identified, student)
        .with_columns(cds_code.alias("CDSCode"))
        .select(IDENTITY_SCHEMA.keys())
    )


def _rows(frame: pl.DataFrame, positions: Integers) -> pl.DataFrame:
    return frame[pl.Series(positions)]


# --- people -----------------------------------------------------------------------------------


def _combinations(rng: np.random.Generator, count: int, days: Integers) -> pl.DataFrame:
    """``count`` people of ``days``, no two with one first initial, last name and birth date.

    A student who would share them gets two last names: the more students there are, the more of
    them need two to be distinguished. ``Family`` is a number that twins have in common.
    """
    drawn = _draw(rng, count, days)
    drawn = _with_twins(rng, drawn.with_columns(_families(0, count)))
    families = count
    while True:
        drawn = drawn.filter(
            pl.struct(pl.col("FirstName").str.head(1), "LastName", "BirthDate").is_first_distinct()
        )
        missing = count - drawn.height
        if missing == 0:
            return drawn
        again = _draw(rng, missing, days, two_last_names=True)
        drawn = pl.concat([drawn, again.with_columns(_families(families, missing))])
        families += missing


def _families(first: int, count: int) -> pl.Series:
    return pl.Series("Family", np.arange(first, first + count, dtype=np.int64))


def _draw(
    rng: np.random.Generator, count: int, days: Integers, *, two_last_names: bool = False
) -> pl.DataFrame:
    """``count`` people born on ``days``: ``Pool`` of names, ``FirstName``, ``LastName``, ..."""
    pools = list(POOLS)
    group = pick(rng, [entry.share for entry in rates.GROUPS], count)
    pool = np.array([pools.index(entry.pool) for entry in rates.GROUPS])[group]
    english_first = chance(rng, rates.ENGLISH_FIRST_NAME, count)
    born = _BORN_FROM + days[rng.integers(0, len(days), count)]
    return pl.DataFrame(
        {
            "Pool": pool,
            "FirstName": _first_names(rng, np.where(english_first, _ENGLISH, pool)),
            "LastName": _last_names(rng, pool, always_two=two_last_names),
            "BirthDate": born,
        }
    )


def _with_twins(rng: np.random.Generator, drawn: pl.DataFrame) -> pl.DataFrame:
    """The people drawn, some of whom are the twin of the one before them."""
    second = chance(rng, _TWINS, drawn.height)
    second[:1] = False
    second[1:] &= ~second[:-1]
    twin = np.arange(drawn.height) - second
    in_common = ("Pool", "LastName", "BirthDate", "Family")
    return drawn.with_columns(_rows(drawn.select(in_common), twin))


def _first_names(rng: np.random.Generator, pool: Integers) -> pl.Series:
    return from_pools(rng, [(*entry.girls, *entry.boys) for entry in POOLS.values()], pool)


def _last_names(rng: np.random.Generator, pool: Integers, *, always_two: bool) -> pl.Series:
    lists = [entry.last for entry in POOLS.values()]
    first, second = from_pools(rng, lists, pool), from_pools(rng, lists, pool)
    spanish = pool == _SPANISH
    share = np.where(spanish, _TWO_LAST_NAMES_IN_SPANISH, rates.TWO_LAST_NAMES)
    two = chance(rng, share, len(pool)) | always_two
    of_one_word = ~first.str.contains("[ -]").to_numpy()
    by_hyphen = chance(rng, _JOINED_BY_HYPHEN, len(pool)) | ~spanish
    joined = (first + "-" + second).zip_with(pl.Series(by_hyphen), first + " " + second)
    return joined.zip_with(pl.Series(two & of_one_word & (first != second).to_numpy()), first)


def _middle_names(rng: np.random.Generator, students: pl.DataFrame) -> pl.Series:
    has_one = chance(rng, rates.MIDDLE_NAME, students.height)
    names = _first_names(rng, students["Pool"].to_numpy())
    return only_where(has_one, names).alias("MiddleName")


def _aliases(rng: np.random.Generator, students: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """``AliasFirstName`` (a nickname, or an English name) and ``AliasLastName``."""
    count = students.height
    has_one = chance(rng, _ALIAS, count)
    kind = pick(rng, list(_ALIAS_KINDS.values()), count)
    first, last = students["FirstName"], students["LastName"]
    nickname = first.replace_strict(NICKNAMES, default=None, return_dtype=pl.String)
    english = _first_names(rng, np.full(count, _ENGLISH))
    by_nickname = nickname.is_not_null() & pl.Series(chance(rng, _NICKNAME_AS_ALIAS, count))
    other_first = nickname.zip_with(by_nickname, english)
    other_last = _last_names(rng, students["Pool"].to_numpy(), always_two=False)
    kinds = list(_ALIAS_KINDS)

    def given(without: str, other: pl.Series, own: pl.Series) -> pl.Series:
        flags: Flags = has_one & (kind != kinds.index(without)) & (other != own).to_numpy()
        return only_where(flags, other)

    return (
        given("last", other_first, first).alias("AliasFirstName"),
        given("first", other_last, last).alias("AliasLastName"),
    )


# --- namesakes --------------------------------------------------------------------------------


@cache
def _names_by_initial() -> dict[str, list[str]]:
    """First names of each common initial, for as many namesakes as there can be.

    English and Spanish names, as most students have; where they do not suffice, two given names.
    """
    names = {
        name for pool in ("english", "spanish") for name in (*POOLS[pool].girls, *POOLS[pool].boys)
    }
    by_initial = {
        initial: sorted(name for name in names if name[0] == initial)
        for initial in sorted({name[0] for name in names})
    }
    return {
        initial: single + _two_given_names(single)[: max(0, namesakes.LARGEST - len(single))]
        for initial, single in by_initial.items()
        if len(single) >= _COMMON_INITIAL
    }


def _two_given_names(single: list[str]) -> list[str]:
    return [f"{name} {second}" for second in _SECOND_NAMES for name in single if " " not in name]


def _positions_of_namesakes(
    rng: np.random.Generator, combinations: pl.DataFrame, count: int
) -> Integers:
    """Rows of ``combinations`` that ``count`` groups of namesakes get."""
    initials = list(_names_by_initial())
    common = combinations["FirstName"].str.head(1).is_in(initials)
    return rng.choice(np.flatnonzero(common.to_numpy()), count, replace=False)


def _namesakes(
    rng: np.random.Generator, combinations: pl.DataFrame, sizes: Integers
) -> pl.DataFrame:
    """Students of groups of ``sizes``, each with a row of ``combinations`` in common."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    which = namesakes.first_names_shared(rng, sizes)
    other = _other_first_names(rng, combinations["FirstName"], group, which)
    members = _rows(combinations, group)
    first = np.diff(group, prepend=-1) > 0
    twin = (which > 0) & chance(rng, _TWINS_AMONG_NAMESAKES, len(group))
    # Numbers below 0 are no other family's.
    family = members["Family"].zip_with(
        pl.Series(first | twin), pl.Series(-1 - np.arange(len(group)))
    )
    name = members["FirstName"].zip_with(pl.Series(which == 0), other)
    return members.with_columns(name.alias("FirstName"), family.alias("Family"))


def _other_first_names(
    rng: np.random.Generator, own: pl.Series, group: Integers, which: Integers
) -> pl.Series:
    """The name number ``which`` (from 1) of each student's group, none the group's ``own``.

    A group goes round the list of its initial, from a place of its own and past its own name.
    """
    lists = _names_by_initial()
    lengths = np.array([len(names) for names in lists.values()])
    starts = np.cumsum(lengths) - lengths
    place_of_name = {name: place for names in lists.values() for place, name in enumerate(names)}
    initial = own.str.head(1).replace_strict(
        {initial: number for number, initial in enumerate(lists)}, return_dtype=pl.Int64
    )
    length = lengths[initial.to_numpy()]
    # A name from another pool is not in the list; then any place may be passed over.
    passed = own.replace_strict(place_of_name, default=-1, return_dtype=pl.Int64).to_numpy()
    passed = np.where(passed < 0, rng.integers(0, length), passed)
    offset = rng.integers(0, length - 1)
    step = (offset[group] + which - 1) % (length[group] - 1)
    place = (passed[group] + 1 + step) % length[group]
    table = [name for names in lists.values() for name in names]
    return look_up(table, starts[initial.to_numpy()][group] + place)


# --- schools ----------------------------------------------------------------------------------


@cache
def _schools() -> pl.DataFrame:
    """High schools, district by district: ``CDSCode``, ``intake``, ``first``, ``number``.

    ``first`` is the row of the district's first school, ``number`` how many it has.
    """
    high = places.senders(_DISTRICTS).filter(pl.col("last_grade") == places.LAST_GRADE)
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    return high.select(
        "CDSCode",
        "intake",
        row.min().over("CDCode").alias("first"),
        pl.len().over("CDCode").cast(pl.Int64).alias("number"),
    )


def school_codes() -> pl.Series:
    """The CDS codes of the schools that identities have."""
    return _schools()["CDSCode"]


def _enrollments(rng: np.random.Generator, family: Integers) -> tuple[Integers, pl.Series]:
    """Each student's schools, the same for all of a ``family``: the student's row, the CDS code."""
    _, family = np.unique(family, return_inverse=True)
    families = int(family.max(initial=-1)) + 1
    schools = _schools()
    first, number = schools["first"].to_numpy(), schools["number"].to_numpy()
    one, three = (pick(rng, schools["intake"].to_numpy(), families) for _ in range(2))
    two = first[one] + (rng.random(families) * number[one]).astype(np.int64)
    attended = pick(rng, _SCHOOLS_ATTENDED, families)
    taken = np.stack([one, two, three], axis=1)
    new = np.stack([one >= 0, two != one, (three != one) & (three != two)], axis=1)
    new &= attended[:, np.newaxis] >= np.arange(len(_SCHOOLS_ATTENDED))
    of_students = new[family]
    student = np.repeat(np.arange(len(family)), of_students.sum(axis=1))
    return student, look_up(schools["CDSCode"], taken[family][of_students])
