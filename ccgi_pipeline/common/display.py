"""Makes names, headers and cells from received files safe to show in a terminal.

Belongs here: replacing the characters that a terminal would act on, and cutting long names. An
escape sequence is obeyed, a line break in a name looks like another line of the output, and a
bidirectional control character reorders the text. Does not belong here: HTML (its templates
escape), spreadsheets' formulas (spreadsheet_cells).
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


def shorten(name: str) -> str:
    """Returns a name with its middle left out if it is longer than anybody reads."""
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST // 2]} … {name[-_LONGEST // 3 :]}"


_LONGEST = 300
"""A file's name has up to 255 characters."""


def _number(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
