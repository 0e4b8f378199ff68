"""Fetches of the tests: a district's folders, its profile for a server, and a clock.

Belongs here: what tests of fetches share. Does not belong here: the server.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ccgi_pipeline.intake.file_stability import Clock
from ccgi_pipeline.oneroster_api.district_fetch import (
    FetchFolders,
    FetchOptions,
    FetchResult,
    fetch_district,
)
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile
from ccgi_pipeline_tests.oneroster_api.server import RosterServer

CD = "3367173"
SECRET = "CCGI_TEST_ONEROSTER_SECRET"  # noqa: S105 - the name of a variable


class FastClock:
    """Time that passes as on the wall, and at once where somebody waits; it may be put forward."""

    def __init__(self) -> None:
        self.waited = 0.0
        self._began, self._ahead = time.monotonic(), timedelta()
        self._start = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)

    def now(self) -> datetime:
        passed = timedelta(seconds=time.monotonic() - self._began)
        return self._start + passed + self._ahead

    def sleep(self, seconds: float) -> None:
        self.waited += seconds
        self.pass_by(timedelta(seconds=seconds))

    def pass_by(self, time_: timedelta) -> None:
        self._ahead += time_

    @property
    def clock(self) -> Clock:
        return Clock(self.now, self.sleep)


def profile_for(server: RosterServer, **settings: object) -> OneRosterApiProfile:
    """The settings of a district that uses ``server``."""
    own: dict[str, Any] = {
        "server": server.url,
        "token_url": server.token_url,
        "client_id": server.client_id,
        "secret_variable": SECRET,
        "ca_file": str(server.ca_file),
        "page_size": 200,
        "timeout_seconds": 3,
    }
    return OneRosterApiProfile(**{**own, **settings})


class District:
    """The folders of one district, which fetches from ``server``."""

    def __init__(self, root: Path, server: RosterServer) -> None:
        self.server, self.time = server, FastClock()
        self.folders = FetchFolders(root / "inbox", root / "warehouse")
        self.folders.warehouse.mkdir(parents=True, exist_ok=True)

    def fetch(
        self, *, full: bool = False, doubted: bool = False, **settings: object
    ) -> FetchResult:
        options = FetchOptions(
            full=full,
            doubted=doubted,
            clock=self.time.clock,
            environment={SECRET: self.server.client_secret},
        )
        return fetch_district(self.folders, CD, profile_for(self.server, **settings), options)

    def drops(self) -> list[Path]:
        """The drops in the inbox, the oldest first; a hidden folder is none."""
        below = self.folders.inbox / CD / "oneroster"
        found = below.iterdir() if below.exists() else ()
        return sorted(path for path in found if not path.name.startswith("."))

    def asked_since(self, number: int) -> list[str]:
        """The collections that were asked for since the request of that number."""
        return [seen.path.rpartition("/")[2] for seen in self.server.requests[number:]]


def read_drop(drop: Path) -> dict[str, bytes]:
    """The files of a drop."""
    return {path.name: path.read_bytes() for path in sorted(drop.iterdir())}
