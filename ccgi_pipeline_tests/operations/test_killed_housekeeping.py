"""Housekeeping that is killed leaves a sound warehouse, and begun again it comes to the same.

Belongs here: SIGKILL before and after each of its steps, and at any moment within them.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.common.failpoints import observe_failpoints
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.housekeeping import keep_house
from ccgi_pipeline.warehouse.storage.housekeeping import LakeSize
from ccgi_pipeline_tests.nightly.nights import folders_in, lake_rows
from ccgi_pipeline_tests.operations.test_housekeeping import (
    AT_ONCE,
    badly_rebuilt,
    faults,
    run_nights,
    size_of,
    states_of,
)

pytestmark = pytest.mark.slow

_PROJECT = Path(__file__).parents[2]
MILESTONES = (
    "housekeeping: cleanup_old_files",
    "housekeeping: delete_orphaned_files",
    "housekeeping: deleted rows left out",
    "housekeeping: files merged",
    "housekeeping: states expired",
)
"""Every change of state of housekeeping; a test says that there is no other."""


@dataclass(frozen=True)
class Before:
    """Four nights, what they have, and what undisturbed housekeeping makes of them.

    ``seconds``: how long that takes.
    """

    folders: PipelinePaths
    last: date
    rows: dict[str, list[tuple[object, ...]]]
    states: dict[int, dict[str, object]]
    undisturbed: LakeSize
    passed: frozenset[str]
    seconds: float

    def copied_to(self, root: Path) -> PipelinePaths:
        """The same state over again."""
        for name in ("outbox", "warehouse"):
            shutil.copytree(self.folders.inbox.parent / name, root / name)
        return folders_in(root, self.folders.inbox)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    root = tmp_path_factory.mktemp("before")
    folders = folders_in(root)
    last = run_nights(folders, 4)
    (folders.warehouse / "tables" / "main" / "killed.parquet").write_bytes(b"not committed")
    rows, states = lake_rows(folders.warehouse), states_of(folders.warehouse)
    state = Before(folders, last, rows, states, size_of(folders), frozenset(), 0.0)
    undisturbed = state.copied_to(root / "undisturbed")
    passed: set[str] = set()
    began = time.monotonic()
    with observe_failpoints(lambda name, _: passed.add(name)):
        size = keep_house(undisturbed, last, AT_ONCE).after
    seconds = time.monotonic() - began
    return Before(folders, last, rows, states, size, frozenset(passed), seconds)


def test_housekeeping_passes_every_milestone_and_no_other(before: Before) -> None:
    assert sorted(before.passed) == [*MILESTONES]


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("name", MILESTONES)
def test_killed_at_a_milestone_it_leaves_a_sound_warehouse(
    before: Before, tmp_path: Path, name: str, side: str
) -> None:
    folders = before.copied_to(tmp_path / "state")
    process = _started(folders, before.last, name, side)
    assert process.wait() == -signal.SIGKILL
    _check_sound(before, folders)


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment_it_leaves_a_sound_warehouse(
    before: Before, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    folders = before.copied_to(tmp_path / "state")
    process = _started(folders, before.last, "none", "before")
    time.sleep(chance.uniform(0, before.seconds))
    process.kill()
    process.wait()
    _check_sound(before, folders)


def _started(folders: PipelinePaths, on: date, name: str, side: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ccgi_pipeline_tests.operations.killed_housekeeping"]
    process = subprocess.Popen(
        [*command, str(folders.warehouse), on.isoformat(), name, side],
        cwd=_PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "imported\n"
    process.stdout.close()
    return process


def _check_sound(before: Before, folders: PipelinePaths) -> None:
    """All that is kept is as it was, and housekeeping comes to what it would have come to."""
    assert faults(folders) == []
    assert lake_rows(folders.warehouse) == before.rows
    states = states_of(folders.warehouse)
    assert {state: states[state] for state in states if state in before.states} == {
        state: before.states[state] for state in states if state in before.states
    }
    assert badly_rebuilt(folders.warehouse) == []
    size = keep_house(folders, before.last + timedelta(days=1), AT_ONCE).after
    assert lake_rows(folders.warehouse) == before.rows
    assert size.live_files == before.undisturbed.live_files
    assert size.waiting == 0
    tables = [*(folders.warehouse / "tables").rglob("*.parquet")]
    assert len(tables) == size.files
    assert badly_rebuilt(folders.warehouse) == []
    assert faults(folders) == []
