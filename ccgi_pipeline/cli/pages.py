"""The command ``pages``: writes the pages with pictures, as a night does at its end.

Belongs here: its arguments, and what it prints. Does not belong here: the pages (dashboards).
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FAILURE,
    date_option,
    echo,
    outbox_option,
    progress_bars,
    today,
    warehouse_option,
)


@click.command(epilog=EXAMPLE.format("ccgi pages --outbox out --warehouse warehouse"))
@outbox_option()
@warehouse_option()
@date_option
def pages(outbox: Path, warehouse: Path, on: date | None) -> None:
    """Writes the pages of districts and of the state.

    Each night does the same at its end. A page that would not change is not written again. Exit
    status 1: a page could not be made.
    """
    from ccgi_pipeline.dashboards.page_files import INDEX
    from ccgi_pipeline.dashboards.publication import write_district_pages, write_state_page
    from ccgi_pipeline.defs.recorded_runs import read_recorded_night_times
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.profiles import read_profiles
    from ccgi_pipeline.warehouse.storage.connection import write_warehouse

    folders = PipelinePaths(Path(), outbox, warehouse)  # no inbox is looked into
    day = on or today()
    nights = read_recorded_night_times(warehouse / "dagster")
    with progress_bars(), write_warehouse(warehouse) as connection:
        districts = write_district_pages(connection, folders, day)
        write_state_page(connection, folders, day, nights)
    echo(f"{districts.pages:,} districts; {districts.written:,} pages changed and were written.")
    echo(f"Of the state: {read_profiles(warehouse).pages.locate(warehouse) / INDEX}")
    if districts.failed:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in districts.failed.items())
        echo(f"Pages that could not be made: {kinds}")
        sys.exit(FAILURE)
