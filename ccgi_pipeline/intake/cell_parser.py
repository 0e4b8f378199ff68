"""Parses records into the feed's columns as text.

Belongs here: the CSV parser, which gets only lines that it cannot misread, and the proof of that.
Does not belong here: which lines are records (record_lines), types of columns (verification).
"""

from __future__ import annotations

import re

import polars as pl

from ccgi_pipeline.intake import byte_scans
from ccgi_pipeline.intake.headers import Header
from ccgi_pipeline.intake.record_lines import LINE, SPAN, LineFormat, as_records


def parse_cells(
    records: pl.DataFrame, header: Header, untouched: bytes | None, lines_above: int = 0
) -> pl.DataFrame:
    """Parses the records into the feed's columns as text; stripped, and null where blank.

    ``untouched`` are the file's bytes if every line is one record, but for ``lines_above``. They
    are parsed directly, which avoids joining the records again.
    """
    feed = header.feed
    text = records["text"]
    quoted = (
        feed.quote is not None
        and (untouched is None or feed.quote.encode() in untouched)
        and bool(text.str.contains(feed.quote, literal=True).any())
    )
    if untouched is None:
        untouched, lines_above = (text.str.join("\n").item() or "").encode(), 0
        padded = quoted or _has_padding(text, header)
    else:
        padded = quoted or _may_have_padding(text, header, untouched)
    cells = pl.DataFrame(schema=_cells_schema(header))
    if not records.is_empty():
        quote = feed.quote if quoted else None
        cells = _split_cells(untouched, header, lines_above, quote=quote)
    if cells.height != records.height:
        msg = f"parsed {cells.height} of {records.height} records"
        raise AssertionError(msg)
    return _named_cells(cells, records, header, padded=padded)


def parse_regular_lines(body: bytes, lines: pl.DataFrame, form: LineFormat) -> pl.DataFrame | None:
    """Parses the ``lines`` below a file's header as ``parse_cells`` does.

    None if not every line is one record of plain cells, or if that cannot be told from the cells:
    a line has as many cells as it should if they are as long as the line.
    """
    header = form.header
    separators = form.cells - 1
    if (
        lines.is_empty()
        or lines.item(0, "text").count(form.separator) != separators
        or header.feed.blank_words
        or b"\x00" in body
        or (form.quote is not None and form.quote.encode() in body)
        or byte_scans.count(body, form.separator) != separators * (lines.height + 1)
    ):
        return None
    cells = _split_cells(body, header, lines_above=1, ragged=True)
    if cells.height != lines.height:
        return None
    length = pl.sum_horizontal(pl.all().str.len_bytes()) + separators
    if not (cells.select(length).to_series() == lines["text"].str.len_bytes()).all():
        return None
    records = as_records(lines, pl.col("text"), extra=False)
    padded = _may_have_padding(lines["text"], header, body)
    return _named_cells(cells, records, header, padded=padded)


def _split_cells(
    content: bytes,
    header: Header,
    lines_above: int,
    *,
    quote: str | None = None,
    ragged: bool = False,
) -> pl.DataFrame:
    """Splits lines into cells; ``ragged``: cells too many are dropped instead of refused."""
    return pl.read_csv(
        content,
        has_header=False,
        skip_lines=lines_above,
        separator=header.separator,
        quote_char=quote,
        schema=_cells_schema(header),
        null_values=["", *header.feed.blank_words],
        truncate_ragged_lines=ragged,
    )


def _cells_schema(header: Header) -> dict[str, type[pl.DataType]]:
    return {f"cell{position}": pl.String for position in range(len(header.columns))}


def _may_have_padding(text: pl.Series, header: Header, untouched: bytes) -> bool:
    return byte_scans.may_have_padding(untouched, header.separator) and _has_padding(text, header)


def _has_padding(text: pl.Series, header: Header) -> bool:
    """Returns whether a cell begins or ends with white space."""
    separator = re.escape(header.separator)
    blank = rf"[^\S{separator}]"
    return bool(text.str.contains(rf"(?:^|{separator}){blank}|{blank}(?:{separator}|$)").any())


def _named_cells(
    cells: pl.DataFrame, records: pl.DataFrame, header: Header, *, padded: bool
) -> pl.DataFrame:
    """Returns the cells of ``records`` as the feed's columns, stripped if one is ``padded``."""
    found = {name: cell for cell, name in zip(cells.columns, header.columns, strict=True) if name}
    if padded:
        blank = ["", *header.feed.blank_words]
        stripped = pl.all().str.strip_chars()
        cells = cells.select(stripped.replace(blank, [None] * len(blank)))
    return cells.select(
        records[LINE],
        records[SPAN],
        *(
            pl.col(found[name]).alias(name)
            if name in found
            else pl.lit(None, dtype=pl.String).alias(name)
            for name in header.feed.columns
        ),
    )
