"""Declares where the student information systems of California's districts keep a column's value.

Belongs here: for the columns that districts export from Aeries, PowerSchool SIS or Infinite Campus,
the page and field in which the value is typed, each with the public page that says so. What no such
page says is left out: a wrong path costs a registrar more time than none. A table's field (STU.CID)
is named beside the label because labels differ between versions, and because the administrator of
the system finds it by that name.

OneRoster sets are left out on purpose: the vendor's own export makes them, and which field it reads
is not said in public.

Does not belong here: what a column must hold (the feeds' own modules).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

AERIES, POWERSCHOOL, INFINITE_CAMPUS = "Aeries", "PowerSchool SIS", "Infinite Campus"
SYSTEMS = (AERIES, POWERSCHOOL, INFINITE_CAMPUS)


@dataclass(frozen=True, slots=True)
class SisLocation:
    """Where one system keeps a value, and the public page that says so."""

    system: str
    where: str
    source: str


_AERIES = "support.aeries.com, article {}"
_AERIES_CCGI = _AERIES.format("14000109091: CCGI Supporting Pages and Tables")
_AERIES_CCGI_SET_UP = _AERIES.format("14000109093: CCGI Basic Info")
_AERIES_STUDENT = _AERIES.format("14000070394: CALPADS, Student Data Fields")
_AERIES_BY_EXTRACT = _AERIES.format("14000100649: CALPADS Cross Reference by Extract")
_AERIES_MAINTENANCE = _AERIES.format("14000068498: CALPADS, Ongoing Maintenance")
_AERIES_IDENTITY = _AERIES.format("14000156833: Student Identification and Demographics Mappings")
_AERIES_COURSE = _AERIES.format("14000070409: CALPADS, Course Data")
_AERIES_TRANSCRIPT = _AERIES.format("14000071849: Adding and Editing a Student's Transcript")

_POWERSCHOOL = "ps-compliance.powerschool-docs.com, {}"
_POWERSCHOOL_STUDENT = _POWERSCHOOL.format("California: Entering Student and Guardian Information")
_POWERSCHOOL_DISTRICT = _POWERSCHOOL.format("California: Enter District Info")
_POWERSCHOOL_ENROLLMENT = _POWERSCHOOL.format("California: Editing a Student's Enrollment Records")
_POWERSCHOOL_TRANSFER = _POWERSCHOOL.format("Transfer Information (the same in each state)")
_POWERSCHOOL_CCGI_STUDENT = _POWERSCHOOL.format("California: CCGI Student File Report")
_POWERSCHOOL_CCGI_COURSE = _POWERSCHOOL.format("California: CCGI Course Grade Report")
_POWERSCHOOL_CCGI_CATALOG = _POWERSCHOOL.format("California: CCGI Course Catalog Report")
_POWERSCHOOL_UC_CSU = _POWERSCHOOL.format("California: UC/CSU Qualifications")
_POWERSCHOOL_MATCH = _POWERSCHOOL.format("00_Student_Match (a table of all states)")
_POWERSCHOOL_CALPADS = "help.scottsvalleyusd.org: Important CALPADS Fields (a district's help page)"

_CAMPUS = "kb.infinitecampus.com, {}"
_CAMPUS_CENSUS = _CAMPUS.format("Census (California)")
_CAMPUS_IDENTITIES = _CAMPUS.format("Census: Identities")
_CAMPUS_ENROLLMENTS = _CAMPUS.format("Enrollments: How-To Guides")
_CAMPUS_TRANSCRIPTS = _CAMPUS.format("Transcripts")
_CAMPUS_COURSE = _CAMPUS.format("California Course and Section")
_CAMPUS_CALPADS = "knowledgeforschools.com: CALPADS Fall 1 Student Information in Infinite Campus"
_CAMPUS_QUERY = "the query of a Californian district's own CCGI export, in a public repository"

_LEGAL_NAME = "or {} where the legal name is filled in"
_UNTIL_SAVED = "once saved it can only be read there; PowerSchool's help says how to change it"

_PLACES: Mapping[str, tuple[SisLocation, ...]] = {
    "ssid": (
        SisLocation(
            AERIES, "Student Data > Demographics: State Student ID (STU.CID)", _AERIES_BY_EXTRACT
        ),
        SisLocation(
            POWERSCHOOL,
            "Student Selection > State/Province - CA > Student Information: Statewide Student "
            f"Identifier (Students.State_StudentNumber); {_UNTIL_SAVED}",
            _POWERSCHOOL_STUDENT,
        ),
        SisLocation(
            INFINITE_CAMPUS,
            "Census > People > Demographics: the state's identification number (student.stateID)",
            f"{_CAMPUS_CENSUS}; {_CAMPUS_QUERY}",
        ),
    ),
    "local id": (
        SisLocation(AERIES, "Student Data > Demographics: Student ID (STU.ID)", _AERIES_IDENTITY),
        SisLocation(POWERSCHOOL, "the field Students.Student_Number", _POWERSCHOOL_MATCH),
        SisLocation(
            INFINITE_CAMPUS,
            "Census > People > Demographics: the student's number (student.studentNumber)",
            f"{_CAMPUS_CENSUS}; {_CAMPUS_QUERY}",
        ),
    ),
    "first name": (
        SisLocation(
            AERIES,
            "Student Data > Demographics, tab Student Data 1: First Name (STU.FN), "
            + _LEGAL_NAME.format("Legal First Name (LSI.LFN)"),
            _AERIES_STUDENT,
        ),
        SisLocation(POWERSCHOOL, "Demographics: Name (Students.First_Name)", _POWERSCHOOL_CALPADS),
        SisLocation(
            INFINITE_CAMPUS, "Identities: First Name (Identity.firstName)", _CAMPUS_IDENTITIES
        ),
    ),
    "middle name": (
        SisLocation(
            AERIES,
            "Student Data > Demographics, tab Student Data 1: Middle Name (STU.MN), "
            + _LEGAL_NAME.format("Legal Middle Name (LSI.LMN)"),
            _AERIES_STUDENT,
        ),
        SisLocation(POWERSCHOOL, "Demographics: Name (Students.Middle_Name)", _POWERSCHOOL_CALPADS),
        SisLocation(
            INFINITE_CAMPUS, "Identities: Middle Name (Identity.middleName)", _CAMPUS_IDENTITIES
        ),
    ),
    "last name": (
        SisLocation(
            AERIES,
            "Student Data > Demographics, tab Student Data 1: Last Name (STU.LN), "
            + _LEGAL_NAME.format("Legal Last Name (LSI.LLN)"),
            _AERIES_STUDENT,
        ),
        SisLocation(POWERSCHOOL, "Demographics: Name (Students.Last_Name)", _POWERSCHOOL_CALPADS),
        SisLocation(
            INFINITE_CAMPUS, "Identities: Last Name (Identity.lastName)", _CAMPUS_IDENTITIES
        ),
    ),
    "preferred name": (
        SisLocation(
            POWERSCHOOL,
            "Student Selection > State/Province - CA > Student Information: Student Preferred Name",
            _POWERSCHOOL_STUDENT,
        ),
    ),
    "suffix": (
        SisLocation(
            AERIES,
            "Student Data > Demographics, tab Student Data 1: Suffix (STU.SF)",
            _AERIES_STUDENT,
        ),
        SisLocation(
            POWERSCHOOL,
            "State/Province - CA > Student Information: Suffix (CA_NameSuffix)",
            _POWERSCHOOL_CALPADS,
        ),
        SisLocation(INFINITE_CAMPUS, "Identities: Suffix (Identity.suffix)", _CAMPUS_IDENTITIES),
    ),
    "birth date": (
        SisLocation(
            AERIES,
            "Student Data > Demographics, tab Student Data 1: Birthdate (STU.BD)",
            _AERIES_STUDENT,
        ),
        SisLocation(
            POWERSCHOOL, "Demographics: Date of Birth (Students.DOB)", _POWERSCHOOL_CALPADS
        ),
        SisLocation(INFINITE_CAMPUS, "Demographics: date of birth", _CAMPUS_CALPADS),
    ),
    "gender": (
        SisLocation(
            AERIES,
            "Student Data > Demographics, tab Student Data 1: Gender (STU.GN, earlier Sex), or "
            "Legal Gender (LSI.GN) where it is filled in",
            f"{_AERIES_BY_EXTRACT}; {_AERIES_STUDENT}",
        ),
        SisLocation(POWERSCHOOL, "Demographics: Gender (Students.Gender)", _POWERSCHOOL_CALPADS),
        SisLocation(
            INFINITE_CAMPUS,
            "Demographics: Gender; Legal Gender stands on the Identities record",
            _CAMPUS_CENSUS,
        ),
    ),
    "grade": (
        SisLocation(
            AERIES,
            "Student Data > Demographics, tab Student Data 1: Grade (STU.GR)",
            _AERIES_STUDENT,
        ),
        SisLocation(
            POWERSCHOOL,
            "Transfer Info > Edit Current Enrollment: Grade Level (Students.Grade_Level)",
            _POWERSCHOOL_TRANSFER,
        ),
        SisLocation(INFINITE_CAMPUS, "Enrollments: Grade", _CAMPUS_ENROLLMENTS),
    ),
    "average": (
        SisLocation(
            AERIES,
            "CCGI Extract, tab Basic Info: GPA and Options; recompute GPA and class rank before "
            "the extract",
            _AERIES_CCGI_SET_UP,
        ),
        SisLocation(
            POWERSCHOOL,
            "CCGI Student File Report: GPA Method, chosen when the report is run",
            _POWERSCHOOL_CCGI_STUDENT,
        ),
    ),
    "kind of average": (
        SisLocation(
            AERIES,
            "CCGI Extract, tab Basic Info: GPA and Options: type of GPA",
            _AERIES_CCGI_SET_UP,
        ),
        SisLocation(
            POWERSCHOOL,
            "CCGI Student File Report: GPA Type Display Text, chosen when the report is run",
            _POWERSCHOOL_CCGI_STUDENT,
        ),
    ),
    "consent": (
        SisLocation(
            AERIES,
            "CCGI Extract, tab Basic Info: Parental Consent names the table and field that are "
            "read (STU, SUP or AUT); since August 26, 2025 they mark who opts out",
            f"{_AERIES_CCGI_SET_UP}; {_AERIES_CCGI}",
        ),
    ),
    "ethnicity": (
        SisLocation(AERIES, "the student's Ethnicity (STU.ETH)", _AERIES_MAINTENANCE),
        SisLocation(
            POWERSCHOOL, "Demographics: Latino/Hispanic (FedEthnicity)", _POWERSCHOOL_CALPADS
        ),
        SisLocation(INFINITE_CAMPUS, "Demographics: Race and Ethnicity", _CAMPUS_CALPADS),
    ),
    "race": (
        SisLocation(AERIES, "the student's Races (STU.RC1 to STU.RC5)", _AERIES_MAINTENANCE),
        SisLocation(POWERSCHOOL, "Demographics: Race (table StudentRace)", _POWERSCHOOL_CALPADS),
        SisLocation(INFINITE_CAMPUS, "Demographics: Race and Ethnicity", _CAMPUS_CALPADS),
    ),
    "entry": (
        SisLocation(
            AERIES, "the student's enter date (STU.ED, or the table ENR)", _AERIES_BY_EXTRACT
        ),
        SisLocation(
            POWERSCHOOL,
            "Transfer Info > Edit Current/Previous Enrollment: Entry Date",
            _POWERSCHOOL_ENROLLMENT,
        ),
        SisLocation(INFINITE_CAMPUS, "Enrollments: Start Date", _CAMPUS_ENROLLMENTS),
    ),
    "exit": (
        SisLocation(
            POWERSCHOOL,
            "Transfer Info > Edit Current/Previous Enrollment: the exit date",
            _POWERSCHOOL_TRANSFER,
        ),
        SisLocation(INFINITE_CAMPUS, "Enrollments: End Date", _CAMPUS_ENROLLMENTS),
    ),
    "disability": (SisLocation(AERIES, "Special Education (table CSE)", _AERIES_CCGI),),
    "section 504": (
        SisLocation(AERIES, "504 Plans (table FOF) or Special Programs (table PGM)", _AERIES_CCGI),
    ),
    "english learner": (
        SisLocation(
            AERIES,
            "Language Assessment (table LAC), and Demographics: Language Fluency (STU.LF)",
            f"{_AERIES_CCGI}; {_AERIES.format('14000113065: ParentSquare Mapping')}",
        ),
        SisLocation(
            POWERSCHOOL,
            "State/Province - CA > Student Information: ELA Status",
            _POWERSCHOOL_CALPADS,
        ),
    ),
    "parent education": (
        SisLocation(
            POWERSCHOOL,
            "State/Province - CA > Student Information: Parent Ed Code; the highest of the parents",
            _POWERSCHOOL_CALPADS,
        ),
    ),
    "district code": (
        SisLocation(
            AERIES,
            "School Options: county and district code (LOC.CC and LOC.DC)",
            _AERIES_BY_EXTRACT,
        ),
        SisLocation(
            POWERSCHOOL,
            "District Setup > District Information > District Info: District Number, 7 digits with "
            "leading zeros",
            _POWERSCHOOL_DISTRICT,
        ),
    ),
    "school code": (
        SisLocation(
            AERIES,
            "School Options: county, district and school code (LOC.CC, LOC.DC and LOC.SC)",
            _AERIES_BY_EXTRACT,
        ),
        SisLocation(
            POWERSCHOOL,
            "its first 7 digits: District Setup > District Information > District Info: District "
            "Number, with leading zeros; the rest: the school's state number "
            "(S_CA_SCH_X.StateSchoolNumber)",
            f"{_POWERSCHOOL_DISTRICT}; {_POWERSCHOOL_CCGI_CATALOG}",
        ),
    ),
    "school of the course": (
        SisLocation(
            AERIES,
            "Course History Institutions: CDS code of the school (CHI.ID)",
            _AERIES_CCGI,
        ),
        SisLocation(
            POWERSCHOOL,
            "the stored grade's CDS code (S_CA_SGR_X.CDS_Code)",
            _POWERSCHOOL_CCGI_COURSE,
        ),
        SisLocation(
            INFINITE_CAMPUS,
            "Transcripts: School Number of the record (transcriptCourse.districtNumber and "
            "schoolNumber)",
            f"{_CAMPUS_TRANSCRIPTS}; {_CAMPUS_QUERY}",
        ),
    ),
    "college board code": (
        SisLocation(
            AERIES,
            "School Options: College Board School Code (LOC.CBC); where it is blank, the extract "
            "writes 111111",
            _AERIES_CCGI,
        ),
        SisLocation(
            POWERSCHOOL,
            "the stored grade's ATP code (S_CA_SGR_X.CCGI_ATPCode)",
            _POWERSCHOOL_CCGI_COURSE,
        ),
    ),
    "in progress": (
        SisLocation(
            AERIES,
            "CCGI Extract, tab Basic Info: Work in Progress, whether and for which terms",
            _AERIES_CCGI_SET_UP,
        ),
    ),
    "term": (
        SisLocation(
            AERIES,
            "CCGI Extract, tab Basic Info: Terms; each term of the transcripts is mapped to one of "
            "CCGI's",
            _AERIES_CCGI_SET_UP,
        ),
        SisLocation(
            INFINITE_CAMPUS,
            "Transcripts: Actual Term and Terms Long of the record",
            f"{_CAMPUS_TRANSCRIPTS}; {_CAMPUS_QUERY}",
        ),
    ),
    "year of the course": (
        SisLocation(
            INFINITE_CAMPUS,
            "Transcripts: the record's school year",
            f"{_CAMPUS_TRANSCRIPTS}; {_CAMPUS_QUERY}",
        ),
    ),
    "grade of the course": (
        SisLocation(
            INFINITE_CAMPUS,
            "Transcripts: the record's grade level (transcriptCourse.grade)",
            f"{_CAMPUS_TRANSCRIPTS}; {_CAMPUS_QUERY}",
        ),
    ),
    "course number": (
        SisLocation(
            AERIES, "Scheduling Process > Courses, tab General: Course ID (CRS.CN)", _AERIES_COURSE
        ),
        SisLocation(
            INFINITE_CAMPUS,
            "Transcripts: Course Number of the record; Course Information: Number",
            f"{_CAMPUS_TRANSCRIPTS}; {_CAMPUS_QUERY}",
        ),
    ),
    "course name": (
        SisLocation(
            INFINITE_CAMPUS,
            "Transcripts: Course Name of the record; Course Information: Name",
            f"{_CAMPUS_TRANSCRIPTS}; {_CAMPUS_QUERY}",
        ),
    ),
    "course title": (
        SisLocation(
            AERIES,
            "Scheduling Process > Courses, tab General: Course Title (CRS.CO)",
            _AERIES_COURSE,
        ),
    ),
    "a-g area": (
        SisLocation(
            AERIES,
            "Scheduling Process > Courses, tab California Specific Fields: UC/CSU Subject Area "
            "Codes (CRS.U1 and following)",
            _AERIES_COURSE,
        ),
        SisLocation(
            POWERSCHOOL,
            "Edit Stored Grade: UC/CSU Approved Course Subject Area",
            _POWERSCHOOL_UC_CSU,
        ),
    ),
    "a-g area of the catalog": (
        SisLocation(
            POWERSCHOOL,
            "the course's UC/CSU subject area, of which the report takes the first character",
            _POWERSCHOOL_CCGI_CATALOG,
        ),
    ),
    "state course code": (
        SisLocation(
            AERIES,
            "Scheduling Process > Courses, tab California Specific Fields: State Course Code "
            "(CRS.C3)",
            _AERIES_COURSE,
        ),
        SisLocation(INFINITE_CAMPUS, "Scheduling > Courses > Course: State Code", _CAMPUS_COURSE),
    ),
    "credits attempted": (
        SisLocation(AERIES, "Student Data > Grades > Transcripts: Atmp", _AERIES_TRANSCRIPT),
        SisLocation(INFINITE_CAMPUS, "Transcripts: credits attempted", _CAMPUS_TRANSCRIPTS),
    ),
    "credits earned": (
        SisLocation(AERIES, "Student Data > Grades > Transcripts: Comp", _AERIES_TRANSCRIPT),
        SisLocation(INFINITE_CAMPUS, "Transcripts: credits earned", _CAMPUS_TRANSCRIPTS),
    ),
    "mark": (
        SisLocation(AERIES, "Student Data > Grades > Transcripts: Mark", _AERIES_TRANSCRIPT),
        SisLocation(INFINITE_CAMPUS, "Transcripts: Score", _CAMPUS_TRANSCRIPTS),
    ),
    "test": (SisLocation(AERIES, "College Entrance Tests (table CTS)", _AERIES_CCGI),),
}
"""The places of each kind of value; several columns of several files are of one kind."""

_CDS = "school code"


def _extract(last: str, first: str, **others: str) -> dict[str, str]:
    """Columns of an extract of Foster Focus; the nine spell the names differently."""
    same = {"SystemID": "district code", "SSID": "ssid", "SISLocalID": "local id"}
    return {**same, last: "last name", first: "first name", **others}


_KINDS: Mapping[str, Mapping[str, str]] = {
    "transcript_student": {
        "PrimaryCDSCode": _CDS,
        "LocalStudentID": "local id",
        "StateID": "ssid",
        "FirstName": "first name",
        "PreferredFirstName": "preferred name",
        "MiddleName": "middle name",
        "PreferredMiddleName": "preferred name",
        "LastName": "last name",
        "PreferredLastName": "preferred name",
        "Suffix": "suffix",
        "DateOfBirth": "birth date",
        "Gender": "gender",
        "GradeLevel": "grade",
        "GPA": "average",
        "GPAType": "kind of average",
        "ParentConsent": "consent",
        "HispanicEthnicity": "ethnicity",
        **{f"RaceCode{number}": "race" for number in range(1, 6)},
        "EnrollmentStartDate": "entry",
        "EnrollmentEndDate": "exit",
        "SWDIndicator": "disability",
        "504ProgramIndicator": "section 504",
        "EL": "english learner",
        "ParentGuardianEdLevel": "parent education",
    },
    "transcript_course_grade": {
        "StateID": "ssid",
        "CDSCode": "school of the course",
        "ATPCode": "college board code",
        "IsWorkInProgress": "in progress",
        "GradeLevel": "grade of the course",
        "SchoolYear": "year of the course",
        "Term": "term",
        "LocalCourseID": "course number",
        "TranscriptAbbreviation": "course name",
        "SubjectArea": "a-g area",
        "CreditsAttempted": "credits attempted",
        "CreditsEarned": "credits earned",
        "CourseGrade": "mark",
    },
    "transcript_course_catalog": {
        "CDSCode": _CDS,
        "GraduationRequirements": "a-g area of the catalog",
        "CourseTitle": "course title",
        "CourseNumber": "course number",
        "StateCourseCode": "state course code",
    },
    "transcript_test_grade": {"StateID": "ssid", "TestName": "test", "TestDate": "test"},
    "foster_focus_demographics": _extract(
        "Lastname",
        "Firstname",
        Gender="gender",
        Birthdate="birth date",
        EntryDate="entry",
        ExitDate="exit",
    ),
    "foster_focus_enrollment_history": _extract(
        "Lastname",
        "Firstname",
        EntryDate="entry",
        ExitDate="exit",
        Grade="grade",
        SchoolCDSCode=_CDS,
    ),
    "foster_focus_attendance_periods": _extract("LastName", "FirstName", SchoolCDSCode=_CDS),
    "foster_focus_attendance_exceptions": _extract("Lastname", "Firstname", SchoolCDSCode=_CDS),
    "foster_focus_test_scores": _extract("Lastname", "FirstName", SchoolCDSCode=_CDS),
    "foster_focus_special_education": _extract("LastName", "FirstName", SchoolCDSCode=_CDS),
    "foster_focus_gpa": _extract("Lastname", "Firstname", SchoolCDSCode=_CDS),
    "foster_focus_behavior": _extract("LastName", "FirstName", EventSchoolCDSCode=_CDS),
    "foster_focus_transcripts": _extract(
        "Lastname",
        "FirstName",
        Grade="grade of the course",
        SchYear="year of the course",
        CourseNumber="course number",
        StateCourseNumber="state course code",
        GradCratt="credits attempted",
        GradCrawd="credits earned",
        markAwd1="mark",
    ),
}
"""The kind of value of each feed's columns, if a place is known for that kind."""


def places(feed: str, column: str) -> tuple[SisLocation, ...]:
    """Returns the known places where the systems keep the values of ``column`` of ``feed``."""
    return _PLACES.get(_KINDS.get(feed, {}).get(column, ""), ())


def known_columns() -> Iterator[tuple[str, str]]:
    """Returns every feed and column with a declared place."""
    for feed, columns in _KINDS.items():
        for column in columns:
            yield feed, column
