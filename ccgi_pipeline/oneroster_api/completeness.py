"""Decides whether the pages of a collection make a whole. Pure.

Belongs here: where the next page begins, and every sign that records may be missing. Does not
belong here: asking for pages (``fetching``), reading them (``pages``).

Pages overlap by one record: each begins with the last one of the page before. If another record
comes first, records were added or removed meanwhile, or the server sorts or counts in its own way,
and some may never have come. A page with nothing but that record is the end. This holds without a
total, and also where as many records were added as removed, so that the total stays the same.
"""

from __future__ import annotations

import polars as pl


class Unconfirmed(Exception):  # noqa: N818 - a finding about a collection, which may be fetched again
    """The pages that came do not make a whole. The message says what is missing or wrong."""


class Completeness:
    """What is known of a collection while its pages come."""

    def __init__(self) -> None:
        """Begins before the first page."""
        self.taken = 0
        self.ended = False
        self.total: int | None = None
        self._revision: str | None = None
        self._first: pl.Series | None = None
        self._last: object = None
        self._ids: list[pl.Series] = []
        self._widest = 0

    @property
    def offset(self) -> int:
        """Where the next page begins: at the last record that came."""
        return self.taken - 1 if self._overlaps else self.taken

    @property
    def _overlaps(self) -> bool:
        """Whether pages can overlap: not where the server sends single records."""
        return self.taken > 0 and self._widest > 1

    def take(self, ids: pl.Series, total: int | None, revision: str | None = None) -> int:
        """Takes a page; returns how many of its first records came before. Raises Unconfirmed.

        ``ids``: of its records, in their order. ``total``: how many records the server says there
        are. ``revision``: the number of its snapshot, if it has one.
        """
        self._check_promises(total, revision)
        known = self._count_known(ids)
        new = ids.slice(known)
        if self._first is None:
            self._first = ids
        self._widest = max(self._widest, len(ids))
        self.taken += len(new)
        if self.total is not None and self.taken > self.total:
            msg = f"{self.taken:,} records came, and the server says that there are {self.total:,}"
            raise Unconfirmed(msg)
        if new.is_empty():
            self._end()
        else:
            self._ids.append(new.drop_nulls().hash())
            self._last = ids[-1]
        return known

    def expect_offset(self, rows: int) -> int | None:
        """Returns where the page after one of ``rows`` records would begin, if one must follow."""
        after = self.taken + rows - (1 if self._overlaps else 0)
        sure = self.total is not None and after < self.total and rows > 1
        return after - 1 if sure else None

    def confirm(self, ids: pl.Series, total: int | None, revision: str | None = None) -> None:
        """Compares a second look at the first page with the first. Raises Unconfirmed."""
        self._check_promises(total, revision)
        if self._first is None or not ids.equals(self._first):
            msg = "the first page has other records than at the beginning"
            raise Unconfirmed(msg)

    def _check_promises(self, total: int | None, revision: str | None) -> None:
        if total is not None:
            if self.total is not None and total != self.total:
                msg = f"the total changed from {self.total:,} to {total:,}"
                raise Unconfirmed(msg)
            self.total = total
        if revision is not None:
            if self._revision is not None and revision != self._revision:
                msg = "the server's snapshot changed"
                raise Unconfirmed(msg)
            self._revision = revision

    def _count_known(self, ids: pl.Series) -> int:
        if not self._overlaps:
            return 0
        if ids.is_empty():
            msg = f"an empty page came after {self.taken:,} records, where the last one should be"
            raise Unconfirmed(msg)
        if ids[0] != self._last:
            msg = (
                f"after {self.taken:,} records the next page does not begin where the last ended: "
                "records moved, or the server repeats or leaves out pages"
            )
            raise Unconfirmed(msg)
        return 1

    def _end(self) -> None:
        if self.total is not None and self.taken != self.total:
            msg = f"{self.taken:,} records came, and the server says that there are {self.total:,}"
            raise Unconfirmed(msg)
        ids = pl.concat(self._ids) if self._ids else pl.Series(dtype=pl.UInt64)
        twice = len(ids) - ids.n_unique()
        if twice:
            msg = f"{twice:,} records came twice, by their sourcedId"
            raise Unconfirmed(msg)
        self.ended = True
