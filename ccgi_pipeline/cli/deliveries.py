"""The commands ``deliveries`` and ``rebuild``: what was delivered, and the same bytes once more.

Belongs here: their arguments and tables, and putting a rebuilt file where the operator wants it.
Does not belong here: making it (rebuilding), sending (delivery).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePosixPath

import click

from ccgi_pipeline.cli.common import EXAMPLE, print_table
from ccgi_pipeline.common.errors import PipelineError
from ccgi_pipeline.delivery.ledger import (
    Delivery,
    DeliveryLedger,
    DeliveryState,
    MadeFile,
    ledger_exists,
    open_ledger,
)
from ccgi_pipeline.operations.audit_log import Act, recorded_act

_warehouse = click.option(
    "--warehouse",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    required=True,
    help="The warehouse whose deliveries they are.",
)
_SHOWN_OF_ID = 12
"""Digits of an id in a table: enough to name a delivery by them."""


@click.group()
def deliveries() -> None:
    """What was sent to districts' folders, and what became of it there."""


@deliveries.command(
    "list",
    epilog=EXAMPLE.format(
        "ccgi deliveries list --warehouse data/demo/warehouse --district 3367173 --state changed"
    ),
)
@_warehouse
@click.option("--district", help="One district's, by CD code.")
@click.option(
    "--state",
    "states",
    type=click.Choice([str(state) for state in DeliveryState]),
    multiple=True,
    help="In this state only; may be given several times.",
)
@click.option(
    "--newest",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="So many, the newest ones.",
)
def list_(warehouse: Path, district: str | None, states: tuple[str, ...], newest: int) -> None:
    """Shows deliveries, the newest last; times are UTC."""
    _must_exist(warehouse)
    with open_ledger(warehouse) as ledger:
        wanted = [DeliveryState(state) for state in states] or [*DeliveryState]
        found = ledger.find_deliveries(owner=district, states=wanted)
        since = ledger.read_state_times()
    if not found:
        click.echo("There is no such delivery.")
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
        click.echo(f"... and {len(found) - newest:,} older ones (--newest)")


@deliveries.command(epilog=EXAMPLE.format("ccgi deliveries show 3f2a --warehouse warehouse"))
@click.argument("id_", metavar="ID")
@_warehouse
def show(id_: str, warehouse: Path) -> None:
    """Shows one delivery with the states that it went through; the beginning of its id will do."""
    _must_exist(warehouse)
    with open_ledger(warehouse) as ledger:
        delivery = _the_delivery(ledger, id_)
        made = ledger.find_made(delivery.path, delivery.sha256)
        _print_delivery(delivery, ledger)
    if made is not None:
        _print_made(made)


@click.command(
    epilog=EXAMPLE.format("ccgi rebuild --delivery 3f2a --warehouse warehouse --out again.csv")
)
@click.option("--delivery", "id_", metavar="ID", help="The delivery, by the beginning of its id.")
@click.option("--path", "path", help="Or the file, by its path in the outbox: the newest of it.")
@_warehouse
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to put it [its own name, in this folder].",
)
@click.option("--force", is_flag=True, help="Also over a file that is there.")
def rebuild(
    id_: str | None, path: str | None, warehouse: Path, out: Path | None, *, force: bool
) -> None:
    """Makes a file again that was made for a district, from the warehouse as it was that night.

    It is written only if it is, byte for byte, what it was: pupils' data, readable by you alone.
    """
    from ccgi_pipeline.operations import rebuild as rebuild_operation  # noqa: PLC0415 - it takes its time to import

    if (id_ is None) == (path is None):
        msg = "name the file, either by --delivery or by --path"
        raise click.UsageError(msg)
    _must_exist(warehouse)
    with open_ledger(warehouse) as ledger:
        made = _made(ledger, id_, path)
        sent = [_the_delivery(ledger, id_)] if id_ else ledger.list_for_file(made)
        out = out or Path(PurePosixPath(made.path).name)
        if out.exists() and not force:
            raise click.ClickException(_IS_THERE.format(out))
        try:
            about = {"path": made.path, "sha256": made.sha256, "district": made.owner}
            with recorded_act(warehouse, Act.REBUILT, about):
                content = rebuild_operation.rebuild_file(warehouse, made)
        except PipelineError as wrong:
            raise click.ClickException(str(wrong)) from None
        _put(content, out, force=force)
        click.echo(f"{out}: made again, {len(content):,} bytes")
        _print_made(made)
        for delivery in sent:
            _print_delivery(delivery, ledger)


_IS_THERE = "{} is there already; --force writes over it"


def _must_exist(warehouse: Path) -> None:
    if not ledger_exists(warehouse):
        raise click.ClickException(f"nothing was ever made in {warehouse}")  # noqa: EM102 - shown as it is


def _the_delivery(ledger: DeliveryLedger, id_: str) -> Delivery:
    try:
        return ledger.get_delivery(id_)
    except PipelineError as wrong:
        raise click.ClickException(str(wrong)) from None


def _made(ledger: DeliveryLedger, id_: str | None, path: str | None) -> MadeFile:
    if id_ is not None:
        delivery = _the_delivery(ledger, id_)
        made = ledger.find_made(delivery.path, delivery.sha256)
    else:
        made = ledger.find_made(PurePosixPath(path or "").as_posix())
    if made is None:
        raise click.ClickException("it is not known of what that file was made")  # noqa: EM101
    return made


def _print_delivery(delivery: Delivery, ledger: DeliveryLedger) -> None:
    click.echo(f"delivery {delivery.id} of {delivery.owner}")
    click.echo(f"  to {delivery.server}: {delivery.remote}")
    for state, at in ledger.read_history(delivery.id):
        click.echo(f"  {_moment(at)} UTC  {_in_words(state)}")


def _print_made(made: MadeFile) -> None:
    click.echo(f"{made.path}")
    click.echo(f"  night    {made.night}")
    click.echo(f"  snapshot {made.snapshot}")
    click.echo(f"  settings {made.settings or 'none'}")
    click.echo(f"  SHA-256  {made.sha256}")


def _in_words(state: str) -> str:
    return str(state).replace("_", " ")


def _moment(at: str) -> str:
    """``2026-11-22 10:05:12`` of an ISO moment."""
    return at[:19].replace("T", " ")


def _put(content: bytes, out: Path, *, force: bool) -> None:
    """Puts ``content`` at ``out`` whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=out.parent, prefix=".rebuilt-", delete=False) as part:
        unfinished = Path(part.name)
        try:
            part.write(content)
            part.flush()
            os.fsync(part.fileno())
            if force:
                unfinished.replace(out)
            else:
                out.hardlink_to(unfinished)  # fails where something came there meanwhile
        except FileExistsError:
            raise click.ClickException(_IS_THERE.format(out)) from None
        except OSError as error:
            raise click.ClickException(f"{out}: {error.strerror}") from None  # noqa: EM102
        finally:
            unfinished.unlink(missing_ok=True)
