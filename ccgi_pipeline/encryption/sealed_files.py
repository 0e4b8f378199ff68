"""Sealed files: encrypted files that cannot be changed without notice.

Belongs here: the format of such a file, and writing and reading it piece by piece. Does not belong
here: where keys come from (``keys``) and what is in the files.

A sealed file begins with the name of the format and a random salt; the file's own key is derived
from key and salt. Then come pieces of one MiB (the last is shorter), each encrypted with
AES-256-GCM. A piece's nonce is its number and a mark on the last one, so a piece that was left out,
exchanged or cut off is noticed.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.encryption.keys import derive_key

_FORM = b"ccgi sealed 1\n"
_SALT_BYTES, _TAG_BYTES = 16, 16
_HEADER_BYTES = len(_FORM) + _SALT_BYTES
_PIECE = 1 << 20
_NUMBER_BYTES = 11  # with the mark, the 12 bytes of a nonce


class SealBrokenError(PermanentError):
    """A sealed file was changed since it was written, or was sealed with another key."""


class SealedWriter(io.RawIOBase):
    """Encrypts what is written to it into ``file``, which is complete after ``finish``."""

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        super().__init__()
        salt = secrets.token_bytes(_SALT_BYTES)
        self._file, self._cipher = file, _cipher(key, salt)
        self._waiting, self._number = bytearray(), 0
        file.write(_FORM + salt)

    def writable(self) -> bool:
        """Returns True."""
        return True

    def write(self, data: object) -> int:
        """Takes bytes, and writes a piece as soon as it has more than one."""
        content = memoryview(data).cast("B")  # type: ignore[arg-type] # whatever has bytes
        for start in range(0, len(content), _PIECE):
            self._waiting += content[start : start + _PIECE]
            if len(self._waiting) > _PIECE:
                self._write_piece(bytes(self._waiting[:_PIECE]), last=False)
                del self._waiting[:_PIECE]
        return len(content)

    def finish(self) -> None:
        """Writes the last piece."""
        self._write_piece(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _write_piece(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, last=last), piece, None))
        self._number += 1


def read_pieces(file: BinaryIO, key: bytes) -> Iterator[bytes]:
    """Yields the pieces of a sealed file, each after its check. Raises SealBrokenError.

    A missing end is noticed only after the last piece.
    """
    cipher = _read_header(file, key)
    number, piece = 0, file.read(_PIECE + _TAG_BYTES)
    while True:
        following = file.read(_PIECE + _TAG_BYTES)
        yield _decrypt(cipher, number, piece, last=not following)
        if not following:
            return
        number, piece = number + 1, following


class SealedReader(io.RawIOBase):
    """Reads a sealed file from any place; ``file`` is closed with it.

    Only the pieces that are asked for are checked, and the one that was asked for last is kept.
    Raises SealBrokenError.
    """

    def __init__(self, file: BinaryIO, key: bytes) -> None:
        super().__init__()
        self._file = file
        self._cipher = _read_header(file, key)
        sealed_size = file.seek(0, io.SEEK_END)
        self._size = plain_size(sealed_size)
        self._last = max(0, sealed_size - _HEADER_BYTES - 1) // (_PIECE + _TAG_BYTES)
        self._place, self._number, self._piece = 0, -1, b""

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to a place of the content, and returns it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            msg = "a place before the beginning of a file"
            raise ValueError(msg)
        self._place = start + offset
        return self._place

    def readinto(self, buffer: object) -> int:
        """Reads up to the end of a piece."""
        into = memoryview(buffer).cast("B")  # type: ignore[arg-type] # whatever has bytes
        if self._place >= self._size:
            return 0
        number, start = divmod(self._place, _PIECE)
        if number != self._number:
            self._file.seek(_HEADER_BYTES + number * (_PIECE + _TAG_BYTES))
            sealed = self._file.read(_PIECE + _TAG_BYTES)
            self._piece = _decrypt(self._cipher, number, sealed, last=number == self._last)
            self._number = number
        read = self._piece[start : start + len(into)]
        into[: len(read)] = read
        self._place += len(read)
        return len(read)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()


def seal(content: bytes | memoryview, key: bytes) -> bytes:
    """Returns ``content`` as the bytes of a sealed file."""
    written = io.BytesIO()
    sealer = SealedWriter(written, key)
    sealer.write(content)
    sealer.finish()
    return written.getvalue()


def unseal(sealed: bytes, key: bytes) -> bytes:
    """Returns the content of a sealed file. Raises SealBrokenError."""
    return b"".join(read_pieces(io.BytesIO(sealed), key))


def plain_size(sealed_size: int) -> int:
    """Returns how many bytes of content a sealed file of ``sealed_size`` bytes holds."""
    pieces = -(-(sealed_size - _HEADER_BYTES) // (_PIECE + _TAG_BYTES))
    return max(0, sealed_size - _HEADER_BYTES - pieces * _TAG_BYTES)


def _read_header(file: BinaryIO, key: bytes) -> AESGCM:
    header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES or not header.startswith(_FORM):
        msg = "the file is not a sealed file, or its beginning is damaged"
        raise SealBrokenError(msg)
    return _cipher(key, header[len(_FORM) :])


def _decrypt(cipher: AESGCM, number: int, piece: bytes, *, last: bool) -> bytes:
    try:
        return cipher.decrypt(_nonce(number, last=last), piece, None)
    except (InvalidTag, ValueError):
        msg = "a sealed file was changed or cut off, or another key sealed it"
        raise SealBrokenError(msg) from None


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(derive_key(key, "ccgi sealed file 1", salt))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, "big") + bytes([last])
