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
class Taken:
    """The time that something took: by the clock, and of the processor.

    The processor's time says more on a machine that has other work.
    """

    seconds: float
    processor_s: float


@dataclass(frozen=True, slots=True)
class FetchFigures:
    """Time and mebibytes of a fetch, and of bare downloads of the same pages.

    ``loop``: httpx alone takes every page once. ``loop_json``: and each is read as JSON.
    """

    users: int
    enrollments: int
    records: int
    mebibytes: float
    page_size: int
    peak_mib: float
    fetch: Taken
    loop: Taken
    loop_json: Taken

    @property
    def records_per_second(self) -> float:
        """Records that a fetch takes in a second."""
        return self.records / self.fetch.seconds


def bench_fetch(folder: Path, users: int, enrollments: int, page_size: int) -> FetchFigures:
    """Measures a full fetch of a roster that it makes in ``folder`` (replaced).

    Server, fetch and downloads have a process each. The downloads come after the fetch, when the
    roster is surely in the system's cache.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    roster = write_roster(folder / "roster", users, enrollments)
    with serve_roster(folder, roster) as server:
        fetch, records, peak = _apart(_fetch, server, folder, page_size)
        loop, size = _apart(_download, server, page_size, reads=False)
        loop_json, _ = _apart(_download, server, page_size, reads=True)
    shutil.rmtree(folder / "roster")
    return FetchFigures(
        users=users,
        enrollments=enrollments,
        records=records,
        mebibytes=size / _MEBIBYTE,
        page_size=page_size,
        peak_mib=peak / _MEBIBYTE,
        fetch=fetch,
        loop=loop,
        loop_json=loop_json,
    )


class _Watch:
    """Measures from its making on."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def stop(self) -> Taken:
        return Taken(time.perf_counter() - self._clock, time.process_time() - self._processor)


def _apart(measure: Callable[..., Result], *arguments: object, **named: object) -> Result:
    """Measures in a process of its own, whose memory is that of the measured work alone."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as processes:
        return processes.submit(measure, *arguments, **named).result()


def _fetch(server: RunningServer, folder: Path, page_size: int) -> tuple[Taken, int, int]:
    """Fetches; returns the time, records and the peak of memory."""
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
    watch = _Watch()
    result = fetch_district(folders, _CD, profile, FetchOptions(full=True))
    return watch.stop(), result.records, read_memory("self", "VmHWM")


def _download(server: RunningServer, page_size: int, *, reads: bool) -> tuple[Taken, int]:
    """Downloads every page once; returns the time and bytes."""
    size = 0
    watch = _Watch()
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
    return watch.stop(), size


def format_fetch(figures: FetchFigures) -> str:
    """Returns the figures as text."""
    rows = {
        "the fetch": figures.fetch,
        "httpx alone": figures.loop,
        "httpx, and reading the JSON": figures.loop_json,
    }
    lines = [
        f"{figures.users:,} users, {figures.enrollments:,} enrollments",
        (
            f"{figures.records:,} records, {figures.mebibytes:,.0f} MiB of JSON, "
            f"{figures.page_size:,} on a page"
        ),
        f"{figures.records_per_second:,.0f} records a second, peak {figures.peak_mib:,.0f} MiB",
        f"{'':32}{'seconds':>10}{'ratio':>8}{'of processor':>16}{'ratio':>8}",
    ]
    for name, taken in rows.items():
        ratio = figures.fetch.seconds / taken.seconds
        of_processor = figures.fetch.processor_s / taken.processor_s
        lines.append(
            f"  {name:30}{taken.seconds:10.1f}{ratio:8.2f}{taken.processor_s:16.1f}"
            f"{of_processor:8.2f}"
        )
    return "\n".join(lines)
