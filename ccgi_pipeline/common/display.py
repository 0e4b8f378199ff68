"""Text of strangers made harmless for a screen: names, headers and cells from received files.

Belongs here: what no name may contain when it is shown. A terminal obeys escape sequences; a line
break in a name forges a line of ours; a mark of direction shows a text in another order. Does not
belong here: HTML (its templates escape), spreadsheets' formulas (receipts and reports).
"""

from __future__ import annotations

import re

_CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_UNPRINTABLE = re.compile(rf"[\t\n{_CONTROL}]")
_UNPRINTABLE_BUT_LAYOUT = re.compile(rf"[{_CONTROL}]")


def escape_unprintable(text: str) -> str:
    """Returns ``text`` on one line, each character that a screen obeys as its number."""
    return _UNPRINTABLE.sub(_number, text)


def escape_but_layout(text: str) -> str:
    """Returns ``text`` with its line breaks and tabs, and the other such characters as numbers.

    Numbers are written as JSON writes them, so that JSON stays as it is meant.
    """
    return _UNPRINTABLE_BUT_LAYOUT.sub(_number, text)


def _number(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
