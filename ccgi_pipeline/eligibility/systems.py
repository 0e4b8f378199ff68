"""Declares the requirements of the two university systems.

Belongs here: the figures and lists in which CSU and UC differ, with their sources and the day from
which they hold. A change of the rules is a new entry here. Does not belong here: how they are
applied (subjects, averages, evaluation).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

UC_SUBJECTS = "UC, subject requirement (A-G), admission.universityofcalifornia.edu"
UC_GPA = "UC, GPA requirement, admission.universityofcalifornia.edu"
UC_VALIDATION = "UC, counselor questions and answers: validation"
CSU_SUBJECTS = "CSU, first-time freshman requirements, csuci.edu"
CSU_HONORS = "CSU, honors courses, csumentor.edu (archived)"
MATRIX = "CSU-UC comparison of minimum freshman requirements (2016, 2019, 2023)"
PROJECT = "this project"

YEAR = 60
"""Units of a year: sixtieths, so that every kind of term is a whole number of them."""
AREAS = "ABCDEFG"
YEARS_WANTED: Mapping[str, int] = {"A": 2, "B": 4, "C": 3, "D": 2, "E": 2, "F": 1, "G": 1}
"""Years required of each area in both systems. Source: UC_SUBJECTS, CSU_SUBJECTS."""
AREA_NAMES: Mapping[str, str] = {
    "A": "history and social science",
    "B": "English",
    "C": "mathematics",
    "D": "science",
    "E": "language other than English",
    "F": "visual and performing arts",
    "G": "college-preparatory elective",
}

_ALGEBRA_1_AND_2 = ("algebra_1", "algebra_2")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system's requirements from ``since`` on.

    ``validated_by``: for each mathematics course the lower courses that it validates.
    ``second_part_validates``: areas and kinds in which a passed later part validates an earlier
    part. ``geometry``: a geometry course must be taken. ``sciences``: groups of kinds; a year of
    each group counts. ``gives_from_g``: units of G may fill up areas A and D. ``one_discipline``:
    the year of arts must be of one discipline. ``before_last_year``: years required by the end of
    grade 11. Averages: ``wanted`` of residents, ``nonresident``, and the limit of ``close``.
    """

    name: str
    since: date
    validated_by: Mapping[str, tuple[str, ...]]
    second_part_validates: tuple[str, ...]
    world_history: bool
    geometry: bool
    sciences: tuple[tuple[str, ...], ...]
    science_names: tuple[str, ...]
    sciences_needed: int
    gives_from_g: bool
    one_discipline: bool
    before_last_year: int
    wanted: Fraction
    nonresident: Fraction
    close: Fraction
    sources: tuple[str, ...]


_MATHEMATICS: Mapping[str, tuple[str, ...]] = {
    "algebra_2": ("algebra_1",),
    "precalculus": _ALGEBRA_1_AND_2,
    "calculus": (*_ALGEBRA_1_AND_2, "precalculus"),
    "statistics": _ALGEBRA_1_AND_2,
    "integrated_2": ("integrated_1",),
    "integrated_3": ("integrated_1", "integrated_2"),
}

UC = System(
    name="UC",
    since=date(2015, 8, 1),  # geometry must be taken since fall 2015
    validated_by=_MATHEMATICS,
    second_part_validates=("C", "E"),
    world_history=True,
    geometry=True,
    sciences=(("biology",), ("chemistry",), ("physics",)),
    science_names=("biology", "chemistry", "physics"),
    sciences_needed=2,
    gives_from_g=False,
    one_discipline=False,
    before_last_year=11,
    wanted=Fraction(3),
    nonresident=Fraction(34, 10),
    close=Fraction(5, 2),
    sources=(UC_SUBJECTS, UC_GPA, UC_VALIDATION, MATRIX),
)

CSU = System(
    name="CSU",
    since=date(2020, 8, 1),  # admission without test scores
    validated_by={
        **_MATHEMATICS,
        "precalculus": (*_ALGEBRA_1_AND_2, "geometry"),
        "calculus": (*_ALGEBRA_1_AND_2, "geometry", "precalculus"),
    },
    second_part_validates=("C", "E", "chemistry"),
    world_history=False,
    geometry=False,
    sciences=(("biology", "other_biological"), ("chemistry", "physics", "other_physical")),
    science_names=("biological science", "physical science"),
    sciences_needed=2,
    gives_from_g=True,
    one_discipline=True,
    before_last_year=0,
    wanted=Fraction(5, 2),
    nonresident=Fraction(3),
    close=Fraction(2),
    sources=(CSU_SUBJECTS, CSU_HONORS, MATRIX),
)

ALL = (UC, CSU)


def systems_on(day: date) -> tuple[System, ...]:
    """Returns the newest requirements of each system on ``day``."""
    newest: dict[str, System] = {}
    for system in sorted(ALL, key=lambda system: system.since):
        if system.since <= day:
            newest[system.name] = system
    return tuple(newest[name] for name in ("UC", "CSU") if name in newest)


HONORS_UNITS, HONORS_UNITS_IN_10 = 240, 120
"""Units that may have an honors point: 8 semesters, 4 of them in grade 10. Source: UC_GPA."""
COLLEGE_COURSE_UNITS = 30
"""Units of a college course: one grade and one honors point. Source: UC_GPA."""
BENCHMARKS: Mapping[int, int] = {9: 0, 10: 3, 11: 7, 12: 11}
"""Years that a student on track has at the start of a grade. Source: PROJECT."""
YEARS_SHORT_WHEN_CLOSE = 2
"""Source: PROJECT."""
