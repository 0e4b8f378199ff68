"""The archive: every received file as it came, under its SHA-256, never changed.

Belongs here: storing and finding bytes by content. In an encrypted warehouse each file is a sealed
one, under the SHA-256 of what it holds: whoever wants the bytes asks here, never the file itself.
Does not belong here: what the bytes mean, who sent them (the warehouse's ``drops`` table does).
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self, cast

from ccgi_pipeline.common.errors import PermanentError, TransientError
from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.encryption.keys import KeyPurpose, load_keys
from ccgi_pipeline.encryption.sealed_files import (
    SealBrokenError,
    SealedWriter,
    plain_size,
    read_pieces,
)

_CHUNK = 1 << 20


class FileStillGrowingError(TransientError):
    """The file changed while it was read: the next look takes it."""


class FileNotReadableError(PermanentError):
    """The account that runs this may not read the file: its owner must give it the right."""


class ArchiveDamagedError(PermanentError):
    """The disk gave back other bytes than were stored: restore the file from a backup."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Files under ``root/ab/abcdef...``: the name is the content's SHA-256 in hex.

    ``key``: they are sealed with it.
    """

    root: Path
    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, warehouse: Path) -> Self:
        """That of the warehouse in this folder. Raises EncryptionKeyError."""
        keys = load_keys(warehouse)
        return cls(warehouse / "archive", keys.of(KeyPurpose.ARCHIVE) if keys else None)

    def path(self, sha256: str) -> Path:
        """Where the content with this hash stands, sealed or not."""
        return self.root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether the content with this hash is here."""
        return self.path(sha256).exists()

    def size(self, sha256: str) -> int:
        """How many bytes the content with this hash has."""
        size = self.path(sha256).stat().st_size
        return size if self.key is None else plain_size(size)

    def store(self, source: Path) -> str:
        """Copies ``source`` in and returns its SHA-256.

        Raises FileStillGrowingError where the file changed meanwhile, FileNotReadableError where
        we may not read it.
        """

        def copied(part: BinaryIO) -> str:
            before = source.stat()
            digest = hashlib.sha256()
            with _to_read(source) as received:
                while chunk := received.read(_CHUNK):
                    digest.update(chunk)
                    part.write(chunk)
            after = source.stat()
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                msg = "the file changed while it was read"
                raise FileStillGrowingError(msg)
            return digest.hexdigest()

        return self.keep(copied)

    def keep(self, fill: Callable[[BinaryIO], str]) -> str:
        """Keeps what ``fill`` writes; it returns the SHA-256 of that, and so does this.

        The content appears under its name only when it is whole and on disk, so a crash leaves
        nothing that could be taken for it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.root, prefix=".part-", delete=False) as part:
            part_path = Path(part.name)
            try:
                with failpoint("archive: fetched"):
                    sha256 = self._filled(cast("BinaryIO", part), fill)
                    part.flush()
                    os.fsync(part.fileno())
            except BaseException:
                part_path.unlink()
                raise
        final = self.path(sha256)
        final.parent.mkdir(exist_ok=True)
        part_path.chmod(0o444)
        with failpoint("archive: kept"):
            part_path.replace(final)
        return sha256

    def _filled(self, part: BinaryIO, fill: Callable[[BinaryIO], str]) -> str:
        if self.key is None:
            return fill(part)
        sealer = SealedWriter(part, self.key)
        sha256 = fill(cast("BinaryIO", sealer))
        sealer.finish()
        return sha256

    def read(self, sha256: str) -> bytes:
        """The content with this hash. Raises ArchiveDamagedError where the disk gave another."""
        if self.key is None:
            content = self.path(sha256).read_bytes()
        else:
            whole = io.BytesIO()  # it gives its bytes away without a copy
            for piece in self._pieces(sha256):
                whole.write(piece)
            content = whole.getvalue()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise _damaged(sha256)
        return content

    def files(self) -> list[Path]:
        """All that is archived."""
        return sorted(path for path in self.root.glob("*/*") if path.is_file())

    def first(self, sha256: str, length: int) -> bytes:
        """The first ``length`` bytes of the content with this hash; all with -1, as of a file.

        Raises ArchiveDamagedError.
        """
        if length < 0:
            return self.read(sha256)
        begun = b""
        for piece in self._pieces(sha256):
            begun += piece
            if len(begun) >= length:
                break
        return begun[:length]

    def _pieces(self, sha256: str) -> Iterator[bytes]:
        with self.path(sha256).open("rb") as file:
            if self.key is None:
                while piece := file.read(_CHUNK):
                    yield piece
                return
            try:
                yield from read_pieces(file, self.key)
            except SealBrokenError:
                raise _damaged(sha256) from None

    def sweep(self) -> None:
        """Removes what an interrupted ``store`` left."""
        for part in self.root.glob(".part-*"):
            part.unlink()


def _to_read(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except PermissionError:
        msg = "the account that runs this may not read the file"
        raise FileNotReadableError(msg) from None


def _damaged(sha256: str) -> ArchiveDamagedError:
    return ArchiveDamagedError(f"archived file {sha256} is damaged: restore it from a backup")
