"""The staged drops of a family, cut into batches that fit into memory.

Belongs here: where one batch ends, and finding the drop that makes a batch fail. Does not belong
here: the files of the batches (warehouse.storage.staging).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import duckdb

from ccgi_pipeline.common.errors import describe_without_values, library_errors
from ccgi_pipeline.feeds.registry import FAMILIES
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.inbox import UNKNOWN_FAMILY, Drop, InboxFile
from ccgi_pipeline.intake.zip_files import is_zip
from ccgi_pipeline.verification.gates import refuse_drops
from ccgi_pipeline.verification.outcomes import Verification

_LOG = logging.getLogger(__name__)

BATCH_BYTES = 128 << 20
"""Received bytes that are verified together: enough to make a pandera call cheap, and so few that a
night of any size needs the memory of one batch."""


def bisect_failures(
    batch: list[Drop], verified: Callable[[Sequence[Drop]], Verification]
) -> Iterator[tuple[list[Drop], Verification]]:
    """Verifies ``batch``; if that fails unexpectedly, verifies halves to find the drop at fault.

    So a fault of this software affects the sender of one drop, whose receipt says so, and no other
    district.
    """
    try:
        verification = verified(batch)
    except (OSError, duckdb.Error):
        raise  # the machine's fault, not the drop's: the whole night is repeated
    except library_errors() as error:
        if len(batch) == 1:
            _LOG.error(
                "drop %s could not be judged: %s", batch[0].id, describe_without_values(error)
            )
            yield batch, refuse_drops(batch)
            return
        middle = len(batch) // 2
        yield from bisect_failures(batch[:middle], verified)
        yield from bisect_failures(batch[middle:], verified)
        return
    yield batch, verification


def staged_families(family: str) -> list[str]:
    """Returns the families whose drops are staged with ``family``: strays go with one family."""
    return [family, UNKNOWN_FAMILY] if FAMILIES[family].answers_strays else [family]


def cut_batches(drops: Sequence[Drop], archive: Archive) -> Iterator[list[Drop]]:
    """Yields batches of drops in their order; a batch is not too large and has a sender once."""
    batch: list[Drop] = []
    senders: set[str] = set()
    size = 0
    for drop in drops:
        bytes_ = bytes_of(drop, archive)
        other_family = bool(batch) and batch[0].family != drop.family
        if batch and (drop.sender in senders or other_family or size + bytes_ > BATCH_BYTES):
            yield batch
            batch, senders, size = [], set(), 0
        batch.append(drop)
        senders.add(drop.sender)
        size += bytes_
    if batch:
        yield batch


def bytes_of(drop: Drop, archive: Archive) -> int:
    """Returns about how many bytes of text ``drop`` is, once its zips are opened."""
    return sum(
        archive.size(sha256) * (_UNZIPPED if _is_packed(file) else 1) for file, sha256 in drop.files
    )


def _is_packed(file: InboxFile) -> bool:
    """Whether it is a zip, or encrypted by its name: most programs pack what they encrypt."""
    return is_zip(file.content_name) or file.content_name != file.name


_UNZIPPED = 10
"""Bytes of text in a byte of a zip: 9 to 13 in districts' sets and packages."""
