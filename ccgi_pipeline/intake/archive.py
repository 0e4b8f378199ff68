"""Stores every received file unchanged, under the SHA-256 of its content.

Belongs here: storing bytes and reading them back. In an encrypted warehouse the stored files are
sealed, so all other code reads them through ``Archive``. Does not belong here: what the bytes mean
and who sent them (the warehouse's table ``drops`` says so).
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Self, cast

from ccgi_pipeline.common.errors import PermanentError
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.keys import KeyPurpose, load_keys
from ccgi_pipeline.encryption.sealed_files import (
    SealBrokenError,
    SealedReader,
    SealedWriter,
    plain_size,
    read_pieces,
)
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.listed_files import open_listed_file

_CHUNK = 1 << 20


class ArchiveDamagedError(PermanentError):
    """The disk returned other bytes than were stored: restore the file from a backup."""


_STAND_IN = b"ccgi-pipeline: this file was not taken, because it is too large. Size and time: "
OVERSIZE = 1 << 50
"""The size of a file that was not taken: larger than any limit."""


def make_stand_in(stamp: str) -> bytes:
    """Returns what is archived in the place of a file that is too large to be copied.

    ``stamp``: tells it from other such files, and from the same one after a change.
    """
    return _STAND_IN + stamp.encode(errors="replace")


@dataclass(frozen=True, slots=True)
class Archive:
    """Files under ``root/ab/abcdef...``: the name is the content's SHA-256 in hex.

    ``key`` seals the files; None if the warehouse is not encrypted.
    """

    root: Path
    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, warehouse: Path) -> Self:
        """Returns the archive of the warehouse in this folder. Raises EncryptionKeyError."""
        keys = load_keys(warehouse)
        return cls(warehouse / "archive", keys.of(KeyPurpose.ARCHIVE) if keys else None)

    def path(self, sha256: str) -> Path:
        """Returns the path of the content with this hash, sealed or not."""
        return self.root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Returns whether the archive has the content with this hash."""
        return self.path(sha256).exists()

    def size(self, sha256: str) -> int:
        """Returns the number of bytes of the content with this hash.

        A file that was too large to be taken has more than any limit.
        """
        size = self.path(sha256).stat().st_size
        size = size if self.key is None else plain_size(size)
        begins = len(_STAND_IN)
        if begins < size < 2 * begins and self.read_start(sha256, begins) == _STAND_IN:
            return OVERSIZE
        return size

    def store(self, source: Path) -> str:
        """Copies ``source``, a file of the pipeline's own, and returns its SHA-256.

        Raises FileStillGrowingError if the file changes meanwhile, FileNotReadableError if this
        account may not read it.
        """
        source = source.resolve()
        return self.store_listed(source.parent, source.name)

    def store_listed(self, root: Path, path: str, stamp: str | None = None) -> str:
        """Copies a file of an inbox (``open_listed_file``) and returns its SHA-256."""

        def copied(part: BinaryIO) -> str:
            digest = hashlib.sha256()
            with open_listed_file(root, path, stamp) as received:
                while chunk := received.read(_CHUNK):
                    digest.update(chunk)
                    part.write(chunk)
            return digest.hexdigest()

        return self.store_output(copied)

    def store_stand_in(self, stamp: str) -> str:
        """Stores a stand-in for a file that is too large to be copied; returns its SHA-256."""
        content = make_stand_in(stamp)

        def written(part: BinaryIO) -> str:
            part.write(content)
            return hashlib.sha256(content).hexdigest()

        return self.store_output(written)

    def store_output(self, fill: Callable[[BinaryIO], str]) -> str:
        """Stores what ``fill`` writes, and returns the SHA-256 that ``fill`` returns.

        The content appears under its name only when it is complete and on disk, so a crash leaves
        no file that could be mistaken for it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.root, prefix=".part-", delete=False) as part:
            part_path = Path(part.name)
            try:
                with failpoint("archive: fetched"):
                    sha256 = self._write(cast("BinaryIO", part), fill)
                    part.flush()
                    os.fsync(part.fileno())
            except BaseException:
                part_path.unlink()
                raise
        final = self.path(sha256)
        final.parent.mkdir(exist_ok=True)
        part_path.chmod(0o400)
        with failpoint("archive: kept"):
            part_path.replace(final)
        return sha256

    def _write(self, part: BinaryIO, fill: Callable[[BinaryIO], str]) -> str:
        if self.key is None:
            return fill(part)
        sealer = SealedWriter(part, self.key)
        sha256 = fill(cast("BinaryIO", sealer))
        sealer.finish()
        return sha256

    def read(self, sha256: str) -> bytes:
        """Returns the content with this hash. Raises ArchiveDamagedError if it has changed."""
        if self.key is None:
            content = self.path(sha256).read_bytes()
        else:
            whole = io.BytesIO()  # returns its bytes without a copy
            for piece in self.read_pieces(sha256):
                whole.write(piece)
            content = whole.getvalue()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise _damaged(sha256)
        return content

    def content(self, sha256: str) -> Content:
        """Returns the ways to read the content with this hash; each may raise ArchiveDamagedError.

        ``open`` reads an archived file without a key once more, to prove it.
        """
        read, read_pieces = partial(self.read, sha256), partial(self.read_pieces, sha256)
        return Content(self.size(sha256), read, read_pieces, partial(self._open, sha256))

    def _open(self, sha256: str) -> BinaryIO:
        path = self.path(sha256)
        if self.key is None:
            for _ in self.read_pieces(sha256):
                pass
            return path.open("rb")
        return io.BufferedReader(_ArchiveReader(path, self.key))

    def files(self) -> list[Path]:
        """Returns the paths of all archived files."""
        return sorted(path for path in self.root.glob("*/*") if path.is_file())

    def read_start(self, sha256: str, length: int) -> bytes:
        """Returns the first ``length`` bytes of the content. Raises ArchiveDamagedError."""
        start = b""
        for piece in self.read_pieces(sha256):
            start += piece
            if len(start) >= length:
                break
        return start[:length]

    def read_pieces(self, sha256: str) -> Iterator[bytes]:
        """Yields the content with this hash in pieces.

        Raises ArchiveDamagedError, of an archive without a key only after the last piece.
        """
        with self.path(sha256).open("rb") as file:
            if self.key is None:
                digest = hashlib.sha256()
                while piece := file.read(_CHUNK):
                    digest.update(piece)
                    yield piece
                if digest.hexdigest() != sha256:
                    raise _damaged(sha256)
                return
            try:
                yield from read_pieces(file, self.key)
            except SealBrokenError:
                raise _damaged(sha256) from None

    def remove_partial_files(self) -> None:
        """Removes the files that an interrupted ``store`` left."""
        for part in self.root.glob(".part-*"):
            part.unlink()


class _ArchiveReader(SealedReader):
    """Reads a sealed file of the archive from any place. Raises ArchiveDamagedError."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._sha256 = path.name
        with self._tells_damage():
            super().__init__(path.open("rb"), key)

    def readinto(self, buffer: object) -> int:
        """Reads up to the end of a piece."""
        with self._tells_damage():
            return super().readinto(buffer)

    @contextmanager
    def _tells_damage(self) -> Iterator[None]:
        try:
            yield
        except SealBrokenError:
            raise _damaged(self._sha256) from None


def _damaged(sha256: str) -> ArchiveDamagedError:
    return ArchiveDamagedError(f"archived file {sha256} is damaged: restore it from a backup")
