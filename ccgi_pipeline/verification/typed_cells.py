"""Text to typed values, column by column and explicitly.

Belongs here: one expression per column type, null where a cell cannot be parsed. Does not belong
here: what a value may be (validation).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import polars as pl

from ccgi_pipeline.feeds.columns import Column, ColumnType, without_commas
from ccgi_pipeline.feeds.spec import FILE, FeedSpec

_DATE_SHAPES = {
    "%m/%d/%Y": r"^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}$",
    "%Y-%m-%d": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
}
"""Without these, a two-digit year would be read as one of the first century."""


BLANK_ITEM = r"^\s*,|,\s*(?:,|$)"
"""A list with an item that is blank."""

FORM_OF_FILE = "_date_form"
"""A column beside the records of a piece of a file: the form in which most of its dates are."""
FORM_OF_SENDER = "_dates"
"""A column beside the records of senders whose profile names another form of dates."""


def typed_lines(feed: FeedSpec, records: pl.DataFrame) -> pl.DataFrame:
    """The typed lines; a cell is null where it is blank or cannot be parsed."""
    # A column without a cell has no form that could be looked at.
    columns = [
        c
        for c in feed.columns.values()
        if c.type is not ColumnType.STRING
        or c.exact
        or (c.names_with_commas and records[c.name].str.contains(",", literal=True).any())
        or (c.listed and records[c.name].str.contains(BLANK_ITEM).any())
    ]
    blank = [c for c in columns if records[c.name].null_count() == records.height]
    records = records.with_columns(pl.lit(None, dtype=c.dtype).alias(c.name) for c in blank)
    columns = [declared for declared in columns if declared not in blank]
    if FORM_OF_SENDER in records.columns:
        return records.with_columns(
            pl.coalesce(typed(declared), _date_of_sender(declared))
            if _is_date(declared)
            else typed(declared)
            for declared in columns
        ).drop(FORM_OF_SENDER)
    if not feed.one_date_form:
        return records.with_columns(typed(declared) for declared in columns)
    formed = records
    if FORM_OF_FILE not in records.columns:
        form = _date_form(columns)
        if records.select(pl.col(FILE).n_unique()).item() == 1 and _have_the_same_forms(columns):
            of_file = records.select(form).item()
            return records.with_columns(
                typed(replace(declared, formats=(of_file,)) if _is_date(declared) else declared)
                for declared in columns
            )
        formed = records.with_columns(form.over(FILE).alias(FORM_OF_FILE))
    return formed.with_columns(typed(declared, one_form=True) for declared in columns).drop(
        FORM_OF_FILE
    )


def _is_date(declared: Column) -> bool:
    return declared.type is ColumnType.DATE


def _have_the_same_forms(columns: Sequence[Column]) -> bool:
    return len({declared.formats for declared in columns if _is_date(declared)}) == 1


def _date_form(columns: Sequence[Column]) -> pl.Expr:
    """The form in which most dates of a file are written."""
    counts = _count_date_forms(columns)
    names = list(counts)
    if not names:
        return pl.lit(None, dtype=pl.String)
    chosen: pl.Expr = pl.lit(names[0])
    most = counts[names[0]]
    for name in names[1:]:
        chosen = pl.when(counts[name] > most).then(pl.lit(name)).otherwise(chosen)
        most = pl.max_horizontal(most, counts[name])
    return chosen


def _count_date_forms(columns: Iterable[Column]) -> dict[str, pl.Expr]:
    dates = [declared for declared in columns if _is_date(declared)]
    forms = dict.fromkeys(form for declared in dates for form in declared.formats)
    return {
        form: pl.sum_horizontal(
            pl.col(declared.name).str.contains(_DATE_SHAPES[form]).sum() for declared in dates
        )
        for form in forms
    }


def date_form_of(feed: FeedSpec, pieces: Iterable[pl.DataFrame]) -> str | None:
    """Returns the form in which most dates of one file are written; ``pieces``: its records."""
    counts = _count_date_forms(feed.columns.values())
    found: Counter[str] = Counter()
    for records in pieces if counts else ():
        here = records.select(count.alias(form) for form, count in counts.items())
        found.update(here.row(0, named=True))
    return max(counts, key=lambda form: found[form], default=None)


def typed(declared: Column, *, one_form: bool = False) -> pl.Expr:
    """The column's typed values; ``one_form``: dates only in the form of their file."""
    if one_form and _is_date(declared):
        return _date(declared, of_file=True).alias(declared.name)
    return _PARSERS[declared.type](declared).alias(declared.name)


def _string(declared: Column) -> pl.Expr:
    text = pl.col(declared.name)
    if declared.listed:
        text = text.str.replace_all(r"^[\s,]+|[\s,]+$", "").str.replace_all(r",\s*(?:,\s*)+", ",")
        text = pl.when(text.str.len_chars() > 0).then(text)
    if declared.names_with_commas:
        return _with_names_in_one_piece(text, declared.names_with_commas)
    if not declared.exact:
        return text
    words = {**declared.also, **{word.lower(): word for word in declared.exact}}
    if declared.listed:
        item = pl.element().str.strip_chars()
        return text.str.split(",").list.eval(_understood(item, words)).list.join(",")
    return pl.when(text.is_in(declared.exact)).then(text).otherwise(_understood(text, words))


def _with_names_in_one_piece(text: pl.Expr, names: Sequence[str]) -> pl.Expr:
    """The list with ``names`` written without their commas; as it was sent where it has none."""
    longest_first = sorted(names, key=len, reverse=True)
    meant = {
        f",{re.sub(', *', ',', spelled)},": f",{without_commas(name)},"
        for name in longest_first
        for spelled in (name, name.replace("—", "-"))
    }
    # An item has a comma on either side. Of two neighbours the first takes the comma between them,
    # so the second is found the next time.
    items = pl.concat_str(pl.lit(","), text.str.replace_all(r"\s*,\s*", ","), pl.lit(","))
    mended = items
    for _ in range(2):
        mended = mended.str.replace_many(meant, ascii_case_insensitive=True, leftmost=True)
    return pl.when(mended == items).then(text).otherwise(mended.str.strip_chars(","))


def _understood(word: pl.Expr, words: Mapping[str, str]) -> pl.Expr:
    """The code that ``word`` stands for; itself where it stands for none."""
    return word.str.to_lowercase().replace_strict(words, default=word)


def _date(declared: Column, *, of_file: bool = False) -> pl.Expr:
    text = pl.col(declared.name)

    def written_in(form: str) -> pl.Expr:
        shaped = text.str.contains(_DATE_SHAPES[form])
        return shaped & (pl.col(FORM_OF_FILE) == form) if of_file else shaped

    return pl.coalesce(
        pl.when(written_in(form)).then(text).str.to_date(form, strict=False)
        for form in declared.formats
    )


def _date_of_sender(declared: Column) -> pl.Expr:
    """Dates written as American spreadsheets do, where the sender's profile says so."""
    text, form = pl.col(declared.name), "%m/%d/%Y"
    shaped = text.str.contains(_DATE_SHAPES[form]) & (pl.col(FORM_OF_SENDER) == form)
    return pl.when(shaped).then(text).str.to_date(form, strict=False).alias(declared.name)


def _timestamp(declared: Column) -> pl.Expr:
    text = pl.col(declared.name)

    def written_in(form: str, text: pl.Expr) -> pl.Expr:
        if form == _DAY:
            return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
        return text.str.to_datetime(form, time_unit="us", strict=False)

    parsed = pl.coalesce(written_in(form, text) for form in declared.formats)
    if not declared.understood:
        return parsed
    rest = pl.when(parsed.is_null()).then(text).str.replace(r"(?:[+-]00:?00)$", "Z")
    return pl.coalesce(parsed, *(written_in(form, rest) for form in declared.understood))


_DAY = "%Y-%m-%d"


def _integer(declared: Column) -> pl.Expr:
    return _matching(pl.col(declared.name), r"^-?[0-9]{1,18}$").cast(pl.Int64)


def _year(declared: Column) -> pl.Expr:
    return _matching(pl.col(declared.name), r"^[0-9]{4}$").cast(pl.Int64)


def _decimal(declared: Column) -> pl.Expr:
    """Digits beyond the column's scale are cut, not rounded: a GPA is never rounded up."""
    if not isinstance(declared.dtype, pl.Decimal):
        msg = f"{declared.name} is declared as a decimal, but its type is {declared.dtype}"
        raise TypeError(msg)
    scale = declared.dtype.scale
    text = pl.col(declared.name)
    fitting = _matching(text, rf"^-?(?:[0-9]+(?:\.[0-9]{{0,{scale}}})?|\.[0-9]{{1,{scale}}})$")
    # No digit of a whole number is cut: one that has too many is no value of the column.
    longer = pl.when(fitting.is_null()).then(text)
    cut = longer.str.extract(rf"^(-?[0-9]*\.[0-9]{{{scale}}})[0-9]+$")
    return pl.coalesce(fitting, cut).cast(declared.dtype, strict=False)


def _matching(text: pl.Expr, pattern: str) -> pl.Expr:
    """Returns the cells that match; to ask takes a tenth of the time of extracting them."""
    return pl.when(text.str.contains(pattern)).then(text)


def _boolean(declared: Column) -> pl.Expr:
    text = pl.col(declared.name).str.to_uppercase()
    return (
        pl.when(text.is_in(declared.true_values))
        .then(pl.lit(value=True))
        .when(text.is_in(declared.false_values))
        .then(pl.lit(value=False))
    )


_PARSERS: Mapping[ColumnType, Callable[[Column], pl.Expr]] = {
    ColumnType.STRING: _string,
    ColumnType.DATE: _date,
    ColumnType.TIMESTAMP: _timestamp,
    ColumnType.INTEGER: _integer,
    ColumnType.YEAR: _year,
    ColumnType.DECIMAL: _decimal,
    ColumnType.BOOLEAN: _boolean,
}
