"""Progress of long work, reported to an observer if there is one: the command line sets it.

Belongs here: the only way in which a step reports how far it has come. Only names of steps and
counts pass here, nothing personal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Observer = Callable[[str, int, int], None]
"""Receives the step's name, the number of parts done, and the number of parts in all."""


def _ignore(_step: str, _done: int, _total: int) -> None:
    return


_observer: ContextVar[Observer] = ContextVar("progress_observer", default=_ignore)


@contextmanager
def observe_progress(observer: Observer) -> Iterator[None]:
    """Calls ``observer`` with the progress of everything inside the block."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def report_progress(step: str, done: int, total: int) -> None:
    """Reports the progress of a step that another process works on."""
    _observer.get()(step, done, total)


class ProgressCounter:
    """Counts the parts of one step as they are done, and reports each."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._done = name, total, 0
        self._report = _observer.get()
        self._report(name, 0, total)

    def advance(self, *_: object) -> None:
        """Counts one more part as done."""
        self._done += 1
        self._report(self._name, self._done, self._total)
