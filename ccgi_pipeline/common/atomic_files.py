"""Files that appear whole or not at all.

Belongs here: replacing a file at once. Does not belong here: what is in it.
"""

from __future__ import annotations

from pathlib import Path


def write_file(path: Path, content: bytes) -> None:
    """Writes a file, and its folder if that is missing; a reader sees the former one until then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
