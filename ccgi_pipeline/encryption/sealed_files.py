"""Sealed files: bytes on disk that only a key opens, and that nobody can change unnoticed.

Belongs here: the form of such a file, writing and reading it piece by piece. Does not belong here:
where keys come from (encryption), what is in the files.

A sealed file begins with a name of the form and a random salt; of key and salt follows the file's
own key. Then come pieces of one MiB (the last is shorter), each encrypted with AES-256-GCM. A
piece's nonce is its number and a mark on the last one, so pieces that were left out, exchanged or
cut off do not open.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.keys import derived

_FORM = b"ccgi sealed 1\n"
_SALT_BYTES, _TAG_BYTES = 16, 16
_HEADER_BYTES = len(_FORM) + _SALT_BYTES
_PIECE = 1 << 20
_NUMBER_BYTES = 11  # with the mark, the 12 bytes of a nonce


class SealBrokenError(PermanentError):
    """A sealed file is not as it was written, or another key's."""


class Sealer(io.RawIOBase):
    """Writes what it is given into ``file``, sealed. It is whole once ``finish`` was called."""

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        super().__init__()
        salt = secrets.token_bytes(_SALT_BYTES)
        self._file, self._cipher = file, _cipher(key, salt)
        self._waiting, self._number = bytearray(), 0
        file.write(_FORM + salt)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: object) -> int:
        """Takes bytes; a piece is written once there is more than a piece."""
        given = memoryview(data).cast("B")  # type: ignore[arg-type] # whatever has bytes
        for start in range(0, len(given), _PIECE):
            self._waiting += given[start : start + _PIECE]
            if len(self._waiting) > _PIECE:
                self._put(bytes(self._waiting[:_PIECE]), last=False)
                del self._waiting[:_PIECE]
        return len(given)

    def finish(self) -> None:
        """Writes the last piece."""
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _put(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last=last), piece, None))
        self._number += 1


def opened(file: BinaryIO, key: bytes) -> Iterator[bytes]:
    """The pieces of a sealed file, each as soon as it was proven. Raises SealBrokenError.

    Only after the last piece is it sure that none was cut off.
    """
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(_FORM):
        msg = "this is no sealed file, or its beginning is damaged"
        raise SealBrokenError(msg)
    cipher = _cipher(key, header[len(_FORM) :])
    number, piece = 0, file.read(_PIECE + _TAG_BYTES)
    while True:
        following = file.read(_PIECE + _TAG_BYTES)
        try:
            yield cipher.decrypt(_nonce(number, last=not following), piece, None)
        except (InvalidTag, ValueError):
            msg = "a sealed file was changed or cut off, or another key sealed it"
            raise SealBrokenError(msg) from None
        if not following:
            return
        number, piece = number + 1, following


def seal(content: bytes | memoryview, key: bytes) -> bytes:
    """``content`` as a sealed file."""
    written = io.BytesIO()
    sealer = Sealer(written, key)
    sealer.write(content)
    sealer.finish()
    return written.getvalue()


def unseal(sealed: bytes, key: bytes) -> bytes:
    """The content of a sealed file. Raises SealBrokenError."""
    return b"".join(opened(io.BytesIO(sealed), key))


def plain_size(sealed_size: int) -> int:
    """How many bytes a sealed file of this size holds."""
    pieces = -(-(sealed_size - _HEADER_BYTES) // (_PIECE + _TAG_BYTES))
    return max(0, sealed_size - _HEADER_BYTES - pieces * _TAG_BYTES)


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(derived(key, "ccgi sealed file 1", salt))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes([last])
