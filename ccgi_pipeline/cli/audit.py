"""The command ``audit``: the log of what was done by hand, and the proof that it is unchanged.

Belongs here: its arguments and what it prints.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo, print_table, warehouse_option

if TYPE_CHECKING:
    from ccgi_pipeline.operations.audit_log import Head


@click.group()
def audit() -> None:
    """Shows and proves the log of what was done by hand."""


@audit.command("list", epilog=EXAMPLE.format("ccgi audit list"))
@warehouse_option("The warehouse, or the folder of the look-up, whose log it is.")
@click.option("--student", metavar="SSID", help="Entries about this student only.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
def list_(warehouse: Path, student: str | None, form: str) -> None:
    """Shows the entries, oldest first. Students appear as pseudonyms; --student finds one."""
    from ccgi_pipeline.operations import audit_log as log

    found = log.read_entries(warehouse)
    if student is not None:
        name = log.make_pseudonym(warehouse, student)
        found = [entry for entry in found if entry.about.get("student") == name]
    if form == "json":
        echo(json.dumps([asdict(entry) for entry in found], indent=2))
        return
    if not found:
        echo("No entry.")
        return
    print_table(
        ("number", "at (UTC)", "who", "account", "what", "about what, and why"),
        [
            (
                entry.number,
                entry.at[:19].replace("T", " "),
                entry.who,
                entry.account,
                entry.act,
                "; ".join(
                    (*(f"{name} {value}" for name, value in entry.about.items()), entry.reason)
                ),
            )
            for entry in found
        ],
    )


@audit.command(epilog=EXAMPLE.format("ccgi audit verify --head 12:3f2a..."))
@warehouse_option("The warehouse, or the folder of the look-up, whose log it is.")
@click.option(
    "--head",
    "heads",
    multiple=True,
    help="NUMBER:HASH, a head that was kept elsewhere: the log must contain it. Every run keeps "
    "one in the metadata of the asset district_status.",
)
def verify(warehouse: Path, heads: Sequence[str]) -> None:
    """Proves that no entry was changed, removed or added.

    Exit status 1: an entry was.
    """
    from ccgi_pipeline.operations import audit_log as log

    try:
        end: Head = log.verify_log(warehouse, [log.Head.of(text) for text in heads])
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
    echo(f"{end.number:,} entries, each as it was written. Head: {end}")
