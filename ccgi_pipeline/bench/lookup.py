"""How fast the look-up is: ``ccgi bench lookup``.

Belongs here: timing loads, look-ups and requests against the engine's own floor, and counting wrong
answers on the way. Does not belong here: making the identities, printing figures.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
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

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.ssid_lookup.client_registry import Clients, Scope
from ccgi_pipeline.ssid_lookup.contract import LookupRequest
from ccgi_pipeline.ssid_lookup.server import serve
from ccgi_pipeline.ssid_lookup.service import LOOKUP_PATH, Settings
from ccgi_pipeline.ssid_lookup.store import IdentityStore, LoadSummary, load_identities

_HOST = "127.0.0.1"
_LINES_AT_ONCE = 500_000
_MISS_EVERY = 10
"""Every tenth look-up is of somebody with another birth date: hits alone would flatter."""

_SPAWN = multiprocessing.get_context("spawn")

_PROBES = 100_000
_START_SECONDS = 60
_SECONDS_TO_STOP = 15


@dataclass(frozen=True, slots=True)
class Asked:
    """A look-up of a measurement, and the SSID that it may be answered with."""

    request: LookupRequest
    ssid: str | None


@dataclass(frozen=True, slots=True)
class LookupFigures:
    """What was measured; ``floor_seconds`` is sorting the same rows in DuckDB, nothing else.

    ``wrong``: answers with an SSID of somebody else. ``service_own_bytes``: memory of the worker
    itself; the pages of the index that it has in sight belong to the system's cache.
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
        """How many times as long as the floor a load takes."""
        return self.load_seconds / self.floor_seconds


def measure_lookup(
    folder: Path,
    frames: Iterable[pl.DataFrame],
    *,
    requests: int = 20_000,
    connections: int = 16,
    threads: int | None = None,
) -> LookupFigures:
    """Loads the identities into a new store in ``folder`` and measures it from all sides."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "rows.parquet"
    _write(rows, frames)
    try:
        floor_seconds = _seconds_to_sort(rows, folder, threads)
        summary, peak_bytes = _load(folder, rows, threads)
        asked = _asked(rows, _PROBES)
    finally:
        rows.unlink()
    single, batch, wrong = _ask_the_store(folder, asked)
    http = _ask_over_http(folder, asked[:requests], connections)
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


def _write(rows: Path, frames: Iterable[pl.DataFrame]) -> None:
    """Once on disk, the same rows can be read twice, and making them is not measured."""
    writer = None
    for frame in frames:
        table = frame.to_arrow()
        writer = writer or pq.ParquetWriter(rows, table.schema)
        writer.write_table(table.cast(writer.schema))
    if writer is None:
        msg = "there are no identities to measure with"
        raise PermanentError(msg)
    writer.close()


def _read(rows: Path) -> Iterator[pl.DataFrame]:
    for batch in pq.ParquetFile(rows).iter_batches(_LINES_AT_ONCE):
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - for the type checker
        yield frame


def _load(folder: Path, rows: Path, threads: int | None) -> tuple[LoadSummary, int]:
    """Loads in a process of its own, whose memory is the load's alone."""
    with ProcessPoolExecutor(1, mp_context=_SPAWN) as processes:
        return processes.submit(_load_here, folder, rows, threads).result()


def _load_here(folder: Path, rows: Path, threads: int | None) -> tuple[LoadSummary, int]:
    summary = load_identities(folder, _read(rows), threads=threads)
    # Not getrusage: its peak is inherited from the process that started this one.
    return summary, _memory("self", "VmHWM")


def _seconds_to_sort(rows: Path, folder: Path, threads: int | None) -> float:
    with closing(_duckdb(folder, threads)) as connection:
        started = time.perf_counter()
        connection.read_parquet(str(rows)).order(
            "FirstName, LastName, BirthDate, CDSCode, SSID"
        ).create("sorted")
        return time.perf_counter() - started


def _duckdb(folder: Path, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"temp_directory": str(folder / "floor")})
    connection.execute("SET enable_progress_bar = false")
    if threads:
        connection.execute("SET threads = ?", [threads])
    return connection


def _asked(rows: Path, number: int) -> list[Asked]:
    """Look-ups of students drawn from everywhere in the file."""
    with closing(_duckdb(rows.parent)) as connection:
        connection.register("known", connection.read_parquet(str(rows)))
        sample = connection.execute(
            "SELECT FirstName, LastName, BirthDate, CDSCode, SSID FROM known "
            "ORDER BY hash(SSID, CDSCode) LIMIT ?",
            [number],
        ).fetchall()
    return [
        Asked(
            LookupRequest(
                first.strip(),
                last.strip(),
                # Nobody is born in that year; it has a 29 February, too.
                f"1060{born.isoformat()[4:]}" if place % _MISS_EVERY == 0 else born.isoformat(),
                cds,
                f"AA{place:05d}",
            ),
            None if place % _MISS_EVERY == 0 else ssid,
        )
        for place, (first, last, born, cds, ssid) in enumerate(sample)
    ]


def _ask_the_store(folder: Path, asked: Sequence[Asked]) -> tuple[float, float, int]:
    """Look-ups a second one by one and in batches of 1,000, and how many were wrong."""
    requests = [one.request for one in asked]
    with closing(IdentityStore(folder)) as store:
        store.look_up_many(requests)  # once unmeasured: the service, too, has been up for a while
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
        for given, one in zip(answers, asked, strict=True)
    )
    return len(asked) / (between - started), len(asked) / (ended - between), wrong


@dataclass(frozen=True, slots=True)
class _OverHttp:
    seconds: float
    milliseconds: list[float]
    wrong: int
    service_own_bytes: int


def _ask_over_http(folder: Path, asked: Sequence[Asked], connections: int) -> _OverHttp:
    """Asks one worker of the service from many connections, each with one request at a time."""
    token = _token(folder)
    with _service(folder) as (port, process_id):
        calls = [(_call(one.request, token), one.ssid) for one in asked]
        asyncio.run(_ask_all(port, calls[: connections * 50], connections))  # to warm up
        started = time.perf_counter()
        answers = asyncio.run(_ask_all(port, calls, connections))
        seconds = time.perf_counter() - started
        own = _memory(process_id, "RssAnon")
    return _OverHttp(
        seconds,
        [milliseconds for milliseconds, _ in answers],
        sum(is_wrong for _, is_wrong in answers),
        own,
    )


def _token(folder: Path) -> str:
    client_id = f"measuring-{time.time_ns()}"
    with closing(Clients(folder)) as clients:
        # A limit that is never reached; what keeping count costs is measured all the same.
        clients.register(client_id, [Scope.LOOKUP], hourly_limit=10**9)
        return clients.issue_token(client_id, [Scope.LOOKUP], seconds=3600)


@contextmanager
def _service(folder: Path) -> Iterator[tuple[int, int]]:
    """One worker in a process of its own: its port and its process."""
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port = free.getsockname()[1]
    process = _SPAWN.Process(
        target=serve, args=(Settings(folder), _HOST, port), kwargs={"plain_http": True}
    )
    process.start()
    try:
        _wait_for(port)
        assert process.pid is not None  # noqa: S101 - it has been started
        yield port, process.pid
    finally:
        process.terminate()
        process.join(_SECONDS_TO_STOP)


def _wait_for(port: int) -> None:
    ends = time.monotonic() + _START_SECONDS
    while time.monotonic() < ends:
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    msg = "the service did not start"
    raise PermanentError(msg)


def _call(request: LookupRequest, token: str) -> bytes:
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


async def _ask_all(
    port: int, calls: Sequence[tuple[bytes, str | None]], connections: int
) -> list[tuple[float, bool]]:
    waiting = iter(calls)
    askers = [_ask_in_turn(port, waiting) for _ in range(connections)]
    return [answer for answers in await asyncio.gather(*askers) for answer in answers]


async def _ask_in_turn(
    port: int, waiting: Iterator[tuple[bytes, str | None]]
) -> list[tuple[float, bool]]:
    """Sends what is next as soon as the last answer is in: milliseconds, and whether it is wrong.

    Written on bare streams: a client library would cost more than the service it measures.
    """
    reader, writer = await asyncio.open_connection(_HOST, port)
    answers = []
    for call, ssid in waiting:
        started = time.perf_counter()
        writer.write(call)
        status, body = await _answer(reader)
        milliseconds = (time.perf_counter() - started) * 1000
        answers.append((milliseconds, _is_wrong(status, body, ssid)))
    writer.close()
    await writer.wait_closed()
    return answers


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length: ")[2].partition("\r\n")[0]
    return int(head.split(" ", 2)[1]), await reader.readexactly(int(length))


_MATCH, _NO_MATCH = 200, 400


def _is_wrong(status: int, body: bytes, ssid: str | None) -> bool:
    """An SSID of somebody else, or no answer of the contract. "No student" may be two of them."""
    if status == _NO_MATCH:
        return False
    return status != _MATCH or json.loads(body)["SSID"] != ssid


def _memory(process: int | str, kind: str) -> int:
    """Bytes: VmHWM is a process's peak; RssAnon what it has without the files it has mapped."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    told = next(line for line in lines if line.startswith(f"{kind}:"))
    return int(told.split()[1]) * 1024
