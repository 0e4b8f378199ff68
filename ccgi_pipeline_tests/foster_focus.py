"""Good Foster Focus extracts: nine files about the same few students, which fit each other.

Belongs here: what one student's line says in each extract. The tests break these lines one at a
time, so nothing in them may break a rule, not even a warning.
"""

from __future__ import annotations

from ccgi_pipeline.feeds.codes import DISABILITY_CATEGORY
from ccgi_pipeline.feeds.spec import FeedSpec

Line = dict[str, str]

_NAMES = ("Adams", "Baker", "Clark", "Davis", "Evans", "Frank", "Green", "Hill", "Irwin", "Jones")
SCHOOL_CODE = "110"


def local_id(number: int) -> str:
    """The local ID of the student ``number``."""
    return f"L{number:06d}"


def register_line(student: Line, **cells: str) -> Line:
    """The line of a register of children that knows ``student``, a line of demographics."""
    return {
        "ChildID": f"child-{student['SISLocalID']}",
        "LastName": student["Lastname"],
        "FirstName": student["Firstname"],
        "BirthDate": student["Birthdate"],
        "Gender": student["Gender"],
        "SSID": student["SSID"],
        "Status": "active",
        "StatusSince": "2024-01-01",
        **cells,
    }


def foster_line(feed: FeedSpec, number: int, sender: str, school: str) -> Line:
    """The line of the student ``number`` in ``feed``, sent by the district ``sender``.

    Students are in grade 11 in the school ``school`` since August of the school year 2026-27.
    """
    day = f"2026-09-{1 + number:02d}"
    said = {
        "SystemID": sender,
        "UniqueID": f"{feed.prefix}{number}",
        "SSID": f"91{number:08d}",
        "Lastname": _NAMES[number % len(_NAMES)],
        "Firstname": f"Robin{number}",
        "SISLocalID": local_id(number),
        "SISSchoolCode": SCHOOL_CODE,
        "SchoolCDSCode": school,
        "EventSchoolCDSCode": school,
        "SchoolName": "Palm Springs High",
        "Grade": "11",
        "SchoolYear": "2027",
        "SchYear": "2027",
        # demographics
        "Gender": "FM"[number % 2],
        "Birthdate": f"2010-0{1 + number % 9}-11",
        "homeAddress": f"{number + 1} Main Street",
        "EntryDate": "2026-08-17",
        "ExitDate": "2027-06-11",
        "HomeLanguageCode": "01",
        "PrimaryLanguage": "Spanish",
        # enrollment_history
        "EntryReason": "Returning",
        "ExitReason": "T160",
        "StatusCode": "A",
        "CompletionStatus": "480",
        # attendance
        "SchoolDate": day,
        "PeriodsEnrolled": "6",
        "PeriodsAttended": "5",
        "AttendDate": day,
        "AttendCode": "U",
        "AttendDescript": "Unverified Absence",
        "Period": str(1 + number % 6),
        "CourseDescript": "English 11",
        # test_scores
        "TestDate": day,
        "TestScoreType": "S",
        "TestScore": str(340 + number),
        "IsPassing": "1",
        "TestType": "STAR",
        "TestSubType": "CST ELA",
        "TestDescription": "CST English Language Arts scaled score",
        # special_education
        "SpecProgEDate": "2026-02-03",
        "SpecProgXDate": "2027-02-03",
        "SEDescript": "Autism",
        "SEServiceCode": DISABILITY_CATEGORY.values[number % 13],
        # gpa
        "TermDescript": "Semester 1",
        "CalculationDate": "2026-10-30",
        "GPATypeDescript": "High School Academic GPA",
        "TermGPA": "3.25",
        # behavior
        "PenaltyTypeCode": "12",
        "PenaltyTypeDesc": "Detention",
        "BegServeDate": day,
        "NumServDays": "1",
        "PenEventDate": day,
        # transcripts
        "trDate": "2026-11-02",
        "SubjectDescript": "English",
        "CourseNumber": f"E{number:03d}",
        "StateCourseNumber": "9131",
        "GradCratt": "5.0",
        "GradCrawd": "5.0",
        "GPACratt": "5.0",
        "GPACrawd": "5.0",
        "markAwd1": "B",
        "markDesc1": "Letter Marks",
        "UCCSUApprovedCourse": "B",
    }
    folded = {name.lower(): cell for name, cell in said.items()}
    return {name: folded[name.lower()] for name in feed.columns}
