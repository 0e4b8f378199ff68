"""Finds cells that were damaged before they were sent: in a spreadsheet, an import, a database.

Belongs here: the signs of such damage in text columns, which are loaded as they stand, and cells
whose letters cannot be told, which are left out. Does not belong here: the forms that typed and
coded columns must have (verification).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.rules import Rule
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.intake.findings import FINDINGS_SCHEMA, findings_frame
from ccgi_pipeline.intake.letters import UNKNOWN_LETTER

_SECOND_BYTES = (
    "\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d\u2018\u2019"
    "\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178\u0080-\u00bf"
)
"""What the second byte of a letter in UTF-8 becomes where it is read as Windows text."""
_ENTITY = (
    "[A-Za-z](?:acute|grave|circ|tilde|uml|cedil|ring|slash|caron)|[ao]elig|AElig|OElig|szlig|amp|"
    "quot|apos|lt|gt|nbsp|[lr][sd]quo|[nm]dash|ord[fm]|#[0-9]{2,5}|#[xX][0-9a-fA-F]{2,5}"
)


@dataclass(frozen=True, slots=True)
class _Sign:
    """A sign of damage: where ``pattern`` is found in a cell, ``rule`` is broken.

    ``marks``: single signs or ``words`` of which a file must have one, so that it can have the sign
    of damage at all; both searches are quick.
    ``personal``: only in columns that are about a person, since elsewhere it may be a word.
    """

    rule: Rule
    pattern: str
    marks: str = ""
    words: tuple[str, ...] = ()
    personal: bool = False


_SIGNS = [
    _Sign(file_rules.LOST_LETTER, r"\x{fffd}", "\N{REPLACEMENT CHARACTER}"),
    _Sign(file_rules.LOST_LETTER, r"^[^:=/@]*\pL\?\pL[^:=/@]*$", "?"),
    _Sign(
        file_rules.ENCODED_TWICE,
        rf"[ÃÂ][{_SECOND_BYTES}]|â€[{_SECOND_BYTES}]|[√├]\S",
        "ÃÂâ√├",
    ),
    _Sign(file_rules.ENTITY, rf"&(?:{_ENTITY});", "&"),
    _Sign(
        file_rules.SPREADSHEET_ERROR,
        r"^(?:#N/A|#NAME\?|#REF!|#VALUE!|#DIV/0!|#NUM!|#NULL!|#SPILL!|#CALC!|#{3,})$",
        "#",
    ),
    _Sign(
        file_rules.POWER_OF_TEN,
        r"^-?[0-9](?:[.,][0-9]+)?[Ee]\+[0-9]{1,3}$",
        words=("E+", "e+"),
    ),
    _Sign(
        file_rules.NULL_WORD,
        r"^(?:NULL|null|[(<\[](?i:null)[)>\]]|\\N|#NULL#)$",
        words=("NULL", "null", "Null", "\\N"),
    ),
    _Sign(
        file_rules.NULL_WORD,
        r"^(?:None|none|NaN|nan|undefined|nil|NIL)$",
        words=("None", "none", "NaN", "nan", "undefined", "nil", "NIL"),
        personal=True,
    ),
]


def _any_of(words: Iterable[str]) -> str:
    """Returns a pattern of some words: polars finds it sooner than it finds a list of words."""
    return "|".join(map(re.escape, words))


_WORDS = _any_of(word for sign in _SIGNS for word in sign.words)
_SIGNS_WITHOUT_WORDS = [sign for sign in _SIGNS if not sign.words]


def find_damage(
    content: bytes | None, text: pl.Series, cells: pl.DataFrame, feed: FeedSpec
) -> pl.DataFrame:
    """Finds damaged cells: a frame of ``FINDINGS_SCHEMA`` with the position of the record, ``row``.

    ``content`` are the bytes of the lines, if they are at hand: a quick search in them spares the
    look at each line of ``text``. ``cells`` are the same records as columns.
    """
    # One search for all words: nearly no file has any of them.
    signs = _SIGNS if text.str.contains(_WORDS).any() else _SIGNS_WITHOUT_WORDS
    plain = content is not None and content.isascii()
    signs = [
        sign
        for sign in signs
        if not (plain and sign.marks and not sign.marks.isascii())
        and _may_have(sign, content, text)
    ]
    none = findings_frame([]).with_columns(row=pl.lit(None, dtype=pl.UInt32))
    if not signs or cells.is_empty():
        return none
    marks = sorted({mark for sign in signs for mark in (*sign.marks, *sign.words)})
    suspects = text.str.contains_any(marks).fill_null(value=False)
    if not suspects.any():
        return none
    looked_at = cells.with_row_index("row").filter(suspects)
    found = [none]
    for name, declared in feed.columns.items():
        if not _is_free_text(declared):
            continue
        cell = pl.col(name)
        by_rule: dict[str, pl.Expr] = {}
        for sign in signs:
            if declared.pii or not sign.personal:
                broken = cell.str.contains(sign.pattern)
                by_rule[sign.rule.id] = by_rule.get(sign.rule.id, pl.lit(value=False)) | broken
        answers = looked_at.select("row", "_line", *(e.alias(rule) for rule, e in by_rule.items()))
        for rule in by_rule:
            broken_rows = answers.filter(pl.col(rule))
            if broken_rows.height:
                found.append(
                    broken_rows.select(
                        pl.lit(rule).alias("rule"),
                        pl.col("_line").cast(pl.UInt32).alias("line"),
                        pl.lit(name).alias("column"),
                        pl.lit(None, dtype=pl.String).alias("detail"),
                        pl.col("row").cast(pl.UInt32),
                    )
                )
    return pl.concat(found)


def _may_have(sign: _Sign, content: bytes | None, text: pl.Series) -> bool:
    """Returns whether a file may have a cell with the sign."""
    if sign.words:
        return bool(text.str.contains(_any_of(sign.words)).any())
    return content is None or any(mark.encode() in content for mark in sign.marks)


def _is_free_text(declared: Column) -> bool:
    return declared.type is ColumnType.STRING and declared.codes is None


def leave_out_unknown_letters(
    cells: pl.DataFrame, feed: FeedSpec
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns the records without the cells whose letters cannot be told, and their findings."""
    found = [findings_frame([])]
    for name in feed.columns:
        unknown = cells[name].str.contains(UNKNOWN_LETTER, literal=True).fill_null(value=False)
        if not unknown.any():
            continue
        found.append(
            cells.filter(unknown).select(
                pl.lit(file_rules.LETTERS.id).alias("rule"),
                pl.col("_line").cast(pl.UInt32).alias("line"),
                pl.lit(name).alias("column"),
                pl.lit(None, dtype=pl.String).alias("detail"),
            )
        )
        cells = cells.with_columns(pl.when(~unknown).then(name).alias(name))
    return cells, pl.concat(found).select(*FINDINGS_SCHEMA)
