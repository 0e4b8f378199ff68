"""Writes typed frames as files, the only step that writes to the disk.

Belongs here: a feed's columns as text, in the order and the forms of its declaration; how a
district's system writes files (separator, line ends, names, zip); files written block by block.
Does not belong here: what the cells hold.
"""

from __future__ import annotations

import codecs
import io
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.synthetic.random_draws import Integers

_LINE_FEED = ord("\n")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one sender's system writes its files; every form is one that a reader must take.

    ``date_form``: how dates are written, where it is not as their columns declare first.
    """

    separator: str = ","
    line_end: str = "\n"
    byte_order_mark: bool = False
    lower_case_names: bool = False
    zipped: bool = False
    date_form: str | None = None


PLAIN = Dialect()
_DIALECTS: Mapping[int, Dialect] = {
    2: Dialect(separator="^"),
    3: Dialect(zipped=True),
    4: Dialect(line_end="\r\n"),
    5: Dialect(byte_order_mark=True),
    6: Dialect(lower_case_names=True),
    10: Dialect(separator="^"),
    12: Dialect(line_end="\r\n", zipped=True),
}
_ROUND = 16


def dialect_of(ordinal: int) -> Dialect:
    """How the district ``ordinal`` writes its files: of 16 districts, 2 send carets and so on."""
    return _DIALECTS.get(ordinal % _ROUND, PLAIN)


def foster_dialect_of(ordinal: int) -> Dialect:
    """How the district ``ordinal`` writes Foster Focus extracts: two date forms, two line ends."""
    return Dialect(
        separator="\t",
        line_end="\r\n" if ordinal // 2 % 2 else "\n",
        date_form="%m/%d/%Y" if ordinal % 2 else "%Y-%m-%d",
    )


# --- text -------------------------------------------------------------------------------------


def as_text(frame: pl.DataFrame, feed: FeedSpec, date_form: str | None = None) -> pl.DataFrame:
    """The columns of ``feed`` as text, in its order and forms; columns not in ``frame`` are blank.

    Dates are written in ``date_form``, or else in the first one that the column declares.

    Raises:
        ValueError: ``frame`` has a column that ``feed`` does not declare.
    """
    unknown = set(frame.columns) - set(feed.columns)
    if unknown:
        msg = f"{feed.name} has no column {', '.join(sorted(unknown))}"
        raise ValueError(msg)
    schema = frame.schema
    return frame.select(
        _text_of(declared, schema[name], date_form)
        if name in schema
        else pl.lit(None, dtype=pl.String).alias(name)
        for name, declared in feed.columns.items()
    )


def _text_of(declared: Column, dtype: pl.DataType, date_form: str | None) -> pl.Expr:
    cell = pl.col(declared.name)
    if dtype == pl.String:
        return cell
    if dtype == pl.Date:
        return cell.dt.to_string(date_form or declared.formats[0])
    if declared.type is ColumnType.TIMESTAMP:
        return cell.dt.to_string(declared.formats[0])
    if declared.type is ColumnType.BOOLEAN:
        yes, no = declared.true_values[0], declared.false_values[0]
        return cell.replace_strict({True: yes, False: no}, return_dtype=pl.String)
    return cell.cast(pl.String)


def name_of_file(feed: FeedSpec, district: str, on: date, dialect: Dialect) -> str:
    """A file's name as transcript packages have it: ``HaywardUnified_Manifest_20261122.csv``."""
    stem = feed.stems[0].replace(" Template", "_Template")
    name = f"{district}_{stem}_{on:%Y%m%d}.csv"
    return name.lower() if dialect.lower_case_names else name


# --- files ------------------------------------------------------------------------------------


class FeedFile:
    """A file of one feed, written block by block; without lines, no file or folder is made.

    ``lines`` counts the data lines so far; the header is not one of them. ``columns`` are those
    that files of the ``edition`` have.
    """

    def __init__(
        self, path: Path, feed: FeedSpec, dialect: Dialect = PLAIN, edition: str = ""
    ) -> None:
        self.path = path
        self.feed = feed
        self.dialect = dialect
        self.columns = [c.name for c in feed.columns.values() if c.expected_in(edition)]
        self.lines = 0

    def append(
        self, cells: pl.DataFrame, short: Integers | None = None, missing: Integers | None = None
    ) -> None:
        """Writes ``cells`` (text); the rows ``short`` lack their last ``missing`` cells."""
        if cells.is_empty():
            return
        if len(self.columns) < len(self.feed.columns):
            cells = cells.select(self.columns)
        content = self._encoded(cells)
        if short is not None and missing is not None and len(short):
            content = self._cut(content, short, missing)
        if not self.lines:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab" if self.lines else "wb") as file:
            if not self.lines:
                file.write(self._head())
            file.write(content)
        self.lines += cells.height

    def _head(self) -> bytes:
        header = self.dialect.separator.join(self.columns) + self.dialect.line_end
        mark = codecs.BOM_UTF8 if self.dialect.byte_order_mark else b""
        return mark + header.encode()

    def _encoded(self, cells: pl.DataFrame) -> bytes:
        buffer = io.BytesIO()
        cells.write_csv(
            buffer,
            include_header=False,
            separator=self.dialect.separator,
            line_terminator=self.dialect.line_end,
            quote_style="necessary" if self.feed.quote else "never",
        )
        return buffer.getvalue()

    def _cut(self, content: bytes, short: Integers, missing: Integers) -> bytes:
        """Takes the last cells, and the separators before them, out of some lines."""
        characters = np.frombuffer(content, dtype=np.uint8)
        line_feeds = np.flatnonzero(characters == _LINE_FEED)
        ends = line_feeds[short] - len(self.dialect.line_end) + 1
        separators = np.flatnonzero(characters == ord(self.dialect.separator))
        starts = separators[np.searchsorted(separators, ends) - missing]
        steps = np.zeros(len(characters) + 1, dtype=np.int8)
        steps[starts] += 1
        steps[ends] -= 1
        kept = characters[np.cumsum(steps[:-1], dtype=np.int8) == 0]
        return bytes(kept)


def pack(
    files: list[Path], target: Path, on: date, *, folder: str = "", level: int | None = None
) -> None:
    """Moves ``files`` into the zip ``target``; its bytes follow from theirs and the date alone.

    ``folder``: where they lie in it; ``level``: of compression (1 to 9).
    """
    with zipfile.ZipFile(target, "w", compresslevel=level) as package:
        for path in files:
            name = f"{folder}/{path.name}" if folder else path.name
            entry = zipfile.ZipInfo(name, (on.year, on.month, on.day, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            with path.open("rb") as source, package.open(entry, "w", force_zip64=True) as packed:
                shutil.copyfileobj(source, packed)
            path.unlink()
