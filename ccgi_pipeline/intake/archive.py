"""The archive: every received file as it came, under its SHA-256, never changed.

Belongs here: storing and finding bytes by content. Does not belong here: what the bytes mean, who
sent them (the warehouse's ``drops`` table says that).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ccgi_pipeline.errors import PermanentError, TransientError
from ccgi_pipeline.milestones import milestone

_CHUNK = 1 << 20


class FileStillGrowingError(TransientError):
    """The file changed while it was read: the next look takes it."""


class ArchiveDamagedError(PermanentError):
    """The disk gave back other bytes than were stored: restore the file from a backup."""


@dataclass(frozen=True, slots=True)
class Archive:
    """Files under ``root/ab/abcdef...``: the name is the content's SHA-256 in hex."""

    root: Path

    def path(self, sha256: str) -> Path:
        """Where the content with this hash stands."""
        return self.root / sha256[:2] / sha256

    def store(self, source: Path) -> str:
        """Copies ``source`` in and returns its SHA-256.

        Raises FileStillGrowingError where the file changed meanwhile.
        """

        def copied(part: BinaryIO) -> str:
            before = source.stat()
            digest = hashlib.sha256()
            with source.open("rb") as received:
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
                with milestone("archive: fetched"):
                    sha256 = fill(cast("BinaryIO", part))
                    part.flush()
                    os.fsync(part.fileno())
            except BaseException:
                part_path.unlink()
                raise
        final = self.path(sha256)
        final.parent.mkdir(exist_ok=True)
        part_path.chmod(0o444)
        with milestone("archive: kept"):
            part_path.replace(final)
        return sha256

    def read(self, sha256: str) -> bytes:
        """The content with this hash. Raises ArchiveDamagedError where the disk gave another."""
        content = self.path(sha256).read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            msg = f"archived file {sha256} is damaged: restore it from a backup"
            raise ArchiveDamagedError(msg)
        return content

    def files(self) -> list[Path]:
        """All that is archived."""
        return sorted(path for path in self.root.glob("*/*") if path.is_file())

    def sweep(self) -> None:
        """Removes what an interrupted ``store`` left."""
        for part in self.root.glob(".part-*"):
            part.unlink()
