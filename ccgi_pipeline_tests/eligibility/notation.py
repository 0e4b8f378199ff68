"""Course histories in few words, for tests: one text a course, one token a mark.

Belongs here: reading such texts into marks, and marks into the frames that ``evaluate`` takes.
Does not belong here: rules.

``"10 C geometry S1:D S2:B"`` is a course of grade 10 in area C, of kind geometry, with its marks
by term. The third word is the kind; in area E the language and its level (``spanish-2``), in F the
discipline; ``-`` where it is not known. ``honors``, ``college`` and ``#number`` may follow: without
a number, courses of the same area and kind are one course, and those of no known kind one course a
grade. A term may give its units (``SS/60:B``), a summer term its part of the course (``SS=S2:B``);
the term ``-`` is none. Marks are A to F, P, and WIP for work in progress. Grade 9 is the school
year that ends in 2023.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields

import polars as pl

from ccgi_pipeline.eligibility.evaluation import COURSES_SCHEMA
from ccgi_pipeline_tests.eligibility.naive import Mark

POINTS = {"A": 4, "B": 3, "C": 2, "D": 1, "F": 0}
TERMS = {
    "FY": (60, 6),
    "S1": (30, 3),
    "S2": (30, 6),
    **{f"T{number}": (20, 2 * number) for number in (1, 2, 3)},
    **{f"Q{number}": (15, order) for number, order in ((1, 1), (2, 3), (3, 5), (4, 6))},
    **{f"H{number}": (10, number) for number in range(1, 7)},
    "SS": (30, 9),
    "SS1": (30, 9),
    "SS2": (30, 10),
    "-": (30, 6),
}
"""Units and order of each term; summer lines have as many as they say, half a year if nothing."""
END_OF_GRADE_0 = 2014


def marks_of(*courses: str) -> list[Mark]:
    """The marks of ``courses``."""
    return [mark for course in courses for mark in _marks_of_course(course)]


def _marks_of_course(course: str) -> list[Mark]:
    grade, area, label, *words = course.split()
    of_course = [word for word in words if ":" not in word]
    number = next(
        (word for word in of_course if word.startswith("#")),
        f"{area} {grade if label == '-' else label}",
    )
    if unknown := set(of_course) - {"honors", "college", number}:
        message = f"{course!r} has {unknown}"
        raise ValueError(message)
    known = None if label == "-" else label
    language, _, level = label.partition("-") if area == "E" and known else ("", "", "")
    marks = []
    for word in words:
        if ":" not in word:
            continue
        term, _, grade_mark = word.partition(":")
        term, _, units = term.partition("/")
        term, _, of_curriculum = term.partition("=")
        in_progress, points = grade_mark == "WIP", POINTS.get(grade_mark)
        marks.append(
            Mark(
                course=number,
                part=of_curriculum or (None if term == "-" else term),
                area=area,
                kind=None if area in "EF" else known,
                language=language or None,
                level=int(level) if level else None,
                discipline=known if area == "F" else None,
                grade=int(grade),
                school_year=END_OF_GRADE_0 + int(grade),
                summer=term.startswith("SS"),
                order=TERMS[term][1],
                units=int(units or TERMS[term][0]),
                points=points,
                passed=not in_progress and (points is None or points >= POINTS["C"]),
                in_progress=in_progress,
                honors="honors" in of_course,
                college="college" in of_course,
            )
        )
    return marks


def courses_frame(of_students: dict[str, list[Mark]]) -> pl.DataFrame:
    """The marks of each student as the frame that ``evaluate`` takes."""
    all_marks = [mark for marks in of_students.values() for mark in marks]
    columns = {
        "student": [name for name, marks in of_students.items() for _ in marks],
        **{it.name: [getattr(mark, it.name) for mark in all_marks] for it in fields(Mark)},
    }
    return pl.DataFrame(columns, schema=COURSES_SCHEMA)


def students_frame(grades: dict[str, int], certified: Collection[str] = ()) -> pl.DataFrame:
    """The present grade of each student as the frame that ``evaluate`` takes; who is certified."""
    schema = {"student": pl.String, "grade": pl.Int8, "certified": pl.Boolean}
    rows = [(name, grade, name in certified) for name, grade in grades.items()]
    return pl.DataFrame(rows, schema=schema, orient="row")
