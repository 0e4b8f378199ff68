"""The command ``rebuild``: makes a delivered file again, with the same bytes.

Belongs here: its arguments, and putting the file where the operator wants it. Does not belong here:
making it (``ccgi_pipeline.operations.rebuild``).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path, PurePosixPath

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo, warehouse_option
from ccgi_pipeline.cli.deliveries import find_delivery, print_delivery, print_made, require_ledger
from ccgi_pipeline.delivery.ledger import DeliveryLedger, MadeFile, open_ledger
from ccgi_pipeline.operations.audit_log import Act, recorded_act


@click.command(epilog=EXAMPLE.format("ccgi rebuild --delivery 3f2a --out again.csv"))
@click.option("--delivery", "id_", metavar="ID", help="The beginning of the delivery's id.")
@click.option("--path", "path", help="Or the file's path in the outbox: its newest version.")
@warehouse_option()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write [its own name, in the current folder].",
)
@click.option("--force", is_flag=True, help="Overwrite a file.")
def rebuild(
    id_: str | None, path: str | None, warehouse: Path, out: Path | None, *, force: bool
) -> None:
    """Makes a file that was delivered again, byte for byte.

    The file is made from the warehouse as it was that night, and written only if its bytes are
    the same. It holds students' data and is readable by you alone.
    """
    from ccgi_pipeline.operations import rebuild as rebuild_operation

    if (id_ is None) == (path is None):
        msg = "name the file, either by --delivery or by --path"
        raise click.UsageError(msg)
    require_ledger(warehouse)
    with open_ledger(warehouse) as ledger:
        made = _made(ledger, id_, path)
        sent = [find_delivery(ledger, id_)] if id_ else ledger.list_for_file(made)
        out = out or Path(PurePosixPath(made.path).name)
        if out.exists() and not force:
            raise click.ClickException(_IS_THERE.format(out))
        about = {"path": made.path, "sha256": made.sha256, "district": made.owner}
        with recorded_act(warehouse, Act.REBUILT, about):
            content = rebuild_operation.rebuild_file(warehouse, made)
        _put(content, out, force=force)
        echo(f"{out}: made again, {len(content):,} bytes")
        print_made(made)
        for delivery in sent:
            print_delivery(delivery, ledger)


_IS_THERE = "{} is there already; --force writes over it"


def _made(ledger: DeliveryLedger, id_: str | None, path: str | None) -> MadeFile:
    if id_ is not None:
        delivery = find_delivery(ledger, id_)
        made = ledger.find_made(delivery.path, delivery.sha256)
    else:
        made = ledger.find_made(PurePosixPath(path or "").as_posix())
    if made is None:
        raise click.ClickException("it is not known of what that file was made")  # noqa: EM101
    return made


def _put(content: bytes, out: Path, *, force: bool) -> None:
    """Puts ``content`` at ``out`` whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=out.parent, prefix=".rebuilt-", delete=False) as part:
        unfinished = Path(part.name)
        try:
            part.write(content)
            part.flush()
            os.fsync(part.fileno())
            if force:
                unfinished.replace(out)
            else:
                out.hardlink_to(unfinished)  # fails where something came there meanwhile
        except FileExistsError:
            raise click.ClickException(_IS_THERE.format(out)) from None
        except OSError as error:
            raise click.ClickException(f"{out}: {error.strerror}") from None  # noqa: EM102
        finally:
            unfinished.unlink(missing_ok=True)
