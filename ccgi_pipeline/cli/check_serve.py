"""The command ``check serve``: checking files in a browser before they are sent.

Belongs here: its arguments, and how ``ccgi check`` knows that it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo

HOSTS = "CCGI_CHECK_HOSTS"
_MEGABYTE = 1_000_000
_FOLDER = click.Path(file_okay=False, exists=True, writable=True, path_type=Path)


@click.command("serve", epilog=EXAMPLE.format("ccgi check serve --largest 200"))
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), default=8765, show_default=True)
@click.option(
    "--hosts",
    envvar=HOSTS,
    show_envvar=True,
    default="",
    help="Names, with commas between, by which browsers reach the page.",
)
@click.option(
    "--profiles",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Judge with the settings in this profiles.toml.",
)
@click.option(
    "--folder",
    type=_FOLDER,
    help="Where uploads lie while they are judged [/dev/shm, or TMPDIR].",
)
@click.option(
    "--largest", type=click.IntRange(1), default=100, show_default=True, help="MB of one upload."
)
@click.option(
    "--seconds",
    type=click.IntRange(1),
    default=120,
    show_default=True,
    help="Time for judging one upload.",
)
@click.option(
    "--memory",
    type=click.IntRange(500),
    default=3000,
    show_default=True,
    help="MB for judging one upload; it needs ten times the size of its files, unpacked.",
)
@click.option(
    "--at-once",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Uploads that are judged at the same time.",
)
def serve(  # noqa: PLR0913, PLR0917 - one for each option
    host: str,
    port: int,
    hosts: str,
    profiles: Path | None,
    folder: Path | None,
    largest: int,
    seconds: int,
    memory: int,
    at_once: int,
) -> None:
    """Serves a page that judges files before they are sent; nothing is stored.

    It has no login: a web server with one stands before it (docs/check-service.md).
    """
    from ccgi_pipeline.check_service import server
    from ccgi_pipeline.check_service.settings import CheckSettings
    from ccgi_pipeline.check_service.upload_folders import choose_place
    from ccgi_pipeline.profiles import profiles_in

    if profiles is not None:
        profiles_in(profiles)  # what is wrong in it is told now, not to the first upload
    settings = CheckSettings(
        folder=folder or choose_place(),
        largest=largest * _MEGABYTE,
        seconds=seconds,
        memory=memory * _MEGABYTE,
        at_once=at_once,
        hosts=frozenset(name.strip() for name in hosts.split(",")) - {""},
        profiles=profiles,
    )
    server.serve(settings, host, port, lambda line: echo(line, err=True))


class CheckCommand(click.Command):
    """A command over paths with a command below it, which is called by its name alone.

    A file or folder of that name is judged, as any other.
    """

    commands: Mapping[str, click.Command] = {"serve": serve}

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's own
    ) -> click.Context:
        """Returns the context of the command that is called."""
        below = self.commands.get(args[0]) if args else None
        if below is None or Path(args[0]).exists():
            return super().make_context(info_name, args, parent, **extra)
        context = super().make_context(info_name, ["--"], parent, resilient_parsing=True)
        return below.make_context(args[0], args[1:], context, **extra)
