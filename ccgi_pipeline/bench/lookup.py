"""The benchmark of the SSID look-up: ``ccgi bench lookup``.

Belongs here: measuring loads, look-ups and requests beside the floor of the engine, and counting
wrong answers. Does not belong here: making the identities and printing the figures.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import duckdb
import polars as pl
import pyarrow.parquet as pq

from ccgi_pipeline.bench.local_ports import find_free_port, wait_for_server
from ccgi_pipeline.bench.memory import read_memory
from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.ssid_lookup.client_registry import ClientRegistry, ClientScope
from ccgi_pipeline.ssid_lookup.contract import LOOKUP_PATH, LookupRequest
from ccgi_pipeline.ssid_lookup.server import serve
from ccgi_pipeline.ssid_lookup.service import ServiceSettings
from ccgi_pipeline.ssid_lookup.store import IdentityStore, LoadSummary, load_identities

_HOST = "127.0.0.1"
_LINES_AT_ONCE = 500_000
_MISS_EVERY = 10
"""Every tenth look-up has another birth date, because hits alone are faster than real requests."""

_SPAWN = multiprocessing.get_context("spawn")

_PROBES = 100_000
_SECONDS_TO_STOP = 15


@dataclass(frozen=True, slots=True)
class Probe:
    """A look-up of the benchmark, and the SSID that is its right answer."""

    request: LookupRequest
    ssid: str | None


@dataclass(frozen=True, slots=True)
class LookupFigures:
    """The figures; ``floor_seconds`` is the time that DuckDB takes to sort the same rows.

    ``wrong``: answers with another student's SSID. ``service_own_bytes``: the memory of the worker
    without the mapped pages of the index, which belong to the system's cache.
    """

    lines: int
    keys: int
    load_seconds: float
    floor_seconds: float
    index_bytes: int
    peak_bytes: int
    single_per_second: float
    batch_per_second: float
    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    service_own_bytes: int
    wrong: int

    @property
    def load_ratio(self) -> float:
        """The seconds of a load divided by those of the floor."""
        return self.load_seconds / self.floor_seconds


def measure_lookup(
    folder: Path,
    frames: Iterable[pl.DataFrame],
    *,
    requests: int = 20_000,
    connections: int = 16,
    threads: int | None = None,
) -> LookupFigures:
    """Loads the identities into a new store in ``folder``, and measures load, store and service."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "rows.parquet"
    _write_rows(rows, frames)
    try:
        floor_seconds = _measure_sorting(rows, folder, threads)
        summary, peak_bytes = _load_in_process(folder, rows, threads)
        probes = _draw_probes(rows, _PROBES)
    finally:
        rows.unlink()
    single, batch, wrong = _measure_store(folder, probes)
    http = _measure_http(folder, probes[:requests], connections)
    return LookupFigures(
        lines=summary.lines,
        keys=summary.keys,
        load_seconds=summary.seconds,
        floor_seconds=floor_seconds,
        index_bytes=summary.bytes,
        peak_bytes=peak_bytes,
        single_per_second=single,
        batch_per_second=batch,
        requests_per_second=len(http.milliseconds) / http.seconds,
        p50_milliseconds=quantiles(http.milliseconds, n=100)[49],
        p99_milliseconds=quantiles(http.milliseconds, n=100)[98],
        service_own_bytes=http.service_own_bytes,
        wrong=wrong + http.wrong,
    )


def _write_rows(rows: Path, frames: Iterable[pl.DataFrame]) -> None:
    """Writes the rows to disk, so that they can be read twice and making them is not measured."""
    writer = None
    for frame in frames:
        table = frame.to_arrow()
        writer = writer or pq.ParquetWriter(rows, table.schema)
        writer.write_table(table.cast(writer.schema))
    if writer is None:
        msg = "there are no identities to measure with"
        raise PermanentError(msg)
    writer.close()


def _read_frames(rows: Path) -> Iterator[pl.DataFrame]:
    for batch in pq.ParquetFile(rows).iter_batches(_LINES_AT_ONCE):
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - for the type checker
        yield frame


def _load_in_process(folder: Path, rows: Path, threads: int | None) -> tuple[LoadSummary, int]:
    """Loads in a process of its own, so that its memory is that of the load alone."""
    with ProcessPoolExecutor(1, mp_context=_SPAWN) as processes:
        return processes.submit(_load_here, folder, rows, threads).result()


def _load_here(folder: Path, rows: Path, threads: int | None) -> tuple[LoadSummary, int]:
    summary = load_identities(folder, _read_frames(rows), threads=threads)
    # getrusage would give the peak of the process that started this one.
    return summary, read_memory("self", "VmHWM")


def _measure_sorting(rows: Path, folder: Path, threads: int | None) -> float:
    with closing(_open_duckdb(folder, threads)) as connection:
        started = time.perf_counter()
        connection.read_parquet(str(rows)).order(
            "FirstName, LastName, BirthDate, CDSCode, SSID"
        ).create("sorted")
        return time.perf_counter() - started


def _open_duckdb(folder: Path, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"temp_directory": str(folder / "floor")})
    connection.execute("SET enable_progress_bar = false")
    if threads:
        connection.execute("SET threads = ?", [threads])
    return connection


def _draw_probes(rows: Path, number: int) -> list[Probe]:
    """Draws look-ups of students from the whole file."""
    with closing(_open_duckdb(rows.parent)) as connection:
        connection.register("known", connection.read_parquet(str(rows)))
        sample = connection.execute(
            "SELECT FirstName, LastName, BirthDate, CDSCode, SSID FROM known "
            "ORDER BY hash(SSID, CDSCode) LIMIT ?",
            [number],
        ).fetchall()
    return [
        Probe(
            LookupRequest(
                first.strip(),
                last.strip(),
                # Nobody was born in that year, which has a 29 February too.
                f"1060{born.isoformat()[4:]}" if place % _MISS_EVERY == 0 else born.isoformat(),
                cds,
                f"AA{place:05d}",
            ),
            None if place % _MISS_EVERY == 0 else ssid,
        )
        for place, (first, last, born, cds, ssid) in enumerate(sample)
    ]


def _measure_store(folder: Path, probes: Sequence[Probe]) -> tuple[float, float, int]:
    """Measures look-ups a second, one by one and in batches of 1,000; counts the wrong ones."""
    requests = [one.request for one in probes]
    with closing(IdentityStore(folder)) as store:
        store.look_up_many(requests)  # warms up the index, as a running service has done
        started = time.perf_counter()
        singly = [store.look_up(request) for request in requests]
        between = time.perf_counter()
        batched = [
            ssid
            for start in range(0, len(requests), 1000)
            for ssid in store.look_up_many(requests[start : start + 1000])
        ]
        ended = time.perf_counter()
    wrong = sum(
        given is not None and given != one.ssid
        for answers in (singly, batched)
        for given, one in zip(answers, probes, strict=True)
    )
    return len(probes) / (between - started), len(probes) / (ended - between), wrong


@dataclass(frozen=True, slots=True)
class _HttpFigures:
    seconds: float
    milliseconds: list[float]
    wrong: int
    service_own_bytes: int


def _measure_http(folder: Path, probes: Sequence[Probe], connections: int) -> _HttpFigures:
    """Measures one worker of the service with many connections, each with one request at a time."""
    token = _issue_token(folder)
    with _run_service(folder) as (port, process_id):
        calls = [(_build_request(one.request, token), one.ssid) for one in probes]
        asyncio.run(_send_all(port, calls[: connections * 50], connections))  # to warm up
        started = time.perf_counter()
        answers = asyncio.run(_send_all(port, calls, connections))
        seconds = time.perf_counter() - started
        own = read_memory(process_id, "RssAnon")
    return _HttpFigures(
        seconds,
        [milliseconds for milliseconds, _ in answers],
        sum(is_wrong for _, is_wrong in answers),
        own,
    )


def _issue_token(folder: Path) -> str:
    client_id = f"measuring-{time.time_ns()}"
    with closing(ClientRegistry(folder)) as clients:
        # The limit is never reached, but the cost of counting is measured.
        clients.register(client_id, [ClientScope.LOOKUP], hourly_limit=10**9)
        return clients.issue_token(client_id, [ClientScope.LOOKUP], seconds=3600)


@contextmanager
def _run_service(folder: Path) -> Iterator[tuple[int, int]]:
    """Runs one worker in a process of its own; returns its port and process id."""
    port = find_free_port(_HOST)
    process = _SPAWN.Process(
        target=serve, args=(ServiceSettings(folder), _HOST, port), kwargs={"plain_http": True}
    )
    process.start()
    try:
        wait_for_server(_HOST, port)
        assert process.pid is not None  # noqa: S101 - it has been started
        yield port, process.pid
    finally:
        process.terminate()
        process.join(_SECONDS_TO_STOP)


def _build_request(request: LookupRequest, token: str) -> bytes:
    body = json.dumps(
        {
            "CCCID": request.cccid,
            "FirstName": request.first_name,
            "LastName": request.last_name,
            "BirthDate": request.birth_date,
            "CDSCode": request.cds_code,
        }
    ).encode()
    head = (
        f"POST {LOOKUP_PATH} HTTP/1.1\r\nHost: {_HOST}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _send_all(
    port: int, calls: Sequence[tuple[bytes, str | None]], connections: int
) -> list[tuple[float, bool]]:
    waiting = iter(calls)
    askers = [_send_in_turn(port, waiting) for _ in range(connections)]
    return [answer for answers in await asyncio.gather(*askers) for answer in answers]


async def _send_in_turn(
    port: int, waiting: Iterator[tuple[bytes, str | None]]
) -> list[tuple[float, bool]]:
    """Sends one request after the other; returns the milliseconds of each, and whether it is wrong.

    Uses bare streams, because a client library would take more time than the service.
    """
    reader, writer = await asyncio.open_connection(_HOST, port)
    answers = []
    for call, ssid in waiting:
        started = time.perf_counter()
        writer.write(call)
        status, body = await _read_response(reader)
        milliseconds = (time.perf_counter() - started) * 1000
        answers.append((milliseconds, _is_wrong(status, body, ssid)))
    writer.close()
    await writer.wait_closed()
    return answers


async def _read_response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length: ")[2].partition("\r\n")[0]
    return int(head.split(" ", 2)[1]), await reader.readexactly(int(length))


_MATCH, _NO_MATCH = 200, 400


def _is_wrong(status: int, body: bytes, ssid: str | None) -> bool:
    """Tells whether an answer has another student's SSID, or breaks the contract.

    "No student found" is never wrong: two students may match.
    """
    if status == _NO_MATCH:
        return False
    return status != _MATCH or json.loads(body)["SSID"] != ssid
