"""The command ``warehouse``: moves one to PostgreSQL and object storage, and back.

Belongs here: its arguments and what is printed. The environment names the place to move to.
"""

from __future__ import annotations

from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo, warehouse_option
from ccgi_pipeline.operations.audit_log import Act, recorded_act


@click.group()
def warehouse() -> None:
    """Moves a warehouse into PostgreSQL or back into its folder."""


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
