"""Text to typed values, column by column and explicitly.

Belongs here: one expression per column type, null where a cell cannot be parsed. Does not belong
here: what a value may be (judging).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from ccgi_pipeline.feeds.spec import Column, ColumnType

_DATE_SHAPES = {
    "%m/%d/%Y": r"^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}$",
    "%Y-%m-%d": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
}
"""Without these, a two-digit year would be read as one of the first century."""


def typed(declared: Column) -> pl.Expr:
    """The column's typed values; null where the cell is blank or cannot be parsed."""
    return _PARSERS[declared.type](declared).alias(declared.name)


def _string(declared: Column) -> pl.Expr:
    return pl.col(declared.name)


def _date(declared: Column) -> pl.Expr:
    text = pl.col(declared.name)
    return pl.coalesce(
        pl.when(text.str.contains(_DATE_SHAPES[form])).then(text).str.to_date(form, strict=False)
        for form in declared.formats
    )


def _timestamp(declared: Column) -> pl.Expr:
    text = pl.col(declared.name)
    return pl.coalesce(
        text.str.to_datetime(form, time_unit="us", strict=False) for form in declared.formats
    )


def _integer(declared: Column) -> pl.Expr:
    return pl.col(declared.name).str.extract(r"^(-?[0-9]{1,18})$").cast(pl.Int64)


def _decimal(declared: Column) -> pl.Expr:
    """Digits beyond the column's scale are cut, not rounded: a GPA is never rounded up."""
    if not isinstance(declared.dtype, pl.Decimal):
        msg = f"{declared.name} is declared as a decimal, but its type is {declared.dtype}"
        raise TypeError(msg)
    scale = declared.dtype.scale
    whole = (declared.dtype.precision or 38) - scale
    number = rf"^(-?[0-9]{{1,{whole}}}(?:\.[0-9]{{0,{scale}}})?)[0-9]*$"
    return pl.col(declared.name).str.extract(number).cast(declared.dtype, strict=False)


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
    ColumnType.DECIMAL: _decimal,
    ColumnType.BOOLEAN: _boolean,
}
