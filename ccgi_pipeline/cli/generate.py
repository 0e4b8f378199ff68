"""The command ``generate``: synthetic drops of every family.

Belongs here: its arguments and what it prints.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FOLDER, date_option, echo, progress_bars, today
from ccgi_pipeline.common.progress import ProgressCounter


@click.command(epilog=EXAMPLE.format("ccgi generate --out inbox --districts 3 --students 2000"))
@click.option("--out", type=FOLDER, required=True, help="The inbox to write into; it may exist.")
@click.option("--districts", default=3, show_default=True)
@click.option("--students", default=1000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--defects", default=0.0, show_default=True, help="Share of lines with a defect.")
@click.option(
    "--days",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="The number of days with OneRoster sets, up to the date.",
)
@click.option(
    "--oneroster-version",
    type=click.Choice(["1.1", "1.2"]),
    help="The version of all OneRoster sets; otherwise each district has its own.",
)
@date_option
def generate(  # noqa: PLR0913, PLR0917 - click passes one for each option
    out: Path,
    districts: int,
    students: int,
    seed: int,
    defects: float,
    days: int,
    oneroster_version: str | None,
    on: date | None,
) -> None:
    """Writes synthetic drops of every family.

    The same arguments give the same bytes.
    """
    from ccgi_pipeline.synthetic import generate as make

    with progress_bars():
        made = make(
            out,
            districts=districts,
            students=students,
            seed=seed,
            on=on or today(),
            defects=defects,
            days=days,
            oneroster_version=oneroster_version,
            progress=ProgressCounter("generating districts", districts).advance,
        )
    echo(f"{made.files} files, {made.students} students, {made.lines} lines in {out}")
