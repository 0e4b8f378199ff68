"""One timed night in a process of its own: ``python -m ccgi_pipeline.bench.timed_night``.

Belongs here: what of a night is our own work, so that the rest can be called orchestration. It runs
what ``ccgi run`` runs; the functions of the night note when they began and ended. Does not belong
here: what the figures mean (nights).
"""

from __future__ import annotations

import functools
import inspect
import json
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType

from ccgi_pipeline.common.progress import observe_progress
from ccgi_pipeline.nightly import (
    deliver,
    evaluate,
    load,
    receive,
    report,
    respond,
    summary,
    verify,
)
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.night_run import run_night
from ccgi_pipeline.warehouse.queries import health as health_queries

WORK = (receive, verify, load, evaluate, report, respond, deliver, summary, health_queries)
"""Whose public functions are work: the steps of the night, and what its checks ask."""
TOLD = "progress"
"""How a line of standard output begins that tells of progress: step, done and total, by tabs."""
_BETWEEN_TELLINGS = 0.2


def main() -> None:
    """Arguments: inbox, outbox, warehouse, date, and where the times are to be written."""
    inbox, outbox, warehouse, on, times = sys.argv[1:]
    noted: list[tuple[str, float, float]] = []
    _put_stopwatch(noted)
    with observe_progress(_Telling()):
        run_night(PipelinePaths(Path(inbox), Path(outbox), Path(warehouse)), date.fromisoformat(on))
    Path(times).write_text(json.dumps(noted))


def _put_stopwatch(noted: list[tuple[str, float, float]]) -> None:
    """Has every function of WORK note its name, begin and end; one within another notes nothing."""
    watch = _Stopwatch(noted)
    watched: dict[Callable[..., object], Callable[..., object]] = {
        function: watch.over(function)
        for module in WORK
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not function.__name__.startswith("_")
        and not inspect.isgeneratorfunction(inspect.unwrap(function))
    }
    ours = [module for name, module in sys.modules.items() if name.startswith("ccgi_pipeline")]
    for module in ours:
        _replace(module, watched)


def _replace(
    module: ModuleType, watched: dict[Callable[..., object], Callable[..., object]]
) -> None:
    for name, value in [*vars(module).items()]:
        if inspect.isfunction(value) and value in watched:
            setattr(module, name, watched[value])


class _Stopwatch:
    def __init__(self, noted: list[tuple[str, float, float]]) -> None:
        self._noted = noted
        self._running = False

    def over(self, function: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(function)
        def timed(*args: object, **kwargs: object) -> object:
            if self._running:
                return function(*args, **kwargs)
            self._running = True
            began = time.time()
            try:
                return function(*args, **kwargs)
            finally:
                self._running = False
                self._noted.append((function.__name__, began, time.time()))

        return timed


class _Telling:
    """Prints how far the night has come, now and then."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done in {0, total} or now - self._last > _BETWEEN_TELLINGS:
            self._last = now
            print(TOLD, step, done, total, sep="\t", flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
