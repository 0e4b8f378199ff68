"""Who may come in where CCGI has an SFTP server of its own: public keys by account.

Belongs here: the folder in which OpenSSH's server looks an account's keys up
(``AuthorizedKeysFile FOLDER/%u``), and changing it so that at every moment either the former keys
hold or the new ones. Does not belong here: accounts, folders and the server's configuration, which
are the operator's; our own credentials for other servers (``servers``).

A file holds nothing secret: who set its keys and when, as a comment, and the keys. It must be
readable by the account and writable by nobody else, or OpenSSH takes none of its keys.
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

import paramiko  # type: ignore[import-untyped]
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.sftp.servers import fingerprint


class AccessError(PermanentError):
    """An account or a key that cannot be used: the message says what to do."""


WEAKEST_RSA = 3072
"""Bits. Shorter keys may be broken while pupils' data still matter (NIST SP 800-57: until 2030)."""

_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)

_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")

_RESTRICT = "restrict"
"""Before each key: it opens SFTP and nothing else, whatever else the server would allow."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that may be used."""

    kind: str
    blob: bytes

    @property
    def line(self) -> str:
        """It, as OpenSSH writes it."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """Its fingerprint, as OpenSSH writes it."""
        return fingerprint(self.blob)


@dataclass(frozen=True, slots=True)
class Access:
    """What opens an account: ``keys``, since when, and who said so.

    ``other_lines``: lines of the file that are not of this module's making and may open it, too.
    """

    account: str
    keys: tuple[PublicKey, ...]
    since: str
    by: str
    other_lines: int = 0


def access(folder: Path) -> list[Access]:
    """Every account that has or had keys in ``folder``, by name."""
    if not folder.is_dir():
        msg = f"{folder}: there is no such folder. Make it, owned by root, with mode 755"
        raise AccessError(msg)
    files = sorted(file for file in folder.iterdir() if _ACCOUNT.fullmatch(file.name))
    return [_read(file) for file in files]


def replace_keys(
    folder: Path, account: str, keys: Iterable[PublicKey], *, by: str, at: datetime | None = None
) -> Access:
    """Has ``keys`` open the account from now on, and none of those before.

    Whoever is still connected with a former one stays so: see ``end_sessions``.
    """
    file = _file_of(folder, account)
    now = Access(account, tuple(keys), f"{at or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", by)
    _write(file, now)
    return now


def replace_by_new_key(folder: Path, account: str, out: Path, *, by: str) -> Access:
    """The same with a key made for it; the private one is written into ``out``."""
    _file_of(folder, account)
    made = generate(out)
    try:
        return replace_keys(folder, account, [made], by=by)
    except BaseException:
        # It opens nothing.
        out.unlink()
        raise


def revoke_keys(folder: Path, account: str, *, by: str, at: datetime | None = None) -> Access:
    """Has nothing open the account any more. What is written down is who said so."""
    if not _file_of(folder, account).exists():
        msg = f"{account}: no key opens this account; ccgi access list shows those that exist"
        raise AccessError(msg)
    return replace_keys(folder, account, (), by=by, at=at)


def _file_of(folder: Path, account: str) -> Path:
    if not folder.is_dir():
        msg = f"{folder}: there is no such folder. Make it, owned by root, with mode 755"
        raise AccessError(msg)
    if _ACCOUNT.fullmatch(account) is None:
        msg = "an account is named with letters, digits, '_', '-' and '.', 32 of them at most"
        raise AccessError(msg)
    return folder / account


_TOLD = re.compile(r"# since (?P<since>\S+) by (?P<by>.*)")


def _write(file: Path, now: Access) -> None:
    by = " ".join(now.by.split())
    if not by:
        msg = "say who does this: --by needs a name"
        raise AccessError(msg)
    lines = [f"# since {now.since} by {by}", *(f"{_RESTRICT} {key.line}" for key in now.keys), ""]
    # No account has a name like this one, so nobody can come in by it.
    part = file.with_name(f".{file.name}.new")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w") as written:
        os.fchmod(written.fileno(), 0o644)
        written.write("\n".join(lines))
        written.flush()
        os.fsync(written.fileno())
    part.replace(file)


def _read(file: Path) -> Access:
    since = by = ""
    keys, others = [], 0
    for line in file.read_text(errors="replace").splitlines():
        if told := _TOLD.fullmatch(line):
            since, by = told["since"], told["by"]
        elif line.strip() and not line.startswith("#"):
            try:
                keys.append(_key(line.removeprefix(f"{_RESTRICT} ").split()))
            except AccessError:
                others += 1
    return Access(file.name, tuple(keys), since, by, others)


# --- keys -----------------------------------------------------------------------------------------


def public_keys(text: str) -> list[PublicKey]:
    """The keys of a file as people send it. Raises AccessError.

    Either lines as OpenSSH writes them (``ssh-ed25519 AAAA... comment``), or blocks as PuTTY and
    WinSCP do (RFC 4716). Comments are dropped.
    """
    if "PRIVATE KEY" in text or "PuTTY-User-Key-File" in text:
        msg = (
            "this is a private key, which nobody but its owner may have. Whoever sent it must make "
            "a new one and send the file that ends in .pub"
        )
        raise AccessError(msg)
    blocks = _BLOCK.findall(text.replace("\r\n", "\n"))
    if blocks:
        found = [_of_block(block) for block in blocks]
    else:
        lines = [line.strip() for line in text.lstrip("\ufeff").splitlines()]
        found = [_key(line.split()) for line in lines if line and not line.startswith("#")]
    if not found:
        msg = "there is no public key in this file"
        raise AccessError(msg)
    return [_strong(key) for key in found]


_BLOCK = re.compile(
    r"^---- BEGIN SSH2 PUBLIC KEY ----\n(.*?)\n---- END SSH2 PUBLIC KEY ----", re.DOTALL | re.M
)


def _of_block(block: str) -> PublicKey:
    # A header has a colon, and goes on in the next line after a backslash.
    body = re.sub(r"^[^\n:]+:(?:[^\n]*\\\n)*[^\n]*\n", "", block, flags=re.M)
    blob = _decoded("".join(body.split()))
    size = int.from_bytes(blob[:4])
    return _key([blob[4 : 4 + size].decode(errors="replace"), base64.b64encode(blob).decode()])


def _key(words: list[str]) -> PublicKey:
    if len(words) < 2 or words[0] not in _TYPES:  # noqa: PLR2004 - type and key
        msg = (
            f"this is no public key of a type that can be used ({', '.join(_TYPES)}), or stands "
            "after options. ssh-keygen -t ed25519 makes a good one"
        )
        raise AccessError(msg)
    blob = _decoded(words[1])
    try:
        made = paramiko.PKey.from_type_string(words[0], blob)
        same = made.get_name() == words[0] and made.asbytes() == blob
    except Exception:  # noqa: BLE001 - paramiko raises anything over bytes that are no key
        same = False
    if not same:
        msg = "this public key is damaged: have it sent again, as a file"
        raise AccessError(msg)
    return PublicKey(words[0], blob)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        msg = "this public key is damaged: have it sent again, as a file"
        raise AccessError(msg) from None


def _strong(key: PublicKey) -> PublicKey:
    if key.kind == "ssh-rsa":
        bits = paramiko.RSAKey(data=key.blob).get_bits()
        if bits < WEAKEST_RSA:
            msg = (
                f"this RSA key has {bits} bits; it needs {WEAKEST_RSA}. ssh-keygen -t ed25519 "
                "makes a shorter and stronger one"
            )
            raise AccessError(msg)
    return key


def generate(out: Path) -> PublicKey:
    """A new Ed25519 key: the private one in ``out``, which only its owner can read."""
    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        msg = f"{out} is there already, and might be a key that is in use: name another file"
        raise AccessError(msg) from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
    return PublicKey("ssh-ed25519", paramiko.Ed25519Key.from_private_key_file(out).asbytes())


# --- sessions -------------------------------------------------------------------------------------


def end_sessions(account: str) -> int | None:
    """Ends what is open of this account; how many processes. None where that is not ours to do.

    A session's process belongs to the account, and is sshd (``sshd-session`` since OpenSSH 9.8).
    That can be told where the system has ``/proc``, by root, and of accounts other than root.
    """
    try:
        user = pwd.getpwnam(account).pw_uid
    except KeyError:
        return 0
    processes = Path("/proc")
    if os.geteuid() != 0 or user == 0 or not (processes / "self/exe").exists():
        return None
    ended = 0
    for process in processes.iterdir():
        if process.name.isdecimal() and _is_session(process, user):
            try:
                os.kill(int(process.name), signal.SIGTERM)
            except ProcessLookupError:
                continue
            ended += 1
    return ended


def _is_session(process: Path, user: int) -> bool:
    try:
        return process.stat().st_uid == user and (process / "exe").readlink().name.startswith(
            "sshd"
        )
    except OSError:
        # It has ended meanwhile.
        return False
