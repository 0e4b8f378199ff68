"""Records that mention police involvement: found, so that they are removed before anything else.

Belongs here: from a list of words to the expression that finds them. Does not belong here: the
list (profiles), what becomes of the record (gates): it is counted, and nothing of it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

_OTHER = r"[^\pL\pN]"
"""What stands between words. An underscore does too: penalty codes are often written with it."""
_ENDING = r"(?:['`\u00b4\u02bc\u2018\u2019]?s)?"


def mentions_police(columns: Sequence[str], words: Sequence[str]) -> pl.Expr:
    """Whether one of the text ``columns`` has one of ``words`` as a whole word, in any case.

    A phrase is found with any signs between its words, and a word also in the plural and the
    genitive.
    """
    phrases = "|".join(f"{_OTHER}+".join(map(re.escape, word.split())) for word in words)
    pattern = rf"(?i)(?:^|{_OTHER})(?:{phrases}){_ENDING}(?:$|{_OTHER})"
    return pl.any_horizontal(
        pl.col(column).str.contains(pattern).fill_null(value=False) for column in columns
    )
