"""Commands of ours run as a person would, with their time and memory.

Belongs here: processes of their own, so that imports are counted and memory is theirs. Does not
belong here: what is measured (nights, parts).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_KIBIBYTE, _MEBIBYTE = 1 << 10, 1 << 20
_BETWEEN_SAMPLES = 0.05
"""Seconds: a stage of a night that matters takes longer."""


def timed(*arguments: str | Path) -> tuple[float, float]:
    """Wall seconds of a command of ours, and the peak memory (MiB) of any child so far."""
    started = time.perf_counter()
    subprocess.run(
        [Path(sys.executable).with_name("ccgi"), *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / _KIBIBYTE
    return seconds, peak


@dataclass(frozen=True, slots=True)
class Watched:
    """A process that ran: when it began (Unix time), its seconds, its memory as it went.

    ``samples``: Unix times and MiB; none where the system does not tell.
    """

    began: float
    seconds: float
    samples: Sequence[tuple[float, float]]

    def peak(self, since: float, until: float) -> float:
        """The most memory (MiB) between two times."""
        return max((mib for at, mib in self.samples if since <= at <= until), default=0.0)


def watched(
    module: str,
    *arguments: str | Path,
    heard: Callable[[str], None],
) -> Watched:
    """Runs a module of ours; ``heard`` gets the lines that it prints, as they come."""
    began, started = time.time(), time.perf_counter()
    samples: list[tuple[float, float]] = []
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        sampler = threading.Thread(target=_sample, args=(process, samples))
        sampler.start()
        for line in process.stdout or ():
            heard(line.rstrip("\n"))
        process.wait()
        seconds = time.perf_counter() - started
        sampler.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return Watched(began, seconds, samples)


def _sample(process: subprocess.Popen[str], samples: list[tuple[float, float]]) -> None:
    memory = Path(f"/proc/{process.pid}/statm")
    page = os.sysconf("SC_PAGE_SIZE")
    while process.poll() is None:
        try:
            samples.append((time.time(), int(memory.read_text().split()[1]) * page / _MEBIBYTE))
        except (OSError, IndexError):
            return  # it has ended, or this is not Linux
        time.sleep(_BETWEEN_SAMPLES)
