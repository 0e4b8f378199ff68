"""Scans a local inbox the way a night that is started by hand does."""

from __future__ import annotations

import math
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


def received_from(  # noqa: PLR0913 - what a night is given
    inbox: Path,
    archive: Archive,
    remembered: Mapping[str, RememberedFile],
    history: DropHistory,
    only: str | None = None,
    *,
    largest: float = math.inf,
    progress: Callable[[str], None] = lambda _: None,
) -> ReceivedDrops:
    """What lies in ``inbox``, taken as it is."""
    inboxes = Inboxes([LocalInbox(inbox)], largest=largest)
    terms = ScanTerms(datetime.now(UTC), timedelta(), wait_for_local=False)
    scan, _ = scan_inboxes(inboxes, remembered, {}, terms, only)
    return receive_files(inboxes, scan, archive, remembered, history, progress)
