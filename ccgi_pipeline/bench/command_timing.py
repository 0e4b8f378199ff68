"""The time and memory of ``ccgi`` commands, each run in a process of its own.

A process of its own counts the imports, and its memory is the command's alone. Does not belong
here: what is measured (``night``, ``components``).
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
"""Seconds; shorter than every stage of a night that matters."""


def time_command(*arguments: str | Path) -> tuple[float, float]:
    """Runs a ``ccgi`` command; returns its seconds, and the peak memory (MiB) of all children."""
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
class ProcessRun:
    """A process that has ended: its start (Unix time), seconds and memory.

    ``samples``: Unix times and MiB; empty where the system has no ``/proc``.
    """

    began: float
    seconds: float
    samples: Sequence[tuple[float, float]]

    def peak(self, since: float, until: float) -> float:
        """Returns the most memory (MiB) between two times."""
        return max((mib for at, mib in self.samples if since <= at <= until), default=0.0)


def run_process(
    module: str,
    *arguments: str | Path,
    on_line: Callable[[str], None],
) -> ProcessRun:
    """Runs a module of the project; calls ``on_line`` with each line that it prints."""
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
            on_line(line.rstrip("\n"))
        process.wait()
        seconds = time.perf_counter() - started
        sampler.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return ProcessRun(began, seconds, samples)


def _sample(process: subprocess.Popen[str], samples: list[tuple[float, float]]) -> None:
    memory = Path(f"/proc/{process.pid}/statm")
    page = os.sysconf("SC_PAGE_SIZE")
    while process.poll() is None:
        try:
            samples.append((time.time(), int(memory.read_text().split()[1]) * page / _MEBIBYTE))
        except (OSError, IndexError):
            return  # the process has ended, or the system has no /proc
        time.sleep(_BETWEEN_SAMPLES)
