"""Applications that were launched from the platform or linked to it: what a night makes of them.

Belongs here: the column Origin of both kinds of application, and files of before financial aid had
it. Does not belong here: statuses (reports/test_statuses).
"""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.feeds.platform import COLLEGE_APPLICATIONS, FINANCIAL_AID_APPLICATIONS
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.reports.registry import REPORTS
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.files import as_bytes
from ccgi_pipeline_tests.nightly.inboxes import (
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    financial_aid,
    put,
    put_events,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, Outbox, folders_in, run_night

FAFSA = [spec for spec in REPORTS if spec.name == "fafsa_applications"]
LAUNCHED, LINKED, OLD, OTHER = "1000000001", "1000000002", "1000000003", "1000000004"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Four students; the file of one has no column Origin, and one has another word in it."""
    folders = folders_in(tmp_path_factory.mktemp("origins"))
    put_roster(
        folders.inbox, PALM_SPRINGS, students([LAUNCHED, LINKED, OLD, OTHER], PALM_SPRINGS_HIGH)
    )
    sent = [
        financial_aid(LAUNCHED, "FAFSA", "Completed"),
        {**financial_aid(LINKED, "FAFSA", "Completed"), "Origin": "Linked"},
        {**financial_aid(OTHER, "CADAA", "Completed"), "Origin": "Imported"},
        application(LINKED, "UC", "Submitted", "UC Davis"),
    ]
    put_events(folders.inbox, sent)
    old = as_bytes(FINANCIAL_AID_APPLICATIONS, [financial_aid(OLD, "FAFSA", "Completed")])
    header, line, *_ = old.decode().splitlines()
    at = header.split(",").index("Origin")
    cut = "".join(
        ",".join(cell for place, cell in enumerate(row.split(",")) if place != at) + "\n"
        for row in (header, line)
    )
    put(folders.inbox, "platform/old/financial_aid_applications_20261119.csv", cut.encode())
    run_night(folders, reports=FAFSA)
    return folders


def test_both_kinds_of_application_declare_the_same_origins():
    of_college = COLLEGE_APPLICATIONS.columns["Origin"]
    of_aid = FINANCIAL_AID_APPLICATIONS.columns["Origin"]
    assert of_college.codes == of_aid.codes
    assert of_aid.codes is not None
    assert of_aid.codes.values == ("Launched", "Linked")


def test_the_origin_is_kept_and_a_file_of_before_is_loaded_without(night: PipelinePaths):
    with open_warehouse(night.warehouse, read_only=True) as connection:
        kept = connection.execute(
            'SELECT "SSID", "Origin" FROM platform_financial_aid_applications ORDER BY 1'
        ).fetchall()
    assert kept == [(LAUNCHED, "Launched"), (LINKED, "Linked"), (OLD, None), (OTHER, None)]


def test_a_missing_column_and_an_unknown_word_are_told(night: PipelinePaths):
    receipts = Outbox(night.outbox).receipts("platform")
    told = {
        (finding["rule"], finding["column"])
        for receipt in receipts
        for file in receipt["files"]
        if file["feed"] == FINANCIAL_AID_APPLICATIONS.name
        for finding in file["findings"]
    }
    assert told == {("FILE-COLUMN-ABSENT", "Origin"), ("PL-AID-CODE-Origin", "Origin")}


def test_launched_and_linked_count_alike_and_explain_shows_which_it_was(night: PipelinePaths):
    path = "/".join(FAFSA[0].folder)
    rows = Outbox(night.outbox).report("PalmSpringsUnified", path, "Detail")
    ssids = [row[3] for row in rows[1:]]
    assert sorted(ssids) == [LAUNCHED, LINKED, OLD, OTHER]
    place = str(ssids.index(LINKED) + 2)
    arguments = ["explain", "--report", "fafsa", "--district", PALM_SPRINGS, "--row", place]
    asked = [*arguments, "--warehouse", str(night.warehouse), "--date", f"{ON}"]
    shown = CliRunner().invoke(main, [*asked, "--show-values"])
    assert shown.exit_code == 0, shown.output
    assert "Origin: Linked" in shown.output
    hidden = CliRunner().invoke(main, asked)
    assert "Linked" not in hidden.output
