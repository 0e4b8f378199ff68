"""The command ``demo``: a synthetic state and one night over it.

Belongs here: its arguments, and what it says to look at next.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FOLDER, echo, progress_bars, today
from ccgi_pipeline.cli.run import run_night
from ccgi_pipeline.common.environment import DEFAULT_FOLDERS, INBOX, OUTBOX, WAREHOUSE
from ccgi_pipeline.common.progress import ProgressCounter


@click.command(epilog=EXAMPLE.format("ccgi demo"))
@click.option(
    "--data",
    type=FOLDER,
    default=Path("data/demo"),
    show_default=True,
    help="Where inbox, outbox and warehouse go.",
)
@click.option("--districts", default=6, show_default=True)
@click.option("--students", default=3000, show_default=True)
def demo(data: Path, districts: int, students: int) -> None:
    """Makes a synthetic state and runs one night over it."""
    from ccgi_pipeline.synthetic import generate

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
    run_night(data / "inbox", data / "outbox", data / "warehouse", on)
    _print_next_steps(data)


def _print_next_steps(data: Path) -> None:
    """Says what to open and what to try after the night, with paths and commands as they stand."""
    ccgi = _find_program()
    named = {name: data / name for name in ("inbox", "outbox", "warehouse")}
    usual = named == {name: DEFAULT_FOLDERS[variable] for name, variable in _VARIABLES.items()}
    usual = usual and not any(os.environ.get(variable) for variable in _VARIABLES.values())

    def command(words: str, *options: str) -> str:
        folders = [] if usual else [f"--{name} {shlex.quote(f'{named[name]}')}" for name in options]
        return " ".join([ccgi, words, *folders])

    def find_one(name: str, pattern: str) -> Path | None:
        return min(named[name].glob(pattern), default=None)

    state = find_one("warehouse", "pages/index.html")
    district = find_one("outbox", "*/_receipts/index.html")
    receipt = find_one("outbox", "*/_receipts/*_transcript_*.html")
    report = find_one("outbox", "*/daily reporting/*/*.csv")
    sent = find_one("inbox", "*/transcript/*Student*")
    steps = [
        ("the night in Dagster's UI", f"{command('ui', *named)}   then http://127.0.0.1:3000"),
        ("all districts on one page, in a browser", state and f"{state}"),
        ("a district's own page", district and f"{district}"),
        ("a receipt", receipt and f"{receipt}"),
        ("a report", report and f"{report}"),
        ("how each district stands", command("status", "warehouse")),
        ("a file as a district checks it", sent and f"{ccgi} check {shlex.quote(f'{sent}')}"),
        ("the next night", command("run", *named)),
    ]
    echo("\nWhat to look at next:")
    for what, where in steps:
        if where:
            echo(f"  {what}:\n    {where}")


_VARIABLES = {"inbox": INBOX, "outbox": OUTBOX, "warehouse": WAREHOUSE}


def _find_program() -> str:
    """Returns how this program is called from here: ``ccgi``, or its path if it is not found so."""
    called = Path(sys.argv[0])
    if called.name != "ccgi" or shutil.which("ccgi") == f"{called}":
        return "ccgi"
    return os.path.relpath(called)
