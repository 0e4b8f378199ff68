"""Which cases of a parametrised test belong to the quick run, and which to the complete one only.

Belongs here: marking cases as slow. Which tests are slow as a whole, their files say by
``@pytest.mark.slow``.
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
