"""Declares the transcript family: what a district sends to CCGI about its students and courses.

Belongs here: the five files of a transcript package, their columns and rules. CCGI's own
specification is not public; names and order are those that student information systems produce,
code sets are CALPADS'. Lengths are this project's generous guards where no source gives one.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

import pandera.polars as pa
import polars as pl

from ccgi_pipeline.feeds import codes, file_rules, sources
from ccgi_pipeline.feeds.columns import Requirement, column
from ccgi_pipeline.feeds.rules import Hint, Relation, Rule, Scope, Severity
from ccgi_pipeline.feeds.spec import FILES_OF_DROP, FamilySpec, FeedSpec, KeptWhile, Lifecycle

STUDENT_SOURCE = "CCGI StudentTemplate, 2025-26, as student systems produce it"
COURSE_SOURCE = "CCGI CourseGradeTemplate, 2025-26, as student systems produce it"
CATALOG_SOURCE = "CCGI Course Catalog Template, 2025-26, as student systems produce it"
TEST_SOURCE = "CCGI TestGrade Template as PowerSchool describes it"
ROSTER_SOURCE = (
    f"{sources.DISTRICT_DATA_SHARING.title}: students are those of the most recent transcript file"
)
PROJECT_SOURCE = "this project"

REQUIRED = Requirement.REQUIRED
RECOMMENDED = Requirement.RECOMMENDED
CDS = r"\d{14}"
SSID = r"\d{10}"
MM_DD_YYYY = ("%m/%d/%Y",)

Credits = Annotated[pl.Decimal, 10, 4]
"""Credits and grade point averages: exact; averages are sent with up to four decimals."""


class StudentTemplate(pa.DataFrameModel):
    """One student of the district's roster."""

    PrimaryCDSCode: str = column(
        "14-digit CDS code of the school of primary enrollment.",
        requirement=REQUIRED,
        pattern=CDS,
        source=STUDENT_SOURCE,
    )
    LocalStudentID: str = column(
        "The district's own student number.",
        requirement=RECOMMENDED,
        length=30,
        pii=True,
        source=STUDENT_SOURCE,
    )
    StateID: str = column(
        "Statewide Student Identifier (SSID), 10 digits.",
        requirement=REQUIRED,
        pattern=SSID,
        pii=True,
        restricted=True,
        source=STUDENT_SOURCE,
    )
    FirstName: str = column(
        "Legal first name.", requirement=REQUIRED, length=50, pii=True, source=STUDENT_SOURCE
    )
    PreferredFirstName: str = column(
        "First name that the student goes by.", length=50, pii=True, source=STUDENT_SOURCE
    )
    MiddleName: str = column("Legal middle name.", length=50, pii=True, source=STUDENT_SOURCE)
    PreferredMiddleName: str = column(
        "Middle name that the student goes by.", length=50, pii=True, source=STUDENT_SOURCE
    )
    LastName: str = column(
        "Legal last name.", requirement=REQUIRED, length=50, pii=True, source=STUDENT_SOURCE
    )
    PreferredLastName: str = column(
        "Last name that the student goes by.", length=50, pii=True, source=STUDENT_SOURCE
    )
    Suffix: str = column("Name suffix.", codes=codes.NAME_SUFFIX, pii=True, source=STUDENT_SOURCE)
    DateOfBirth: pl.Date = column(
        "Date of birth, MM/DD/YYYY.",
        requirement=REQUIRED,
        formats=MM_DD_YYYY,
        pii=True,
        source=STUDENT_SOURCE,
    )
    Gender: str = column(
        "CALPADS gender code.", requirement=RECOMMENDED, codes=codes.GENDER, source=STUDENT_SOURCE
    )
    GradeLevel: str = column(
        "CALPADS grade level, two characters.",
        requirement=REQUIRED,
        codes=codes.GRADE_LEVEL,
        example="11",
        source=STUDENT_SOURCE,
    )
    GPA: Credits = column(
        "Grade point average, as GPAType says.", at_least=0, restricted=True, source=STUDENT_SOURCE
    )
    GPAType: str = column(
        "What kind of average GPA is (weighted, unweighted).", length=30, source=STUDENT_SOURCE
    )
    CalGrantGPA: Credits = column(
        "Grade point average as reported for Cal Grant.",
        at_least=0,
        restricted=True,
        source=STUDENT_SOURCE,
    )
    NSLP: str = column(
        "Free or reduced-price meals (National School Lunch Program).",
        length=10,
        restricted=True,
        source=STUDENT_SOURCE,
    )
    LOTECert: str = column(
        "Certified in a language other than English.", length=30, source=STUDENT_SOURCE
    )
    LOTECertSource: str = column(
        "How that certification was earned.", length=60, source=STUDENT_SOURCE
    )
    LanguageCode: str = column(
        "Language of that certification.", codes=codes.LANGUAGE, source=STUDENT_SOURCE
    )
    FosterYouth: pl.Boolean = column(
        "Foster youth. Reaches no report.", restricted=True, foster=True, source=STUDENT_SOURCE
    )
    ParentConsent: pl.Boolean = column(
        "Parent's decision on sharing, kept as consent. Whether Y means consent or opt-out is "
        "set in the district's profile (parent_consent_means).",
        requirement=RECOMMENDED,
        restricted=True,
        source=f"{STUDENT_SOURCE}; Aeries sends an opt-out since 26 August 2025",
    )
    HispanicEthnicity: pl.Boolean = column(
        "Hispanic or Latino.", requirement=RECOMMENDED, source=STUDENT_SOURCE
    )
    RaceCode1: str = column(
        "CALPADS race category.",
        requirement=RECOMMENDED,
        codes=codes.RACE_CATEGORY,
        source=STUDENT_SOURCE,
    )
    RaceCode2: str = column(
        "Second race category.", codes=codes.RACE_CATEGORY, source=STUDENT_SOURCE
    )
    RaceCode3: str = column(
        "Third race category.", codes=codes.RACE_CATEGORY, source=STUDENT_SOURCE
    )
    RaceCode4: str = column(
        "Fourth race category.", codes=codes.RACE_CATEGORY, source=STUDENT_SOURCE
    )
    RaceCode5: str = column(
        "Fifth race category.", codes=codes.RACE_CATEGORY, source=STUDENT_SOURCE
    )
    EnrollmentStartDate: pl.Date = column(
        "First day of the enrollment, MM/DD/YYYY.",
        requirement=RECOMMENDED,
        formats=MM_DD_YYYY,
        source=STUDENT_SOURCE,
    )
    EnrollmentEndDate: pl.Date = column(
        "Last day of the enrollment, MM/DD/YYYY; blank while it is open.",
        formats=MM_DD_YYYY,
        source=STUDENT_SOURCE,
    )
    DistrictAssignedStudentEmailAddress: str = column(
        "E-mail address that the district gave the student.",
        length=254,
        pattern=r"[^@\s]+@[^@\s]+",
        example="student@example.org",
        pii=True,
        source=STUDENT_SOURCE,
    )
    SWDIndicator: pl.Boolean = column(
        "Student with disabilities.", restricted=True, source=STUDENT_SOURCE
    )
    Section504ProgramIndicator: pl.Boolean = column(
        "Section 504 accommodation plan.",
        alias="504ProgramIndicator",
        restricted=True,
        source=STUDENT_SOURCE,
    )
    EL: str = column(
        "English language acquisition status, or Y or N for English learner.",
        codes=codes.ENGLISH_LANGUAGE_ACQUISITION_STATUS,
        restricted=True,
        source=STUDENT_SOURCE,
    )
    AB469OptOut: pl.Boolean = column(
        "Opted out of the financial aid requirement of AB 469.",
        restricted=True,
        source=STUDENT_SOURCE,
    )
    Homeless: pl.Boolean = column("Homeless.", restricted=True, source=STUDENT_SOURCE)
    Migrant: pl.Boolean = column("Migrant.", restricted=True, source=STUDENT_SOURCE)
    ParentGuardianEdLevel: str = column(
        "Highest education level of a parent or guardian.",
        codes=codes.PARENT_EDUCATION_LEVEL,
        restricted=True,
        source=STUDENT_SOURCE,
    )


class CourseGradeTemplate(pa.DataFrameModel):
    """One course of one student in one term, finished or in progress."""

    StateID: str = column(
        "Statewide Student Identifier (SSID), 10 digits.",
        requirement=REQUIRED,
        pattern=SSID,
        pii=True,
        restricted=True,
        source=COURSE_SOURCE,
    )
    CDSCode: str = column(
        "14-digit CDS code of the school on the transcript line.",
        requirement=REQUIRED,
        pattern=CDS,
        source=COURSE_SOURCE,
    )
    ATPCode: str = column(
        "College Board (CEEB) code of the school, 6 digits; 111111 where there is none.",
        pattern=r"\d{6}",
        source=COURSE_SOURCE,
    )
    CourseInstitutionName: str = column(
        "Institution that taught the course, if not the school.", length=100, source=COURSE_SOURCE
    )
    IsWorkInProgress: pl.Boolean = column(
        "Y while the course is not finished.", requirement=REQUIRED, source=COURSE_SOURCE
    )
    GradeLevel: str = column(
        "Grade level in which the course was taken.",
        requirement=REQUIRED,
        codes=codes.GRADE_LEVEL,
        example="11",
        source=COURSE_SOURCE,
    )
    SchoolYear: str = column(
        "School year, YYYY-YY, such as 2023-24.",
        requirement=REQUIRED,
        pattern=r"\d{4}-\d{2}",
        source=COURSE_SOURCE,
    )
    TermDescription: str = column("The term in words.", length=50, source=COURSE_SOURCE)
    Term: str = column(
        "The term's code; blank where the school has none.", codes=codes.TERM, source=COURSE_SOURCE
    )
    CourseCurriculumTerm: str = column(
        "Which part of the curriculum the line covers.", length=20, source=COURSE_SOURCE
    )
    LocalCourseID: str = column(
        "The district's own course number.",
        requirement=REQUIRED,
        length=30,
        source=COURSE_SOURCE,
    )
    TranscriptAbbreviation: str = column(
        "Course name as the transcript prints it.",
        requirement=RECOMMENDED,
        length=100,
        source=COURSE_SOURCE,
    )
    SubjectArea: str = column(
        "A-G subject area; Z where the course is none.",
        requirement=RECOMMENDED,
        codes=codes.SUBJECT_AREA,
        source=COURSE_SOURCE,
    )
    AcademicIndicator: str = column(
        "AP, IB or H (honors); blank otherwise.", length=10, source=COURSE_SOURCE
    )
    DualEnrollmentIndicator: str = column(
        "Dual enrollment with a college.", length=10, source=COURSE_SOURCE
    )
    CreditsAttempted: Credits = column(
        "Credits attempted.", requirement=RECOMMENDED, at_least=0, source=COURSE_SOURCE
    )
    CreditsEarned: Credits = column(
        "Credits earned.", requirement=RECOMMENDED, at_least=0, source=COURSE_SOURCE
    )
    CourseGrade: str = column(
        "The mark (A+ to F), or WIP.",
        requirement=RECOMMENDED,
        length=10,
        restricted=True,
        source=COURSE_SOURCE,
    )


class CourseCatalog(pa.DataFrameModel):
    """One course that a school offers."""

    CDSCode: str = column(
        "14-digit CDS code of the school.",
        requirement=REQUIRED,
        pattern=CDS,
        source=CATALOG_SOURCE,
    )
    GraduationRequirements: str = column(
        "A-G area, or 'no data provided'.", length=50, source=CATALOG_SOURCE
    )
    Subject: str = column("Subject or department.", length=100, source=CATALOG_SOURCE)
    CourseTitle: str = column(
        "Title of the course.", requirement=REQUIRED, length=200, source=CATALOG_SOURCE
    )
    Description: str = column("What the course is about.", length=4000, source=CATALOG_SOURCE)
    CourseNumber: str = column(
        "The district's own course number.",
        requirement=REQUIRED,
        length=30,
        source=CATALOG_SOURCE,
    )
    CourseDuration: str = column("How long the course takes.", length=50, source=CATALOG_SOURCE)
    Academic: str = column("Academic or not.", length=50, source=CATALOG_SOURCE)
    Credits: Credits = column("Credits of the course.", at_least=0, source=CATALOG_SOURCE)
    Honors: str = column("Honors, AP or IB.", length=50, source=CATALOG_SOURCE)
    Offered: str = column("Offered now or not.", length=50, source=CATALOG_SOURCE)
    SchoolType: str = column("Kind of school.", length=50, source=CATALOG_SOURCE)
    Year: str = column("School year.", length=20, source=CATALOG_SOURCE)
    StateCourseCode: str = column("CALPADS state course code.", length=10, source=CATALOG_SOURCE)


class TestGrade(pa.DataFrameModel):
    """One test that a student took."""

    StateID: str = column(
        "Statewide Student Identifier (SSID), 10 digits.",
        requirement=REQUIRED,
        pattern=SSID,
        pii=True,
        restricted=True,
        source=TEST_SOURCE,
    )
    TestName: str = column(
        "Name of the test.", requirement=REQUIRED, length=100, source=TEST_SOURCE
    )
    TestDate: pl.Date = column(
        "Day of the test, MM/DD/YYYY.",
        requirement=REQUIRED,
        formats=MM_DD_YYYY,
        source=TEST_SOURCE,
    )


class Manifest(pa.DataFrameModel):
    """One file of the package."""

    FileName: str = column(
        "Name of a file of the package.", requirement=REQUIRED, length=200, source=PROJECT_SOURCE
    )


_YES_OR_NO = ("Y", "YES", "TRUE", "1", "N", "NO", "FALSE", "0")
_OLDEST, _YOUNGEST = 25, 9
"""Ages between which a student of grades 6 to 12 is, with room for adult completers."""


def _spring_year(on: date) -> int:
    """The year in which the school year of ``on`` ends; it turns on 1 July."""
    return on.year + (on.month >= 7)  # noqa: PLR2004 - July


def _of_the_sender(cds_code: str) -> pl.Expr:
    """Whether the school is the sender's; an unknown sender (offline) may have any school."""
    sender = pl.col("_sender")
    return (sender == "") | (pl.col(cds_code).str.head(7) == sender)


def _first_year() -> pl.Expr:
    return pl.col("SchoolYear").str.head(4).cast(pl.Int32, strict=False)


STUDENT = FeedSpec(
    name="transcript_student",
    records="students",
    family="transcript",
    title="Students of the district's roster (StudentTemplate)",
    prefix="TR-STU",
    noun="student",
    ssid="StateID",
    checks=("no_district_lost_its_roster", "every_ssid_is_one_students"),
    model=StudentTemplate,
    stems=("StudentTemplate", "Student Template", "Student"),
    keys=("StateID",),
    other_ids=("LocalStudentID",),
    described_by=("FirstName", "LastName", "DateOfBirth"),
    lifecycle=Lifecycle.SNAPSHOT,
    guarded=True,
    growth_guarded=True,
    school="PrimaryCDSCode",
    required=True,
    repeated_key=Severity.ERROR,
    source=STUDENT_SOURCE,
    relations=(
        Relation(
            name="school_in_directory",
            target="cde_directory",
            column="PrimaryCDSCode",
            target_column="CDSCode",
            scope=Scope.STATE,
            known_prefix=7,
        ),
    ),
    rules=(
        Rule(
            id="TR-STU-CD",
            severity=Severity.ERROR,
            text="The school is not one of the district that sent the file.",
            fix="Send only students whose PrimaryCDSCode begins with your own 7-digit CD code.",
            source="CDS codes: county, district and school (CDE)",
            column="PrimaryCDSCode",
            passes=lambda _: _of_the_sender("PrimaryCDSCode"),
            hint=Hint.OTHER_DISTRICT,
            counterexample={"PrimaryCDSCode": "99999999999999"},
        ),
        Rule(
            id="TR-STU-SCHOOL",
            severity=Severity.WARNING,
            text="CDE's directory does not list this school in the district.",
            fix="Correct PrimaryCDSCode, or ask CCGI to load CDE's newest directory.",
            source="CDE Public Schools and Districts data file",
            column="PrimaryCDSCode",
            passes=lambda _: pl.col("school_in_directory"),
            counterexample={"PrimaryCDSCode": "{sender}9999999"},
        ),
        Rule(
            id="TR-STU-DATES",
            severity=Severity.WARNING,
            text="The enrollment ends before it starts.",
            fix="Correct EnrollmentStartDate or EnrollmentEndDate.",
            source=STUDENT_SOURCE,
            column="EnrollmentEndDate",
            passes=lambda _: pl.col("EnrollmentEndDate") >= pl.col("EnrollmentStartDate"),
            counterexample={
                "EnrollmentStartDate": "08/15/2024",
                "EnrollmentEndDate": "08/14/2024",
            },
        ),
        Rule(
            id="TR-STU-AGE",
            severity=Severity.WARNING,
            text=f"The date of birth makes the student younger than {_YOUNGEST} or older than "
            f"{_OLDEST}.",
            fix="Check DateOfBirth.",
            source=PROJECT_SOURCE,
            column="DateOfBirth",
            passes=lambda on: (
                pl.lit(on.year) - pl.col("DateOfBirth").dt.year().cast(pl.Int32)
            ).is_between(_YOUNGEST, _OLDEST),
            counterexample={"DateOfBirth": "01/01/1950"},
        ),
        Rule(
            id="TR-STU-GRADE",
            severity=Severity.WARNING,
            text="The grade level is not one of 06 to 12.",
            fix="Leave students of other grades out, or correct GradeLevel.",
            source="CCGI serves grades 6 to 12 (PowerSchool's description of the extract)",
            column="GradeLevel",
            passes=lambda on: pl.col("GradeLevel").is_in(
                [*(f"{grade:02d}" for grade in range(6, 13)), *codes.GRADE_LEVEL.retired(on)]
            ),
            counterexample={"GradeLevel": "05"},
        ),
        Rule(
            id="TR-STU-SSN",
            severity=Severity.ERROR,
            text="LocalStudentID has the form of a social security number; it is not stored.",
            fix="Never send social security numbers: send the district's own student number.",
            source=f"{sources.CCCAPPLY.title}: social security numbers are not permitted",
            column="LocalStudentID",
            passes=lambda _: (
                ~pl.col("LocalStudentID").str.contains(r"^[0-9]{3}-[0-9]{2}-[0-9]{4}$")
            ),
            counterexample={"LocalStudentID": "078-05-1120"},
        ),
        Rule(
            id="TR-STU-LOTE",
            severity=Severity.INFO,
            text="LOTECert is neither yes nor no. It is not taken for a certificate.",
            fix="Write Y if the student is certified in a language other than English, else N.",
            source=PROJECT_SOURCE,
            column="LOTECert",
            passes=lambda _: (
                pl.col("LOTECert").str.strip_chars().str.to_uppercase().is_in(_YES_OR_NO)
            ),
            counterexample={"LOTECert": "Spanish"},
        ),
    ),
)

_ON_ROSTER = KeptWhile(table=STUDENT.name, columns={"StateID": "StateID"})


def on_a_roster(column: str) -> KeptWhile:
    """Keeps a record while the student in ``column`` (an SSID) is on some district's roster."""
    return KeptWhile(table=STUDENT.name, columns={column: "StateID"}, same_sender=False)


COURSE_GRADE = FeedSpec(
    name="transcript_course_grade",
    records="course_grades",
    family="transcript",
    title="Course history (CourseGradeTemplate)",
    prefix="TR-CRS",
    ssid="StateID",
    kept_while=_ON_ROSTER,
    model=CourseGradeTemplate,
    stems=("CourseGradeTemplate", "Course Grade Template", "CourseGrade"),
    keys=("StateID", "CDSCode", "SchoolYear", "Term", "LocalCourseID", "TranscriptAbbreviation"),
    lifecycle=Lifecycle.SNAPSHOT,
    source=COURSE_SOURCE,
    relations=(
        Relation(
            name="student_in_roster",
            target="transcript_student",
            column="StateID",
            target_column="StateID",
        ),
    ),
    rules=(
        Rule(
            id="TR-CRS-STUDENT",
            severity=Severity.WARNING,
            text="The student is not in the district's StudentTemplate; the line is kept, and "
            "used once the student is.",
            fix="Send the student in StudentTemplate, or leave the line out.",
            source=ROSTER_SOURCE,
            column="StateID",
            passes=lambda _: pl.col("student_in_roster"),
            counterexample={"StateID": "9999999999"},
        ),
        Rule(
            id="TR-CRS-YEAR",
            severity=Severity.WARNING,
            text="The two years of SchoolYear do not follow each other, or lie in the future.",
            fix="Write the school year that began in 2023 as 2023-24.",
            source=COURSE_SOURCE,
            column="SchoolYear",
            passes=lambda on: (
                (
                    (_first_year() + 1) % 100
                    == pl.col("SchoolYear").str.tail(2).cast(pl.Int32, strict=False)
                )
                & (_first_year() < _spring_year(on))
            ),
            counterexample={"SchoolYear": "2023-25"},
        ),
        Rule(
            id="TR-CRS-CREDITS",
            severity=Severity.WARNING,
            text="More credits were earned than attempted.",
            fix="Correct CreditsAttempted or CreditsEarned.",
            source=COURSE_SOURCE,
            column="CreditsEarned",
            passes=lambda _: pl.col("CreditsEarned") <= pl.col("CreditsAttempted"),
            counterexample={"CreditsAttempted": "1.00", "CreditsEarned": "9.00"},
        ),
        Rule(
            id="TR-CRS-WIP",
            severity=Severity.WARNING,
            text="IsWorkInProgress and CourseGrade contradict each other.",
            fix="Send Y with the grade WIP while a course runs, and N with the mark afterwards.",
            source=COURSE_SOURCE,
            column="CourseGrade",
            passes=lambda _: pl.col("IsWorkInProgress") == (pl.col("CourseGrade") == "WIP"),
            counterexample={"IsWorkInProgress": "N", "CourseGrade": "WIP"},
        ),
        Rule(
            id="TR-CRS-NAME",
            severity=Severity.INFO,
            text="The name does not say which course of its A-G area this is (such as geometry, "
            "chemistry, Spanish 2). It counts for the area only, which may change a student's "
            "estimated CSU or UC eligibility.",
            fix="Write the name as transcripts usually do, with its level (GEOM, WRLD HIST, SPAN "
            "2), or tell CCGI which course it is.",
            source=PROJECT_SOURCE,
            column="TranscriptAbbreviation",
            step="unread_course_names",
            counterexample={
                "TranscriptAbbreviation": "PROJECT X",
                "SubjectArea": "C",
                "GradeLevel": "10",
            },
        ),
    ),
)

COURSE_CATALOG = FeedSpec(
    name="transcript_course_catalog",
    records="courses",
    family="transcript",
    title="Courses that the schools offer (Course Catalog)",
    prefix="TR-CAT",
    model=CourseCatalog,
    stems=("Course Catalog Template", "CourseCatalogTemplate", "CourseCatalog"),
    keys=("CDSCode", "CourseNumber"),
    lifecycle=Lifecycle.SNAPSHOT,
    source=CATALOG_SOURCE,
    rules=(
        Rule(
            id="TR-CAT-CD",
            severity=Severity.ERROR,
            text="The school is not one of the district that sent the file.",
            fix="Send only courses whose CDSCode begins with your own 7-digit CD code.",
            source="CDS codes: county, district and school (CDE)",
            column="CDSCode",
            passes=lambda _: _of_the_sender("CDSCode"),
            hint=Hint.OTHER_DISTRICT,
            counterexample={"CDSCode": "99999999999999"},
        ),
    ),
)

TEST_GRADE = FeedSpec(
    name="transcript_test_grade",
    records="tests",
    family="transcript",
    title="Tests taken (TestGrade)",
    prefix="TR-TST",
    ssid="StateID",
    kept_while=_ON_ROSTER,
    model=TestGrade,
    stems=("TestGrade Template", "TestGradeTemplate", "TestTemplate", "TestGrade"),
    keys=("StateID", "TestName", "TestDate"),
    lifecycle=Lifecycle.SNAPSHOT,
    source=TEST_SOURCE,
    relations=(COURSE_GRADE.relations[0],),
    rules=(
        Rule(
            id="TR-TST-STUDENT",
            severity=Severity.WARNING,
            text="The student is not in the district's StudentTemplate; the line is kept, and "
            "used once the student is.",
            fix="Send the student in StudentTemplate, or leave the line out.",
            source=ROSTER_SOURCE,
            column="StateID",
            passes=lambda _: pl.col("student_in_roster"),
            counterexample={"StateID": "9999999999"},
        ),
    ),
)

MANIFEST = FeedSpec(
    name="transcript_manifest",
    family="transcript",
    title="Names of the package's files (Manifest)",
    prefix="TR-MAN",
    manifest=True,
    model=Manifest,
    stems=("Manifest",),
    keys=("FileName",),
    lifecycle=Lifecycle.SNAPSHOT,
    source=PROJECT_SOURCE,
    relations=(
        Relation(
            name="file_in_package",
            target=FILES_OF_DROP,
            column="FileName",
            target_column="FileName",
            scope=Scope.DROP,
        ),
    ),
    rules=(
        Rule(
            id="TR-MAN-FILE",
            severity=Severity.WARNING,
            text="A file that the manifest names is not in the package.",
            fix="Send the missing file, or take its name out of the manifest.",
            source=PROJECT_SOURCE,
            column="FileName",
            passes=lambda _: pl.col("file_in_package"),
            counterexample={"FileName": "nowhere.csv"},
        ),
    ),
)

CLAIMED = Rule(
    id="TR-STU-CLAIMED",
    severity=Severity.WARNING,
    text="CCGI knows this SSID under another name or birth date. The line is kept, but the student "
    "is in no report until it is clear whose number it is.",
    fix="Compare SSID, name and birth date with CALPADS, and correct what is wrong. If all is "
    "right, let CCGI know.",
    source=PROJECT_SOURCE,
    column="StateID",
)
CONTESTED = Rule(
    id="TR-STU-CONTESTED",
    severity=Severity.WARNING,
    text="Another district lists this SSID under another name or birth date. Your reports keep the "
    "student.",
    fix="Compare SSID, name and birth date with CALPADS. If they are wrong, correct them; "
    "otherwise nothing needs to be done.",
    source=PROJECT_SOURCE,
    column="StateID",
)
"""Both are found when rosters are loaded: only the warehouse knows all districts' rosters."""

FEEDS = (STUDENT, COURSE_GRADE, COURSE_CATALOG, TEST_GRADE, MANIFEST)

FAMILY = FamilySpec(
    name="transcript",
    title="Transcript package (students, courses, tests)",
    required_files={
        MANIFEST.name: file_rules.PACKAGE_MANIFEST,
        STUDENT.name: file_rules.PACKAGE_ROSTER,
    },
    feeds=FEEDS,
    comes_after=("calpads_identity",),
    rules=(CLAIMED, CONTESTED),
    after_load=("ssid_claims",),
)
