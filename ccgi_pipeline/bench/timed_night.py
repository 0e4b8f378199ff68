"""One timed night in a process of its own: ``python -m ccgi_pipeline.bench.timed_night``.

Belongs here: which functions are the pipeline's own work, so that the rest of a night counts as
orchestration. It runs what ``ccgi run`` runs, and records when each of these functions began and
ended. Does not belong here: what the figures mean (``night``).
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

from ccgi_pipeline.common.garbage_collection import collect_rarely
from ccgi_pipeline.common.progress import observe_progress
from ccgi_pipeline.dashboards import publication
from ccgi_pipeline.nightly import (
    batches,
    deliver,
    evaluate,
    load,
    made_files,
    receive,
    report,
    respond,
    summary,
    verify,
)
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.runtime.night_run import run_night
from ccgi_pipeline.warehouse.queries import health as health_queries

WORK = (
    *(receive, batches, verify, load, evaluate, report, made_files, respond, deliver, summary),
    publication,
    health_queries,
)
"""The modules whose public functions are work: the steps of a night and the queries of its checks.

The exchange of SSIDs is not among them: its time is mostly the other service's.
"""
PROGRESS_PREFIX = "progress"
"""The begin of a line of output that reports progress; step, done and total follow after tabs."""
_SECONDS_BETWEEN_LINES = 0.2


def main() -> None:
    """Runs the night. Arguments: inbox, outbox, warehouse, date, and the file for the times."""
    collect_rarely()
    inbox, outbox, warehouse, on, times = sys.argv[1:]
    times_of_calls: list[tuple[str, float, float]] = []
    _install_stopwatch(times_of_calls)
    with observe_progress(_ProgressPrinter()):
        run_night(PipelinePaths(Path(inbox), Path(outbox), Path(warehouse)), date.fromisoformat(on))
    Path(times).write_text(json.dumps(times_of_calls))


def _install_stopwatch(times_of_calls: list[tuple[str, float, float]]) -> None:
    """Wraps every public function of WORK, so that a call records its name, begin and end.

    A call within another recorded call is not recorded, so nothing is counted twice.
    """
    watch = _Stopwatch(times_of_calls)
    timed_functions: dict[Callable[..., object], Callable[..., object]] = {
        function: watch.over(function)
        for module in WORK
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not function.__name__.startswith("_")
        and not inspect.isgeneratorfunction(inspect.unwrap(function))
    }
    modules = [module for name, module in sys.modules.items() if name.startswith("ccgi_pipeline")]
    for module in modules:
        _replace(module, timed_functions)


def _replace(
    module: ModuleType, timed_functions: dict[Callable[..., object], Callable[..., object]]
) -> None:
    for name, value in [*vars(module).items()]:
        if inspect.isfunction(value) and value in timed_functions:
            setattr(module, name, timed_functions[value])


class _Stopwatch:
    def __init__(self, times_of_calls: list[tuple[str, float, float]]) -> None:
        self._noted = times_of_calls
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


class _ProgressPrinter:
    """Prints the progress of the night, not more often than a person can read."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done in {0, total} or now - self._last > _SECONDS_BETWEEN_LINES:
            self._last = now
            print(PROGRESS_PREFIX, step, done, total, sep="\t", flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
