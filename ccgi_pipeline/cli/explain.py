"""The command ``explain``: how a figure is calculated, and which received lines are behind a row.

Belongs here: its arguments and tables. A row's cells and those of lines are printed only where that
is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FAILURE,
    Sender,
    date_option,
    echo,
    print_table,
    today,
    warehouse_option,
)
from ccgi_pipeline.eligibility.systems import AREAS, YEAR, YEARS_WANTED
from ccgi_pipeline.operations import audit_log

if TYPE_CHECKING:
    from ccgi_pipeline.eligibility.explanation import Explanation
    from ccgi_pipeline.eligibility.systems import System
    from ccgi_pipeline.operations.trace import TracedRow
    from ccgi_pipeline.warehouse.queries.course_histories import StudentHistory
    from ccgi_pipeline.warehouse.queries.lineage import SentFile


@click.command(
    epilog=EXAMPLE.format(
        "ccgi explain 1234567890 --warehouse data/demo/warehouse\n  "
        "ccgi explain --report goals --district 3367173 --row 2"
    )
)
@click.argument("ssid", required=False)
@warehouse_option()
@click.option("--system", type=click.Choice(["UC", "CSU"]), help="SSID: one system only.")
@click.option(
    "--foster-focus",
    is_flag=True,
    help="SSID: use the Foster Focus transcripts, if you may see them.",
)
@click.option("--report", help="Row: the beginning of the report's name or title.")
@click.option("--district", type=Sender(), help="Row: the district, by its CD code.")
@click.option(
    "--row",
    type=click.IntRange(min=2),
    help="Row: its number in Excel or an editor; the header is row 1.",
)
@click.option(
    "--file",
    "part",
    type=click.Choice(["Agg", "Detail"]),
    help="Row: the report's file [Detail].",
)
@click.option(
    "--lines",
    "listed",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Row: the number of lines listed of each file; the others are counted.",
)
@click.option(
    "--show-values",
    is_flag=True,
    help="Row: show its cells and those of the lines. Cells are students' data: for your own "
    "screen only.",
)
@date_option
def explain(  # noqa: PLR0913, PLR0917 - click passes one for each option
    ssid: str | None,
    warehouse: Path,
    system: str | None,
    report: str | None,
    district: str | None,
    row: int | None,
    part: str | None,
    listed: int,
    on: date | None,
    *,
    foster_focus: bool,
    show_values: bool,
) -> None:
    """Explains a student's eligibility or one row of a report.

    With an SSID: how the CSU and UC eligibility of the student is estimated, course by course.

    With --report, --district and --row: which received lines are behind that row, in the file of
    the newest night or in that of --date.
    """
    if ssid is not None:
        if report or district or row or part or show_values:
            msg = "name a student or a row of a report, not both"
            raise click.UsageError(msg)
        _explain_student(ssid, warehouse, system, on or today(), foster_focus=foster_focus)
        return
    if not (report and district and row):
        msg = "name a student (SSID), or a row by --report, --district and --row"
        raise click.UsageError(msg)
    if system or foster_focus:
        msg = "--system and --foster-focus are for a student's eligibility"
        raise click.UsageError(msg)
    from ccgi_pipeline.operations import trace

    spec = trace.find_report(report)
    about: dict[str, str | int] = {
        "report": spec.name,
        "district": district,
        "row": row,
        "values": "shown" if show_values else "not shown",
    }
    with audit_log.recorded_act(warehouse, audit_log.Act.TRACED, about):
        traced = trace.trace_row(warehouse, spec, district, row, part, on)
    _print_row(traced, show_values=show_values)
    for file in traced.files:
        cells: dict[int, dict[str, str]] = {}
        if show_values:
            cells = trace.read_sent_cells(warehouse, file, file.lines[:listed])
        _print_lines(file, listed, cells)


def _print_row(traced: TracedRow, *, show_values: bool) -> None:
    made = traced.made
    echo(f"{made.path}, row {traced.number}")
    echo(f"night of {made.night}, snapshot {made.snapshot}, SHA-256 {made.sha256}")
    if show_values:
        for name, cell in traced.cells.items():
            echo(f"    {name}: {cell}")
    if made.part == "Agg":
        echo(f"students: {traced.students:,}, rows of the detail: {traced.detail_rows:,}")
    echo(
        "The records behind it, by the file that last changed them (the same record sent again "
        "changes nothing):"
    )
    print_table(
        ("feed", "drop", "night", "verdict", "lines", "file"),
        [
            (
                file.feed.name,
                file.drop,
                f"{file.night}",
                file.verdict.replace("_", " "),
                len(file.lines),
                file.path,
            )
            for file in traced.files
        ],
    )


def _print_lines(file: SentFile, listed: int, cells: Mapping[int, Mapping[str, str]]) -> None:
    """The lines of one file, the first ``listed`` of them by number."""
    echo(f"\n{file.feed.name}: {file.path}")
    where = f"archive/{file.sha256[:2]}/{file.sha256}" if file.sha256 else "not known any more"
    echo(f"  {where}")
    for line in file.lines[:listed]:
        rules = f" ({', '.join(file.rules[line])})" if line in file.rules else ""
        echo(f"  line {line}: {file.fate}{rules}")
        for name, cell in cells.get(line, {}).items():
            echo(f"    {name}: {cell}")
    more = len(file.lines) - listed
    if more > 0:
        echo(f"  ... and {more:,} more lines")


def _explain_student(
    ssid: str, warehouse: Path, system: str | None, on: date, *, foster_focus: bool
) -> None:
    from ccgi_pipeline.eligibility.explanation import explain as explained
    from ccgi_pipeline.eligibility.systems import systems_on
    from ccgi_pipeline.warehouse.queries.course_histories import read_student_histories
    from ccgi_pipeline.warehouse.storage.connection import open_warehouse

    about = {
        "student": audit_log.make_pseudonym(warehouse, ssid),
        "from": "foster focus" if foster_focus else "transcripts",
    }
    audit_log.record_act(warehouse, audit_log.Act.EXPLAINED, about)
    with open_warehouse(warehouse, read_only=True) as connection:
        found = read_student_histories(connection, ssid, from_foster_extracts=foster_focus)
    if not found:
        echo("No district has this student now.", err=True)
        sys.exit(FAILURE)
    for student in found:
        for wanted in systems_on(on):
            if system in {None, wanted.name}:
                told = explained(
                    student.courses, student.grade, wanted, certified=student.certified
                )
                _print_explanation(student, wanted, told)


def _print_explanation(student: StudentHistory, system: System, told: Explanation) -> None:
    from rich.console import Console

    console = Console()
    result = told.result
    console.print(
        f"\n[bold]{system.name}: {result['status']}[/bold] (district {student.cd}, an estimate)"
    )
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
                student.names.get(row["course"], row["course"]),
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
    if student.certified:
        years = YEARS_WANTED["E"]
        echo(f"LOTECert: certified in a language, which stands for the {years} years of area E.")
    for area, name, lines in student.unread:
        echo(
            f"Name not read: {name} (area {area}, lines: {lines}). It counts for its area only; "
            "its kind could change the result."
        )
    for reason in result["reasons"]:
        echo(f"* {reason}")
