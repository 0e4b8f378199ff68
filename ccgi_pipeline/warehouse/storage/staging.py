"""The staging area: files in the warehouse folder that one step of a night hands to the next.

Belongs here: writing and reading received drops and verified lines between the steps, so that each
step can run in its own process and holds no more than one batch in memory. Does not belong here:
how drops are cut into batches (nightly.batches).

The files hold students' data, so they are not values of the orchestrator; in an encrypted warehouse
they are sealed. The next night overwrites what a stopped night leaves.

    staging/drops.json                          received drops
    staging/<family>/batch-<number>/            verified drops, deleted when they are loaded
        <part>/<feed>.parquet                   lines; a large file's in a folder, piece by piece
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

import polars as pl

from ccgi_pipeline.common.failpoints import failpoint
from ccgi_pipeline.common.packed_frames import PackedFrame, Rows
from ccgi_pipeline.encryption.keys import KeyPurpose, load_keys
from ccgi_pipeline.encryption.sealed_files import seal, unseal
from ccgi_pipeline.intake.inbox import Drop, InboxFile
from ccgi_pipeline.verification.outcomes import Verification

_BY_FEED: Final = ("accepted", "kept_keys", "unread")
"""The parts of a verification that have a frame a feed."""
_COMPRESSION: Final = "lz4"
"""Each file is written once and read once: a smaller file would cost more time than it saves."""


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging area below a warehouse folder; its files are sealed with ``key``, if given."""

    root: Path
    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, warehouse: Path) -> Self:
        """Returns the staging area of the warehouse in this folder. Raises EncryptionKeyError."""
        keys = load_keys(warehouse)
        return cls(warehouse / "staging", keys.of(KeyPurpose.STAGING) if keys else None)

    def save_drops(self, drops: Sequence[Drop]) -> None:
        """Replaces everything staged by newly received ``drops``."""
        with failpoint("staging: emptied"):
            shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        with failpoint("staging: drops written"):
            self._save_drops(self.root / "drops.json", drops)

    def read_drops(self, families: Sequence[str]) -> list[Drop]:
        """Returns the received drops of these families, in the order of loading."""
        path = self.root / "drops.json"
        drops = self._read_drops(path) if path.exists() else []
        return [drop for drop in drops if drop.family in families]

    def clear_batches(self, family: str) -> None:
        """Deletes the verified batches of ``family``."""
        shutil.rmtree(self.root / family, ignore_errors=True)

    def clear_batch(self, folder: Path) -> None:
        """Deletes one batch."""
        with failpoint("staging: batch forgotten"):
            shutil.rmtree(folder)

    def save_batch(self, family: str, drops: Sequence[Drop], verified: Verification) -> None:
        """Adds a batch of verified drops."""
        number = len(self.list_batches(family))  # no batch is deleted before all are added
        folder = self.root / family / f"batch-{number:05d}"
        for kind in _BY_FEED:
            (folder / kind).mkdir(parents=True)
            for feed, rows in getattr(verified, kind).items():
                self._save_rows(folder / kind / feed, rows)
        with failpoint("staging: batch written"):
            self._save_frame(folder / "files.parquet", verified.files)
            self._save_frame(folder / "findings.parquet", verified.findings)
            self._save_frame(folder / "causes.parquet", verified.causes)
            self._save_drops(folder / "drops.json", drops)

    def list_batches(self, family: str) -> list[Path]:
        """Returns the folders of the batches of ``family``, in their order."""
        return sorted((self.root / family).glob("batch-*"))

    def read_batch(self, folder: Path) -> tuple[list[Drop], Verification]:
        """Returns one batch: its drops and their verification."""
        verified = Verification(
            files=self._read_frame(folder / "files.parquet"),
            findings=self._read_frame(folder / "findings.parquet"),
            causes=self._read_frame(folder / "causes.parquet"),
            accepted={
                path.stem: self._read_rows(path) for path in sorted((folder / "accepted").iterdir())
            },
            kept_keys=self._read_frames(folder / "kept_keys"),
            unread=self._read_frames(folder / "unread"),
        )
        return self._read_drops(folder / "drops.json"), verified

    def _read_frames(self, folder: Path) -> dict[str, pl.DataFrame]:
        return {path.stem: self._read_frame(path) for path in sorted(folder.iterdir())}

    def _save_rows(self, path: Path, rows: Rows) -> None:
        """Writes rows to a file, or packed rows to a folder of files."""
        if isinstance(rows, pl.DataFrame):
            self._save_frame(path.with_suffix(".parquet"), rows)
            return
        path.mkdir()
        for number, piece in enumerate(rows.pieces):
            sealed = piece if self.key is None else seal(piece, self.key)
            (path / f"{number:05d}.parquet").write_bytes(sealed)

    def _read_rows(self, path: Path) -> Rows:
        if path.is_file():
            return self._read_frame(path)
        pieces = [piece.read_bytes() for piece in sorted(path.iterdir())]
        if self.key is not None:
            pieces = [unseal(piece, self.key) for piece in pieces]
        return PackedFrame.of_pieces(pieces)

    def _save_frame(self, path: Path, frame: pl.DataFrame) -> None:
        if self.key is None:
            frame.write_parquet(path, compression=_COMPRESSION)
            return
        written = io.BytesIO()
        frame.write_parquet(written, compression=_COMPRESSION)
        path.write_bytes(seal(written.getbuffer(), self.key))

    def _read_frame(self, path: Path) -> pl.DataFrame:
        if self.key is None:
            return pl.read_parquet(path)
        return pl.read_parquet(unseal(path.read_bytes(), self.key))

    def _save_drops(self, path: Path, drops: Sequence[Drop]) -> None:
        written = json.dumps([asdict(drop) for drop in drops]).encode()
        path.write_bytes(written if self.key is None else seal(written, self.key))

    def _read_drops(self, path: Path) -> list[Drop]:
        written = path.read_bytes()
        return [
            Drop(
                row["id"],
                row["sender"],
                row["family"],
                tuple((InboxFile(**file), sha256) for file, sha256 in row["files"]),
                row["position"],
            )
            for row in json.loads(written if self.key is None else unseal(written, self.key))
        ]
