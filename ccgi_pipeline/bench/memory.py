"""Memory of this machine and of processes, as Linux tells it.

Belongs here: reading it. Does not belong here: what is measured.
"""

from __future__ import annotations

import os
from pathlib import Path


def measure_machine_memory() -> int:
    """Returns the memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_memory(process: int | str, kind: str) -> int:
    """Returns bytes: VmHWM is a process's peak, RssAnon its memory without mapped files."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{kind}:"))
    return int(line.split()[1]) * 1024
