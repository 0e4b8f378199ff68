"""Says what is wrong with a line that has another number of cells than the header.

Belongs here: where a cell too many probably stands, found by trying which columns the cells fit.
Does not belong here: which lines have too many cells (reader).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import polars as pl

from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.intake.headers import Header

_MOST_EXPLAINED = 200
"""Lines of a file for which the place is looked for: more would only repeat it."""
_FORMS = {
    ColumnType.DATE: r"[0-9]{1,4}[-/][0-9]{1,2}[-/][0-9]{1,4}",
    ColumnType.TIMESTAMP: r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*",
    ColumnType.INTEGER: r"-?[0-9]+",
    ColumnType.YEAR: r"[0-9]{4}",
    ColumnType.DECIMAL: r"-?[0-9]*\.?[0-9]*",
}


def describe_surplus(ragged: pl.DataFrame, header: Header, before: int = 0) -> pl.Series:
    """Returns for each line how many cells it has, and where the surplus probably is.

    ``before``: how many such lines the file has before these.
    """
    width = len(header.columns)
    details = []
    for number, (text, cells) in enumerate(ragged.select("text", "cells").iter_rows(), before):
        detail = f"{cells} cells, the header has {width}"
        if cells > width and number < _MOST_EXPLAINED:
            detail += _place_in_words(_split(text, header), header)
        details.append(detail)
    return pl.Series("detail", details, dtype=pl.String)


def _split(text: str, header: Header) -> list[str]:
    if header.feed.quote is None:
        return text.split(header.separator)
    return next(csv.reader([text], delimiter=header.separator, quotechar=header.feed.quote), [])


def _place_in_words(cells: Sequence[str], header: Header) -> str:
    """Returns the columns at which one cell may have become two or more, in words."""
    surplus = len(cells) - len(header.columns)
    if surplus < 1:
        return ""
    fits = [
        sum(
            _fits(header, position, cell)
            for position, cell in enumerate(_merged(cells, place, surplus))
        )
        # A comma that a blank follows is text.
        + any(cell.startswith(" ") for cell in cells[place + 1 : place + surplus + 1])
        for place in range(len(header.columns))
    ]
    best = [place for place, fit in enumerate(fits) if fit == max(fits)]
    names = [header.columns[place] or f"column {place + 1}" for place in best]
    what = "a cell" if surplus == 1 else f"{surplus} cells"
    if len(names) == 1:
        return f"; probably {what} too many in {names[0]}"
    if len(names) > len(header.columns) // 2 + 1:
        return ""
    return f"; probably {what} too many between {names[0]} and {names[-1]}"


def _merged(cells: Sequence[str], place: int, surplus: int) -> list[str]:
    """Returns the cells with those that may be parts of one put together again."""
    end = place + surplus + 1
    return [*cells[:place], ",".join(cells[place:end]), *cells[end:]]


def _fits(header: Header, position: int, cell: str) -> bool:
    name = header.columns[position]
    value = cell.strip()
    if name is None or not value:
        return True
    for check in header.feed.schema.columns[name].checks:
        if check.name == "str_matches" and not re.search(check.statistics["pattern"], value):
            return False
    return _fits_column(header.feed.columns[name], value)


def _fits_column(declared: Column, value: str) -> bool:
    if declared.codes is not None and not declared.listed:
        return value in declared.codes.values
    if declared.type is ColumnType.BOOLEAN:
        return value.upper() in (*declared.true_values, *declared.false_values)
    if declared.length is not None and len(value) > declared.length:
        return False
    form = _FORMS.get(declared.type)
    return form is None or re.fullmatch(form, value) is not None
