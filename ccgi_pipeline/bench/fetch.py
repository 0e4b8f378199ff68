"""The benchmark of a fetch by the OneRoster API: ``ccgi bench fetch``.

Belongs here: the fetch of a large roster from a server on this machine, beside a bare download of
the same pages. Does not belong here: the roster and its server (``roster_server``), and printing
the figures.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx

from ccgi_pipeline.bench.memory import read_memory
from ccgi_pipeline.bench.roster_server import SPAWN, RunningServer, serve_roster, write_roster
from ccgi_pipeline.oneroster_api.district_fetch import FetchFolders, FetchOptions, fetch_district
from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile

_CD = "3367173"
_SECRET = "CCGI_BENCH_SECRET"  # noqa: S105 - the name of a variable
_MEBIBYTE = 2**20

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class FetchFigures:
    """Seconds and mebibytes of a fetch, and of bare downloads of the same pages.

    ``loop_s``: httpx alone reads every page once. ``json_s``: and each is read as JSON.
    """

    users: int
    enrollments: int
    records: int
    mebibytes: float
    page_size: int
    fetch_s: float
    peak_mib: float
    loop_s: float
    json_s: float

    @property
    def records_per_second(self) -> float:
        """Records that a fetch takes in a second."""
        return self.records / self.fetch_s

    @property
    def ratio(self) -> float:
        """The seconds of a fetch divided by those of the bare download."""
        return self.fetch_s / self.loop_s

    @property
    def json_ratio(self) -> float:
        """The seconds of a fetch divided by those of a download that reads the JSON."""
        return self.fetch_s / self.json_s


def bench_fetch(folder: Path, users: int, enrollments: int, page_size: int) -> FetchFigures:
    """Measures a full fetch of a roster that it makes in ``folder`` (replaced).

    Server, fetch and downloads have a process each. The downloads come after the fetch, when the
    roster is surely in the system's cache.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    roster = write_roster(folder / "roster", users, enrollments)
    with serve_roster(folder, roster) as server:
        seconds, records, peak = _apart(_fetch, server, folder, page_size)
        loop, size = _apart(_download, server, page_size, reads=False)
        read, _ = _apart(_download, server, page_size, reads=True)
    shutil.rmtree(folder / "roster")
    return FetchFigures(
        users=users,
        enrollments=enrollments,
        records=records,
        mebibytes=size / _MEBIBYTE,
        page_size=page_size,
        fetch_s=seconds,
        peak_mib=peak / _MEBIBYTE,
        loop_s=loop,
        json_s=read,
    )


def _apart(measure: Callable[..., Result], *arguments: object, **named: object) -> Result:
    """Measures in a process of its own, whose memory is that of the measured work alone."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as processes:
        return processes.submit(measure, *arguments, **named).result()


def _fetch(server: RunningServer, folder: Path, page_size: int) -> tuple[float, int, int]:
    """Fetches; returns seconds, records and the peak of memory."""
    profile = OneRosterApiProfile(
        server=server.url,
        version="1.1",
        token_url=server.token_url,
        client_id=server.client_id,
        secret_variable=_SECRET,
        ca_file=str(server.ca_file),
        page_size=page_size,
    )
    os.environ[_SECRET] = server.client_secret
    folders = FetchFolders(folder / "inbox", folder / "warehouse")
    started = time.perf_counter()
    result = fetch_district(folders, _CD, profile, FetchOptions(full=True))
    seconds = time.perf_counter() - started
    return seconds, result.records, read_memory("self", "VmHWM")


def _download(server: RunningServer, page_size: int, *, reads: bool) -> tuple[float, int]:
    """Downloads every page once; returns seconds and bytes."""
    size = 0
    started = time.perf_counter()
    with httpx.Client(verify=ssl.create_default_context(cafile=server.ca_file)) as client:
        form = {"grant_type": "client_credentials"}
        own = (server.client_id, server.client_secret)
        token = client.post(server.token_url, data=form, auth=own).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        for collection in server.collections:
            offset, total = 0, 1
            while offset < total:
                address = f"{server.url}/{collection}?limit={page_size}&offset={offset}"
                answer = client.get(address)
                total = int(answer.headers["X-Total-Count"])
                offset += page_size
                size += len(answer.content)
                if reads:
                    json.loads(answer.content)
    return time.perf_counter() - started, size


def format_fetch(figures: FetchFigures) -> str:
    """Returns the figures as text."""
    return (
        f"{figures.users:,} users, {figures.enrollments:,} enrollments: {figures.records:,} "
        f"records, {figures.mebibytes:,.0f} MiB of JSON, {figures.page_size:,} on a page\n"
        f"  the fetch                     {figures.fetch_s:8.1f} s, "
        f"peak {figures.peak_mib:,.0f} MiB, {figures.records_per_second:,.0f} records a second\n"
        f"  the floor (httpx alone)       {figures.loop_s:8.1f} s\n"
        f"  ratio                         {figures.ratio:8.2f}\n"
        f"  httpx and reading the JSON    {figures.json_s:8.1f} s\n"
        f"  ratio                         {figures.json_ratio:8.2f}"
    )
