"""The columns of the nine extracts, typed in by hand from the specification's tables.

Belongs here: name as printed, requirement, type and length of each column, as on pages 6 to 17 of
the Foster Focus Data Link Specifications, and that the data dictionary says the same. Where the
table prints no requirement, the column is recommended; IsPassing is "required when CAHSEE". A "Bit"
is a boolean, a "Float" and a "Numeric" a decimal, but a "Numeric four-digit year" a year, and
SEServiceCode, whose codes are whole numbers, an integer.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main

TITLE = "Foster Focus Data Link Specifications"

PRINTED = {
    ("demographics", 6): """
        SystemID            required     string   50
        UniqueID            recommended  string   50
        SSID                recommended  string   50
        Lastname            required     string   50
        Firstname           required     string   50
        Gender              required     string   1
        Birthdate           required     date     -
        homeAddress         required     string   100
        EntryDate           required     date     -
        ExitDate            required     date     -
        SISLocalID          required     string   10
        HomeLanguageCode    optional     string   10
        PrimaryLanguage     optional     string   10
    """,
    ("enrollment_history", 7): """
        SystemID            required     string   50
        UniqueID            recommended  string   50
        SSID                recommended  string   50
        EntryDate           required     date     -
        ExitDate            recommended  date     -
        EntryReason         recommended  string   250
        ExitReason          required     string   250
        StatusCode          optional     string   10
        Grade               required     string   10
        SISSchoolCode       required     string   20
        SchoolName          recommended  string   125
        Lastname            required     string   50
        Firstname           required     string   50
        SchoolCDSCode       required     string   20
        SISLocalID          required     string   10
        CompletionStatus    recommended  string   50
    """,
    ("attendance_periods", 9): """
        SystemID            required     string   50
        UniqueID            recommended  string   50
        SSID                required     string   50
        SchoolDate          required     date     -
        PeriodsEnrolled     required     integer  -
        PeriodsAttended     required     integer  -
        SchoolCDSCode       required     string   20
        SISSchoolCode       required     string   20
        SchoolYear          optional     year     -
        SISLocalID          required     string   10
        LastName            required     string   50
        FirstName           required     string   50
    """,
    ("attendance_exceptions", 10): """
        SystemID            required     string   50
        UniqueID            recommended  string   50
        SSID                required     string   50
        AttendDate          required     date     -
        AttendCode          required     string   20
        AttendDescript      required     string   250
        Period              required     string   10
        CourseDescript      required     string   250
        SchoolCDSCode       required     string   20
        SISLocalID          required     string   10
        SISSchoolCode       required     string   20
        Lastname            required     string   50
        Firstname           required     string   50
    """,
    ("test_scores", 11): """
        SystemID            required     string   50
        UniqueID            recommended  string   50
        SSID                required     string   50
        TestDate            required     date     -
        Grade               recommended  string   10
        TestScoreType       required     string   10
        TestScore           required     string   80
        IsPassing           conditional  boolean  -
        TestType            required     string   15
        TestSubType         required     string   50
        TestDescription     recommended  string   100
        SISLocalID          required     string   10
        Lastname            required     string   40
        FirstName           required     string   40
        SisSchoolCode       recommended  string   20
        SchoolCDSCode       recommended  string   20
    """,
    ("special_education", 13): """
        SystemID            required     string   50
        UniqueID            recommended  string   50
        SSID                required     string   50
        SpecProgEDate       recommended  string   50
        SpecProgXDate       recommended  string   50
        SEDescript          optional     string   100
        SEServiceCode       required     integer  -
        SISLocalID          required     string   10
        LastName            required     string   50
        FirstName           required     string   50
        SISSchoolCode       recommended  string   20
        SchoolCDSCode       recommended  string   20
    """,
    ("gpa", 14): """
        SystemID            required     string   50
        UniqueID            recommended  string   50
        SSID                required     string   50
        TermDescript        required     string   50
        CalculationDate     required     date     -
        GPATypeDescript     required     string   32
        SchoolYear          required     year     -
        Grade               required     string   15
        TermGPA             required     decimal  -
        SchoolCDSCode       required     string   20
        SISLocalID          required     string   10
        SISSchoolCode       required     string   20
        Lastname            required     string   50
        Firstname           required     string   50
    """,
    ("behavior", 16): """
        SystemID            required     string   50
        UniqueID            recommended  string   50
        SSID                required     string   50
        PenaltyTypeCode     recommended  string   50
        PenaltyTypeDesc     recommended  string   -
        BegServeDate        recommended  date     -
        NumServDays         recommended  integer  -
        PenEventDate        required     date     -
        EventSchoolCDSCode  required     string   20
        SISLocalID          required     string   10
        LastName            required     string   50
        FirstName           required     string   50
        SISSchoolCode       recommended  string   20
    """,
    ("transcripts", 17): """
        SystemID            required     string   50
        UniqueID            recommended  string   50
        SSID                required     string   50
        Grade               required     string   -
        trDate              required     date     -
        SchYear             required     year     -
        TermDescript        required     string   -
        SubjectDescript     required     string   50
        CourseDescript      recommended  string   50
        CourseNumber        required     string   14
        StateCourseNumber   recommended  string   10
        GradCratt           recommended  decimal  -
        GradCrawd           recommended  decimal  -
        GPACratt            recommended  decimal  -
        GPACrawd            required     decimal  -
        markAwd1            required     string   15
        markDesc1           recommended  string   -
        SISSchoolCode       required     string   20
        SchoolCDSCode       required     string   20
        Lastname            required     string   50
        FirstName           required     string   50
        SISLocalID          required     string   10
        UCCSUApprovedCourse required     string   10
    """,
}
"""Each extract, with the page on which its table begins."""

Row = tuple[str, str, str, int | None]


def _rows(printed: str) -> list[Row]:
    cells = (line.split() for line in printed.strip().splitlines())
    return [
        (name, requirement, kind, None if length == "-" else int(length))
        for name, requirement, kind, length in cells
    ]


@pytest.fixture(scope="module")
def told() -> dict[str, dict[str, Any]]:
    """The feeds of the family as `ccgi dictionary` tells them, by extract."""
    feeds = json.loads(CliRunner().invoke(main, ["dictionary", "--format", "json"]).output)["feeds"]
    return {
        feed["name"].removeprefix("foster_focus_"): feed
        for feed in feeds
        if feed["family"] == "foster_focus"
    }


@pytest.mark.parametrize(("extract", "page"), PRINTED, ids=str)
def test_the_columns_are_those_of_the_printed_table(
    extract: str, page: int, told: dict[str, dict[str, Any]]
):
    columns = [
        (column["name"], column["requirement"], column["type"], column["length"])
        for column in told[extract]["columns"]
    ]
    assert columns == _rows(PRINTED[extract, page])
    assert {column["source"] for column in told[extract]["columns"]} == {f"{TITLE}, page {page}"}


def test_the_nine_extracts_are_told_in_the_order_of_the_specification(
    told: dict[str, dict[str, Any]],
):
    assert list(told) == [extract for extract, _ in PRINTED]


def test_every_extract_is_separated_by_tabs_and_has_no_quotes(told: dict[str, dict[str, Any]]):
    assert {(*feed["separators"], feed["quote"]) for feed in told.values()} == {("\t", None)}
