"""The command ``support-bundle``: the state of an installation, for support from outside.

Belongs here: its arguments, and where the file is put.
"""

from __future__ import annotations

from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo, warehouse_option
from ccgi_pipeline.encryption.sqlite import OWNER_ONLY


@click.command(
    "support-bundle",
    epilog=EXAMPLE.format("ccgi support-bundle --out support.zip"),
)
@warehouse_option(fits=Path.is_dir)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The zip to write; it must not exist.",
)
@click.option("--drop", help="The beginning of a drop's id: adds the shape of its files.")
def support_bundle(warehouse: Path, out: Path, drop: str | None) -> None:
    """Writes a zip for support, without personal data.

    It holds structure and counts. Read its READ_ME_FIRST.md before you send it.
    """
    # Dagster takes seconds to import; commands that do not need it do not wait for it.
    from ccgi_pipeline.defs.recorded_runs import read_last_runs
    from ccgi_pipeline.monitoring.support_bundle.bundle import build_support_bundle

    try:
        content = build_support_bundle(warehouse, read_last_runs(warehouse / "dagster"), drop)
        with out.open("xb") as file:
            out.chmod(OWNER_ONLY)
            file.write(content)
    except FileExistsError:
        raise click.ClickException(f"{out} is there already") from None  # noqa: EM102 - shown so
    echo(f"{out}: read READ_ME_FIRST.md in it before you send it")
