"""The passwords of districts' accounts on CCGI's own SFTP server.

Belongs here: making a password, having the system keep its hash, and the record of who set it and
when. Does not belong here: keys (``district_keys``), accounts and the server's configuration, which
are the operator's task, and the pipeline's own credentials for other servers (``servers``).

A password is that of the system account: ``chpasswd`` hashes it (yescrypt) into ``/etc/shadow``,
where PAM and OpenSSH look it up. Nothing of the project keeps it or its hash. It reaches chpasswd
through a pipe, since every account of the machine can read the arguments of a command.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ccgi_pipeline.sftp.district_keys import AccessError, check_account

RECORDS = ".access"
"""The folder beside the keys, for its owner only: no account can have a name with a dot first."""
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Small letters and digits that are not mistaken for each other, on paper or on the telephone."""
_GROUPS, _GROUP = 4, 5
_CLOSED = "*"
"""In place of a hash: no password opens the account; a key does. (``!`` would lock out keys.)"""


@dataclass(frozen=True, slots=True)
class PasswordAccess:
    """Whether a password opens an account; since when, and who set or revoked it.

    ``since`` and ``by`` are empty if the system has another one than was set here last.
    """

    account: str
    opens: bool
    since: str
    by: str


def make_password() -> str:
    """Returns a new password of 99 bits: four groups of five letters and digits."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def check_password_account(folder: Path, account: str, group: str) -> None:
    """Raises AccessError unless this process may set the password of the account of a district.

    ``group``: all accounts of districts are in it. So no other account of the machine, such as
    root's, gets a password here.
    """
    check_account(folder, account)
    if os.geteuid() != 0:
        msg = "passwords are kept by the system: run this command as root"
        raise AccessError(msg)
    if account not in _list_accounts(group):
        msg = (
            f"{account}: there is no such account in the group {group}, so nothing was changed. "
            "Is the name misspelt? docs/sftp.md says how an account is made"
        )
        raise AccessError(msg)


def replace_password(
    folder: Path, account: str, *, by: str, reason: str, at: datetime | None = None
) -> str:
    """Gives the account a new password, which ends the former one; returns it.

    A session that the former one opened goes on: see ``district_keys.end_sessions``. Wrong
    attempts so far are forgotten.
    """
    password = make_password()
    _run_tool("chpasswd", "-c", "YESCRYPT", given=f"{account}:{password}\n")
    _write_record(folder, account, by=by, reason=reason, at=at)
    if shutil.which("faillock", path=_PATH):
        _run_tool("faillock", "--user", account, "--reset")
    return password


def revoke_password(
    folder: Path, account: str, *, by: str, reason: str, at: datetime | None = None
) -> None:
    """Has no password open the account."""
    _run_tool("usermod", "-p", _CLOSED, account)
    _write_record(folder, account, by=by, reason=reason, at=at)


def opens_by_password(account: str, group: str) -> bool:
    """Returns whether a password opens this account of a district; only root can know.

    For others it is False.
    """
    return any(one == account and _is_open(hashed) for one, hashed in _list_hashes(group))


def list_passwords(folder: Path, group: str) -> list[PasswordAccess]:
    """Returns the accounts of ``group``, sorted by name, each with what is known of its password.

    Only root can know: for others, the list is empty.
    """
    return [_read_record(folder, account, hashed) for account, hashed in _list_hashes(group)]


def _list_hashes(group: str) -> list[tuple[str, str]]:
    """Returns the accounts of a group, each with its hash or what stands in its place."""
    accounts = _list_accounts(group) if os.geteuid() == 0 else []
    hashes = _read_hashes() if accounts else {}
    return [(account, hashes.get(account, "")) for account in accounts]


def _is_open(hashed: str) -> bool:
    # OpenSSH and PAM refuse an empty one (PermitEmptyPasswords, nullok).
    return hashed[:1] not in {"", "*", "!"}


def _list_accounts(group: str) -> list[str]:
    """Returns the accounts in a group of the system, sorted; none if there is no such group."""
    try:
        known = grp.getgrnam(group)
    except KeyError:
        return []
    primary = [user.pw_name for user in pwd.getpwall() if user.pw_gid == known.gr_gid]
    return sorted({*primary, *known.gr_mem} - {"root"})


def make_records_folder(folder: Path) -> Path:
    """Returns the folder of records and of the audit log beside the keys; makes it if missing."""
    records = folder / RECORDS
    records.mkdir(mode=0o700, exist_ok=True)
    return records


@dataclass(frozen=True, slots=True)
class _Record:
    """What is kept of the last change. ``mark``: tells whether the hash is still the same."""

    since: str
    by: str
    reason: str
    mark: str


def _write_record(folder: Path, account: str, *, by: str, reason: str, at: datetime | None) -> None:
    since = f"{at or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    record = _Record(since, by, reason, _mark(_read_hashes().get(account, "")))
    records = make_records_folder(folder)
    part = records / f".{account}.new"
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        json.dump(asdict(record), written)
    part.replace(records / f"{account}.json")


def _read_record(folder: Path, account: str, hashed: str) -> PasswordAccess:
    file = folder / RECORDS / f"{account}.json"
    if file.exists():
        record = _Record(**json.loads(file.read_text()))
        if record.mark == _mark(hashed):
            return PasswordAccess(account, _is_open(hashed), record.since, record.by)
    return PasswordAccess(account, _is_open(hashed), "", "")


def _mark(hashed: str) -> str:
    return hashlib.sha256(hashed.encode()).hexdigest()[:16]


def _read_hashes() -> dict[str, str]:
    """Returns by account the second field of the system's shadow file."""
    lines = (line.split(":") for line in _run_tool("getent", "shadow").splitlines())
    return {account: hashed for account, hashed, *_ in lines}


_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def _run_tool(name: str, *arguments: str, given: str = "") -> str:
    """Runs one of the system's programs; returns what it prints. Raises AccessError."""
    program = shutil.which(name, path=_PATH)
    if program is None:
        msg = f"{name} is not installed: it belongs to the system's programs for accounts"
        raise AccessError(msg)
    done = subprocess.run(  # noqa: S603 - the system's own programs
        [program, *arguments], input=given, text=True, capture_output=True, check=False
    )
    if done.returncode != 0:
        # What it prints is left out: it might repeat what it was given.
        msg = f"{name} refused the change (exit status {done.returncode}); run this command as root"
        raise AccessError(msg)
    return done.stdout
