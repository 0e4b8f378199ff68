"""A fetch in a process of its own that is killed at a failpoint: the one whose number is given."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from ccgi_pipeline.common.failpoints import observe_failpoints
from ccgi_pipeline.oneroster_api.district_fetch import FetchFolders, fetch_district
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile
from ccgi_pipeline_tests.oneroster_api.fetches import CD


def main() -> None:
    """Fetches with the folders and settings that standard input names."""
    number, passed = int(sys.argv[1]), 0
    inbox, warehouse, settings = json.load(sys.stdin)

    def observe(_name: str, _side: str) -> None:
        nonlocal passed
        passed += 1
        if passed == number:
            os.kill(os.getpid(), signal.SIGKILL)

    with observe_failpoints(observe):
        fetch_district(
            FetchFolders(Path(inbox), Path(warehouse)), CD, OneRosterApiProfile(**settings)
        )


if __name__ == "__main__":
    main()
