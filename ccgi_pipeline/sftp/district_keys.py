"""The districts' public keys on CCGI's own SFTP server, by account.

Belongs here: the folder in which OpenSSH's server looks up an account's keys
(``AuthorizedKeysFile FOLDER/%u``), and changing it in atomic steps. Does not belong here: passwords
(``district_passwords``), accounts, folders and the server's configuration, which are the operator's
task, and the pipeline's own credentials for other servers (``servers``).

A file holds no secret: the keys, and a comment about who set them and when. The account must be
able to read it and nobody else to write it, or OpenSSH accepts none of its keys.
"""

from __future__ import annotations

import base64
import binascii
import os
import pwd
import re
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

import paramiko  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.sftp.servers import fingerprint


class AccessError(PermanentError):
    """An account or a key cannot be used; the message says what to do."""


WEAKEST_RSA = 3072
"""Bits. Shorter keys may be broken while students' data still matter (NIST SP 800-57: by 2030)."""

_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")

_RESTRICT = "restrict"
"""Stands before each key: it opens SFTP and nothing else that the server may offer."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key of a type and strength that may be used."""

    kind: str
    blob: bytes

    @property
    def line(self) -> str:
        """The key as a line in OpenSSH's form."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint in OpenSSH's form."""
        return fingerprint(self.blob)


@dataclass(frozen=True, slots=True)
class AccountAccess:
    """The keys that open an account, since when, and who set them.

    ``other_lines`` counts lines that this module did not write; they may open the account, too.
    """

    account: str
    keys: tuple[PublicKey, ...]
    since: str
    by: str
    other_lines: int = 0


def list_access(folder: Path) -> list[AccountAccess]:
    """Returns every account that has or had keys in ``folder``, sorted by name."""
    if not folder.is_dir():
        msg = f"{folder}: there is no such folder. Make it, owned by root, with mode 755"
        raise AccessError(msg)
    files = sorted(file for file in folder.iterdir() if _ACCOUNT.fullmatch(file.name))
    return [_read(file) for file in files]


def replace_keys(
    folder: Path, account: str, keys: Iterable[PublicKey], *, by: str, at: datetime | None = None
) -> AccountAccess:
    """Replaces the account's keys by ``keys`` in one atomic step.

    A session that a former key opened goes on: see ``end_sessions``.
    """
    file = _account_file(folder, account)
    access = AccountAccess(
        account, tuple(keys), f"{at or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", by
    )
    _write(file, access)
    return access


def replace_by_new_key(folder: Path, account: str, out: Path, *, by: str) -> AccountAccess:
    """Replaces the account's keys by a new key; writes its private part into ``out``."""
    _account_file(folder, account)
    made = generate_key_file(out)
    try:
        return replace_keys(folder, account, [made], by=by)
    except BaseException:
        out.unlink()  # the new key opens nothing
        raise


def revoke_keys(
    folder: Path, account: str, *, by: str, at: datetime | None = None
) -> AccountAccess:
    """Removes all keys of the account; the file keeps who did it and when."""
    require_account(folder, account)
    return replace_keys(folder, account, (), by=by, at=at)


def is_known(folder: Path, account: str) -> bool:
    """Returns whether the account has or had a key."""
    return _account_file(folder, account).exists()


def require_account(folder: Path, account: str) -> None:
    """Raises AccessError for an account that never had a key: its name may be misspelt."""
    if not is_known(folder, account):
        msg = (
            f"{account}: this account never had a key, so nothing was changed. ccgi access list "
            "shows the accounts: is the name misspelt?"
        )
        raise AccessError(msg)


def check_account(folder: Path, account: str) -> None:
    """Raises AccessError unless ``folder`` exists and ``account`` may be the name of an account."""
    _account_file(folder, account)


def check_name(by: str) -> str:
    """Returns the name of the person who acts, in one line. Raises AccessError if it is blank."""
    name = " ".join(by.split())
    if not name:
        msg = "--by needs the name of the person who does this"
        raise AccessError(msg)
    return name


def _account_file(folder: Path, account: str) -> Path:
    if not folder.is_dir():
        msg = f"{folder}: there is no such folder. Make it, owned by root, with mode 755"
        raise AccessError(msg)
    if _ACCOUNT.fullmatch(account) is None:
        msg = "an account is named with letters, digits, '_', '-' and '.', at most 32 characters"
        raise AccessError(msg)
    return folder / account


_COMMENT = re.compile(r"# since (?P<since>\S+) by (?P<by>.*)")


def _write(file: Path, access: AccountAccess) -> None:
    lines = [
        f"# since {access.since} by {check_name(access.by)}",
        *(f"{_RESTRICT} {key.line}" for key in access.keys),
        "",
    ]
    # No account can have a name that begins with a dot, so this file opens nothing.
    part = file.with_name(f".{file.name}.new")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as written:
        os.fchmod(written.fileno(), 0o644)
        written.write("\n".join(lines))
        written.flush()
        os.fsync(written.fileno())
    part.replace(file)


def _read(file: Path) -> AccountAccess:
    since = by = ""
    keys, others = [], 0
    for line in file.read_text(errors="replace").splitlines():
        if comment := _COMMENT.fullmatch(line):
            since, by = comment["since"], comment["by"]
        elif line.strip() and not line.startswith("#"):
            try:
                keys.append(_parse_key(line.removeprefix(f"{_RESTRICT} ").split()))
            except AccessError:
                others += 1
    return AccountAccess(file.name, tuple(keys), since, by, others)


# --- keys -----------------------------------------------------------------------------------------


def parse_public_keys(text: str) -> list[PublicKey]:
    """Returns the keys of a file that a district sent. Raises AccessError.

    It has lines in OpenSSH's form (``ssh-ed25519 AAAA... comment``), or blocks of PuTTY and WinSCP
    (RFC 4716). Comments are dropped.
    """
    if "PRIVATE KEY" in text or "PuTTY-User-Key-File" in text:
        msg = (
            "this is a private key, which only its owner may have. Its sender must make a new key "
            "and send the file that ends in .pub"
        )
        raise AccessError(msg)
    blocks = _BLOCK.findall(text.replace("\r\n", "\n"))
    if blocks:
        found = [_parse_block(block) for block in blocks]
    else:
        lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
        found = [_parse_key(line.split()) for line in lines if line and not line.startswith("#")]
    if not found:
        msg = "there is no public key in this file"
        raise AccessError(msg)
    return [_check_strength(key) for key in found]


_BLOCK = re.compile(
    r"^---- BEGIN SSH2 PUBLIC KEY ----\n(.*?)\n---- END SSH2 PUBLIC KEY ----", re.DOTALL | re.M
)


def _parse_block(block: str) -> PublicKey:
    # A header has a colon; a backslash at the end of a line continues it.
    body = re.sub(r"^[^\n:]+:(?:[^\n]*\\\n)*[^\n]*\n", "", block, flags=re.M)
    blob = _decode("".join(body.split()))
    size = int.from_bytes(blob[:4])
    return _parse_key(
        [blob[4 : 4 + size].decode(errors="replace"), base64.b64encode(blob).decode()]
    )


def _parse_key(words: list[str]) -> PublicKey:
    if len(words) < 2 or words[0] not in _TYPES:  # noqa: PLR2004 - type and key
        msg = (
            f"this is no public key of a type that can be used ({', '.join(_TYPES)}), or options "
            "stand before it. ssh-keygen -t ed25519 makes a good one"
        )
        raise AccessError(msg)
    blob = _decode(words[1])
    try:
        made = paramiko.PKey.from_type_string(words[0], blob)
        same = made.get_name() == words[0] and made.asbytes() == blob
    except Exception:  # noqa: BLE001 - paramiko may raise any error about bytes that are no key
        same = False
    if not same:
        msg = "this public key is damaged: have it sent again, as a file"
        raise AccessError(msg)
    return PublicKey(words[0], blob)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        msg = "this public key is damaged: have it sent again, as a file"
        raise AccessError(msg) from None


def _check_strength(key: PublicKey) -> PublicKey:
    if key.kind == "ssh-rsa":
        bits = paramiko.RSAKey(data=key.blob).get_bits()
        if bits < WEAKEST_RSA:
            msg = (
                f"this RSA key has {bits} bits; it needs {WEAKEST_RSA}. ssh-keygen -t ed25519 "
                "makes a shorter and stronger one"
            )
            raise AccessError(msg)
    return key


def generate_key_file(out: Path) -> PublicKey:
    """Makes an Ed25519 key; writes its private part into ``out``, for its owner only."""
    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        msg = f"{out} is there already and may be a key that is in use: name another file"
        raise AccessError(msg) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
    return PublicKey("ssh-ed25519", paramiko.Ed25519Key.from_private_key_file(out).asbytes())


# --- sessions -------------------------------------------------------------------------------------


def end_sessions(account: str) -> int | None:
    """Ends the open SFTP sessions of an account; returns the number of ended processes.

    Returns None if this process cannot do it: it needs ``/proc``, the rights of root, and an
    account other than root. A session is a process of the account that runs sshd
    (``sshd-session`` since OpenSSH 9.8). It looks twice: a login that was being checked while the
    access changed is a session a moment later.
    """
    try:
        user = pwd.getpwnam(account).pw_uid
    except KeyError:
        return 0
    processes = Path("/proc")
    if os.geteuid() != 0 or user == 0 or not (processes / "self/exe").exists():
        return None
    ended = _end_processes(processes, user)
    sleep(_LOGIN_SECONDS)
    return len(ended | _end_processes(processes, user))


_LOGIN_SECONDS = 0.5
"""Time after which a login that sshd has let in is a process of its account."""


def _end_processes(processes: Path, user: int) -> set[str]:
    ended = set()
    for process in processes.iterdir():
        if process.name.isdecimal() and _is_session(process, user):
            try:
                os.kill(int(process.name), signal.SIGTERM)
            except ProcessLookupError:
                continue
            ended.add(process.name)
    return ended


def _is_session(process: Path, user: int) -> bool:
    try:
        return process.stat().st_uid == user and (process / "exe").readlink().name.startswith(
            "sshd"
        )
    except OSError:
        return False  # the process has ended
