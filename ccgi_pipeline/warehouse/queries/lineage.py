"""The lineage of records: which line of which received file wrote a record last.

Belongs here: the way from records back to files, lines and the archive. Does not belong here: which
records are traced (operations.trace). Only ``read_cells`` returns students' data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import duckdb
import polars as pl

from ccgi_pipeline.common.packed_frames import frames_of
from ccgi_pipeline.feeds.spec import FILE, FeedSpec
from ccgi_pipeline.intake.archive import Archive
from ccgi_pipeline.intake.inbox import Drop
from ccgi_pipeline.intake.received_files import open_received_files
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline.verification.drop_files import files_to_verify, read_file
from ccgi_pipeline.verification.typed_cells import typed_lines
from ccgi_pipeline.warehouse.queries.drops import read_received_drops
from ccgi_pipeline.warehouse.storage.schema import quote_identifier


@dataclass(frozen=True, slots=True)
class Record:
    """The line of a drop that wrote a record last, and the record's key as text."""

    feed: FeedSpec
    drop: str
    line: int
    key: tuple[str | None, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SentFile:
    """A received file, and those of its lines that wrote the traced records.

    ``number``: the file's number within its drop; None if several files of the drop are possible.
    ``fates``: all its lines by fate. ``rules``: the rules that a line breaks, by line. ``content``:
    the drop with its files; None if an older version of this project did not record them.
    """

    feed: FeedSpec
    drop: str
    sender: str
    night: date
    path: str
    number: int | None
    verdict: str
    fates: Mapping[str, int]
    lines: tuple[int, ...]
    rules: Mapping[int, tuple[str, ...]]
    content: Drop | None = field(repr=False)

    @property
    def fate(self) -> str:
        """Whether the lines made or changed a record, as far as the ledger shows."""
        fates = [fate for fate in ("inserted", "updated") if self.fates.get(fate)]
        return " or ".join(fates) or "loaded"

    @property
    def sha256(self) -> str | None:
        """The SHA-256 under which the archive has the file, or the zip that contains it."""
        if self.content is None:
            return None
        held = (
            sha256
            for file, sha256 in self.content.files
            if self.path == file.shown or self.path.startswith(f"{file.shown}/")
        )
        return next(held, None)


def find_records(
    connection: duckdb.DuckDBPyConnection,
    feed: FeedSpec,
    table: str,
    where: str,
    given: Mapping[str, object] | None = None,
) -> Iterator[Record]:
    """Yields the records of ``feed`` in ``table`` (its own, or a view) that fulfil ``where``."""
    keys = ", ".join(f"{quote_identifier(name)}::VARCHAR" for name in feed.keys)
    rows = connection.execute(
        f"SELECT _drop, _line, {keys} FROM {table} WHERE {where} ORDER BY ALL", given
    ).fetchall()
    for drop, line, *key in rows:
        yield Record(feed, drop, line, tuple(key))


def find_sent_files(
    connection: duckdb.DuckDBPyConnection, archive: Archive, found: Iterable[Record]
) -> list[SentFile]:
    """Returns the files that wrote these records, by feed in the order of ``found``, oldest first.

    The content of files is read from ``archive`` only if a drop has several files of a feed.
    """
    return [*_FileSearch(connection, archive, [*found]).sent()]


@dataclass(frozen=True)
class _FileSearch:
    """The search for the received files that wrote ``records``."""

    connection: duckdb.DuckDBPyConnection
    archive: Archive
    records: Sequence[Record]

    def sent(self) -> Iterator[SentFile]:
        """Yields each file with its lines."""
        places: defaultdict[str, defaultdict[str, list[Record]]]
        places = defaultdict(lambda: defaultdict(list))
        for record in self.records:
            places[record.feed.name][record.drop].append(record)
        for drops in places.values():
            of_feed = [file for drop in drops.items() for file in self._of_drop(*drop)]
            yield from sorted(of_feed, key=lambda file: (file.night, file.path))

    def _of_drop(self, drop: str, records: Sequence[Record]) -> Iterator[SentFile]:
        """Yields the files of one feed in a drop."""
        feed = records[0].feed
        candidates = self._files[drop, feed.name]
        lines: defaultdict[int | None, list[int]] = defaultdict(list)
        if len(candidates) == 1:
            lines[candidates[0][0]] = [record.line for record in records]
        else:
            keys = {number: self._keys(feed, drop, number, records) for number, *_ in candidates}
            for record in records:
                # If two files have a line with the key, the later file counts.
                holding = [n for n in keys if keys[n].get(record.line) == record.key]
                lines[max(holding, default=None)].append(record.line)
        for number in lines:
            meant = [file for file in candidates if number in {None, file[0]}]
            yield self._sent(feed, drop, number, meant, sorted(lines[number]))

    def _keys(
        self, feed: FeedSpec, drop: str, number: int, records: Sequence[Record]
    ) -> dict[int, tuple[str | None, ...]]:
        """Returns the keys in those lines of a file that may have written ``records``."""
        if drop not in self._contents:
            return {}
        lines = [record.line for record in records]
        text = _text_of(self.archive, feed, self._contents[drop], number, lines)
        if text is None:
            return {}
        typed = typed_lines(feed, text.with_columns(pl.lit(number).alias(FILE)))
        keys = typed.select(LINE, pl.col(feed.keys).cast(pl.String))
        return {line: tuple(key) for line, *key in keys.iter_rows()}

    def _sent(
        self,
        feed: FeedSpec,
        drop: str,
        number: int | None,
        files: Sequence[tuple[int, str, str]],
        lines: Sequence[int],
    ) -> SentFile:
        place = drop, number or 0
        sender, night = self._arrived[drop]
        return SentFile(
            feed=feed,
            drop=drop,
            sender=sender,
            night=night,
            path=" or ".join(path for _, path, _ in files),
            number=number,
            verdict=" or ".join(dict.fromkeys(verdict for *_, verdict in files)),
            fates=self._fates[place],
            lines=tuple(lines),
            rules={
                line: self._rules[*place, line] for line in lines if (*place, line) in self._rules
            },
            content=self._contents.get(drop),
        )

    @cached_property
    def _asked(self) -> dict[str, list[str]]:
        """The ids of the drops, as parameters of the queries."""
        return {"drops": sorted({record.drop for record in self.records})}

    @cached_property
    def _contents(self) -> dict[str, Drop]:
        return read_received_drops(self.connection, self._asked["drops"])

    @cached_property
    def _arrived(self) -> dict[str, tuple[str, date]]:
        rows = self.connection.execute(
            "SELECT drop_id, sender, night FROM lake.drops WHERE list_contains($drops, drop_id)",
            self._asked,
        ).fetchall()
        return {drop: (sender, night) for drop, sender, night in rows}

    @cached_property
    def _files(self) -> Mapping[tuple[str, str], list[tuple[int, str, str]]]:
        """Number, path and verdict of each file, by drop and feed."""
        rows = self.connection.execute(
            "SELECT drop_id, feed, file_number, path, verdict FROM lake.files "
            "WHERE list_contains($drops, drop_id) ORDER BY drop_id, file_number",
            self._asked,
        ).fetchall()
        found = defaultdict(list)
        for drop, feed, *file in rows:
            found[drop, feed].append(tuple(file))
        return found

    @cached_property
    def _fates(self) -> Mapping[tuple[str, int], dict[str, int]]:
        """Lines by fate, by drop and file."""
        rows = self.connection.execute(
            "SELECT drop_id, file_number, fate, lines FROM lake.ledger "
            "WHERE list_contains($drops, drop_id) ORDER BY ALL",
            self._asked,
        ).fetchall()
        found: defaultdict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        for drop, number, fate, lines in rows:
            found[drop, number][fate] = lines
        return found

    @cached_property
    def _rules(self) -> dict[tuple[str, int, int], tuple[str, ...]]:
        """The rules that a line breaks, by drop, file and line."""
        lines = {"drop_id": [r.drop for r in self.records], "line": [r.line for r in self.records]}
        frame = pl.DataFrame(lines, schema={"drop_id": pl.String, "line": pl.Int64})
        self.connection.register("lines_asked_for", frame.to_arrow())
        rows = self.connection.execute(
            "SELECT drop_id, file_number, line, list(DISTINCT rule ORDER BY rule) "
            "FROM lake.findings SEMI JOIN lines_asked_for USING (drop_id, line) GROUP BY ALL"
        ).fetchall()
        self.connection.unregister("lines_asked_for")
        return {(drop, number, line): tuple(rules) for drop, number, line, rules in rows}


def _text_of(
    archive: Archive, feed: FeedSpec, drop: Drop, number: int, lines: Sequence[int]
) -> pl.DataFrame | None:
    """Returns lines of the drop's file with this number as they were received, cell by cell."""
    with open_received_files(archive) as received:
        opened = files_to_verify([drop], received.as_sent, messages=received.open)[number - 1]
        records = read_file(opened, feed).records
    if records is None:
        return None
    return pl.concat(frame.filter(pl.col(LINE).is_in([*lines])) for frame in frames_of(records))


def read_cells(archive: Archive, file: SentFile, lines: Sequence[int]) -> dict[int, dict[str, str]]:
    """Returns the cells that are not blank, by line, of a file as it was received."""
    if file.content is None or file.number is None:
        return {}
    records = _text_of(archive, file.feed, file.content, file.number, lines)
    if records is None:
        return {}
    columns = [name for name in file.feed.columns if name in records.columns]
    return {
        row[LINE]: {name: row[name] for name in columns if row[name]}
        for row in records.iter_rows(named=True)
    }
