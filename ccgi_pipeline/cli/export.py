"""The command ``export``: tables and reports of all districts as files.

Belongs here: its arguments and what it prints. Does not belong here: which columns and students an
export has, writing it (``ccgi_pipeline.operations.export``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo, progress_bars, today, warehouse_option
from ccgi_pipeline.operations.audit_log import Act, recorded_act

if TYPE_CHECKING:
    from ccgi_pipeline.operations.export import Export, ExportedFile


@click.command(
    epilog=EXAMPLE.format(
        "ccgi export --table course_grades --format csv --out exports\n  "
        "ccgi export --report account --file Agg --format xlsx --out exports"
    )
)
@click.option("--table", "tables", multiple=True, help="A feed's current records: students, ...")
@click.option("--report", "reports", multiple=True, help="The beginning of a report's name.")
@click.option("--file", "part", type=click.Choice(["Agg", "Detail"]), help="Report: which file.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv", "xlsx"]),
    default="parquet",
    show_default=True,
    help="The form of the files.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to write into; it is made if needed.",
)
@click.option(
    "--include",
    "classes",
    multiple=True,
    type=click.Choice(["pii", "restricted", "foster"]),
    help="Columns of this class too: students' data. Needs --reason.",
)
@click.option(
    "--with-opted-out",
    is_flag=True,
    help="Students too whose parents opted out of sharing. Needs --reason.",
)
@click.option("--by", default="", help="Your name, for the audit log [your account's].")
@click.option("--reason", default="", help="Why, for the audit log. Name no student.")
@click.option("--force", is_flag=True, help="Overwrite files.")
@warehouse_option()
def export(  # noqa: PLR0913, PLR0917 - click passes one for each option
    tables: tuple[str, ...],
    reports: tuple[str, ...],
    part: str | None,
    form: str,
    out: Path,
    classes: tuple[str, ...],
    by: str,
    reason: str,
    warehouse: Path,
    *,
    with_opted_out: bool,
    force: bool,
) -> None:
    """Writes tables and reports of all districts as files.

    Without --include the files have only columns of no class: no names, no numbers of students,
    nothing restricted. The rows of a table are still about single students. Students whose parents
    opted out are left out, and so are records without an SSID, because nobody can tell whose they
    are.
    """
    if not tables and not reports:
        msg = "name what to export, by --table or --report"
        raise click.UsageError(msg)
    if (classes or with_opted_out) and not reason.strip():
        msg = "--include and --with-opted-out need a --reason, for the audit log"
        raise click.UsageError(msg)
    from ccgi_pipeline.feeds.columns import ColumnClass
    from ccgi_pipeline.operations import export as operation
    from ccgi_pipeline.operations.trace import find_report
    from ccgi_pipeline.profiles import read_profiles
    from ccgi_pipeline.warehouse.storage.connection import open_warehouse

    scope = operation.ExportScope(
        classes=frozenset(map(ColumnClass, classes)), opted_out=with_opted_out
    )
    feeds = [operation.find_feed(name) for name in tables]
    specs = [find_report(name) for name in reports]
    chosen = operation.ExportFormat(form)
    about: dict[str, str | int] = {
        "exported": ", ".join([*(f.current_view for f in feeds), *(s.name for s in specs)]),
        "format": form,
        "classes": ", ".join(sorted(scope.classes)) or "none",
        "opted-out students": "included" if with_opted_out else "left out",
    }
    with open_warehouse(warehouse, read_only=True) as connection:
        profiles = read_profiles(warehouse)
        with recorded_act(warehouse, Act.EXPORTED, about, by=by, reason=reason), progress_bars():
            for feed in feeds:
                made = operation.export_records(connection, feed, scope, chosen)
                _print_file(made, operation.write_export(made, chosen, out, force=force))
            on = operation.read_newest_night(connection) if specs else today()
            for spec in specs:
                file = part or ("Detail" if "Detail" in spec.files else spec.files[0])
                made = operation.export_report(connection, spec, file, scope, profiles, on)
                _print_file(made, operation.write_export(made, chosen, out, force=force))


def _print_file(made: Export, written: ExportedFile) -> None:
    sheets = f" on {written.sheets} sheets" if written.sheets > 1 else ""
    echo(f"{written.path}: {written.rows:,} rows{sheets}, {len(made.columns)} columns")
    if made.left_out:
        echo(f"  columns left out: {', '.join(made.left_out)}")
    if made.opted_out:
        echo(f"  rows left out of students whose parents opted out: {made.opted_out:,}")
    if made.without_ssid:
        echo(f"  rows left out because they have no SSID: {made.without_ssid:,}")
