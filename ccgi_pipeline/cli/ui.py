"""The command ``ui``: the Dagster UI over a warehouse.

Belongs here: its arguments.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, inbox_option, outbox_option, warehouse_option


@click.command(epilog=EXAMPLE.format("make ui"))
@inbox_option(exists=False)
@outbox_option(exists=False)
@warehouse_option(exists=False)
@click.option("--port", default=3000, show_default=True)
@click.option("--read-only", is_flag=True, help="For lookers-on: nothing can be started.")
def ui(inbox: Path, outbox: Path, warehouse: Path, port: int, *, read_only: bool) -> None:
    """Opens the Dagster UI on 127.0.0.1 over a warehouse, with schedule and sensor."""
    from ccgi_pipeline.nightly.paths import PipelinePaths  # noqa: PLC0415
    from ccgi_pipeline.runtime.ui import serve_ui  # noqa: PLC0415 - it takes its time to import

    inbox.mkdir(parents=True, exist_ok=True)
    sys.exit(serve_ui(PipelinePaths(inbox, outbox, warehouse), port, read_only=read_only))
