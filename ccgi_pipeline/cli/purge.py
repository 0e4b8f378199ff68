"""The command ``purge``: deletes a district's data or old data for good.

Belongs here: its arguments and what is printed. Does not belong here: what is deleted
(``ccgi_pipeline.operations.purge``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FAILURE,
    Day,
    Sender,
    echo,
    inbox_option,
    outbox_option,
    print_table,
    progress_bars,
    warehouse_option,
)


@click.command(
    epilog=EXAMPLE.format("ccgi purge --district 3367173\n  ccgi purge --before 2021-07-01")
)
@warehouse_option()
@outbox_option()
@inbox_option()
@click.option("--district", type=Sender(), help="Delete all data of this district, by its CD code.")
@click.option("--before", type=Day(), help="Delete data from before this day that no report needs.")
@click.option("--apply", "apply_", is_flag=True, help="Do it. Without this, nothing is changed.")
@click.option("--by", default="", help="Your name. Needed with --apply.")
@click.option("--reason", default="", help="Why. Name no student. Needed with --apply.")
def purge(  # noqa: PLR0913, PLR0917 - one for each option
    warehouse: Path,
    outbox: Path,
    inbox: Path,
    district: str | None,
    before: date | None,
    by: str,
    reason: str,
    *,
    apply_: bool,
) -> None:
    """Deletes a district's data or old data, with a proof.

    Shows what would be deleted; --apply deletes it from the archive, the warehouse and all its
    snapshots, receipts, reports, ledgers and Dagster's history. This cannot be undone, and files
    that were delivered before cannot be rebuilt. Exit status 1: some data was still found.
    """
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.operations import purge as purge_operation
    from ccgi_pipeline.warehouse.load.erasure import PurgeSelection

    if (district is None) == (before is None):
        msg = "give one of --district and --before"
        raise click.UsageError(msg)
    if apply_ and not (by.strip() and reason.strip()):
        msg = "--apply needs --by (your name) and --reason (why): a purge cannot be undone"
        raise click.UsageError(msg)
    echo(f"warehouse {warehouse}, outbox {outbox}, inbox {inbox}")
    folders = PipelinePaths(inbox, outbox, warehouse)
    selection = PurgeSelection(district, before)
    if not apply_:
        planned = purge_operation.plan_purge(folders, selection)
        _print_what_goes(planned.rows, planned.files)
        echo("Nothing was changed. --apply --by NAME --reason WHY deletes it for good.")
        return
    from ccgi_pipeline.runtime.dagster_instance import delete_runs

    with progress_bars():
        certificate = purge_operation.run_purge(
            folders,
            selection,
            by=by,
            reason=reason,
            forget_runs=lambda of: delete_runs(warehouse, of),
        )
    _print_what_goes(certificate.rows, certificate.files)
    proof = certificate.proof
    echo(f"{certificate.snapshots:,} snapshots of the warehouse were deleted.")
    echo(
        f"Proof: {proof.values:,} values were searched for in {proof.files:,} files "
        f"({proof.bytes:,} bytes) and all tables."
    )
    for place, found in proof.found.items():
        echo(f"  still found in {place}: {found:,}")
    if certificate.proven:
        echo("  found nowhere")
    number = certificate.audit_entry.partition(":")[0]
    echo(f"Certificate: {warehouse / purge_operation.CERTIFICATES / f'purge-{number}.json'}")
    if not certificate.proven:
        sys.exit(FAILURE)


def _print_what_goes(rows: Mapping[str, int], files: Mapping[str, int]) -> None:
    told = [
        *((f"table {table}", count) for table, count in rows.items()),
        *((place, count) for place, count in files.items() if count),
    ]
    if told:
        print_table(("place", "rows or files"), told)
    else:
        echo("There is nothing to delete.")
