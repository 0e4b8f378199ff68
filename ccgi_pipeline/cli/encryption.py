"""The command ``encryption``: keys, and whether a folder is encrypted.

Belongs here: its arguments and what is printed. Keys come from the environment or from files, never
from an argument: what is typed stays in the shell's history.
"""

from __future__ import annotations

from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo, warehouse_option


@click.group()
def encryption() -> None:
    """Manages the keys of encryption at rest."""


@encryption.command(
    "new-key", epilog=EXAMPLE.format("(umask 077; ccgi encryption new-key > warehouse.key)")
)
def new_key() -> None:
    """Prints a new key.

    Keep a copy in another place: without the key nothing can be read.
    """
    from ccgi_pipeline.encryption import keys

    echo(keys.generate_key())


@encryption.command(
    "change-key",
    epilog=EXAMPLE.format("ccgi encryption change-key --new-key-file new.key"),
)
@warehouse_option("The warehouse, or the folder of the look-up.")
@click.option(
    "--new-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The file with the new key.",
)
def change_key(warehouse: Path, new_key_file: Path) -> None:
    """Replaces the key that the environment names by a new one.

    The old key is refused from then on: name the new one in the environment.
    """
    from ccgi_pipeline.encryption import keys

    keys.change_key(warehouse, keys.read_key_file(new_key_file))
    echo("The new key is in force; the old key is refused.")


@encryption.command("status", epilog=EXAMPLE.format("ccgi encryption status"))
@warehouse_option("The warehouse, or the folder of the look-up.")
def status(warehouse: Path) -> None:
    """Shows whether the folder is encrypted, how, and the age of its key."""
    from ccgi_pipeline.encryption import keys

    if not (warehouse / keys.FILE_NAME).exists():
        echo("not encrypted")
        return
    told = keys.read_status(warehouse)
    echo(
        f"encrypted, scheme {told.scheme}\nsince            {told.made}\n"
        f"key last changed {told.key_changed}"
    )
