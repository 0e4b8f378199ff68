"""The time and memory of commands, each run in a process of its own.

A process of its own counts the imports, and its memory is the command's alone. Does not belong
here: what is measured (``night``, ``components``, ``peers``).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_KIBIBYTE, _MEBIBYTE = 1 << 10, 1 << 20
_BETWEEN_SAMPLES = 0.05
"""Seconds; shorter than every stage of a night that matters."""


def time_command(*arguments: str | Path) -> tuple[float, float]:
    """Runs a ``ccgi`` command; returns its seconds and its peak memory (MiB).

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    command = [CCGI, *arguments]
    used = measure_process(command)
    if used.exit_status:
        raise subprocess.CalledProcessError(used.exit_status, command)
    return used.seconds, used.peak_mib


CCGI = Path(sys.executable).with_name("ccgi")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a process that has ended took: seconds, seconds of all its threads, peak memory."""

    seconds: float
    processor_seconds: float
    peak_mib: float
    exit_status: int


def measure_process(
    command: Sequence[str | Path],
    output: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> ProcessUsage:
    """Runs a command to its end; what it prints goes into ``output``, its errors nowhere.

    A small process of Python runs it and reads what it took: Linux counts to a process's peak what
    its parent held when it was started, and this process may hold much.
    """
    with TemporaryDirectory() as folder, Path(output or os.devnull).open("wb") as printed:
        usage = Path(folder) / "usage.json"
        subprocess.run(
            [sys.executable, "-m", __name__, usage, *command],
            check=True,
            stdout=printed,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(variables or {})},
        )
        return ProcessUsage(**json.loads(usage.read_text()))


def _measure_child(usage: Path, command: Sequence[str]) -> None:
    started = time.perf_counter()
    status = subprocess.run(command, check=False).returncode
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    measured = ProcessUsage(
        seconds=seconds,
        processor_seconds=used.ru_utime + used.ru_stime,
        peak_mib=used.ru_maxrss / _KIBIBYTE,
        exit_status=status,
    )
    usage.write_text(json.dumps(asdict(measured)))


@dataclass(frozen=True, slots=True)
class ProcessRun:
    """A process that has ended: its start (Unix time), seconds and memory.

    ``processor_s``: seconds of processor time, of all its threads and children. ``samples``: Unix
    times and MiB; empty where the system has no ``/proc``.
    """

    began: float
    seconds: float
    processor_s: float
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
    began, started, used = time.time(), time.perf_counter(), _read_processor_time()
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
    return ProcessRun(began, seconds, _read_processor_time() - used, samples)


def _read_processor_time() -> float:
    """Returns the processor time of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _sample(process: subprocess.Popen[str], samples: list[tuple[float, float]]) -> None:
    memory = Path(f"/proc/{process.pid}/statm")
    page = os.sysconf("SC_PAGE_SIZE")
    while process.poll() is None:
        try:
            samples.append((time.time(), int(memory.read_text().split()[1]) * page / _MEBIBYTE))
        except (OSError, IndexError):
            return  # the process has ended, or the system has no /proc
        time.sleep(_BETWEEN_SAMPLES)


if __name__ == "__main__":
    _measure_child(Path(sys.argv[1]), sys.argv[2:])
