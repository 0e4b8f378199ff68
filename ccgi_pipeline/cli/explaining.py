"""The command ``explain``: how a figure came about.

Belongs here: its arguments and tables.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from ccgi_pipeline.cli.common import EXAMPLE, FAILURE, date_option, print_table, today
from ccgi_pipeline.eligibility.systems import AREAS, YEAR, YEARS_WANTED

if TYPE_CHECKING:
    from ccgi_pipeline.eligibility.explaining import Explanation
    from ccgi_pipeline.eligibility.systems import System


@click.command(epilog=EXAMPLE.format("ccgi explain 1234567890 --warehouse data/demo/warehouse"))
@click.argument("ssid")
@click.option(
    "--warehouse", type=click.Path(file_okay=False, exists=True, path_type=Path), required=True
)
@click.option("--system", type=click.Choice(["UC", "CSU"]), help="One system only.")
@click.option(
    "--foster-focus",
    is_flag=True,
    help="From the Foster Focus transcripts, for who may see them.",
)
@date_option
def explain(
    ssid: str, warehouse: Path, system: str | None, on: date | None, *, foster_focus: bool
) -> None:
    """Shows how the CSU and UC eligibility of one student is estimated, course by course."""
    from ccgi_pipeline.eligibility.explaining import explain as explained  # noqa: PLC0415
    from ccgi_pipeline.eligibility.systems import systems_on  # noqa: PLC0415
    from ccgi_pipeline.warehouse import eligible, lake  # noqa: PLC0415

    with lake.connect(warehouse, read_only=True) as connection:
        found = eligible.histories_of(connection, ssid, from_foster_extracts=foster_focus)
    if not found:
        click.echo("No district has this student now.", err=True)
        sys.exit(FAILURE)
    for student in found:
        for wanted in systems_on(on or today()):
            if system in {None, wanted.name}:
                told = explained(student.courses, student.grade, wanted)
                _print_explanation(student.cd, wanted, told, student.names)


def _print_explanation(
    cd: str, system: System, told: Explanation, names: Mapping[str, str]
) -> None:
    console = Console()
    result = told.result
    console.print(f"\n[bold]{system.name}: {result['status']}[/bold] (district {cd}, an estimate)")
    print_table(
        (
            "year",
            "grade",
            "part",
            "area",
            "course",
            "read as",
            "points",
            "units",
            "counts",
            "average",
        ),
        [
            (
                str(row["school_year"]),
                str(row["grade"]),
                row["part"] or "",
                row["area"],
                names.get(row["course"], row["course"]),
                row["kind"]
                or row["discipline"]
                or " ".join(str(part) for part in (row["language"], row["level"]) if part),
                "" if row["points"] is None else str(row["points"]),
                row["units"],
                row["counts"],
                row["average"] or "",
            )
            for row in told.courses.iter_rows(named=True)
        ],
    )
    units, points = result["gpa_units"], result["gpa_points"]
    average = f"{points * 100 // units / 100:.2f}" if units else "none yet"
    console.print(f"Average: {average} ({points} points on {units} units; of honors 8 semesters at")
    console.print("most, 4 of them in grade 10)")
    print_table(
        ("area", "years", "complete", "in progress"),
        [
            (
                area,
                f"{result[f'years_{area}'] / YEAR:g} of {YEARS_WANTED[area]}",
                "yes" if result[f"complete_{area}"] else "no",
                f"{result[f'in_progress_{area}'] / YEAR:g}",
            )
            for area in AREAS
        ],
    )
    for reason in result["reasons"]:
        console.print(f"* {reason}")
