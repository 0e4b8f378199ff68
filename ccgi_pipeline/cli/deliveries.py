"""The command ``deliveries``: what was delivered to districts' folders.

Belongs here: its arguments and what is printed of a delivery. Does not belong here: sending
(``ccgi_pipeline.delivery``).
"""

from __future__ import annotations

from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, Sender, echo, print_table, warehouse_option
from ccgi_pipeline.delivery.ledger import (
    Delivery,
    DeliveryLedger,
    DeliveryState,
    MadeFile,
    ledger_exists,
    open_ledger,
)

_SHOWN_OF_ID = 12
"""Digits of an id in a table: enough to name a delivery by them."""


@click.group()
def deliveries() -> None:
    """Shows what was delivered to districts' folders.

    Each delivery has a state: sent, verified, picked up, changed, and others.
    """


@deliveries.command(
    "list",
    epilog=EXAMPLE.format("ccgi deliveries list --district 3367173 --state changed"),
)
@warehouse_option()
@click.option("--district", type=Sender(), help="Deliveries of this district only, by CD code.")
@click.option(
    "--state",
    "states",
    type=click.Choice([str(state) for state in DeliveryState]),
    multiple=True,
    help="Deliveries in this state only; may be given several times.",
)
@click.option(
    "--newest",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="The number of deliveries shown, the newest.",
)
def list_(warehouse: Path, district: str | None, states: tuple[str, ...], newest: int) -> None:
    """Shows deliveries, the newest last; times are UTC."""
    require_ledger(warehouse)
    with open_ledger(warehouse) as ledger:
        wanted = [DeliveryState(state) for state in states] or [*DeliveryState]
        found = ledger.find_deliveries(owner=district, states=wanted)
        since = ledger.read_state_times()
    if not found:
        echo("There is no such delivery.")
        return
    print_table(
        ("id", "server", "district", "night", "state", "since", "path"),
        [
            (
                delivery.id[:_SHOWN_OF_ID],
                delivery.server,
                delivery.owner,
                f"{delivery.night}",
                _in_words(delivery.state),
                _moment(since[delivery.id]),
                delivery.path,
            )
            for delivery in found[-newest:]
        ],
    )
    if len(found) > newest:
        echo(f"... and {len(found) - newest:,} older ones (--newest)")


@deliveries.command(epilog=EXAMPLE.format("ccgi deliveries show 3f2a"))
@click.argument("id_", metavar="ID")
@warehouse_option()
def show(id_: str, warehouse: Path) -> None:
    """Shows one delivery and its states. The beginning of the ID is enough."""
    require_ledger(warehouse)
    with open_ledger(warehouse) as ledger:
        delivery = find_delivery(ledger, id_)
        made = ledger.find_made(delivery.path, delivery.sha256)
        print_delivery(delivery, ledger)
    if made is not None:
        print_made(made)


def require_ledger(warehouse: Path) -> None:
    """Refuses a warehouse without a ledger of deliveries."""
    if not ledger_exists(warehouse):
        raise click.ClickException(f"nothing was ever made in {warehouse}")  # noqa: EM102 - shown as it is


def find_delivery(ledger: DeliveryLedger, id_: str) -> Delivery:
    """Returns the one delivery whose id begins with ``id_``."""
    return ledger.get_delivery(id_)


def print_delivery(delivery: Delivery, ledger: DeliveryLedger) -> None:
    """Prints a delivery and the states it went through."""
    echo(f"delivery {delivery.id} of {delivery.owner}")
    echo(f"  to {delivery.server}: {delivery.remote}")
    if delivery.recipients:
        keys = delivery.recipients.partition(":")[2].replace(",", " ") or "no key any more"
        echo(f"  encrypted to {keys}")
        echo(f"  SHA-256 of what was sent {delivery.cipher or '(not yet)'}")
    for state, at in ledger.read_history(delivery.id):
        echo(f"  {_moment(at)} UTC  {_in_words(state)}")


def print_made(made: MadeFile) -> None:
    """Prints what a file was made from."""
    echo(f"{made.path}")
    echo(f"  night    {made.night}")
    echo(f"  snapshot {made.snapshot}")
    echo(f"  settings {made.settings or 'none'}")
    echo(f"  SHA-256  {made.sha256}")


def _in_words(state: str) -> str:
    return str(state).replace("_", " ")


def _moment(at: str) -> str:
    """``2026-11-22 10:05:12`` of an ISO moment."""
    return at[:19].replace("T", " ")
