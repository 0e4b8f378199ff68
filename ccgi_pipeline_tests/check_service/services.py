"""The service that checks files: in a process of its own, or in that of the tests.

Belongs here: starting and stopping it, and asking it. Run as a program, it is the service::

    python services.py FOLDER PORT SETTINGS LIMITS

The last two are JSON objects with fields of CheckSettings and ConnectionLimits.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from ccgi_pipeline.check_service.counts import Counts
from ccgi_pipeline.check_service.jobs import Job, Judgement
from ccgi_pipeline.check_service.server import LIMITS, serve
from ccgi_pipeline.check_service.service import create_app
from ccgi_pipeline.check_service.settings import CheckSettings
from ccgi_pipeline.check_service.worker import judge

_PROJECT = Path(__file__).parents[2]
_HOST = "127.0.0.1"
_PATIENCE = 60.0
ON = "2026-11-20"
"""The day as of which the tests' good files are good."""
Files = Mapping[str, bytes]


@dataclass
class Service:
    """A running service; uploads lie below ``folder`` while they are judged."""

    folder: Path
    port: int
    output: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def check(self, files: Files, **fields: str) -> httpx.Response:
        """The answer to an upload."""
        sent = [("files", (name, content)) for name, content in files.items()]
        data = {"date": ON, **fields}
        return httpx.post(f"{self.url}/check", files=sent, data=data, timeout=_PATIENCE)

    def is_healthy(self) -> bool:
        """Whether a newcomer is answered."""
        return httpx.get(f"{self.url}/health", timeout=10).status_code == httpx.codes.OK

    def refused(self) -> dict[str, int]:
        """How often it has refused, by reason."""
        counts: dict[str, int] = httpx.get(f"{self.url}/health").json()["refused"]
        return counts

    def uploads(self) -> list[Path]:
        """All files and folders of uploads that are there now."""
        return [
            path
            for path in self.folder.rglob("*")
            if len(path.relative_to(self.folder).parts) > _OF_THE_SERVICE
        ]

    def workers(self) -> list[int]:
        """The processes that it has started and that have not ended."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split() if not is_over(int(pid))]


_OF_THE_SERVICE = 2
"""The folder of all services of an account, and in it that of this one."""


def is_over(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until(holds: object, seconds: float = 20) -> None:
    """Waits until a function returns something true; fails if it does not."""
    assert callable(holds)
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it takes too long"
        time.sleep(0.02)


@contextmanager
def running(
    folder: Path, limits: Mapping[str, float] | None = None, **settings: float
) -> Iterator[Service]:
    """The service, until the end of the block."""
    with started(folder, limits, **settings) as service:
        try:
            yield service
        finally:
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(15)


@contextmanager
def started(
    folder: Path, limits: Mapping[str, float] | None = None, **settings: float
) -> Iterator[Service]:
    """The service, which the block may stop as it likes."""
    with socket.socket() as free:
        free.bind((_HOST, 0))
        port: int = free.getsockname()[1]
    uploads, output = folder / "uploads", folder / "output.txt"
    uploads.mkdir(exist_ok=True)
    arguments = [uploads, port, json.dumps(settings), json.dumps(limits or {})]
    with output.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, *map(str, arguments)],
            stdout=written,
            stderr=written,
            cwd=_PROJECT,
        )
    service = Service(uploads, port, output, process)
    try:
        wait_until(lambda: process.poll() is not None or b"serving" in output.read_bytes(), 60)
        assert process.poll() is None, output.read_text()
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(15)


class InThisProcess:
    """Judges uploads without a process for each: the same, and quicker."""

    async def prepare(self) -> None:
        """Nothing has to be started."""

    async def judge(self, job: Job, seconds: float) -> Judgement:
        del seconds
        here = Path.cwd()
        try:
            return judge(job)
        finally:
            os.chdir(here)

    def end_all(self) -> None:
        """Nothing is under way."""


@contextmanager
def served_here(folder: Path, **settings: object) -> Iterator[LocalService]:
    """The service in this process; uploads lie in ``folder``."""
    told: list[str] = []
    counts = Counts(told.append)
    app = create_app(replace(CheckSettings(folder), **settings), InThisProcess(), counts)
    yield LocalService(app, counts)


@dataclass
class LocalService:
    """The service as an app that is called."""

    app: object
    counts: Counts

    def send(self, method: str, path: str, **request: object) -> httpx.Response:
        """The answer to a request."""
        import asyncio  # noqa: PLC0415

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
            async with (
                self.app.router.lifespan_context(self.app),  # type: ignore[attr-defined]
                httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client,
            ):
                return await client.request(method, path, **request)  # type: ignore[arg-type]

        return asyncio.run(ask())

    def check(self, files: Files, **fields: str) -> httpx.Response:
        """The answer to an upload."""
        sent = [("files", (name, content)) for name, content in files.items()]
        return self.send("POST", "/check", files=sent, data={"date": ON, **fields})


def main() -> None:
    """Serves until it is told to stop."""
    folder, port, settings, limits = sys.argv[1:]
    serve(
        replace(CheckSettings(Path(folder)), **json.loads(settings)),
        _HOST,
        int(port),
        lambda line: print(line, flush=True),  # noqa: T201
        replace(LIMITS, **json.loads(limits)),
    )


if __name__ == "__main__":
    main()
