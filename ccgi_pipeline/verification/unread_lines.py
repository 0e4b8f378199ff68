"""Finds out which records an unreadable line may belong to.

Belongs here: the cells of such lines, and the parts of a key that can be read in them. A record
that is missing from a full set stays active only while such a line could be its own. Does not
belong here: which records are missing (warehouse.load).
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ccgi_pipeline.common.packed_frames import frames_of
from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.feeds.spec import FILE, SENDER, FeedSpec
from ccgi_pipeline.intake.reader import Reading
from ccgi_pipeline.intake.record_lines import LINE

MOST_LINES = 1000
"""Unread lines of one file that are compared with missing records; with more of them a file tells
too little, and nothing is concluded from what it lacks."""

_FEWEST_AGREEING = 2
"""Of several descriptions (name, birth date) all but one must agree, and no fewer than these."""
_ANY_SEPARATOR = r'[,;\t|^"]+'
_ONE_SEPARATOR = r"[,;\t|^]"


def unread_schema(feed: FeedSpec) -> dict[str, pl.DataType | type[pl.DataType]]:
    """Returns the schema of the unread lines of a feed.

    ``cells`` are in the form of ``comparable``. ``agreeing``: so many of a record's descriptions
    must be among them, if the line may be its own and shows no id. The other columns are ids and
    parts of the key that can be read, else null.
    """
    read = dict.fromkeys(_readable_columns(feed), pl.String)
    schema: dict[str, pl.DataType | type[pl.DataType]] = {FILE: pl.UInt32, SENDER: pl.String}
    return {**schema, LINE: pl.UInt32, "cells": pl.List(pl.String), "agreeing": pl.UInt8, **read}


def find_unread_lines(
    feed: FeedSpec,
    readings: Mapping[int, Reading],
    senders: Mapping[int, str],
    keyless: pl.DataFrame,
) -> pl.DataFrame:
    """Returns the lines of ``feed`` that are no record, or whose key cannot be read.

    ``readings``: of the feed's files, by number. ``keyless``: rejected typed lines without a whole
    key, with ``_file`` and ``_line``. The result has the columns of ``unread_schema``.
    """
    schema = unread_schema(feed)
    of_feed = {
        number: reading for number, reading in readings.items() if reading.records is not None
    }
    found = [pl.DataFrame(schema=schema)]
    for number in sorted({*keyless[FILE].unique()} & of_feed.keys()):
        own = keyless.filter(pl.col(FILE) == number)
        found.append(_of_records(feed, of_feed[number], own))
    found += [
        _of_ragged_lines(feed, number, reading)
        for number, reading in of_feed.items()
        if reading.unread_lines.height
    ]
    sender = pl.col(FILE).replace_strict(dict(senders), return_dtype=pl.String).alias(SENDER)
    return pl.concat(
        frame.with_columns(sender).select(pl.col(name).cast(kind) for name, kind in schema.items())
        for frame in found
    )


def comparable(text: pl.Expr) -> pl.Expr:
    """Returns text as it is compared: without case, outer blanks, and zeros that begin it."""
    return text.str.strip_chars().str.to_lowercase().str.strip_chars_start("0")


def _count_agreeing(feed: FeedSpec) -> int:
    """Returns how many descriptions of a record a line must show to be taken for its own."""
    count = len(feed.descriptions)
    return max(min(count, _FEWEST_AGREEING), count - 1)


def _readable_columns(feed: FeedSpec) -> list[str]:
    """Returns the text columns that tell one record from another: of the key, or an id."""
    names = dict.fromkeys([*feed.keys, *feed.other_ids])
    return [name for name in names if feed.columns[name].type is ColumnType.STRING]


def _of_records(feed: FeedSpec, reading: Reading, keyless: pl.DataFrame) -> pl.DataFrame:
    """Returns lines with the right number of cells, whose key is blank or wrong."""
    assert reading.records is not None  # noqa: S101 - the caller left other readings out
    texts = pl.concat(
        frame.join(keyless, on=LINE, how="semi") for frame in frames_of(reading.records)
    ).sort(LINE)
    typed = keyless.sort(LINE)
    shown = pl.sum_horizontal(
        pl.col(name).is_not_null().cast(pl.UInt8) for name in feed.descriptions
    )
    enough = pl.lit(_count_agreeing(feed), dtype=pl.UInt8)
    cells = pl.concat_list(comparable(pl.col(name)) for name in feed.columns)
    return texts.select(
        pl.lit(keyless.item(0, FILE), dtype=pl.UInt32).alias(FILE),
        LINE,
        cells.list.drop_nulls().alias("cells"),
        pl.min_horizontal(shown, enough).alias("agreeing"),
    ).hstack(typed.select(comparable(pl.col(name)) for name in _readable_columns(feed)))


def _of_ragged_lines(feed: FeedSpec, number: int, reading: Reading) -> pl.DataFrame:
    """Returns lines that could not be split into the header's columns.

    A line with less than half of the cells may lack what describes a record: it may be anybody's.
    """
    cells = pl.col("cells")
    wide = cells.list.join(",").str.count_matches(_ONE_SEPARATOR) + 1
    parts = cells.list.join(",").str.replace_all(_ANY_SEPARATOR, ",").str.split(",")
    every = cells.list.concat(parts).list.eval(comparable(pl.element())).list.unique()
    filled = every.list.eval(pl.element().filter(pl.element().str.len_chars() > 0))
    return reading.unread_lines.select(
        pl.lit(number, dtype=pl.UInt32).alias(FILE),
        LINE,
        filled.alias("cells"),
        pl.when(2 * wide >= len(reading.columns))
        .then(filled.list.len().clip(1, _count_agreeing(feed)))
        .otherwise(0)
        .cast(pl.UInt8)
        .alias("agreeing"),
        *(
            comparable(_cell_at_its_place(feed, name, reading.columns)).alias(name)
            for name in _readable_columns(feed)
        ),
    )


def _cell_at_its_place(feed: FeedSpec, name: str, columns: tuple[str | None, ...]) -> pl.Expr:
    """Returns the cell of a column in lines with too few or too many cells; null where unsure.

    The first cell is its column's. Any other one must have the column's form, where it stands
    counted from the left or else from the right.
    """
    if name not in columns:
        return pl.lit(None, dtype=pl.String)
    place = columns.index(name)
    cells = pl.col("cells")
    left = cells.list.get(place, null_on_oob=True)
    pattern = form_of(feed, name)
    if pattern is None:
        clean = (left.str.len_chars() > 0) & ~left.str.contains("\x00", literal=True)
        return pl.when(clean & (place == 0)).then(left)
    right = cells.list.get(place - len(columns), null_on_oob=True)
    return pl.coalesce(
        pl.when(left.str.contains(pattern)).then(left),
        pl.when(right.str.contains(pattern)).then(right),
    )


def form_of(feed: FeedSpec, name: str) -> str | None:
    """Returns the regular expression that a column's cells must match, if it has one."""
    checks = feed.schema.columns[name].checks
    return next((str(c.statistics["pattern"]) for c in checks if c.name == "str_matches"), None)
