"""A replay in a process of its own, which kills itself at a milestone of the test's choice::

    python -m ccgi_pipeline_tests.night.replays WAREHOUSE YYYY-MM-DD NUMBER

Belongs here: that program. NUMBER counts both sides of every milestone; 0 never comes.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import date
from pathlib import Path

from ccgi_pipeline import replaying
from ccgi_pipeline.milestones import Side, listening
from ccgi_pipeline.warehouse.replaying import Signature, Wish


def main() -> None:
    """Replays everything; says how many sides of milestones it has passed."""
    warehouse, on, number = sys.argv[1:]
    passed = 0

    def hear(_name: str, _side: Side) -> None:
        nonlocal passed
        passed += 1
        if passed == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    with listening(hear):
        replaying.apply(
            Path(warehouse), Wish(), date.fromisoformat(on), Signature("A. Name", "a test")
        )
    print(passed)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
