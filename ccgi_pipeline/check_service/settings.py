"""The settings of the service.

Belongs here: its limits and where it works. Does not belong here: reading them from a command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1_000_000
MOST_FILES = 200
"""Files of one upload: as many as a zip may have."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """The limits of the service; ``docs/check-service.md`` names them.

    ``largest``: bytes of one upload. ``seconds``: how long its judging may take. ``memory``: bytes
    that judging it may use. ``at_once``: uploads that are judged at the same time; ``receiving``:
    those that arrive at the same time. ``patience``: seconds that an upload waits to be judged.
    ``folder``: where uploads lie meanwhile. ``hosts``: names by which the page is reached, besides
    this machine's own. ``profiles``: a profiles.toml.
    """

    folder: Path
    largest: int = 100 * MEGABYTE
    seconds: float = 120
    memory: int = 3000 * MEGABYTE
    at_once: int = 2
    receiving: int = 8
    patience: float = 30
    slowest: float = 16_384
    """Bytes a second: an upload that is slower on the whole is ended."""
    grace: float = 15
    """Seconds that an upload may be late by that measure."""
    hosts: frozenset[str] = frozenset()
    profiles: Path | None = None
