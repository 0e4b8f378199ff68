"""The command ``housekeeping``: old states of the warehouse go, small files are merged.

Belongs here: its arguments and what is printed. Does not belong here: what is kept
(``ccgi_pipeline.operations.housekeeping``).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    echo,
    print_table,
    progress_bars,
    today,
    warehouse_option,
)

if TYPE_CHECKING:
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.warehouse.storage.housekeeping import LakeSize


@click.command(epilog=EXAMPLE.format("ccgi housekeeping --dry-run\n  ccgi housekeeping"))
@warehouse_option()
@click.option("--dry-run", is_flag=True, help="Say what would be done; change nothing.")
def housekeeping(warehouse: Path, *, dry_run: bool) -> None:
    """Lets old states expire and merges small files of the tables.

    Files whose night is older than `housekeeping.keep_snapshots_days` in profiles.toml cannot be
    rebuilt afterwards. No report changes. No night may run at the same time; readers may.
    """
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.operations import housekeeping as operation
    from ccgi_pipeline.operations.audit_log import Act, recorded_act
    from ccgi_pipeline.profiles import read_profiles

    folders = PipelinePaths(Path(), Path(), warehouse)
    settings = read_profiles(warehouse).housekeeping
    day = today()
    if dry_run:
        plan = operation.plan_housekeeping(folders, day)
        _print_sizes({"now": plan.size})
        echo(
            f"{plan.expire:,} states would expire. Files of nights before {plan.since} could not "
            "be rebuilt any more."
        )
        echo(f"{plan.merge:,} small files would be merged by table.")
        echo(f"{plan.remove:,} files that no state needs would be removed.")
        echo("Nothing was changed.")
        return
    about = {"keep_snapshots_days": settings.keep_snapshots_days}
    with recorded_act(warehouse, Act.HOUSEKEPT, about), progress_bars():
        result = operation.keep_house(folders, day)
        runs = _delete_old_runs(folders, day) if settings.keep_runs_days is not None else 0
    _print_sizes({"before": result.before, "after": result.after})
    echo(
        f"{result.expired:,} states expired and {result.removed:,} files were removed, in "
        f"{result.seconds:.1f} s. Files of nights from {result.since} on can be rebuilt."
    )
    if result.after.waiting:
        echo(
            f"{result.after.waiting:,} more files are needed by no state. They wait a day for "
            "readers; the next housekeeping removes them."
        )
    if runs:
        echo(f"{runs:,} runs of Dagster were deleted.")


def _delete_old_runs(folders: PipelinePaths, day: date) -> int:
    from ccgi_pipeline.runtime.dagster_instance import delete_old_runs_of

    return delete_old_runs_of(folders, day)


def _print_sizes(sizes: dict[str, LakeSize]) -> None:
    print_table(
        ("when", "files", "of the newest state", "MiB", "states"),
        [
            (name, size.files, size.live_files, f"{size.bytes / 2**20:,.1f}", size.snapshots)
            for name, size in sizes.items()
        ],
    )
