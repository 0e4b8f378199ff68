"""A drop that is larger than memory allows costs its sender that drop, and nobody else anything.

Belongs here: drops beyond the limit of the settings, and what is done about them. That the rule
finds nothing else is tested with the rules of files.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ccgi_pipeline.cli import main
from ccgi_pipeline.intake import arrivals
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.files import zipped
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    BERKELEY_HIGH,
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put,
    put_roster,
    roster_file,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, lake_rows, run_night

pytestmark = pytest.mark.slow

MANY = students(numbered(1_000_000_001, 300), PALM_SPRINGS_HIGH)
ZIPPED = students(numbered(2_000_000_001, 300), BERKELEY_HIGH)
FEW = students(numbered(3_000_000_001, 3), HAYWARD_HIGH)
LIMITS = [0.02, 0.002]
"""MB: the three hundred are beyond both, the zip of others is so once it is opened, or before."""


def settle(folders: PipelinePaths, megabytes: float) -> None:
    folders.warehouse.mkdir(parents=True, exist_ok=True)
    (folders.warehouse / "profiles.toml").write_text(f"[intake]\nlargest_drop_mb = {megabytes}\n")


def verdicts(folders: PipelinePaths) -> dict[object, object]:
    return {sender: verdict for _, sender, _, verdict, *_ in lake_rows(folders.warehouse)["drops"]}


def packed() -> bytes:
    return zipped({"StudentTemplate_20261120.csv": roster_file(ZIPPED)})


@pytest.fixture(params=LIMITS)
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> PipelinePaths:
    """One district's file is too large, another's zip is too, a third sent a few."""
    folders = folders_in(tmp_path)
    settle(folders, request.param)
    assert LIMITS[1] * 1_000_000 < len(packed()) < LIMITS[0] * 1_000_000
    put_roster(folders.inbox, PALM_SPRINGS, MANY)
    put(folders.inbox, f"{BERKELEY}/transcript/package.zip", packed())
    put_roster(folders.inbox, HAYWARD, FEW)
    return folders


def test_what_is_too_large_is_refused_and_told_and_others_have_their_night(
    folders: PipelinePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    whole = Archive.read

    def noted(archive: Archive, sha256: str) -> bytes:
        read.append(archive.size(sha256))
        return whole(archive, sha256)

    monkeypatch.setattr(Archive, "read", noted)
    run_night(folders)
    assert 0 < max(read) < len(roster_file(MANY)), "it is not even read"
    assert verdicts(folders) == {
        PALM_SPRINGS: "rejected",
        BERKELEY: "rejected",
        HAYWARD: "accepted",
    }
    rows = lake_rows(folders.warehouse)
    assert {row[2] for row in rows["findings"]} == {"FILE-TOO-LARGE"}
    assert len(rows["transcript_student"]) == len(FEW)
    for district in ("PalmSpringsUnified", "BerkeleyUnified"):
        (receipt,) = folders.outbox.glob(f"{district}/_receipts/{ON:%Y%m%d}_*.csv")
        assert "FILE-TOO-LARGE" in receipt.read_text(encoding="utf-8-sig")


def test_a_zip_in_nobodys_folder_that_is_too_large_to_look_into_is_left_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = folders_in(tmp_path)
    settle(folders, LIMITS[1])
    monkeypatch.setattr(arrivals, "SIZE_LIMIT", LIMITS[1] * 1_000_000)
    monkeypatch.setattr(arrivals, "detect_family", None)
    put(
        folders.inbox,
        f"{BERKELEY}/package.zip",
        packed(),
    )
    run_night(folders)
    assert verdicts(folders) == {BERKELEY: "rejected"}


def test_once_the_limit_is_raised_a_replay_and_the_next_night_take_it(
    folders: PipelinePaths,
) -> None:
    """What was too large as a whole is in the archive; a single file still lies in the inbox."""
    run_night(folders)
    settle(folders, 1)
    command = ["replay", "--warehouse", str(folders.warehouse)]
    done = CliRunner().invoke(main, [*command, "--apply", "--by", "A. Name", "--reason", "raised"])
    assert done.exit_code in {0, 1}, done.output
    run_night(folders)
    students = lake_rows(folders.warehouse)["transcript_student"]
    assert len(students) == len(MANY) + len(ZIPPED) + len(FEW)
