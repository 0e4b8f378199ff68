"""Course histories made at random: plausible ones, and on purpose many odd ones among them.

Belongs here: students of grades 7 to 12 with courses by semester, quarter, trimester, hexmester and
year; repeats, summers, lines sent twice, pass marks, work in progress, missing kinds and terms.
Does not belong here: rules. The same seed makes the same histories.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from ccgi_pipeline_tests.eligibility.naive import TERMS_IN_ORDER, Mark
from ccgi_pipeline_tests.eligibility.notation import POINTS, TERMS

TERM_SYSTEMS = {
    "year": ("FY",),
    "semester": ("S1", "S2"),
    "trimester": ("T1", "T2", "T3"),
    "quarter": ("Q1", "Q2", "Q3", "Q4"),
    "hexmester": ("H1", "H2", "H3", "H4", "H5", "H6"),
    "none": ("-",),
}
_TERM_SYSTEM_OF = (
    *("semester",) * 8,
    *("year",) * 5,
    *("trimester",) * 2,
    *("quarter", "none", "hexmester"),
)
_ABILITIES = (
    "AAAAAAAAAABBBBBBBBCC",
    "AAAAAABBBBBBBBBBCCCD",
    "AAAABBBBBBCCCCCCCDDF",
    "AABBBBCCCCCCCDDDDFFF",
    "BBCCCCCDDDDDFFFFFFFF",
)
_GRADES = (7, 8, 9, 9, 9, 10, 10, 10, 11, 11, 11, 11, 12, 12, 12, 12, 12, 12)
_MATHEMATICS = (
    ("algebra_1", "geometry", "algebra_2", "precalculus", "calculus", "statistics"),
    ("algebra_1", "geometry", "algebra_2", "statistics", "precalculus", "calculus"),
    ("algebra_1", "algebra_2", "statistics", "geometry", "precalculus", "calculus"),
    ("integrated_1", "integrated_2", "integrated_3", "precalculus", "calculus", "statistics"),
    ("integrated_1", "geometry", None, "integrated_3", "statistics", "calculus"),
    (None, "geometry", None, "algebra_2", "statistics", "integrated_2"),
)
_SCIENCES = ("biology", "biology", "chemistry", "physics", "other_physical", "other_biological")
_HISTORIES = ("world_history", "us_history", "us_history", "government", "world_history", None)
_LANGUAGES = ("spanish", "spanish", "spanish", "french", "mandarin", None)
_DISCIPLINES = ("visual", "music", "music", "theatre", None)
_SUMMER_UNITS = (30, 30, 30, 60, 15, 6)


@dataclass(slots=True)
class History:
    """A student's present grade, marks, and whether a language is certified."""

    grade: int
    marks: list[Mark]
    certified: bool = False


def histories(count: int, seed: int, *, odd: bool = True) -> dict[str, History]:
    """``count`` students by name; without ``odd``, a repeat has the units of what it repeats."""
    chance = Random(seed)  # noqa: S311 - random pupils need no cryptography
    return {f"student {number}": _Student(chance, odd=odd).history() for number in range(count)}


class _Student:
    """One student at random, grade by grade."""

    def __init__(self, chance: Random, *, odd: bool) -> None:
        self.chance = chance
        self.odd = odd
        self.grade = chance.choice(_GRADES)
        self.well_advised = chance.random() < 0.4
        self.ability = chance.choice(_ABILITIES[: 4 if self.well_advised else None])
        self.terms = TERM_SYSTEMS[chance.choice(_TERM_SYSTEM_OF)]
        self.diligence = 0.995 if self.well_advised else chance.choice((0.5, 0.8, 0.95, 1.0))
        self.mathematics = chance.choice(_MATHEMATICS)
        self.mathematics_from = chance.choice((7, 8, 8, 9, 9))
        self.languages = chance.choices(_LANGUAGES, k=2)
        self.language_from = chance.choice((7, 8, 9, 9, 9, 10))
        self.science = chance.sample(_SCIENCES, k=4)
        self.discipline = chance.choice(_DISCIPLINES)
        self.year_is_over = chance.random() < 0.3
        self.stayed_down_in = chance.choice((*range(9, 12), *(0,) * 30))
        self.marks: list[Mark] = []

    def history(self) -> History:
        for grade in range(7, self.grade + 1):
            if self.chance.random() < 0.98:
                self._year(grade)
        if self.odd and self.marks:
            self._oddities()
        return History(self.grade, self.marks, self.odd and self.chance.random() < 0.1)

    def _year(self, grade: int) -> None:
        chance = self.chance
        place = grade - self.mathematics_from
        if 0 <= place < len(self.mathematics):
            self._course(grade, "C", self.mathematics[place])
        if grade >= self.language_from:
            language = self.languages[chance.random() < 0.15]
            level = grade - self.language_from + chance.choice((1, 1, 1, 1, 2))
            self._course(grade, "E", language, level if chance.random() < 0.95 else None)
        if grade < 9:
            return
        self._course(grade, "B", "esl" if chance.random() < 0.08 else None)
        if self.well_advised:
            self._well_advised_year(grade)
            return
        self._course(grade, "D" if chance.random() < 0.8 else "G", self.science[grade - 9])
        if grade != 9:
            self._course(grade, "A", chance.choice(_HISTORIES))
        if chance.random() < 0.4:
            discipline = chance.choice(_DISCIPLINES) if chance.random() < 0.3 else self.discipline
            self._course(grade, "F", discipline)
        if chance.random() < 0.35:
            self._course(grade, "G", None)

    def _well_advised_year(self, grade: int) -> None:
        """What both systems want, with a little left to chance."""
        chance = self.chance
        if grade == 9:
            self._course(grade, "D", "biology")
        if grade in {10, 11}:
            self._course(grade, "A", ("world_history", "us_history")[grade - 10])
            self._course(grade, "D" if chance.random() < 0.8 else "G", self.science[grade - 10])
        if grade == 12 and chance.random() < 0.3:
            self._course(grade, "A", "government")
        if grade == 9 or chance.random() < 0.3:
            self._course(grade, "F", self.discipline)
        if chance.random() < 0.5:
            self._course(grade, "G", None)

    def _course(self, grade: int, area: str, label: str | None, level: int | None = None) -> None:
        chance = self.chance
        if chance.random() > self.diligence:
            return
        course = f"{area} {label} {level}" if label else f"{area} {grade}"
        if area in "ADG" and chance.random() < 0.3:
            course += " bis"
        template = Mark(
            course=course,
            part=None,
            area=area,
            kind=None if area in "EF" or chance.random() < 0.04 else label,
            language=label if area == "E" else None,
            level=level if area == "E" else None,
            discipline=label if area == "F" else None,
            grade=grade,
            school_year=2014 + grade + (grade > self.stayed_down_in > 0),
            summer=False,
            order=6,
            units=60,
            points=None,
            passed=False,
            in_progress=False,
            honors=chance.random() < 0.15,
            college=chance.random() < 0.03,
        )
        template.honors |= template.college
        terms = self.terms
        if chance.random() < 0.05 and area != "E":
            terms = terms[:1] if chance.random() < 0.5 else terms[-1:]
        finished = len(terms)
        if grade == self.grade and not self.year_is_over:
            finished = chance.randrange(len(terms) + 1)
        for number, term in enumerate(terms):
            self._part(template, term, in_progress=number >= finished)
            if number == finished and chance.random() < 0.6:
                break

    def _part(self, template: Mark, term: str, *, in_progress: bool) -> None:
        units, order = TERMS[term]
        line = replace(template, part=None if term == "-" else term, units=units, order=order)
        if in_progress:
            line.in_progress = True
            self.marks.append(line)
            return
        self._marked(line)
        passed = line.passed
        if self.chance.random() < (0.02 if passed else 0.35):
            self._summer(line)
        attempts = 0
        while self.chance.random() < (0.03 if passed else 0.35) and attempts < 3:
            attempts += 1
            if line.grade >= self.grade:
                break
            line = replace(line, grade=line.grade + 1, school_year=line.school_year + 1)
            if self.odd and self.chance.random() < 0.05:
                self.marks.append(replace(line, in_progress=True, points=None, passed=False))
                break
            self._marked(line)
            passed = passed or line.passed
            if self.chance.random() < (0.02 if line.passed else 0.2):
                self._summer(line)

    def _summer(self, line: Mark) -> None:
        term = self.chance.choice(("SS", "SS1", "SS2"))
        units = self.chance.choice(_SUMMER_UNITS) if self.odd else line.units
        says_part = self.odd and self.chance.random() < 0.2 and line.part in TERMS_IN_ORDER
        part = line.part if says_part else term
        self._marked(replace(line, part=part, summer=True, order=TERMS[term][1], units=units))

    def _marked(self, line: Mark) -> None:
        letter = self.chance.choice(self.ability)
        line.points = POINTS[letter]
        line.passed = line.points >= 2
        if self.odd and line.passed and self.chance.random() < 0.01:
            line.points = None
        self.marks.append(line)

    def _oddities(self) -> None:
        """A line sent twice with another mark, under another term, or much too late."""
        chance = self.chance
        for _ in range(chance.choice((0, 0, 0, 1, 2))):
            line = chance.choice(self.marks)
            if line.in_progress:
                continue
            kind = chance.randrange(3)
            if kind == 0:
                self._marked(replace(line, units=chance.choice((line.units, 15))))
            elif kind == 1:
                self._marked(replace(line, part="IS", order=7, summer=False))
            elif line.grade >= 9:
                self._summer(replace(line, grade=self.grade, school_year=2014 + self.grade + 1))
