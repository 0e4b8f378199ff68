"""The command ``run``: one night.

Belongs here: its arguments, and the summary that is printed after a night.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    inbox_option,
    may_become_warehouse,
    night_date_option,
    outbox_option,
    print_table,
    progress_bars,
    today,
    warehouse_option,
)

if TYPE_CHECKING:
    from ccgi_pipeline.nightly.summary import NightSummary


@click.command(epilog=EXAMPLE.format("ccgi run --inbox in --outbox out --warehouse warehouse"))
@inbox_option()
@outbox_option(exists=False)
@warehouse_option(exists=False, fits=may_become_warehouse)
@night_date_option
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning"]),
    help="End with status 1 if a check of this weight, or a heavier one, does not pass.",
)
@click.option(
    "--checks-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append what the checks say to this file, as Markdown.",
)
def run(
    inbox: Path,
    outbox: Path,
    warehouse: Path,
    on: date | None,
    fail_on: str | None,
    checks_file: Path | None,
) -> None:
    """Runs one night over the inbox.

    The night receives, verifies, loads, reports and responds. In CI, --fail-on makes its checks
    count: the night is done all the same.
    """
    on = on or today()
    if not (fail_on or checks_file):
        run_night(inbox, outbox, warehouse, on)
        return
    from ccgi_pipeline.defs.check_results import Weight, format_markdown, refuse_failed
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.runtime.night_run import NightFailedError, read_check_results

    folders = PipelinePaths(inbox, outbox, warehouse)
    failure = None
    try:
        run_night(inbox, outbox, warehouse, on)
    except NightFailedError as error:
        failure = error
    results = read_check_results(folders)
    if checks_file:
        with checks_file.open("a", encoding="utf-8") as file:
            file.write(f"## Checks after the night of {on}\n\n{format_markdown(results)}\n")
    if failure:
        raise failure
    if fail_on:
        refuse_failed(results, Weight(fail_on))


def run_night(inbox: Path, outbox: Path, warehouse: Path, on: date) -> None:
    """Runs the night of a day over the three folders, and prints its summary."""
    # Dagster takes seconds to import; commands that do not need it do not wait for it.
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.runtime import night_run

    folders = PipelinePaths(inbox, outbox, warehouse)
    with progress_bars():
        told = night_run.run_night(folders, on)
    _print_summary(told, folders.outbox)


_RULES_SHOWN = 12
"""The summary names the most frequent rules; the receipts have them all."""
_USUAL_FATES = ("inserted", "updated", "unchanged", "superseded", "rejected")
_RARE_FATES = ("unmatched", "removed", "held", "left_alone")
"""Shown where there are any."""


def _print_summary(told: NightSummary, outbox: Path) -> None:
    from rich.console import Console
    from rich.markup import escape

    from ccgi_pipeline.common.display import escape_unprintable

    console = Console()
    console.print(f"\n[bold]The night of {told.night}[/bold]")
    console.print(f"{told.districts:,} districts with a roster, {told.students:,} students")
    if not told.verdicts:
        console.print("No new drops.")
    else:
        print_table(("drops of", "verdict", "drops"), told.verdicts)
        rare = [fate for fate in _RARE_FATES if any(fate == found for _, found, _ in told.fates)]
        fates = [*_USUAL_FATES, *rare]
        print_table(("lines of", "received", *fates), _by_feed(told.fates, fates))
    if told.findings:
        print_table(("rule", "severity", "lines", "what is wrong"), told.findings[:_RULES_SHOWN])
        more = len(told.findings) - _RULES_SHOWN
        if more > 0:
            console.print(f"... and {more} more rules, each in the receipts")
    if told.events_outside_rosters:
        console.print(
            f"{told.events_outside_rosters:,} platform events of students outside every roster: "
            "kept, and in no report"
        )
    for kept in told.kept:
        console.print(escape(escape_unprintable(kept.words)), highlight=False)
    if told.strays:
        console.print(
            f"[bold red]{told.strays:,} files of the inbox lie in no sender's folder "
            "(<CD code>, platform, cde): nobody can be answered for them."
        )
    if told.unfinished:
        console.print(
            f"{told.unfinished:,} files of the inbox have temporary names: they are taken once "
            "they are renamed"
        )
    for why in told.unreachable:
        console.print(f"[bold red]Not fetched:[/bold red] {escape(escape_unprintable(why))}")
    for state in told.not_due:
        console.print(f"Not due: {state.describe()}", highlight=False)
    made = f" ({told.reports - told.unchanged:,} made, {told.unchanged:,} unchanged)"
    console.print(
        f"\n{told.reports:,} report files of {told.night}{made if told.unchanged else ''}, "
        f"{told.receipts:,} receipts"
    )
    console.print(
        f"Reports and receipts: {escape(str(outbox))}{os.sep}<DistrictName>{os.sep}",
        highlight=False,
    )


def _by_feed(
    fates: list[tuple[str, str, int]], shown: Sequence[str]
) -> list[tuple[str | int, ...]]:
    """Returns one row a feed: all lines, then those of each fate ``shown``."""
    feeds: dict[str, dict[str, int]] = {}
    for feed, fate, lines in fates:
        feeds.setdefault(feed, {})[fate] = lines
    return [
        (feed, sum(counts.values()), *(counts.get(fate, 0) for fate in shown))
        for feed, counts in feeds.items()
    ]
