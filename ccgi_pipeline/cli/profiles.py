"""The commands ``profiles check`` and ``profiles schema``: the settings file.

Belongs here: their arguments, what they print and their exit status.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FAILURE, NOTHING, echo, today, warehouse_option


@click.group()
def profiles() -> None:
    """Checks and describes the settings file profiles.toml."""


@profiles.command("check", epilog=EXAMPLE.format("ccgi profiles check data/demo/profiles.toml"))
@click.argument("path", required=False, type=click.Path(path_type=Path))
@warehouse_option(
    "The warehouse whose settings file is checked if no PATH is given.",
    exists=False,
    fits=Path.is_dir,
)
def check(path: Path | None, warehouse: Path) -> None:
    """Checks the settings file PATH, or that of the warehouse, and lists all its faults.

    Exit status 0: the file is good. 1: it has faults. 2: there is no such file.
    """
    from ccgi_pipeline.profiles import (
        FILE_NAME,
        ProfileError,
        profiles_from,
    )

    file = path if path is not None else warehouse / FILE_NAME
    try:
        content = file.read_bytes()
    except OSError as error:
        echo(f"{file} cannot be read: {error.strerror}", err=True)
        sys.exit(NOTHING)
    try:
        read = profiles_from(content, file)
    except ProfileError as faults:
        echo(str(faults))
        sys.exit(FAILURE)
    echo(f"{file} is good.")
    for name in read.find_calendars_to_continue(today()):
        echo(
            f"The academic years of {name} have ended. Until you add the next one, its days are "
            "taken to be those of the last."
        )


@profiles.command("schema", epilog=EXAMPLE.format("ccgi profiles schema > profiles.schema.json"))
def schema() -> None:
    """Prints the JSON schema of profiles.toml, for editors that check and complete TOML."""
    from ccgi_pipeline.profiles import Profiles

    echo(json.dumps(Profiles.model_json_schema(), indent=2))
