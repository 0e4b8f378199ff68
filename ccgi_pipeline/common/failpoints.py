"""Milestones: the changes of state that a night is made of, each by its name.

Belongs here: the one way in which code says "from here to there something on disk or on a server
changes". Nobody listens in a night; the tests do, and kill the process on either side of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

Side = Literal["before", "after"]
Listener = Callable[[str, Side], None]


def _nobody(_name: str, _side: Side) -> None:
    return


_listeners: list[Listener] = [_nobody]


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Has ``listener`` hear every milestone of this process meanwhile."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def failpoint(name: str) -> Iterator[None]:
    """Marks the code inside as one change of state."""
    _listeners[-1](name, "before")
    yield
    _listeners[-1](name, "after")
