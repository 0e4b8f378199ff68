"""Encryption at rest: whose key opens what in a folder of pupils' data.

Belongs here: the key from the environment, the envelope in the folder (``encryption.json``), and
the keys for each purpose that are derived from it. Does not belong here: encrypting anything
(sealing for files of ours; DuckDB and SQLCipher for theirs).

A folder has a random data key of its own. It lies in the envelope, wrapped by the operator's key,
so that key can be changed without writing the data anew. A folder becomes encrypted when it is
made; which it is never changes, and a key that would do nothing is refused.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ccgi_pipeline.common.environment import read_variable
from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.failpoints import failpoint

KEY, KEY_FILE = "CCGI_ENCRYPTION_KEY", "CCGI_ENCRYPTION_KEY_FILE"
"""Environment variables: the operator's key in base64, or the file that holds it."""

FILE_NAME = "encryption.json"
KEY_BYTES = 32
_NONCE_BYTES = 12
_SCHEME = 1
_BOUND_TO = f"ccgi-pipeline encryption.json, scheme {_SCHEME}".encode()
_OWNER_ONLY = 0o600

_OF_PLAIN = (
    "archive",
    "staging",
    "tables",
    "catalog.sqlite",
    "catalog.duckdb",
    "*.sqlite",
    "warehouse.json",
)
"""What lies in a folder that is no new one."""


class EncryptionKeyError(PermanentError):
    """The key of the environment and the folder do not fit; the message says how to mend it."""


class Purpose(StrEnum):
    """What a derived key is for: no two kinds of files share one."""

    CATALOG = "catalog"
    DATABASES = "databases"
    ARCHIVE = "archive"
    STAGING = "staging"


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of one folder. It prints as nothing but its type."""

    _data_key: bytes

    def of(self, purpose: Purpose) -> bytes:
        """The key for one purpose, 32 bytes."""
        return derived(self._data_key, f"ccgi {purpose.value} {_SCHEME}")


def derived(key: bytes, name: str, salt: bytes | None = None) -> bytes:
    """A key of its own, made of ``key``: 32 bytes."""
    return HKDF(SHA256(), KEY_BYTES, salt, name.encode()).derive(key)


@dataclass(frozen=True, slots=True)
class Status:
    """How a folder is encrypted: ISO times (UTC) of its making and of the last change of key."""

    scheme: int
    made: str
    key_changed: str


# --- the operator's key ---------------------------------------------------------------------------


def new_key() -> str:
    """A new key as it is written: 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def key_in(path: Path) -> bytes:
    """The key that a file holds. Raises EncryptionKeyError."""
    try:
        return _key(path.read_text(), f"the file {path}")
    except (OSError, UnicodeDecodeError):
        msg = f"the file {path} cannot be read as a key: see that it is there, and readable here"
        raise EncryptionKeyError(msg) from None


def _key(written: str, where: str) -> bytes:
    try:
        key = base64.b64decode(written.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        msg = f"{where} holds no key: 32 bytes in base64, as `ccgi encryption new-key` prints them"
        raise EncryptionKeyError(msg)
    return key


def _given(environment: Mapping[str, str]) -> bytes | None:
    """The key that the environment names, or None."""
    written = read_variable(environment, KEY, EncryptionKeyError)
    where = KEY if environment.get(KEY) else f"the file of {KEY_FILE}"
    return _key(written, where) if written else None


# --- a folder's keys ------------------------------------------------------------------------------


def keys_of(
    folder: Path, *, make: bool = False, environment: Mapping[str, str] = os.environ
) -> Keys | None:
    """The keys of ``folder``, or of the one that it lies in; None where it is a plain one.

    ``make``: something is about to be written. If the environment has a key and nothing is there
    yet, the folder becomes an encrypted one. Raises EncryptionKeyError where folder and key do not
    fit: wrong, missing, or set for a folder that is plain.
    """
    folder = folder.absolute()
    key = _given(environment)
    home = _home(folder)
    if home is not None:
        return Keys(_unwrapped(home, key))
    if (folder / "catalog.duckdb").exists():
        msg = (
            f"{folder} is encrypted, and its {FILE_NAME} is gone: restore that file from a backup; "
            "nothing can be read without it"
        )
        raise EncryptionKeyError(msg)
    if key is None:
        return None
    if _holds_data(folder):
        msg = (
            f"{folder} is not encrypted, and a key is set, which would do nothing: unset {KEY} and "
            f"{KEY_FILE}, or begin a new, encrypted folder (docs/encryption.md)"
        )
        raise EncryptionKeyError(msg)
    if not make:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if not (folder / FILE_NAME).exists():  # another process may have been first
            _wrap(folder, secrets.token_bytes(KEY_BYTES), key, made=_now())
    return Keys(_unwrapped(folder, key))


def _home(folder: Path) -> Path | None:
    """Where the envelope lies: here, or in the warehouse that this is a folder of."""
    homes = (place for place in (folder, folder.parent) if (place / FILE_NAME).exists())
    return next(homes, None)


def _holds_data(folder: Path) -> bool:
    return any(next(folder.glob(pattern), None) for pattern in _OF_PLAIN)


def change_key(folder: Path, new: bytes, *, environment: Mapping[str, str] = os.environ) -> None:
    """Has ``new`` open the folder in place of the key of the environment, from one moment on.

    Data stay as they are, and so do the keys that open them. Raises EncryptionKeyError.
    """
    folder = folder.absolute()
    status_of(folder)
    with _alone(folder):
        data_key = _unwrapped(folder, _given(environment))
        _wrap(folder, data_key, new, made=str(_envelope(folder)["made"]))


def status_of(folder: Path) -> Status:
    """How the folder is encrypted; no key is needed. Raises EncryptionKeyError if it is not."""
    if not (folder / FILE_NAME).exists():
        msg = f"{folder} is not encrypted: it has no {FILE_NAME}"
        raise EncryptionKeyError(msg)
    envelope = _envelope(folder)
    return Status(int(envelope["scheme"]), envelope["made"], envelope["key_changed"])


def _envelope(home: Path) -> dict[str, str]:
    try:
        envelope = json.loads((home / FILE_NAME).read_text())
        scheme, _, _, _ = (envelope[n] for n in ("scheme", "wrapped_key", "made", "key_changed"))
    except (ValueError, KeyError, TypeError):
        msg = f"{home / FILE_NAME} is damaged: restore it from a backup"
        raise EncryptionKeyError(msg) from None
    if scheme != _SCHEME:
        msg = f"{home / FILE_NAME} has the scheme {scheme}, and this version knows {_SCHEME} only"
        raise EncryptionKeyError(msg)
    return dict(envelope)


def _unwrapped(home: Path, key: bytes | None) -> bytes:
    if key is None:
        msg = f"{home} is encrypted and no key is set: set {KEY} or {KEY_FILE}"
        raise EncryptionKeyError(msg)
    try:
        wrapped = base64.b64decode(_envelope(home)["wrapped_key"])
        return AESGCM(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _BOUND_TO)
    except (InvalidTag, ValueError):
        msg = (
            f"the key that is set is not the one of {home}: set the right one in {KEY} or "
            f"{KEY_FILE}. If the key was changed, it is the new one; of a backup, the one of then"
        )
        raise EncryptionKeyError(msg) from None


def _wrap(home: Path, data_key: bytes, key: bytes, made: str) -> None:
    """Writes the envelope: the old one stands until the new one is whole and on disk."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    wrapped = nonce + AESGCM(key).encrypt(nonce, data_key, _BOUND_TO)
    envelope = {
        "scheme": _SCHEME,
        "wrapped_key": base64.b64encode(wrapped).decode(),
        "made": made,
        "key_changed": _now(),
    }
    part = home / f".{FILE_NAME}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
    with os.fdopen(descriptor, "w") as file:
        json.dump(envelope, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    with failpoint("encryption: key changed"):
        part.replace(home / FILE_NAME)
        _flush(home)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / f"{FILE_NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
