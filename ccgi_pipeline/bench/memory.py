"""Memory of processes, as Linux tells it.

Belongs here: reading it. Does not belong here: what is measured.
"""

from __future__ import annotations

from pathlib import Path


def read_memory(process: int | str, kind: str) -> int:
    """Returns bytes: VmHWM is a process's peak, RssAnon its memory without mapped files."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{kind}:"))
    return int(line.split()[1]) * 1024
