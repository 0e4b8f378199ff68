"""The command ``claims``: SSIDs that two districts list as different students.

Belongs here: listing claims, showing what differs, and recording answers. A student's values are
printed only where that is asked for, and the audit log records it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    echo,
    night_date_option,
    print_table,
    today,
    warehouse_option,
)
from ccgi_pipeline.operations.audit_log import Act, recorded_act


@click.group()
def claims() -> None:
    """Shows and answers SSIDs that two districts claim.

    Until it is decided whose student it is, only the district that listed the SSID first has the
    student in its reports.
    """


@claims.command("list", epilog=EXAMPLE.format("ccgi claims list"))
@warehouse_option()
@click.option("--all", "every", is_flag=True, help="Also those that are decided.")
def list_(warehouse: Path, *, every: bool) -> None:
    """Shows the claims that wait for an answer, newest first."""
    from ccgi_pipeline.warehouse.load.claims import read_claims
    from ccgi_pipeline.warehouse.storage.connection import open_warehouse

    with open_warehouse(warehouse, read_only=True) as connection:
        found = [claim for claim in read_claims(connection) if every or claim.waits]
    if not found:
        echo("No SSID is claimed." if every else "No claim waits for an answer.")
        return
    print_table(
        ("claim", "since", "districts", "kept out", "state"),
        [
            (
                claim.id,
                f"{claim.since:%Y-%m-%d}",
                " ".join(listing.cd for listing in claim.listings),
                " ".join(claim.claimants),
                claim.state,
            )
            for claim in found
        ],
    )


@claims.command(epilog=EXAMPLE.format("ccgi claims show 3f2a"))
@click.argument("claim")
@warehouse_option()
@click.option(
    "--show-values",
    is_flag=True,
    help="Show SSID, names and birth dates: students' data, for your own screen only.",
)
def show(claim: str, warehouse: Path, *, show_values: bool) -> None:
    """Shows which districts list the SSID, in which lines, and what differs."""
    from ccgi_pipeline.warehouse.load.claims import find_claim, read_claimed_identities
    from ccgi_pipeline.warehouse.storage.connection import open_warehouse

    with open_warehouse(warehouse, read_only=True) as connection:
        found = find_claim(connection, claim)
        about = {"claim": found.id, "values": "shown" if show_values else "not shown"}
        with recorded_act(warehouse, Act.CLAIM_SHOWN, about):
            values = read_claimed_identities(connection, found) if show_values else {}
    echo(f"{found.id}, since the night of {found.since:%Y-%m-%d}")
    echo(f"{found.state}{f' ({found.reason})' if found.reason else ''}")
    print_table(
        ("district", "roster", "sees the student", "drop", "line", "differs in"),
        [
            (
                listing.cd,
                "now" if listing.active else "formerly",
                "yes" if listing.sees else "no",
                listing.drop[:12],
                listing.line,
                ", ".join(listing.differs) or "nothing (the state's identities do)",
            )
            for listing in found.listings
        ],
    )
    for cd, cells in values.items():
        echo(f"{cd}: {', '.join(f'{name} {value}' for name, value in cells.items())}")


@claims.command(
    epilog=EXAMPLE.format(
        'ccgi claims decide 3f2a --sees 3367173 --by "A. Name" --reason "CALPADS says so"'
    )
)
@click.argument("claim")
@warehouse_option()
@click.option("--sees", "see", multiple=True, help="A district whose student it is. Repeatable.")
@click.option("--nobody", is_flag=True, help="It is the student of none of them.")
@click.option("--by", required=True, help="Your name.")
@click.option("--reason", required=True, help="Why. Name no student.")
@night_date_option
def decide(  # noqa: PLR0913 - click passes one for each option
    claim: str,
    warehouse: Path,
    see: tuple[str, ...],
    by: str,
    reason: str,
    on: date | None,
    *,
    nobody: bool,
) -> None:
    """Decides whose student it is: the next reports follow."""
    from ccgi_pipeline.warehouse.load.claims import decide_claim, find_claim
    from ccgi_pipeline.warehouse.storage.connection import write_warehouse

    if bool(see) == nobody:
        msg = "say whose student it is: --sees with a CD code, or --nobody"
        raise click.UsageError(msg)
    with write_warehouse(warehouse) as connection:
        found = find_claim(connection, claim)
        about = {"claim": found.id, "districts": " ".join(see) or "nobody"}
        with recorded_act(warehouse, Act.CLAIM_DECIDED, about, by=by, reason=reason):
            decide_claim(connection, found.id, see, by=by, reason=reason, on=on or today())
    echo(f"{found.id}: seen by {', '.join(see) or 'nobody'} from now on")
