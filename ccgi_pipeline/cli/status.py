"""The command ``status``: the newest drops and deliveries of every sender.

Belongs here: its arguments and the table.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FAILURE,
    Sender,
    date_option,
    echo,
    print_table,
    today,
    warehouse_option,
)

if TYPE_CHECKING:
    from ccgi_pipeline.oneroster_api.fetch_status import FetchStatus


@click.command(epilog=EXAMPLE.format("ccgi status"))
@warehouse_option()
@click.option("--district", type=Sender(), help="One sender only, by CD code.")
@click.option("--bad", is_flag=True, help="Show only what needs attention.")
@date_option
def status(warehouse: Path, district: str | None, on: date | None, *, bad: bool) -> None:
    """Shows each district's newest drops and deliveries.

    Reports that are not written daily at this time of the year are listed below, with the last
    night that wrote them and the next day; then servers that refused the last scan, SSIDs that are
    claimed, CCCIDs of two students, and OpenPGP keys that end soon. Exit status 1: a server
    refuses, a newest drop was refused or is held, a file waits to be sent, a claim waits for an
    answer, a CCCID is of two students, or a key keeps everything from being sent.
    """
    from ccgi_pipeline.intake.inbox_state import read_refusing_servers
    from ccgi_pipeline.monitoring.district_status import (
        count_cccids,
        count_claims,
        read_key_notices,
        read_report_cadence,
        read_statuses,
    )
    from ccgi_pipeline.oneroster_api.fetch_status import read_fetch_statuses
    from ccgi_pipeline.profiles import read_profiles

    found = read_statuses(warehouse, on or today(), district)
    claimed = count_claims(warehouse, district)
    shared = 0 if district else count_cccids(warehouse)
    refusing = {} if district else read_refusing_servers(warehouse)
    told_keys, held = read_key_notices(warehouse, district)
    fetches = read_fetch_statuses(warehouse, read_profiles(warehouse), datetime.now(UTC), district)
    unfetched = any(fetch.needs_attention for fetch in fetches)
    shown = [standing for standing in found if standing.needs_attention or not bad]
    if not shown and not (bad and (refusing or claimed or shared or held or unfetched)):
        echo("Nothing to look at." if bad else "Nobody has sent anything yet.")
    elif shown:
        # Without a server nothing is delivered, and there is nothing to say of it.
        sent = any(standing.delivered or standing.waiting for standing in shown)
        names = ("sender", "family", "night", "age", "verdict", "lines", "kept out")
        print_table(
            (*names, *(("delivered", "to send") if sent else ())),
            [
                (
                    " ".join(dict.fromkeys((standing.sender, standing.name))),
                    standing.family,
                    f"{standing.night:%Y-%m-%d}",
                    standing.age,
                    standing.verdict.replace("_", " "),
                    standing.lines,
                    standing.kept_out,
                    *(
                        ((standing.delivered or "")[:16].replace("T", " "), standing.waiting)
                        if sent
                        else ()
                    ),
                )
                for standing in shown
            ],
        )
    if not bad:
        for state in read_report_cadence(warehouse, on or today(), district):
            echo(f"Reports: {state.describe()}")
    _print_fetches([fetch for fetch in fetches if fetch.needs_attention or not bad])
    for server, reason in refusing.items():
        echo(f"{server}: {reason}")
    for sender, count in claimed.items():
        echo(f"{sender}: {count:,} SSIDs are known as other students: see `ccgi claims list`")
    if shared:
        where = "see `ccgi lookup shared-cccids`"
        echo(f"cccapply: {shared:,} CCCIDs are on the applications of two students: {where}")
    _print_key_notices(held, told_keys)
    attention = any(standing.needs_attention for standing in found)
    if refusing or claimed or shared or held or unfetched or attention:
        sys.exit(FAILURE)


def _print_fetches(fetches: Sequence[FetchStatus]) -> None:
    for fetch in fetches:
        echo(f"{fetch.cd}: {fetch.words}")


def _print_key_notices(held: Mapping[str, str], told: Sequence[str]) -> None:
    for sender, fault in held.items():
        echo(f"{sender}: {fault}. Nothing is sent to it until then")
    for words in told:
        echo(words)
