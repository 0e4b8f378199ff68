"""Determines each student's status in a system, and the reasons.

Belongs here: how years and average give a status (docs/eligibility.md, section 5), and the words
for what is missing. Does not belong here: the rules of years (subjects) and averages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import polars as pl

from ccgi_pipeline.eligibility.attempts import drop_superseded_attempts
from ccgi_pipeline.eligibility.averages import compute_averages
from ccgi_pipeline.eligibility.history import COURSES_SCHEMA
from ccgi_pipeline.eligibility.subjects import (
    Flags,
    Subjects,
    Units,
    add_kind_columns,
    count_subject_years,
    mark_made_up_parts,
    select_earned_units,
    sum_in_progress,
)
from ccgi_pipeline.eligibility.systems import (
    AREA_NAMES,
    AREAS,
    BENCHMARKS,
    YEAR,
    YEARS_SHORT_WHEN_CLOSE,
    YEARS_WANTED,
    System,
)

__all__ = ["COURSES_SCHEMA", "RESULTS_SCHEMA", "evaluate", "evaluate_all", "shown_average"]

MEETS, ON_TRACK, CLOSE = "Meets", "On track", "Close"
NOT_ON_TRACK, INSUFFICIENT = "Not on track", "Insufficient data"
STATUSES = (MEETS, ON_TRACK, CLOSE, NOT_ON_TRACK, INSUFFICIENT)

RESULTS_SCHEMA: Mapping[str, pl.DataType] = {
    "student": pl.String(),
    "system": pl.String(),
    "status": pl.String(),
    "gpa_points": pl.Int64(),
    "gpa_units": pl.Int64(),
    **{f"years_{area}": pl.Int64() for area in AREAS},
    "years": pl.Int64(),
    **{f"complete_{area}": pl.Boolean() for area in AREAS},
    **{f"in_progress_{area}": pl.Int64() for area in AREAS},
    "reasons": pl.List(pl.String()),
}
"""One row per student. Years are in sixtieths; the average is ``gpa_points / gpa_units``."""

_LAST_YEAR = 12
_FIRST_YEAR = 9


def evaluate(courses: pl.DataFrame, students: pl.DataFrame, system: System) -> pl.DataFrame:
    """Evaluates each of ``students`` (``student``, ``grade``) from ``courses``.

    ``courses`` is a frame of ``COURSES_SCHEMA``; courses of other students are ignored.
    ``students`` may say who is ``certified`` in a language. Returns a frame of ``RESULTS_SCHEMA``
    in the order of ``students``.
    """
    return evaluate_all(courses, students, (system,))


def evaluate_all(
    courses: pl.DataFrame, students: pl.DataFrame, systems: Sequence[System]
) -> pl.DataFrame:
    """Evaluates the students for several systems, one after the other."""
    if "certified" not in students.columns:
        students = students.with_columns(pl.lit(value=False).alias("certified"))
    numbers = students.select("student", pl.int_range(pl.len(), dtype=pl.UInt32).alias("place"))
    known = courses.join(numbers, on="student").drop("student").rename({"place": "student"})
    numbered = add_kind_columns(known).with_row_index("number")
    stands = drop_superseded_attempts(numbered)
    count = students.height
    average = (
        pl.DataFrame({"student": np.arange(count, dtype=np.uint32)})
        .join(compute_averages(stands), on="student", how="left", maintain_order="left")
        .fill_null(0)
    )
    under_way = sum_in_progress(stands, count, AREAS)
    measured = students.select("student", pl.col("grade").cast(pl.Int32), "certified").with_columns(
        average["gpa_points"].cast(pl.Int64),
        average["gpa_units"].cast(pl.Int64),
        *(_column(f"in_progress_{area}", under_way[area]) for area in AREAS),
        pl.Series("has_lines", _mark_students(known, count)),
    )
    seniors: Flags = (measured["grade"] >= _LAST_YEAR).fill_null(value=False).to_numpy()
    went_on = _mark_students(numbered.filter(pl.col("grade") >= _LAST_YEAR), count)
    # Only lines up to the end of grade 11 count for its years; later repeats do not.
    before = _select_students(numbered, went_on).filter(pl.col("grade") < _LAST_YEAR)
    attempts = _Attempts(
        now=mark_made_up_parts(stands),
        before_last_year=mark_made_up_parts(drop_superseded_attempts(before)),
        went_on=went_on,
        if_passed=mark_made_up_parts(_assume_passed(_select_students(stands, seniors))),
        seniors=seniors,
    )
    return pl.concat(_evaluate_system(attempts, measured, system) for system in systems)


@dataclass(frozen=True, slots=True)
class _Attempts:
    """The attempts that count ``now``, and those that count in two other cases.

    ``before_last_year``: those that counted at the end of grade 11, only of the students who
    ``went_on`` (have later lines); the others' are those of now. ``if_passed``: those that would
    count if all work in progress were passed, only of the ``seniors``, whose status depends on it.
    """

    now: pl.DataFrame
    before_last_year: pl.DataFrame
    went_on: Flags
    if_passed: pl.DataFrame
    seniors: Flags


def _evaluate_system(attempts: _Attempts, measured: pl.DataFrame, system: System) -> pl.DataFrame:
    """Returns the results in one system."""
    certified: Flags = measured["certified"].to_numpy()

    def subjects_of(courses: pl.DataFrame) -> Subjects:
        return count_subject_years(select_earned_units(courses, system), certified, system)

    now = subjects_of(attempts.now)
    years_before = now.years
    if system.before_last_year:
        of_those = subjects_of(attempts.before_last_year).years
        years_before = np.where(attempts.went_on, of_those, years_before)
    hoped = subjects_of(attempts.if_passed).all_complete & attempts.seniors
    results = measured.with_columns(
        pl.lit(system.name).alias("system"),
        *(_column(f"years_{area}", now.units[area]) for area in AREAS),
        _column("years", now.years),
        *(pl.Series(f"complete_{area}", now.complete[area]) for area in AREAS),
        *(pl.Series(_lacking_column(words), flags) for words, flags in _list_lacking(now)),
        _column("before_last_year", years_before),
        pl.Series("complete", now.all_complete),
        pl.Series("hoped", hoped),
    )
    results = results.with_columns(
        _status(system).alias("status"), _reasons(system, now, results).alias("reasons")
    )
    return results.select(pl.col(name).cast(dtype) for name, dtype in RESULTS_SCHEMA.items())


def _select_students(courses: pl.DataFrame, chosen: Flags) -> pl.DataFrame:
    """Returns the courses of the students who are ``chosen`` (by number)."""
    return courses.filter(pl.Series(chosen[courses["student"].to_numpy()]))


def _assume_passed(courses: pl.DataFrame) -> pl.DataFrame:
    """Returns the courses as if all work in progress were passed, to the end of the school year."""
    units = pl.col("units") + pl.col("to_come").fill_null(0)
    return (
        courses.join(_remaining_units(courses), on="number", how="left")
        .with_columns(
            (pl.col("passed") | pl.col("in_progress")).alias("passed"),
            units.cast(courses.schema["units"]).alias("units"),
            pl.lit(value=False).alias("in_progress"),
        )
        .drop("to_come")
    )


_BEFORE_THE_LAST_PART = r"^(?:S1|T[12]|Q[1-3]|H[1-5])$"
_HALF_A_YEAR_LONG = "government"


def _remaining_units(courses: pl.DataFrame) -> pl.DataFrame:
    """Returns the units that courses in progress still add this school year (by ``number``)."""
    course = ["student", "course", "school_year"]
    under_way = (
        courses.filter(pl.col("in_progress") & ~pl.col("summer"))
        .filter(
            pl.col("part").str.contains(_BEFORE_THE_LAST_PART)
            & (pl.col("kind").fill_null("") != _HALF_A_YEAR_LONG)
        )
        .sort(*course, "order", "part", "number")
        .unique(course, keep="last")
    )
    known = (
        courses.join(under_way, on=course, how="semi")
        .group_by(course)
        .agg(pl.col("units").sum().alias("known"))
    )
    return under_way.join(known, on=course).select(
        "number", (YEAR - pl.col("known")).clip(lower_bound=0).alias("to_come")
    )


def _column(name: str, units: Units) -> pl.Series:
    return pl.Series(name, units.astype(np.int64))


def _mark_students(courses: pl.DataFrame, students: int) -> Flags:
    """Returns which of the students (by number) have any of the courses."""
    found: Flags = np.zeros(students, dtype=np.bool_)
    found[courses["student"].to_numpy()] = True
    return found


# --- status -----------------------------------------------------------------------------------


def _at_least(wanted: Fraction) -> pl.Expr:
    """Returns whether the average reaches ``wanted``, compared exactly; false without a mark."""
    reached = pl.col("gpa_points") * wanted.denominator >= pl.col("gpa_units") * wanted.numerator
    return reached & (pl.col("gpa_units") > 0)


def _early_enough(system: System) -> pl.Expr:
    return pl.col("before_last_year") >= system.before_last_year * YEAR


def _status(system: System) -> pl.Expr:
    grade = pl.col("grade")
    benchmark = (
        pl.when(grade < _FIRST_YEAR)
        .then(0)
        .otherwise(
            grade.clip(_FIRST_YEAR, _LAST_YEAR).replace_strict(
                dict(BENCHMARKS), return_dtype=pl.Int32
            )
        )
    )
    no_mark = pl.col("gpa_units") == 0
    enough_years = pl.col("years") >= benchmark * YEAR
    can_finish = (grade < _LAST_YEAR) | (pl.col("hoped") & _early_enough(system))
    on_track = (_at_least(system.wanted) | no_mark) & enough_years & can_finish
    on_track = on_track | (grade < _FIRST_YEAR)
    nearly = pl.col("years") >= (benchmark - YEARS_SHORT_WHEN_CLOSE) * YEAR
    close = (_at_least(system.close) | no_mark) & nearly
    meets = pl.col("complete") & _early_enough(system) & _at_least(system.wanted)
    return (
        pl.when(~pl.col("has_lines") | grade.is_null())
        .then(pl.lit(INSUFFICIENT))
        .when(meets)
        .then(pl.lit(MEETS))
        .when(on_track)
        .then(pl.lit(ON_TRACK))
        .when(close)
        .then(pl.lit(CLOSE))
        .otherwise(pl.lit(NOT_ON_TRACK))
    )


# --- reasons ----------------------------------------------------------------------------------


def _reasons(system: System, now: Subjects, measured: pl.DataFrame) -> pl.Expr:
    """Returns what is missing, in words; an empty list if nothing is."""
    found = [
        *(
            _area_reason(system, area, [words for words, _ in now.lacking.get(area, [])], measured)
            for area in AREAS
        ),
        _average_reason(system),
    ]
    if system.before_last_year:
        found.append(_early_reason(system))
    text = (
        pl.when(~pl.col("has_lines"))
        .then(pl.lit("No A-G course is in the course history."))
        .when(pl.col("grade").is_null())
        .then(pl.lit("The grade level is not one of grades 1 to 12."))
        .otherwise(pl.concat_str(found, separator="\n", ignore_nulls=True))
    )
    # Splitting takes a fifth of the time of joining lists. An empty text has one part: no reason.
    return text.str.split("\n").list.slice((text == "").cast(pl.Int8))


def _list_lacking(now: Subjects) -> list[tuple[str, Flags]]:
    return [pair for lacking in now.lacking.values() for pair in lacking]


def _lacking_column(words: str) -> str:
    """Returns the name of the column that marks the students who lack ``words``."""
    return f"lacks {words}"


def _area_reason(system: System, area: str, further: list[str], measured: pl.DataFrame) -> pl.Expr:
    wanted = YEARS_WANTED[area] * YEAR
    missing = wanted - pl.col(f"years_{area}")
    words = {wanted - units: _years(wanted - units) for units in measured[f"years_{area}"].unique()}
    of_one = area == "E" or (area == "F" and system.one_discipline)
    kind = f", {'of one language' if area == 'E' else 'of one discipline'}" if of_one else ""
    lacks = pl.concat_str(
        [pl.when(pl.col(_lacking_column(text))).then(pl.lit(text)) for text in further]
        or [pl.lit("")],
        separator="; ",
        ignore_nulls=True,
    )
    named = f"area {area} ({AREA_NAMES[area]})"
    years = pl.concat_str(
        pl.lit("Needs "),
        missing.replace_strict(words, default="", return_dtype=pl.String),
        pl.lit(f" of {named}{kind}"),
        pl.when(lacks != "").then(pl.concat_str(pl.lit(": "), lacks)).otherwise(pl.lit("")),
        pl.lit("."),
    )
    only_further = pl.concat_str(pl.lit(f"A{named[1:]} still needs "), lacks, pl.lit("."))
    return pl.when(missing > 0).then(years).when(lacks != "").then(only_further)


def _years(units: int) -> str:
    """Returns ``90`` units as ``1.5 more years``."""
    if units == YEAR:
        return "one more year"
    if units == YEAR // 2:
        return "half a year more"
    return f"{round(units / YEAR, 2):g} more years"


def shown_average() -> pl.Expr:
    """Returns the average with two decimals, cut and never rounded up; blank without a mark."""
    hundredths = pl.col("gpa_points") * 100 // pl.col("gpa_units")
    text = pl.concat_str(
        (hundredths // 100).cast(pl.String),
        pl.lit("."),
        (hundredths % 100).cast(pl.String).str.zfill(2),
    )
    return pl.when(pl.col("gpa_units") > 0).then(text)


def _average_reason(system: System) -> pl.Expr:
    wanted = f"{float(system.wanted):.2f}"
    below = pl.concat_str(
        pl.lit("The grade point average of "), shown_average(), pl.lit(f" is below {wanted}.")
    )
    return (
        pl.when(pl.col("gpa_units") == 0)
        .then(pl.lit("No mark of grades 10 and 11 for the grade point average yet."))
        .when(~_at_least(system.wanted))
        .then(below)
    )


def _early_reason(system: System) -> pl.Expr:
    wanted = system.before_last_year
    return pl.when(~_early_enough(system) & (pl.col("grade") >= _LAST_YEAR)).then(
        pl.lit(f"Had fewer than the {wanted} years wanted by the end of grade 11.")
    )
