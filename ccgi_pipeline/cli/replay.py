"""The command ``replay``: judges lines again that were kept out, after something has changed.

Belongs here: its arguments, and the tables of before and after. What a replay does is in
``ccgi_pipeline.operations.replay``.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FAILURE,
    FAMILY,
    Sender,
    echo,
    night_date_option,
    print_table,
    progress_bars,
    today,
    warehouse_option,
)
from ccgi_pipeline.operations.audit_log import Act, recorded_act

if TYPE_CHECKING:
    from ccgi_pipeline.warehouse.load.reload import BeforeAndAfter, ReloadResult


@click.command(epilog=EXAMPLE.format("ccgi replay --district 3367173"))
@warehouse_option()
@click.option("--district", type=Sender(), help="Drops of this sender only, by CD code.")
@click.option("--family", type=FAMILY, help="Drops of this family only.")
@click.option("--drop", default="", help="The beginning of a drop's id.")
@click.option("--apply", "apply_", is_flag=True, help="Do it. Without this, nothing is changed.")
@click.option("--by", default="", help="Your name. Needed with --apply.")
@click.option("--reason", default="", help="Why. Name no student.")
@night_date_option
def replay(  # noqa: PLR0913, PLR0917 - one for each option
    warehouse: Path,
    district: str | None,
    family: str | None,
    drop: str,
    by: str,
    reason: str,
    on: date | None,
    *,
    apply_: bool,
) -> None:
    """Judges lines that were kept out once more.

    They are judged by today's rules and settings.

    Shows what becomes of them, before and after. With --apply they are loaded; the next night
    writes reports and receipts. Exit status 1: some drop could not be judged.
    """
    from ccgi_pipeline.operations import replay as replay_operation
    from ccgi_pipeline.warehouse.load.reload import ReloadState, Signature
    from ccgi_pipeline.warehouse.queries.quarantine import ReplaySelection

    if apply_ and not by.strip():
        raise click.UsageError("--apply needs --by: your name")  # noqa: EM101 - shown as it is
    wish = ReplaySelection(district, family, drop)
    with progress_bars():
        if apply_:
            signature = Signature(by.strip(), reason.strip())
            about = {"district": district or "", "family": family or "", "drop": drop}
            with recorded_act(warehouse, Act.REPLAYED, about, by=by, reason=reason):
                told = replay_operation.run_replay(warehouse, wish, on or today(), signature)
        else:
            told = replay_operation.preview_replay(warehouse, wish, on or today())
    if not told:
        echo("No such drop has lines that were kept out.")
        return
    told.sort(key=lambda replayed: replayed.of.position)
    changed = [replayed for replayed in told if replayed.state is ReloadState.CHANGED]
    _print_lines(changed)
    _print_rules(changed)
    _print_others([replayed for replayed in told if replayed.state is not ReloadState.CHANGED])
    _print_end(len(changed), done=apply_)
    if any(replayed.state is ReloadState.FAULT for replayed in told):
        sys.exit(FAILURE)


def _print_lines(changed: Iterable[ReloadResult]) -> None:
    """Prints the fates of each file's lines, before and after."""
    rows = [
        (
            replayed.of.drop,
            replayed.of.sender,
            file.feed or "not recognised",
            file.name,
            f"left as it was: {file.superseded_by} is a later full set"
            if file.superseded_by
            else _in_words(file.fates),
        )
        for replayed in changed
        for file in replayed.files
    ]
    if rows:
        print_table(("drop", "sender", "lines of", "file", "before → after"), rows)


def _in_words(fates: Mapping[str, BeforeAndAfter]) -> str:
    return ", ".join(f"{fate} {before:,} → {after:,}" for fate, (before, after) in fates.items())


def _print_rules(changed: Iterable[ReloadResult]) -> None:
    """Prints how often each rule is broken, before and after."""
    before: Counter[tuple[str, ...]] = Counter()
    after: Counter[tuple[str, ...]] = Counter()
    for replayed in changed:
        for file in replayed.files:
            if file.superseded_by:
                continue
            for rule, (was, is_) in file.rules.items():
                place = replayed.of.drop, file.feed or "not recognised", *rule
                before[place] += was
                after[place] += is_
    rows = [
        (drop, feed, rule, severity, before[place], after[place], _text(rule))
        for place in sorted({*before, *after})
        for drop, feed, rule, severity in [place]
    ]
    if rows:
        columns = ("drop", "lines of", "rule", "severity", "before", "after", "what is wrong")
        print_table(columns, rows)


def _text(rule: str) -> str:
    from ccgi_pipeline.feeds.registry import RULES

    return RULES[rule].text if rule in RULES else "a former rule"


def _print_others(others: Iterable[ReloadResult]) -> None:
    """Prints the drops that stay unchanged, and why."""
    rows = [
        (
            replayed.of.drop,
            replayed.of.sender,
            replayed.of.family,
            sum(replayed.of.lines.values()),
            f"{replayed.state}{f' ({replayed.explanation})' if replayed.explanation else ''}",
        )
        for replayed in others
    ]
    if rows:
        print_table(("drop", "sender", "family", "lines kept out", "stays, because"), rows)


def _print_end(changed: int, *, done: bool) -> None:
    drops = "1 drop" if changed == 1 else f"{changed:,} drops"
    if done:
        echo(f"{drops} changed. The next night writes the reports and receipts.")
    elif changed:
        echo(f"Nothing was changed. With --apply --by NAME, {drops} will be.")
    else:
        echo("Nothing was changed, and nothing would be.")
