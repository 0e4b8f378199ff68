"""The shape of a received file: how its lines and cells are built, not what they say.

Belongs here: encoding, known headers, cells a line, characters a cell. A shape that fewer than
``RARE`` lines have is counted with the others, since one line's shape may identify a student.
Pure. Does not belong here: which file (bundle), whether it is right (verification).
"""

from __future__ import annotations

import csv
from typing import Any

import polars as pl

from ccgi_pipeline.feeds.spec import FeedSpec, fold
from ccgi_pipeline.intake.contents import Content
from ccgi_pipeline.intake.encodings import decode

RARE = 11
"""The fewest lines whose shape is shown: CDE hides smaller counts, too."""
MOST_BYTES = 64 << 20
"""Bytes of a file that are described."""
_SHAPES_TOLD = 20
"""How many shapes of a column are shown, the most frequent first."""
_SEPARATORS = (",", "^", "\t", ";", "|")
_OTHER = "other"


def describe_shape(content: Content, feed: FeedSpec | None) -> dict[str, Any]:
    """Returns the shape of a file; ``feed`` is what it was recognised as, if it was.

    Of a file larger than ``MOST_BYTES``, only the first lines are described.
    """
    beginning = content.read_start(MOST_BYTES)
    if content.size > len(beginning):
        beginning = beginning[: beginning.rfind(b"\n") + 1] or beginning
    text = decode(beginning)
    told: dict[str, Any] = {"bytes": content.size, "encoding": text.encoding}
    if content.size > len(beginning):
        told |= {"bytes described": len(beginning)}
    if text.body is None:
        return told
    lines = pl.Series(text.body.decode(errors="replace").split("\n"), dtype=pl.String)
    lines = lines.filter(lines.str.strip_chars() != "")
    told |= {"lines with a header": lines.len()}
    if lines.is_empty():
        return told
    header, body = str(lines[0]), lines.slice(1)
    separator = max(feed.separators if feed else _SEPARATORS, key=header.count)
    names = _header(header, separator, feed)
    lengths = body.str.len_chars()
    told |= {
        "separator": separator,
        "header": [name for name in names if name],
        "header cells of unknown name": names.count(None),
        "cells of the header": len(names),
        "characters a line": {"least": lengths.min(), "most": lengths.max()},
        "lines by number of cells": _counts(body.str.count_matches(separator, literal=True) + 1),
        "lines with quotation marks": int(body.str.contains('"', literal=True).sum()),
    }
    return told | {"columns": _columns(body, separator, names)}


def _header(line: str, separator: str, feed: FeedSpec | None) -> list[str | None]:
    """Returns the declared names of the header's cells; None for a name that is not declared.

    Such a name may be anything: sometimes a student's line is where the header should be.
    """
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        cells = line.split(separator)
    known = feed.columns_by_folded_name if feed else {}
    return [known[fold(cell)].name if fold(cell) in known else None for cell in cells]


def _counts(numbers: pl.Series) -> dict[str, int]:
    counted = numbers.alias("number").to_frame().group_by("number").len().sort("number")
    return {str(number): count for number, count in counted.iter_rows()}


def _columns(body: pl.Series, separator: str, names: list[str | None]) -> dict[str, Any]:
    """Returns the shapes of each known column, from lines with as many cells as the header."""
    split = body.str.split(separator)
    whole = split.filter(split.list.len() == len(names))
    return {
        name: count_cell_shapes(whole.list.get(place)) for place, name in enumerate(names) if name
    }


def count_cell_shapes(cells: pl.Series) -> dict[str, int]:
    """Counts cells by shape: ``9{10}``, ``A{2,12} A{3,9}``; letters are A, digits 9.

    Shapes of fewer than ``RARE`` cells, and those beyond the most frequent, are ``other``.
    """
    if cells.len() < RARE:
        return {_OTHER: cells.len()} if cells.len() else {}
    classed = (
        pl.col("cell")
        .str.strip_chars()
        .str.replace_all(r"\p{L}", "A")
        .str.replace_all(r"\p{N}", "9")
        .str.replace_all(r"[^A9 ,.:;/@()'\"_+-]", "?")
    )
    frame = cells.alias("cell").to_frame().select(classed)
    frame = frame.with_columns(pl.col("cell").str.extract_all("A+|9+|.").alias("runs"))
    frame = frame.with_columns(
        pl.col("runs").list.eval(pl.element().str.slice(0, 1)).list.join("").alias("key")
    )
    counted = frame.group_by("key").len().sort("len", "key", descending=[True, False])
    told = counted.filter(pl.col("len") >= RARE).head(_SHAPES_TOLD)
    spelled = {
        (_spelled(str(key), frame.filter(pl.col("key") == key)["runs"]) or "blank"): int(count)
        for key, count in told.iter_rows()
    }
    others = cells.len() - int(told["len"].sum())
    return spelled | ({_OTHER: others} if others else {})


def _spelled(key: str, runs: pl.Series) -> str:
    """Writes a key with the fewest and the most characters of each of its runs."""
    lengths = runs.list.eval(pl.element().str.len_chars())
    parts: list[str] = []
    for place, character in enumerate(key):
        of_run = lengths.list.get(place)
        parts.append(character + _times(int(str(of_run.min())), int(str(of_run.max()))))
    return "".join(parts)


def _times(least: int, most: int) -> str:
    if least == most:
        return f"{{{least}}}" if least > 1 else ""
    return f"{{{least},{most}}}"
