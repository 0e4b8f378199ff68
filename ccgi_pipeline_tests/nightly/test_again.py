"""Again: a night without news, old content under new names, files that nobody knows.

Belongs here: what is answered without anything being loaded, and nights that change nothing.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.nightly.summary import NightStart, read_night_start, summarize_night
from ccgi_pipeline.warehouse.load.drop_records import read_remembered_files
from ccgi_pipeline.warehouse.storage.connection import open_warehouse
from ccgi_pipeline_tests.nightly.damage import zipped
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    put,
    put_events,
    put_roster,
    roster_file,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    Outbox,
    bytes_below,
    folders_in,
    lake_rows,
    load_and_answer,
    run_night,
)

_LATER = ON + timedelta(days=1)
_OWN_BOOKS = {"duplicates", "receipts", "received_files"}
"""Tables that note that something came, whatever it was."""


@pytest.fixture(scope="module")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Two districts and the platform, after one night. Not to be changed: copy it."""
    folders = folders_in(tmp_path_factory.mktemp("first"))
    put_roster(folders.inbox, HAYWARD, students(["1111111111", "2222222222"], HAYWARD_HIGH))
    put_roster(folders.inbox, PALM_SPRINGS, students(["3333333333"], PALM_SPRINGS_HIGH))
    put_events(folders.inbox, [application("1111111111", "UC", "Submitted", "UC Merced")])
    run_night(folders)
    return folders


@dataclass(frozen=True)
class Copy:
    """A copy of the state after the first night."""

    folders: PipelinePaths

    @property
    def outbox(self) -> Outbox:
        """What districts find."""
        return Outbox(self.folders.outbox)

    def records(self) -> dict[str, list[tuple[object, ...]]]:
        """All rows of all tables but those that note that something came."""
        rows = lake_rows(self.folders.warehouse)
        return {table: rows[table] for table in rows if table not in _OWN_BOOKS}


@pytest.fixture
def state(first_night: PipelinePaths, tmp_path: Path) -> Copy:
    """A copy of the first night's folders, with the same stamps."""
    root = first_night.inbox.parent
    for name in ("outbox", "warehouse"):
        shutil.copytree(root / name, tmp_path / name)
    for path in first_night.inbox.rglob("*"):
        copy = tmp_path / "inbox" / path.relative_to(first_night.inbox)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            shutil.copy2(path, copy)
    return Copy(folders_in(tmp_path))


def _stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    facts = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (fact.st_mtime_ns, fact.st_ino) for path, fact in facts.items()}


def test_a_night_without_news_loads_nothing_and_touches_no_file(first_night: PipelinePaths):
    rows, stamps = lake_rows(first_night.warehouse), _stamps(first_night.outbox)
    before = read_night_start(first_night)
    assert run_night(first_night) == []
    assert lake_rows(first_night.warehouse) == rows
    assert _stamps(first_night.outbox) == stamps
    assert summarize_night(first_night, ON, before, ()).fates == []


def test_files_with_new_stamps_and_old_content_are_no_news(state: Copy):
    records, files = state.records(), bytes_below(state.folders.outbox)
    for path in state.folders.inbox.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(1, 1))
    assert run_night(state.folders) == []
    assert state.records() == records
    assert bytes_below(state.folders.outbox) == files


def _renamed(inbox: Path) -> None:
    for path in list((inbox / HAYWARD / "transcript").iterdir()):
        path.rename(path.with_name(f"Copy_of_{path.name.replace('20261120', '20261122')}"))


def _beside(inbox: Path) -> None:
    shutil.copytree(inbox / HAYWARD / "transcript", inbox / HAYWARD / "transcript" / "again")


@pytest.mark.parametrize("bring", [_renamed, _beside], ids=["renamed", "in another folder"])
def test_the_same_content_under_another_name_is_answered_as_a_duplicate(
    state: Copy, bring: Callable[[Path], None]
):
    records = state.records()
    reports = bytes_below(state.folders.outbox)
    bring(state.folders.inbox)
    assert load_and_answer(state.folders, _LATER) == []
    (receipt,) = state.outbox.receipts("HaywardUnified", _LATER)
    assert receipt["verdict"] == "duplicate"
    assert receipt["drop"] == state.outbox.receipts("HaywardUnified", ON)[0]["drop"]
    assert state.records() == records
    now = bytes_below(state.folders.outbox)
    assert {path: now[path] for path in reports} == reports


def test_a_duplicate_is_answered_once(state: Copy):
    _beside(state.folders.inbox)
    load_and_answer(state.folders, _LATER)
    files = bytes_below(state.folders.outbox)
    load_and_answer(state.folders, _LATER)
    assert bytes_below(state.folders.outbox) == files


def _active_students(folders: PipelinePaths) -> set[tuple[object, object]]:
    """SSID and grade of everybody in a roster."""
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        return set(
            connection.execute(
                "SELECT StateID, GradeLevel FROM transcript_student WHERE _active"
            ).fetchall()
        )


@pytest.mark.slow
def test_an_older_package_that_is_sent_once_more_is_gone_back_to(tmp_path: Path):
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students(["1111111111"], HAYWARD_HIGH, "11"), "20261119")
    load_and_answer(folders, ON)
    put_roster(folders.inbox, HAYWARD, students(["2222222222"], HAYWARD_HIGH, "11"), "20261120")
    load_and_answer(folders, ON)
    assert _active_students(folders) == {("2222222222", "11")}
    sent = folders.inbox / HAYWARD / "transcript"
    shutil.copytree(sent, sent / "once more", ignore=shutil.ignore_patterns("*20261120*"))
    load_and_answer(folders, _LATER)
    assert _active_students(folders) == {("1111111111", "11")}
    (receipt,) = Outbox(folders.outbox).receipts("HaywardUnified", _LATER)
    assert receipt["verdict"] == "accepted"


@pytest.mark.slow
def test_files_that_are_moved_within_the_inbox_change_no_record(tmp_path: Path):
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students(["1111111111"], HAYWARD_HIGH, "11"), "20261119")
    put_roster(folders.inbox, HAYWARD, students(["1111111111"], HAYWARD_HIGH, "12"), "20261120")
    launched = application("1111111111", "UC", "Launched", "UC Merced")
    submitted = {**launched, "ApplicationStatus": "Submitted"}
    put_events(folders.inbox, [launched], "20261119")
    put_events(folders.inbox, [submitted], "20261120")
    load_and_answer(folders, ON)
    assert _active_students(folders) == {("1111111111", "12")}
    for sender, folder in ((HAYWARD, "transcript"), ("platform", "")):
        old = folders.inbox / sender / folder
        files = [path for path in old.iterdir() if path.is_file()]
        (old / "2026").mkdir()
        for path in files:
            path.rename(old / "2026" / path.name)
    load_and_answer(folders, _LATER)
    assert _active_students(folders) == {("1111111111", "12")}
    with open_warehouse(folders.warehouse, read_only=True) as connection:
        statuses = connection.execute(
            "SELECT ApplicationStatus FROM platform_college_applications"
        ).fetchall()
    assert statuses == [("Submitted",)]


_UNKNOWN = {
    "a picture": (
        "photo.jpg",
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01 no text at all \x81\x8d",
        "FILE-ENCODING",
    ),
    "a letter": ("ReadMe.txt", b"Dear CCGI,\nthe files follow tomorrow.\n", "FILE-UNRECOGNISED"),
    "an empty file of no known name": ("export.dat", b"", "FILE-EMPTY"),
    "a zip that is none": ("package.zip", b"PK but not really", "FILE-ZIP-BROKEN"),
    "a zip with a letter": (
        "letters.zip",
        zipped(b"Dear CCGI,\nthe files follow tomorrow.\n", "letter.txt"),
        "FILE-UNRECOGNISED",
    ),
}
_PLACES = {"in a family's folder": "transcript/", "outside a family's folder": ""}
_SENDERS = {
    (kind, place): f"98000{number:02d}"
    for number, (kind, place) in enumerate(itertools.product(_UNKNOWN, _PLACES))
}
_UNFINISHED = (
    "StudentTemplate.csv.part",
    "StudentTemplate.csv.1f3a.partial",
    ".StudentTemplate.csv.swp",
    "~$StudentTemplate.csv",
)


@pytest.fixture(scope="module")
def odd_night(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """A night of nothing but files that nobody knows, each from a district of its own."""
    folders = folders_in(tmp_path_factory.mktemp("odd"))
    for (kind, place), sender in _SENDERS.items():
        name, content, _ = _UNKNOWN[kind]
        put(folders.inbox, f"{sender}/{_PLACES[place]}{name}", content)
    for name in _UNFINISHED:
        put(folders.inbox, f"{HAYWARD}/transcript/{name}", b"half a li")
    roster = roster_file(students(["1111111111"], HAYWARD_HIGH))
    put(folders.inbox, "StudentTemplate.csv", roster)
    put(folders.inbox, "Hayward/StudentTemplate.csv", roster)
    put(folders.inbox, f"{PALM_SPRINGS}/transcript/StudentTemplate.csv", roster)
    put(folders.inbox, f"{BERKELEY}/transcript/StudentTemplate.csv", roster)
    load_and_answer(folders)
    return folders


@pytest.mark.parametrize("kind", _UNKNOWN)
@pytest.mark.parametrize("place", _PLACES)
def test_a_file_that_nobody_knows_is_answered(odd_night: PipelinePaths, kind: str, place: str):
    name, _, rule = _UNKNOWN[kind]
    sender = _SENDERS[kind, place]
    (receipt,) = Outbox(odd_night.outbox).receipts(sender)
    (file,) = receipt["files"]
    assert (receipt["verdict"], file["verdict"], file["feed"]) == ("rejected", "rejected", None)
    assert file["path"].startswith(f"{sender}/{_PLACES[place]}{name}")
    assert rule in {found["rule"] for found in file["findings"]}


def test_the_same_bytes_of_two_senders_are_two_drops(odd_night: PipelinePaths):
    outbox = Outbox(odd_night.outbox)
    (one,), (other,) = outbox.receipts("PalmSpringsUnified"), outbox.receipts("BerkeleyUnified")
    assert one["drop"] != other["drop"]
    for receipt in (one, other):
        assert receipt["verdict"] == "rejected"  # a student of Hayward is neither's
        assert "TR-STU-CD" in {found["rule"] for found in receipt["files"][0]["findings"]}


def test_files_in_no_senders_folder_are_told_to_the_operator(odd_night: PipelinePaths):
    assert summarize_night(odd_night, ON, NightStart(), ()).strays == 2


def test_files_with_temporary_names_are_told_to_the_operator(odd_night: PipelinePaths):
    # The two that editors make are nobody's upload.
    assert summarize_night(odd_night, ON, NightStart(), ()).unfinished == 2


@pytest.mark.parametrize("name", _UNFINISHED)
def test_a_file_that_is_not_finished_is_left_where_it_is(odd_night: PipelinePaths, name: str):
    with open_warehouse(odd_night.warehouse, read_only=True) as connection:
        paths = read_remembered_files(connection)
    assert f"{PALM_SPRINGS}/transcript/StudentTemplate.csv" in paths
    assert f"{HAYWARD}/transcript/{name}" not in paths


def test_the_archive_has_every_byte_that_was_taken(state: Copy):
    archive = state.folders.archive
    taken = {row[0]: row[2] for row in lake_rows(state.folders.warehouse)["received_files"]}
    assert {path: archive.read(str(sha256)) for path, sha256 in taken.items()} == bytes_below(
        state.folders.inbox
    )
