"""The vocabulary of causes: what one is, what it found, and how a person mends it by tool.

Belongs here: the declaration that the dictionary and every receipt use. Does not belong here: any
particular cause, what a file is judged by (judged_file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from ccgi_pipeline.feeds.sis_locations import AERIES, INFINITE_CAMPUS, POWERSCHOOL
from ccgi_pipeline.verification.causes.judged_file import JudgedFile

EXCEL, SQL = "Excel", "SQL tools"
TOOLS = (EXCEL, AERIES, POWERSCHOOL, INFINITE_CAMPUS, SQL)
"""The tools for which a cause may say how it is mended, in the order in which they are named."""


@dataclass(frozen=True, slots=True)
class Found:
    """A cause that was found in a file.

    ``evidence``: one sentence of counts, column names and line numbers; never a value.
    ``explains``: which of the file's findings it makes, as an expression over their frame.
    """

    evidence: str
    explains: pl.Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One thing that may have happened to a file.

    ``text`` says what happened, ``means`` what that does to the file's lines, ``shown_by`` by what
    it is recognised, ``fix`` how it is mended, and ``by_tool`` how where that differs. ``find``
    looks for it in a file that has findings of ``kinds``, which are rules or kinds of rules
    (``rule_kinds``), ``least`` of them or more. ``names_help``: a receipt lists the column names.
    """

    id: str
    text: str
    means: str
    shown_by: str
    fix: str
    by_tool: Mapping[str, str] = field(default_factory=dict)
    kinds: tuple[str, ...]
    least: int = 1
    names_help: bool = False
    find: Callable[[JudgedFile], Found | None]

    def __post_init__(self) -> None:
        """Raises ValueError where a tool is named that nobody knows."""
        strangers = set(self.by_tool) - set(TOOLS)
        if strangers:
            msg = f"{self.id}: no such tools: {', '.join(sorted(strangers))}"
            raise ValueError(msg)


def by_tool(
    *, excel: str = "", aeries: str = "", powerschool: str = "", campus: str = "", sql: str = ""
) -> dict[str, str]:
    """Returns what to do in each tool, in their order, without those of which nothing is said."""
    said = (excel, aeries, powerschool, campus, sql)
    return {tool: words for tool, words in zip(TOOLS, said, strict=True) if words}


AS_IT_COMES = (
    "Send the file as your student system makes it; do not open it in Excel before sending."
)
AS_TEXT_IN_EXCEL = (
    "If you must look at it, use Data, From Text/CSV, then Transform Data, and give every column "
    "the data type Text; do not save it over the file."
)
