"""Errors as words with meaning: may it go away by itself, or must somebody act.

Belongs here: the two kinds, and the guard that keeps pupils' values out of whatever is raised.
Libraries put values into their messages (a parser quotes the cell that it could not read), and an
orchestrator stores messages for ever: so what is not one of ours is raised again without its words.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from polars.exceptions import PanicException

P = ParamSpec("P")
R = TypeVar("R")


class PipelineError(Exception):
    """An error of ours; its message holds no value of a received file."""


class TransientError(PipelineError):
    """It may go away by itself: skip, and try again."""


class PermanentError(PipelineError):
    """It stays until somebody acts: stop, and be loud."""


class UnexpectedError(PermanentError):
    """Something that nobody foresaw, told by its kind and place alone."""


UNFORESEEN = (Exception, PanicException)
"""What a library may raise at us; polars' panics are no ordinary exceptions."""


def value_free(step: Callable[P, R]) -> Callable[P, R]:
    """Has ``step`` raise errors of ours only; others lose their words (UnexpectedError)."""

    @functools.wraps(step)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return step(*args, **kwargs)
        except PipelineError:
            raise
        except UNFORESEEN as error:
            raise UnexpectedError(kind_and_place(error)) from None

    return guarded


def kind_and_place(error: BaseException) -> str:
    """The error's type and the lines of code that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    return "\n  ".join([type(error).__name__, *places])
