"""The command line: ``ccgi``.

Belongs here: the commands put together. Their arguments, what they print and their exit status are
in the modules beside this one; everything else is done by the rooms.
"""

from __future__ import annotations

from typing import Any

import click

from ccgi_pipeline.cli.access import access
from ccgi_pipeline.cli.audit import audit
from ccgi_pipeline.cli.bench import bench
from ccgi_pipeline.cli.check import check
from ccgi_pipeline.cli.deliveries import deliveries
from ccgi_pipeline.cli.demo import demo
from ccgi_pipeline.cli.dictionary import dictionary
from ccgi_pipeline.cli.encryption import encryption
from ccgi_pipeline.cli.explain import explain
from ccgi_pipeline.cli.generate import generate
from ccgi_pipeline.cli.heartbeat import heartbeat
from ccgi_pipeline.cli.hold import hold
from ccgi_pipeline.cli.lookup import lookup
from ccgi_pipeline.cli.notices import notices
from ccgi_pipeline.cli.profiles import profiles
from ccgi_pipeline.cli.purge import purge
from ccgi_pipeline.cli.rebuild import rebuild
from ccgi_pipeline.cli.replay import replay
from ccgi_pipeline.cli.run import run
from ccgi_pipeline.cli.status import status
from ccgi_pipeline.cli.support_bundle import support_bundle
from ccgi_pipeline.cli.ui import ui
from ccgi_pipeline.cli.warehouse import warehouse
from ccgi_pipeline.cli.worker import worker
from ccgi_pipeline.common.errors import UnexpectedError, to_pipeline_error


class _Commands(click.Group):
    """Commands that end with words where an error of ours, a full disk or a damaged catalog does.

    What nobody foresaw keeps its trace: it is for the developers.
    """

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            ours = to_pipeline_error(error)
            if isinstance(ours, UnexpectedError):
                raise
            raise click.ClickException(str(ours)) from None


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
    heartbeat,
    notices,
    hold,
    replay,
    access,
    deliveries,
    rebuild,
    lookup,
    explain,
    purge,
    audit,
    profiles,
    encryption,
    warehouse,
    dictionary,
    support_bundle,
    bench,
    ui,
    worker,
):
    main.add_command(command)
