"""The last step of a night: sends the outbox to the districts' folders on SFTP servers.

Belongs here: whether there is anything to deliver. Does not belong here: sending (delivery).
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ccgi_pipeline.common.errors import value_free
from ccgi_pipeline.delivery.ledger import ledger_exists, open_ledger
from ccgi_pipeline.nightly.paths import PipelinePaths
from ccgi_pipeline.profiles import read_profiles

if TYPE_CHECKING:
    from ccgi_pipeline.delivery.upload import DeliveryOutcome


@value_free
def deliver_outbox(folders: PipelinePaths, on: date) -> list[DeliveryOutcome]:
    """Delivers the files of the night ``on``, and those that earlier nights could not deliver.

    Raises DeliveryBusyError if another process is delivering.
    """
    profiles = read_profiles(folders.warehouse)
    if not profiles.sftp:
        return []
    # What connects to servers takes a quarter of a second to load.
    from ccgi_pipeline.delivery.servers import deliver_to_all_servers  # noqa: PLC0415

    return deliver_to_all_servers(folders.warehouse, folders.outbox, profiles, on)


@value_free
def has_pending_deliveries(warehouse: Path) -> bool:
    """Returns whether a file is still to be delivered, or under way."""
    if not read_profiles(warehouse).sftp or not ledger_exists(warehouse):
        return False
    with open_ledger(warehouse) as ledger:
        return bool(ledger.list_servers())
