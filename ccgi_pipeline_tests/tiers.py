"""Which tests belong to the quick run, which to the complete one only, and which begin first.

Belongs here: marking cases of a parametrised test as slow, and the order of the files. Which tests
are slow as a whole, their files say by ``@pytest.mark.slow``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet


def slow_but(quick: object, cases: Iterable[object]) -> list[object | ParameterSet]:
    """Returns all ``cases``, each of them marked as slow unless it is ``quick``.

    The case that stays quick shows that the behaviour is there; the others vary it.
    """
    return [case if case == quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]


LONGEST = (
    "defs/test_several_warehouses.py",
    "delivery/test_killed_at_failpoints.py",
    "privacy/test_canaries.py",
    "nightly/test_killed.py",
    "operations/test_rebuild.py",
    "privacy/test_purge.py",
    "docs/test_commands.py",
    "delivery/test_full_round.py",
)
"""Files that begin first, so that at the end no process waits for another."""


def rank_file(path: str) -> int:
    """Returns when the tests of a file begin, from 0; all but the longest files begin together."""
    return next((rank for rank, file in enumerate(LONGEST) if path.endswith(file)), len(LONGEST))
