"""Sorts out lines that hold no record: blank ones, and what export tools leave in a file.

Belongs here: the forms of such lines, found in one pass over a file. Does not belong here: a
repeated header, which only the reader knows; lines that hold a damaged record (reader).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.intake.findings import Finding

_MARKS = r"\s\x{feff}\x1a,;^|+=_-"
"""Signs of which a line may consist and yet say nothing: separators, and lines drawn with them."""
_COUNTED = r"(?:rows?|records?|lines?|students?|users?|courses?|enrollments?)(?:\(s\))?"
_NUMBER = r"[0-9][0-9,.]*"
_REST = r'[\s,;^|"]*'
_FOOTERS = (
    # SQL Server, psql, DB2, SQL*Plus, MySQL: (19 rows affected), 19 rows selected.
    (
        rf"\(?\s*(?:{_NUMBER}|no)\s+{_COUNTED}(?:\s+(?:affected|selected|exported|returned|copied|"
        r"fetched|retrieved|processed|written|unloaded|found|in set)\b.*)?\)?\.?"
    ),
    (
        rf'"?(?:grand[ ]|sub[ -]?)?totals?(?:[ ](?:number[ ]of[ ])?(?:{_COUNTED}|count))?"?'
        rf'[\s:=,;^|"]*(?:{_NUMBER})?{_REST}'
    ),
    (
        rf'"?(?:{_COUNTED}[ ]?count|{_COUNTED}|count|number[ ]of[ ]{_COUNTED})"?[\s:=,;^|"]+'
        rf"{_NUMBER}{_REST}"
    ),
    r"(?:copy|select)[ ][0-9]+",
    r"completion[ ]time:.*",
    r"(?:time|elapsed):\s*[0-9][0-9.:,]*.*",
    r"changed[ ]database[ ]context[ ]to.*",
    r"warning:[ ]null[ ]value[ ]is[ ]eliminated.*",
    r"pl/sql[ ]procedure[ ]successfully[ ]completed\.?",
    r"disconnected[ ]from[ ].*",
    r"sql>.*",
    r"[-* ]*(?:end[ ]of[ ](?:file|report|data|export)|eof)[-*. ]*",
    r"page[ ][0-9]+(?:[ ]of[ ][0-9]+)?",
    r"sep=.?",
)
_BEGINNINGS = (
    rf"\(?\s*(?:[0-9][0-9,.]*|no)\s+{_COUNTED}|(?:grand |sub[ -]?)?total|number of|"
    rf'(?:{_COUNTED}|count)"?(?: ?count)?"?[\s:=,;^|"]+[0-9]|(?:copy|select) [0-9]|completion time|'
    r"time:|elapsed:|changed database|warning: null|pl/sql|disconnected|sql>|[-* ]*e(?:nd of|of)|"
    r'page [0-9]|sep=|"["\s,;^|]*$'
)
"""How lines of ``_FOOTERS`` begin, so that one quick pass finds the few to look at."""


def may_be_litter() -> pl.Expr:
    """Matches lines that may hold no record, and few others."""
    return pl.col("text").str.contains(rf'(?i)^(?:[{_MARKS}]*$|\s*"?(?:{_BEGINNINGS}))')


def _is_blank() -> pl.Expr:
    return pl.col("text").str.contains(r"^[\s\x{feff}]*$").fill_null(value=True)


def _is_litter() -> pl.Expr:
    quoted_blanks = r'(?:\s*""\s*[,;^|])+(?:\s*"")?\s*'
    footers = "|".join(_FOOTERS)
    return pl.col("text").str.contains(
        rf"(?i)^(?:[{_MARKS}]*|{quoted_blanks}|\s*(?:{footers})\s*)$"
    )


@dataclass(frozen=True, slots=True)
class SortedOut:
    """``lines`` that may hold records, and those that were passed over (``_line``, ``blank``)."""

    lines: pl.DataFrame
    passed_over: pl.DataFrame

    @property
    def findings(self) -> list[Finding]:
        """Returns the findings about the lines that were passed over."""
        return find_litter(self.passed_over)


def sort_out_litter(lines: pl.DataFrame, suspects: pl.Series) -> SortedOut:
    """Passes over the lines that hold no record; ``suspects`` are those of ``may_be_litter``."""
    suspects = suspects.fill_null(value=True)
    if not suspects.any():
        return SortedOut(lines, pl.DataFrame(schema=_PASSED_OVER))
    looked_at = lines.filter(suspects).with_columns(
        blank=_is_blank(), litter=_is_litter().fill_null(value=True)
    )
    passed_over = looked_at.filter(pl.col("blank") | pl.col("litter"))
    kept = lines.join(passed_over, on="_line", how="anti", maintain_order="left")
    return SortedOut(kept, passed_over.select(*_PASSED_OVER))


_PASSED_OVER = {"_line": pl.UInt32, "blank": pl.Boolean}


def find_litter(passed_over: pl.DataFrame) -> list[Finding]:
    """Returns the findings about lines that were passed over (``_line``, ``blank``)."""
    return [*_findings(passed_over)] if passed_over.height else []


def _findings(passed_over: pl.DataFrame) -> Iterator[Finding]:
    for rule, of_rule, what in (
        (file_rules.BLANK_LINES, pl.col("blank"), "blank line"),
        (file_rules.LITTER, ~pl.col("blank"), "line"),
    ):
        found = passed_over.filter(of_rule)
        if found.height:
            several = "s" if found.height > 1 else ""
            detail = f"{found.height:,} {what}{several}"
            yield Finding(rule, line=found.item(0, "_line"), detail=detail)


def first_record(text: str) -> str:
    """Returns the first line of a text that is not litter; an empty text if there is none."""
    for line in text.split("\n"):
        if not pl.select(text=pl.lit(line)).select(_is_blank() | _is_litter()).item():
            return line
    return ""
