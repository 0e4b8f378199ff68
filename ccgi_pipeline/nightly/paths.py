"""The three folders of a night: inbox, outbox, warehouse, and the parts of the warehouse folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.reports.outbox import Outbox
from ccgi_pipeline.warehouse.storage.staging import Staging


@dataclass(frozen=True, slots=True)
class PipelinePaths:
    """Where a night finds what came, keeps what it knows, and puts what it made."""

    inbox: Path
    outbox: Path
    warehouse: Path

    @property
    def write_folders(self) -> tuple[Path, ...]:
        """The folders that a night writes to, for messages about full disks."""
        return (self.warehouse, self.outbox)

    @property
    def archive(self) -> Archive:
        """The received bytes."""
        return Archive.of(self.warehouse)

    @property
    def staging(self) -> Staging:
        """What lies between the steps."""
        return Staging.of(self.warehouse)

    @property
    def outgoing(self) -> Outbox:
        """The tree that districts fetch."""
        return Outbox(self.outbox)
