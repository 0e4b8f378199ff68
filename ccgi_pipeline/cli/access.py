"""The command ``access``: keys and passwords of districts' accounts on CCGI's own SFTP server.

Belongs here: its arguments and what it prints. A new password is printed once, on a terminal; no
other secret is printed, and no private key read.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccgi_pipeline.cli.common import EXAMPLE, echo, folder_option, print_table

if TYPE_CHECKING:
    from ccgi_pipeline.operations.audit_log import Act
    from ccgi_pipeline.sftp.district_keys import AccountAccess

_keys = folder_option(
    "keys",
    "CCGI_ACCESS_KEYS",
    Path("/etc/ssh/districts"),
    "The folder of sshd's AuthorizedKeysFile FOLDER/%u.",
    title="folder of public keys",
)
_group = click.option(
    "--group",
    envvar="CCGI_ACCESS_GROUP",
    show_envvar=True,
    default="districts",
    show_default=True,
    help="The system's group that all accounts of districts are in.",
)
_by = click.option("--by", required=True, help="Your name.")
_reason = click.option("--reason", default="", help="Why, for the audit log.")


@click.group()
def access() -> None:
    """Manages the keys and passwords of districts' SFTP accounts."""


@access.command("list", epilog=EXAMPLE.format("ccgi access list"))
@_keys
@_group
def list_(keys: Path, group: str) -> None:
    """Shows which keys and passwords open the accounts, since when, and by whom they were set.

    Only root can see passwords: whether there is one, and never the password.
    """
    import os

    from ccgi_pipeline.sftp import district_keys, district_passwords

    with_keys = district_keys.list_access(keys)
    rows = [
        (one.account, kind, fingerprint, one.since, one.by)
        for one in with_keys
        for kind, fingerprint in _describe_keys(one)
    ]
    passwords = district_passwords.list_passwords(keys, group)
    rows += [
        (one.account, "password", "" if one.by else "set by other means", one.since, one.by)
        for one in passwords
        if one.opens
    ]
    with_access = {account for account, *_ in rows}
    # Of an account that had both, the later revocation is shown.
    changes = [(one.since, one.account, one.by) for one in with_keys]
    changes += [(one.since, one.account, one.by) for one in passwords]
    closed = {
        account: (since, by) for since, account, by in sorted(changes) if account not in with_access
    }
    rows += [(account, "none", "nobody can come in", *last) for account, last in closed.items()]
    if rows:
        print_table(("account", "type", "fingerprint", "since", "by"), sorted(rows))
    else:
        echo("There is no account." if os.geteuid() == 0 else "No account has a key.")
    if os.geteuid() != 0:
        echo("Only root can see which accounts have a password.", err=True)


def _describe_keys(one: AccountAccess) -> list[tuple[str, str]]:
    keys = [(key.kind, key.fingerprint) for key in one.keys]
    if one.other_lines:
        keys.append(("other", f"{one.other_lines} lines that were written by hand"))
    return keys


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
@click.option("--keep-password", is_flag=True, help="Leave the account's password, if it has one.")
@_keys
@_group
@_by
@_reason
def replace(  # noqa: PLR0913, PLR0917 - the options of the command
    account: str,
    public_key: Path | None,
    out: Path | None,
    keys: Path,
    group: str,
    by: str,
    reason: str,
    *,
    new_account: bool,
    keep_password: bool,
) -> None:
    """Puts a new key in place of all former keys of an account, and of its password.

    Sessions that are still open are ended.
    """
    from ccgi_pipeline.operations.audit_log import Act
    from ccgi_pipeline.sftp import district_keys, district_passwords

    if (public_key is None) == (out is None):
        msg = "give one of --public-key and --generate"
        raise click.UsageError(msg)
    district_keys.check_account(keys, account)
    by = district_keys.check_name(by)
    if not new_account:
        district_keys.require_account(keys, account)
    new = public_key and district_keys.parse_public_keys(public_key.read_text(errors="replace"))
    with _recorded(keys, Act.ACCESS_REPLACED, account, "key", by, reason):
        kept = _has_password(account, group)
        if kept and not keep_password:
            district_passwords.revoke_password(keys, account, by=by, reason=reason)
            kept = False
        if new:
            done = district_keys.replace_keys(keys, account, new, by=by)
        elif out is not None:
            done = district_keys.replace_by_new_key(keys, account, out, by=by)
    for key in done.keys:
        besides = "to its password" if kept else "to nothing else"
        echo(f"{account} is open to {key.kind} {key.fingerprint}, and {besides}.")
    if out is not None:
        echo(
            f"The private key is in {out}: hand it over in a way that only they can read, and "
            "remove it here."
        )
    _end_sessions(account)


@access.command(
    epilog=EXAMPLE.format(
        'ccgi access password palmsprings --by "A. Name" --reason "new data lead, called back"'
    )
)
@click.argument("account")
@click.option("--keep-keys", is_flag=True, help="Leave the account's keys, if it has any.")
@_keys
@_group
@_by
@click.option("--reason", required=True, help="Why, for the audit log.")
def password(
    account: str, keys: Path, group: str, by: str, reason: str, *, keep_keys: bool
) -> None:
    """Puts a new password in place of an account's former password, and of its keys.

    The password is made here and shown once. Only its hash is kept, by the system. Sessions that
    are still open are ended. Run it as root, on a terminal.
    """
    from ccgi_pipeline.operations.audit_log import Act
    from ccgi_pipeline.sftp import district_keys, district_passwords

    district_passwords.check_password_account(keys, account, group)
    by = district_keys.check_name(by)
    if not sys.stdout.isatty():
        msg = (
            "the password is shown on a terminal only, so that no file or log keeps it: run the "
            "command there, without redirecting what it prints"
        )
        raise click.UsageError(msg)
    with _recorded(keys, Act.ACCESS_REPLACED, account, "password", by, reason):
        if not keep_keys and _has_keys(keys, account):
            district_keys.revoke_keys(keys, account, by=by)
        made = district_passwords.replace_password(keys, account, by=by, reason=reason)
    besides = "to its keys" if _has_keys(keys, account) else "to nothing else"
    echo(f"{account} is open to this password, and {besides}. It is not shown again:")
    echo(f"\n    {made}\n")
    echo("Tell it to the data lead by telephone, and the name of the account by other means.")
    _end_sessions(account)


@access.command(epilog=EXAMPLE.format('ccgi access revoke palmsprings --by "A. Name"'))
@click.argument("account")
@click.option(
    "--only", type=click.Choice(["keys", "password"]), help="Leave the other kind of access."
)
@_keys
@_group
@_by
@_reason
def revoke(account: str, only: str | None, keys: Path, group: str, by: str, reason: str) -> None:
    """Removes all keys of an account and its password, and ends its sessions."""
    from ccgi_pipeline.operations.audit_log import Act
    from ccgi_pipeline.sftp import district_keys, district_passwords

    by = district_keys.check_name(by)
    if only == "password":
        district_passwords.check_password_account(keys, account, group)
    elif not _has_password(account, group):
        district_keys.require_account(keys, account)
    with _recorded(keys, Act.ACCESS_REVOKED, account, only or "keys and password", by, reason):
        if only != "password" and district_keys.is_known(keys, account):
            district_keys.revoke_keys(keys, account, by=by)
        if only != "keys" and _has_password(account, group):
            district_passwords.revoke_password(keys, account, by=by, reason=reason)
    left = [
        name
        for name, there in (
            ("key", _has_keys(keys, account)),
            ("password", _has_password(account, group)),
        )
        if there
    ]
    if left:
        echo(f"{account} is open to its {left[0]} only.")
    else:
        echo(f"{account} has no key and no password now: nobody can log in.")
    _end_sessions(account)


@contextmanager
def _recorded(
    keys: Path, act: Act, account: str, kind: str, by: str, reason: str
) -> Iterator[None]:
    """Records an act in the audit log of the server, which lies beside the keys."""
    from ccgi_pipeline.operations.audit_log import recorded_act
    from ccgi_pipeline.sftp.district_passwords import make_records_folder

    about = {"account": account, "access": kind}
    with recorded_act(make_records_folder(keys), act, about, by=by, reason=reason):
        yield


def _has_keys(keys: Path, account: str) -> bool:
    from ccgi_pipeline.sftp.district_keys import list_access

    return any(one.keys or one.other_lines for one in list_access(keys) if one.account == account)


def _has_password(account: str, group: str) -> bool:
    """Returns whether a password opens the account; only root can know, for others it is False."""
    from ccgi_pipeline.sftp.district_passwords import opens_by_password

    return opens_by_password(account, group)


def _end_sessions(account: str) -> None:
    from ccgi_pipeline.sftp.district_keys import end_sessions

    ended = end_sessions(account)
    if ended is None:
        echo(
            "A session that was opened with the former access goes on until it closes. To end it "
            f"now, as root: pkill -u {account} sshd"
        )
    elif ended:
        echo(f"Ended the open sessions of {account}: {ended} process(es).")
    else:
        echo(f"No session of {account} was open.")
