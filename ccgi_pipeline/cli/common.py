"""Parts that all commands share: dates, folders, progress bars, tables, exit status.

Belongs here: how the command line looks and behaves everywhere. Does not belong here: any command.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ccgi_pipeline.common.display import escape_but_layout, escape_unprintable
from ccgi_pipeline.common.environment import DEFAULT_FOLDERS, INBOX, OUTBOX, WAREHOUSE
from ccgi_pipeline.common.progress import observe_progress
from ccgi_pipeline.common.time_zone import CALIFORNIA

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
    from rich.console import Console

EXAMPLE = "\b\nExample:\n  {}"
SUCCESS, FAILURE, NOTHING = 0, 1, 2
"""Exit status: done; something cannot be loaded or went wrong; nothing could be judged."""


class Day(click.ParamType[date]):
    """A date, YYYY-MM-DD."""

    name = "date"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """Returns the date."""
        try:
            day = value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            self.fail("write the date as YYYY-MM-DD", param, ctx)
        if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            self.fail(f"the year must be between {_FIRST_YEAR} and {_LAST_YEAR}", param, ctx)
        return day


_FIRST_YEAR, _LAST_YEAR = 1980, 2100
"""Years of which there may be data."""


class NightDay(Day):
    """The day of something that is written into a warehouse: one that has come."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """Returns the date, if it is not in the future anywhere on earth."""
        day = super().convert(value, param, ctx)
        if day > today() + timedelta(days=1):
            self.fail(
                f"{day} has not come yet: approvals would expire, and records would end, too early",
                param,
                ctx,
            )
        return day


class Sender(click.ParamType[str]):
    """The CD code of a district, or the name of a state-wide sender."""

    name = "sender"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Returns the code if it has the form of one."""
        from ccgi_pipeline.feeds.registry import STATEWIDE_SENDERS

        code = str(value)
        if code not in STATEWIDE_SENDERS and not (len(code) == _CD_DIGITS and code.isdecimal()):
            self.fail(
                f"{code!r} is no CD code: 7 digits, such as 3367173 (state-wide senders: "
                f"{', '.join(STATEWIDE_SENDERS)})",
                param,
                ctx,
            )
        return code


_CD_DIGITS = 7


class Listed(click.ParamType[str]):
    """A name of a list of declarations, which ``read`` imports only when it is needed."""

    def __init__(self, name: str, read: Callable[[], Iterable[str]]) -> None:
        self.name = name
        self._read = read

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Returns the name if it is in the list."""
        names = [*self._read()]
        if value not in names:
            self.fail(
                f"there is no {self.name} {value!r}; there are {', '.join(names)}", param, ctx
            )
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Completes a name of the list."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(name) for name in self._read() if name.startswith(incomplete)]


def _read_families() -> Iterable[str]:
    from ccgi_pipeline.feeds.registry import FAMILIES

    return FAMILIES


FAMILY = Listed("family", _read_families)
"""The name of a family."""


def today() -> date:
    """Returns today's date in California."""
    return datetime.now(tz=CALIFORNIA).date()


FOLDER = click.Path(file_okay=False, path_type=Path)
date_option = click.option(
    "--date", "on", type=Day(), help="The day of the night, YYYY-MM-DD [today]."
)
night_date_option = click.option(
    "--date", "on", type=NightDay(), help="The day of the night, YYYY-MM-DD [today]."
)


# --- folders --------------------------------------------------------------------------------------

_Command = TypeVar("_Command", bound=Callable[..., Any])


class MissingFolderError(click.ClickException):
    """A folder that a command needs does not exist."""

    exit_code = NOTHING


class _FolderOption(click.Option):
    """A folder: that of the option, else of the variable, else the default.

    ``title``: what the folder is, in messages. ``exists``: one that does not exist is refused.
    ``fits``: tells whether an existing folder is one of these.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - click's own
        title: str,
        exists: bool,
        fits: Callable[[Path], bool],
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self._title, self._exists, self._fits = title, exists, fits

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Takes the folder, and says how it was chosen if it does not exist."""
        value, args = super().handle_parse_result(ctx, opts, args)
        name = self.name or ""
        folder = ctx.params.get(name)
        if not folder or ctx.resilient_parsing:
            return value, args
        if self._fits(folder) if folder.is_dir() else not self._exists:
            return value, args
        source = ctx.get_parameter_source(name)
        if source is click.core.ParameterSource.COMMANDLINE:
            chosen = f"{self.opts[0]} names it"
        elif source is click.core.ParameterSource.ENVIRONMENT:
            chosen = f"{self.envvar} names it"
        else:
            chosen = f"the default; {self.opts[0]} or {self.envvar} names another"
        msg = f"there is no {self._title} at {folder} ({chosen})"
        if folder.is_dir() and not self._exists:
            msg = (
                f"{folder} holds other files and is no {self._title} ({chosen}): name a new folder"
            )
        raise MissingFolderError(msg)


def folder_option(  # noqa: PLR0913 - what a folder's option is made of
    name: str,
    variable: str,
    default: Path,
    purpose: str,
    *,
    title: str = "",
    exists: bool = True,
    fits: Callable[[Path], bool] = lambda _: True,
) -> Callable[[_Command], _Command]:
    """An option that names a folder; ``title`` says what the folder is, if its name does not."""
    return click.option(
        f"--{name}",
        cls=_FolderOption,
        type=FOLDER,
        envvar=variable,
        show_envvar=True,
        default=default,
        show_default=True,
        help=purpose,
        title=title or name,
        exists=exists,
        fits=fits,
    )


def inbox_option(*, exists: bool = True) -> Callable[[_Command], _Command]:
    """The option ``--inbox``; ``exists``: the command is refused without the folder."""
    purpose = "The folder with senders' files."
    return folder_option("inbox", INBOX, DEFAULT_FOLDERS[INBOX], purpose, exists=exists)


def outbox_option(*, exists: bool = True) -> Callable[[_Command], _Command]:
    """The option ``--outbox``; ``exists``: the command is refused without the folder."""
    purpose = "The folder for reports and receipts."
    return folder_option("outbox", OUTBOX, DEFAULT_FOLDERS[OUTBOX], purpose, exists=exists)


_MARKS = (
    "catalog.*",
    "*.sqlite",
    "*.json",
    "profiles.toml",
    "archive",
    "tables",
    "staging",
    "dagster",
    "writer.lock",
)
"""Names of files and folders of which a warehouse, or the folder of a look-up, has at least one."""


def has_marks_of_warehouse(folder: Path) -> bool:
    """Returns whether a folder holds something that a warehouse holds; nothing is opened."""
    return any(next(folder.glob(mark), None) is not None for mark in _MARKS)


def may_become_warehouse(folder: Path) -> bool:
    """Returns whether a folder is a warehouse, or empty."""
    visible = [path for path in folder.iterdir() if path.name[0] != "." and path.name != _OF_DISKS]
    return not visible or has_marks_of_warehouse(folder)


_OF_DISKS = "lost+found"
"""A folder that every new disk has."""


def warehouse_option(
    purpose: str = "The folder with what is kept between nights.",
    *,
    exists: bool = True,
    fits: Callable[[Path], bool] = has_marks_of_warehouse,
) -> Callable[[_Command], _Command]:
    """The option ``--warehouse``; ``exists``: the command is refused without the folder.

    By default a folder that is no warehouse is refused before anything is written into it.
    """
    return folder_option(
        "warehouse", WAREHOUSE, DEFAULT_FOLDERS[WAREHOUSE], purpose, exists=exists, fits=fits
    )


@contextmanager
def progress_bars() -> Iterator[None]:
    """Shows one bar a step on standard error, or plain lines if that is not a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.table import Column

    console = Console(stderr=True)
    if not console.is_terminal:
        with observe_progress(_PlainProgress()):
            yield
        return
    bars = Progress(
        # A long title must not push the bar off the terminal.
        TextColumn(
            "{task.description}", markup=False, table_column=Column(width=_NAME, no_wrap=True)
        ),
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
"""Characters of a step's name: half the width of a terminal."""
_BARS = 20
"""The most bars that a terminal shows without scrolling; a benchmark has a hundred steps."""


class _PlainProgress:
    """Prints each step once when it has ended, for logs."""

    def __call__(self, step: str, done: int, total: int) -> None:
        if total and done == total:
            click.echo(f"{step}: {done}", err=True)


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Prints ``text`` as ``click.echo`` does; what a terminal would obey in it is shown instead."""
    click.echo(escape_but_layout(str(text)), err=err, nl=nl)


def fold(text: str) -> str:
    """Returns a text in lines as wide as the terminal; as it is where there is no terminal.

    A line's rest is indented under it. No word is broken.
    """
    if _table_width() is not None:
        return text
    width = shutil.get_terminal_size().columns
    folded: list[str] = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        wrapper = TextWrapper(
            width=width,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        folded += wrapper.wrap(line) or [""]
    return "\n".join(folded)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    """Prints a table in the width of the terminal; no value is cut short.

    Cells wrap between words. Where the words do not fit beside each other, each row is printed as
    a list of its cells. Cells are shown as they are, never obeyed.
    """
    from rich.console import Console

    cells = [
        [escape_unprintable(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row]
        for row in rows
    ]
    console = Console(width=_table_width())
    for padding in (1, 0):
        widths = _fit_columns([columns, *cells], console.width, padding)
        if widths is not None:
            _print_as_table(console, columns, cells, widths, padding)
            return
    _print_as_lists(console, columns, cells)


def _table_width() -> int | None:
    """Returns the width of tables; None: that of the terminal."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return None
    return _WIDE


_WIDE = 140
"""Columns if standard output is not a terminal, and COLUMNS does not say how many there are."""


def _fit_columns(rows: Sequence[Sequence[str]], width: int, padding: int) -> list[int] | None:
    """Returns the columns' widths: the widest become narrower first, down to their longest word.

    None where the longest words do not fit beside each other. ``padding``: blanks on either side
    of a cell, besides the one between two columns.
    """
    from rich.cells import cell_len

    columns = [*zip(*rows, strict=True)]
    full = [max(map(cell_len, column)) for column in columns]
    least = [
        max((_least_width(cell_len(word)) for cell in column for word in cell.split()), default=1)
        for column in columns
    ]
    room = width - (2 * padding + 1) * (len(columns) - 1)
    for most in range(max(full), 0, -1):
        widths = [max(low, min(high, most)) for low, high in zip(least, full, strict=True)]
        if sum(widths) <= room:
            return widths
    return None


def _least_width(word: int) -> int:
    """Returns how wide a column must be for a word of a length; only what is no code is folded."""
    return word if word <= _LONGEST_CODE else _FOLDED


_LONGEST_CODE = 64
"""The characters of a SHA-256. A longer word is the path of a file."""
_FOLDED = 40


def _print_as_table(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    padding: int,
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, padding))
    for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
        numeric = all(row[place].replace(",", "").isdigit() for row in rows)
        table.add_column(
            column, justify="right" if numeric else "left", width=width, overflow="fold"
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console.print("", table, "", sep="\n")


def _print_as_lists(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row("", "")
        for column, cell in zip(columns, row, strict=True):
            table.add_row(Text(column, style="bold"), Text(cell))
    console.print(table, "", sep="\n")
