"""Several days of deliveries: what a night comes to does not depend on what else the inbox holds.

Belongs here: the same days with an inbox that is overwritten, with an inbox that holds each day
alone, and with nights that are killed and run again. A register of children comes with each day, so
that lines without a counterpart are loaded again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from ccgi_pipeline.common.failpoints import Side, observe_failpoints
from ccgi_pipeline.feeds import foster_focus, foster_focus_cps
from ccgi_pipeline.feeds.foster_focus import DEMOGRAPHICS, ENROLLMENT_HISTORY, GPA
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.files import as_bytes, good_lines, usual_name
from ccgi_pipeline_tests.foster_focus import register_line
from ccgi_pipeline_tests.nightly.inboxes import PALM_SPRINGS, put
from ccgi_pipeline_tests.nightly.nights import (
    ON,
    bytes_below,
    folders_in,
    lake_rows,
    load_and_answer,
)

pytestmark = pytest.mark.usefixtures("all_cores")

_DAYS = 3
_STUDENTS = 4
_FOLDER = f"{PALM_SPRINGS}/{foster_focus.NAME}"
_REGISTER = f"{foster_focus_cps.SENDER}/{foster_focus_cps.FEED.family}/children.txt"


def _put_day(inbox: Path, day: int) -> None:
    """Puts the files of a day: the register knows one child more, one extract changes."""
    students = good_lines(DEMOGRAPHICS, _STUDENTS, PALM_SPRINGS)
    register = [register_line(student) for student in students[: day + 1]]
    put(inbox, _REGISTER, as_bytes(foster_focus_cps.FEED, register))
    for feed in (DEMOGRAPHICS, ENROLLMENT_HISTORY, GPA):
        lines = good_lines(feed, _STUDENTS, PALM_SPRINGS)
        if feed is GPA:
            lines = lines[: _STUDENTS - day]
        put(inbox, f"{_FOLDER}/{usual_name(feed)}", as_bytes(feed, lines))


@dataclass(frozen=True)
class _Result:
    """All rows of the warehouse without the files' stamps, and the files of the outbox."""

    rows: dict[str, list[tuple[object, ...]]]
    outbox: dict[str, bytes]


def _result(folders: PipelinePaths) -> _Result:
    rows = lake_rows(folders.warehouse)
    rows["received_files"] = [(path, *rest) for path, _, *rest in rows["received_files"]]
    return _Result(rows, bytes_below(folders.outbox))


def _run(folders: PipelinePaths, on: date) -> None:
    load_and_answer(folders, on)


def _receipts(folders: PipelinePaths) -> list[dict[str, Any]]:
    """The district's receipts, night by night."""
    written = folders.outbox.glob("PalmSpringsUnified/_receipts/*.json")
    return [json.loads(path.read_bytes()) for path in sorted(written)]


def _days(root: Path, put_day: Callable[[Path, int], None], run: Callable[..., None]) -> _Result:
    folders = folders_in(root)
    for day in range(_DAYS):
        put_day(folders.inbox, day)
        run(folders, ON + timedelta(days=day))
    return _result(folders)


@pytest.fixture(scope="module")
def overwritten(tmp_path_factory: pytest.TempPathFactory) -> tuple[PipelinePaths, _Result]:
    root = tmp_path_factory.mktemp("overwritten")
    return folders_in(root), _days(root, _put_day, _run)


def test_each_day_is_one_drop_with_all_files_of_the_folder(
    overwritten: tuple[PipelinePaths, _Result],
):
    folders, _ = overwritten
    told = _receipts(folders)
    assert [len(receipt["files"]) for receipt in told] == [3] * _DAYS
    unmatched = [
        [file["fates"].get("unmatched", 0) for file in receipt["files"]] for receipt in told
    ]
    assert unmatched == [[3, 3, 3], [2, 2, 1], [1, 1, 0]]


@pytest.mark.slow
def test_an_inbox_that_holds_each_day_alone_comes_to_the_same(
    overwritten: tuple[PipelinePaths, _Result], tmp_path: Path
):
    def put_alone(inbox: Path, day: int) -> None:
        shutil.rmtree(inbox)
        inbox.mkdir()
        _put_day(inbox, day)

    assert _days(tmp_path, put_alone, _run) == overwritten[1]


@pytest.mark.slow
def test_nights_that_are_killed_and_run_again_come_to_the_same(
    overwritten: tuple[PipelinePaths, _Result], tmp_path: Path
):
    """Each night is killed after each of its commits: between register and extracts, too."""
    kills = []

    def killed_and_run_again(folders: PipelinePaths, on: date) -> None:
        command = [sys.executable, __file__, str(folders.inbox.parent), str(on)]
        statuses = []
        while not statuses or statuses[-1] == -signal.SIGKILL:
            nth = str(len(statuses) + 1)
            done = subprocess.run([*command, nth], capture_output=True, text=True, check=False)
            statuses.append(done.returncode)
        assert statuses[-1] == 0, done.stderr
        kills.append(len(statuses) - 1)

    assert _days(tmp_path, _put_day, killed_and_run_again) == overwritten[1]
    assert min(kills) >= 2


def test_a_new_register_loads_earlier_extracts_again_where_the_inbox_is_empty(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_day(folders.inbox, 0)
    _run(folders, ON)
    shutil.rmtree(folders.inbox)
    students = good_lines(DEMOGRAPHICS, _STUDENTS, PALM_SPRINGS)
    register = [register_line(student) for student in students]
    put(folders.inbox, _REGISTER, as_bytes(foster_focus_cps.FEED, register))
    _run(folders, ON + timedelta(days=1))
    told = _receipts(folders)
    assert [r["files"][0]["fates"] for r in told] == [
        {"inserted": 1, "unmatched": 3},
        {"inserted": 3, "unchanged": 1},
    ]


@pytest.mark.slow
def test_extracts_that_stay_as_unmatched_as_they_were_are_not_answered_again(tmp_path: Path):
    folders = folders_in(tmp_path)
    _put_day(folders.inbox, 0)
    _run(folders, ON)
    before = bytes_below(folders.outbox)
    strangers = good_lines(DEMOGRAPHICS, _STUDENTS + 1, PALM_SPRINGS)
    register = [register_line(strangers[0]), register_line(strangers[-1])]
    put(folders.inbox, _REGISTER, as_bytes(foster_focus_cps.FEED, register))
    _run(folders, ON + timedelta(days=1))
    new = bytes_below(folders.outbox).keys() - before.keys()
    assert not [path for path in new if "_receipts" in path and "PalmSprings" in path]


def main() -> None:
    """Runs a night that kills itself after its nth commit, if there are so many."""
    root, on, nth = Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), int(sys.argv[3])
    commits = 0

    def die(name: str, side: Side) -> None:
        nonlocal commits
        commits += (name, side) == ("warehouse: committed", "after")
        if commits == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    with observe_failpoints(die):
        load_and_answer(folders_in(root), on)


if __name__ == "__main__":
    main()
