"""What the two university systems ask for: tables, no code.

Belongs here: figures and lists in which CSU and UC differ, each with its source and the day from
which it holds. A change of the rules is a new row here. Does not belong here: how they are
applied.
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
OURS = "this project"

YEAR = 60
"""Units of a year: sixtieths, so that every kind of term is a whole number of them."""
AREAS = "ABCDEFG"
YEARS_WANTED: Mapping[str, int] = {"A": 2, "B": 4, "C": 3, "D": 2, "E": 2, "F": 1, "G": 1}
"""Years of each area, alike in both systems. Source: UC_SUBJECTS, CSU_SUBJECTS."""
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

    ``validated_by``: per mathematics course the lower ones that it makes up for.
    ``second_part_validates``: areas and kinds of which a passed later part makes up for an earlier
    one. ``geometry``: a geometry course must have been taken. ``sciences``: kinds of which one of
    each group is wanted. ``gives_from_g``: areas A and D may be filled up from G.
    ``one_discipline``: the year of arts is of one discipline. ``before_last_year``: years wanted
    by the end of grade 11. Averages: ``wanted`` of residents, ``nonresident``, and the lower limit
    of those that come ``close``.
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
    """The newest requirements of each system on ``day``."""
    newest: dict[str, System] = {}
    for system in sorted(ALL, key=lambda system: system.since):
        if system.since <= day:
            newest[system.name] = system
    return tuple(newest[name] for name in ("UC", "CSU") if name in newest)


HONORS_UNITS, HONORS_UNITS_IN_10 = 240, 120
"""Units that may have an honors point: 8 semesters, 4 of them in grade 10. Source: UC_GPA."""
COLLEGE_COURSE_UNITS = 30
"""A college course is one grade and one honors point. Source: UC_GPA."""
BENCHMARKS: Mapping[int, int] = {9: 0, 10: 3, 11: 7, 12: 11}
"""Years that a student on track has at the beginning of a grade. Source: OURS."""
YEARS_SHORT_WHEN_CLOSE = 2
"""Source: OURS."""
