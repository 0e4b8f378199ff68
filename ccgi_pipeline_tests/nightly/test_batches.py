"""How large the batches of a night are changes nothing of what it comes to.

Belongs here: nights cut into batches so small that every step has many, one read, evaluated or
written beside the next.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.nightly import batches, verify
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.reports import queries
from ccgi_pipeline.synthetic import generate
from ccgi_pipeline.verification.drop_files import FileToVerify, read_files
from ccgi_pipeline.warehouse.load import eligibility_results
from ccgi_pipeline.warehouse.load.roster_guard import NEW_IDS
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put_roster,
    students,
)
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    bytes_below,
    folders_in,
    lake_rows,
    load_and_answer,
    run_night,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("all_cores")]

SECOND = ON + timedelta(days=1)


def two_nights(folders: PipelinePaths) -> None:
    """Two days of a state, the second with defects."""
    generate(folders.inbox, districts=4, students=80, seed=5, on=ON)
    run_night(folders)
    generate(folders.inbox, districts=4, students=80, seed=5, on=SECOND, defects=0.1)
    run_night(folders, SECOND)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> PipelinePaths:
    """Both nights in batches of the usual size: each step has one."""
    folders = folders_in(tmp_path_factory.mktemp("whole"))
    two_nights(folders)
    return folders


@pytest.mark.parametrize("size", [1, 200_000], ids=["a drop each", "a few drops each"])
def test_small_batches_come_to_the_same(
    size: int, whole: PipelinePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (batches, verify):
        monkeypatch.setattr(module, "BATCH_BYTES", size)
    monkeypatch.setattr(queries, "BATCH_ROWS", 25)
    monkeypatch.setattr(eligibility_results, "BATCH_LINES", 300)
    folders = folders_in(tmp_path)
    two_nights(folders)
    assert bytes_below(folders.outbox) == bytes_below(whole.outbox)
    in_batches, at_once = lake_rows(folders.warehouse), lake_rows(whole.warehouse)
    for rows in (in_batches, at_once):  # the stamp is that of another inbox's file
        rows["received_files"] = [(path, *rest) for path, _, *rest in rows["received_files"]]
    assert {row[3] for row in at_once["ledger"]} >= {"inserted", "updated", "rejected"}
    assert in_batches == at_once


def test_a_file_that_cannot_be_read_ahead_costs_no_other_its_night(
    whole: PipelinePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = next((whole.inbox).glob("*/transcript")).parent.name

    def stumbling(files: list[FileToVerify], *args: object, **more: object) -> object:
        if any(file.sender == broken and file.family == "transcript" for file in files):
            raise RuntimeError
        return read_files(files, *args, **more)

    monkeypatch.setattr(verify, "read_files", stumbling)
    for module in (batches, verify):
        monkeypatch.setattr(module, "BATCH_BYTES", 200_000)
    folders = folders_in(tmp_path)
    generate(folders.inbox, districts=4, students=80, seed=5, on=ON)
    run_night(folders)
    told = {
        (sender, family)
        for _, sender, family, verdict, *_ in lake_rows(folders.warehouse)["drops"]
        if verdict == "rejected"
    }
    assert told == {(broken, "transcript")}


@pytest.mark.parametrize("size", [1, batches.BATCH_BYTES], ids=["a drop each", "one batch"])
def test_why_a_drop_is_held_hangs_on_no_other_batch(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_BYTES", size)
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, PALM_SPRINGS, students(numbered(1000, 30), PALM_SPRINGS_HIGH))
    load_and_answer(folders)
    # Tonight two districts send the same new ids. The second one had others, and is held.
    for cd, school in ((PALM_SPRINGS, PALM_SPRINGS_HIGH), (HAYWARD, HAYWARD_HIGH)):
        put_roster(folders.inbox, cd, students(numbered(2000, 30), school), "20261123")
    load_and_answer(folders, SECOND)
    (cause,) = {row[6] for row in lake_rows(folders.warehouse)["held_for"]}
    assert cause == NEW_IDS
