"""The command ``ui``: the Dagster UI over a warehouse.

Belongs here: its arguments.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    inbox_option,
    may_become_warehouse,
    outbox_option,
    warehouse_option,
)


@click.command(epilog=EXAMPLE.format("ccgi ui"))
@inbox_option()
@outbox_option(exists=False)
@warehouse_option(fits=may_become_warehouse)
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
@click.option("--read-only", is_flag=True, help="For viewers: nothing can be started or changed.")
def ui(inbox: Path, outbox: Path, warehouse: Path, port: int, *, read_only: bool) -> None:
    """Opens the Dagster UI over a warehouse.

    It listens on 127.0.0.1; schedule and sensor run too.
    """
    _require_free_port(port)
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.runtime.ui import serve_ui

    sys.exit(serve_ui(PipelinePaths(inbox, outbox, warehouse), port, read_only=read_only))


def _require_free_port(port: int) -> None:
    """Refuses a port that another program listens on, before anything is started."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            msg = (
                f"port {port} cannot be used: most often another program, maybe another `ccgi ui`, "
                "listens there. End it, or name another port with --port"
            )
            raise click.ClickException(msg) from None
