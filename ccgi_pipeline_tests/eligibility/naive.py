"""Eligibility said a second time: one student, plain loops, exact fractions, as the rules read.

Belongs here: docs/eligibility.md, sections 2 to 5, in the order in which they stand there, written
from that page and from the universities' own tables. Does not belong here: speed, data frames
and anything of ccgi_pipeline.eligibility. The code under test takes all students at once; both
must come to the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

AREAS = "ABCDEFG"
YEAR, HALF = 60, 30
"""Units of a year and of a semester."""
WANTED = {"A": 120, "B": 240, "C": 180, "D": 120, "E": 120, "F": 60, "G": 60}
ELEVEN_YEARS = 11 * YEAR
LAST_GRADE = 12

LOWER_COURSES = {
    "algebra_2": ("algebra_1",),
    "precalculus": ("algebra_1", "algebra_2"),
    "calculus": ("algebra_1", "algebra_2", "precalculus"),
    "statistics": ("algebra_1", "algebra_2"),
    "integrated_2": ("integrated_1",),
    "integrated_3": ("integrated_1", "integrated_2"),
}
"""What a passed course in mathematics validates, in both systems."""
WITH_GEOMETRY_FOR_CSU = ("precalculus", "calculus")
BIOLOGICAL = ("biology", "other_biological")
PHYSICAL = ("chemistry", "physics", "other_physical")
GEOMETRY_OR_INTEGRATED = ("geometry", "integrated_1", "integrated_2", "integrated_3")
TERMS_IN_ORDER = {
    f"{kind}{number}": (kind, number)
    for kind, count in (("S", 2), ("T", 3), ("Q", 4), ("H", 6))
    for number in range(1, count + 1)
}
"""The parts that have earlier ones: the kind of term, and which of its kind."""

WANTED_AVERAGE = {"UC": Fraction(3), "CSU": Fraction(5, 2)}
CLOSE_AVERAGE = {"UC": Fraction(5, 2), "CSU": Fraction(2)}
YEARS_AT_BEGINNING = {9: 0, 10: 3, 11: 7, 12: 11}
YEARS_SHORT_AND_CLOSE = 2
NOT_THE_LAST = set(TERMS_IN_ORDER) - {"S2", "T3", "Q4", "H6"}


@dataclass(slots=True, unsafe_hash=True)
class Mark:
    """One mark for one part of a course."""

    course: str
    part: str | None
    area: str
    kind: str | None
    language: str | None
    level: int | None
    discipline: str | None
    grade: int
    school_year: int
    summer: bool
    order: int
    units: int
    points: int | None
    passed: bool
    in_progress: bool
    honors: bool
    college: bool


@dataclass(slots=True)
class Tally:
    """The counted units of each area, and whether it is complete with its further wants."""

    units: dict[str, int]
    complete: dict[str, bool]

    def total(self) -> int:
        return sum(self.units.values())


@dataclass(slots=True)
class Estimate:
    """What is said of one student."""

    status: str
    gpa_points: int
    gpa_units: int
    years: dict[str, int]
    complete: dict[str, bool]
    in_progress: dict[str, int]

    def average(self) -> Fraction | None:
        return Fraction(self.gpa_points, self.gpa_units) if self.gpa_units else None


def estimate(marks: list[Mark], grade: int, system: str, *, certified: bool = False) -> Estimate:
    """The estimate of ``system`` ("UC" or "CSU") for a student now in ``grade``."""
    standing = after_repeats(marks)
    earned = tally(standing, system, certified=certified)
    points, units = average(standing)
    in_progress = dict.fromkeys(AREAS, 0)
    for mark in marks:
        if mark.in_progress:
            in_progress[mark.area] += mark.units
    reached = Fraction(points, units) if units else None
    status = _status(marks, grade, system, earned, reached, certified=certified)
    return Estimate(status, points, units, earned.units, earned.complete, in_progress)


# --- section 2: repeats -----------------------------------------------------------------------


def after_repeats(marks: Iterable[Mark]) -> list[Mark]:
    """The finished marks that stand."""
    return [_the_one_that_stands(attempts) for attempts in attempts_at_each_part(marks)]


def attempts_at_each_part(marks: Iterable[Mark]) -> list[list[Mark]]:
    """The finished marks, those for one thing together, in the order in which they were earned.

    A summer line that is an attempt at a part of its course has that part.
    """
    of_course: dict[str, list[Mark]] = defaultdict(list)
    alone = []
    for mark in marks:
        if mark.in_progress:
            continue
        if mark.part is None:
            alone.append([mark])
        else:
            of_course[mark.course].append(mark)
    parts = alone
    for taken in of_course.values():
        parts += [taken] if len(taken) == 1 else _parts_of_one_course(taken)
    return parts


def _parts_of_one_course(taken: list[Mark]) -> list[list[Mark]]:
    taken = sorted(taken, key=_moment)
    regular: dict[str, list[Mark]] = {}
    for mark in taken:
        if not _may_repeat_any_part(mark):
            regular.setdefault(mark.part, []).append(mark)
    in_order = sorted(regular, key=lambda part: (*_moment(regular[part][0])[:2], part))
    repeated_in_summer: dict[str, Mark] = {}
    only_in_summer: dict[str, list[Mark]] = {}
    for mark in taken:
        if not _may_repeat_any_part(mark):
            continue
        for part in in_order:
            if part not in repeated_in_summer and _failed_until(mark.school_year, regular[part]):
                repeated_in_summer[part] = replace(mark, part=part)
                break
        else:
            only_in_summer.setdefault(mark.part, []).append(mark)
    for part, mark in repeated_in_summer.items():
        regular[part] = sorted([*regular[part], mark], key=_moment)
    return [*regular.values(), *only_in_summer.values()]


def _may_repeat_any_part(mark: Mark) -> bool:
    """Whether it is a summer line that does not say which part of its course it is."""
    return mark.summer and mark.part not in TERMS_IN_ORDER


def _moment(mark: Mark) -> tuple[int | float | str, ...]:
    """School year and term; of equal ones lower points first (P after D), then fewer units, then
    without honors. What follows only makes the order complete.
    """
    points = 1.5 if mark.points is None else mark.points
    equal = (mark.units, mark.honors, mark.college, mark.area, mark.kind or "")
    names = (mark.language or "", mark.level or 0, mark.discipline or "", mark.grade)
    return (mark.school_year, mark.order, points, *equal, *names)


def _failed_until(school_year: int, part: list[Mark]) -> bool:
    until_then = [mark for mark in part if mark.school_year <= school_year]
    return bool(until_then) and not any(mark.passed for mark in until_then)


def _the_one_that_stands(attempts: list[Mark]) -> Mark:
    first, *others = attempts
    if not first.passed and others and others[0].passed:
        return others[0]
    return first


# --- section 3: years of an area --------------------------------------------------------------


def tally(standing: list[Mark], system: str, *, certified: bool = False) -> Tally:
    """The years of each area and whether it is complete."""
    earning = [mark for mark in standing if mark.passed]
    earning += _validated_first_parts(standing, system)
    history, science, english, arts = Kinds(), Kinds(), Kinds(), Kinds()
    mathematics, electives = Kinds(), Kinds()
    languages: dict[str | None, Levels] = defaultdict(Levels)
    of_area = {
        "A": history,
        "B": english,
        "C": mathematics,
        "D": science,
        "F": arts,
        "G": electives,
    }
    for mark in earning:
        if mark.area == "E":
            languages[mark.language].add(mark)
        elif mark.area == "F":
            arts.earned[mark.discipline] += mark.units
        elif mark.kind == "esl" and mark.grade == LAST_GRADE:
            continue
        else:
            of_area[mark.area].earned[mark.kind] += mark.units
    english.at_most_a_year("esl")
    mathematics.at_most_a_year(*(kind for kind in mathematics.earned if kind is not None))

    has = {area: kinds.total() for area, kinds in of_area.items()}
    beyond = {area: max(0, has[area] - WANTED[area]) for area in "ABCD"}

    has["C"] = mathematics.with_lower_courses(standing, system)
    beyond["E"] = sum(language.earned_units() for language in languages.values())
    has["E"] = 0
    if languages:
        counted = max(
            languages.values(),
            key=lambda it: (min(WANTED["E"], it.all_units()), -it.earned_units()),
        )
        has["E"] = counted.all_units()
        beyond["E"] -= min(WANTED["E"], counted.earned_units())
    if certified:
        has["E"] = max(has["E"], WANTED["E"])
    if system == "CSU":
        counted_arts = max(arts.earned.values(), default=0)
        beyond["F"] = has["F"] - min(WANTED["F"], counted_arts)
        has["F"] = counted_arts
    else:
        beyond["F"] = max(0, has["F"] - WANTED["F"])
    has["G"] += sum(beyond.values())

    if system == "CSU":
        _fill_up_from_g(has, electives)

    years = {area: min(has[area], WANTED[area]) for area in AREAS}
    complete = {area: years[area] == WANTED[area] for area in AREAS}
    complete["A"] &= _american_history(history)
    if system == "UC":
        complete["A"] &= history.of("world_history") >= YEAR
        complete["C"] &= any(mathematics.of(kind) >= YEAR for kind in GEOMETRY_OR_INTEGRATED)
        laboratory = [science.of(kind) >= YEAR for kind in ("biology", "chemistry", "physics")]
        complete["D"] &= sum(laboratory) >= 2
    else:
        complete["D"] &= _both_sciences(science, electives)
    return Tally(years, complete)


def _fill_up_from_g(has: dict[str, int], electives: Kinds) -> None:
    """Science of the electives for D, then what the electives have too much for A."""
    science = electives.of(*BIOLOGICAL, *PHYSICAL)
    for_science = min(YEAR, science, max(0, WANTED["D"] - has["D"]))
    has["D"] += for_science
    has["G"] -= for_science
    for_history = min(YEAR, max(0, has["G"] - WANTED["G"]), max(0, WANTED["A"] - has["A"]))
    has["A"] += for_history
    has["G"] -= for_history


class Kinds:
    """The earned units of an area by kind of course."""

    def __init__(self) -> None:
        self.earned: dict[str | None, int] = defaultdict(int)

    def of(self, *kinds: str) -> int:
        return sum(self.earned.get(kind, 0) for kind in kinds)

    def total(self) -> int:
        return sum(self.earned.values())

    def at_most_a_year(self, *kinds: str) -> None:
        for kind in kinds:
            if kind in self.earned:
                self.earned[kind] = min(YEAR, self.earned[kind])

    def with_lower_courses(self, standing: list[Mark], system: str) -> int:
        """All units in mathematics, the lower courses that a passed one gives included."""
        units = dict(self.earned)
        for higher in {mark.kind for mark in standing if mark.area == "C" and mark.passed}:
            given = LOWER_COURSES.get(higher or "", ())
            if system == "CSU" and higher in WITH_GEOMETRY_FOR_CSU:
                given = (*given, "geometry")
            for lower in given:
                units[lower] = YEAR
        return sum(units.values())


class Levels:
    """The units of one language by level."""

    def __init__(self) -> None:
        self.earned: dict[int | None, int] = defaultdict(int)
        self.highest_passed = 0

    def add(self, mark: Mark) -> None:
        self.earned[mark.level] += mark.units
        if mark.passed and mark.level is not None:
            self.highest_passed = max(self.highest_passed, mark.level)

    def _of(self, level: int | None) -> int:
        units = self.earned.get(level, 0)
        return units if level is None else min(YEAR, units)

    def earned_units(self) -> int:
        return sum(self._of(level) for level in list(self.earned))

    def all_units(self) -> int:
        """With the levels that a passed higher one gives."""
        below = range(1, self.highest_passed)
        given = sum(YEAR - self._of(level) for level in below)
        return self.earned_units() + given


def _validated_first_parts(standing: list[Mark], system: str) -> list[Mark]:
    """The marks that did not pass but earn their units by a later part of the same course."""
    validated = []
    for mark in standing:
        may = mark.area in "CE" or (system == "CSU" and mark.kind == "chemistry")
        if mark.passed or not may or mark.part not in TERMS_IN_ORDER:
            continue
        if any(other.passed and _is_later_part(other, mark) for other in standing):
            validated.append(mark)
    return validated


def _is_later_part(other: Mark, mark: Mark) -> bool:
    if (other.course, other.school_year) != (mark.course, mark.school_year):
        return False
    if other.part not in TERMS_IN_ORDER:
        return False
    kind, number = TERMS_IN_ORDER[mark.part]
    other_kind, other_number = TERMS_IN_ORDER[other.part]
    return other_kind == kind and other_number > number


def _american_history(history: Kinds) -> bool:
    american, government = history.of("us_history"), history.of("government")
    return american >= YEAR or (american >= HALF and government >= HALF)


def _both_sciences(science: Kinds, electives: Kinds) -> bool:
    """A year of a biological and a year of a physical science, at most one of the years from G."""
    lacks = [max(0, YEAR - science.of(*kinds)) for kinds in (BIOLOGICAL, PHYSICAL)]
    there = [electives.of(*kinds) for kinds in (BIOLOGICAL, PHYSICAL)]
    return sum(lacks) <= YEAR and all(lack <= has for lack, has in zip(lacks, there, strict=True))


# --- section 4: grade point average -----------------------------------------------------------


def in_window(mark: Mark) -> bool:
    """From the summer after grade 9 to the summer after grade 11."""
    return mark.grade in {10, 11} or (mark.grade == 9 and mark.summer)


def average(standing: list[Mark]) -> tuple[int, int]:
    """Points and units of the average."""
    points = units = honors_of_grade_10 = honors_of_grade_11 = 0
    for mark in standing:
        if not in_window(mark) or mark.points is None:
            continue
        weight = HALF if mark.college else mark.units
        units += weight
        points += mark.points * weight
        if (mark.honors or mark.college) and mark.points >= 2:
            if mark.grade == 11:
                honors_of_grade_11 += weight
            else:
                honors_of_grade_10 += weight
    return points + min(240, min(120, honors_of_grade_10) + honors_of_grade_11), units


# --- section 5: status ------------------------------------------------------------------------


def _status(
    marks: list[Mark],
    grade: int,
    system: str,
    earned: Tally,
    reached: Fraction | None,
    *,
    certified: bool,
) -> str:
    if not marks:
        return "Insufficient data"
    eleven = system != "UC" or _eleven_years(marks, certified=certified)
    high_enough = reached is not None and reached >= WANTED_AVERAGE[system]
    if all(earned.complete.values()) and eleven and high_enough:
        return "Meets"
    if grade < min(YEARS_AT_BEGINNING):
        return "On track"
    at_beginning = YEARS_AT_BEGINNING[grade] * YEAR
    on_track = (high_enough or reached is None) and earned.total() >= at_beginning
    if on_track and grade == LAST_GRADE:
        on_track = eleven and _complete_with_work_in_progress(marks, system, certified=certified)
    if on_track:
        return "On track"
    nearly = reached is None or reached >= CLOSE_AVERAGE[system]
    if nearly and earned.total() >= at_beginning - YEARS_SHORT_AND_CLOSE * YEAR:
        return "Close"
    return "Not on track"


def _eleven_years(marks: list[Mark], *, certified: bool) -> bool:
    """Whether 11 years were there at the end of grade 11: nothing later is looked at."""
    until_then = [mark for mark in marks if mark.grade < LAST_GRADE]
    return tally(after_repeats(until_then), "UC", certified=certified).total() >= ELEVEN_YEARS


def _complete_with_work_in_progress(marks: list[Mark], system: str, *, certified: bool) -> bool:
    standing = after_repeats(marks)
    going = [mark for mark in marks if mark.in_progress]
    hoped = [*standing, *(replace(mark, passed=True) for mark in going)]
    for number, mark in _under_way(going).items():
        same = [
            other.units
            for other in standing + going
            if (other.course, other.school_year) == (mark.course, mark.school_year)
        ]
        to_come = max(0, YEAR - sum(same))
        hoped[len(standing) + number] = replace(mark, passed=True, units=mark.units + to_come)
    return all(tally(hoped, system, certified=certified).complete.values())


def _under_way(going: list[Mark]) -> dict[int, Mark]:
    """By place in ``going``, the last line of each course that goes on after it."""
    last: dict[tuple[str, int], int] = {}
    for number, mark in enumerate(going):
        if mark.kind == "government" or mark.summer or mark.part not in NOT_THE_LAST:
            continue
        course = mark.course, mark.school_year
        if course not in last or going[last[course]].order < mark.order:
            last[course] = number
    return {number: going[number] for number in last.values()}
