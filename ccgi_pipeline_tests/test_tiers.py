"""What `make test` promises to show is among its tests: a slow test is left to `make test-all`.

Belongs here: the promises, each with a test that keeps it. That no test is left out of both,
`.ci/run` finds out.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent

PROMISES = {
    "a drill": "drills/test_a_damaged_catalog.py",
    "nights with planted values": "privacy/test_canaries.py::test_no_canary_is_in",
    "nights on PostgreSQL": "nightly/test_beyond_one_machine.py::test_both_write_the_same_bytes",
    "pages in a browser": "verification/test_receipt_html.py::test_on_paper_nothing_is_lost",
    "nights in Dagster": "defs/test_night_in_dagster.py::",
    "a warehouse among others": "defs/test_code_location.py::"
    "test_all_that_a_named_warehouse_has_in_dagster_bears_its_name",
    "a kill in each part of a night": "delivery/test_killed_at_failpoints.py::"
    "test_a_night_killed_in_each_part_in_turn",
    "encrypted deliveries": "delivery/test_encrypted_delivery.py::"
    "test_a_key_that_cannot_be_used_stops_its_district_and_nobody_else",
    "messages of GnuPG": "encryption/test_gnupg.py::"
    "test_what_a_district_encrypts_is_read_in_every_form",
    "a killed replay": "operations/test_a_killed_replay.py::test_a_replay_that_was_killed",
    "a moved warehouse": "warehouse/storage/test_relocation.py::test_every_row_of_every_snapshot",
}
"""By what it shows, how the name of a test begins."""


@pytest.fixture(scope="module")
def quick() -> list[str]:
    """The names of the tests in these files that `make test` runs."""
    files = sorted({test.split("::")[0] for test in PROMISES.values()})
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
