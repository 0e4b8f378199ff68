"""The rows that the seed document prints, reproduced from received files that imply them.

Belongs here: CaliforniaColleges.edu District Data Sharing, "Sample Student Activity Data", letter
by letter.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    financial_aid,
    numbered,
    put_events,
    put_roster,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import APPLICATIONS, Outbox, folders_in, run_night

SENIORS, JUNIORS = numbered(1_000_000_000, 100), numbered(2_000_000_000, 100)
AGGREGATE = [
    (
        "County,District,School,Application Type,Application Status,Grade Level,# of Students,"
        "% of Students"
    ),
    "Riverside,Palm Springs Unified,Palm Springs High,CCCApply,Submitted,12,10,10",
    "Riverside,Palm Springs Unified,Palm Springs High,CCCApply,Submitted,11,10,10",
    "Riverside,Palm Springs Unified,Palm Springs High,Cal State Apply,Completed,12,20,20",
    "Riverside,Palm Springs Unified,Palm Springs High,FAFSA/CADAA Launch,Completed,12,30,30",
]
DETAIL = [
    (
        "County,District,School,SSID,Grade Level,Gender,Race,Ethnicity,Application Type,"
        "Application Status,College Name"
    ),
    (
        "Alameda,Hayward Unified,Hayward High,1234567890,11,F,Black or African American,"
        "Non-Hispanic,CCCApply,Submitted,Hayward College"
    ),
    (
        "Alameda,Hayward Unified,Hayward High,1234567890,11,F,Black or African American,"
        "Non-Hispanic,Cal State Apply,Completed,CSU East Bay"
    ),
    (
        "Alameda,Hayward Unified,Hayward High,1234567890,11,F,Black or African American,"
        "Non-Hispanic,FAFSA/CADAA,Completed,N/A"
    ),
]


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Outbox:
    folders = folders_in(tmp_path_factory.mktemp("sample"))
    seniors = students(SENIORS, PALM_SPRINGS_HIGH, "12")
    juniors = students(JUNIORS, PALM_SPRINGS_HIGH, "11")
    put_roster(folders.inbox, PALM_SPRINGS, [*seniors, *juniors])
    put_roster(folders.inbox, HAYWARD, [student("1234567890", HAYWARD_HIGH)])
    sent = "Submitted"
    events = [
        *(application(ssid, "CCCApply", sent, "College of the Desert") for ssid in SENIORS[:10]),
        *(application(ssid, "CCCApply", sent, "College of the Desert") for ssid in JUNIORS[:10]),
        *(application(s, "Cal State Apply", "Completed", "CSU Fresno") for s in SENIORS[20:40]),
        *(financial_aid(ssid, "FAFSA", "Completed") for ssid in SENIORS[50:70]),
        *(financial_aid(ssid, "CADAA", "Completed") for ssid in SENIORS[70:80]),
        application("1234567890", "CCCApply", "Submitted", "Hayward College"),
        application("1234567890", "Cal State Apply", "Completed", "CSU East Bay"),
        financial_aid("1234567890", "FAFSA", "Completed"),
    ]
    put_events(folders.inbox, events)
    run_night(folders)
    return Outbox(folders.outbox)


def test_the_aggregate_is_the_sample_of_the_seed_letter_by_letter(outbox: Outbox) -> None:
    content = outbox.report_bytes("PalmSpringsUnified", APPLICATIONS, "Agg")
    assert content == ("\r\n".join(AGGREGATE) + "\r\n").encode()


def test_the_detail_is_the_sample_of_the_seed_letter_by_letter(outbox: Outbox) -> None:
    content = outbox.report_bytes("HaywardUnified", APPLICATIONS, "Detail")
    assert content == ("\r\n".join(DETAIL) + "\r\n").encode()


TREE = """
daily reporting/career exploration daily/{0}_20261122_Detail.csv
daily reporting/college and financial aid status/{0}_20261122_Detail.csv
daily reporting/financial aid module daily/{0}_20261122_Detail.csv
legacy reporting/account registrations/{0}_20261122_Agg.csv
legacy reporting/account registrations/{0}_20261122_Detail.csv
legacy reporting/applications and launches/FAFSA Applications/{0}_20261122_Agg.csv
legacy reporting/applications and launches/FAFSA Applications/{0}_20261122_Detail.csv
legacy reporting/applications and launches/applications and launches/{0}_20261122_Agg.csv
legacy reporting/applications and launches/applications and launches/{0}_20261122_Detail.csv
legacy reporting/csu eligibility and applied/{0}_20261122_Agg.csv
legacy reporting/csu eligibility and applied/{0}_20261122_Detail.csv
legacy reporting/csu_eligibility/{0}_20261122_Agg.csv
legacy reporting/csu_eligibility/{0}_20261122_Detail.csv
legacy reporting/platform activities/academic plans/{0}_20261122_Agg.csv
legacy reporting/platform activities/academic plans/{0}_20261122_Detail.csv
legacy reporting/platform activities/assessments/{0}_20261122_Agg.csv
legacy reporting/platform activities/assessments/{0}_20261122_Detail.csv
legacy reporting/platform activities/favorites/{0}_20261122_Agg.csv
legacy reporting/platform activities/favorites/{0}_20261122_Detail.csv
legacy reporting/platform activities/financial aid modules/{0}_20261122_Agg.csv
legacy reporting/platform activities/financial aid modules/{0}_20261122_Detail.csv
legacy reporting/platform activities/goals/{0}_20261122_Agg.csv
legacy reporting/platform activities/goals/{0}_20261122_Detail.csv
legacy reporting/platform activities/journals/{0}_20261122_Agg.csv
legacy reporting/platform activities/journals/{0}_20261122_Detail.csv
legacy reporting/uc eligibility/{0}_20261122_Agg.csv
legacy reporting/uc eligibility/{0}_20261122_Detail.csv
"""


@pytest.mark.parametrize("folder", ["PalmSpringsUnified", "HaywardUnified"])
def test_a_district_finds_the_tree_of_the_seed_letter_by_letter(
    outbox: Outbox, folder: str
) -> None:
    district = outbox.root / folder
    reports = sorted(
        path.relative_to(district).as_posix()
        for path in district.rglob("*")
        if path.is_file() and "_receipts" not in path.parts
    )
    of_seed = TREE.format(folder).split("\n")[1:-1]
    assert [path for path in reports if path in of_seed] == of_seed
    assert len(reports) == sum(len(spec.files) for spec in REPORTS)


def test_nothing_unfinished_is_left_in_the_outbox(outbox: Outbox) -> None:
    assert {path.name for path in Path(outbox.root).iterdir()} == {
        "PalmSpringsUnified",
        "HaywardUnified",
        "platform",
    }


def test_which_financial_aid_application_a_student_filed_is_never_told(outbox: Outbox) -> None:
    for path in outbox.root.glob("PalmSpringsUnified/*reporting/**/*.csv"):
        cells = path.read_text().replace("\r\n", ",").split(",")
        assert not {"FAFSA", "CADAA"} & set(cells)
