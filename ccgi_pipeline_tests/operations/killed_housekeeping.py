"""Housekeeping in a process of its own that kills itself at a milestone.

Run as a program::

    python -m ccgi_pipeline_tests.operations.killed_housekeeping WAREHOUSE DATE NAME SIDE

It tells on standard output when everything is imported. Without a milestone of that name it comes
to its end.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import date, timedelta
from pathlib import Path

from ccgi_pipeline.common.failpoints import observe_failpoints
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.operations.housekeeping import keep_house


def main() -> None:
    """Kills itself as the arguments say."""
    warehouse, on, name, side = sys.argv[1:]
    print("imported", flush=True)  # noqa: T201 - the test waits for it

    def kill(at: str, on_side: str) -> None:
        if (at, on_side) == (name, side):
            os.kill(os.getpid(), signal.SIGKILL)

    folders = PipelinePaths(Path(), Path(), Path(warehouse))
    with observe_failpoints(kill):
        keep_house(folders, date.fromisoformat(on), timedelta(0))


if __name__ == "__main__":
    main()
