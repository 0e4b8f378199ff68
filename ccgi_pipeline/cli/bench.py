"""The command ``bench``: the project's time and memory, beside the engine's own floor.

Belongs here: its arguments. The measuring is in ``ccgi_pipeline.bench``, and in the rooms of the
look-up and of SFTP.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from datetime import date
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FOLDER, date_option, echo, progress_bars, today


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
@click.option("--encrypted", is_flag=True, help="Over an encrypted warehouse.")
@date_option
def bench_night(
    districts: int,
    students: int,
    data: Path,
    form: str,
    on: date | None,
    encrypted: bool,  # noqa: FBT001 - click passes by name
) -> None:
    """Measures a night over a synthetic state: seconds, memory, ratio to the floor."""
    from ccgi_pipeline.bench import night

    with progress_bars():
        figures = night.bench_night(data, districts, students, on or today(), encrypted=encrypted)
    echo(json.dumps(asdict(figures), indent=2) if form == "json" else night.format_figures(figures))


@bench.command("year", epilog=EXAMPLE.format("ccgi bench year --nights 60"))
@click.option("--districts", default=2, show_default=True)
@click.option("--students", default=500, show_default=True)
@click.option("--nights", default=365, show_default=True)
@click.option(
    "--keep-days", default=120, show_default=True, help="Days for which former states are kept."
)
@click.option("--data", type=FOLDER, default=Path("data/bench-year"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def bench_year(
    districts: int, students: int, nights: int, keep_days: int, data: Path, form: str
) -> None:
    """Measures time and files by night over a year, with housekeeping and without."""
    from ccgi_pipeline.bench import year

    first = date(today().year, 7, 1)
    with progress_bars():
        figures = year.bench_year(
            data,
            districts=districts,
            students=students,
            nights=nights,
            keep_days=keep_days,
            first=first,
        )
    echo(json.dumps(asdict(figures)) if form == "json" else year.format_year(figures))


@bench.command("page", epilog=EXAMPLE.format("ccgi bench page docs/benchmarks.md"))
@click.argument("page", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option(
    "--figures",
    type=FOLDER,
    default=Path("docs/benchmarks"),
    show_default=True,
    help="The folder with the figures that --format json prints: night-*.json of bench night, and "
    "peers.json of bench peers and year.json of bench year if they are there.",
)
def bench_page(page: Path, figures: Path) -> None:
    """Writes the measured figures and their charts into PAGE."""
    from ccgi_pipeline.bench import page as pages
    from ccgi_pipeline.bench import year_page
    from ccgi_pipeline.bench.peers import tables

    year = year_page.read_year(figures)
    try:
        nights = pages.read_figures(figures)
        text = pages.insert_figures(page.read_text(), nights)
        text = tables.insert_comparison(text, figures)
        page.write_text(text if year is None else year_page.insert_year(text, year))
    except ValueError as wrong:
        raise click.ClickException(str(wrong)) from None
    (figures / pages.PICTURE).write_text(pages.draw_picture(nights))
    if year is not None:
        (figures / year_page.PICTURE).write_text(year_page.draw_year(year))


@bench.command("check", epilog=EXAMPLE.format("ccgi bench check --family oneroster"))
@click.option(
    "--family",
    type=click.Choice(["foster_focus", "oneroster"]),
    default="foster_focus",
    show_default=True,
    help="The family whose largest file is made: attendance periods, or enrollments.",
)
@click.option("--lines", default=1_000_000, show_default=True)
@click.option("--data", type=FOLDER, default=Path("data/bench-check"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@date_option
def bench_check(family: str, lines: int, data: Path, form: str, on: date | None) -> None:
    """Measures the check of one large file: seconds, memory, ratio to the floor."""
    from ccgi_pipeline.bench import components

    figures = components.bench_check(data, family, lines, on or today())
    if form == "json":
        echo(json.dumps(asdict(figures), indent=2))
    else:
        echo(components.format_check(figures))


@bench.command("peers", epilog=EXAMPLE.format("ccgi bench peers --students 50000"))
@click.option("--students", default=50_000, show_default=True, help="Students of one district.")
@click.option(
    "--slow-students",
    default=10_000,
    show_default=True,
    help="Students for tools that would take minutes.",
)
@click.option(
    "--peers",
    type=FOLDER,
    default=Path(".venv-peers"),
    show_default=True,
    help="The environment with the other tools, which make setup-peers makes.",
)
@click.option("--data", type=FOLDER, default=Path("data/bench-peers"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@date_option
def bench_peers(
    students: int, slow_students: int, peers: Path, data: Path, form: str, on: date | None
) -> None:
    """Measures ccgi check beside other validators: speed, memory, and which faults each finds."""
    from ccgi_pipeline.bench.peers import comparison, tables

    try:
        with progress_bars():
            compared = comparison.compare_tools(data, peers, students, slow_students, on or today())
    except (FileNotFoundError, ModuleNotFoundError) as missing:
        raise click.ClickException(str(missing)) from None
    figures = asdict(compared)
    echo(json.dumps(figures, indent=2) if form == "json" else tables.format_comparison(figures))


@bench.command("fetch", epilog=EXAMPLE.format("ccgi bench fetch --users 100000"))
@click.option("--users", default=100_000, show_default=True)
@click.option("--enrollments", default=1_000_000, show_default=True)
@click.option("--page-size", default=5000, show_default=True, help="Records of a page.")
@click.option("--data", type=FOLDER, default=Path("data/bench-fetch"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def bench_fetch(users: int, enrollments: int, page_size: int, data: Path, form: str) -> None:
    """Measures a fetch by the OneRoster API: seconds, memory, ratio to a bare download."""
    from ccgi_pipeline.bench import fetch

    figures = fetch.bench_fetch(data, users, enrollments, page_size)
    if form == "json":
        echo(json.dumps(asdict(figures), indent=2))
    else:
        echo(fetch.format_fetch(figures))


@bench.command("eligibility", epilog=EXAMPLE.format("ccgi bench eligibility"))
@click.option("--students", default=500_000, show_default=True)
@click.option("--data", type=FOLDER, default=Path("data/bench-eligibility"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def bench_eligibility(students: int, data: Path, form: str) -> None:
    """Measures CSU and UC eligibility: seconds, memory, ratio to the floor."""
    from ccgi_pipeline.bench import components

    figures = components.bench_eligibility(data, students)
    if form == "json":
        echo(json.dumps(asdict(figures), indent=2))
    else:
        echo(components.format_eligibility(figures))


@bench.command("lookup", epilog=EXAMPLE.format("ccgi bench lookup --identities 1000000"))
@click.option("--identities", "count", default=1_000_000, show_default=True, help="Students.")
@click.option("--data", type=FOLDER, default=Path("data/bench-lookup"), show_default=True)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def bench_lookup(count: int, data: Path, form: str) -> None:
    """Measures the SSID look-up: loading, look-ups and requests a second."""
    from ccgi_pipeline.bench.lookup import measure_lookup
    from ccgi_pipeline.synthetic.identities import identities

    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    with progress_bars():
        figures = measure_lookup(data, identities(count, seed=1))
    if form == "json":
        echo(json.dumps(asdict(figures), indent=2))
        return
    mebibyte = 2**20
    echo(
        f"{count:,} students, {figures.lines:,} lines, {figures.keys:,} keys\n"
        f"  loading                       {figures.load_seconds:8.1f} s, "
        f"peak {figures.peak_bytes / mebibyte:,.0f} MiB\n"
        f"  the floor (sorting the rows)  {figures.floor_seconds:8.1f} s\n"
        f"  ratio                         {figures.load_ratio:8.1f}\n"
        f"  index                         {figures.index_bytes / mebibyte:8,.0f} MiB\n"
        f"  look-ups a second             {figures.single_per_second:8,.0f} one by one, "
        f"{figures.batch_per_second:,.0f} in batches\n"
        f"  requests a second             {figures.requests_per_second:8,.0f} (HTTP, one worker), "
        f"p50 {figures.p50_milliseconds:.1f} ms, p99 {figures.p99_milliseconds:.1f} ms\n"
        f"  wrong answers                 {figures.wrong:8,}"
    )


@bench.command("sftp", epilog=EXAMPLE.format("ccgi bench sftp --megabytes 200 --small-files 1000"))
@click.option("--megabytes", default=200, show_default=True, help="All files together.")
@click.option(
    "--small-files",
    default=1000,
    show_default=True,
    help="Number of files of 20 kB; one more is large.",
)
@click.option("--rounds", default=5, show_default=True, help="Number of rounds; medians are shown.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def bench_sftp(megabytes: int, small_files: int, rounds: int, form: str) -> None:
    """Measures SFTP to and from a local server, beside OpenSSH's own program."""
    from ccgi_pipeline.bench.sftp import measure_sftp

    figures = measure_sftp(megabytes=megabytes, small_files=small_files, rounds=rounds)
    if form == "json":
        echo(json.dumps([asdict(one) for one in figures], indent=2))
        return
    for one in figures:
        echo(
            f"{one.files:,} files, {one.mebibytes:,.0f} MiB, median of {one.rounds} rounds\n"
            f"                                OpenSSH      ours   throughput\n"
            f"  upload                     {one.openssh_upload:8.2f} s{one.upload:8.2f} s"
            f"{one.upload_ratio:11.2f}\n"
            f"  upload, files read back            {one.verified:10.2f} s"
            f"{one.verified_ratio:11.2f}\n"
            f"  fetch, with SHA-256        {one.openssh_fetch:8.2f} s{one.fetch:8.2f} s"
            f"{one.fetch_ratio:11.2f}\n"
            f"  files that differed        {one.wrong:8,}"
        )
