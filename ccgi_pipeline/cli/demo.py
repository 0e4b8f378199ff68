"""The command ``demo``: a synthetic state and one night over it.

Belongs here: its arguments.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FOLDER, progress_bars, today
from ccgi_pipeline.cli.run import run_night
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
