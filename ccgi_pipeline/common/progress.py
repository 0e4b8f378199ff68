"""Progress of long work, told to whoever listens; nobody does unless the command line asks.

Belongs here: the one way in which a step says how far it has come. Nothing personal passes here:
names of steps and counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
"""Hears the step's name, what is done and what there is in all."""


def _nobody(_step: str, _done: int, _total: int) -> None:
    return


_listener: ContextVar[Listener] = ContextVar("progress_listener", default=_nobody)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Has ``listener`` hear the progress of everything inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def relay(step: str, done: int, total: int) -> None:
    """Tells of a step that another process does."""
    _listener.get()(step, done, total)


class Step:
    """Counts the parts of one step as they are done."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._done = name, total, 0
        self._tell = _listener.get()
        self._tell(name, 0, total)

    def advance(self, *_: object) -> None:
        """One more part is done."""
        self._done += 1
        self._tell(self._name, self._done, self._total)
