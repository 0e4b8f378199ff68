"""Each of the 41 rules under "Verify Data Meets", broken alone among nine extracts that fit.

Belongs here: per rule, and per way to break it, what is changed in a good set of extracts and where
the rule then speaks; beside it what looks alike and is right. The sets are verified in one night,
each from a district of its own with its own profile. Does not belong here: what follows from a
column's declaration alone (test_every_rule_bites), rules of the running text
(test_foster_focus_other_rules).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.dictionary.markdown import render_markdown
from ccgi_pipeline.feeds.foster_focus import FEEDS, NAME
from ccgi_pipeline.feeds.registry import RULES
from ccgi_pipeline.feeds.rules import Severity
from ccgi_pipeline.profiles import (
    DistrictProfile,
    FosterFocusProfile,
    OneRosterProfile,
    Profiles,
)
from ccgi_pipeline.verification.severities import Severities
from ccgi_pipeline_tests.files import DISTRICT, ON, broken_rules, good_set, verified
from ccgi_pipeline_tests.foster_focus_sets import (
    ADDED,
    ANOTHER_SCHOOL,
    ATP,
    ATX,
    BEH,
    COUNTY_SCHOOL,
    DEM,
    ENR,
    EXTRACTS,
    FIRST,
    GPA,
    LINE,
    SPE,
    TRN,
    TST,
    Case,
    Extracts,
    Night,
    added,
    changed,
    name_of,
    of_all,
    removed,
)

HOW_MANY = {
    "DEM": 3, "ENR": 7, "ATP": 5, "ATX": 3, "TST": 4, "SPE": 3, "GPA": 5, "BEH": 6, "TRN": 5,
}  # fmt: skip
"""The rules on pages 6 to 18 of the specification, counted there."""
THE_41 = tuple(f"{extract}-{n}" for extract, many in HOW_MANY.items() for n in range(1, many + 1))

SCHOOL_DAYS = ("2026-09-08", "2026-09-09", "2026-09-10", "2026-09-11", "2026-09-14", "2026-09-15")


def on_school_days(sent: Extracts, _: str) -> None:
    """Attendance of days that a calendar allows: one for each student, the last on a Tuesday."""
    for extract, day in ((ATP, "SchoolDate"), (ATX, "AttendDate")):
        sent[extract] = [
            {**line, day: written} for line, written in zip(sent[extract], SCHOOL_DAYS, strict=True)
        ]


LAST_YEAR = {"EntryDate": "2025-08-18", "ExitDate": "2026-06-12", "Grade": "10"}
"""An enrollment in grade 10, in the school year before that of the night."""
ELSEWHERE = {"SISSchoolCode": "900", "SchoolCDSCode": COUNTY_SCHOOL}
"""A school of another district, which awarded the credits."""
OPEN = {"ExitDate": "", "CompletionStatus": ""}
CALENDAR = FosterFocusProfile(
    first_school_day=date(2026, 8, 17),
    last_school_day=date(2027, 6, 11),
    no_school=(date(2026, 9, 7),),
)
BLANK_IS_TOLD = "a blank in a recommended column is told as such, too"

CASES = (
    # --- demographics ---
    Case(
        "DEM-1",
        "a student with an open enrollment is not in demographics",
        [removed(*(set(EXTRACTS) - {ENR})), changed(ENR, **OPEN)],
        [(ENR, LINE, "SISLocalID")],
    ),
    Case(
        "DEM-1",
        "a student whose enrollment ends later than tonight is not in demographics",
        [removed(*(set(EXTRACTS) - {ENR})), changed(ENR, ExitDate=f"{ON}")],
        [(ENR, LINE, "SISLocalID")],
    ),
    Case(
        "DEM-1",
        "nobody in demographics is enrolled",
        [of_all(DEM, ExitDate="2026-11-19")],
        [(DEM, FIRST, "ExitDate")],
    ),
    Case(
        "DEM-2",
        "a student who left this school year is not in demographics",
        [removed(*(set(EXTRACTS) - {ENR})), changed(ENR, ExitDate="2026-11-19")],
        [(ENR, LINE, "SISLocalID")],
    ),
    Case(
        "DEM-2",
        "a student who left this school year has an entry date of another one",
        [changed(DEM, EntryDate="2025-08-18", ExitDate="2026-10-02")],
        [(DEM, LINE, "EntryDate")],
    ),
    Case(
        "DEM-3",
        "a student left before this school year",
        [changed(DEM, EntryDate="2025-08-18", ExitDate="2026-06-12")],
        [(DEM, LINE, "ExitDate")],
    ),
    Case(
        "DEM-3",
        "a student's enrollments all ended before this school year",
        [
            changed(ENR, **LAST_YEAR),
            changed(ATP, SchoolDate="2026-05-04", SchoolYear="2026"),
            changed(ATX, AttendDate="2026-05-04"),
        ],
        [(DEM, LINE, "ExitDate")],
    ),
    # --- enrollment history ---
    Case(
        "ENR-1",
        "an enrollment of an earlier school year is open",
        [changed(ENR, EntryDate="2025-08-18", **OPEN)],
        [(ENR, LINE, "ExitDate")],
    ),
    Case(
        "ENR-2",
        "a student has two open enrollments",
        [changed(ENR, **OPEN), added(ENR, EntryDate="2026-10-05")],
        [(ENR, LINE, "ExitDate"), (ENR, ADDED, "ExitDate")],
    ),
    Case(
        "ENR-3",
        "a mark is of a year without an enrollment",
        [changed(TRN, SchYear="2025", Grade="09")],
        [(TRN, LINE, "SchYear")],
    ),
    Case(
        "ENR-3",
        "an average is of a year without an enrollment",
        [changed(GPA, SchoolYear="2025", Grade="09")],
        [(GPA, LINE, "SchoolYear")],
    ),
    Case(
        "ENR-4",
        "an enrollment has no CDS code",
        [added(ENR, **LAST_YEAR, SchoolCDSCode="")],
        [(ENR, ADDED, "SchoolCDSCode")],
    ),
    Case(
        "ENR-5",
        "grade 12 ended without a completion status",
        [added(ENR, **{**LAST_YEAR, "Grade": "12"}, CompletionStatus="")],
        [(ENR, ADDED, "CompletionStatus")],
    ),
    Case(
        "ENR-6",
        "a student of demographics is not in the enrollment history",
        [removed(ENR)],
        [(DEM, LINE, "SISLocalID")],
    ),
    Case(
        "ENR-7",
        "a student attended a second school without an enrollment in it",
        [added(ATP, SchoolDate="2026-09-28", PeriodsAttended="6", SchoolCDSCode=ANOTHER_SCHOOL)],
        [(ATP, ADDED, "SchoolCDSCode")],
    ),
    # --- attendance periods ---
    Case(
        "ATP-1",
        "a student has two lines for one day",
        [added(ATP)],
        [(ATP, ADDED, "SchoolDate")],
    ),
    Case(
        "ATP-1",
        "a student has a line for a Saturday",
        [
            on_school_days,
            changed(ATP, SchoolDate="2026-09-12"),
            changed(ATX, AttendDate="2026-09-12"),
        ],
        [(ATP, LINE, "SchoolDate")],
        CALENDAR,
    ),
    Case(
        "ATP-1",
        "a student has a line for Labor Day",
        [
            on_school_days,
            changed(ATP, SchoolDate="2026-09-07"),
            changed(ATX, AttendDate="2026-09-07"),
        ],
        [(ATP, LINE, "SchoolDate")],
        CALENDAR,
    ),
    Case(
        "ATP-1",
        "a student has no line for a school day between two others",
        [on_school_days, added(ATP, SchoolDate="2026-09-17", PeriodsAttended="6")],
        [(ATP, ADDED, "SchoolDate")],
        CALENDAR,
    ),
    Case(
        "ATP-2",
        "a student of demographics has no attendance",
        [removed(ATP)],
        [(DEM, LINE, "SISLocalID")],
    ),
    Case(
        "ATP-3",
        "a student in grade 3 has six periods",
        [changed(ENR, TST, GPA, TRN, Grade="3")],
        [(ATP, LINE, "PeriodsEnrolled")],
    ),
    Case(
        "ATP-3",
        "a student in kindergarten has six periods",
        [changed(ENR, Grade="K"), changed(TST, GPA, TRN, Grade="KN")],
        [(ATP, LINE, "PeriodsEnrolled")],
        FosterFocusProfile(elementary_through_grade=0),
    ),
    Case(
        "ATP-3",
        "a student in a self-contained classroom has six periods",
        [changed(ATP, SISSchoolCode="150")],
        [(ATP, LINE, "PeriodsEnrolled")],
        FosterFocusProfile(self_contained_schools=("150",)),
    ),
    Case(
        "ATP-4",
        "more periods are attended than enrolled",
        [changed(ATP, PeriodsAttended="7")],
        [(ATP, LINE, "PeriodsAttended")],
    ),
    Case(
        "ATP-5",
        "a student is enrolled in a second school and never attends it",
        [added(ENR, EntryDate="2026-08-18", SISSchoolCode="900", SchoolCDSCode=COUNTY_SCHOOL)],
        [(ENR, ADDED, "SchoolCDSCode")],
    ),
    # --- attendance exceptions ---
    Case(
        "ATX-1",
        "a student missed a period and no exception says so",
        [removed(ATX)],
        [(ATP, LINE, "PeriodsAttended")],
    ),
    Case(
        "ATX-2",
        "a student has two exceptions for one period",
        [added(ATX)],
        [(ATX, ADDED, "Period")],
    ),
    Case(
        "ATX-2",
        "a student missed two periods and has one exception",
        [changed(ATP, PeriodsAttended="4")],
        [(ATP, LINE, "PeriodsAttended")],
    ),
    Case(
        "ATX-3",
        "one period is written with a word, the others are numbers",
        [changed(ATX, Period="Period 6")],
        [(ATX, LINE, "Period")],
    ),
    # --- test scores ---
    Case("TST-1", "a score has no date", [changed(TST, TestDate="")], [(TST, LINE, "TestDate")]),
    Case("TST-2", "a score has no grade", [changed(TST, Grade="")], [(TST, LINE, "Grade")]),
    Case(
        "TST-2",
        "a score has another grade than the enrollment of its day",
        [changed(TST, Grade="10")],
        [(TST, LINE, "Grade")],
    ),
    Case(
        "TST-3",
        "a score has no CDS code",
        [changed(TST, SchoolCDSCode="")],
        [(TST, LINE, "SchoolCDSCode")],
    ),
    Case(
        "TST-3",
        "a score has another school than the enrollment of its day",
        [changed(TST, SchoolCDSCode=ANOTHER_SCHOOL)],
        [(TST, LINE, "SchoolCDSCode")],
    ),
    Case(
        "TST-4",
        "no score is of a test that the student system holds",
        [],
        [(TST, FIRST, "TestType")],
        FosterFocusProfile(tests_in_sis=("CST", "CELDT")),
    ),
    # --- special education ---
    Case("SPE-1", "a student has two lines", [added(SPE)], [(SPE, ADDED, "SISLocalID")]),
    Case(
        "SPE-2",
        "a student is not in demographics",
        [added(SPE, SISLocalID="L999999")],
        [(SPE, ADDED, "SISLocalID")],
    ),
    Case(
        "SPE-3",
        "a student left special education yesterday",
        [changed(SPE, SpecProgXDate="2026-11-19")],
        [(SPE, LINE, "SpecProgXDate")],
    ),
    Case(
        "SPE-3",
        "a student left special education on a day written the American way",
        [changed(SPE, SpecProgXDate="6/12/2026")],
        [(SPE, LINE, "SpecProgXDate")],
    ),
    Case(
        "SPE-3",
        "a student has a line that ended and one that goes on",
        [changed(SPE, SpecProgXDate="2026-06-12"), added(SPE, SpecProgXDate="")],
        [(SPE, LINE, "SpecProgXDate")],
    ),
    # --- gpa ---
    Case(
        "GPA-1",
        "an average has no calculation date",
        [changed(GPA, CalculationDate="")],
        [(GPA, LINE, "CalculationDate")],
    ),
    Case(
        "GPA-2",
        "an average has no term",
        [changed(GPA, TermDescript="")],
        [(GPA, LINE, "TermDescript")],
    ),
    Case(
        "GPA-2",
        "the term names another grade",
        [changed(GPA, TermDescript="Grade 9 Semester 1")],
        [(GPA, LINE, "TermDescript")],
    ),
    Case(
        "GPA-2",
        "the term names another grade as an ordinal",
        [changed(GPA, TermDescript="Fall, 10th grade")],
        [(GPA, LINE, "TermDescript")],
    ),
    Case("GPA-3", "an average has no grade", [changed(GPA, Grade="")], [(GPA, LINE, "Grade")]),
    Case(
        "GPA-3",
        "an average has a grade that the student did not have in its year",
        [changed(GPA, Grade="10")],
        [(GPA, LINE, "Grade")],
    ),
    Case(
        "GPA-4",
        "an average has no school",
        [changed(GPA, SISSchoolCode="")],
        [(GPA, LINE, "SISSchoolCode")],
    ),
    Case(
        "GPA-4",
        "an average has a school that the student did not attend in its year",
        [changed(GPA, SISSchoolCode="900")],
        [(GPA, LINE, "SISSchoolCode")],
    ),
    Case(
        "GPA-5",
        "an average has no CDS code",
        [changed(GPA, SchoolCDSCode="")],
        [(GPA, LINE, "SchoolCDSCode")],
    ),
    Case(
        "GPA-5",
        "an average has the CDS code of a school that the student did not attend in its year",
        [changed(GPA, SchoolCDSCode=COUNTY_SCHOOL)],
        [(GPA, LINE, "SchoolCDSCode")],
    ),
    # --- behavior ---
    Case(
        "BEH-1",
        "an incident has no date",
        [changed(BEH, PenEventDate="")],
        [(BEH, LINE, "PenEventDate")],
    ),
    Case(
        "BEH-2",
        "a suspension has no first day",
        [changed(BEH, PenaltyTypeDesc="Principal Suspension", BegServeDate="")],
        [(BEH, LINE, "BegServeDate")],
        besides={"FF-BEH-REQ-BegServeDate": BLANK_IS_TOLD},
    ),
    Case(
        "BEH-2",
        "a suspension has no number of days",
        [changed(BEH, PenaltyTypeDesc="Suspended", NumServDays="")],
        [(BEH, LINE, "NumServDays")],
        besides={"FF-BEH-REQ-NumServDays": BLANK_IS_TOLD},
    ),
    Case(
        "BEH-3",
        "an incident has no CDS code",
        [changed(BEH, EventSchoolCDSCode="")],
        [(BEH, LINE, "EventSchoolCDSCode")],
    ),
    Case(
        "BEH-3",
        "an incident has the CDS code of another school than its local code",
        [changed(BEH, EventSchoolCDSCode=ANOTHER_SCHOOL)],
        [(BEH, LINE, "EventSchoolCDSCode")],
    ),
    Case(
        "BEH-4",
        "two penalties have one code",
        [changed(BEH, PenaltyTypeDesc="Detention, Parent Conference")],
        [(BEH, LINE, "PenaltyTypeCode")],
    ),
    Case(
        "BEH-5",
        "a penalty of a day stands in two lines",
        [added(BEH)],
        [(BEH, ADDED, "PenaltyTypeDesc")],
    ),
    Case(
        "BEH-5",
        "a penalty of a day stands in another line among others",
        [added(BEH, PenaltyTypeDesc="Parent Conference,DETENTION", PenaltyTypeCode="13,12")],
        [(BEH, ADDED, "PenaltyTypeDesc")],
    ),
    Case(
        "BEH-6",
        "a student was absent under a suspension without an incident",
        [changed(ATX, AttendDescript="Suspended"), removed(BEH)],
        [(ATX, LINE, "AttendDescript")],
    ),
    # --- transcripts ---
    Case(
        "TRN-1", "a mark has no school year", [changed(TRN, SchYear="")], [(TRN, LINE, "SchYear")]
    ),
    Case(
        "TRN-1",
        "a mark's school year began after the transcript was processed",
        [changed(TRN, SchYear="2028")],
        [(TRN, LINE, "SchYear")],
    ),
    Case(
        "TRN-1",
        "a mark's school year is yet to come, and so is the day of the transcript",
        [changed(TRN, SchYear="2028", trDate="2028-01-31")],
        [(TRN, LINE, "SchYear")],
    ),
    Case(
        "TRN-1",
        "a mark of an autumn term has the year of the autumn, by the enrollments",
        [
            added(ENR, **LAST_YEAR),
            changed(TRN, SchYear="2026", TermDescript="Sem 1"),
        ],
        [(TRN, LINE, "SchYear")],
        besides={"FF-TRN-2": "the enrollments have another grade in that year"},
    ),
    Case(
        "TRN-1",
        "a mark of an autumn term has the year of the autumn, by the mark of the spring",
        [
            changed(TRN, SchYear="2025", TermDescript="Fall", Grade="9", **ELSEWHERE),
            added(TRN, SchYear="2026", TermDescript="Spring", Grade="9", **ELSEWHERE),
        ],
        [(TRN, LINE, "SchYear")],
    ),
    Case(
        "TRN-2",
        "a mark has a grade that the student did not have in its year",
        [changed(TRN, Grade="10")],
        [(TRN, LINE, "Grade")],
    ),
    Case("TRN-3", "a field is blank", [changed(TRN, markDesc1="")], [(TRN, LINE, "markDesc1")]),
    Case(
        "TRN-4",
        "a student in grade 11 has no transcript",
        [removed(TRN)],
        [(DEM, LINE, "SISLocalID")],
    ),
    Case(
        "TRN-5",
        "a mark of last year has the school of today",
        [
            added(ENR, **LAST_YEAR, SISSchoolCode="900", SchoolCDSCode=COUNTY_SCHOOL),
            changed(TRN, SchYear="2026", Grade="10"),
        ],
        [(TRN, LINE, "SchoolCDSCode")],
    ),
)

ALIKE = (
    Case(
        "TRN-1",
        "autumn and spring of a year have the same year",
        [
            added(ENR, **LAST_YEAR),
            changed(TRN, SchYear="2026", TermDescript="Q1", Grade="10"),
            added(TRN, SchYear="2026", TermDescript="Q3", Grade="10"),
            added(TRN, SchYear="2027", TermDescript="Q1", Grade="11", UniqueID="third"),
        ],
    ),
    Case(
        "TRN-1",
        "a student repeats a grade, and left it in autumn the first time",
        [
            added(ENR, **{**LAST_YEAR, "Grade": "11"}),
            changed(TRN, SchYear="2026", TermDescript="1st Semester"),
            added(TRN, SchYear="2027", TermDescript="2nd Semester"),
        ],
    ),
    Case(
        "DEM-1",
        "one student of demographics is still enrolled tonight",
        [of_all(DEM, ExitDate="2026-11-19"), changed(DEM, ExitDate=f"{ON}")],
    ),
    Case("DEM-2", "a student left this year", [changed(DEM, ENR, ExitDate="2026-11-19")]),
    Case(
        "ENR-1",
        "an open enrollment of an earlier year is closed by the profile",
        [changed(ENR, EntryDate="2025-08-18", **OPEN)],
        profile=FosterFocusProfile(close_enrollments_on="06-12"),
    ),
    Case(
        "ENR-2",
        "an enrollment is open, an earlier one is closed",
        [
            changed(ENR, **OPEN),
            added(ENR, **LAST_YEAR, CompletionStatus="480"),
        ],
    ),
    Case(
        "ENR-3",
        "a mark of an earlier year is of another district's school",
        [changed(TRN, SchYear="2025", Grade="09", SchoolCDSCode=COUNTY_SCHOOL)],
    ),
    Case(
        "ENR-5",
        "grade 12 goes on",
        [
            changed(ENR, Grade="12", **OPEN),
            changed(TST, GPA, TRN, Grade="12"),
        ],
    ),
    Case(
        "ATP-1",
        "every school day has its line",
        [
            on_school_days,
            added(ATP, SchoolDate="2026-09-16", PeriodsAttended="6"),
        ],
        profile=CALENDAR,
    ),
    Case(
        "ATP-1",
        "a weekend lies between two lines",
        [
            on_school_days,
            changed(ATP, SchoolDate="2026-09-11"),
            changed(ATX, AttendDate="2026-09-11"),
            added(ATP, SchoolDate="2026-09-14", PeriodsAttended="6"),
        ],
        profile=CALENDAR,
    ),
    Case(
        "ATP-3",
        "grade 3 has periods where the profile says that elementary school ends with grade 2",
        [changed(ENR, TST, GPA, TRN, Grade="3")],
        profile=FosterFocusProfile(elementary_through_grade=2),
    ),
    Case(
        "ATP-3",
        "grade 3 attends by day",
        [
            changed(ENR, TST, GPA, TRN, Grade="3"),
            changed(ATP, PeriodsEnrolled="1", PeriodsAttended="0"),
        ],
    ),
    Case(
        "ATX-2",
        "a day's absence has its entry for each period",
        [
            changed(ATP, PeriodsAttended="4"),
            added(ATX, Period="1"),
        ],
    ),
    Case("ATX-3", "a period has no number", [changed(ATX, Period="Homeroom")]),
    Case(
        "TST-2",
        "a grade is written in two ways",
        [
            changed(ENR, Grade="09"),
            changed(TST, GPA, TRN, Grade="9"),
        ],
    ),
    Case(
        "TST-4",
        "the tests of the student system are there, one by its long name",
        [
            added(
                TST,
                TestSubType="Overall",
                TestDescription="Calif. English Language Development Test",
            )
        ],
        profile=FosterFocusProfile(tests_in_sis=("CST", "CELDT")),
    ),
    Case("SPE-3", "special education ends tonight", [changed(SPE, SpecProgXDate=f"{ON}")]),
    Case("GPA-2", "a term names its grade", [changed(GPA, TermDescript="Grade 11, Fall")]),
    Case(
        "GPA-3",
        "an average of last year has the grade of last year",
        [
            added(ENR, **LAST_YEAR),
            changed(GPA, SchoolYear="2026", Grade="10"),
        ],
    ),
    Case(
        "BEH-3",
        "an incident happened at a school where nobody is enrolled",
        [
            changed(BEH, SISSchoolCode="900", EventSchoolCDSCode=COUNTY_SCHOOL),
        ],
    ),
    Case(
        "BEH-4",
        "two penalties have two codes",
        [
            changed(BEH, PenaltyTypeDesc="Detention, Parent Conference", PenaltyTypeCode="12,13"),
        ],
    ),
    Case(
        "BEH-5",
        "another penalty of a day stands in another line",
        [
            added(BEH, PenaltyTypeDesc="Parent Conference"),
        ],
    ),
    Case("BEH-6", "a suspension has its incident", [changed(ATX, AttendDescript="Suspended")]),
    Case(
        "BEH-6",
        "a suspension's incident was removed since it mentions police",
        [
            changed(ATX, AttendDescript="Suspended"),
            changed(BEH, PenaltyTypeDesc="Sheriff called"),
        ],
    ),
    Case("TRN-3", "only the A-G code is blank", [changed(TRN, UCCSUApprovedCourse="")]),
    Case(
        "TRN-4",
        "a student in grade 8 has no transcript",
        [
            changed(ENR, TST, GPA, Grade="8"),
            removed(TRN),
        ],
    ),
    Case(
        "TRN-5",
        "a mark of last year has the school of last year",
        [
            added(ENR, **LAST_YEAR, SISSchoolCode="900", SchoolCDSCode=COUNTY_SCHOOL),
            changed(TRN, SchYear="2026", Grade="10", SchoolCDSCode=COUNTY_SCHOOL),
        ],
    ),
)
"""What looks like a broken rule and is none."""


@cache
def _night() -> Night:
    return Night((*CASES, *ALIKE))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_speaks_where_it_is_broken_and_no_other_does(case: Case):
    found = [place for place in _night().found(case) if place[1] not in case.besides]
    assert case.places
    assert found == case.wanted


@pytest.mark.parametrize("case", [case for case in CASES if case.besides], ids=str)
def test_what_is_allowed_besides_is_a_warning_that_does_occur(case: Case):
    found = {place[1] for place in _night().found(case)}
    for rule in case.besides:
        assert RULES[rule].severity is Severity.WARNING
        assert rule in found


@pytest.mark.parametrize("case", ALIKE, ids=str)
def test_what_looks_alike_and_is_right_breaks_nothing(case: Case):
    assert _night().found(case) == []


def test_a_good_set_breaks_none_of_them():
    assert broken_rules(verified(good_set(NAME), NAME)) == []


@pytest.mark.parametrize("name", good_set(NAME))
def test_an_extract_alone_is_not_blamed_for_the_others(name: str):
    alone = {name: good_set(NAME)[name]}
    assert broken_rules(verified(alone, NAME)) == []


def test_each_of_the_41_rules_is_declared_in_the_order_of_the_specification_and_has_a_case():
    numbered = [
        rule.id.removeprefix("FF-")
        for feed in FEEDS
        for rule in feed.rules
        if "Verify Data Meets" in rule.source
    ]
    assert len(THE_41) == 41
    assert tuple(numbered) == THE_41
    assert {case.rule for case in CASES} == set(THE_41)


# --- to the letter --------------------------------------------------------------------------------

STRICT_CASES = tuple(
    replace(case, profile=case.profile.model_copy(update={"strict": True})) for case in CASES
)


@cache
def _strict_night() -> Night:
    return Night(STRICT_CASES)


@pytest.mark.parametrize("case", STRICT_CASES, ids=str)
def test_each_of_the_41_rules_is_an_error_to_a_district_that_is_held_to_the_letter(case: Case):
    weighed = _strict_night().weighed(case)
    assert weighed == dict.fromkeys(case.wanted, "error")
    for name in {name for name, *_ in case.wanted}:
        assert _strict_night().outcome(case, name)["rejected"] > 0


def test_the_strictness_of_one_family_is_none_of_the_other():
    weighed = Severities.of_profiles(
        Profiles(districts={DISTRICT: DistrictProfile(oneroster=OneRosterProfile(strict=True))}),
        [DISTRICT],
    )
    assert weighed.of(RULES["FF-DEM-1"], DISTRICT) is Severity.WARNING
    assert weighed.of(RULES["OR-SES-YEAR"], DISTRICT) is Severity.ERROR


def test_the_dictionary_has_one_table_of_the_41_rules_with_weight_and_reason():
    page = render_markdown()
    table = page.partition("### Errors and warnings of `foster_focus`")[2].partition("\n### ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if "| `FF-" in line]
    assert [row[0].strip("`").removeprefix("FF-") for row in rows] == list(THE_41)
    for rule, _, severity, reason, strict in rows:
        assert severity == RULES[rule.strip("`")].severity
        assert reason.endswith(".")
        assert strict == "error"


# --- through the command --------------------------------------------------------------------------


def _checked(folder: Path, sent: Mapping[str, bytes]) -> tuple[int, list[dict[str, Any]]]:
    """Exit status and files that ``ccgi check FOLDER`` answers with."""
    for name, content in sent.items():
        (folder / name).write_bytes(content)
    arguments = ["check", str(folder), "--date", f"{ON}", "--format", "json"]
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, json.loads(result.output)["files"]


def _case(words: str) -> Case:
    (case,) = (case for case in CASES if case.words == words)
    return case


def test_the_command_judges_a_folder_of_nine_extracts_together(tmp_path: Path):
    case = _case("a student of demographics has no attendance")
    status, files = _checked(tmp_path, case.sent(DISTRICT))
    assert status == 0
    assert sorted(file["feed"] for file in files) == sorted(feed.name for feed in FEEDS)
    found = [
        (Path(file["path"]).name, finding["rule"], finding["line"], finding["column"])
        for file in files
        for finding in file["findings"]
    ]
    assert found == [(name_of(DEM), "FF-ATP-2", LINE, "SISLocalID")]


def test_the_command_knows_the_nine_extracts_by_their_headers_alone(tmp_path: Path):
    sent = {f"export{n}.txt": file for n, file in enumerate(good_set(NAME).values())}
    status, files = _checked(tmp_path, sent)
    assert status == 0
    assert sorted(file["feed"] for file in files) == sorted(feed.name for feed in FEEDS)
    assert {file["verdict"] for file in files} == {"accepted"}


def test_a_line_that_breaks_an_error_across_extracts_makes_the_command_fail(tmp_path: Path):
    status, files = _checked(tmp_path, _case("a student is not in demographics").sent(DISTRICT))
    assert status == 1
    assert [file["feed"] for file in files if file["fates"]["rejected"]] == [f"{NAME}_{SPE}"]
