"""The commands ``heartbeat`` and ``notices``: is the machinery alive, and who is told.

Belongs here: their arguments and what they print. ``heartbeat`` is made for cron, a timer or a
container's health check.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FAILURE, FOLDER, print_table
from ccgi_pipeline.common.errors import PipelineError

_warehouse = click.option(
    "--warehouse",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    required=True,
    help="The warehouse to look after.",
)


@click.command(epilog=EXAMPLE.format("ccgi heartbeat --warehouse data/demo/warehouse --notify"))
@_warehouse
@click.option("--outbox", type=FOLDER, help="Its disk is looked at too [beside the warehouse].")
@click.option("--notify", is_flag=True, help="Send notices of what is new and what is over.")
def heartbeat(warehouse: Path, outbox: Path | None, *, notify: bool) -> None:
    """Looks whether daemon, sensor, nights, deliveries, disks and catalog are well.

    Ends with status 1 if something is wrong, and says what to do.
    """
    from ccgi_pipeline.nightly.paths import PipelinePaths  # noqa: PLC0415
    from ccgi_pipeline.runtime.dagster_instance import check_from_outside  # noqa: PLC0415 - it takes its time to import

    folders = PipelinePaths(
        warehouse.parent / "inbox", outbox or warehouse.parent / "outbox", warehouse
    )
    try:
        found, unsent = check_from_outside(folders, notify=notify)
    except PipelineError as failed:
        raise click.ClickException(str(failed)) from None
    for trouble in found:
        click.echo(f"{trouble.page}: {trouble.words}\n  what to do: {trouble.link}")
    for words in unsent:
        click.echo(words, err=True)
    if found or unsent:
        sys.exit(FAILURE)
    click.echo("All is well.")


@click.group()
def notices() -> None:
    """What the operator is told unasked, by mail and by webhook."""


@notices.command("test", epilog=EXAMPLE.format("ccgi notices test --warehouse data/demo/warehouse"))
@_warehouse
def test(warehouse: Path) -> None:
    """Sends a notice by every channel that is set, to see whether it arrives."""
    from ccgi_pipeline.monitoring.alerts.channels import channels, example  # noqa: PLC0415
    from ccgi_pipeline.profiles import read_profiles  # noqa: PLC0415

    failed = False
    try:
        ways = channels(read_profiles(warehouse).notices)
    except PipelineError as wrong:
        raise click.ClickException(str(wrong)) from None
    if not ways:
        raise click.ClickException("no channel is set: see docs/operating.md")  # noqa: EM101 - shown
    for name, send in ways.items():
        try:
            send([example(datetime.now(UTC))])
        except PipelineError as error:
            failed = True
            click.echo(f"{name}: {error}", err=True)
        else:
            click.echo(f"{name}: sent")
    if failed:
        sys.exit(FAILURE)


@notices.command("list", epilog=EXAMPLE.format("ccgi notices list --warehouse data/demo/warehouse"))
@_warehouse
def list_(warehouse: Path) -> None:
    """Shows the troubles that were told and are not over."""
    from ccgi_pipeline.monitoring.alerts.store import open_book  # noqa: PLC0415

    with open_book(warehouse) as book:
        standing = book.standing()
    if not standing:
        click.echo("No trouble is noted.")
        return
    print_table(
        ("kind", "trouble", "what to do"),
        [(trouble.kind.value, trouble.words, trouble.link) for trouble in standing],
    )
