"""Names of files that no sender means to deliver, and odd names of files that one does."""

from __future__ import annotations

import pytest

from ccgi_pipeline.feeds.file_dates import date_in_name, time_in_name
from ccgi_pipeline.feeds.registry import feed_by_name
from ccgi_pipeline.intake.file_names import is_litter, is_marker, is_unfinished
from ccgi_pipeline.intake.inbox import InboxFile, sorted_listing


@pytest.mark.parametrize(
    "name",
    [
        "StudentTemplate.csv.part", "StudentTemplate.csv.filepart", "StudentTemplate.csv.partial",
        "StudentTemplate.csv.1f3a9c2e.partial", "StudentTemplate.csv.writing", "users.csv.temp",
        "users.csv.inprogress", "users.csv.uploading", "users.csv.tmp", "users.csv.upload",
        "users.csv~", ".users.csv.x7Qa", ".in.users.csv.", "users.writing", "package.zip.partial",
        "users.csv-8c4e1a52-7d0f-4a0e-9f39-6d1f2b7c5a10", "users.csv.incomplete", "users.csv_tmp",
        "uploading_users.csv", "users.csv.1", "users.csv.bak",
        "users.txt.lock", "USERS.CSV.PARTIAL",
    ],
)  # fmt: skip
def test_a_temporary_name_is_known(name: str):
    assert is_unfinished(name)


@pytest.mark.parametrize(
    "name",
    [
        "StudentTemplate.csv", "Palm Springs_StudentTemplate_20261126.csv", "users.csv.pgp",
        "users.csv.gz", "users.csv.zip", "users (1).csv", "users.2026-11-26.csv", "users",
        "users.csv.sha256", "Part 2 users.csv", "upload.csv", "users_old.csv", "department.csv",
        "users.csv_2026-11-26.csv", "Enrollment History.txt", "roster.xlsx", "save.txt",
        "users.part.csv", "tmp.csv",
    ],
)  # fmt: skip
def test_an_odd_name_of_a_whole_file_is_no_temporary_one(name: str):
    assert not is_unfinished(name)
    assert not is_marker(name)
    assert not is_litter(name)


@pytest.mark.parametrize(
    "name",
    [
        "StudentTemplate.csv.done",
        "users.ok",
        "upload_complete",
        "_SUCCESS",
        "READY",
        "a.trg",
        "DONE",
    ],
)
def test_a_marker_is_no_delivery(name: str):
    assert is_marker(name)


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", ".DS_Store", "._users.csv", "@eaDir"])
def test_litter_of_operating_systems_is_known(name: str):
    assert is_litter(name)


def test_a_listing_keeps_deliveries_apart_from_the_rest():
    names = ["users.csv", "users.csv.partial", "users.csv.done", "Thumbs.db", "users.csv.sha256"]
    found = [InboxFile(f"1970001/oneroster/{n}", "1970001", "oneroster", "1-1") for n in names]
    listing = sorted_listing(found)
    assert [file.name for file in listing.files] == ["users.csv"]
    assert [file.name for file in listing.unfinished] == ["users.csv.partial"]
    assert [file.name for file in listing.checksums] == ["users.csv.sha256"]


@pytest.mark.parametrize(
    ("path", "date"),
    [
        ("StudentTemplate_20261126.csv", "20261126"),
        ("2026-11-26 StudentTemplate.csv", "20261126"),
        ("StudentTemplate_11262026.csv", "20261126"),
        ("StudentTemplate_11-26-2026.csv", "20261126"),
        ("StudentTemplate_1-6-2026.csv", "20260106"),
        ("StudentTemplate-2026.11.26.csv", "20261126"),
        ("StudentTemplate_20261126103000.csv", "20261126103000"),
        ("StudentTemplate_20261126_1030.csv", "202611261030"),
        ("StudentTemplate_2026-11-26T10-30-00Z.csv", "20261126103000"),
        ("StudentTemplate_11262026_103000.csv", "20261126103000"),
        ("1970001/transcript/2026-11-26/StudentTemplate.csv", "20261126"),
        ("2026-11-25/11-26-2026/StudentTemplate.csv", "20261126"),
    ],
)
def test_a_date_in_a_name_or_folder_is_read(path: str, date: str):
    assert time_in_name(path) == date
    assert date_in_name(path) == date[:8]
    feed = feed_by_name(path)
    assert feed is not None
    assert feed.name == "transcript_student"


@pytest.mark.parametrize(
    "name", ["StudentTemplate.csv", "2026-2027 StudentTemplate.csv", "19642121930437_users.csv",
             "StudentTemplate_20261326.csv", "StudentTemplate_1126.csv"],
)  # fmt: skip
def test_other_digits_are_no_date(name: str):
    assert time_in_name(name) == ""
