"""The command ``check``: the verdict on files before they are sent.

Belongs here: its arguments, formats and exit status.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import click

from ccgi_pipeline.cli.check_serve import CheckCommand
from ccgi_pipeline.cli.common import (
    EXAMPLE,
    FAILURE,
    FAMILY,
    NOTHING,
    SUCCESS,
    date_option,
    echo,
    fold,
    today,
)

_UNFINISHED_NAMED = 20
"""Files with temporary names that are named one by one."""


def _name_unfinished(files: Sequence[Path]) -> None:
    for path in files[:_UNFINISHED_NAMED]:
        echo(f"{path.name}: passed over, since the name is that of an unfinished file", err=True)
    if more := len(files[_UNFINISHED_NAMED:]):
        echo(f"... and {more:,} more files with such names", err=True)


@click.command(cls=CheckCommand, epilog=EXAMPLE.format("ccgi check ToSend/ --family transcript"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--family", type=FAMILY, help="The family of the files [recognised by itself].")
@click.option(
    "--warehouse",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Judge with the records, profiles and OpenPGP keys of this warehouse [none].",
)
@click.option(
    "--profiles",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Judge with the settings in this profiles.toml.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "html"]),
    default="text",
    show_default=True,
)
@click.option(
    "--show-values",
    is_flag=True,
    help="Show each finding's cell. Cells are students' data: for your own screen only.",
)
@date_option
def check(  # noqa: PLR0913 - one for each option
    paths: tuple[Path, ...],
    family: str | None,
    warehouse: Path | None,
    profiles: Path | None,
    form: str,
    on: date | None,
    *,
    show_values: bool,
) -> None:
    """Judges files, zips or folders without changing anything.

    Files get the verdict that a night would give them. `ccgi check serve` does the same on a page
    in the browser.

    Exit status 0: every line can be loaded. 1: a line or a file cannot. 2: nothing to judge.
    """
    from ccgi_pipeline.profiles import profiles_in, read_profiles
    from ccgi_pipeline.verification import offline_check, receipts

    missing = [path for path in paths if not path.exists()]
    for path in missing:
        echo(f"{path}: no such file or folder", err=True)
    if missing:
        sys.exit(NOTHING)
    known, settings, ring = None, None, None
    if warehouse is not None:
        from ccgi_pipeline.encryption.openpgp_key_store import read_key_ring
        from ccgi_pipeline.nightly.reference_lookup import open_offline_lookup

        known, settings = open_offline_lookup(warehouse), read_profiles(warehouse)
        ring = read_key_ring(warehouse)
    if profiles is not None:
        settings = profiles_in(profiles)
    checked = offline_check.check(
        paths,
        on or today(),
        family,
        known,
        settings,
        show_values=show_values,
        ring=ring,
    )
    dictionary = settings.receipts.dictionary_url if settings else None
    _name_unfinished(offline_check.unfinished_files(paths))
    if form == "json":
        answer = receipts.describe_check(checked.verdict, checked.files, dictionary)
        echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif form == "html":
        from ccgi_pipeline.verification import receipt_html

        echo(
            receipt_html.render_check(
                checked.verdict, checked.files, values_shown=show_values, dictionary=dictionary
            ),
            nl=False,
        )
    elif not checked.files:
        echo(f"nothing to judge: no file in {', '.join(map(str, paths))}", err=True)
    else:
        echo(fold(receipts.as_text(checked.verdict, checked.files, dictionary)))
    if checked.nothing_recognised:
        sys.exit(NOTHING)
    sys.exit(SUCCESS if checked.everything_loads else FAILURE)
