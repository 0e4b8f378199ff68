"""The rate limit over hours: simulated clocks, real files, real processes.

Belongs here: never more than the limit in any rolling hour, nearly all of it usable, and what a
refused client is told. Does not belong here: the limit over HTTP (test_service).

Run as a program, it is some askers in a process of their own, which tests may kill::

    python test_limits.py FOLDER ASKERS UNTIL
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccgi_pipeline.ssid_lookup.limits import HOUR, Limiter, build_rate_headers

LIMIT = 5000
_PROJECT = Path(__file__).parents[2]
_START = 1_800_000_000.0


@dataclass
class Clock:
    """Says what time it is when it is told to."""

    now: float = _START

    def __call__(self) -> float:
        return self.now


def most_in_an_hour(times: list[float]) -> int:
    """The most grants in any hour, wherever it begins (an hour ends just before it is over)."""
    times = sorted(times)
    return max(place - bisect_right(times, at - HOUR) for place, at in enumerate(times, start=1))


def fewest_in_an_hour(times: list[float], hours: int) -> int:
    """The fewest grants in any of the hours from the start on."""
    counts: dict[int, int] = defaultdict(int)
    for at in times:
        counts[int((at - _START) // HOUR)] += 1
    return min(counts[hour] for hour in range(hours))


@pytest.mark.parametrize("seed", range(3))
def test_64_clients_of_one_registration_share_its_hour_over_a_restart(tmp_path: Path, seed: int):
    """They ask in bursts and pauses, a third more often than they may."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    clock, granted = Clock(), []
    next_asks = [_START + chance.random() * 60 for _ in range(64)]
    restart_at = _START + chance.uniform(0.3, 0.7) * 3 * HOUR
    limiter = Limiter(tmp_path, clock)
    while min(next_asks) < _START + 3 * HOUR:
        clock.now = min(next_asks)
        if clock.now > restart_at:
            limiter.close()
            limiter, restart_at = Limiter(tmp_path, clock), float("inf")
        ruling = limiter.request("cccapply", LIMIT)
        if ruling.granted:
            granted.append(clock.now)
        asker = next_asks.index(clock.now)
        next_asks[asker] += chance.choice([1, 5, 20, 40, 100]) * (0.5 + chance.random())
    limiter.close()
    assert most_in_an_hour(granted) <= LIMIT
    assert fewest_in_an_hour(granted, 3) >= 4950


def test_64_registered_clients_do_not_share_an_hour(tmp_path: Path):
    clock, granted = Clock(), defaultdict(list)
    with closing(Limiter(tmp_path, clock)) as limiter:
        for _ in range(3 * 6):
            for _ in range(20):
                for client in range(64):
                    clock.now += 0.001
                    if limiter.request(f"client-{client}", 100).granted:
                        granted[client].append(clock.now)
            clock.now += 600
    assert len(granted) == 64
    for times in granted.values():
        assert most_in_an_hour(times) == 100
        assert fewest_in_an_hour(times, 3) >= 99


def test_64_askers_in_real_processes_share_an_hour_though_half_are_killed(tmp_path: Path):
    """The clock is a file that every reading moves on by 0.55 seconds: 6,545 asks an hour."""
    _set_clock(tmp_path, _START)
    ends = _START + 3 * HOUR
    killed = [_askers(tmp_path, ends) for _ in range(2)]
    others = [_askers(tmp_path, ends) for _ in range(2)]
    while _read_clock(tmp_path) < _START + 1.4 * HOUR:
        time.sleep(0.01)
    for process in killed:
        process.kill()
        process.wait()
    restarted = [_askers(tmp_path, ends) for _ in range(2)]
    for process in [*others, *restarted]:
        assert process.wait() == 0
    granted = [at for file in tmp_path.glob("granted-*") for at in _read_times(file)]
    assert most_in_an_hour(granted) <= LIMIT
    assert fewest_in_an_hour(granted, 3) >= 4950


def _askers(folder: Path, ends: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(folder), "16", str(ends)], cwd=_PROJECT
    )


def _set_clock(folder: Path, now: float) -> None:
    (folder / "clock").write_bytes(struct.pack("d", now))


def _read_clock(folder: Path) -> float:
    now: float = struct.unpack("d", (folder / "clock").read_bytes())[0]
    return now


class SharedClock:
    """A clock that all processes share; remembers what it told last.

    It needs no lock: the limiter reads it where no other one can be.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "clock", os.O_RDWR)
        self.told = 0.0

    def __call__(self) -> float:
        (now,) = struct.unpack("d", os.pread(self._file, 8, 0))
        self.told = now + 0.55
        os.pwrite(self._file, struct.pack("d", self.told), 0)
        return self.told


def _ask_until(folder: Path, ends: float) -> None:
    """One asker: notes the time of each grant in a file of its own."""
    clock = SharedClock(folder)
    note = folder / f"granted-{os.getpid()}-{threading.get_ident()}"
    with closing(Limiter(folder, clock)) as limiter, note.open("ab", buffering=0) as file:
        while True:
            ruling = limiter.request("cccapply", LIMIT)
            if clock.told >= ends:
                return
            if ruling.granted:
                file.write(struct.pack("d", clock.told))


def _read_times(file: Path) -> list[float]:
    return [at for (at,) in struct.iter_unpack("d", file.read_bytes())]


@settings(max_examples=40, deadline=None)
@given(
    limit=st.integers(1, 6),
    pauses=st.lists(st.floats(0, 2000), min_size=1, max_size=60),
)
def test_waiting_as_long_as_told_is_enough_and_a_second_less_is_not(
    tmp_path_factory: pytest.TempPathFactory, limit: int, pauses: list[float]
):
    clock = Clock()
    with closing(Limiter(tmp_path_factory.mktemp("limit"), clock)) as limiter:
        for pause in pauses:
            clock.now += pause
            ruling = limiter.request("cccapply", limit)
            if ruling.granted:
                continue
            refused_at = clock.now
            clock.now = refused_at + ruling.seconds - 1
            assert not limiter.request("cccapply", limit).granted
            clock.now = refused_at + ruling.seconds
            assert limiter.request("cccapply", limit).granted


def test_a_client_is_told_what_remains_and_when_there_is_more(tmp_path: Path):
    clock = Clock()
    with closing(Limiter(tmp_path, clock)) as limiter:
        assert build_rate_headers(limiter.request("cccapply", 2)) == {
            "RateLimit-Policy": '"hour";q=2;w=3600',
            "RateLimit": '"hour";r=1;t=3600',
        }
        clock.now += 600.5
        assert (
            build_rate_headers(limiter.request("cccapply", 2))["RateLimit"] == '"hour";r=0;t=3000'
        )
        clock.now += 1000
        assert build_rate_headers(limiter.request("cccapply", 2)) == {
            "RateLimit-Policy": '"hour";q=2;w=3600',
            "RateLimit": '"hour";r=0;t=2000',
            "Retry-After": "2000",
        }


def test_a_limit_may_be_changed_at_any_time(tmp_path: Path):
    clock = Clock()
    with closing(Limiter(tmp_path, clock)) as limiter:
        for _ in range(10):
            clock.now += 60
            assert limiter.request("cccapply", 10).granted
        assert limiter.request("cccapply", 12).granted
        # Of the 11 grants, 8 must end before 4 leaves room for one more: the 8th came at 480.
        refused = limiter.request("cccapply", 4)
        assert (refused.granted, refused.remaining) == (False, 0)
        assert refused.seconds == HOUR - 600 + 480


def test_a_clock_that_was_set_back_gives_nothing_back(tmp_path: Path):
    clock = Clock()
    with closing(Limiter(tmp_path, clock)) as limiter:
        assert limiter.request("cccapply", 2).granted
        clock.now -= 30
        assert limiter.request("cccapply", 2).granted
        assert not limiter.request("cccapply", 2).granted
        clock.now += HOUR
        assert not limiter.request("cccapply", 2).granted


@pytest.mark.parametrize("ahead", [61, HOUR, 10 * 365 * 24 * HOUR])
def test_a_clock_that_was_ahead_locks_nobody_out(tmp_path: Path, ahead: int):
    """A single request under it, or all of an hour: the wait is that of an hour, and ends."""
    clock = Clock()
    with closing(Limiter(tmp_path, clock)) as limiter:
        clock.now += ahead
        assert limiter.request("cccapply", 3).granted
        clock.now -= ahead
        assert limiter.request("cccapply", 3).remaining == 1
        clock.now += ahead
        assert limiter.request("other", 1).granted
        clock.now -= ahead
        refused = limiter.request("other", 1)
        assert (refused.granted, refused.seconds) == (False, HOUR + 60)
        clock.now += refused.seconds
        assert limiter.request("other", 1).granted
        assert limiter.request("cccapply", 3).remaining == 2


def main() -> None:
    """Askers, each in a thread with a connection of its own."""
    folder, askers, ends = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    threads = [threading.Thread(target=_ask_until, args=(folder, ends)) for _ in range(askers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
