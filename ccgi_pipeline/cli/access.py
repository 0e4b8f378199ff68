"""The command ``access``: the public keys of districts' accounts on CCGI's own SFTP server.

Belongs here: its arguments and what it prints. No secret is printed, and no private key read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo, folder_option, print_table

if TYPE_CHECKING:
    from ccgi_pipeline.sftp.district_keys import AccountAccess

_keys = folder_option(
    "keys",
    "CCGI_ACCESS_KEYS",
    Path("/etc/ssh/districts"),
    "The folder of sshd's AuthorizedKeysFile FOLDER/%u.",
    title="folder of public keys",
)
_by = click.option("--by", required=True, help="Your name.")


@click.group()
def access() -> None:
    """Manages the public keys of districts' SFTP accounts."""


@access.command("list", epilog=EXAMPLE.format("ccgi access list"))
@_keys
def list_(keys: Path) -> None:
    """Shows the accounts with their keys, since when and by whom they were set."""
    from ccgi_pipeline.sftp import district_keys

    known = district_keys.list_access(keys)
    if not known:
        echo("No account has a key.")
        return
    print_table(
        ("account", "type", "fingerprint", "since", "by"),
        [
            (one.account, kind, fingerprint, one.since, one.by)
            for one in known
            for kind, fingerprint in _shown(one)
        ],
    )


def _shown(one: AccountAccess) -> list[tuple[str, str]]:
    keys = [(key.kind, key.fingerprint) for key in one.keys]
    if one.other_lines:
        keys.append(("other", f"{one.other_lines} lines that were written by hand"))
    return keys or [("none", "nobody can come in")]


@access.command(
    epilog=EXAMPLE.format('ccgi access replace palmsprings --public-key new.pub --by "A. Name"')
)
@click.argument("account")
@click.option(
    "--public-key",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="The new key's .pub file, as the district sent it.",
)
@click.option(
    "--generate",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make a new key instead, and write the private one into this file.",
)
@click.option(
    "--new-account", is_flag=True, help="Accept an account that never had a key (else: refused)."
)
@_keys
@_by
def replace(
    account: str,
    public_key: Path | None,
    out: Path | None,
    keys: Path,
    by: str,
    *,
    new_account: bool,
) -> None:
    """Puts a new key in place of all former keys of an account.

    Sessions that are still open with a former key are ended.
    """
    from ccgi_pipeline.sftp import district_keys

    if (public_key is None) == (out is None):
        msg = "give one of --public-key and --generate"
        raise click.UsageError(msg)
    if not new_account:
        district_keys.require_account(keys, account)
    if public_key is not None:
        new = district_keys.parse_public_keys(public_key.read_text(errors="replace"))
        done = district_keys.replace_keys(keys, account, new, by=by)
    elif out is not None:
        done = district_keys.replace_by_new_key(keys, account, out, by=by)
    for key in done.keys:
        echo(f"{account} is open to {key.kind} {key.fingerprint}, and to nothing else.")
    if out is not None:
        echo(
            f"The private key is in {out}: hand it over in a way that only they can read, and "
            "remove it here."
        )
    _end_sessions(account)


@access.command(epilog=EXAMPLE.format('ccgi access revoke palmsprings --by "A. Name"'))
@click.argument("account")
@_keys
@_by
def revoke(account: str, keys: Path, by: str) -> None:
    """Removes all keys of an account, and ends its sessions."""
    from ccgi_pipeline.sftp import district_keys

    district_keys.revoke_keys(keys, account, by=by)
    echo(f"{account} has no key now: nobody can log in.")
    _end_sessions(account)


def _end_sessions(account: str) -> None:
    from ccgi_pipeline.sftp.district_keys import end_sessions

    ended = end_sessions(account)
    if ended is None:
        echo(
            "Who is connected with a former key stays so until the session ends. To end it now, "
            f"as root: pkill -u {account} sshd"
        )
    elif ended:
        echo(f"Ended the open sessions of {account}: {ended} process(es).")
