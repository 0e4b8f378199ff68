"""The command ``hold``: drops that wait for an operator.

Belongs here: listing held drops and recording answers. The next night acts on an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from ccgi_pipeline.warehouse.load.approvals import Hold


@click.group()
def hold() -> None:
    """Shows and answers drops that wait for an operator.

    A drop is held if it would end or add far more records than usual, or if Foster Focus does not
    know many of its students.
    """


@hold.command("list", epilog=EXAMPLE.format("ccgi hold list"))
@warehouse_option()
def list_(warehouse: Path) -> None:
    """Shows the held drops, newest first."""
    from ccgi_pipeline.warehouse.load import approvals
    from ccgi_pipeline.warehouse.storage.connection import open_warehouse

    _bring_up_to_date(warehouse)
    with open_warehouse(warehouse, read_only=True) as connection:
        found = approvals.read_holds(connection)
    if not found:
        echo("No drop is held.")
        return
    print_table(
        ("drop", "district", "family", "night", "would end", "would add", "state"),
        [
            (
                held.drop,
                held.sender,
                held.family,
                f"{held.night:%Y-%m-%d}",
                held.would_end,
                held.would_add,
                held.state,
            )
            for held in found
        ],
    )


@hold.command(epilog=EXAMPLE.format("ccgi hold show 3f2a"))
@click.argument("drop")
@warehouse_option()
def show(drop: str, warehouse: Path) -> None:
    """Shows what a held drop would end or add, and the likely cause."""
    from ccgi_pipeline.warehouse.load import approvals
    from ccgi_pipeline.warehouse.storage.connection import open_warehouse

    _bring_up_to_date(warehouse)
    with open_warehouse(warehouse, read_only=True) as connection:
        held = approvals.find_hold(connection, drop)
    _print_hold(held)


def _bring_up_to_date(warehouse: Path) -> None:
    """Adds tables that a warehouse of an older version lacks; skipped while a night writes."""
    from ccgi_pipeline.warehouse.storage.connection import upgrade_tables
    from ccgi_pipeline.warehouse.storage.locks import WarehouseBusyError
    from ccgi_pipeline.warehouse.storage.writers import exclusive_writer

    with suppress(WarehouseBusyError), exclusive_writer(warehouse):
        upgrade_tables(warehouse)


def _print_hold(held: Hold) -> None:
    echo(f"{held.drop}: {held.family} of {held.sender}, night of {held.night:%Y-%m-%d}")
    echo(f"{held.state}{f' ({held.reason})' if held.reason else ''}")
    print_table(
        ("feed", "school", "would end", "would add", "active", "likely cause"),
        [
            (t.feed, t.school or "all", t.would_end, t.would_add, t.active, t.cause)
            for t in held.losses
        ],
    )


def _with_an_answer(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that every answer needs."""
    options: list[Any] = [
        click.argument("drop"),
        warehouse_option(),
        click.option("--by", required=True, help="Your name."),
        click.option("--reason", required=True, help="Why. Name no student."),
        night_date_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


@hold.command(
    epilog=EXAMPLE.format('ccgi hold approve 3f2a --by "A. Name" --reason "new school year"')
)
@click.option("--adds-only", is_flag=True, help="Load the lines, but end no record.")
@_with_an_answer
def approve(
    drop: str, warehouse: Path, by: str, reason: str, on: date | None, *, adds_only: bool
) -> None:
    """Approves a held drop: the next night loads it. The approval expires."""
    from ccgi_pipeline.warehouse.load.roster_guard import ADDS_ONLY, APPROVED

    answer = ADDS_ONLY if adds_only else APPROVED
    _answer(drop, warehouse, answer, by=by, reason=reason, on=on or today())


@hold.command(epilog=EXAMPLE.format('ccgi hold discard 3f2a --by "A. Name" --reason "wrong file"'))
@_with_an_answer
def discard(drop: str, warehouse: Path, by: str, reason: str, on: date | None) -> None:
    """Discards a held drop: it is never loaded."""
    from ccgi_pipeline.warehouse.load.roster_guard import DISCARDED

    _answer(drop, warehouse, DISCARDED, by=by, reason=reason, on=on or today())


def _answer(drop: str, warehouse: Path, answer: str, *, by: str, reason: str, on: date) -> None:
    from ccgi_pipeline.profiles import read_profiles
    from ccgi_pipeline.warehouse.load import approvals
    from ccgi_pipeline.warehouse.load.roster_guard import DISCARDED
    from ccgi_pipeline.warehouse.storage.connection import write_warehouse

    act = Act.DISCARDED if answer == DISCARDED else Act.APPROVED
    with write_warehouse(warehouse) as connection:
        profiles = read_profiles(warehouse)
        held = approvals.find_hold(connection, drop)
        about = {"drop": held.drop, "district": held.sender, "answer": answer}
        with recorded_act(warehouse, act, about, by=by, reason=reason):
            held = approvals.decide_hold(
                connection, held.drop, answer, by=by, reason=reason, on=on, profiles=profiles
            )
    echo(f"{held.drop}: {held.state}")
