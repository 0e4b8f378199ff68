"""Worker processes: one for each upload, ended when its time is over or nobody waits for it.

Belongs here: starting, asking and ending them. Does not belong here: what they do (``worker``).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress

from ccgi_pipeline.check_service import refusals
from ccgi_pipeline.check_service.jobs import NO_MEMORY, Job, Judgement
from ccgi_pipeline.check_service.refusals import RefusedError
from ccgi_pipeline.http_service.refusals import Refusal

_WORKER = "ccgi_pipeline.check_service.worker"
_LONGEST_RESULT = 64 << 20
"""Bytes of a page or of the JSON."""
_PIECE = 1 << 16
_PASSED_ON = (
    *("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TZ"),
    *("CCGI_THREADS", "POLARS_MAX_THREADS"),
)
"""Variables that a worker gets: none of them is a secret."""


class WorkerPool:
    """The workers of a service, and one that is ready for the next upload."""

    def __init__(self) -> None:
        self._spare: Process | None = None
        self._running: set[Process] = set()

    async def prepare(self) -> None:
        """Starts the worker of the next upload, if there is none: importing takes it seconds."""
        if self._spare is None or self._spare.returncode is not None:
            self._spare = await self._start()

    async def judge(self, job: Job, seconds: float) -> Judgement:
        """Has a job judged in a process of its own. Raises RefusedError."""
        ready, self._spare = self._spare, None
        process = ready if ready and ready.returncode is None else await self._start()
        try:
            async with asyncio.timeout(seconds):
                return await _ask(process, job)
        except TimeoutError:
            raise RefusedError(refusals.OUT_OF_TIME) from None
        finally:
            self._end(process)

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            # -P: no module is looked for in the folder where it works.
            *(sys.executable, "-P", "-m", _WORKER),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            env=_choose_variables(),
            start_new_session=True,  # Ctrl-C is for the service, which ends its workers
        )
        self._running.add(process)
        return process

    def _end(self, process: Process) -> None:
        self._running.discard(process)
        with suppress(ProcessLookupError):
            process.kill()

    def end_all(self) -> None:
        """Ends all workers."""
        for process in [*self._running]:
            self._end(process)


def _choose_variables() -> dict[str, str]:
    """Returns the variables of a worker."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # Each arena reserves memory that is never used, and the worker's limit counts it.
    return {**passed_on, "MALLOC_ARENA_MAX": "2"}


async def _ask(process: Process, job: Job) -> Judgement:
    if process.stdin is None or process.stdout is None:
        raise RefusedError(refusals.FAULT)
    with suppress(ConnectionError):  # it has ended: its status says why
        process.stdin.write(job.encode())
        await process.stdin.drain()
    result = bytearray()
    while piece := await process.stdout.read(_PIECE):
        result += piece
        if len(result) > _LONGEST_RESULT:
            raise RefusedError(refusals.LONG_RESULT)
    status = await process.wait()
    if status != 0:
        raise RefusedError(_REASONS.get(status, refusals.FAULT))
    head, _, content = bytes(result).partition(b"\n")
    return Judgement(json.loads(head)["verdict"], content)


_REASONS: dict[int, Refusal] = {
    NO_MEMORY: refusals.OUT_OF_MEMORY,
    # polars, and the system, end a process that gets no memory.
    -signal.SIGABRT: refusals.OUT_OF_MEMORY,
    -signal.SIGKILL: refusals.OUT_OF_MEMORY,
    -signal.SIGXCPU: refusals.OUT_OF_TIME,
}
"""By the exit status of a worker."""
