"""The command ``fetch``: a district's roster by its OneRoster API.

Belongs here: its arguments and what it prints. Does not belong here: fetching (``oneroster_api``,
``nightly.roster_fetches``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FAILURE,
    Sender,
    echo,
    inbox_option,
    may_become_warehouse,
    print_table,
    progress_bars,
    warehouse_option,
)

if TYPE_CHECKING:
    from ccgi_pipeline.nightly.roster_fetches import FetchOutcome
    from ccgi_pipeline.oneroster_api.offer import Offer
    from ccgi_pipeline.profile_oneroster_api import OneRosterApiProfile


@click.command(epilog=EXAMPLE.format("ccgi fetch --district 3367173 --dry-run"))
@click.option(
    "--district",
    "districts",
    type=Sender(),
    multiple=True,
    help="The district, by CD code; may be given several times.",
)
@click.option("--due", is_flag=True, help="All districts whose roster is due by their profiles.")
@click.option("--full", is_flag=True, help="Fetch everything, also where changes would do.")
@click.option("--dry-run", is_flag=True, help="Show what the server offers; keep nothing.")
@inbox_option(exists=False)
@warehouse_option(exists=False, fits=may_become_warehouse)
def fetch(
    districts: tuple[str, ...],
    inbox: Path,
    warehouse: Path,
    *,
    due: bool,
    full: bool,
    dry_run: bool,
) -> None:
    """Fetches a district's roster by its OneRoster API.

    The roster becomes a drop in the district's inbox, which the next night takes. The profile
    names the server (docs/oneroster-api.md). With --dry-run nothing is kept: a few records of each
    collection show whether the server is sound. Exit status 1: a fetch failed, or the server is
    not sound.
    """
    from ccgi_pipeline.nightly.paths import PipelinePaths
    from ccgi_pipeline.nightly.roster_fetches import fetch_districts, find_due_districts
    from ccgi_pipeline.oneroster_api.district_fetch import FetchOptions
    from ccgi_pipeline.profiles import read_profiles

    if bool(districts) == due:
        msg = "name a district (--district 3367173), or give --due"
        raise click.UsageError(msg)
    folders = PipelinePaths(inbox, warehouse.parent, warehouse)
    if due:
        profiles, chosen = find_due_districts(folders)
        if not chosen:
            echo("No roster is due.")
            return
    else:
        profiles, chosen = read_profiles(warehouse), [*dict.fromkeys(districts)]
    for cd in chosen:
        if cd not in profiles.api_districts:
            msg = (
                f"the profile of {cd} names no OneRoster API: write server and the rest into "
                f"[districts.{cd}.oneroster_api] of {warehouse / 'profiles.toml'}"
            )
            raise click.UsageError(msg)
    if dry_run:
        sound = [_show_offer(cd, profiles.of(cd).oneroster_api) for cd in chosen]
        sys.exit(0 if all(sound) else FAILURE)
    with progress_bars():
        outcomes = fetch_districts(folders, profiles, chosen, FetchOptions(full=full))
    _print_outcomes(outcomes)
    if any(outcome.result is None for outcome in outcomes):
        sys.exit(FAILURE)


def _print_outcomes(outcomes: Sequence[FetchOutcome]) -> None:
    for outcome in outcomes:
        result = outcome.result
        if result is None:
            echo(f"{outcome.cd}: {outcome.why}", err=True)
            continue
        print_table(
            ("collection", "records", "of", "deleted", "tries", "note"),
            [
                (
                    one.name,
                    one.records,
                    "not told" if one.total is None else one.total,
                    one.gone,
                    one.tries,
                    one.note,
                )
                for one in result.collections
            ],
        )
        echo(f"{outcome.cd}: OneRoster {result.version}, {result.mode} ({result.why})")
        if result.drop is None:
            echo("Nothing is new: there is no drop.")
        else:
            echo(f"The drop is {result.drop}; the next night takes it.")


def _show_offer(cd: str, profile: OneRosterApiProfile) -> bool:
    """Prints what a server offers; returns whether it is sound."""
    from ccgi_pipeline.common.errors import PipelineError
    from ccgi_pipeline.oneroster_api.authorization import read_secret
    from ccgi_pipeline.oneroster_api.client import OneRosterClient
    from ccgi_pipeline.oneroster_api.offer import look_at_offer

    try:
        with OneRosterClient(profile, read_secret(profile)) as client:
            offer = look_at_offer(client, profile)
    except PipelineError as error:
        echo(f"{cd}: {error}", err=True)
        return False
    _print_offer(cd, offer)
    return offer.sound


def _print_offer(cd: str, offer: Offer) -> None:
    print_table(
        ("collection", "total", "sorts", "pages", "filters", "deleted shown", "fault"),
        [
            (
                one.name,
                "not told" if one.total is None else one.total,
                _in_words(one.sorts),
                _in_words(one.pages),
                _in_words(one.filters),
                one.gone,
                one.fault or "",
            )
            for one in offer.collections
        ],
    )
    echo(f"{cd}: OneRoster {offer.version} at {offer.address}")
    if not any(one.filters for one in offer.collections):
        echo("The server does not filter by dateLastModified: every fetch will be full.")
    if offer.sound:
        echo("The server is sound: `ccgi fetch` can begin.")
    else:
        echo("The server is not sound: show the vendor the collections with a fault, or where")
        echo("pages do not begin where they are asked to.")


def _in_words(answer: bool | None) -> str:  # noqa: FBT001 - what it shows
    return {None: "cannot tell", True: "yes", False: "no"}[answer]
