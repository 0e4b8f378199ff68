"""Declares the columns of the nine extracts, in the order and spelling of the specification.

Belongs here: each column. Does not belong here: rules of lines and files (verify_data_meets).
Every table is on the page of the specification that its ``source`` names. Social security
numbers are refused by a rule of their own.
"""

from __future__ import annotations

from typing import Annotated, Any

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds import codes, sources
from ccgi_pipeline.feeds.columns import Requirement, column
from ccgi_pipeline.feeds.rules import Severity

REQUIRED = Requirement.REQUIRED
RECOMMENDED = Requirement.RECOMMENDED
SSID = r"\d{10}"
CDS = r"\d{14}"

Number = Annotated[pl.Decimal, 12, 4]
"""Credits and averages: exact."""

_USUAL_WHILE_OPEN = Severity.INFO
"""A blank that is as it should be while the enrollment is open says no more than that."""


def _page(number: int) -> str:
    return sources.FOSTER_FOCUS.page(number)


# Columns that several extracts have in common. Their spelling differs, so the classes name them.


def _system_id(page: int) -> Any:  # noqa: ANN401 - see column
    return column(
        "County code and district code of the district as one continuous string.",
        requirement=REQUIRED,
        length=50,
        pattern=r"\d{7}",
        source=_page(page),
    )


def _unique_id(page: int, blank_rule: str | None = None) -> Any:  # noqa: ANN401
    return column(
        "A permanent, unique ID in the student system that matches this record.",
        requirement=RECOMMENDED,
        length=50,
        restricted=True,
        blank_rule=blank_rule,
        source=_page(page),
    )


def _ssid(page: int, requirement: Requirement = RECOMMENDED) -> Any:  # noqa: ANN401
    return column(
        "Statewide student identifier, 10 digits.",
        requirement=requirement,
        length=50,
        pattern=SSID,
        pii=True,
        restricted=True,
        source=_page(page),
    )


def _local_id(page: int) -> Any:  # noqa: ANN401
    return column(
        "The student's unique ID within the district's student system. Social security numbers "
        "are not permitted.",
        requirement=REQUIRED,
        length=10,
        pii=True,
        restricted=True,
        source=_page(page),
    )


def _name(page: int, which: str, length: int = 50) -> Any:  # noqa: ANN401
    return column(
        f"The student's {which} name.",
        requirement=REQUIRED,
        length=length,
        pii=True,
        restricted=True,
        source=_page(page),
    )


def _school(page: int, requirement: Requirement = REQUIRED, blank_rule: str | None = None) -> Any:  # noqa: ANN401
    return column(
        "The school's code in the district's student system.",
        requirement=requirement,
        length=20,
        blank_rule=blank_rule,
        source=_page(page),
    )


def _cds(
    page: int,
    requirement: Requirement = REQUIRED,
    blank_rule: str | None = None,
    pattern: str | None = CDS,
) -> Any:  # noqa: ANN401
    return column(
        "CDS code of the school: county, district and school, 14 digits.",
        requirement=requirement,
        length=20,
        pattern=pattern,
        blank_rule=blank_rule,
        source=_page(page),
    )


def _grade(
    page: int,
    requirement: Requirement = REQUIRED,
    *,
    length: int | None = 10,
    blank_rule: str | None = None,
) -> Any:  # noqa: ANN401
    return column(
        "The student's grade level: a code such as K, or a number.",
        requirement=requirement,
        length=length,
        codes=codes.GRADE_AS_SENT,
        example="11",
        blank_rule=blank_rule,
        source=_page(page),
    )


class Demographics(pa.DataFrameModel):
    """One foster youth who is or was enrolled in the current school year."""

    SystemID: str = _system_id(6)
    UniqueID: str = _unique_id(6)
    SSID: str = _ssid(6)
    Lastname: str = _name(6, "last")
    Firstname: str = _name(6, "first")
    Gender: str = column(
        "F or M.",
        requirement=REQUIRED,
        length=1,
        codes=codes.GENDER,
        restricted=True,
        example="F",
        source=_page(6),
    )
    Birthdate: pl.Date = column(
        "The student's birth date.",
        requirement=REQUIRED,
        pii=True,
        restricted=True,
        source=_page(6),
    )
    homeAddress: str = column(
        "Street address of the student's residence.",
        requirement=REQUIRED,
        length=100,
        pii=True,
        restricted=True,
        source=_page(6),
    )
    EntryDate: pl.Date = column(
        "First day of enrollment at the current school for the current school year.",
        requirement=REQUIRED,
        source=_page(6),
    )
    ExitDate: pl.Date = column(
        "Last day of enrollment in the district. The table calls it required, yet the file must "
        "hold enrolled students: a blank on an open enrollment is a warning, unless the profile "
        "is strict.",
        requirement=REQUIRED,
        blank=Severity.WARNING,
        blank_until="the student has left",
        source=_page(6),
    )
    SISLocalID: str = _local_id(6)
    HomeLanguageCode: str = column(
        "Code of the primary language spoken at home.",
        length=10,
        codes=codes.LANGUAGE,
        source=_page(6),
    )
    PrimaryLanguage: str = column(
        "Description of the primary language.", length=10, source=_page(6)
    )


class EnrollmentHistory(pa.DataFrameModel):
    """One enrollment of a student in one school and school year."""

    SystemID: str = _system_id(7)
    UniqueID: str = _unique_id(7)
    SSID: str = _ssid(7)
    EntryDate: pl.Date = column(
        "First day of enrollment in the school for that school year.",
        requirement=REQUIRED,
        source=_page(7),
    )
    ExitDate: pl.Date = column(
        "Last day of enrollment in the school or term; blank while it is open.",
        requirement=RECOMMENDED,
        blank=_USUAL_WHILE_OPEN,
        blank_until="the enrollment has ended",
        source=_page(7),
    )
    EntryReason: str = column(
        "Why the student attends the school.",
        requirement=RECOMMENDED,
        length=250,
        source=_page(7),
    )
    ExitReason: str = column(
        "Why the student left, as a CALPADS exit code. The table calls it required, yet the file "
        "must hold open enrollments: required once the enrollment is closed; a blank on an open "
        "one is a warning, unless the profile is strict.",
        requirement=REQUIRED,
        length=250,
        blank=Severity.WARNING,
        blank_until="the enrollment has ended",
        example="T160",
        source=_page(7),
    )
    StatusCode: str = column(
        "The district's own code of the student's status.", length=10, source=_page(7)
    )
    Grade: str = _grade(7)
    SISSchoolCode: str = _school(7)
    SchoolName: str = column(
        "Name of the school.", requirement=RECOMMENDED, length=125, source=_page(7)
    )
    Lastname: str = _name(7, "last")
    Firstname: str = _name(7, "first")
    SchoolCDSCode: str = _cds(7, blank_rule="FF-ENR-4")
    SISLocalID: str = _local_id(7)
    CompletionStatus: str = column(
        "How the student completed school (graduated, GED): a CALPADS code, or words.",
        requirement=RECOMMENDED,
        length=50,
        blank=_USUAL_WHILE_OPEN,
        blank_until="the student has completed school",
        example="100",
        source=_page(7),
    )


class AttendancePeriods(pa.DataFrameModel):
    """One school day of one student."""

    SystemID: str = _system_id(9)
    UniqueID: str = _unique_id(9)
    SSID: str = _ssid(9, REQUIRED)
    SchoolDate: pl.Date = column("The day.", requirement=REQUIRED, source=_page(9))
    PeriodsEnrolled: int = column(
        "Periods in which the student is enrolled on that day, more than 0; 1 where attendance is "
        "by day.",
        requirement=REQUIRED,
        at_least=1,
        source=_page(9),
    )
    PeriodsAttended: int = column(
        "Periods that the student attended on that day.",
        requirement=REQUIRED,
        at_least=0,
        source=_page(9),
    )
    SchoolCDSCode: str = _cds(9)
    SISSchoolCode: str = _school(9)
    SchoolYear: int = column(
        "School year by its spring: 2012 for 2011-2012.", year=True, source=_page(9)
    )
    SISLocalID: str = _local_id(9)
    LastName: str = _name(9, "last")
    FirstName: str = _name(9, "first")


class AttendanceExceptions(pa.DataFrameModel):
    """One absence or tardy of a student in one period."""

    SystemID: str = _system_id(10)
    UniqueID: str = _unique_id(10)
    SSID: str = _ssid(10, REQUIRED)
    AttendDate: pl.Date = column("The day.", requirement=REQUIRED, source=_page(10))
    AttendCode: str = column(
        "Code of the exception (S, U).",
        requirement=REQUIRED,
        length=20,
        restricted=True,
        source=_page(10),
    )
    AttendDescript: str = column(
        "What the code stands for (Unverified Absence).",
        requirement=REQUIRED,
        length=250,
        restricted=True,
        source=_page(10),
    )
    Period: str = column(
        "School period of the exception (1, Period 1).",
        requirement=REQUIRED,
        length=10,
        source=_page(10),
    )
    CourseDescript: str = column("The course.", requirement=REQUIRED, length=250, source=_page(10))
    SchoolCDSCode: str = _cds(10)
    SISLocalID: str = _local_id(10)
    SISSchoolCode: str = _school(10)
    Lastname: str = _name(10, "last")
    Firstname: str = _name(10, "first")


class TestScores(pa.DataFrameModel):
    """One score of one test that a student took."""

    SystemID: str = _system_id(11)
    UniqueID: str = _unique_id(11)
    SSID: str = _ssid(11, REQUIRED)
    TestDate: pl.Date = column(
        "Date of the test.", requirement=REQUIRED, blank_rule="FF-TST-1", source=_page(11)
    )
    Grade: str = _grade(11, RECOMMENDED, blank_rule="FF-TST-2")
    TestScoreType: str = column(
        "Code of the kind of score (S, P).", requirement=REQUIRED, length=10, source=_page(11)
    )
    TestScore: str = column(
        "The score (380, Basic).",
        requirement=REQUIRED,
        length=80,
        restricted=True,
        source=_page(11),
    )
    IsPassing: pl.Boolean = column(
        "1 passed, 0 failed; required for CAHSEE.",
        requirement=Requirement.CONDITIONAL,
        bit=True,
        restricted=True,
        source=_page(11),
    )
    TestType: str = column(
        "Name of the test (STAR).", requirement=REQUIRED, length=15, source=_page(11)
    )
    TestSubType: str = column(
        "Subtype of the test (CST ELA).", requirement=REQUIRED, length=50, source=_page(11)
    )
    TestDescription: str = column(
        "Longer description of the test.",
        requirement=RECOMMENDED,
        length=100,
        source=_page(11),
    )
    SISLocalID: str = _local_id(11)
    Lastname: str = _name(11, "last", 40)
    FirstName: str = _name(11, "first", 40)
    SisSchoolCode: str = _school(11, RECOMMENDED)
    SchoolCDSCode: str = _cds(11, RECOMMENDED, "FF-TST-3")


class SpecialEducation(pa.DataFrameModel):
    """A student's primary disability."""

    SystemID: str = _system_id(13)
    UniqueID: str = _unique_id(13)
    SSID: str = _ssid(13, REQUIRED)
    SpecProgEDate: str = column(
        "Date of the most recent IEP meeting.",
        requirement=RECOMMENDED,
        length=50,
        restricted=True,
        example="2026-02-03",
        source=_page(13),
    )
    SpecProgXDate: str = column(
        "Date on which the student left special education; blank while it goes on.",
        requirement=RECOMMENDED,
        length=50,
        restricted=True,
        blank=_USUAL_WHILE_OPEN,
        blank_until="the student has left special education",
        source=_page(13),
    )
    SEDescript: str = column(
        "The primary disability in words.", length=100, restricted=True, source=_page(13)
    )
    SEServiceCode: int = column(
        "Code of the primary disability, 210 to 330.",
        requirement=REQUIRED,
        codes=codes.DISABILITY_CATEGORY,
        numbers=True,
        restricted=True,
        source=_page(13),
    )
    SISLocalID: str = _local_id(13)
    LastName: str = _name(13, "last")
    FirstName: str = _name(13, "first")
    SISSchoolCode: str = _school(13, RECOMMENDED)
    SchoolCDSCode: str = _cds(13, RECOMMENDED)


class Gpa(pa.DataFrameModel):
    """One grade point average of a student, of one kind and term."""

    SystemID: str = _system_id(14)
    UniqueID: str = _unique_id(14)
    SSID: str = _ssid(14, REQUIRED)
    TermDescript: str = column(
        "Name of the term (Semester 1).",
        requirement=REQUIRED,
        length=50,
        blank_rule="FF-GPA-2",
        source=_page(14),
    )
    CalculationDate: pl.Date = column(
        "Date on which the average was calculated.",
        requirement=REQUIRED,
        blank_rule="FF-GPA-1",
        source=_page(14),
    )
    GPATypeDescript: str = column(
        "Kind of average (High School Academic GPA).",
        requirement=REQUIRED,
        length=32,
        source=_page(14),
    )
    SchoolYear: int = column(
        "School year by its spring: 2012 for 2011-2012.",
        requirement=REQUIRED,
        year=True,
        source=_page(14),
    )
    Grade: str = _grade(14, length=15, blank_rule="FF-GPA-3")
    TermGPA: Number = column(
        "Grade point average of the term.",
        requirement=REQUIRED,
        at_least=0,
        restricted=True,
        source=_page(14),
    )
    SchoolCDSCode: str = _cds(14, blank_rule="FF-GPA-5")
    SISLocalID: str = _local_id(14)
    SISSchoolCode: str = _school(14, blank_rule="FF-GPA-4")
    Lastname: str = _name(14, "last")
    Firstname: str = _name(14, "first")


class Behavior(pa.DataFrameModel):
    """One incident of a student. Records that mention police involvement are never loaded."""

    SystemID: str = _system_id(16)
    UniqueID: str = _unique_id(16)
    SSID: str = _ssid(16, REQUIRED)
    PenaltyTypeCode: str = column(
        "Codes of PenaltyTypeDesc, several with commas between them. The table does not say how "
        "much it is needed.",
        requirement=RECOMMENDED,
        length=50,
        restricted=True,
        source=_page(16),
    )
    PenaltyTypeDesc: str = column(
        "The penalty, several with commas between them.",
        requirement=RECOMMENDED,
        restricted=True,
        source=_page(16),
    )
    BegServeDate: pl.Date = column(
        "Date on which the penalty began.",
        requirement=RECOMMENDED,
        restricted=True,
        source=_page(16),
    )
    NumServDays: int = column(
        "Days of suspension.",
        requirement=RECOMMENDED,
        at_least=0,
        restricted=True,
        source=_page(16),
    )
    PenEventDate: pl.Date = column(
        "Date of the incident.",
        requirement=REQUIRED,
        restricted=True,
        blank_rule="FF-BEH-1",
        source=_page(16),
    )
    EventSchoolCDSCode: str = _cds(16, blank_rule="FF-BEH-3")
    SISLocalID: str = _local_id(16)
    LastName: str = _name(16, "last")
    FirstName: str = _name(16, "first")
    SISSchoolCode: str = _school(16, RECOMMENDED)


_ALL_FIELDS = "FF-TRN-3"


class Transcripts(pa.DataFrameModel):
    """One mark and its credits."""

    SystemID: str = _system_id(17)
    UniqueID: str = _unique_id(17, _ALL_FIELDS)
    SSID: str = _ssid(17, REQUIRED)
    Grade: str = _grade(17, length=None)
    trDate: pl.Date = column(
        "Date on which the transcript was processed.", requirement=REQUIRED, source=_page(17)
    )
    SchYear: int = column(
        "School year by its spring: 2012 for 2011-2012.",
        requirement=REQUIRED,
        year=True,
        blank_rule="FF-TRN-1",
        source=_page(17),
    )
    TermDescript: str = column("The term (Sem 2, Q3).", requirement=REQUIRED, source=_page(17))
    SubjectDescript: str = column(
        "The course's subject.", requirement=REQUIRED, length=50, source=_page(17)
    )
    CourseDescript: str = column(
        "The course.",
        requirement=RECOMMENDED,
        length=50,
        blank_rule=_ALL_FIELDS,
        source=_page(17),
    )
    CourseNumber: str = column(
        "Course code in the student system.", requirement=REQUIRED, length=14, source=_page(17)
    )
    StateCourseNumber: str = column(
        "State course code.",
        requirement=RECOMMENDED,
        length=10,
        blank_rule=_ALL_FIELDS,
        source=_page(17),
    )
    GradCratt: Number = column(
        "Credits attempted. The table does not say how much it is needed.",
        requirement=RECOMMENDED,
        at_least=0,
        blank_rule=_ALL_FIELDS,
        source=_page(17),
    )
    GradCrawd: Number = column(
        "Credits earned. The table does not say how much it is needed.",
        requirement=RECOMMENDED,
        at_least=0,
        blank_rule=_ALL_FIELDS,
        source=_page(17),
    )
    GPACratt: Number = column(
        "Graduation credits attempted. The table does not say how much it is needed.",
        requirement=RECOMMENDED,
        at_least=0,
        blank_rule=_ALL_FIELDS,
        source=_page(17),
    )
    GPACrawd: Number = column(
        "Graduation credits earned.", requirement=REQUIRED, at_least=0, source=_page(17)
    )
    markAwd1: str = column(
        "The final mark.", requirement=REQUIRED, length=15, restricted=True, source=_page(17)
    )
    markDesc1: str = column(
        "Kind of mark (Letter Marks). The table does not say how much it is needed.",
        requirement=RECOMMENDED,
        blank_rule=_ALL_FIELDS,
        source=_page(17),
    )
    SISSchoolCode: str = _school(17)
    SchoolCDSCode: str = _cds(17, pattern=None)
    Lastname: str = _name(17, "last")
    FirstName: str = _name(17, "first")
    SISLocalID: str = _local_id(17)
    UCCSUApprovedCourse: str = column(
        "A-G code of a course that UC and CSU approved (A-G, GA-GO). The table calls it required, "
        "rule 3 of the same page excepts it: a blank is not reported as a fault.",
        requirement=REQUIRED,
        length=10,
        blank=Severity.INFO,
        blank_until="UC and CSU have approved the course",
        source=_page(17),
    )
