"""Shares: a night's drops of one family, cut so that several processes can take them at once.

Belongs here: which drops make a share, and how large a drop is. All drops of a sender are in one
share, since rules look up only what the same sender sent, and loads compare only with the same
sender's records. Does not belong here: who takes a share, and when (defs).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.intake.zip_files import is_zip


@dataclass(frozen=True, slots=True, order=True)
class Share:
    """One of ``of`` shares, numbered from 1."""

    number: int
    of: int

    @property
    def name(self) -> str:
        """As folders and steps bear it: ``share_2_of_4``."""
        return f"share_{self.number}_of_{self.of}"

    @classmethod
    def named(cls, name: str) -> Self:
        """The share of this name. Raises ValueError where it is none's."""
        found = re.fullmatch(r"share_([0-9]+)_of_([0-9]+)", name)
        if found is None:
            msg = "that is no share's name"
            raise ValueError(msg)
        return cls(int(found[1]), int(found[2]))


WHOLE = Share(1, 1)
"""All drops."""


def drops_of(share: Share, drops: Sequence[Drop], archive: Archive) -> list[Drop]:
    """Those of ``drops`` that are in ``share``, in their order.

    Of the same drops every process makes the same shares: the largest sender goes first, each to
    the share that has the least bytes so far.
    """
    if share.of == 1:
        return list(drops)
    sizes: dict[str, int] = {}
    for drop in drops:
        sizes[drop.sender] = sizes.get(drop.sender, 0) + bytes_of(drop, archive)
    held = dict.fromkeys(range(1, share.of + 1), 0)
    theirs = set()
    for sender in sorted(sizes, key=lambda sender: (-sizes[sender], sender)):
        lightest = min(held, key=lambda number: (held[number], number))
        held[lightest] += sizes[sender] + 1  # senders of empty files are spread as well
        if lightest == share.number:
            theirs.add(sender)
    return [drop for drop in drops if drop.sender in theirs]


def bytes_of(drop: Drop, archive: Archive) -> int:
    """About how many bytes of text ``drop`` is, once its zips are opened."""
    return sum(
        archive.size(sha256) * (_UNZIPPED if is_zip(file.name) else 1)
        for file, sha256 in drop.files
    )


_UNZIPPED = 10
"""Bytes of text in a byte of a zip: 9 to 13 in districts' sets and packages."""
