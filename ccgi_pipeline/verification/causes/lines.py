"""Causes that show in a file's lines: cells too many or too few, lines that are no records.

Belongs here: what many lines have in common, whatever stands in their cells. Does not belong here:
the header (headers), the cells (codes, dates, words).
"""

from __future__ import annotations

import polars as pl

from ccgi_pipeline.common.packed_frames import frames_of
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.intake.record_lines import LINE
from ccgi_pipeline.verification.causes.declaration import Cause, Found, by_tool
from ccgi_pipeline.verification.causes.judged_file import (
    KIND,
    SEVERAL,
    JudgedFile,
    are_most,
    number_of,
)
from ccgi_pipeline.verification.causes.rule_kinds import BLANK, REPEATED

_FIELDS, _EXTRA = file_rules.FIELDS.id, file_rules.EXTRA_CELLS.id
_LITTER, _BLANK, _TRUNCATED = (
    file_rules.LITTER.id,
    file_rules.BLANK_LINES.id,
    file_rules.TRUNCATED.id,
)
_QUOTES, _HEADER_AGAIN = file_rules.QUOTES.id, file_rules.REPEATED_HEADER.id


def _ragged(file: JudgedFile) -> pl.DataFrame:
    """The lines with a wrong number of cells: how many they have, are due, and where it began."""
    detail = pl.col("detail")
    return file.of(_FIELDS, _TRUNCATED).select(
        "line",
        detail.str.extract(r"^([0-9]+) cells").cast(pl.Int64).alias("cells"),
        detail.str.extract(r"header has ([0-9]+)").cast(pl.Int64).alias("due"),
        detail.str.extract(r"too many (?:in|between) (.+?)(?: and |$)").alias("place"),
    )


def _at(lines: pl.Series, *kinds: str) -> pl.Expr:
    return pl.col("line").is_in(lines.implode()) & pl.col(KIND).is_in(kinds)


def _find_surplus_cell(file: JudgedFile) -> Found | None:
    long = _ragged(file).filter(pl.col("cells") > pl.col("due"))
    if long.height < SEVERAL:
        return None
    surplus, most = (
        long.select((pl.col("cells") - pl.col("due")).alias("surplus"))
        .group_by("surplus").len().sort("len", "surplus", descending=[True, False]).row(0)
    )  # fmt: skip
    places = long["place"].drop_nulls().value_counts(sort=True)
    where = ""
    if places.height:
        name, count = places.row(0)
        where = f"; in {number_of(count, 'line')} the surplus begins at {name}"
    return Found(
        f"{number_of(long.height, 'line')} of {file.lines:,} have more cells than the header, "
        f"{most:,} of them {number_of(surplus)} more{where}.",
        _at(long["line"], _FIELDS, _TRUNCATED),
    )


def _find_short_lines(file: JudgedFile) -> Found | None:
    short = _ragged(file).filter(pl.col("cells") < pl.col("due"))
    if not are_most(short.height, file.lines) or short["cells"].n_unique() > short.height // 2 + 1:
        return None
    common = short["cells"].mode().sort().item(0)
    count = short.filter(pl.col("cells") == common).height
    return Found(
        f"{number_of(short.height, 'line')} of {file.lines:,} have fewer cells than the header; "
        f"{count:,} of them have {common:,} instead of {short.item(0, 'due'):,}.",
        _at(short["line"], _FIELDS, _TRUNCATED),
    )


def _find_broken_lines(file: JudgedFile) -> Found | None:
    """Two short lines, one below the other, that make one whole line together."""
    short = _ragged(file).filter(pl.col("cells") < pl.col("due")).sort("line")
    if short.height == file.lines and short["cells"].n_unique() == 1:
        return None  # every line lacks the same cells: none is half of another
    below = short.select(pl.all().shift(-1).name.suffix("_below"))
    pairs = short.hstack(below).filter(
        (pl.col("line_below") == pl.col("line") + 1)
        & (pl.col("cells") + pl.col("cells_below") == pl.col("due") + 1)
    )
    if pairs.is_empty():
        return None
    lines = pl.concat([pairs["line"], pairs["line_below"]])
    return Found(
        f"{number_of(pairs.height, 'pair')} of lines make one whole line each when they are put "
        "together.",
        _at(lines, _FIELDS, _TRUNCATED),
    )


def _find_trailing_columns(file: JudgedFile) -> Found | None:
    told = file.of(_EXTRA).filter(pl.col("line") > 1)
    if not are_most(told.height, file.lines):
        return None
    return Found(
        f"{number_of(told.height, 'line')} of {file.lines:,} end in blank cells beyond the last "
        "column.",
        pl.col(KIND).is_in([_EXTRA, file_rules.COLUMN_UNKNOWN.id])
        & (pl.col("line") > 1).fill_null(value=False),
    )


def _passed_over(file: JudgedFile, *rules: str) -> int:
    """The number of lines that were passed over by these rules."""
    counts = file.of(*rules)["detail"].str.extract(r"^([0-9,]+) (?:blank )?line")
    return int(counts.str.replace_all(",", "").cast(pl.Int64).sum() or 0)


def _lines_like(file: JudgedFile, pattern: str) -> int:
    count = 0
    for part in file.parts():
        lines = pl.Series(part.decode("utf-8", errors="replace").replace("\r\n", "\n").split("\n"))
        count += int(lines.str.contains(pattern).sum())
    return count


_BLANK_ROW = r'^[\s"]*[,;^|\t][\s",;^|]*$'


def _find_blank_rows(file: JudgedFile) -> Found | None:
    blank = _lines_like(file, _BLANK_ROW)
    if not are_most(blank, _passed_over(file, _LITTER, _BLANK)):
        return None
    return Found(
        f"{number_of(blank, 'line')} have separators and nothing else.",
        pl.col(KIND).is_in([_LITTER, _BLANK]),
    )


def _find_report_lines(file: JudgedFile) -> Found | None:
    blank = r'^[\s"]*[,;^|][\s",;^|]*$'
    passed_over = _passed_over(file, _LITTER) - _lines_like(file, blank)
    if passed_over < 1:
        return None
    return Found(
        f"{number_of(passed_over, 'line')} with a count of rows, a total, dashes or the like.",
        pl.col(KIND) == _LITTER,
    )


def _find_filled_down(file: JudgedFile) -> Found | None:
    """Lines without any key that all have the same few cells."""
    records, feed = file.reading.records, file.feed
    if records is None or feed is None:
        return None
    keys = [name for name in feed.keys if name in records.columns]
    empty = records.filter(pl.all_horizontal(pl.col(keys).is_null()))
    if empty.height < SEVERAL:
        return None
    columns = [name for name in feed.columns if empty[name].null_count() < empty.height]
    alike = all(empty[name].n_unique() == 1 for name in columns)
    if not alike or len(columns) > len(feed.columns) // 2:
        return None
    return Found(
        f"{number_of(empty.height, 'line')} have nothing that tells a record, and the same cells "
        f"in {number_of(len(columns), 'column')} ({', '.join(columns) or 'none'}).",
        pl.col("line").is_in(empty[LINE].implode()),
    )


def _find_stray_quotes(file: JudgedFile) -> Found | None:
    told = file.of(_QUOTES)
    if told.height < SEVERAL:
        return None
    return Found(
        f"In {number_of(told.height, 'line')} of {file.lines:,} the quotation marks do not match.",
        pl.col(KIND) == _QUOTES,
    )


def _find_cut_off(file: JudgedFile) -> Found | None:
    told = file.of(_TRUNCATED)
    if told.is_empty():
        return None
    short = _ragged(file).filter(pl.col("line") == told.item(0, "line"))
    cells = f" after {short.item(0, 'cells')} of {short.item(0, 'due')} cells"
    known = not short.is_empty() and short.item(0, "cells") is not None
    return Found(
        f"Line {told.item(0, 'line'):,}, the last one, ends{cells if known else ''} without a line "
        f"end; the file has {file.size:,} bytes.",
        pl.col(KIND) == _TRUNCATED,
    )


def _find_files_joined(file: JudgedFile) -> Found | None:
    told = file.of(_HEADER_AGAIN)
    if told.is_empty() or told.height >= max(SEVERAL, file.lines):
        return None
    return Found(
        f"The column names stand in line 1 and in {number_of(told.height, 'other line')}.",
        pl.col(KIND) == _HEADER_AGAIN,
    )


def _keyed(file: JudgedFile) -> pl.DataFrame | None:
    """By key of the file's records: how many lines have it, and how many kinds of lines."""
    records, feed = file.reading.records, file.feed
    if records is None or feed is None or not file.has(REPEATED):
        return None
    keys = list(feed.keys)
    filled = pl.concat(
        frame.drop_nulls(keys[:1]).select(
            *keys, pl.struct(list(feed.columns)).hash().alias("cells")
        )
        for frame in frames_of(records)
    )
    return filled.group_by(keys).agg(
        pl.len().alias("times"), pl.col("cells").n_unique().alias("kinds")
    )


def _find_twice(file: JudgedFile) -> Found | None:
    keyed = _keyed(file)
    if keyed is None or keyed.is_empty():
        return None
    again = keyed.filter((pl.col("times") > 1) & (pl.col("kinds") == 1))
    if keyed.height < SEVERAL or again.height < _NEARLY_ALL * keyed.height:
        return None
    return Found(
        f"{again.height:,} of {number_of(keyed.height, 'record')} stand in the file more than once "
        "with the same cells.",
        pl.col(KIND).is_in([REPEATED, _HEADER_AGAIN]),
    )


_NEARLY_ALL = 0.9


def _find_joined_rows(file: JudgedFile) -> Found | None:
    keyed, records, feed = _keyed(file), file.reading.records, file.feed
    if keyed is None or records is None or feed is None:
        return None
    told = file.of(REPEATED).height
    several = keyed.filter(pl.col("kinds") > 1)
    if told < SEVERAL or not are_most(several.height, keyed.filter(pl.col("times") > 1).height):
        return None
    rest = [name for name in feed.columns if name not in feed.keys]
    keys = list(feed.keys)
    rows = pl.concat(
        frame.join(several.select(keys), on=keys, how="semi") for frame in frames_of(records)
    )
    kinds = rows.group_by(list(feed.keys)).agg(pl.col(rest).n_unique() > 1).select(rest).sum()
    differing = [name for name in rest if kinds.item(0, name)]
    if not 0 < len(differing) <= _FEW_COLUMNS:
        return None
    return Found(
        f"{number_of(several.height, 'record')} stand in several lines that differ in "
        f"{', '.join(differing)} only.",
        pl.col(KIND) == REPEATED,
    )


_FEW_COLUMNS = 3


def _find_blank_column(file: JudgedFile) -> Found | None:
    feed = file.feed
    if feed is None:
        return None
    blanks = file.of(BLANK).filter(pl.col("line").is_not_null())
    counted = blanks.group_by("column", maintain_order=True).len()
    whole = [
        name
        for name, count in counted.iter_rows()
        if file.filled.get(name) == 0 and count >= SEVERAL and not feed.columns[name].blank_until
    ]
    if not whole:
        return None
    named = ", ".join(whole)
    return Found(
        f"Blank in all {number_of(file.lines, 'line')}: {named}.",
        pl.col("column").is_in(whole) & (pl.col(KIND) == BLANK),
    )


CAUSES = (
    Cause(
        id="CAUSE-BLANK-ROWS",
        text="Rows below or between the data were cleared in a spreadsheet, but not deleted.",
        means="The rows were passed over; no record is lost.",
        shown_by="Lines of separators only.",
        fix="Nothing needs to be done. To be rid of them, delete the rows below the last one.",
        by_tool=by_tool(
            excel="Select the rows below the last record, right-click, Delete, and save again.",
        ),
        kinds=(_LITTER, _BLANK),
        find=_find_blank_rows,
    ),
    Cause(
        id="CAUSE-REPORT-LINES",
        text="The export tool wrote lines of its own: a count of rows, a total, a ruler of dashes.",
        means="The lines were passed over; no record is lost.",
        shown_by="Lines with a count, a total, dashes or the words of a known tool.",
        fix="Nothing needs to be done. To be rid of them, turn them off in the tool.",
        by_tool=by_tool(
            aeries="Use an extract in place of a report with totals.",
            powerschool="Use Data Export Manager in place of a report with totals.",
            campus="Ad Hoc reporting: leave out totals and aggregates.",
            sql="SQL Server: SET NOCOUNT ON, sqlcmd -W; psql: -t; SQL*Plus: SET FEEDBACK OFF.",
        ),
        kinds=(_LITTER,),
        find=_find_report_lines,
    ),
    Cause(
        id="CAUSE-FILLED-DOWN",
        text="A spreadsheet's formulas or defaults were filled down below the last record.",
        means="Lines without a key hold no record and were not loaded.",
        shown_by="Lines without any key that all have the same few cells.",
        fix="Delete these rows.",
        by_tool=by_tool(
            excel="Select the rows below the last record, right-click, Delete, and save again.",
            sql="An outer join finds rows without a student: use an inner join.",
        ),
        kinds=(BLANK,),
        least=2,
        find=_find_filled_down,
    ),
    Cause(
        id="CAUSE-TRAILING-COLUMNS",
        text="Columns behind the last one were cleared in a spreadsheet, but not deleted.",
        means="The blank cells were dropped; all lines were read.",
        shown_by="Most lines end in blank cells beyond the last column.",
        fix="Delete the columns to the right of the last one.",
        by_tool=by_tool(
            excel="Select the columns right of the last one, right-click, Delete, and save again.",
            powerschool="Leave out empty fields at the end of the export's list.",
            sql="Leave out the separator behind the last column.",
        ),
        kinds=(_EXTRA,),
        find=_find_trailing_columns,
    ),
    Cause(
        id="CAUSE-BROKEN-LINES",
        text="A line break within a cell, such as in an address or a comment, breaks lines in two.",
        means="Neither half of such a line could be loaded.",
        shown_by="Two short lines, one below the other, make one whole line.",
        fix="Take the line breaks out of the cells, or put such cells into quotation marks (files "
        "with tabs have none).",
        by_tool=by_tool(
            excel="Find and Replace: find Ctrl+J, replace by a blank.",
            sql="REPLACE(REPLACE(column, CHAR(13), ' '), CHAR(10), ' ').",
        ),
        kinds=(_FIELDS,),
        find=_find_broken_lines,
    ),
    Cause(
        id="CAUSE-SURPLUS-CELL",
        text="Text with the separator in it, such as a comma in a name, was not put into quotation "
        "marks: it became two cells, and all cells behind it stand one column too far right.",
        means="Such lines were not loaded, since their cells are in the wrong columns.",
        shown_by="Lines with more cells than the header, and the column from which on the cells "
        "fit only if two of them are put together.",
        fix="Put cells that have the separator in them into quotation marks, or take it out where "
        "the text is kept.",
        by_tool=by_tool(
            excel="Save As CSV UTF-8 sets the marks by itself; text put together by formulas or "
            "macros has none.",
            powerschool="Data Export Manager: have field values put into quotation marks.",
            campus="Data Extract Utilities: choose quotation marks around text.",
            sql='Export wizard: text qualifier "; psql \\copy ... csv; bcp sets no marks: use '
            "QUOTENAME(column, '\"') or REPLACE(column, ',', ' ').",
        ),
        kinds=(_FIELDS, _TRUNCATED),
        least=2,
        find=_find_surplus_cell,
    ),
    Cause(
        id="CAUSE-SHORT-LINES",
        text="Most lines have fewer cells than the header has columns: blank cells at their end "
        "were left out, or header and query are of different versions.",
        means="Which cell is what cannot be told, so such lines were not loaded.",
        shown_by="Most lines have fewer cells than the header, nearly all the same number.",
        fix="Write a separator for every column, also where the cell is blank.",
        by_tool=by_tool(
            excel="Excel leaves out blank cells behind the last filled one: fill the last column, "
            "or send the file as your student system makes it.",
            powerschool="Queries leave out fields that are null: export all fields of the "
            "template.",
            sql="Give every column a place in SELECT, with COALESCE(column, '').",
        ),
        kinds=(_FIELDS,),
        least=2,
        find=_find_short_lines,
    ),
    Cause(
        id="CAUSE-STRAY-QUOTES",
        text="Quotation marks within cells, such as around a nickname or for inches, were not "
        "doubled.",
        means="Such lines were not loaded, since their cells cannot be told apart.",
        shown_by="Lines whose quotation marks do not match.",
        fix="Double quotation marks within a cell, and put the cell into quotation marks.",
        by_tool=by_tool(
            excel="Save As CSV UTF-8 does so by itself.",
            sql="REPLACE(column, '\"', '\"\"'); psql \\copy ... csv does so by itself.",
        ),
        kinds=(_QUOTES,),
        least=2,
        find=_find_stray_quotes,
    ),
    Cause(
        id="CAUSE-CUT-OFF",
        text="The file breaks off in its last line: the upload or the export ended too early.",
        means="The last line was not loaded, and lines behind it may be missing. Nobody is ended "
        "by a file that breaks off.",
        shown_by="The last line has too few cells and no line end.",
        fix="Compare the size with that of the file on your side, and upload it again. Upload "
        "under a temporary name and rename it when it is whole.",
        by_tool=by_tool(
            sql="Look whether the export ended with an error or the disk is full.",
        ),
        kinds=(_TRUNCATED,),
        find=_find_cut_off,
    ),
    Cause(
        id="CAUSE-TWICE",
        text="The file holds all its records twice: it was written or appended a second time.",
        means="Each record was loaded once.",
        shown_by="Nearly all records stand in the file more than once, with the same cells.",
        fix="Write the file anew each time instead of appending to it.",
        by_tool=by_tool(
            sql="Replace >> by >; take out a UNION ALL of the same rows, or a doubled join.",
        ),
        kinds=(REPEATED,),
        least=2,
        find=_find_twice,
    ),
    Cause(
        id="CAUSE-JOINED-ROWS",
        text="The query gives several lines for one record: it was joined with a table that has "
        "several rows for it.",
        means="One of the lines counts for each record; which one may be chance.",
        shown_by="The lines of one record differ in one to three columns only.",
        fix="Let the export give one line for each record.",
        by_tool=by_tool(
            aeries="Queries over several tables give a line for each combination: use the CCGI "
            "extract.",
            campus="Ad Hoc reporting: choose distinct rows, or leave out fields of other tables.",
            sql="Choose one row of the joined table, by ROW_NUMBER() OVER (PARTITION BY ...) = 1.",
        ),
        kinds=(REPEATED,),
        least=2,
        find=_find_joined_rows,
    ),
    Cause(
        id="CAUSE-FILES-JOINED",
        text="Several files were put together, each with its column names.",
        means="The repeated column names were passed over; all lines were read.",
        shown_by="The column names are repeated within the file.",
        fix="Nothing needs to be done. To be rid of them, keep the names of the first file only.",
        kinds=(_HEADER_AGAIN,),
        find=_find_files_joined,
    ),
    Cause(
        id="CAUSE-BLANK-COLUMN",
        text="The export left a column blank: the field was not chosen, or the account may not "
        "see it.",
        means="Where the column is required, no line could be loaded.",
        shown_by="A column that is due is blank in every line.",
        fix="Look where your student system keeps the value, and which field the export reads.",
        by_tool=by_tool(
            aeries="Look at the field's security for the account that runs the extract.",
            powerschool="Look at field level security, and at the field that the export maps.",
            campus="Look at the tool rights of the account, and at the field that is mapped.",
            sql="Look at the join and the column name behind this field.",
        ),
        kinds=(BLANK,),
        least=2,
        find=_find_blank_column,
    ),
)
