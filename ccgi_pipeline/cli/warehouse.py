"""The command ``warehouse``: verifies one, or moves it to PostgreSQL and object storage, and back.

Belongs here: its arguments and what is printed. The environment names the place to move to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FAILURE,
    echo,
    outbox_option,
    print_table,
    progress_bars,
    warehouse_option,
)
from ccgi_pipeline.operations.audit_log import Act, recorded_act


@click.group()
def warehouse() -> None:
    """Verifies a warehouse; moves it into PostgreSQL or back."""


@warehouse.command("verify", epilog=EXAMPLE.format("ccgi warehouse verify"))
@warehouse_option()
@outbox_option(exists=False)
def verify(warehouse: Path, outbox: Path) -> None:
    """Checks that every file is as it was written.

    Catalog, tables with all former states, archive, the other databases of the folder, and what
    lies in the outbox. Nothing is changed. Exit status 1: something is damaged or gone.
    """
    from ccgi_pipeline.common.errors import TablesDamagedError
    from ccgi_pipeline.common.runbook import runbook_link
    from ccgi_pipeline.operations.verification import verify_warehouse

    with progress_bars():
        parts = verify_warehouse(warehouse, outbox)
    print_table(
        ("part", "checked", "damaged"),
        [(part.name, part.checked, len(part.faults)) for part in parts],
    )
    for part in parts:
        for fault in part.faults[:_FAULTS_NAMED]:
            echo(f"{part.name}: {fault}")
        if more := len(part.faults[_FAULTS_NAMED:]):
            echo(f"{part.name}: and {more:,} more")
    if any(part.faults for part in parts):
        echo(f"What to do: {runbook_link(TablesDamagedError.__name__)}")
        sys.exit(FAILURE)


_FAULTS_NAMED = 50


@warehouse.command("move", epilog=EXAMPLE.format("ccgi warehouse move --to-postgres"))
@warehouse_option()
@click.option(
    "--to-postgres/--to-folder",
    "to_postgres",
    default=None,
    required=True,
    help="Into the database of CCGI_CATALOG (tables: to CCGI_TABLES), or back.",
)
def move(warehouse: Path, *, to_postgres: bool) -> None:
    """Moves the catalog, with all its snapshots, into PostgreSQL or back into the folder.

    The source is kept. No night may write at the same time.
    """
    from ccgi_pipeline.warehouse.storage import relocation

    with recorded_act(warehouse, Act.MOVED, {"to": "PostgreSQL" if to_postgres else "the folder"}):
        moved = (
            relocation.move_to_postgres(warehouse)
            if to_postgres
            else relocation.move_to_folder(warehouse)
        )
    echo(
        f"{moved.rows:,} rows of the catalog with {moved.snapshots:,} snapshots were moved, "
        f"and {moved.files:,} files of tables."
    )
    if to_postgres:
        echo("Keep CCGI_CATALOG set: without it the warehouse does not open.")
    else:
        echo("Unset CCGI_CATALOG and CCGI_TABLES: with them the warehouse does not open.")
