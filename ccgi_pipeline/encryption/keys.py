"""The keys of encryption at rest: the operator's key, and the keys of a folder of students' data.

Belongs here: the key from the environment, the envelope in the folder (``encryption.json``), and
the keys that are derived from it, one for each purpose. Does not belong here: encrypting anything
(``sealed_files`` for the pipeline's own files; DuckDB and SQLCipher for theirs).

Each folder has a random data key. It is stored in the envelope, wrapped by the operator's key, so
the operator's key can be changed without writing the data again. A folder is encrypted from its
first file on or never. A key that is set for a folder without encryption is refused, because it
would protect nothing.
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

_PLAIN_CONTENT = (
    "archive",
    "staging",
    "tables",
    "catalog.sqlite",
    "catalog.duckdb",
    "*.sqlite",
    "warehouse.json",
)
"""Patterns of the files and folders that show that a folder is already in use, unencrypted."""


class EncryptionKeyError(PermanentError):
    """The key of the environment does not fit the folder; the message says what to do."""


class KeyPurpose(StrEnum):
    """What a derived key is for: each kind of file has its own."""

    CATALOG = "catalog"
    DATABASES = "databases"
    ARCHIVE = "archive"
    STAGING = "staging"
    IDENTITIES = "identities"


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of one folder. Its ``repr`` shows no key."""

    _data_key: bytes

    def of(self, purpose: KeyPurpose) -> bytes:
        """Returns the key for one purpose, 32 bytes."""
        return derive_key(self._data_key, f"ccgi {purpose.value} {_SCHEME}")


def derive_key(key: bytes, name: str, salt: bytes | None = None) -> bytes:
    """Derives another key of 32 bytes from ``key``; ``name`` and ``salt`` make it unique."""
    return HKDF(SHA256(), KEY_BYTES, salt, name.encode()).derive(key)


@dataclass(frozen=True, slots=True)
class EncryptionStatus:
    """How a folder is encrypted: scheme, and when it was made and its key changed (ISO, UTC)."""

    scheme: int
    made: str
    key_changed: str


# --- the operator's key ---------------------------------------------------------------------------


def generate_key() -> str:
    """Returns a new operator's key: 32 random bytes in base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def read_key_file(path: Path) -> bytes:
    """Returns the key that a file holds. Raises EncryptionKeyError."""
    try:
        return _decode_key(path.read_text(), f"the file {path}")
    except (OSError, UnicodeDecodeError):
        msg = f"the file {path} cannot be read: check its path and its permissions"
        raise EncryptionKeyError(msg) from None


def _decode_key(written: str, where: str) -> bytes:
    try:
        key = base64.b64decode(written.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        msg = f"{where} holds no key: 32 bytes in base64, as `ccgi encryption new-key` prints them"
        raise EncryptionKeyError(msg)
    return key


def _key_from_environment(environment: Mapping[str, str]) -> bytes | None:
    """Returns the operator's key, or None if the environment has none."""
    written = read_variable(environment, KEY, EncryptionKeyError)
    where = KEY if environment.get(KEY) else f"the file of {KEY_FILE}"
    return _decode_key(written, where) if written else None


# --- a folder's keys ------------------------------------------------------------------------------


def load_keys(
    folder: Path, *, make: bool = False, environment: Mapping[str, str] = os.environ
) -> Keys | None:
    """Returns the keys of ``folder`` or of its parent folder; None if neither is encrypted.

    ``make``: the caller is about to write. If the environment has a key and the folder is empty,
    the folder becomes an encrypted one. Raises EncryptionKeyError if the key is wrong, missing, or
    set for a folder that is not encrypted.
    """
    folder = folder.absolute()
    key = _key_from_environment(environment)
    home = _find_envelope_folder(folder)
    if home is not None:
        return Keys(_unwrap_data_key(home, key))
    if (folder / "catalog.duckdb").exists():
        msg = (
            f"{folder} is encrypted, but its {FILE_NAME} is gone: restore that file from a backup; "
            "nothing can be read without it"
        )
        raise EncryptionKeyError(msg)
    if key is None:
        return None
    if _holds_data(folder):
        msg = (
            f"{folder} is not encrypted, but a key is set, which would protect nothing: unset "
            f"{KEY} and {KEY_FILE}, or start with a new, encrypted folder (docs/encryption.md)"
        )
        raise EncryptionKeyError(msg)
    if not make:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    with _envelope_lock(folder):
        if not (folder / FILE_NAME).exists():  # another process may have been first
            _write_envelope(folder, secrets.token_bytes(KEY_BYTES), key, made=_now())
    return Keys(_unwrap_data_key(folder, key))


def _find_envelope_folder(folder: Path) -> Path | None:
    """Returns the folder with the envelope: this one, or the warehouse that it is a part of."""
    return next((home for home in (folder, folder.parent) if (home / FILE_NAME).exists()), None)


def _holds_data(folder: Path) -> bool:
    return any(next(folder.glob(pattern), None) for pattern in _PLAIN_CONTENT)


def change_key(folder: Path, new: bytes, *, environment: Mapping[str, str] = os.environ) -> None:
    """Replaces the operator's key, which the environment has, by ``new`` in one atomic step.

    The data and the keys that are derived for them stay the same. Raises EncryptionKeyError.
    """
    folder = folder.absolute()
    read_status(folder)
    with _envelope_lock(folder):
        data_key = _unwrap_data_key(folder, _key_from_environment(environment))
        _write_envelope(folder, data_key, new, made=str(_read_envelope(folder)["made"]))


def read_status(folder: Path) -> EncryptionStatus:
    """Returns how the folder is encrypted; needs no key.

    Raises EncryptionKeyError if it is not encrypted.
    """
    if not (folder / FILE_NAME).exists():
        msg = f"{folder} is not encrypted: it has no {FILE_NAME}"
        raise EncryptionKeyError(msg)
    envelope = _read_envelope(folder)
    return EncryptionStatus(int(envelope["scheme"]), envelope["made"], envelope["key_changed"])


def _read_envelope(home: Path) -> dict[str, str]:
    try:
        envelope = json.loads((home / FILE_NAME).read_text())
        scheme, _, _, _ = (envelope[n] for n in ("scheme", "wrapped_key", "made", "key_changed"))
    except (ValueError, KeyError, TypeError):
        msg = f"{home / FILE_NAME} is damaged: restore it from a backup"
        raise EncryptionKeyError(msg) from None
    if scheme != _SCHEME:
        msg = (
            f"{home / FILE_NAME} has scheme {scheme}, but this version of the pipeline knows only "
            f"scheme {_SCHEME}: use the version that wrote it"
        )
        raise EncryptionKeyError(msg)
    return dict(envelope)


def _unwrap_data_key(home: Path, key: bytes | None) -> bytes:
    if key is None:
        msg = f"{home} is encrypted, but no key is set: set {KEY} or {KEY_FILE}"
        raise EncryptionKeyError(msg)
    try:
        wrapped = base64.b64decode(_read_envelope(home)["wrapped_key"])
        return AESGCM(key).decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _BOUND_TO)
    except (InvalidTag, ValueError):
        msg = (
            f"the key that is set is not the one of {home}: set the right one in {KEY} or "
            f"{KEY_FILE}. After a change of key that is the new key; a backup needs the key of "
            "its time"
        )
        raise EncryptionKeyError(msg) from None


def _write_envelope(home: Path, data_key: bytes, key: bytes, made: str) -> None:
    """Writes the envelope; the old one stays until the new one is complete and on disk."""
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
        _flush_folder(home)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _envelope_lock(folder: Path) -> Iterator[None]:
    with (folder / f"{FILE_NAME}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _now() -> str:
    return datetime.now(tz=UTC).isoformat(timespec="seconds")
