"""The drill: there is no room. It is said so, nothing is lost, and the next night goes on.

Belongs here: nights in processes of their own that may write no large files. Such a limit stands in
for a disk that is full: every write beyond it is refused, whoever writes, without being root.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ccgi_pipeline.common.errors import NoRoomError, to_pipeline_error, value_free
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.drills.looking import pages
from ccgi_pipeline_tests.monitoring.alerts.receivers import Webhook
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
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
)

CCGI = Path(sys.executable).with_name("ccgi")
STUDENTS = 6000
KIB = 1 << 10


def night(folders: PipelinePaths, limit: int) -> subprocess.CompletedProcess[str]:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [
            *(sys.executable, CCGI, "run", "--date", ON.isoformat()),
            *("--inbox", folders.inbox, "--outbox", folders.outbox),
            *("--warehouse", folders.warehouse),
        ],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limited,
    )


@pytest.mark.slow
def test_without_room_a_night_says_so_loses_nothing_and_the_next_one_goes_on(
    tmp_path: Path, hook: Webhook
) -> None:
    folders = folders_in(tmp_path)
    put_roster(folders.inbox, HAYWARD, students(numbered(1000, STUDENTS), HAYWARD_HIGH))
    # Not even Dagster's own records have room; then only what is received has none.
    for limit in (64 * KIB, 700 * KIB):
        failed = night(folders, limit)
        assert failed.returncode == 1, failed.stderr
        assert "there is no room: a disk is full or fails" in failed.stderr
        assert f"GiB at {folders.warehouse}" in failed.stderr
        assert "Traceback" not in failed.stderr
        assert not folders.outbox.exists() or not bytes_below(folders.outbox)
    found = pages(folders)
    assert "there is no room" in found["NoRoomError"]
    (message,) = hook.posted
    assert any(n["runbook"].endswith("#noroomerror") for n in message["notices"])
    assert "1000" not in message["text"]
    load_and_answer(folders)
    assert len(lake_rows(folders.warehouse)["transcript_student"]) == STUDENTS


@pytest.mark.slow
def test_little_room_is_told_before_there_is_none(tmp_path: Path, hook: Webhook) -> None:
    folders = folders_in(tmp_path)
    folders.warehouse.mkdir()
    (folders.warehouse / "profiles.toml").write_text("[heartbeat]\nfree_gib = 1e9\n")
    assert "little disk space is left" in pages(folders)["disk_low"]
    assert "#disk_low" in str(hook.posted)


def test_a_real_device_without_room_is_told_as_such() -> None:
    @value_free
    def write() -> None:
        with Path("/dev/full").open("wb") as full:
            full.write(b"x")

    with pytest.raises(NoRoomError, match="there is no room"):
        write()


def test_words_about_room_that_only_quote_a_value_mean_nothing() -> None:
    assert not isinstance(to_pipeline_error(ValueError("No space left on device")), NoRoomError)
