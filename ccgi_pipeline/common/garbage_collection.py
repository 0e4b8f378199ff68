"""How often Python looks for objects that only refer to each other.

Belongs here: what suits a process that ends with its command. Nothing else of memory.
"""

from __future__ import annotations

import atexit
import gc
from functools import cache

_OBJECTS_BETWEEN_COLLECTIONS = 200_000
"""More than libraries make. Python's default of 700 takes a seventh of a quiet night."""


@cache
def collect_rarely() -> None:
    """Makes the collector of this process run rarely, and not at its end."""
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)  # what is frozen is not looked through when Python ends
