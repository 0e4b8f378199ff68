"""Counts the years of each area: earned, validated, and carried over into G.

Belongs here: the rules of docs/eligibility.md, section 3, for all students at once, in arrays with
a row per student and a column per kind of course. Does not belong here: which attempt counts
(attempts), averages, the words of reasons (evaluation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from ccgi_pipeline.eligibility.systems import AREAS, YEAR, YEARS_WANTED, System

Units = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


class _UnitsOf(Protocol):
    """Returns every student's units of some kinds of an area."""

    def __call__(self, area: str, *kinds: str | None) -> Units: ...


_MATHEMATICS = (
    "algebra_1",
    "geometry",
    "algebra_2",
    "precalculus",
    "calculus",
    "statistics",
    "integrated_1",
    "integrated_2",
    "integrated_3",
)
_INTEGRATED = ("integrated_1", "integrated_2", "integrated_3")
_SCIENCE = ("biology", "other_biological", "chemistry", "physics", "other_physical")
_KINDS = {
    "A": ("world_history", "us_history", "government"),
    "B": ("esl",),
    "C": _MATHEMATICS,
    "D": _SCIENCE,
    "E": (),
    "F": (),
    "G": _SCIENCE,
}
_COLUMNS = {
    (area, kind): column
    for column, (area, kind) in enumerate(
        (area, kind) for area in AREAS for kind in (*_KINDS[area], None)
    )
}
"""A column for each kind of each area, and one for its other courses."""
_LAST_GRADE = 12
_WANTED = {area: years * YEAR for area, years in YEARS_WANTED.items()}


@dataclass(frozen=True, slots=True)
class Subjects:
    """For each area the units that count (at most what it requires), and whether it is complete.

    ``lacking``: what an area requires besides years, in words, and which students lack it.
    """

    units: dict[str, Units]
    complete: dict[str, Flags]
    lacking: dict[str, list[tuple[str, Flags]]]

    @property
    def years(self) -> Units:
        """The units of all areas."""
        total: Units = np.sum([*self.units.values()], axis=0, dtype=np.int32)
        return total

    @property
    def all_complete(self) -> Flags:
        """Whether every area is complete."""
        every: Flags = np.logical_and.reduce([*self.complete.values()])
        return every


def add_kind_columns(courses: pl.DataFrame) -> pl.DataFrame:
    """Adds ``column``: the position of the course's kind among all kinds of all areas."""
    others = {area: _COLUMNS[area, None] for area in AREAS}
    other = pl.col("area").replace_strict(others, return_dtype=pl.UInt32)
    own = [
        pl.when(pl.col("area") == area).then(
            pl.col("kind").replace_strict(
                {kind: _COLUMNS[area, kind] for kind in kinds}, default=None, return_dtype=pl.UInt32
            )
        )
        for area, kinds in _KINDS.items()
        if kinds
    ]
    return courses.with_columns(pl.coalesce(*own, other).alias("column"))


_NEEDED = (
    "number",
    "student",
    "area",
    "column",
    "language",
    "level",
    "discipline",
    "grade",
    "units",
    "passed",
    "in_progress",
)
"""The columns that counting years needs; long texts are left out."""


def mark_made_up_parts(courses: pl.DataFrame) -> pl.DataFrame:
    """Adds ``made_up``: whether the part was not passed, but a later part of the course was."""
    numbered = pl.col("part").str.extract(r"^([STQH])[1-6]$")
    course = ("student", "course", "school_year", "term")
    not_passed = (
        courses.filter(~pl.col("passed") & ~pl.col("in_progress"))
        .select("number", *course[:-1], "part", numbered.alias("term"))
        .drop_nulls("term")
    )
    last = (
        courses.lazy()
        .filter("passed")
        .select(*course[:-1], "part")
        .join(not_passed.lazy(), on=course[:-1], how="semi")
        .with_columns(numbered.alias("term"))
        .group_by(course)
        .agg(pl.col("part").str.tail(1).max().alias("last_passed"))
        .collect()
    )
    made_up = not_passed.join(last, on=course).filter(
        pl.col("part").str.tail(1) < pl.col("last_passed")
    )["number"]
    return courses.with_columns(pl.col("number").is_in(made_up.implode()).alias("made_up"))


def select_earned_units(courses: pl.DataFrame, system: System) -> pl.DataFrame:
    """Returns the needed columns of ``courses`` (with ``made_up``), and ``earned``.

    A course is earned if it was passed, or if a passed later part validates it.
    """
    validates = pl.col("area").is_in(system.second_part_validates) | pl.col("kind").is_in(
        system.second_part_validates
    )
    earned = pl.col("passed") | (pl.col("made_up") & validates.fill_null(value=False))
    return courses.select(*_NEEDED, earned.alias("earned"))


def count_subject_years(courses: pl.DataFrame, certified: Flags, system: System) -> Subjects:
    """Counts the areas of each student from the earned ``courses``.

    ``courses`` has ``student`` as a number from 0, ``column`` and ``earned``. ``certified``: by
    student whether a certificate stands for the years of area E.
    """
    students = len(certified)
    late_esl = (pl.col("column") == _COLUMNS["B", "esl"]) & (pl.col("grade") == _LAST_GRADE)
    earning = courses.lazy().filter(pl.col("earned") & ~late_esl)
    earned, passed = _sum_by_column(earning, students)

    def of(area: str, *kinds: str | None) -> Units:
        total: Units = earned[:, [_COLUMNS[area, kind] for kind in kinds]].sum(axis=1)
        return total

    def all_of(area: str) -> Units:
        return of(area, *_KINDS[area], None)

    language = _languages(earning.filter(pl.col("area") == "E"), students)
    mathematics = _mathematics(earned, passed, system)
    arts = _arts(earning.filter(pl.col("area") == "F"), students, one=system.one_discipline)
    b_earned = of("B", None) + np.minimum(of("B", "esl"), YEAR)
    got = {
        "A": all_of("A"),
        "B": b_earned,
        "C": mathematics.counted,
        "D": all_of("D"),
        "E": np.where(certified, np.maximum(language.counted, _WANTED["E"]), language.counted),
        "F": arts.counted,
    }
    surplus = (
        _beyond(got["A"], "A")
        + _beyond(b_earned, "B")
        + _beyond(mathematics.earned, "C")
        + _beyond(got["D"], "D")
        + language.beyond
        + arts.beyond
    )
    elective = all_of("G") + surplus
    if system.gives_from_g:
        science = np.minimum(of("G", *_SCIENCE), YEAR)
        to_d = np.minimum(_lacking(got["D"], "D"), science)
        got["D"] = got["D"] + to_d
        elective = elective - to_d
        to_a = np.minimum(_lacking(got["A"], "A"), YEAR)
        to_a = np.minimum(to_a, np.maximum(elective - _WANTED["G"], 0))
        got["A"] = got["A"] + to_a
        elective = elective - to_a
    got["G"] = elective
    units = {area: np.minimum(got[area], _WANTED[area]) for area in AREAS}
    lacking = {
        "A": _history(of, system),
        "C": [("geometry, or an integrated course", ~mathematics.geometry)],
        "D": _sciences(of, system),
    }
    return Subjects(
        units=units,
        complete={area: _complete(units[area], area, lacking.get(area, [])) for area in AREAS},
        lacking=lacking,
    )


def _complete(units: Units, area: str, lacking: list[tuple[str, Flags]]) -> Flags:
    there: Flags = np.asarray(units >= _WANTED[area], dtype=np.bool_)
    for _, lacks in lacking:
        there &= ~lacks
    return there


def _sum_by_column(courses: pl.LazyFrame, students: int) -> tuple[Units, Flags]:
    """Returns units by student and column, and where units of passed courses are among them."""
    cell = pl.col("student").cast(pl.Int64) * len(_COLUMNS) + pl.col("column")
    counted = courses.select(cell.alias("cell"), "units", "passed").collect()

    def summed(courses: pl.DataFrame) -> Units:
        units = np.bincount(
            courses["cell"].to_numpy(),
            weights=courses["units"].to_numpy(),
            minlength=students * len(_COLUMNS),
        )
        return units.astype(np.int32).reshape(students, len(_COLUMNS))

    return summed(counted), summed(counted.filter("passed")) > 0


def _beyond(units: Units, area: str) -> Units:
    return np.maximum(units - _WANTED[area], 0)


def _lacking(units: Units, area: str) -> Units:
    return np.maximum(_WANTED[area] - units, 0)


# --- areas with further wants -----------------------------------------------------------------


def _history(of: _UnitsOf, system: System) -> list[tuple[str, Flags]]:
    us, government, half = of("A", "us_history"), of("A", "government"), YEAR // 2
    halves = np.logical_and(us >= half, government >= half)
    american = np.logical_or(us >= YEAR, halves)
    wants = [("US history (a year, or half a year with half a year of government)", _not(american))]
    if system.world_history:
        wants.insert(0, ("world history (a year)", _not(of("A", "world_history") >= YEAR)))
    return wants


def _sciences(of: _UnitsOf, system: System) -> list[tuple[str, Flags]]:
    lacks = [np.maximum(YEAR - of("D", *group), 0) for group in system.sciences]
    if not system.gives_from_g:
        enough = np.sum([lack == 0 for lack in lacks], axis=0) >= system.sciences_needed
        named = ", ".join(system.science_names)
        return [(f"a year in each of {system.sciences_needed} of {named}", _not(enough))]
    # Units of G may fill the gap of each science, by one year for all of them together.
    in_g = [of("G", *group) for group in system.sciences]
    made_up = [lack <= there for lack, there in zip(lacks, in_g, strict=True)]
    too_much = np.sum(lacks, axis=0) > YEAR
    return [
        (f"a year of {name}", _not(there & ~(too_much & (lack > 0))))
        for name, there, lack in zip(system.science_names, made_up, lacks, strict=True)
    ]


def _not(flags: npt.NDArray[np.bool_]) -> Flags:
    return np.asarray(~flags, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class _Mathematics:
    counted: Units
    earned: Units
    geometry: Flags


def _mathematics(earned: Units, passed: Flags, system: System) -> _Mathematics:
    """Counts at most a year of each kind; a passed higher course validates the lower ones."""
    columns = [_COLUMNS["C", kind] for kind in _MATHEMATICS]
    own = np.minimum(earned[:, columns], YEAR)
    given = own.copy()
    for place, kind in enumerate(_MATHEMATICS):
        for lower in system.validated_by.get(kind, ()):
            given[passed[:, columns[place]], _MATHEMATICS.index(lower)] = YEAR
    other = earned[:, _COLUMNS["C", None]]
    with_geometry = [_MATHEMATICS.index(kind) for kind in ("geometry", *_INTEGRATED)]
    taken: Flags = np.asarray((own[:, with_geometry] >= YEAR).any(axis=1), dtype=np.bool_)
    return _Mathematics(
        counted=given.sum(axis=1) + other,
        earned=own.sum(axis=1) + other,
        geometry=taken if system.geometry else np.ones_like(taken),
    )


@dataclass(frozen=True, slots=True)
class _ChosenOption:
    """The units of the one language or discipline that counts, and the area's surplus units."""

    counted: Units
    beyond: Units


def _languages(courses: pl.LazyFrame, students: int) -> _ChosenOption:
    """Chooses each student's language with most units; higher levels validate lower ones."""
    levels = courses.group_by("student", "language", "level").agg(
        pl.col("units").cast(pl.Int32).sum(), pl.col("passed").any()
    )
    top = pl.col("level").filter("passed").max()
    below = pl.col("level") < pl.col("top")
    languages = (
        levels.with_columns(
            pl.when(pl.col("level").is_null())
            .then("units")
            .otherwise(pl.min_horizontal("units", YEAR))
            .alias("units"),
            top.over("student", "language").alias("top"),
        )
        .group_by("student", "language")
        .agg(
            pl.col("units").sum().alias("earned"),
            pl.col("units").filter(~below.fill_null(value=False)).sum().alias("not_below"),
            pl.col("top").first().cast(pl.Int32),
        )
        .with_columns(
            ((pl.col("top").fill_null(1) - 1).clip(0) * YEAR + pl.col("not_below")).alias("total")
        )
        .collect()
    )
    return _choose(languages, "language", students, _WANTED["E"])


def _arts(courses: pl.LazyFrame, students: int, *, one: bool) -> _ChosenOption:
    """Counts all of the arts, or only each student's discipline with most units."""
    name = pl.col("discipline") if one else pl.lit(None, dtype=pl.String).alias("discipline")
    disciplines = (
        courses.select("student", name, pl.col("units").cast(pl.Int32))
        .group_by("student", "discipline")
        .agg(pl.col("units").sum().alias("earned"))
        .with_columns(pl.col("earned").alias("total"))
        .collect()
    )
    return _choose(disciplines, "discipline", students, _WANTED["F"])


def _choose(sums: pl.DataFrame, name: str, students: int, wanted: int) -> _ChosenOption:
    """Chooses each student's row with the largest ``total``, counted up to ``wanted``.

    Among equal rows the one with fewer earned units wins, which leaves more for G; then the name
    decides.
    """
    most = pl.min_horizontal("total", wanted)
    best = sums.sort(
        "student", most, "earned", name, descending=[False, True, False, False], nulls_last=False
    ).unique("student", keep="first", maintain_order=True)
    rows = best["student"].to_numpy()
    counted = _zeros(students)
    counted[rows] = best["total"].to_numpy()
    used = _zeros(students)
    used[rows] = np.minimum(best["earned"].to_numpy(), wanted)
    all_earned = np.bincount(
        sums["student"].to_numpy(), weights=sums["earned"].to_numpy(), minlength=students
    ).astype(np.int32)
    return _ChosenOption(counted, all_earned - used)


def _zeros(students: int) -> Units:
    return np.zeros(students, dtype=np.int32)


def sum_in_progress(courses: pl.DataFrame, students: int, areas: Sequence[str]) -> dict[str, Units]:
    """Returns the units of work in progress by area."""
    under_way = courses.filter("in_progress")
    found = {}
    for area in areas:
        lines = under_way.filter(pl.col("area") == area)
        found[area] = np.bincount(
            lines["student"].to_numpy(), weights=lines["units"].to_numpy(), minlength=students
        ).astype(np.int32)
    return found
