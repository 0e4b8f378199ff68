"""What all commands share: dates, folders, progress bars, tables, exit status.

Belongs here: how the command line looks and behaves everywhere. Does not belong here: any command.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from ccgi_pipeline.common.progress import observe_progress
from ccgi_pipeline.common.time_zone import CALIFORNIA

EXAMPLE = "\b\nExample:\n  {}"
SUCCESS, FAILURE, NOTHING = 0, 1, 2
"""Exit status: done; something cannot be loaded or went wrong; nothing could be judged."""


class Day(click.ParamType[date]):
    """A date, YYYY-MM-DD."""

    name = "date"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """The date that ``value`` spells."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            self.fail("write the date as YYYY-MM-DD", param, ctx)


def today() -> date:
    """The day in California."""
    return datetime.now(tz=CALIFORNIA).date()


FOLDER = click.Path(file_okay=False, path_type=Path)
date_option = click.option("--date", "on", type=Day(), help="The day of the night [today].")


@contextmanager
def progress_bars() -> Iterator[None]:
    """One bar a step on standard error; plain lines of text where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        with observe_progress(_PlainProgress()):
            yield
        return
    bars = Progress(
        # A long title must not push the bar off the terminal.
        TextColumn("{task.description}", table_column=Column(width=_NAME, no_wrap=True)),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    tasks = {}
    with bars:

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total or None)
                for old in [*tasks.values()][:-_BARS]:
                    bars.update(old, visible=False)
            bars.update(tasks[step], completed=done, total=max(total, done))

        with observe_progress(show):
            yield


_NAME = 44
"""Characters of a step's name that are shown: half of a terminal."""
_BARS = 20
"""As many as a terminal shows without scrolling; a benchmark has a hundred steps."""


class _PlainProgress:
    """Says each step once when it has ended, for logs."""

    def __call__(self, step: str, done: int, total: int) -> None:
        if total and done == total:
            click.echo(f"{step}: {done}", err=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    """A table for people; the last column may wrap, ids and counts never do."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    numeric = [
        all(row[place].replace(",", "").isdigit() for row in cells) for place in range(len(columns))
    ]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, right in zip(columns, numeric, strict=True):
        table.add_column(
            column,
            justify="right" if right else "left",
            no_wrap=column != columns[-1] or right,
        )
    for row in cells:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


_WIDE = 140
"""Columns of a log, where nobody tells the width of a terminal."""
