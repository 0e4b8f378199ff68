"""Commands that run nights: ``demo``, ``generate``, ``run``, ``ui``, ``worker``.

Belongs here: their arguments, and what is printed after a night.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape

from ccgi_pipeline.cli.common import EXAMPLE, FOLDER, date_option, print_table, progress_bars, today
from ccgi_pipeline.common.errors import PipelineError
from ccgi_pipeline.common.progress import ProgressCounter

if TYPE_CHECKING:
    from ccgi_pipeline.nightly.summary import NightSummary


@click.command(epilog=EXAMPLE.format("ccgi demo"))
@click.option("--data", type=FOLDER, default=Path("data/demo"), help="The demo's folder.")
@click.option("--districts", default=6, show_default=True)
@click.option("--students", default=3000, show_default=True)
def demo(data: Path, districts: int, students: int) -> None:
    """Makes a synthetic state and runs one night over it."""
    from ccgi_pipeline.synthetic import generate  # noqa: PLC0415 - it takes its time to import

    on = today()
    shutil.rmtree(data / "inbox", ignore_errors=True)
    with progress_bars():
        generate(
            data / "inbox",
            districts=districts,
            students=students,
            seed=1,
            on=on,
            defects=0.005,
            progress=ProgressCounter("generating districts", districts).advance,
        )
    _run_night(data / "inbox", data / "outbox", data / "warehouse", on)


@click.command(epilog=EXAMPLE.format("ccgi generate --out inbox --districts 3 --students 2000"))
@click.option("--out", type=FOLDER, required=True, help="The inbox to write; it may exist.")
@click.option("--districts", default=3, show_default=True)
@click.option("--students", default=1000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--defects", default=0.0, show_default=True, help="Share of lines with a defect.")
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="On how many days OneRoster sets are sent, up to the date.",
)
@date_option
def generate(  # noqa: PLR0913, PLR0917 - click passes one for each option
    out: Path, districts: int, students: int, seed: int, defects: float, days: int, on: date | None
) -> None:
    """Writes drops of every family for a synthetic state. Same arguments, same bytes."""
    from ccgi_pipeline.synthetic import generate as make  # noqa: PLC0415 - it takes its time to import

    with progress_bars():
        made = make(
            out,
            districts=districts,
            students=students,
            seed=seed,
            on=on or today(),
            defects=defects,
            days=days,
            progress=ProgressCounter("generating districts", districts).advance,
        )
    click.echo(f"{made.files} files, {made.students} students, {made.lines} lines in {out}")


@click.command(epilog=EXAMPLE.format("ccgi run --inbox in --outbox out --warehouse warehouse"))
@click.option("--inbox", type=FOLDER, required=True, help="Where senders' files lie.")
@click.option("--outbox", type=FOLDER, required=True, help="Where reports and receipts go.")
@click.option("--warehouse", type=FOLDER, required=True, help="What is kept between nights.")
@date_option
def run(inbox: Path, outbox: Path, warehouse: Path, on: date | None) -> None:
    """Runs one night: receives, verifies, loads, reports, answers."""
    if not inbox.is_dir():
        raise click.ClickException(f"there is no inbox at {inbox}")  # noqa: EM102 - shown as it is
    _run_night(inbox, outbox, warehouse, on or today())


def _run_night(inbox: Path, outbox: Path, warehouse: Path, on: date) -> None:
    # Dagster takes seconds to import; commands that do not need it do not wait for it.
    from ccgi_pipeline.nightly.paths import PipelinePaths  # noqa: PLC0415
    from ccgi_pipeline.runtime.night_run import run_night  # noqa: PLC0415

    folders = PipelinePaths(inbox, outbox, warehouse)
    try:
        with progress_bars():
            told = run_night(folders, on)
    except PipelineError as failed:
        raise click.ClickException(str(failed)) from None
    _print_summary(told, folders.outbox)


@click.command(epilog=EXAMPLE.format("make ui"))
@click.option("--inbox", type=FOLDER, default=Path("data/demo/inbox"), show_default=True)
@click.option("--outbox", type=FOLDER, default=Path("data/demo/outbox"), show_default=True)
@click.option("--warehouse", type=FOLDER, default=Path("data/demo/warehouse"), show_default=True)
@click.option("--port", default=3000, show_default=True)
@click.option("--read-only", is_flag=True, help="For lookers-on: nothing can be started.")
def ui(inbox: Path, outbox: Path, warehouse: Path, port: int, *, read_only: bool) -> None:
    """Opens the Dagster UI on 127.0.0.1 over a warehouse, with schedule and sensor."""
    from ccgi_pipeline.nightly.paths import PipelinePaths  # noqa: PLC0415
    from ccgi_pipeline.runtime.ui import serve_ui  # noqa: PLC0415 - it takes its time to import

    inbox.mkdir(parents=True, exist_ok=True)
    sys.exit(serve_ui(PipelinePaths(inbox, outbox, warehouse), port, read_only=read_only))


@click.command(epilog=EXAMPLE.format("ccgi worker --inbox in --outbox out --warehouse warehouse"))
@click.option("--inbox", type=FOLDER, required=True, help="Where senders' files lie.")
@click.option("--outbox", type=FOLDER, required=True, help="Where reports and receipts go.")
@click.option("--warehouse", type=FOLDER, required=True, help="What is kept between nights.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many steps it takes at once.",
)
def worker(inbox: Path, outbox: Path, warehouse: Path, processes: int) -> None:
    """Takes steps of nights from Celery's broker, until it is ended."""
    from ccgi_pipeline.nightly.paths import PipelinePaths  # noqa: PLC0415
    from ccgi_pipeline.runtime.worker_process import run_worker  # noqa: PLC0415 - it takes its time to import

    try:
        run_worker(PipelinePaths(inbox, outbox, warehouse), processes)
    except PipelineError as failed:
        raise click.ClickException(str(failed)) from None


_RULES_SHOWN = 12
"""The summary names the most frequent rules; the receipts have them all."""
_USUAL_FATES = ("inserted", "updated", "unchanged", "superseded", "rejected")
_RARE_FATES = ("unmatched", "removed", "held", "left_alone")
"""Shown where there are any."""


def _print_summary(told: NightSummary, outbox: Path) -> None:
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
    if told.strays:
        console.print(
            f"[bold red]{told.strays:,} files of the inbox lie in no sender's folder "
            "(<CD code>, platform, cde): nobody can be answered for them."
        )
    for why in told.not_had:
        console.print(f"[bold red]Not fetched:[/bold red] {escape(why)}")
    console.print(f"\n{told.reports:,} report files of {told.night}, {told.receipts:,} receipts")
    console.print(f"Reports and receipts: {outbox}{os.sep}<DistrictName>{os.sep}", highlight=False)


def _by_feed(
    fates: list[tuple[str, str, int]], shown: Sequence[str]
) -> list[tuple[str | int, ...]]:
    """One row a feed: all lines, then those of each fate ``shown``."""
    feeds: dict[str, dict[str, int]] = {}
    for feed, fate, lines in fates:
        feeds.setdefault(feed, {})[fate] = lines
    return [
        (feed, sum(counts.values()), *(counts.get(fate, 0) for fate in shown))
        for feed, counts in feeds.items()
    ]
