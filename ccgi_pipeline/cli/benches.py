"""The command ``bench``: what the project takes, beside the engine's own floor.

Belongs here: its arguments. The measuring is in ``ccgi_pipeline.bench``.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FOLDER, date_option, today


@click.group()
def bench() -> None:
    """Measures the project beside the engine's own floor."""


@bench.command("night", epilog=EXAMPLE.format("ccgi bench night --districts 50 --students 100000"))
@click.option("--districts", default=50, show_default=True)
@click.option("--students", default=100_000, show_default=True)
@click.option("--data", type=FOLDER, default=Path("data/bench"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@date_option
def bench_night(districts: int, students: int, data: Path, form: str, on: date | None) -> None:
    """A whole night over a synthetic state: seconds, memory, ratio to the floor."""
    from ccgi_pipeline import bench as benches  # noqa: PLC0415 - it takes its time to import

    figures = benches.bench_night(data, districts, students, on or today())
    if form == "json":
        click.echo(json.dumps(benches.as_object(figures), indent=2))
    else:
        click.echo(benches.as_text(figures))


@bench.command("check", epilog=EXAMPLE.format("ccgi bench check --family oneroster"))
@click.option(
    "--family",
    type=click.Choice(["foster_focus", "oneroster"]),
    default="foster_focus",
    show_default=True,
    help="Whose largest file: attendance periods, or enrollments.",
)
@click.option("--lines", default=1_000_000, show_default=True)
@click.option("--data", type=FOLDER, default=Path("data/bench-check"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@date_option
def bench_check(family: str, lines: int, data: Path, form: str, on: date | None) -> None:
    """One large file: seconds, memory, ratio to the floor."""
    from ccgi_pipeline import bench as benches  # noqa: PLC0415

    figures = benches.bench_check(data, family, lines, on or today())
    if form == "json":
        click.echo(json.dumps(benches.as_object(figures), indent=2))
    else:
        click.echo(benches.check_as_text(figures))


@bench.command("eligibility", epilog=EXAMPLE.format("ccgi bench eligibility"))
@click.option("--students", default=500_000, show_default=True)
@click.option("--data", type=FOLDER, default=Path("data/bench-eligibility"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def bench_eligibility(students: int, data: Path, form: str) -> None:
    """CSU and UC eligibility of many students: seconds, memory, ratio to the floor."""
    from ccgi_pipeline import bench as benches  # noqa: PLC0415

    figures = benches.bench_eligibility(data, students)
    if form == "json":
        click.echo(json.dumps(benches.as_object(figures), indent=2))
    else:
        click.echo(benches.eligibility_as_text(figures))
