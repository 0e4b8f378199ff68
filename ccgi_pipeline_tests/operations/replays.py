"""A replay in a process of its own, which kills itself at a milestone of the test's choice::

    python -m ccgi_pipeline_tests.operations.replays WAREHOUSE YYYY-MM-DD NUMBER

Belongs here: that program. NUMBER counts both sides of every milestone; 0 never comes.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import date
from pathlib import Path

from ccgi_pipeline.common.failpoints import Side, observe_failpoints
from ccgi_pipeline.operations import replay as replay_operation
from ccgi_pipeline.warehouse.load.reload import Signature
from ccgi_pipeline.warehouse.queries.quarantine import ReplaySelection


def main() -> None:
    """Replays everything; says how many sides of milestones it has passed."""
    warehouse, on, number = sys.argv[1:]
    passed = 0

    def hear(_name: str, _side: Side) -> None:
        nonlocal passed
        passed += 1
        if passed == int(number):
            os.kill(os.getpid(), signal.SIGKILL)

    with observe_failpoints(hear):
        replay_operation.run_replay(
            Path(warehouse),
            ReplaySelection(),
            date.fromisoformat(on),
            Signature("A. Name", "a test"),
        )
    print(passed)  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
