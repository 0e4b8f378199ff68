"""Conflicts between writers: a transaction that loses against another commit is repeated.

Belongs here: telling such a conflict from other errors, and trying again. Does not belong here: the
transaction itself (schema).

DuckLake compares the changes of two transactions table by table, and only when they commit. So
workers that load different districts conflict although no row is the same.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import duckdb

from ccgi_pipeline.common.errors import TransientError

T = TypeVar("T")
_LOG = logging.getLogger(__name__)

TRIES = 40
"""Each failed try means that another writer committed; so many in a row are not by chance."""
_FIRST, _LONGEST = 0.1, 5.0
"""The longest wait in seconds after the first conflict, and after many."""
_CONFLICT = (
    *("Transaction conflict", "ducklake_max_retry_count", "could not serialize access"),
    *("deadlock detected", "write-write conflict", "Conflict on tuple"),
)


class ConflictError(TransientError):
    """Other writers committed first each time: nothing was written. Try again when fewer write."""


def retry_conflicts(work: Callable[[], T]) -> tuple[T, int]:
    """Returns what ``work`` returns, and how many conflicts there were before.

    ``work`` consists of whole transactions. Raises ConflictError after ``TRIES``.
    """
    for conflicts in range(TRIES):
        try:
            return work(), conflicts
        except duckdb.Error as error:
            if not is_conflict(error):
                raise
            _LOG.info("conflict %d with another writer: the load is repeated", conflicts + 1)
        # A random wait, so that the same two writers do not meet again.
        longest = min(_LONGEST, _FIRST * 2**conflicts)
        time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret hangs on it
    msg = f"other writers were faster {TRIES} times: nothing was written. Run again"
    raise ConflictError(msg)


def is_conflict(error: BaseException) -> bool:
    """Returns whether DuckDB refused a commit because of another writer's commit."""
    return any(
        isinstance(cause, duckdb.Error) and any(words in str(cause) for words in _CONFLICT)
        for cause in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yields the error and its causes; an error of the rollback comes before its reason."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
