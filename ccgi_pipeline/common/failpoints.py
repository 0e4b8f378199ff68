"""Failpoints: the named places where a night changes something on disk or on a server.

Belongs here: marking such a place, and observing it. A night has no observer. The tests have one,
and kill the process before and after each failpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

Side = Literal["before", "after"]
Observer = Callable[[str, Side], None]


def _ignore(_name: str, _side: Side) -> None:
    return


_observers: list[Observer] = [_ignore]


@contextmanager
def observe_failpoints(observer: Observer) -> Iterator[None]:
    """Calls ``observer`` at every failpoint that this process passes inside the block."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


@contextmanager
def failpoint(name: str) -> Iterator[None]:
    """Marks the block as one change of state."""
    _observers[-1](name, "before")
    yield
    _observers[-1](name, "after")
