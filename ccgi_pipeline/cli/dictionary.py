"""The command ``dictionary``: every feed, column, rule and report.

Belongs here: its arguments.
"""

from __future__ import annotations

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo


@click.command(epilog=EXAMPLE.format("ccgi dictionary --format json"))
@click.option("--format", "form", type=click.Choice(["markdown", "json"]), default="markdown")
def dictionary(form: str) -> None:
    """Prints every feed, column, rule and report.

    It is generated from the declarations of the feeds and reports.
    """
    from ccgi_pipeline import dictionary as pages

    echo(pages.render_json() if form == "json" else pages.render_markdown(), nl=False)
