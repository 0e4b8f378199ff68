"""The command ``worker``: steps of nights, taken from Celery's broker.

Belongs here: its arguments.
"""

from __future__ import annotations

from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, inbox_option, outbox_option, warehouse_option


@click.command(epilog=EXAMPLE.format("ccgi worker --inbox in --outbox out --warehouse warehouse"))
@inbox_option(exists=False)
@outbox_option(exists=False)
@warehouse_option(exists=False)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many steps it takes at once.",
)
def worker(inbox: Path, outbox: Path, warehouse: Path, processes: int) -> None:
    """Takes steps of nights from Celery's broker.

    It goes on until it is stopped.
    """
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.runtime.worker_process import run_worker

    run_worker(PipelinePaths(inbox, outbox, warehouse), processes)
