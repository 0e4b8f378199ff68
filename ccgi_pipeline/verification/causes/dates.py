"""Causes that show in dates: in which form a program wrote them, and of which year they are.

Belongs here: cells of columns of dates, and files of an earlier school year. Does not belong here:
codes (codes).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import polars as pl

from ccgi_pipeline.common.packed_frames import frames_of
from ccgi_pipeline.feeds.columns import ColumnType
from ccgi_pipeline.verification.causes.declaration import AS_IT_COMES, Cause, Found, by_tool
from ccgi_pipeline.verification.causes.judged_file import (
    KIND,
    SEVERAL,
    JudgedFile,
    WrongCells,
    are_most,
    counts_by_column,
    is_about,
    number_of,
)
from ccgi_pipeline.verification.causes.rule_kinds import EARLIER_YEAR, FORM

_LEFT_OUT = "Where the date is required, the line was not loaded; otherwise the date was left out."
_FIRST, _SECOND = r"^([0-9]{1,2})[-/. ][0-9]{1,2}[-/. ]", r"^[0-9]{1,2}[-/. ]([0-9]{1,2})[-/. ]"
_MONTHS = 12


def _wrong_dates(file: JudgedFile, kind: ColumnType = ColumnType.DATE) -> list[WrongCells]:
    return [wrong for wrong in file.wrong_cells(FORM) if wrong.column.type is kind]


def _like(
    pattern: str, words: str, kind: ColumnType = ColumnType.DATE
) -> Callable[[JudgedFile], Found | None]:
    """Returns a search for dates (or times) most of which match ``pattern``."""

    def find(file: JudgedFile) -> Found | None:
        pairs = [(wrong, wrong.like(pattern)) for wrong in _wrong_dates(file, kind)]
        found = [like for wrong, like in pairs if are_most(len(like), len(wrong))]
        if not found:
            return None
        return Found(f"{counts_by_column(found)} {words}.", is_about(found, FORM))

    return find


def _find_days_first(file: JudgedFile) -> Found | None:
    found, either = [], 0
    for wrong in _wrong_dates(file):
        records = file.reading.records
        first = pl.col("cell").str.extract(_FIRST).cast(pl.Int64)
        day_first = wrong.where(first > _MONTHS)
        if records is None or not are_most(len(day_first), len(wrong)):
            continue
        cells = records[wrong.column.name]
        firsts, seconds = (cells.str.extract(form).cast(pl.Int64) for form in (_FIRST, _SECOND))
        month_first = int(((seconds > _MONTHS) & (firsts <= _MONTHS)).sum())
        if month_first > len(day_first):
            continue
        either += int(((firsts <= _MONTHS) & (seconds <= _MONTHS) & (firsts != seconds)).sum())
        found.append(day_first)
    if not found:
        return None
    others = (
        f" {number_of(either, 'other date')} can be read both ways, and may have been read wrong."
        if either
        else ""
    )
    return Found(
        f"{counts_by_column(found)} with a first number above 12.{others}", is_about(found, FORM)
    )


def _find_earlier_year(file: JudgedFile) -> Found | None:
    records, feed, told = file.reading.records, file.feed, file.of(EARLIER_YEAR)
    if records is None or feed is None or told.height < SEVERAL:
        return None
    days = [name for name, declared in feed.columns.items() if declared.type is ColumnType.DATE]
    starts = file.on.year if file.on.month >= _JULY else file.on.year - 1
    dates = [
        pl.col(name).str.to_date(form, strict=False)
        for name in days
        for form in feed.columns[name].formats
    ]
    newest = (
        pl.concat(frame.select(pl.max_horizontal(dates).max()) for frame in frames_of(records))
        .to_series()
        .max()
    )
    if not isinstance(newest, date) or newest >= date(starts, _JULY, 1):
        return None
    return Found(
        f"No date in {number_of(file.lines, 'line')} lies in the school year "
        f"{starts}-{(starts + 1) % 100:02d}; {told.height:,} findings come from that.",
        pl.col(KIND) == EARLIER_YEAR,
    )


_JULY = 7

CAUSES = (
    Cause(
        id="CAUSE-SERIAL-DATES",
        text="A spreadsheet wrote dates as numbers of days, such as 40238 for March 1, 2010.",
        means=_LEFT_OUT,
        shown_by="Numbers with five digits in columns of dates.",
        fix=AS_IT_COMES,
        by_tool=by_tool(
            excel='Format Cells, Date, before saving; =TEXT(cell,"mm/dd/yyyy") makes text of it.',
            sql="DATEADD(day, n, '1899-12-30') turns such a number into its date.",
        ),
        kinds=(FORM,),
        least=2,
        find=_like(r"^[1-5][0-9]{4}(?:\.[0-9]+)?$", "are numbers with five digits"),
    ),
    Cause(
        id="CAUSE-DAY-MONTH",
        text="Dates have the day first, as other regions write them; the month is due first.",
        means="A date whose day is above 12 was not taken. One that can be read both ways was read "
        "with the month first, and may be wrong.",
        shown_by="Dates with a first number above 12.",
        fix="Write month, day, year, or YYYY-MM-DD where the file permits it.",
        by_tool=by_tool(
            excel="Windows Settings, Region: English (United States); or format the column as "
            "mm/dd/yyyy.",
            sql="CONVERT(varchar(10), column, 101); to_char(column, 'MM/DD/YYYY').",
        ),
        kinds=(FORM,),
        least=2,
        find=_find_days_first,
    ),
    Cause(
        id="CAUSE-SHORT-YEARS",
        text="Years were written with two digits.",
        means=_LEFT_OUT + " The century is not guessed.",
        shown_by="Dates such as 3/1/10.",
        fix="Write the year with four digits.",
        by_tool=by_tool(
            excel="Format Cells, Custom, mm/dd/yyyy.",
            sql="CONVERT(varchar(10), column, 101), not 1; to_char(column, 'MM/DD/YYYY').",
        ),
        kinds=(FORM,),
        least=2,
        find=_like(r"^[0-9]{1,2}[-/. ][0-9]{1,2}[-/. ][0-9]{2}$", "have a year with two digits"),
    ),
    Cause(
        id="CAUSE-DATE-TIMES",
        text="Dates came with a time, as a database or a spreadsheet keeps them.",
        means=_LEFT_OUT,
        shown_by="Dates with hours and minutes behind them.",
        fix="Write the date alone.",
        by_tool=by_tool(
            excel="Format Cells, Custom, mm/dd/yyyy, before saving.",
            sql="CONVERT(varchar(10), column, 101); to_char(column, 'MM/DD/YYYY').",
        ),
        kinds=(FORM,),
        least=2,
        find=_like(
            r"^[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}[T ]+[0-9]{1,2}:[0-9]{2}",
            "have a time behind the date",
        ),
    ),
    Cause(
        id="CAUSE-DATE-FORM",
        text="Dates are written in another form than this file has.",
        means=_LEFT_OUT,
        shown_by="Dates such as 2010-03-01 where 03/01/2010 is due, 20100301, 1-Mar-2010 or "
        "03.01.2010.",
        fix="Write dates in the form that the data dictionary names for this file.",
        by_tool=by_tool(
            excel="Format Cells, Custom, mm/dd/yyyy (or yyyy-mm-dd, where that is due).",
            powerschool="Data Export Manager: choose the date format of the export.",
            sql="CONVERT(varchar(10), column, 101) is mm/dd/yyyy, 23 is yyyy-mm-dd.",
        ),
        kinds=(FORM,),
        least=2,
        find=_like(
            r"(?i)^(?:(?:19|20)[0-9]{6}|(?:19|20)[0-9]{2}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|"
            r"[0-9]{1,2}[-.][0-9]{1,2}[-.](?:19|20)[0-9]{2}|[0-9]{1,2}/[0-9]{1,2}/(?:19|20)[0-9]{2}|"
            r"[0-9]{1,2}[- ][a-z]{3,9}[-, ]+[0-9]{2,4}|[a-z]{3,9}\.? [0-9]{1,2},? [0-9]{4})$",
            "are dates in another form",
        ),
    ),
    Cause(
        id="CAUSE-TIME-FORM",
        text="Times are written in another form than the specification has.",
        means="A time that can mean one instant only was understood; others were refused.",
        shown_by="Times without Z, without seconds, with an offset, as a day, or as a spreadsheet "
        "writes them.",
        fix="Write times in UTC as 2026-11-20T08:30:00Z.",
        by_tool=by_tool(
            excel="Excel rewrites times when it opens a file. " + AS_IT_COMES,
            sql="SQL Server: CONVERT(varchar(19), column AT TIME ZONE 'UTC', 126) + 'Z'; "
            "PostgreSQL: to_char(column AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"').",
        ),
        kinds=(FORM,),
        least=2,
        find=_like(
            r"^(?:[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4})(?:[T ]|$)",
            "are times in another form",
            ColumnType.TIMESTAMP,
        ),
    ),
    Cause(
        id="CAUSE-LAST-YEAR",
        text="This is a file of an earlier school year.",
        means="Its lines are about a year that is over; nothing in it is about the current one.",
        shown_by="Every date in the file lies before the current school year.",
        fix="Choose the current school year, and export again.",
        by_tool=by_tool(
            aeries="Choose this year's database (the drop-down for the year) before the extract.",
            powerschool="Choose the current year's term in the context bar.",
            campus="Choose the current year in the toolbar, or in the extract's calendar.",
            sql="Take a fixed year out of the query's WHERE.",
        ),
        kinds=(EARLIER_YEAR,),
        least=SEVERAL,
        find=_find_earlier_year,
    ),
)
