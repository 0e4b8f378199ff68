"""Prefetching: threads work on the next parts of a step while the caller uses the last one.

Belongs here: the only way in which a step runs parts of itself in threads. It pays where the work
is done outside of Python: by polars, DuckDB, a digest or the disk. Does not belong here: what the
parts are and how large they may be.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch(work: Callable[[T], R], items: Iterable[T], at_once: int = 1) -> Iterator[R]:
    """Yields the result of ``work`` for each item, in their order; ``work`` runs in other threads.

    ``items`` are read in the caller's thread, at most ``at_once + 1`` ahead of the caller, so no
    more results than that are in memory. An error of ``work`` is raised where its result would
    have come; the items that were not begun by then are dropped.
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
