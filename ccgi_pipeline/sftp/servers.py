"""Accounts on SFTP servers: address, known host keys and credentials.

Belongs here: the settings of a connection, and reading the credentials. Does not belong here:
connecting, and which server has whose files.

Credentials come from the environment or from files that it names (as a secret store mounts them).
They never come from a file of the project, an SSH agent or a home folder: then a night would work
for one person and fail for another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import paramiko  # type: ignore[import-untyped]

from ccgi_pipeline.common.environment import read_variable
from ccgi_pipeline.common.errors import PermanentError


class ServerSettingsError(PermanentError):
    """The settings of a server or its credentials cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpAccount:
    """An account on an SFTP server. Raises ServerSettingsError if it cannot be used.

    ``host_keys``: the server's known keys, each as OpenSSH's fingerprint (``SHA256:...``) or as a
    line of a public key (``ssh-ed25519 AAAA...``). A server that shows another key is refused. For
    a change of key, list both for a while.

    ``connect_timeout``: seconds for the address and the TCP connection. ``handshake_timeout``:
    seconds for each of greeting, key exchange and authentication; busy servers greet late, and
    sshd gives a client 120 in all. ``stall_timeout``: seconds without a byte after which a
    transfer is given up; servers that check an upload for viruses are silent for that long.
    ``keepalive``: seconds between signs of life, because firewalls drop a silent connection.
    """

    name: str
    host: str
    user: str
    host_keys: tuple[str, ...]
    port: int = 22
    connect_timeout: float = 20
    handshake_timeout: float = 30
    stall_timeout: float = 90
    keepalive: int = 30

    def __post_init__(self) -> None:
        if not self.host_keys:
            msg = (
                f"{self.name}: no host key is set. Ask its operator for the fingerprint "
                "(SHA256:...) and set it: without it, anybody could pretend to be the server"
            )
            raise ServerSettingsError(msg)
        for pinned in self.host_keys:
            if _FINGERPRINT.fullmatch(pinned) is None and _parse_key_line(pinned) is None:
                msg = (
                    f'{self.name}: "{pinned[:20]}..." is no host key. Write a fingerprint as '
                    'ssh-keygen -l shows it ("SHA256:" and 43 characters), or the line of a public '
                    "key"
                )
                raise ServerSettingsError(msg)

    def is_pinned(self, key: bytes) -> bool:
        """Tells whether this public key, in the form in which it is sent, is a known host key."""
        return fingerprint(key) in {
            fingerprint(known) if (known := _parse_key_line(pinned)) else pinned
            for pinned in self.host_keys
        }

    @property
    def host_key_types(self) -> frozenset[str]:
        """The types of all known host keys; empty if a fingerprint does not tell its type."""
        if any(_FINGERPRINT.fullmatch(pinned) for pinned in self.host_keys):
            return frozenset()
        return frozenset(pinned.split()[0] for pinned in self.host_keys)


_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def fingerprint(key: bytes) -> str:
    """Returns the fingerprint of a public key in OpenSSH's form."""
    digest = hashlib.sha256(key).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _parse_key_line(line: str) -> bytes | None:
    """Returns the key of a line like ``ssh-ed25519 AAAA... comment``, or None."""
    kind, _, rest = line.strip().partition(" ")
    try:
        key = base64.b64decode(rest.strip().partition(" ")[0], validate=True)
    except (binascii.Error, ValueError):
        return None
    # A key begins with the name of its type.
    return key if key[4 : 4 + len(kind)] == kind.encode() and kind else None


@dataclass(frozen=True, slots=True)
class Credentials:
    """A private key, a password or both, for a server. Its ``repr`` shows no secret.

    With both, the key is tried first, and the password is sent to servers that want both.
    ``source`` names the setting that they come from, for messages.
    """

    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    source: str = "the credentials"

    def load_key(self) -> paramiko.PKey | None:
        """Returns the private key, if there is one. Raises ServerSettingsError."""
        return None if self.private_key is None else self._read_key(self.private_key)

    def _read_key(self, text: str) -> paramiko.PKey:
        # paramiko's messages could quote the key, so they are not repeated.
        wrong_passphrase = False
        for kind in (paramiko.Ed25519Key, paramiko.RSAKey):
            try:
                return kind.from_private_key(io.StringIO(text), self.passphrase)
            except paramiko.PasswordRequiredException:
                msg = f"{self.source}: the private key has a passphrase, but none is set"
                raise ServerSettingsError(msg) from None
            except paramiko.SSHException as refused:
                wrong_passphrase |= any(word in str(refused) for word in _WRONG_PASSPHRASE)
            except (ValueError, TypeError, IndexError, AssertionError):
                continue
        if wrong_passphrase and self.passphrase is not None:
            msg = f"{self.source}: the passphrase does not open the private key"
        else:
            msg = (
                f"{self.source}: this is no private key of type Ed25519 or RSA in OpenSSH's form. "
                "ssh-keygen -t ed25519 makes one; ssh-keygen -p -f FILE converts another form"
            )
        raise ServerSettingsError(msg)


_WRONG_PASSPHRASE = ("checkints", "Bad password")
"""What paramiko says of a wrong passphrase, for OpenSSH's and for the older form of keys."""


def read_credentials(server: str, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Returns the credentials for the server of this name. Raises ServerSettingsError.

    They come from ``CCGI_SFTP_<NAME>_KEY`` (the private key itself) or ``..._KEY_FILE``, with
    ``..._PASSPHRASE`` if it has one, and from ``..._PASSWORD`` or ``..._PASSWORD_FILE``. The name
    is in capitals, with ``_`` for ``-`` and ``.``.
    """
    prefix = f"CCGI_SFTP_{re.sub('[-.]', '_', server).upper()}"
    private_key = read_variable(environment, f"{prefix}_KEY", ServerSettingsError)
    password = read_variable(environment, f"{prefix}_PASSWORD", ServerSettingsError)
    if private_key is None and password is None:
        msg = (
            f"{server}: there are no credentials. Set {prefix}_KEY_FILE to the file of a private "
            f"key, or {prefix}_PASSWORD_FILE to the file of a password"
        )
        raise ServerSettingsError(msg)
    credentials = Credentials(
        private_key,
        environment.get(f"{prefix}_PASSPHRASE"),
        # A file ends with a line break that is not part of the password.
        None if password is None else password.rstrip("\r\n"),
        source=f"{prefix}_KEY" if private_key else f"{prefix}_PASSWORD",
    )
    credentials.load_key()
    return credentials
