"""The three eligibility reports: from a course history to the files that a district finds.

Belongs here: whole nights over a few students. The rules of eligibility are tested in
``ccgi_pipeline_tests/eligibility``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.transcript import COURSE_CATALOG, COURSE_GRADE
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.nightly.inboxes import (
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    course,
    put,
    put_events,
    put_roster,
    student,
)
from ccgi_pipeline_tests.nightly.nights import ON, Outbox, folders_in, lake_rows, run_night

READY, BEHIND, NEW = "1000000001", "1000000002", "1000000003"
CERTIFIED, COMBINED = "1000000004", "1000000005"

_YEARS = {
    "09": ["B English 9", "C Algebra 1", "D Biology", "E Spanish 1", "F Drawing"],
    "10": ["A World History", "B English 10", "C Geometry", "D Chemistry", "E Spanish 2"],
    "11": ["A US History", "B English 11", "C Algebra 2", "D Physics", "E Spanish 3"],
    "12": ["B English 12"],
}
"""A course of study that has everything; physics and Spanish 3 spill over into G."""
_OF_COMBINED = {
    "09": ["B English 9", "D Biology", "E Spanish 1", "F PROJECT X"],
    "10": ["A WRLD HIST", "B English 10", "D Chemistry", "E Spanish 2"],
    "11": ["A US History", "B English 11", "C ALGEBRA 2/TRIG", "D BIO-CHEM", "E Spanish 3"],
    "12": ["B English 12"],
}
"""The same with ALGEBRA 2/TRIG as the only mathematics, and names that say nothing."""


def _history(ssid: str, grades: dict[str, list[str]], mark: str = "A") -> list[dict[str, str]]:
    return [
        course(
            ssid,
            PALM_SPRINGS_HIGH,
            f"{grade}{number}",
            GradeLevel=grade,
            SchoolYear=f"{2014 + int(grade)}-{15 + int(grade)}",
            Term="FY",
            SubjectArea=named[0],
            TranscriptAbbreviation=named[2:],
            CourseGrade=mark,
        )
        for grade, courses in grades.items()
        for number, named in enumerate(courses)
    ]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """One student who is through, one who is behind, one without a course, and two others.

    One is certified in a language and takes none; one has combined and odd names of courses, of
    which the catalog has a state course code.
    """
    folders = folders_in(tmp_path_factory.mktemp("eligibility"))
    roster = [student(ssid, PALM_SPRINGS_HIGH, "12") for ssid in (READY, BEHIND, NEW, COMBINED)]
    roster.append(student(CERTIFIED, PALM_SPRINGS_HIGH, "12", LOTECert="Y", LanguageCode="01"))
    put_roster(folders.inbox, PALM_SPRINGS, roster)
    behind = {grade: courses[:2] for grade, courses in _YEARS.items() if grade != "12"}
    no_language = {
        grade: [named for named in courses if named[0] != "E"] for grade, courses in _YEARS.items()
    }
    lines = [
        *_history(READY, _YEARS),
        *_history(BEHIND, behind, "D"),
        *_history(CERTIFIED, no_language),
        *_history(COMBINED, _OF_COMBINED),
    ]
    catalog = [
        {**dict.fromkeys(COURSE_CATALOG.columns, ""), "CDSCode": PALM_SPRINGS_HIGH,
         "CourseNumber": "093", "CourseTitle": "Project X", "StateCourseCode": "9090"},
    ]  # fmt: skip
    put(
        folders.inbox,
        f"{PALM_SPRINGS}/transcript/CourseCatalog_20261122.csv",
        as_bytes(COURSE_CATALOG, catalog),
    )
    path = folders.inbox / PALM_SPRINGS / "transcript" / "CourseGradeTemplate_20261122.csv"
    path.write_bytes(as_bytes(COURSE_GRADE, lines))
    put_events(folders.inbox, [application(READY, "Cal State Apply", "Submitted", "CSU Chico")])
    run_night(folders)
    return folders


def _rows(night: PipelinePaths, folder: str, file: str = "Detail") -> list[dict[str, str]]:
    path = f"legacy reporting/{folder}"
    header, *rows = Outbox(night.outbox).report("PalmSpringsUnified", path, file)
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("folder", "system"), [("csu_eligibility", "CSU"), ("uc eligibility", "UC")]
)
def test_each_student_of_the_roster_has_a_status_an_average_and_years(
    night: PipelinePaths, folder: str, system: str
):
    told = {
        row["SSID"]: (
            row[f"{system} Eligibility (Estimate)"],
            row[f"{system} GPA"],
            row["A-G Years Completed"],
            row["Areas Not Complete"],
        )
        for row in _rows(night, folder)
    }
    assert told == {
        READY: ("Meets", "4.00", "15", ""),
        BEHIND: ("Not on track", "1.00", "0", "A B C D E F G"),
        NEW: ("Insufficient data", "", "0", "A B C D E F G"),
        CERTIFIED: ("Meets", "4.00", "15", ""),
        COMBINED: ("Close", "4.00", "14", "C"),
    }


def test_the_reasons_say_what_is_missing_in_words(night: PipelinePaths):
    (reasons,) = [row["Reasons"] for row in _rows(night, "uc eligibility") if row["SSID"] == BEHIND]
    assert "Needs 3 more years of area C (mathematics): geometry" in reasons
    assert "The grade point average of 1.00 is below 3.00." in reasons


def test_the_aggregate_counts_students_by_status(night: PipelinePaths):
    counts = {
        row["CSU Eligibility (Estimate)"]: row["# of Students"]
        for row in _rows(night, "csu_eligibility", "Agg")
    }
    assert counts == {"Close": "1", "Insufficient data": "1", "Meets": "2", "Not on track": "1"}


def test_eligibility_is_crossed_with_the_application_to_csu(night: PipelinePaths):
    crossed = {
        row["SSID"]: (
            row["CSU Eligibility (Estimate)"],
            row["Cal State Apply Status"],
            row["# of Campuses"],
        )
        for row in _rows(night, "csu eligibility and applied")
    }
    assert crossed[READY] == ("Meets", "Submitted", "1")
    assert crossed[BEHIND] == ("Not on track", "Not Applied", "0")


def test_a_night_that_changes_nothing_writes_no_result_again(night: PipelinePaths):
    results = night.warehouse / "tables" / "internal" / "eligibility"
    files = sorted(results.rglob("*.parquet"))
    assert files
    before = lake_rows(night.warehouse)["eligibility"]
    run_night(night)
    assert lake_rows(night.warehouse)["eligibility"] == before
    assert files == sorted(results.rglob("*.parquet"))


def test_an_operator_can_have_the_calculation_explained(night: PipelinePaths):
    arguments = ["explain", READY, "--warehouse", str(night.warehouse), "--date", f"{ON}"]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0
    assert "UC: Meets" in told.output
    assert "CSU: Meets" in told.output
    assert "Geometry" in told.output
    unknown = CliRunner().invoke(main, [*arguments[:1], "9999999999", *arguments[2:]])
    assert unknown.exit_code == 1


def _explained(night: PipelinePaths, ssid: str) -> str:
    arguments = ["explain", ssid, "--warehouse", str(night.warehouse), "--date", f"{ON}"]
    told = CliRunner(env={"COLUMNS": "200"}).invoke(main, arguments)
    assert told.exit_code == 0, told.output
    return told.output


def test_the_explanation_shows_a_certificate_in_a_language(night: PipelinePaths):
    told = _explained(night, CERTIFIED)
    assert "LOTECert: certified in a language" in told
    assert "LOTECert" not in _explained(night, READY)


def test_the_explanation_shows_what_names_are_read_as(night: PipelinePaths):
    told = _explained(night, COMBINED)
    assert "CSU: Close" in told
    read_as = {"ALGEBRA 2/TRIG": "algebra_2", "WRLD HIST": "world_history", "PROJECT X": "theater"}
    for name, kind in read_as.items():
        (line,) = [line for line in told.split("CSU: Close")[1].splitlines() if f" {name} " in line]
        assert f" {kind} " in line
    assert "Name not read: BIO-CHEM (area D, lines: 1)" in told
    assert "PROJECT X (area" not in told
    assert "Name not read" not in _explained(night, READY)


def test_a_district_of_nonresidents_is_measured_by_their_average(tmp_path: Path):
    folders = folders_in(tmp_path)
    folders.warehouse.mkdir()
    (folders.warehouse / "profiles.toml").write_text('[defaults]\nresidency = "nonresident"\n')
    put_roster(folders.inbox, PALM_SPRINGS, [student(READY, PALM_SPRINGS_HIGH, "12")])
    path = folders.inbox / PALM_SPRINGS / "transcript" / "CourseGradeTemplate_20261122.csv"
    path.write_bytes(as_bytes(COURSE_GRADE, _history(READY, _YEARS, "B")))
    run_night(folders)
    (uc,), (csu,) = (_rows(folders, folder) for folder in ("uc eligibility", "csu_eligibility"))
    assert (uc["UC Eligibility (Estimate)"], csu["CSU Eligibility (Estimate)"]) == (
        "Close",
        "Meets",
    )
