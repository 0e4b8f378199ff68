"""Generates a district's organizations, sessions and courses.

Belongs here: files that a whole district has once, the same every day. Does not belong here:
classes (timetable), people.
"""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from ccgi_pipeline.synthetic.oneroster import lists
from ccgi_pipeline.synthetic.oneroster.export_styles import Identifier, Way
from ccgi_pipeline.synthetic.people import FIRST_DAY
from ccgi_pipeline.synthetic.places import Place
from ccgi_pipeline.synthetic.student_blocks import first_year, is_spring

DISTRICT = "100"
"""The id of the district itself; its schools are 101, 102, ..."""
_NCES_STATE, _NCES_MADE_UP = "06", 95_000
"""NCES numbers California's districts from 00001 on and has not come near 95,000: the directory
file of a synthetic state has no NCES ids, and a made-up one must not be that of a real school."""

_SECOND_SEMESTER, _AFTER_THE_YEAR = (2, 1), (6, 6)
"""Exclusive ends; ``student_blocks.is_spring`` changes on the same day."""
_QUARTERS = ((10, 17), (4, 5))
"""Where first and second semester are cut in two."""


def school_ids(place: Place) -> list[str]:
    """The ids of the district's schools, row by row."""
    return [str(int(DISTRICT) + 1 + row) for row in range(place.schools.height)]


def nces_id(place: Place, school: int | None = None) -> str:
    """An id in NCES' form (7 digits; 12 of the school in that row), which is no real one's."""
    district = f"{_NCES_STATE}{_NCES_MADE_UP + place.ordinal}"
    return district if school is None else f"{district}{school + 1:05d}"


def org_lines(place: Place, way: Way) -> pl.DataFrame:
    """Organizations: the district, and below it its schools."""
    codes = place.schools["CDSCode"].to_list()
    identifiers: dict[Identifier, list[str | None]] = {
        Identifier.NCES: [nces_id(place), *(nces_id(place, row) for row in range(len(codes)))],
        Identifier.CDS: [f"{place.cd_code}0000000", *codes],
        Identifier.NONE: [None] * (1 + len(codes)),
    }
    return pl.DataFrame(
        {
            "sourcedId": [DISTRICT, *school_ids(place)],
            "name": [place.name, *place.schools["School"]],
            "type": ["district", *["school"] * len(codes)],
            "identifier": pl.Series(identifiers[way.identifier], dtype=pl.String),
            "parentSourcedId": [None, *[DISTRICT] * len(codes)],
        }
    )


# --- sessions ---------------------------------------------------------------------------------


def session_lines(on: date, way: Way) -> pl.DataFrame:
    """The school year, its semesters and, where a district has them, their quarters."""
    start, middle, end = _bounds(on)
    year = f"Y{end.year}"
    sessions = [
        (year, f"School year {start.year}-{end.year}", "schoolYear", start, end, None),
        (f"{year}-S1", "Semester 1", "semester", start, middle, year),
        (f"{year}-S2", "Semester 2", "semester", middle, end, year),
    ]
    if way.quarters:
        autumn, spring = (
            start.replace(month=_QUARTERS[0][0], day=_QUARTERS[0][1]),
            end.replace(month=_QUARTERS[1][0], day=_QUARTERS[1][1]),
        )
        cuts = (start, autumn, middle, spring, end)
        sessions += [
            (
                f"{year}-Q{nth + 1}",
                f"Quarter {nth + 1}",
                "gradingPeriod",
                cuts[nth],
                cuts[nth + 1],
                f"{year}-S{nth // 2 + 1}",
            )
            for nth in range(len(cuts) - 1)
        ]
    names = ("sourcedId", "title", "type", "startDate", "endDate", "parentSourcedId")
    return pl.DataFrame(sessions, schema=names, orient="row").with_columns(
        pl.lit(str(end.year)).alias("schoolYear")
    )


def _bounds(on: date) -> tuple[date, date, date]:
    """The days on which first semester, second semester and holidays begin."""
    year = first_year(on)
    return (
        date(year, *FIRST_DAY),
        date(year + 1, *_SECOND_SEMESTER),
        date(year + 1, *_AFTER_THE_YEAR),
    )


def year_id(on: date) -> str:
    """The id of the running school year."""
    return f"Y{first_year(on) + 1}"


def term_ids(on: date, way: Way) -> str:
    """The ids of the sessions in which today's classes are taught, as a list."""
    second = is_spring(on)
    if not way.quarters:
        return f"{year_id(on)}-S{second + 1}"
    return ",".join(f"{year_id(on)}-Q{2 * second + nth}" for nth in (1, 2))


def term_bounds(on: date) -> tuple[np.datetime64, np.datetime64]:
    """The first day of the running term, and the first one after it."""
    start, middle, end = (np.datetime64(day, "D") for day in _bounds(on))
    return (middle, end) if is_spring(on) else (start, middle)


# --- courses ----------------------------------------------------------------------------------


def course_id(row: int) -> str:
    """The id of a course (row of ``lists.TAUGHT``)."""
    return f"C{lists.TAUGHT[row].local_id}"


def course_lines(on: date) -> pl.DataFrame:
    """Courses columns: all that the district teaches."""
    subjects = [lists.SUBJECTS.get(course.department, (None, None)) for course in lists.TAUGHT]
    return pl.DataFrame(
        {
            "sourcedId": [course_id(row) for row in range(len(lists.TAUGHT))],
            "schoolYearSourcedId": year_id(on),
            "title": [course.title for course in lists.TAUGHT],
            "courseCode": [course.local_id for course in lists.TAUGHT],
            "grades": [lists.GRADES_OF_LEVEL[course.level] for course in lists.TAUGHT],
            "orgSourcedId": DISTRICT,
            "subjects": [subject for subject, _ in subjects],
            "subjectCodes": [code for _, code in subjects],
        }
    )
