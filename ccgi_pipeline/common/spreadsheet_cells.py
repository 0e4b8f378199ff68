"""Cells of CSV files as a spreadsheet opens them.

Belongs here: making cells harmless that a spreadsheet would run as a formula. Every CSV file that
leaves the pipeline goes through it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

_UNSEEN = "[\\s\u200b-\u200f\u2060\ufeff]*"
"""Blanks and characters without width, which a spreadsheet may pass over."""
_FORMULA = f"^({_UNSEEN}[=+\\-@＝＋－＠﹦﹢﹣﹫])"  # noqa: RUF001 - other signs are meant
"""A spreadsheet takes a cell that begins with one of these signs for a formula: in full width and
small forms too, which some of them turn into the plain sign."""
_CONTROL = r"[\x00-\x1f\x7f\u0085\u2028\u2029]+"


def sanitize_cells(rows: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Removes line breaks from the columns ``names``, and escapes cells that begin like formulas.

    Null becomes an empty text.
    """
    return rows.with_columns(_sanitize(rows[name]) for name in names)


def sanitize_cell(cell: str) -> str:
    """Returns one cell as ``sanitize_cells`` does, which is faster for few cells."""
    return _FORMULA_TEXT.sub(r"'\1", _CONTROL_TEXT.sub(" ", cell))


_CONTROL_TEXT, _FORMULA_TEXT = re.compile(_CONTROL), re.compile(_FORMULA)


def _sanitize(cells: pl.Series) -> pl.Series:
    # The search takes a sixth of the time of a replacement, and few columns need one.
    if cells.str.contains(f"{_CONTROL}|{_FORMULA}").any():
        cells = cells.str.replace_all(_CONTROL, " ").str.replace(_FORMULA, "'$1")
    return cells.fill_null("")
