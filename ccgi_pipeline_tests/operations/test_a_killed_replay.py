"""A replay that is killed at any change of state and begun again comes to what it would have.

Belongs here: SIGKILL before and after what a replay writes, over drops of two districts, one of
which has several.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline_tests.nightly.inboxes import (
    HAYWARD,
    HAYWARD_HIGH,
    PALM_SPRINGS,
    PALM_SPRINGS_HIGH,
    numbered,
    put,
    put_roster,
    roster_file,
    student,
    students,
)
from ccgi_pipeline_tests.nightly.nights import ON, folders_in, lake_rows, load_and_answer
from ccgi_pipeline_tests.tiers import slow_but

_PROJECT = Path(__file__).parents[2]
_TOMORROW = ON + timedelta(days=1)
_ROUNDS = 8
_LENIENT = '[defaults.severities]\nTR-STU-CODE-GradeLevel = "warning"\n'


@dataclass(frozen=True)
class Before:
    """The state before the replay, what it comes to undisturbed, and how many sides it passes."""

    warehouse: Path
    undisturbed: dict[str, list[tuple[object, ...]]]
    passed: int


def _replay(warehouse: Path, number: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ccgi_pipeline_tests.operations.replays"]
    arguments = [str(warehouse), _TOMORROW.isoformat(), str(number)]
    return subprocess.run(
        [*command, *arguments], cwd=_PROJECT, capture_output=True, text=True, check=False
    )


def _drops(folders: PipelinePaths) -> None:
    """Two drops of one district, both with lines that are kept out, and one of another."""
    ssids = numbered(1_000_000_001, 4)
    good = students(ssids, PALM_SPRINGS_HIGH)
    put_roster(folders.inbox, HAYWARD, [student("2000000001", HAYWARD_HIGH, "99")])
    put_roster(folders.inbox, PALM_SPRINGS, [*good[:3], {**good[3], "GradeLevel": "99"}])
    load_and_answer(folders)
    later = [{**good[0], "GradeLevel": "98"}, student("1000000009", PALM_SPRINGS_HIGH, "98")]
    content = roster_file([*later, good[1]]) + b"a line,that breaks"
    put(folders.inbox, f"{PALM_SPRINGS}/transcript/StudentTemplate_20261123.csv", content)
    load_and_answer(folders)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    """Three drops that wait to be replayed."""
    root = tmp_path_factory.mktemp("before")
    folders = folders_in(root)
    _drops(folders)
    (folders.warehouse / "profiles.toml").write_text(_LENIENT)
    undisturbed = root / "undisturbed"
    shutil.copytree(folders.warehouse, undisturbed)
    done = _replay(undisturbed)
    assert done.returncode == 0, done.stderr
    return Before(folders.warehouse, lake_rows(undisturbed), int(done.stdout))


def test_the_undisturbed_replay_changes_all_three_drops(before: Before):
    assert len({row[0] for row in before.undisturbed["replays"]}) == 3


@pytest.mark.parametrize("round_", slow_but(_ROUNDS // 2, range(_ROUNDS)))
def test_a_replay_that_was_killed_and_begun_again_comes_to_the_same(
    before: Before, tmp_path: Path, round_: int
):
    share = (round_ + random.Random(round_).random()) / _ROUNDS  # noqa: S311 - no secret
    warehouse = tmp_path / "warehouse"
    shutil.copytree(before.warehouse, warehouse)
    killed = _replay(warehouse, 1 + int(share * before.passed))
    assert killed.returncode == -signal.SIGKILL
    again = _replay(warehouse)
    assert again.returncode == 0, again.stderr
    assert lake_rows(warehouse) == before.undisturbed
