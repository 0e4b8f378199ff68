"""The logs: they are rotated, and what is refused again and again is told once a minute.

Belongs here: files and counts, without a service. Does not belong here: what a service logs
(test_service, test_oauth_refusals).
"""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ccgi_pipeline.ssid_lookup.journal import Journal
from ccgi_pipeline.ssid_lookup.refusal_log import MINUTE, RefusalLog, Refused


class Clock:
    """Says what time it is when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines_in(*files: Path) -> list[dict[str, Any]]:
    """The lines of logs."""
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_full_log_is_rotated_and_the_oldest_is_deleted(tmp_path: Path):
    journal = Journal(tmp_path, frozenset(), largest=1000)
    for number in range(100):
        journal.record_outcome("cccapply", "lookup", "match", str(number))
    files = sorted(tmp_path.glob("operator*.jsonl"))
    assert [file.name for file in files] == [
        *(f"operator.{number}.jsonl" for number in range(1, 6)),
        "operator.jsonl",
    ]
    assert all(file.stat().st_size < 1200 for file in files)
    in_order = [tmp_path / f"operator.{number}.jsonl" for number in range(5, 0, -1)]
    kept = [int(line["reason"]) for line in lines_in(*in_order, tmp_path / "operator.jsonl")]
    assert kept == list(range(kept[0], 100))
    assert all(not stat.S_IMODE(file.stat().st_mode) & 0o077 for file in tmp_path.iterdir())
    assert not (tmp_path / "access.1.jsonl").exists()


def test_workers_rotate_a_log_together_and_lose_no_line(tmp_path: Path):
    journals = [Journal(tmp_path, frozenset(), largest=20_000) for _ in range(4)]

    def write(number: int) -> None:
        journals[number % 4].record_access("GET", "/health", 200, 0.001, f"client-{number}")

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(write, range(600)))
    written = lines_in(*tmp_path.glob("access*.jsonl"))
    assert sorted(line["client"] for line in written) == sorted(f"client-{n}" for n in range(600))
    assert len([*tmp_path.glob("access*.jsonl")]) > 3


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(tmp_path: Path, clock: Clock) -> RefusalLog:
    return RefusalLog(Journal(tmp_path, frozenset()), clock)


WRONG_SECRET = Refused("cccapply", "10.0.0.1", "token", "invalid_client")


def test_the_first_failure_is_logged_at_once_and_all_others_once_a_minute(
    tmp_path: Path, refusals: RefusalLog, clock: Clock
):
    log = tmp_path / "operator.jsonl"
    refusals.record(WRONG_SECRET)
    assert [line["times"] for line in lines_in(log)] == [1]
    for _ in range(5 * 600):
        clock.now += 0.1
        refusals.record(WRONG_SECRET)
    assert len(lines_in(log)) <= 6
    clock.now += MINUTE
    refusals.write_ended()
    told = lines_in(log)
    assert sum(line["times"] for line in told) == 5 * 600 + 1
    assert {(line["client"], line["address"], line["reason"]) for line in told} == {
        ("cccapply", "10.0.0.1", "invalid_client")
    }
    number = len(told)
    clock.now += 5 * MINUTE
    refusals.write_ended()
    assert len(lines_in(log)) == number


def test_what_is_not_told_yet_is_told_when_the_service_stops(tmp_path: Path, refusals: RefusalLog):
    for _ in range(7):
        refusals.record(WRONG_SECRET)
    refusals.write_ended(all_of_them=True)
    assert [line["times"] for line in lines_in(tmp_path / "operator.jsonl")] == [1, 6]


def test_a_client_at_another_address_and_another_client_have_counts_of_their_own(
    refusals: RefusalLog, clock: Clock
):
    waits = [refusals.record(WRONG_SECRET, most=3) for _ in range(5)]
    assert waits == [0, 0, 0, MINUTE, MINUTE]
    assert refusals.record(Refused("cccapply", "10.0.0.2", "token", "invalid_client"), most=3) == 0
    assert refusals.record(Refused("other", "10.0.0.1", "token", "invalid_client"), most=3) == 0
    clock.now += MINUTE - 10
    assert refusals.record(WRONG_SECRET, most=3) == 10
    clock.now += 10
    assert refusals.record(WRONG_SECRET, most=3) == 0


def test_the_counts_of_many_addresses_take_no_more_memory_than_some(refusals: RefusalLog):
    for number in range(11_000):
        refusals.record(Refused(None, str(number), "token", "invalid_client"))
    assert len(refusals._counts) == 10_000
