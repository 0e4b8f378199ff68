"""Conflicts between writers: what loses against another commit is done again as a whole.

Belongs here: telling such a conflict from other errors, and trying again. DuckLake compares what
two transactions changed table by table, and only when they commit: so workers that load different
districts conflict, though no row is the same.
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
"""Each failed try means that another worker got on; that many in a row, that something is wrong."""
_FIRST, _LONGEST = 0.1, 5.0
"""Seconds to wait at most after the first conflict, and after many."""
_CONFLICT = (
    *("Transaction conflict", "ducklake_max_retry_count", "could not serialize access"),
    *("deadlock detected", "write-write conflict", "Conflict on tuple"),
)


class ConflictError(TransientError):
    """Other writers were always faster: nothing was written; try again when fewer write."""


def retry_conflicts(work: Callable[[], T]) -> tuple[T, int]:
    """What ``work`` returns, and how often it lost before; it is one transaction, or several.

    Raises ConflictError after ``TRIES``.
    """
    for conflicts in range(TRIES):
        try:
            return work(), conflicts
        except duckdb.Error as error:
            if not is_conflict(error):
                raise
            _LOG.info("a load lost against another writer's (%d): it is done again", conflicts + 1)
        # By chance, so that two who met do not meet again.
        longest = min(_LONGEST, _FIRST * 2**conflicts)
        time.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - no secret hangs on it
    msg = f"other writers were faster {TRIES} times: nothing was written. Run again"
    raise ConflictError(msg)


def is_conflict(error: BaseException) -> bool:
    """Whether DuckDB says that another writer's commit stands against this one."""
    return any(
        isinstance(cause, duckdb.Error) and any(words in str(cause) for words in _CONFLICT)
        for cause in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """What was raised while a failed transaction was tidied up stands before its reason."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
