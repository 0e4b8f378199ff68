"""Fetches one collection whole: page by page, and again if it changes meanwhile.

Belongs here: the order of requests, and writing what came. While a page is read and written, the
next one is on its way. Does not belong here: what makes a whole (``completeness``), the fetch of a
district (``district_fetch``).
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self

import polars as pl

from ccgi_pipeline.common.progress import report_progress
from ccgi_pipeline.oneroster_api.authorization import OneRosterApiRefusedError
from ccgi_pipeline.oneroster_api.client import OneRosterClient, PageAnswer, QueryRefused
from ccgi_pipeline.oneroster_api.collections import (
    DEMOGRAPHICS,
    ID,
    MODIFIED,
    ApiCollection,
    asked_fields,
)
from ccgi_pipeline.oneroster_api.completeness import Completeness, Unconfirmed
from ccgi_pipeline.oneroster_api.csv_files import Lines, append_lines, make_lines
from ccgi_pipeline.oneroster_api.pages import PageFault, build_shape, read_page
from ccgi_pipeline.oneroster_api.state import CollectionResult

SORTED: Mapping[str, str] = {"sort": "sourcedId", "orderBy": "asc"}
"""Without an order of its own, records move between pages though nothing changes."""


class DeltaNotPossible(Exception):  # noqa: N818 - the caller asks for everything instead
    """The server cannot be asked for changes. The message says why."""


@dataclass(frozen=True, slots=True)
class CollectionTerms:
    """How a collection is asked for.

    ``since``: only what was changed since then (a moment in UTC), None for everything. ``tries``:
    how often. ``page_size``: records at once. ``fields``: whether only those that are read.
    """

    collection: ApiCollection
    nested: Sequence[str] = ()
    since: str | None = None
    tries: int = 3
    page_size: int = 5000
    fields: bool = False

    def query(self, *, in_order: bool = True) -> dict[str, str]:
        """Returns the query without limit and offset."""
        query = dict(SORTED) if in_order else {}
        if self.since is not None:
            query["filter"] = f"{MODIFIED}>='{self.since}'"
        if self.fields:
            query["fields"] = ",".join(asked_fields(self.collection, self.nested))
        return query


KeepPage = Callable[[str, int, bytes], None]
"""Archives a page as it came: of a collection, from a place on."""


def fetch_collection(
    client: OneRosterClient, terms: CollectionTerms, folder: Path, keep_page: KeepPage
) -> CollectionResult:
    """Fetches a collection into CSV files in ``folder``.

    Raises:
        OneRosterApiRefusedError: it did not come whole in any of the tries, or is refused.
        OneRosterApiUnavailableError: the server does not answer.
        DeltaNotPossible: changes were asked for, which the server cannot tell.
    """
    name, note = terms.collection.name, ""
    query = terms.query()
    why = ""
    for number in range(1, terms.tries + 1):
        try:
            result = _fetch_once(client, terms, query, folder, keep_page)
        except (Unconfirmed, PageFault) as fault:
            why = str(fault)
            continue
        except QueryRefused as refused:
            if terms.since is not None:
                msg = "the server cannot filter by dateLastModified"
                raise DeltaNotPossible(msg) from None
            if query.keys() & SORTED.keys():
                query, note = terms.query(in_order=False), "the server cannot sort"
                continue
            msg = f"{refused}: {_find_hint(terms)}lower page_size, in case it allows fewer records"
            raise OneRosterApiRefusedError(msg) from None
        notes = "; ".join(filter(None, [result.note, note]))
        return replace(result, tries=number, note=notes)
    msg = f"/{name} did not come whole in {terms.tries} tries: {why}"
    raise OneRosterApiRefusedError(msg)


def _find_hint(terms: CollectionTerms) -> str:
    """Returns what may help where a query is not accepted, if it asks for single fields."""
    if terms.collection.name == DEMOGRAPHICS:
        # Only the named columns are asked for: pages are kept, and no others may be in them.
        return "leave demographics out, if the server cannot send single fields, or "
    return "set ask_for_fields to false, or " if terms.fields else ""


def _fetch_once(
    client: OneRosterClient,
    terms: CollectionTerms,
    query: Mapping[str, str],
    folder: Path,
    keep_page: KeepPage,
) -> CollectionResult:
    with CollectionFiles(folder, [terms.collection.name, *terms.nested]) as files:
        one_pass = _Pass(client, terms, query, keep_page, files)
        one_pass.run()
        return CollectionResult(
            terms.collection.name,
            one_pass.completeness.taken,
            one_pass.completeness.total,
            one_pass.gone,
            one_pass.newest,
            note=one_pass.note,
            files=files.finish(),
        )


class _Pass:
    """One pass over the pages of a collection."""

    def __init__(
        self,
        client: OneRosterClient,
        terms: CollectionTerms,
        query: Mapping[str, str],
        keep_page: KeepPage,
        files: CollectionFiles,
    ) -> None:
        self._client, self._terms, self._query = client, terms, query
        self._keep_page, self._files = keep_page, files
        self._name = terms.collection.name
        self._shape = build_shape(terms.collection, terms.nested)
        self.completeness = Completeness()
        self.gone = 0
        self.newest: str | None = None
        self.note = ""

    def run(self) -> None:
        """Asks for all pages, and looks at the first one again."""
        with ThreadPoolExecutor(1) as pool:
            try:
                self._take_pages(pool)
            finally:
                pool.shutdown(cancel_futures=True)
        if self.completeness.taken:
            answer = self._ask(0, self._terms.page_size)
            first = self._read(answer)
            self.completeness.confirm(first[ID], answer.total, answer.revision)

    def _take_pages(self, pool: ThreadPoolExecutor) -> None:
        answer, rows = self._ask(0, self._terms.page_size), 0
        while True:
            place = self.completeness.offset
            # Where the total says that another page follows, it is on its way at once.
            guess = self.completeness.expect_offset(rows)
            on_its_way = self._ask_soon(pool, guess, answer.limit)
            self._keep_page(self._name, place, answer.body)
            records = self._read(answer)
            rows = records.height
            known = self.completeness.take(records[ID], answer.total, answer.revision)
            if not self.completeness.ended and guess != self.completeness.offset:
                if on_its_way is not None:
                    on_its_way.exception()  # it began somewhere else: nothing of it is used
                on_its_way = self._ask_soon(pool, self.completeness.offset, answer.limit)
            self._write(records.slice(known))
            if self.completeness.ended or on_its_way is None:
                return
            answer = on_its_way.result()

    def _ask_soon(
        self, pool: ThreadPoolExecutor, offset: int | None, limit: int
    ) -> Future[PageAnswer] | None:
        return None if offset is None else pool.submit(self._ask, offset, limit)

    def _ask(self, offset: int, limit: int) -> PageAnswer:
        return self._client.get_page(self._name, offset, limit, self._query)

    def _read(self, answer: PageAnswer) -> pl.DataFrame:
        """Returns the records of a page. Raises PageFault."""
        if answer.found:
            return read_page(answer.body, self._shape)
        if self.completeness.taken:
            msg = f"after {self.completeness.taken:,} records the server says that there are none"
            raise PageFault(msg)
        self.note = "the server says that there is no such thing (HTTP 404): taken as empty"
        return pl.DataFrame(schema=dict(self._shape.fields))

    def _write(self, records: pl.DataFrame) -> None:
        since = self._terms.since
        lines = make_lines(
            records, self._terms.collection, self._terms.nested, delta=since is not None
        )
        if since is not None and lines.oldest is not None and lines.oldest < since:
            msg = "the server does not filter by dateLastModified, though it was asked to"
            raise DeltaNotPossible(msg)
        self.gone += lines.gone
        self.newest = max(filter(None, [self.newest, lines.newest]), default=None)
        self._files.append(lines)
        if not records.is_empty():
            done, total = self.completeness.taken, self.completeness.total or 0
            report_progress(f"fetching {self._name}", done, total)


class CollectionFiles:
    """The CSV files that a collection becomes, growing page by page.

    A file without lines is removed: the binding permits none.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Begins the files anew."""
        self._paths = {name: folder / f"{name}.csv" for name in names}
        self._files: dict[str, BinaryIO] = {}
        self._digests = {name: hashlib.sha256() for name in names}
        self._lines = dict.fromkeys(names, 0)

    def __enter__(self) -> Self:
        """Opens the files."""
        self._files = {name: open_private(path) for name, path in self._paths.items()}
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        for file in self._files.values():
            file.close()

    def append(self, lines: Lines) -> None:
        """Appends the lines of a page."""
        for name, frame in lines.files.items():
            if frame.is_empty():
                continue
            text = io.BytesIO()
            append_lines(text, frame, header=not self._lines[name])
            content = text.getbuffer()
            self._digests[name].update(content)
            self._files[name].write(content)
            self._lines[name] += frame.height

    def finish(self) -> dict[str, str]:
        """Returns the SHA-256 of each file with lines, once they are on disk."""
        for name, file in self._files.items():
            file.flush()
            os.fsync(file.fileno())
            if not self._lines[name]:
                self._paths[name].unlink()
        return {name: self._digests[name].hexdigest() for name, n in self._lines.items() if n}


def open_private(path: Path) -> BinaryIO:
    """Opens a file for writing, as its owner's alone; what was in it is gone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")
