"""The command ``dictionary``: every feed, column, rule and report.

Belongs here: its arguments.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import EXAMPLE, FOLDER, echo

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_FORMS = ("markdown", "json", "odcs", "frictionless", "html")


class _Contract(click.ParamType[str]):
    """The name of a contract; the declarations are imported only when one is given."""

    name = "contract"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Returns the name if there is such a contract."""
        from ccgi_pipeline.dictionary.contracts import CONTRACTS

        if value not in CONTRACTS:
            self.fail(
                f"there is no contract {value!r}; there are {', '.join(CONTRACTS)}", param, ctx
            )
        return str(value)

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Completes the name of a contract."""
        from click.shell_completion import CompletionItem

        from ccgi_pipeline.dictionary.contracts import CONTRACTS

        return [CompletionItem(name) for name in CONTRACTS if name.startswith(incomplete)]


@click.command(epilog=EXAMPLE.format("ccgi dictionary --format odcs --contract transcript"))
@click.option("--format", "form", type=click.Choice(_FORMS), default="markdown", show_default=True)
@click.option(
    "--contract",
    type=_Contract(),
    help="One contract only: a family, with its version where there are several.",
)
@click.option("--out", type=FOLDER, help="Write the files into this folder.")
def dictionary(form: str, contract: str | None, out: Path | None) -> None:
    """Prints every feed, column, rule and report.

    It is generated from the declarations of the feeds and reports. markdown and json are one
    document. odcs (Open Data Contract Standard) and frictionless (Data Packages with Table
    Schemas) are contracts for those who build exports, one for each family of files. html is a
    site with search, in which every rule and cause has its page; it needs --out.
    """
    from ccgi_pipeline.dictionary import files

    if contract and form not in files.OF_CONTRACTS:
        msg = f"--contract goes with --format {' or '.join(files.OF_CONTRACTS)}"
        raise click.UsageError(msg)
    if out is not None:
        written = files.write_files(out, files.render_files(form, contract))
        echo(f"{written:,} files in {out}")
        return
    if form == "html":
        msg = "a site has many files: name a folder with --out"
        raise click.UsageError(msg)
    if form in files.OF_CONTRACTS and contract is None:
        msg = "there are several documents: name a folder with --out, or one with --contract"
        raise click.UsageError(msg)
    echo(files.render_document(form, contract), nl=False)
