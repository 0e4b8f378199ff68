"""A night that is killed at any moment and run again comes to what an undisturbed night comes to.

Belongs here: real processes and SIGKILL. The night that is killed is a second one, so that there
are records to change and to end, drops that come again, and files to be refused.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.nightly.damage import cut_in_the_last_line, garbage
from ccgi_pipeline_tests.nightly.inboxes import (
    BERKELEY,
    BERKELEY_HIGH,
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    application,
    directory_entry,
    event,
    numbered,
    put,
    put_directory,
    put_events,
    put_roster,
    roster_file,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, bytes_below, folders_in, lake_rows, run_night

pytestmark = pytest.mark.slow

_PROJECT = Path(__file__).parents[2]
_SECOND = ON + timedelta(days=1)
_ROUNDS = 20


@dataclass(frozen=True)
class Outcome:
    """All that a night leaves behind: rows, delivered files, archived bytes."""

    rows: dict[str, list[tuple[object, ...]]]
    outbox: dict[str, bytes]
    archive: dict[str, bytes]


def _outcome(folders: PipelinePaths) -> Outcome:
    return Outcome(
        lake_rows(folders.warehouse),
        bytes_below(folders.outbox),
        bytes_below(folders.archive.root),
    )


@dataclass(frozen=True)
class Before:
    """The state before the second night, with its files waiting; and what that night comes to.

    ``seconds``: how long the undisturbed night takes, from the moment all is imported.
    """

    folders: PipelinePaths
    undisturbed: Outcome
    seconds: float

    def copied_to(self, root: Path) -> PipelinePaths:
        """The same state over again; the inbox is the same, nights only read it."""
        shutil.rmtree(root, ignore_errors=True)
        for name in ("outbox", "warehouse"):
            shutil.copytree(self.folders.inbox.parent / name, root / name)
        return folders_in(root, self.folders.inbox)


def _first_day(inbox: Path) -> None:
    for cd, school, first in (
        (HAYWARD, HAYWARD_HIGH, 1000),
        (PALM_SPRINGS, PALM_SPRINGS_HIGH, 2000),
        (BERKELEY, BERKELEY_HIGH, 3000),
    ):
        put_roster(inbox, cd, students(numbered(first, 8), school), "20261121")
    ssids = [*numbered(1000, 8), *numbered(2000, 8), *numbered(3000, 8)]
    put_events(
        inbox,
        [application(ssid, "CCCApply", "Launched", "Some College") for ssid in ssids],
        "20261121",
    )


def _second_day(inbox: Path) -> None:
    """Leavers and newcomers, two packages of one district, a duplicate, damage, strangers."""
    changed = students(numbered(1000, 4), HAYWARD_HIGH, "12")
    put_roster(inbox, HAYWARD, [*changed, *students(["0000001999"], HAYWARD_HIGH)], "20261122")
    put_roster(inbox, HAYWARD, changed, "20261123")
    shutil.copytree(inbox / PALM_SPRINGS / "transcript", inbox / PALM_SPRINGS / "transcript/again")
    damaged = cut_in_the_last_line(roster_file(students(numbered(3000, 6), BERKELEY_HIGH, "12")))
    put(inbox, f"{BERKELEY}/transcript/StudentTemplate_20261122.csv", damaged)
    put(inbox, f"{BERKELEY}/photo.jpg", garbage(b""))
    put_directory(inbox, [directory_entry(HAYWARD_HIGH, "Alameda", "Hayward Unified", "Hayward")])
    steps = [application(ssid, "UC", "Submitted", "UC Merced") for ssid in numbered(1000, 8)]
    again = {**steps[0], "ApplicationStatus": "Completed"}
    goals = [
        event("goals", ssid, GoalID="1", GoalType="Career", GoalStatus="Set")
        for ssid in numbered(2000, 8)
    ]
    put_events(inbox, [*steps, again, *goals], "20261122")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    """The state before the second night."""
    root = tmp_path_factory.mktemp("before")
    folders = folders_in(root)
    _first_day(folders.inbox)
    run_night(folders, ON)
    _second_day(folders.inbox)
    state = Before(folders, Outcome({}, {}, {}), 0)
    undisturbed = state.copied_to(root / "undisturbed")
    with _started(undisturbed) as process:
        began = time.monotonic()
        assert process.wait() == 0
        seconds = time.monotonic() - began
    return Before(folders, _outcome(undisturbed), seconds)


def _started(folders: PipelinePaths) -> subprocess.Popen[str]:
    """The second night in a process of its own, which has just imported everything."""
    command = [sys.executable, "-m", "ccgi_pipeline_tests.nightly.nights"]
    arguments = [folders.inbox, folders.outbox, folders.warehouse, _SECOND.isoformat()]
    process = subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=_PROJECT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "imported\n"
    return process


def _killed(folders: PipelinePaths, after: float) -> bool:
    """Starts the night and kills it ``after`` so many seconds; whether that came in time."""
    with _started(folders) as process:
        time.sleep(after)
        process.kill()
        return process.wait() == -signal.SIGKILL


def test_the_undisturbed_night_has_everything_that_may_go_wrong(before: Before):
    rows = before.undisturbed.rows
    fates = {row[3] for row in rows["ledger"]}
    assert fates >= {"inserted", "updated", "unchanged", "superseded", "rejected"}
    assert rows["duplicates"]
    assert any(row[8] for row in rows["files"]), "nobody left"
    assert {row[3] for row in rows["drops"]} == {
        "accepted",
        "accepted_with_findings",
        "rejected",
    }


@pytest.mark.parametrize("round_", range(_ROUNDS))
def test_a_night_that_was_killed_and_run_again_comes_to_the_same(
    before: Before, tmp_path: Path, round_: int
):
    share = (round_ + random.Random(round_).random()) / _ROUNDS  # noqa: S311 - no secret
    after = share * before.seconds
    folders = before.copied_to(tmp_path / "state")
    while not _killed(folders, after):
        folders = before.copied_to(tmp_path / "state")
        after *= 0.7
    run_night(folders, _SECOND)
    assert _outcome(folders) == before.undisturbed


def test_a_night_that_is_killed_over_and_over_comes_to_the_same_in_the_end(
    before: Before, tmp_path: Path
):
    folders = before.copied_to(tmp_path / "state")
    for share in (0.15, 0.35, 0.55, 0.75):
        _killed(folders, share * before.seconds)
    run_night(folders, _SECOND)
    assert _outcome(folders) == before.undisturbed


def _ccgi_run(folders: PipelinePaths) -> list[str]:
    return [
        str(Path(sys.executable).with_name("ccgi")),
        "run",
        *("--inbox", str(folders.inbox)),
        *("--outbox", str(folders.outbox)),
        *("--warehouse", str(folders.warehouse)),
        *("--date", _SECOND.isoformat()),
    ]


def _family_by_family(outcome: Outcome) -> Outcome:
    """The same, with the order of drops within their family: which family comes first is free.

    Without pages and what is kept for them, which only a night of Dagster's writes.
    """
    drops = sorted(outcome.rows["drops"], key=lambda drop: (drop[2], drop[5]))
    rows = {**outcome.rows, "drops": [drop[:5] for drop in drops], "roster_sizes": []}
    outbox = {path: c for path, c in outcome.outbox.items() if not path.endswith("/index.html")}
    return replace(outcome, rows=rows, outbox=outbox)


def _told(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stderr is not None
    yield from process.stderr


@pytest.mark.parametrize("moment", ["loading transcript", "writing Goals"])
def test_ccgi_run_that_was_killed_and_run_again_comes_to_the_same(
    before: Before, tmp_path: Path, moment: str
):
    folders = before.copied_to(tmp_path / "state")
    with subprocess.Popen(
        _ccgi_run(folders), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert any(line.startswith(moment) for line in _told(process))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    subprocess.run(_ccgi_run(folders), check=True, capture_output=True)
    assert [*folders.outbox.glob("*/_receipts/index.html")]
    assert _family_by_family(_outcome(folders)) == _family_by_family(before.undisturbed)
