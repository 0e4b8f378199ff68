"""The command line: ``ccgi``.

Belongs here: arguments, progress bars, what is printed, exit status. Everything else is done by the
rooms. Exit status: 0 done, 1 something cannot be loaded or went wrong, 2 nothing could be judged.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ccgi_pipeline.eligibility.systems import AREAS, YEAR, YEARS_WANTED
from ccgi_pipeline.errors import PipelineError
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.profiles import profiles_in, read_profiles
from ccgi_pipeline.progress import Step, listening

if TYPE_CHECKING:
    from ccgi_pipeline.eligibility.explaining import Explanation
    from ccgi_pipeline.eligibility.systems import System
    from ccgi_pipeline.night import NightSummary

EXAMPLE = "\b\n\nExample:\n  {}"
_SUCCESS, _FAILURE, _NOTHING = 0, 1, 2


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


def _today() -> date:
    return datetime.now(tz=ZoneInfo("America/Los_Angeles")).date()


_FOLDER = click.Path(file_okay=False, path_type=Path)
date_option = click.option("--date", "on", type=Day(), help="The day of the night [today].")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ccgi-pipeline")
def main() -> None:
    """California's district data sharing: districts' files in, reports and receipts out."""


@main.command(epilog=EXAMPLE.format("ccgi demo"))
@click.option("--data", type=_FOLDER, default=Path("data/demo"), help="The demo's folder.")
@click.option("--districts", default=6, show_default=True)
@click.option("--students", default=3000, show_default=True)
def demo(data: Path, districts: int, students: int) -> None:
    """Makes a synthetic state and runs one night over it."""
    from ccgi_pipeline.synthetic import generate  # noqa: PLC0415 - see _run_night

    on = _today()
    shutil.rmtree(data / "inbox", ignore_errors=True)
    with _progress_bars():
        generate(
            data / "inbox",
            districts=districts,
            students=students,
            seed=1,
            on=on,
            defects=0.005,
            progress=Step("generating districts", districts).advance,
        )
    _run_night(data / "inbox", data / "outbox", data / "warehouse", on)


@main.command(epilog=EXAMPLE.format("ccgi generate --out inbox --districts 3 --students 2000"))
@click.option("--out", type=_FOLDER, required=True, help="The inbox to write; it may exist.")
@click.option("--districts", default=3, show_default=True)
@click.option("--students", default=1000, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option("--defects", default=0.0, show_default=True, help="Share of lines with a defect.")
@date_option
def generate(
    out: Path, districts: int, students: int, seed: int, defects: float, on: date | None
) -> None:
    """Writes drops of every family for a synthetic state. Same arguments, same bytes."""
    from ccgi_pipeline.synthetic import generate as make  # noqa: PLC0415 - see _run_night

    with _progress_bars():
        made = make(
            out,
            districts=districts,
            students=students,
            seed=seed,
            on=on or _today(),
            defects=defects,
            progress=Step("generating districts", districts).advance,
        )
    click.echo(f"{made.files} files, {made.students} students, {made.lines} lines in {out}")


@main.command(epilog=EXAMPLE.format("ccgi run --inbox in --outbox out --warehouse warehouse"))
@click.option("--inbox", type=_FOLDER, required=True, help="Where senders' files lie.")
@click.option("--outbox", type=_FOLDER, required=True, help="Where reports and receipts go.")
@click.option("--warehouse", type=_FOLDER, required=True, help="What is kept between nights.")
@date_option
def run(inbox: Path, outbox: Path, warehouse: Path, on: date | None) -> None:
    """Runs one night: receives, verifies, loads, reports, answers."""
    if not inbox.is_dir():
        raise click.ClickException(f"there is no inbox at {inbox}")  # noqa: EM102 - shown as it is
    _run_night(inbox, outbox, warehouse, on or _today())


def _run_night(inbox: Path, outbox: Path, warehouse: Path, on: date) -> None:
    # Dagster takes seconds to import; commands that do not need it do not wait for it.
    from ccgi_pipeline.night import Folders  # noqa: PLC0415
    from ccgi_pipeline.running import run_night  # noqa: PLC0415

    folders = Folders(inbox, outbox, warehouse)
    try:
        with _progress_bars():
            told = run_night(folders, on)
    except PipelineError as failed:
        raise click.ClickException(str(failed)) from None
    _print_summary(told, folders.outbox)


@main.command(epilog=EXAMPLE.format("ccgi check ToSend/ --family transcript"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--family", type=click.Choice(list(FAMILIES)), help="What the files are.")
@click.option(
    "--warehouse",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Judge with what this warehouse knows, and with its profiles.",
)
@click.option(
    "--profiles",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Judge with the settings in this profiles.toml.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
)
@click.option(
    "--show-values",
    is_flag=True,
    help="Put the cell into each finding. They are pupils' data: for your own screen only.",
)
@date_option
def check(  # noqa: PLR0913 - one for each option
    paths: tuple[Path, ...],
    family: str | None,
    warehouse: Path | None,
    profiles: Path | None,
    form: str,
    on: date | None,
    *,
    show_values: bool,
) -> None:
    """Judges files, zips or folders as the night would, changing nothing.

    Exit status 0: every line can be loaded. 1: a line or a file cannot. 2: nothing to judge.
    """
    from ccgi_pipeline.verification import checking, receipts  # noqa: PLC0415 - see _run_night

    missing = [path for path in paths if not path.exists()]
    for path in missing:
        click.echo(f"{path}: no such file or folder", err=True)
    if missing:
        sys.exit(_NOTHING)
    known, settings = None, None
    try:
        if warehouse is not None:
            from ccgi_pipeline.night import offline_knowledge  # noqa: PLC0415

            known, settings = offline_knowledge(warehouse), read_profiles(warehouse)
        if profiles is not None:
            settings = profiles_in(profiles)
    except PipelineError as wrong:
        raise click.ClickException(str(wrong)) from None
    checked = checking.check(
        paths, on or _today(), family, known, settings, show_values=show_values
    )
    if form == "json":
        answer = {
            "verdict": str(checked.verdict),
            "files": [receipts.file_object(file) for file in checked.files],
        }
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif form == "html":
        click.echo(receipts.as_html("Check before sending", checked.verdict, checked.files))
    else:
        click.echo(receipts.as_text(checked.verdict, checked.files))
    if checked.nothing_recognised:
        sys.exit(_NOTHING)
    sys.exit(_SUCCESS if checked.everything_loads else _FAILURE)


@main.command(epilog=EXAMPLE.format("ccgi dictionary --format json"))
@click.option("--format", "form", type=click.Choice(["markdown", "json"]), default="markdown")
def dictionary(form: str) -> None:
    """Prints every feed, column, rule and report, from their declarations."""
    from ccgi_pipeline import dictionary as pages  # noqa: PLC0415 - see _run_night

    click.echo(pages.as_json() if form == "json" else pages.as_markdown(), nl=False)


@main.command(epilog=EXAMPLE.format("ccgi explain 1234567890 --warehouse data/demo/warehouse"))
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
        sys.exit(_FAILURE)
    for student in found:
        for wanted in systems_on(on or _today()):
            if system in {None, wanted.name}:
                told = explained(student.courses, student.grade, wanted)
                _print_explanation(student.cd, wanted, told, student.names)


def _print_explanation(
    cd: str, system: System, told: Explanation, names: Mapping[str, str]
) -> None:
    console = Console()
    result = told.result
    console.print(f"\n[bold]{system.name}: {result['status']}[/bold] (district {cd}, an estimate)")
    _print_table(
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
    _print_table(
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


@main.group()
def bench() -> None:
    """Measures the project beside the engine's own floor."""


@bench.command("night", epilog=EXAMPLE.format("ccgi bench night --districts 50 --students 100000"))
@click.option("--districts", default=50, show_default=True)
@click.option("--students", default=100_000, show_default=True)
@click.option("--data", type=_FOLDER, default=Path("data/bench"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@date_option
def bench_night(districts: int, students: int, data: Path, form: str, on: date | None) -> None:
    """A whole night over a synthetic state: seconds, memory, ratio to the floor."""
    from ccgi_pipeline import bench as benches  # noqa: PLC0415 - see _run_night

    figures = benches.bench_night(data, districts, students, on or _today())
    if form == "json":
        click.echo(json.dumps(benches.as_object(figures), indent=2))
    else:
        click.echo(benches.as_text(figures))


@bench.command("check", epilog=EXAMPLE.format("ccgi bench check --lines 1000000"))
@click.option("--lines", default=1_000_000, show_default=True)
@click.option("--data", type=_FOLDER, default=Path("data/bench-check"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@date_option
def bench_check(lines: int, data: Path, form: str, on: date | None) -> None:
    """One large Foster Focus file: seconds, memory, ratio to the floor."""
    from ccgi_pipeline import bench as benches  # noqa: PLC0415

    figures = benches.bench_check(data, lines, on or _today())
    if form == "json":
        click.echo(json.dumps(benches.as_object(figures), indent=2))
    else:
        click.echo(benches.check_as_text(figures))


@bench.command("eligibility", epilog=EXAMPLE.format("ccgi bench eligibility"))
@click.option("--students", default=500_000, show_default=True)
@click.option("--data", type=_FOLDER, default=Path("data/bench-eligibility"), show_default=True)
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


@main.command(epilog=EXAMPLE.format("make ui"))
@click.option("--inbox", type=_FOLDER, default=Path("data/demo/inbox"), show_default=True)
@click.option("--outbox", type=_FOLDER, default=Path("data/demo/outbox"), show_default=True)
@click.option("--warehouse", type=_FOLDER, default=Path("data/demo/warehouse"), show_default=True)
@click.option("--port", default=3000, show_default=True)
def ui(inbox: Path, outbox: Path, warehouse: Path, port: int) -> None:
    """Opens the Dagster UI on 127.0.0.1 over a warehouse, with schedule and sensor."""
    from ccgi_pipeline.night import Folders  # noqa: PLC0415
    from ccgi_pipeline.running import serve  # noqa: PLC0415 - see _run_night

    inbox.mkdir(parents=True, exist_ok=True)
    sys.exit(serve(Folders(inbox, outbox, warehouse), port))


@contextmanager
def _progress_bars() -> Iterator[None]:
    """One bar a step on standard error; plain lines of text where that is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        with listening(_PlainProgress()):
            yield
        return
    bars = Progress(
        TextColumn("{task.description:<32}"),
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
            bars.update(tasks[step], completed=done, total=max(total, done))

        with listening(show):
            yield


class _PlainProgress:
    """Says each step once when it has ended, for logs."""

    def __call__(self, step: str, done: int, total: int) -> None:
        if total and done == total:
            click.echo(f"{step}: {done}", err=True)


_RULES_SHOWN = 12
"""The summary names the most frequent rules; the receipts have them all."""
_USUAL_FATES = ("inserted", "updated", "unchanged", "superseded", "rejected")
_RARE_FATES = ("unmatched", "removed")
"""Shown where there are any."""


def _print_summary(told: NightSummary, outbox: Path) -> None:
    console = Console()
    console.print(f"\n[bold]The night of {told.night}[/bold]")
    console.print(f"{told.districts:,} districts with a roster, {told.students:,} students")
    if not told.verdicts:
        console.print("No new drops.")
    else:
        _print_table(("drops of", "verdict", "drops"), told.verdicts)
        rare = [fate for fate in _RARE_FATES if any(fate == found for _, found, _ in told.fates)]
        fates = [*_USUAL_FATES, *rare]
        _print_table(("lines of", "received", *fates), _by_feed(told.fates, fates))
    if told.findings:
        _print_table(("rule", "severity", "lines", "what is wrong"), told.findings[:_RULES_SHOWN])
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


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    """A table for people; the last column may wrap, ids and counts never do."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    numeric = [
        all(cell.replace(",", "").isdigit() for cell in column)
        for column in zip(*cells, strict=True)
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


if __name__ == "__main__":
    main()
