"""The command ``notices``: what the operator is sent by mail and by webhook.

Belongs here: its arguments and what it prints.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FAILURE, print_table, warehouse_option
from ccgi_pipeline.common.errors import PipelineError


@click.group()
def notices() -> None:
    """Shows and tests the notices to the operator.

    Notices go out by mail and by webhook.
    """


@notices.command("test", epilog=EXAMPLE.format("ccgi notices test"))
@warehouse_option()
def test(warehouse: Path) -> None:
    """Sends a notice by every channel that is set, to see whether it arrives."""
    from ccgi_pipeline.monitoring.alerts.channels import channels, example
    from ccgi_pipeline.profiles import read_profiles

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


@notices.command("list", epilog=EXAMPLE.format("ccgi notices list"))
@warehouse_option()
def list_(warehouse: Path) -> None:
    """Shows the troubles that were told and are not over."""
    from ccgi_pipeline.monitoring.alerts.store import open_book

    with open_book(warehouse) as book:
        standing = book.standing()
    if not standing:
        click.echo("No trouble is noted.")
        return
    print_table(
        ("kind", "trouble", "what to do"),
        [(trouble.kind.value, trouble.words, trouble.link) for trouble in standing],
    )
