"""The command ``folders``: districts' folders in the outbox, and other names for them.

Belongs here: listing what the directory would change, and recording an approval.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    date_option,
    echo,
    print_table,
    today,
    warehouse_option,
)
from ccgi_pipeline.operations.audit_log import Act, recorded_act


@click.group()
def folders() -> None:
    """Shows and answers new names of outbox folders.

    A district keeps its folder if the directory gives it another name, until that is approved.
    """


@folders.command("list", epilog=EXAMPLE.format("ccgi folders list"))
@warehouse_option()
def list_(warehouse: Path) -> None:
    """Shows the districts whose folder would have another name by the directory."""
    from ccgi_pipeline.warehouse.load.outbox_folders import read_folder_changes
    from ccgi_pipeline.warehouse.storage.connection import open_warehouse

    with open_warehouse(warehouse, read_only=True) as connection:
        found = read_folder_changes(connection)
    if not found:
        echo("Every folder has the name that the directory gives.")
        return
    print_table(
        ("district", "folder", "by the directory", "folder of"),
        [(one.cd, one.folder, one.wanted, one.held_by or "") for one in found],
    )


@folders.command(
    epilog=EXAMPLE.format('ccgi folders approve 3367173 --by "A. Name" --reason "renamed in July"')
)
@click.argument("district")
@warehouse_option()
@click.option("--by", required=True, help="Your name.")
@click.option("--reason", required=True, help="Why.")
@date_option
def approve(district: str, warehouse: Path, by: str, reason: str, on: date | None) -> None:
    """Gives a district the folder that the directory names: from the next night on."""
    from ccgi_pipeline.warehouse.load.outbox_folders import approve_folder
    from ccgi_pipeline.warehouse.storage.connection import write_warehouse

    with write_warehouse(warehouse) as connection:
        about = {"district": district}
        with recorded_act(warehouse, Act.FOLDER_CHANGED, about, by=by, reason=reason):
            change = approve_folder(connection, district, on or today())
    echo(f"{district}: {change.wanted} from the next night on; {change.folder} stays as it is")
