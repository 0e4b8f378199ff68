"""Declares the 41 rules of the specification's "Verify Data Meets", with its own numbers.

Belongs here: each of them once, with its weight and the reason for it (``_Weight``). A profile that
is strict makes all of them errors. What a file cannot tell (the school calendar, which
tests the student system holds) comes from the district's profile. Does not belong here: rules of
the running text (other_rules).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import polars as pl

from ccgi_pipeline.feeds.columns import Requirement
from ccgi_pipeline.feeds.foster_focus.comparisons import (
    CHILD,
    HIGH_SCHOOL,
    agrees,
    answered,
    by_child,
    enrolled_in_year,
    enrolled_on,
    grade,
    is_among,
    repeats,
    school_year,
    told_by,
    told_once,
    unanswered,
)
from ccgi_pipeline.feeds.foster_focus.extracts import SpecialEducation
from ccgi_pipeline.feeds.foster_focus.standard_tests import normalised_test
from ccgi_pipeline.feeds.rules import Across, Hint, Rule, Severity
from ccgi_pipeline.feeds.sources import FOSTER_FOCUS
from ccgi_pipeline.feeds.spec import CALENDAR, FILE, ROW, SENDER

Seen = Mapping[str, pl.DataFrame]

DEM = "foster_focus_demographics"
ENR = "foster_focus_enrollment_history"
ATP = "foster_focus_attendance_periods"
ATX = "foster_focus_attendance_exceptions"
TST = "foster_focus_test_scores"
SPE = "foster_focus_special_education"
GPA = "foster_focus_gpa"
BEH = "foster_focus_behavior"
TRN = "foster_focus_transcripts"

_ENROLLED = (*CHILD, "EntryDate", "ExitDate")
_PAGES = {
    "DEM": 6,
    "ENR": 8,
    "ATP": 9,
    "ATX": 10,
    "TST": 12,
    "SPE": 13,
    "GPA": 15,
    "BEH": 16,
    "TRN": 18,
}


class _Weight(NamedTuple):
    """How much a rule weighs, and why."""

    severity: Severity
    reason: str


_WRONG_IN_ITSELF = _Weight(
    Severity.ERROR, "The line lacks what its record is nothing without, or contradicts itself."
)
_NOT_TO_BE_SENT = _Weight(
    Severity.ERROR, "The record is one that the extract must not have; it is about a child."
)
_FILED_WRONGLY = _Weight(
    Severity.ERROR, "The average would stand under a term, grade or school where it was not earned."
)
_MISSING_ELSEWHERE = _Weight(
    Severity.WARNING,
    "The line is right, and something else is missing. Without the line more would be missing.",
)
_ONE_OF_SEVERAL = _Weight(
    Severity.WARNING, "One of several lines is wrong, and the file does not say which."
)
_OTHER_MAY_BE_WRONG = _Weight(
    Severity.WARNING, "The line disagrees with another extract or the profile, which may be wrong."
)
_STILL_USABLE = _Weight(
    Severity.WARNING, "The record can be used as it is; it only lacks a field or has another form."
)


def _rule(  # noqa: PLR0913 - what a rule is made of
    id_: str,
    weight: _Weight,
    text: str,
    fix: str,
    *,
    column: str | None = None,
    passes: pl.Expr | None = None,
    across: tuple[Across, ...] = (),
    hint: Hint | None = None,
) -> Rule:
    extract, number = id_.split("-")
    return Rule(
        id=f"FF-{id_}",
        severity=weight.severity,
        reason=weight.reason,
        strict=Severity.ERROR,
        text=text,
        fix=fix,
        source=f"{FOSTER_FOCUS.page(_PAGES[extract])}, Verify Data Meets {number}",
        column=column,
        passes=None if passes is None else lambda _: passes,
        across=across,
        hint=hint,
    )


_open = pl.col("ExitDate").is_null()
_enrolled = _open | (pl.col("ExitDate") >= pl.col("_on"))
_this_year = pl.col("_this_year")


def _overlaps_this_year() -> pl.Expr:
    return _open | (school_year("ExitDate") >= _this_year)


# --- demographics -----------------------------------------------------------------------------


def _enrolled_are_present(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    return answered(lines, ~_enrolled | is_among(lines, seen[DEM]))


def _someone_is_enrolled(lines: pl.DataFrame, _: Seen) -> pl.Series:
    return told_once(lines, answered(lines, ~_enrolled.any().over(FILE)), ())


def _those_who_left_are_present(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    left = ~_enrolled.any().over(FILE, *CHILD) & (school_year("ExitDate") == _this_year)
    return told_once(lines, answered(lines, left & ~is_among(lines, seen[DEM])), CHILD)


def _has_an_enrollment_this_year(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    history = seen[ENR]
    current = history.filter(_overlaps_this_year())
    left_before = school_year("ExitDate") < _this_year
    none_now = is_among(lines, history) & ~is_among(lines, current).fill_null(value=False)
    return answered(lines, ~(left_before.fill_null(value=False) | none_now.fill_null(value=False)))


DEMOGRAPHICS = (
    _rule(
        "DEM-1",
        _MISSING_ELSEWHERE,
        "A student who is enrolled is not in the demographics extract, or nobody in it is.",
        "Send every foster youth who is enrolled in demographics.",
        across=(
            by_child(
                lines_of=ENR, column="SISLocalID", sees={DEM: CHILD}, holds=_enrolled_are_present
            ),
            Across(
                lines_of=DEM,
                column="ExitDate",
                holds=_someone_is_enrolled,
                looks_at=("ExitDate", "_on"),
            ),
        ),
    ),
    _rule(
        "DEM-2",
        _MISSING_ELSEWHERE,
        "A student who left earlier in this school year is not in the demographics extract, or "
        "stands in it with an entry date of another year.",
        "Send foster youth who left since the school year began in demographics too, with their "
        "first day of this school year as EntryDate.",
        across=(
            by_child(
                lines_of=ENR,
                column="SISLocalID",
                sees={DEM: CHILD},
                holds=_those_who_left_are_present,
            ),
            by_child(
                lines_of=DEM,
                column="EntryDate",
                holds=lambda lines, _: answered(
                    lines,
                    (school_year("ExitDate") != _this_year)
                    | (school_year("EntryDate") == _this_year),
                ),
            ),
        ),
    ),
    _rule(
        "DEM-3",
        _OTHER_MAY_BE_WRONG,
        "The student has no enrollment in the current school year.",
        "Take students who are not enrolled this school year out of demographics, or mend dates.",
        across=(
            by_child(
                lines_of=DEM,
                column="ExitDate",
                sees={ENR: _ENROLLED},
                holds=_has_an_enrollment_this_year,
            ),
        ),
        hint=Hint.EARLIER_YEAR,
    ),
)


# --- enrollment history -----------------------------------------------------------------------


def _one_open_enrollment(lines: pl.DataFrame, _: Seen) -> pl.Series:
    now_open = _open & (school_year("EntryDate") >= _this_year)
    return answered(lines, ~(now_open & (now_open.sum().over(FILE, *CHILD) > 1)))


def _year_is_in_the_history(year: str) -> Across:
    def holds(lines: pl.DataFrame, seen: Seen) -> pl.Series:
        here = pl.col("SchoolCDSCode").str.starts_with(pl.col("SystemID"))
        then = enrolled_in_year(lines, seen[ENR], year)[ROW].unique().implode()
        missing = is_among(lines, seen[ENR]) & answered(
            lines, here & (pl.col(year) < _this_year) & ~pl.col(ROW).is_in(then)
        )
        return told_once(lines, missing, (*CHILD, year))

    return by_child(
        lines_of=GPA if year == "SchoolYear" else TRN,
        column=year,
        sees={ENR: _ENROLLED},
        holds=holds,
    )


def _attended_school_is_in_the_history(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    history = seen[ENR].filter(_overlaps_this_year())
    school = (*CHILD, "SchoolCDSCode")
    missing = lines.filter(is_among(lines, seen[ENR]) & ~is_among(lines, history, school))
    missing = missing.filter(school_year("SchoolDate") == _this_year)
    return told_once(lines, lines[ROW].is_in(missing[ROW].implode()), school)


_twelfth = grade("Grade") == "12"

ENROLLMENT_HISTORY = (
    _rule(
        "ENR-1",
        _WRONG_IN_ITSELF,
        "The enrollment began in an earlier school year and is still open.",
        "Send the exit date, or let us know the day on which your school year closes.",
        column="ExitDate",
        passes=~(_open & (school_year("EntryDate") < _this_year) & ~pl.col("_closes")),
        hint=Hint.EARLIER_YEAR,
    ),
    _rule(
        "ENR-2",
        _ONE_OF_SEVERAL,
        "The student has more than one open enrollment.",
        "Close the enrollments that have ended.",
        across=(by_child(lines_of=ENR, column="ExitDate", holds=_one_open_enrollment),),
    ),
    _rule(
        "ENR-3",
        _MISSING_ELSEWHERE,
        "The student attended the district in this school year, and the enrollment history does "
        "not have it.",
        "Send the enrollments of earlier school years too.",
        across=(_year_is_in_the_history("SchYear"), _year_is_in_the_history("SchoolYear")),
    ),
    _rule(
        "ENR-4",
        _WRONG_IN_ITSELF,
        "The enrollment has no CDS code.",
        "Fill SchoolCDSCode with the school's 14-digit CDS code.",
        column="SchoolCDSCode",
    ),
    _rule(
        "ENR-5",
        _WRONG_IN_ITSELF,
        "A twelfth-grade enrollment has ended without a completion status.",
        "Fill CompletionStatus with the CALPADS code.",
        column="CompletionStatus",
        passes=~(~_open & _twelfth & pl.col("CompletionStatus").is_null()),
    ),
    _rule(
        "ENR-6",
        _MISSING_ELSEWHERE,
        "The student has no line in the enrollment history.",
        "Send the enrollments of every student of demographics.",
        across=(
            by_child(
                lines_of=DEM,
                column="SISLocalID",
                sees={ENR: CHILD},
                holds=lambda lines, seen: is_among(lines, seen[ENR]),
            ),
        ),
    ),
    _rule(
        "ENR-7",
        _MISSING_ELSEWHERE,
        "The student attended this school in the current school year, and the enrollment history "
        "does not have the enrollment.",
        "Send an enrollment for each school of the year, with the CDS code of that school.",
        across=(
            by_child(
                lines_of=ATP,
                column="SchoolCDSCode",
                sees={ENR: (*_ENROLLED, "SchoolCDSCode")},
                holds=_attended_school_is_in_the_history,
            ),
        ),
    ),
)


# --- attendance -------------------------------------------------------------------------------


def _one_entry_each_school_day(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    once = repeats(lines, (*CHILD, "SchoolDate"))
    calendar = seen[CALENDAR]
    if calendar.is_empty():
        return once
    numbered = calendar.unique().sort(SENDER, "SchoolDate")
    numbered = numbered.with_columns(pl.int_range(pl.len()).over(SENDER).alias("day"))
    placed = lines.join(numbered, on=[SENDER, "SchoolDate"], how="left", maintain_order="left")
    ordered = placed.drop_nulls("day").sort("day", ROW)
    before = pl.col("day").shift(1).over(FILE, *CHILD)
    after_a_gap = ordered.filter(pl.col("day") - before > 1)[ROW].implode()
    is_school_day = ~told_by(calendar) | pl.col("day").is_not_null()
    return answered(placed, once & is_school_day & ~pl.col(ROW).is_in(after_a_gap))


def _by_the_day_in_elementary_school(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    several = lines.filter(pl.col("PeriodsEnrolled") != 1)
    number = grade("Grade").str.extract("^([0-9]+)$").cast(pl.Int32)
    young = grade("Grade").is_in(["KN", "TK", "PS"]) | (number <= pl.col("_elementary"))
    elementary = enrolled_on(several, seen[ENR].filter(young), "SchoolDate")
    by_day = pl.col(ROW).is_in(elementary[ROW].unique().implode()) | pl.col("SISSchoolCode").is_in(
        pl.col("_self_contained")
    )
    at_fault = answered(lines, (pl.col("PeriodsEnrolled") != 1) & by_day)
    return told_once(lines, at_fault, (*CHILD, "SISSchoolCode"))


def _enrolled_school_is_attended(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    attended = seen[ATP]
    last_day = attended.group_by(SENDER).agg(pl.col("SchoolDate").max().alias("last_day"))
    known = lines.join(last_day, on=SENDER, how="left", maintain_order="left")
    school = (*CHILD, "SchoolCDSCode")
    judged = _overlaps_this_year() & (pl.col("EntryDate") <= pl.col("last_day"))
    missing = is_among(lines, attended) & ~is_among(lines, attended, school)
    return answered(known, ~(judged & missing))


ATTENDANCE_PERIODS = (
    _rule(
        "ATP-1",
        _ONE_OF_SEVERAL,
        "The student has another line for this day, or the day is no school day, or a school day "
        "before it is missing. Which days are school days, the district's profile says.",
        "Send one line for each student and school day.",
        across=(
            by_child(
                lines_of=ATP,
                column="SchoolDate",
                sees={CALENDAR: ("SchoolDate",)},
                holds=_one_entry_each_school_day,
            ),
        ),
    ),
    _rule(
        "ATP-2",
        _MISSING_ELSEWHERE,
        "The student has no line in the attendance periods.",
        "Send the attendance of every student of demographics.",
        across=(
            by_child(
                lines_of=DEM,
                column="SISLocalID",
                sees={ATP: CHILD},
                holds=lambda lines, seen: is_among(lines, seen[ATP]),
            ),
        ),
    ),
    _rule(
        "ATP-3",
        _OTHER_MAY_BE_WRONG,
        "The student is in elementary school or in a self-contained classroom, and "
        "PeriodsEnrolled is not 1.",
        "Send 1 in PeriodsEnrolled where attendance is taken by day.",
        across=(
            by_child(
                lines_of=ATP,
                column="PeriodsEnrolled",
                sees={ENR: (*_ENROLLED, "Grade")},
                holds=_by_the_day_in_elementary_school,
            ),
        ),
    ),
    _rule(
        "ATP-4",
        _WRONG_IN_ITSELF,
        "PeriodsAttended is more than PeriodsEnrolled.",
        "Correct the numbers of periods.",
        column="PeriodsAttended",
        passes=pl.col("PeriodsAttended") <= pl.col("PeriodsEnrolled"),
    ),
    _rule(
        "ATP-5",
        _MISSING_ELSEWHERE,
        "The student is enrolled in this school, and no attendance has its CDS code.",
        "Send attendance with the CDS code of the school where it was taken.",
        across=(
            by_child(
                lines_of=ENR,
                column="SchoolCDSCode",
                sees={ATP: (*CHILD, "SchoolDate", "SchoolCDSCode")},
                holds=_enrolled_school_is_attended,
            ),
        ),
    ),
)

_missed = pl.col("PeriodsEnrolled") - pl.col("PeriodsAttended")
_THAT_DAY, _ITS_DAY = (*CHILD, "SchoolDate"), (*CHILD, "AttendDate")
_ITS_PERIOD = (*_ITS_DAY, "Period")


def _each_absence_has_its_exception(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    return answered(lines, (_missed <= 0) | is_among(lines, seen[ATX], _THAT_DAY, _ITS_DAY))


def _each_missed_period_has_its_entry(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    if seen[ATX].is_empty():
        return unanswered(lines)
    entries = seen[ATX].group_by(SENDER, *_ITS_DAY).agg(pl.len().alias("entries"))
    counted = lines.join(
        entries,
        left_on=[SENDER, *_THAT_DAY],
        right_on=[SENDER, *_ITS_DAY],
        how="left",
        maintain_order="left",
    )
    return answered(counted, pl.col("entries") >= _missed)


def _period_is_written_one_way(lines: pl.DataFrame, _: Seen) -> pl.Series:
    """Compares the shapes of periods with a number in them: ``9``, ``Period 9``."""
    shaped = lines.select(
        FILE,
        pl.when(pl.col("Period").str.contains("[0-9]"))
        .then(pl.col("Period").str.to_lowercase().str.replace_all("[0-9]+", "9"))
        .alias("shape"),
    )
    usual = (
        shaped.drop_nulls()
        .group_by(FILE, "shape", maintain_order=True)
        .len()
        .sort("len", descending=True, maintain_order=True)
        .group_by(FILE, maintain_order=True)
        .agg(pl.col("shape").first().alias("usual"))
    )
    compared = shaped.join(usual, on=FILE, how="left", maintain_order="left")
    return answered(compared, pl.col("shape") == pl.col("usual"))


ATTENDANCE_EXCEPTIONS = (
    _rule(
        "ATX-1",
        _MISSING_ELSEWHERE,
        "The student missed periods on this day, and the attendance exceptions have no line for "
        "it.",
        "Send an exception for each absence.",
        across=(
            by_child(
                lines_of=ATP,
                column="PeriodsAttended",
                sees={ATX: _ITS_DAY},
                holds=_each_absence_has_its_exception,
            ),
        ),
    ),
    _rule(
        "ATX-2",
        _ONE_OF_SEVERAL,
        "The student has another exception for this period, or fewer exceptions on a day than "
        "periods missed.",
        "Send one exception for each missed period, or for the day where attendance is by day.",
        across=(
            by_child(
                lines_of=ATX,
                column="Period",
                holds=lambda lines, _: repeats(lines, _ITS_PERIOD),
            ),
            by_child(
                lines_of=ATP,
                column="PeriodsAttended",
                sees={ATX: _ITS_PERIOD},
                holds=_each_missed_period_has_its_entry,
            ),
        ),
    ),
    _rule(
        "ATX-3",
        _STILL_USABLE,
        "Period is written in another way than in most lines of the file.",
        "Write periods one way throughout: 1, or Period 1.",
        across=(
            Across(
                lines_of=ATX,
                column="Period",
                holds=_period_is_written_one_way,
                looks_at=("Period",),
            ),
        ),
    ),
)


# --- test scores ------------------------------------------------------------------------------


Enrollments = Callable[[pl.DataFrame, pl.DataFrame, str], pl.DataFrame]


def _agrees(lines_of: str, cell: str, then: Enrollments, when: str) -> Across:
    """Whether the line has the ``cell`` of one of the enrollments at its date or year ``when``."""
    compared = grade if cell == "Grade" else pl.col

    def holds(lines: pl.DataFrame, seen: Seen) -> pl.Series:
        enrollments = then(lines, seen[ENR], when)
        return agrees(lines, enrollments, compared(cell), compared(f"then_{cell}"))

    return by_child(lines_of=lines_of, column=cell, sees={ENR: (*_ENROLLED, cell)}, holds=holds)


def _tests_of_the_system_are_there(lines: pl.DataFrame, _: Seen) -> pl.Series:
    present = lines.select(FILE, "_tests", normalised_test().alias("test"))
    there = present.group_by(FILE).agg(
        pl.col("test").drop_nulls().unique().alias("there"), pl.col("_tests").first()
    )
    lacking = there.filter(pl.col("_tests").list.set_difference("there").list.len() > 0)[FILE]
    return told_once(lines, lines[FILE].is_in(lacking.implode()), ())


TEST_SCORES = (
    _rule(
        "TST-1",
        _WRONG_IN_ITSELF,
        "The score has no test date.",
        "Fill TestDate with the day of the test.",
        column="TestDate",
    ),
    _rule(
        "TST-2",
        _OTHER_MAY_BE_WRONG,
        "The score has no grade level, or another one than the enrollment on the day of the test.",
        "Fill Grade with the grade in which the student was on that day.",
        column="Grade",
        across=(_agrees(TST, "Grade", enrolled_on, "TestDate"),),
    ),
    _rule(
        "TST-3",
        _OTHER_MAY_BE_WRONG,
        "The score has no CDS code, or that of another school than the enrollment on the day of "
        "the test.",
        "Fill SchoolCDSCode with the school in which the student was on that day.",
        column="SchoolCDSCode",
        across=(_agrees(TST, "SchoolCDSCode", enrolled_on, "TestDate"),),
    ),
    _rule(
        "TST-4",
        _MISSING_ELSEWHERE,
        "The file has no score of a test that the student system holds. Which tests it holds, the "
        "district's profile says.",
        "Send CST, CMA, CAPA, CAHSEE and CELDT scores as far as your system has them.",
        across=(
            Across(
                lines_of=TST,
                column="TestType",
                holds=_tests_of_the_system_are_there,
                looks_at=("TestSubType", "TestType", "TestDescription", "_tests"),
            ),
        ),
    ),
)


# --- special education ------------------------------------------------------------------------

_exit_from_services = pl.coalesce(
    pl.col("SpecProgXDate").str.to_date(form, strict=False) for form in ("%Y-%m-%d", "%m/%d/%Y")
)
_receives_services = ~(_exit_from_services < pl.col("_on")).fill_null(value=False)
_needed = [
    name
    for name, declared in SpecialEducation.to_schema().columns.items()
    if (declared.metadata or {})["requirement"] is Requirement.REQUIRED
]


def _one_line_each(lines: pl.DataFrame, _: Seen) -> pl.Series:
    """A line that is not loaded does not stand in the way of the one that is right."""
    stands = pl.all_horizontal(pl.col(name).is_not_null() for name in _needed) & _receives_services
    keys = (pl.when(stands).then(name) for name in CHILD)
    return repeats(lines, [*keys])


SPECIAL_EDUCATION = (
    _rule(
        "SPE-1",
        _NOT_TO_BE_SENT,
        "The student has another line in this file: the first one stands.",
        "Send one line for each student, with the primary disability.",
        across=(by_child(lines_of=SPE, column="SISLocalID", holds=_one_line_each),),
    ),
    _rule(
        "SPE-2",
        _NOT_TO_BE_SENT,
        "The student is not in the demographics extract.",
        "Send only students of demographics.",
        across=(
            by_child(
                lines_of=SPE,
                column="SISLocalID",
                sees={DEM: CHILD},
                holds=lambda lines, seen: is_among(lines, seen[DEM]),
            ),
        ),
    ),
    _rule(
        "SPE-3",
        _NOT_TO_BE_SENT,
        "The student has left special education.",
        "Send only students who receive services now.",
        across=(
            by_child(
                lines_of=SPE,
                column="SpecProgXDate",
                holds=lambda lines, _: answered(lines, _receives_services),
            ),
        ),
    ),
)


# --- gpa --------------------------------------------------------------------------------------

_grade_in_term = (
    pl.col("TermDescript")
    .str.to_lowercase()
    .str.extract(r"\b(?:grade\s*|gr\.?\s*)([0-9]{1,2})\b")
    .fill_null(
        pl.col("TermDescript")
        .str.to_lowercase()
        .str.extract(r"\b([0-9]{1,2})(?:st|nd|rd|th)?\s*grade\b")
    )
    .str.zfill(2)
)

GPAS = (
    _rule(
        "GPA-1",
        _WRONG_IN_ITSELF,
        "The average has no calculation date.",
        "Fill CalculationDate.",
        column="CalculationDate",
    ),
    _rule(
        "GPA-2",
        _FILED_WRONGLY,
        "The average has no term, or the term names another grade level than Grade.",
        "Fill TermDescript with the term, in the grade level of that term.",
        column="TermDescript",
        passes=_grade_in_term == grade("Grade"),
    ),
    _rule(
        "GPA-3",
        _FILED_WRONGLY,
        "The average has no grade level, or none that the student had in that school year.",
        "Fill Grade with the grade level at the time.",
        column="Grade",
        across=(_agrees(GPA, "Grade", enrolled_in_year, "SchoolYear"),),
    ),
    _rule(
        "GPA-4",
        _FILED_WRONGLY,
        "The average has no school code, or that of a school in which the student was not "
        "enrolled in that school year.",
        "Fill SISSchoolCode with the school where the average was earned.",
        column="SISSchoolCode",
        across=(_agrees(GPA, "SISSchoolCode", enrolled_in_year, "SchoolYear"),),
    ),
    _rule(
        "GPA-5",
        _FILED_WRONGLY,
        "The average has no CDS code, or that of a school in which the student was not enrolled "
        "in that school year.",
        "Fill SchoolCDSCode with the school where the average was earned.",
        column="SchoolCDSCode",
        across=(_agrees(GPA, "SchoolCDSCode", enrolled_in_year, "SchoolYear"),),
    ),
)


# --- behavior ---------------------------------------------------------------------------------

_suspended = pl.col("PenaltyTypeDesc").str.to_lowercase().str.contains("suspen")


def _school_has_this_cds_code(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    school, pair = ("SISSchoolCode",), ("SISSchoolCode", "SchoolCDSCode")
    known = seen[ENR].drop_nulls(pair)
    right = is_among(lines, known, ("SISSchoolCode", "EventSchoolCDSCode"), pair)
    return ~is_among(lines, known, school) | right


def _items(column: str) -> pl.Expr:
    return (
        pl.col(column).str.to_lowercase().str.split(",").list.eval(pl.element().str.strip_chars())
    )


def _suspensions_have(column: str) -> Across:
    given = ~_suspended | pl.col(column).is_not_null()
    return by_child(lines_of=BEH, column=column, holds=lambda lines, _: answered(lines, given))


def _each_penalty_of_a_day_once(lines: pl.DataFrame, _: Seen) -> pl.Series:
    each = lines.select(ROW, FILE, *CHILD, "PenEventDate", _items("PenaltyTypeDesc").alias("item"))
    each = each.explode("item").drop_nulls().unique([ROW, "item"], maintain_order=True)
    again = each.filter(~pl.struct(FILE, *CHILD, "PenEventDate", "item").is_first_distinct())
    return answered(lines, ~pl.col(ROW).is_in(again[ROW].unique().implode()))


def _suspension_has_its_event(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    away = lines.filter(pl.col("AttendDescript").str.to_lowercase().str.contains("suspen"))
    year = school_year("AttendDate").alias("year")
    events = seen[BEH].select(
        SENDER, *CHILD, "PenEventDate", school_year("PenEventDate").alias("year")
    )
    found = away.select(ROW, SENDER, *CHILD, "AttendDate", year).join(
        events, on=[SENDER, *CHILD, "year"]
    )
    explained = found.filter(pl.col("PenEventDate") <= pl.col("AttendDate"))[ROW].unique()
    missing = answered(
        lines,
        told_by(seen[BEH])
        & pl.col(ROW).is_in(away[ROW].implode())
        & ~pl.col(ROW).is_in(explained.implode()),
    )
    return told_once(lines, missing, CHILD)


BEHAVIOR = (
    _rule(
        "BEH-1",
        _WRONG_IN_ITSELF,
        "The incident has no date.",
        "Fill PenEventDate.",
        column="PenEventDate",
    ),
    _rule(
        "BEH-2",
        _WRONG_IN_ITSELF,
        "A suspension has no first day, or no number of days.",
        "Fill BegServeDate and NumServDays of every suspension.",
        across=(_suspensions_have("BegServeDate"), _suspensions_have("NumServDays")),
    ),
    _rule(
        "BEH-3",
        _WRONG_IN_ITSELF,
        "The incident has no CDS code, or not that of the school SISSchoolCode.",
        "Fill EventSchoolCDSCode with the school where the incident happened.",
        column="EventSchoolCDSCode",
        across=(
            by_child(
                lines_of=BEH,
                column="EventSchoolCDSCode",
                sees={ENR: ("SISSchoolCode", "SchoolCDSCode")},
                holds=_school_has_this_cds_code,
            ),
        ),
    ),
    _rule(
        "BEH-4",
        _STILL_USABLE,
        "Several penalties stand in the line, and not as many codes as descriptions.",
        "List code and description of each penalty of the day, with commas between them.",
        column="PenaltyTypeCode",
        passes=_items("PenaltyTypeCode").list.len() == _items("PenaltyTypeDesc").list.len(),
    ),
    _rule(
        "BEH-5",
        _ONE_OF_SEVERAL,
        "The student's penalty of this day stands in another line too.",
        "Send each penalty of a student and day in one line.",
        across=(
            by_child(lines_of=BEH, column="PenaltyTypeDesc", holds=_each_penalty_of_a_day_once),
        ),
    ),
    _rule(
        "BEH-6",
        _MISSING_ELSEWHERE,
        "The student was absent under a suspension of which the behavior extract has no incident.",
        "Send all incidents of the student, also those of the past.",
        across=(
            by_child(
                lines_of=ATX,
                column="AttendDescript",
                sees={BEH: (*CHILD, "PenEventDate")},
                holds=_suspension_has_its_event,
            ),
        ),
    ),
)


# --- transcripts ------------------------------------------------------------------------------


_AUTUMN = (
    r"(?i)\b(?:fall|autumn|(?:s|sem|semester|t|tri|trimester)[ .-]?(?:1|i|one)|"
    r"(?:q|qtr|quarter)[ .-]?[12]|(?:1st|first) (?:sem|semester|tri|trimester|qtr|quarter)|"
    r"(?:2nd|second) (?:qtr|quarter))\b"
)
"""Terms that end with the calendar year in which the school year begins, or soon after."""


def _year_is_that_of_the_spring(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    """Whether the school year has begun, and an autumn term's is not the year of the autumn.

    The student's other marks or enrollments say the latter: in the year of the mark, the student
    was not in the mark's grade, and in the next one the student was.
    """
    begun = (pl.col("SchYear") <= pl.min_horizontal(school_year("trDate"), "_this_year")).fill_null(
        value=True
    )
    autumn = pl.col("TermDescript").str.contains(_AUTUMN).fill_null(value=False)
    in_grade = lines.select(
        ROW, SENDER, *CHILD, "_this_year", "SchYear", grade("Grade"), autumn=autumn
    )
    springs = in_grade.filter(~pl.col("autumn")).select(SENDER, *CHILD, "SchYear", "Grade").unique()
    here = pl.col("SchoolCDSCode").str.starts_with(pl.col("SystemID")).fill_null(value=False)

    def in_year(shift: int) -> tuple[pl.Series, pl.Series]:
        """Whether another mark, and an enrollment, has the line's grade in a year."""
        asked = in_grade.with_columns(pl.col("SchYear") + shift)
        marked = asked.join(
            springs.with_columns(found=pl.lit(value=True)),
            on=[SENDER, *CHILD, "SchYear", "Grade"],
            how="left",
            maintain_order="left",
        )["found"].fill_null(value=False)
        then = enrolled_in_year(asked, seen[ENR], "SchYear")
        same = then.join(asked.select(ROW, "Grade"), on=ROW).filter(
            grade("then_Grade") == pl.col("Grade")
        )
        return marked, asked[ROW].is_in(same[ROW].unique().implode())

    marked, enrolled = in_year(0)
    marked_next, enrolled_next = in_year(1)
    a_year_early = (marked_next & ~marked & ~enrolled) | (
        enrolled_next & ~enrolled & ~marked & answered(lines, here)
    )
    return answered(lines, begun) & ~(in_grade["autumn"] & a_year_early)


def _high_school_has_transcripts(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    current = seen[ENR].filter(_overlaps_this_year() & grade("Grade").is_in(HIGH_SCHOOL))
    in_high_school = is_among(lines, current).fill_null(value=False)
    return ~in_high_school | is_among(lines, seen[TRN])


def _school_awarded_the_credits(lines: pl.DataFrame, seen: Seen) -> pl.Series:
    """Not the school of today's enrollment, where the year's enrollments are all elsewhere."""
    then = enrolled_in_year(lines, seen[ENR], "SchYear")
    awarding = agrees(lines, then, pl.col("SchoolCDSCode"), pl.col("then_SchoolCDSCode"))
    today = seen[ENR].filter(_overlaps_this_year())
    attends = is_among(lines, today, (*CHILD, "SchoolCDSCode"))
    return ~attends.fill_null(value=False) | awarding


TRANSCRIPTS = (
    _rule(
        "TRN-1",
        _WRONG_IN_ITSELF,
        "The mark has no school year, or one that is yet to come or began after the transcript was "
        "processed; or it is of an autumn term and has the year of that autumn.",
        "Fill SchYear with the year in whose spring the school year ends: 2027 for autumn 2026.",
        column="SchYear",
        across=(
            by_child(
                lines_of=TRN,
                column="SchYear",
                sees={ENR: (*_ENROLLED, "Grade")},
                holds=_year_is_that_of_the_spring,
            ),
        ),
    ),
    _rule(
        "TRN-2",
        _OTHER_MAY_BE_WRONG,
        "Grade is none that the student had in the school year of the mark.",
        "Send the grade level at the time of the mark, and for marks of another district its CDS "
        "code or name as the school.",
        across=(_agrees(TRN, "Grade", enrolled_in_year, "SchYear"),),
    ),
    _rule(
        "TRN-3",
        _STILL_USABLE,
        "A field is blank. Only UCCSUApprovedCourse may be.",
        "Fill the field.",
    ),
    _rule(
        "TRN-4",
        _MISSING_ELSEWHERE,
        "The student is in grade 9 to 12 and has no line in the transcripts.",
        "Send the transcripts of every student of grades 9 to 12.",
        across=(
            by_child(
                lines_of=DEM,
                column="SISLocalID",
                sees={ENR: (*_ENROLLED, "Grade"), TRN: CHILD},
                holds=_high_school_has_transcripts,
            ),
        ),
    ),
    _rule(
        "TRN-5",
        _OTHER_MAY_BE_WRONG,
        "The school is the one that the student attends now, not the one of the year of the mark.",
        "Send code and CDS code of the school that awarded the credits.",
        across=(
            by_child(
                lines_of=TRN,
                column="SchoolCDSCode",
                sees={ENR: (*_ENROLLED, "SchoolCDSCode")},
                holds=_school_awarded_the_credits,
            ),
        ),
    ),
)
