"""The command ``notices``: the notices to the operator, by mail and by webhook.

Belongs here: its arguments and what it prints.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FAILURE, echo, print_table, warehouse_option
from ccgi_pipeline.common.errors import PipelineError


@click.group()
def notices() -> None:
    """Shows and tests the notices to the operator.

    Notices go out by mail and by webhook.
    """


@notices.command("test", epilog=EXAMPLE.format("ccgi notices test"))
@warehouse_option(fits=Path.is_dir)
def test(warehouse: Path) -> None:
    """Sends a test notice by every channel."""
    from ccgi_pipeline.monitoring.alerts.channels import build_channels, build_test_notice
    from ccgi_pipeline.profiles import read_profiles

    failed = False
    ways = build_channels(read_profiles(warehouse).notices)
    if not ways:
        raise click.ClickException("no channel is set: see docs/operating.md")  # noqa: EM101 - shown
    for name, send in ways.items():
        try:
            send([build_test_notice(datetime.now(UTC))])
        except PipelineError as error:
            failed = True
            echo(f"{name}: {error}", err=True)
        else:
            echo(f"{name}: sent")
    if failed:
        sys.exit(FAILURE)


@notices.command("list", epilog=EXAMPLE.format("ccgi notices list"))
@warehouse_option()
def list_(warehouse: Path) -> None:
    """Shows the alerts that are open."""
    from ccgi_pipeline.monitoring.alerts.store import open_alert_store

    with open_alert_store(warehouse) as store:
        alerts = store.read_alerts()
    if not alerts:
        echo("No alert is open.")
        return
    print_table(
        ("kind", "alert", "what to do"),
        [(alert.kind.value, alert.words, alert.link) for alert in alerts],
    )
