"""Tests that a command's process hardly looks for garbage.

Belongs here: a process of its own, since the settings are those of a whole process.
"""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import atexit
import gc
atexit.register(lambda: print(gc.get_freeze_count() > 0))
from ccgi_pipeline.common.garbage_collection import collect_rarely
collect_rarely()
print(gc.isenabled(), gc.get_threshold()[0] > 10_000)
"""


def test_the_collector_runs_rarely_and_not_at_the_end() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True
    )
    assert ended.stdout.split() == ["True", "True", "True"]
