"""Servers, and what proves to them who we are.

Belongs here: what is set for a server, its pinned host keys, credentials and where they are read
from. Does not belong here: connecting; which server holds whose files.

Credentials come from the environment or from files that it names (as a secret store mounts them),
never from a file of the project, an SSH agent or somebody's home folder: a night that works
because of who started it fails when somebody else does.
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
    """What is set for a server, or its credentials, cannot be used: mend the setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An SFTP server and the account there. Raises ServerSettingsError where it cannot be used.

    ``host_keys``: the keys by which the server is known, each as OpenSSH writes a fingerprint
    (``SHA256:...``) or as a line of a public key (``ssh-ed25519 AAAA...``). A server that shows
    another one is not talked to. Two of them carry a server over to a new key.

    ``connect_timeout``: seconds for the address and the TCP connection; a server that does not
    answer within 20 is down. ``handshake_timeout``: seconds for each of greeting, key exchange and
    authentication; busy servers greet late, and sshd itself gives a client 120 in all.
    ``stall_timeout``: seconds without a single byte after which a transfer is given up; servers
    that check an upload for viruses are silent for that long. ``keepalive``: seconds between signs
    of life; firewalls forget a silent connection after some minutes.
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
                "(SHA256:...) and set it: without it, anybody could stand in for the server"
            )
            raise ServerSettingsError(msg)
        for pinned in self.host_keys:
            if _FINGERPRINT.fullmatch(pinned) is None and _key_of_line(pinned) is None:
                msg = (
                    f'{self.name}: "{pinned[:20]}..." is no host key. Write a fingerprint as '
                    'ssh-keygen -l shows it ("SHA256:" and 43 characters), or the line of a public '
                    "key"
                )
                raise ServerSettingsError(msg)

    def is_pinned(self, key: bytes) -> bool:
        """Whether the server is known by this public key (in the form in which it is sent)."""
        return fingerprint(key) in {
            fingerprint(known) if (known := _key_of_line(pinned)) else pinned
            for pinned in self.host_keys
        }

    @property
    def host_key_types(self) -> frozenset[str]:
        """The types of all keys by which the server is known; none if a fingerprint hides one."""
        if any(_FINGERPRINT.fullmatch(pinned) for pinned in self.host_keys):
            return frozenset()
        return frozenset(pinned.split()[0] for pinned in self.host_keys)


_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


def fingerprint(key: bytes) -> str:
    """The fingerprint of a public key, as OpenSSH writes it."""
    digest = hashlib.sha256(key).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _key_of_line(line: str) -> bytes | None:
    """The key of ``ssh-ed25519 AAAA... comment``; None where the line is no such line."""
    kind, _, rest = line.strip().partition(" ")
    try:
        key = base64.b64decode(rest.strip().partition(" ")[0], validate=True)
    except (binascii.Error, ValueError):
        return None
    # A key says its own type first.
    return key if key[4 : 4 + len(kind)] == kind.encode() and kind else None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves who we are. ``repr`` tells none of it.

    With a private key and a password the key is shown first; the password is given to servers that
    ask for both. ``source`` names the settings that it came from, for messages.
    """

    private_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    source: str = "the credentials"

    def key(self) -> paramiko.PKey | None:
        """The private key, read. Raises ServerSettingsError where it cannot be."""
        return None if self.private_key is None else self._read_key(self.private_key)

    def _read_key(self, text: str) -> paramiko.PKey:
        # What paramiko says could quote the text: it is not repeated.
        wrong_passphrase = False
        for kind in (paramiko.Ed25519Key, paramiko.RSAKey):
            try:
                return kind.from_private_key(io.StringIO(text), self.passphrase)
            except paramiko.PasswordRequiredException:
                msg = f"{self.source}: the private key has a passphrase, and none is set"
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
                "ssh-keygen -t ed25519 makes one; ssh-keygen -p -f FILE rewrites another form"
            )
        raise ServerSettingsError(msg)


_WRONG_PASSPHRASE = ("checkints", "Bad password")
"""How paramiko says so, for keys of OpenSSH's and of the older form."""


def credentials_of(server: str, environment: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials for the server of this name. Raises ServerSettingsError.

    They are read from ``CCGI_SFTP_<NAME>_KEY`` (the private key itself) or ``..._KEY_FILE``, with
    ``..._PASSPHRASE`` if it has one; from ``..._PASSWORD`` or ``..._PASSWORD_FILE``. The name is
    in capitals, ``-`` and ``.`` are ``_``.
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
        # A file ends with a line break that no password has.
        None if password is None else password.rstrip("\r\n"),
        source=f"{prefix}_KEY" if private_key else f"{prefix}_PASSWORD",
    )
    credentials.key()
    return credentials
