"""What comes again: the same content, an older package, and drops over which our code stumbled."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ccgi_pipeline.intake.archive import Archive, ArchiveDamagedError
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import OF_ACCOUNTS, Outbox, folders_in, lake_rows, run_night

MANY, FEW = numbered(1_000_000_000, 5), numbered(1_000_000_000, 3)
ACCOUNTS = "legacy reporting/account registrations"


def reported(folders: PipelinePaths, folder: str = "HaywardUnified") -> list[str]:
    header, *rows = Outbox(folders.outbox).report(folder, ACCOUNTS, "Detail")
    return [row[header.index("SSID")] for row in rows]


def verdicts(folders: PipelinePaths, folder: str = "HaywardUnified") -> list[str]:
    return sorted(told["verdict"] for told in Outbox(folders.outbox).receipts(folder))


def test_the_same_content_again_is_a_duplicate_and_changes_nothing(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    path = put_roster(folders.inbox, HAYWARD, students(MANY, HAYWARD_HIGH))
    run_night(folders, reports=OF_ACCOUNTS)
    before = lake_rows(folders.warehouse)["transcript_student"]
    again = folders.inbox / HAYWARD / "transcript" / "again"
    shutil.copytree(path.parent, again)
    run_night(folders, reports=OF_ACCOUNTS)
    assert lake_rows(folders.warehouse)["transcript_student"] == before
    assert verdicts(folders) == ["accepted", "duplicate"]


@pytest.mark.slow
def test_a_touched_file_is_still_known_by_the_drop_that_it_made(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    path = put_roster(folders.inbox, HAYWARD, students(MANY, HAYWARD_HIGH))
    run_night(folders, reports=OF_ACCOUNTS)
    before = {row[0]: row for row in lake_rows(folders.warehouse)["received_files"]}
    path.touch()
    run_night(folders, reports=OF_ACCOUNTS)
    after = {row[0]: row for row in lake_rows(folders.warehouse)["received_files"]}
    name = path.relative_to(folders.inbox).as_posix()
    assert after[name][1] != before[name][1]
    assert after[name][2:] == before[name][2:]
    assert len(lake_rows(folders.warehouse)["drops"]) == 1


@pytest.mark.slow
def test_sending_an_older_package_once_more_goes_back_to_it(tmp_path: Path) -> None:
    folders = folders_in(tmp_path)
    transcript = folders.inbox / HAYWARD / "transcript"
    put_roster(folders.inbox, HAYWARD, students(MANY, HAYWARD_HIGH))
    run_night(folders, reports=OF_ACCOUNTS)
    shutil.copytree(transcript, tmp_path / "first")
    put_roster(folders.inbox, HAYWARD, students(FEW, HAYWARD_HIGH), "20261121")
    run_night(folders, reports=OF_ACCOUNTS)
    assert reported(folders) == FEW
    shutil.copytree(tmp_path / "first", transcript / "back")
    run_night(folders, reports=OF_ACCOUNTS)
    assert reported(folders) == MANY
    shutil.copytree(tmp_path / "first", transcript / "back again")
    run_night(folders, reports=OF_ACCOUNTS)
    assert verdicts(folders) == ["accepted"] * 3 + ["duplicate"]


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PipelinePaths:
    """A night in which one district's archived file comes back from the disk with other bytes."""
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students(MANY, HAYWARD_HIGH))
    put_roster(folders.inbox, PALM_SPRINGS, students(["2000000001"], PALM_SPRINGS_HIGH))
    read = Archive.read

    def damaged_read(archive: Archive, sha256: str) -> bytes:
        content = read(archive, sha256)
        if HAYWARD_HIGH.encode() in content:
            raise ArchiveDamagedError(sha256)
        return content

    with monkeypatch.context() as disk:
        disk.setattr(Archive, "read", damaged_read)
        run_night(folders, reports=OF_ACCOUNTS)
    return folders


def test_a_drop_at_fault_is_answered_and_costs_no_other_district_its_night(
    damaged: PipelinePaths,
) -> None:
    assert reported(damaged, "PalmSpringsUnified") == ["2000000001"]
    (receipt,) = Outbox(damaged.outbox).receipts("HaywardUnified")
    assert receipt["verdict"] == "rejected"
    assert {rule["rule"] for file in receipt["files"] for rule in file["rules"]} == {"FILE-FAULT"}


@pytest.mark.slow
def test_a_drop_at_fault_is_taken_again_by_the_next_night(damaged: PipelinePaths) -> None:
    run_night(damaged, reports=OF_ACCOUNTS)
    assert reported(damaged) == MANY
    assert verdicts(damaged) == ["accepted"]
    tables = lake_rows(damaged.warehouse)
    assert len(tables["drops"]) == 2
    assert not [row for row in tables["findings"] if "FILE-FAULT" in row]
