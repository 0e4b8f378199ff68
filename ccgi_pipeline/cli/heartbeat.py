"""The command ``heartbeat``: whether the machinery is alive.

Belongs here: its arguments and what it prints. It is made for cron, a timer or a container's health
check.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FAILURE,
    echo,
    inbox_option,
    outbox_option,
    warehouse_option,
)


@click.command(epilog=EXAMPLE.format("ccgi heartbeat --notify"))
@warehouse_option()
@outbox_option()
@inbox_option(exists=False)
@click.option("--notify", is_flag=True, help="Send notices of alerts that are new or over.")
def heartbeat(warehouse: Path, outbox: Path, inbox: Path, *, notify: bool) -> None:
    """Checks the daemon, sensor, nights, deliveries and disks.

    Exit status 1: something is wrong; what to do is printed.
    """
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.runtime.dagster_instance import check_health_from_outside

    folders = PipelinePaths(inbox, outbox, warehouse)
    found, unsent = check_health_from_outside(folders, notify=notify)
    for alert in found:
        echo(f"{alert.page}: {alert.words}\n  what to do: {alert.link}")
    for words in unsent:
        echo(words, err=True)
    if found or unsent:
        sys.exit(FAILURE)
    echo("All is well.")
