"""Staging: what lies between one step of the night and the next, as files in the warehouse folder.

Belongs here: how received drops and verified lines are handed on, so that each step can run in a
process of its own and holds no more than one batch in memory. They are files of ours, not values
of the orchestrator, because they hold pupils' data. Whatever a stopped night leaves is overwritten
by the next.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from ccgi_pipeline.intake.inbox import Drop, InboxFile
from ccgi_pipeline.milestones import milestone
from ccgi_pipeline.verification.verifying import Verification


@dataclass(frozen=True, slots=True)
class Staging:
    """The staging area below a warehouse folder."""

    root: Path

    def save_drops(self, drops: Sequence[Drop]) -> None:
        """Replaces everything staged by newly received ``drops``."""
        with milestone("staging: emptied"):
            shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        with milestone("staging: drops written"):
            _save_drops(self.root / "drops.json", drops)

    def drops(self, families: Sequence[str]) -> list[Drop]:
        """The received drops of these families, in the order in which they are to be loaded."""
        path = self.root / "drops.json"
        drops = _load_drops(path) if path.exists() else []
        return [drop for drop in drops if drop.family in families]

    def clear_batches(self, family: str) -> None:
        """Forgets what was verified of ``family``."""
        shutil.rmtree(self.root / family, ignore_errors=True)

    def clear_batch(self, folder: Path) -> None:
        """Forgets one batch."""
        with milestone("staging: batch forgotten"):
            shutil.rmtree(folder)

    def save_batch(self, family: str, drops: Sequence[Drop], verified: Verification) -> None:
        """Adds a batch of verified drops."""
        number = len(self.batch_folders(family))  # batches are only added to an empty family
        folder = self.root / family / f"batch-{number:05d}"
        for kind, frames in (("accepted", verified.accepted), ("kept_keys", verified.kept_keys)):
            (folder / kind).mkdir(parents=True)
            for feed, frame in frames.items():
                frame.write_parquet(folder / kind / f"{feed}.parquet")
        with milestone("staging: batch written"):
            verified.files.write_parquet(folder / "files.parquet")
            verified.findings.write_parquet(folder / "findings.parquet")
            _save_drops(folder / "drops.json", drops)

    def batch_folders(self, family: str) -> list[Path]:
        """Where the batches of ``family`` lie, in their order."""
        return sorted((self.root / family).glob("batch-*"))

    def batch(self, folder: Path) -> tuple[list[Drop], Verification]:
        """One batch: its drops and what verification made of them."""
        verified = Verification(
            files=pl.read_parquet(folder / "files.parquet"),
            findings=pl.read_parquet(folder / "findings.parquet"),
            accepted=_frames(folder / "accepted"),
            kept_keys=_frames(folder / "kept_keys"),
        )
        return _load_drops(folder / "drops.json"), verified


def _frames(folder: Path) -> dict[str, pl.DataFrame]:
    return {path.stem: pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}


def _save_drops(path: Path, drops: Sequence[Drop]) -> None:
    path.write_text(json.dumps([asdict(drop) for drop in drops]))


def _load_drops(path: Path) -> list[Drop]:
    return [
        Drop(
            row["id"],
            row["sender"],
            row["family"],
            tuple((InboxFile(**file), sha256) for file, sha256 in row["files"]),
        )
        for row in json.loads(path.read_text())
    ]
