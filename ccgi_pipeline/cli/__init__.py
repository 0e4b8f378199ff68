"""The command line: ``ccgi``.

Belongs here: the table of commands, and how errors end one. Each command's arguments, what it
prints and its exit status are in the module of its name; everything else is done by other rooms.

A command's module is imported when the command is called, not before: help, version and shell
completion answer from the table. The modules themselves import libraries and other rooms inside
their functions, so that the help of one command is quick, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from ccgi_pipeline.common.errors import UnexpectedError, to_pipeline_error
from ccgi_pipeline.common.garbage_collection import collect_rarely

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS: Mapping[str, str] = {
    "access": "Manages the keys and passwords of districts' SFTP accounts.",
    "audit": "Shows and proves the log of what was done by hand.",
    "bench": "Measures the project beside the engine's own floor.",
    "check": "Judges files, zips or folders without changing anything.",
    "claims": "Shows and answers SSIDs that two districts claim.",
    "deliveries": "Shows what was delivered to districts' folders.",
    "demo": "Makes a synthetic state and runs one night over it.",
    "dictionary": "Prints every feed, column, rule and report.",
    "encryption": "Manages the keys of encryption at rest.",
    "explain": "Explains a student's eligibility or one row of a report.",
    "export": "Writes tables and reports of all districts as files.",
    "fetch": "Fetches a district's roster by its OneRoster API.",
    "folders": "Shows and answers new names of outbox folders.",
    "generate": "Writes synthetic drops of every family.",
    "heartbeat": "Checks the daemon, sensor, nights, deliveries and disks.",
    "hold": "Shows and answers drops that wait for an operator.",
    "housekeeping": "Lets old states expire and merges small files of the tables.",
    "keys": "Manages OpenPGP keys: districts' and the installation's own.",
    "lookup": "Serves, asks and analyses the SSID Data Lookup.",
    "notices": "Shows and tests the notices to the operator.",
    "pages": "Writes the pages of districts and of the state.",
    "profiles": "Checks and describes the settings file profiles.toml.",
    "purge": "Deletes a district's data or old data, with a proof.",
    "rebuild": "Makes a file that was delivered again, byte for byte.",
    "replay": "Judges lines that were kept out once more.",
    "run": "Runs one night over the inbox.",
    "status": "Shows each district's newest drops and deliveries.",
    "support-bundle": "Writes a zip for support, without personal data.",
    "ui": "Opens the Dagster UI over a warehouse.",
    "warehouse": "Verifies a warehouse; moves it into PostgreSQL or back.",
}
"""Each command's name and the first sentence of its help."""


class _Commands(click.Group):
    """Commands that are imported when called, and end with a message instead of a traceback.

    An error that the pipeline did not expect keeps its traceback for the developers.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Returns the commands' names."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Imports the command of a name."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"{__name__}.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes the table of commands into the help."""
        with formatter.section("Commands"):
            formatter.write_dl([*COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes the name of a command, or an option."""
        from click.shell_completion import CompletionItem

        names = (name for name in COMMANDS if name.startswith(incomplete))
        return [
            *(CompletionItem(name, help=COMMANDS[name]) for name in names),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Runs the command; what it raises as a pipeline error ends it with the message alone."""
        collect_rarely()
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except click.ClickException as error:
            from ccgi_pipeline.common.display import escape_but_layout

            error.message = escape_but_layout(error.message)  # type: ignore[misc]
            raise
        except Exception as error:
            from ccgi_pipeline.common.display import escape_but_layout

            known = to_pipeline_error(error)
            if known is not error and isinstance(known, UnexpectedError):
                raise
            raise click.ClickException(escape_but_layout(str(known))) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ccgi-pipeline")
def main() -> None:
    """California's district data sharing: districts' files in, reports and receipts out."""
    from ccgi_pipeline.common.owner_only import restrict_umask

    restrict_umask()
