"""The command ``dictionary``: every feed, column, rule and report.

Belongs here: its arguments.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from ccgi_pipeline.cli.common import EXAMPLE, FOLDER, Listed, echo

_FORMS = ("markdown", "json", "odcs", "frictionless", "html")


def _read_contracts() -> Iterable[str]:
    from ccgi_pipeline.dictionary.contracts import CONTRACTS

    return CONTRACTS


@click.command(epilog=EXAMPLE.format("ccgi dictionary --format odcs --contract transcript"))
@click.option("--format", "form", type=click.Choice(_FORMS), default="markdown", show_default=True)
@click.option(
    "--contract",
    type=Listed("contract", _read_contracts),
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
