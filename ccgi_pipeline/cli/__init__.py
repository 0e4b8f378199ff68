"""The command line: ``ccgi``.

Belongs here: the commands put together. Their arguments, what they print and their exit status are
in the modules beside this one; everything else is done by the rooms.
"""

from __future__ import annotations

import click

from ccgi_pipeline.cli.access import access
from ccgi_pipeline.cli.benches import bench
from ccgi_pipeline.cli.deliveries import deliveries, rebuild
from ccgi_pipeline.cli.encrypting import encryption
from ccgi_pipeline.cli.explaining import explain
from ccgi_pipeline.cli.holds import hold
from ccgi_pipeline.cli.judging import check, dictionary
from ccgi_pipeline.cli.lookup import lookup
from ccgi_pipeline.cli.nights import demo, generate, run, ui
from ccgi_pipeline.cli.replaying import replay
from ccgi_pipeline.cli.status import status
from ccgi_pipeline.errors import PipelineError


class _Commands(click.Group):
    """Commands whose errors of ours are told as they are, without a trace."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs what was asked for."""
        try:
            return super().invoke(ctx)
        except PipelineError as wrong:
            raise click.ClickException(str(wrong)) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ccgi-pipeline")
def main() -> None:
    """California's district data sharing: districts' files in, reports and receipts out."""


for command in (
    demo,
    generate,
    run,
    check,
    status,
    hold,
    replay,
    access,
    deliveries,
    rebuild,
    lookup,
    explain,
    encryption,
    dictionary,
    bench,
    ui,
):
    main.add_command(command)
