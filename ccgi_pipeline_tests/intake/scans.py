"""A look into a local inbox, as a night started by hand has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.arrivals import (
    DropHistory,
    ReceivedDrops,
    RememberedFile,
    ScanTerms,
    receive_files,
    scan_inboxes,
)
from ccgi_pipeline.intake.sources import Inboxes, LocalInbox


def received_from(
    inbox: Path,
    archive: Archive,
    remembered: Mapping[str, RememberedFile],
    history: DropHistory,
    only: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> ReceivedDrops:
    """What lies in ``inbox``, taken as it is."""
    inboxes = Inboxes([LocalInbox(inbox)])
    watch = ScanTerms(datetime.now(UTC), timedelta(), patient=False)
    look, _ = scan_inboxes(inboxes, remembered, {}, watch, only)
    return receive_files(inboxes, look, archive, remembered, history, progress)
