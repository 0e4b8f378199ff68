"""Overlapping: work on one part while the next is fetched, so that no core waits for the other.

Belongs here: the one way in which a step does parts of itself in threads. It pays where the work
is done outside of Python: by polars, DuckDB, a digest, the disk. Does not belong here: what the
parts are, how large they may be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetched(work: Callable[[T], R], items: Iterable[T], at_once: int = 1) -> Iterator[R]:
    """The results of ``work`` for each of ``items``, in their order, made in other threads.

    ``items`` are taken in this thread, at most ``at_once`` and one more ahead of what is asked for:
    so many are held in memory. An error of ``work`` is raised where its result would have come;
    what was not begun by then is left.
    """
    with ThreadPoolExecutor(at_once) as pool:
        under_way: deque[Future[R]] = deque()
        try:
            for item in items:
                under_way.append(pool.submit(work, item))
                if len(under_way) > at_once:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
