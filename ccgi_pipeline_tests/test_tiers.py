"""What `make test` promises to show is among its tests: a slow test is left to `make test-all`.

Belongs here: the promises, each with a test that keeps it. That no test is left out of both,
`.ci/run` finds out.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ccgi_pipeline_tests.delivery.test_killed_at_failpoints import MILESTONES

_TESTS = Path(__file__).parent
_KILLS = "delivery/test_killed_at_failpoints.py"

PROMISES = {
    "a drill": "drills/test_a_damaged_catalog.py",
    "nights with planted values": "privacy/test_canaries.py::test_no_canary_is_in",
    "nights on PostgreSQL": "nightly/test_beyond_one_machine.py::test_both_write_the_same_bytes",
    "pages in a browser": "verification/test_receipt_html.py::test_on_paper_nothing_is_lost",
    "nights in Dagster": "defs/test_night_in_dagster.py::",
    "encrypted nights": "nightly/test_an_encrypted_night.py::test_every_row_is_the_same",
    "a killed night": "nightly/test_killed.py::test_a_night_that_was_killed_and_run_again",
    "a killed replay": "operations/test_a_killed_replay.py::test_a_replay_that_was_killed",
    "a killed purge": "privacy/test_purge.py::test_a_killed_purge",
    "a moved warehouse": "warehouse/storage/test_relocation.py::test_every_row_of_every_snapshot",
}
"""By what it shows, how the name of a test begins."""


@pytest.fixture(scope="module")
def quick() -> list[str]:
    """The names of the tests in these files that `make test` runs."""
    files = sorted({_KILLS, *(test.split("::")[0] for test in PROMISES.values())})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not slow"]
    collected = subprocess.run(
        [*command, "-p", "no:cacheprovider"] + [f"{_TESTS.name}/{file}" for file in files],
        cwd=_TESTS.parent,
        check=True,
        capture_output=True,
        text=True,
    )
    prefix = f"{_TESTS.name}/"
    return [line.removeprefix(prefix) for line in collected.stdout.splitlines() if "::" in line]


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_kept_by_a_test_that_is_not_slow(quick: list[str], promise: str) -> None:
    assert any(test.startswith(PROMISES[promise]) for test in quick)


@pytest.mark.parametrize("name", MILESTONES)
def test_a_night_is_killed_at_each_failpoint_on_one_side_at_least(
    quick: list[str], name: str
) -> None:
    assert any(test.startswith(_KILLS) and f"[{name}-" in test for test in quick)
