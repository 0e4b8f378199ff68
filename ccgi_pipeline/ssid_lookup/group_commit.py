"""Many requests, one write: what waits at the same time goes to the disk together.

Belongs here: gathering. Does not belong here: what is written.

A write that survives a power failure waits for the disk, between a quarter of a millisecond and
several. Each request doing so in its turn would make the next ones wait for all before them; like
this, nobody waits for more than the write under way and the one after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class GroupCommit(Generic[T, R]):
    """Calls ``write`` with all that waits, in a thread, one call at a time."""

    def __init__(self, write: Callable[[Sequence[T]], Sequence[R]]) -> None:
        self._write = write
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def put(self, item: T) -> R:
        """Returns when ``item`` has been written, with what ``write`` gives for it."""
        written: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await written

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting, []
                await self._write_together(together)
        finally:
            self._writing = None

    async def _write_together(self, together: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await asyncio.to_thread(self._write, [item for item, _ in together])
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            for _, written in together:
                if not written.done():
                    written.set_exception(error)
            return
        for (_, written), result in zip(together, results, strict=True):
            if not written.done():
                written.set_result(result)
