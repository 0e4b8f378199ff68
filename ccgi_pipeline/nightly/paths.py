"""The three folders of a night: inbox, outbox and warehouse, and what a night finds in them.

Does not belong here: which folders a command or Dagster uses (common.environment).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.reports.outbox import Outbox
from ccgi_pipeline.warehouse.storage.staging import Staging


@dataclass(frozen=True, slots=True)
class PipelinePaths:
    """The inbox, the outbox and the warehouse folder of a night."""

    inbox: Path
    outbox: Path
    warehouse: Path

    @property
    def write_folders(self) -> tuple[Path, ...]:
        """The folders that a night writes to, for messages about full disks."""
        return (self.warehouse, self.outbox)

    @property
    def archive(self) -> Archive:
        """The archive of received files."""
        return Archive.of(self.warehouse)

    @property
    def staging(self) -> Staging:
        """The files that one step hands to the next."""
        return Staging.of(self.warehouse)

    @property
    def outgoing(self) -> Outbox:
        """The outbox, as the tree of files that districts get."""
        return Outbox(self.outbox)
