"""Causes that show in any text: what programs write for nothing, for errors and for letters.

Belongs here: words and signs that no person would write, in whatever column they stand. Does not
belong here: codes, numbers and dates (codes, dates).
"""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from ccgi_pipeline.common.packed_frames import frames_of
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.verification.causes.declaration import AS_IT_COMES, Cause, Found, by_tool
from ccgi_pipeline.verification.causes.judged_file import (
    KIND,
    SEVERAL,
    JudgedFile,
    are_most,
    counts_by_column,
    is_about,
    number_of,
)
from ccgi_pipeline.verification.causes.rule_kinds import BLANK, CODE, FORM, LENGTH

_WRONG = (FORM, CODE, LENGTH)


def _cells_like(
    pattern: str, words: str, *rules: str, share: float = 0.5
) -> Callable[[JudgedFile], Found | None]:
    """Returns a search for cells of any column, told by ``rules`` or wrong in form, like that."""
    kinds = (*rules, *_WRONG)

    def find(file: JudgedFile) -> Found | None:
        pairs = [(wrong, wrong.like(pattern)) for wrong in file.wrong_cells(*kinds)]
        found = [
            like
            for wrong, like in pairs
            if len(like) >= SEVERAL and len(like) >= share * len(wrong)
        ]
        if not found:
            return None
        return Found(f"{counts_by_column(found)} {words}.", is_about(found, *kinds))

    return find


def _many_cells(rule: str, what: str) -> Callable[[JudgedFile], Found | None]:
    """Returns a search for a rule of damage that is broken in many cells."""

    def find(file: JudgedFile) -> Found | None:
        told = file.of(rule)
        columns = told.group_by("column", maintain_order=True).len()
        if told.height < SEVERAL:
            return None
        listed = "; ".join(f"{name}: {number_of(n)}" for name, n in columns.iter_rows())
        return Found(f"{listed} {what}.", pl.col(KIND) == rule)

    return find


_NULLS = r"(?i)^(?:null|[(<\[]null[)>\]]|\\N|#null#|none|nan|nil|undefined|n/a|<na>|nat)$"
_NARROW = r"^#{3,}$"
_FORMULA = r"^#(?:N/A|NAME\?|REF!|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|CALC!)$"


def _find_quoted_cells(file: JudgedFile) -> Found | None:
    told = file.of(file_rules.QUOTED_CELLS.id)
    if told.is_empty():
        return None
    wrong = [cells.like(r'^".*"$') for cells in file.wrong_cells(*_WRONG)]
    found = [cells for cells in wrong if len(cells)]
    explains = pl.col(KIND) == file_rules.QUOTED_CELLS.id
    if found:
        explains |= is_about(found, *_WRONG)
    records = file.reading.records
    quoted = 0
    if records is not None and file.feed is not None:
        begins = pl.col(list(file.feed.columns)).str.starts_with('"').sum()
        counts = [frame.select(begins).sum_horizontal().sum() for frame in frames_of(records)]
        quoted = sum(map(int, counts))
    return Found(
        f"{number_of(quoted)} in {number_of(file.lines, 'line')} begin with one.", explains
    )


def _find_names_in_one(file: JudgedFile) -> Found | None:
    """Names such as ``Last, First`` in one column, while the other one is blank."""
    records, feed = file.reading.records, file.feed
    if records is None or feed is None:
        return None
    names = [
        name for name, declared in feed.columns.items() if declared.pii and "name" in name.lower()
    ]
    blank = [name for name in names if file.filled.get(name) == 0]
    told = file.of(BLANK)["column"].to_list()
    due = [name for name in blank if name in told]
    for name in names:
        filled = records[name].drop_nulls()
        both = int(filled.str.contains(r"^\pL[^,]+, *\pL").sum())
        if due and filled.len() and are_most(both, filled.len()):
            return Found(
                f"{number_of(both)} of {name} have a comma between two names, and "
                f"{', '.join(due)} {'is' if len(due) == 1 else 'are'} blank in every line.",
                pl.col("column").is_in(due) & (pl.col(KIND) == BLANK),
            )
    return None


CAUSES = (
    Cause(
        id="CAUSE-QUOTED-CELLS",
        text="Every cell stands in quotation marks; in this file they are part of the value.",
        means="Names have the marks around them. Codes and dates were refused, and the lines with "
        "them where they are required.",
        shown_by="Nearly all lines begin with a quotation mark, in a file that has none.",
        fix="Export without quotation marks (text qualifier: none).",
        by_tool=by_tool(
            excel="Save As Text (Tab delimited); macros and scripts may set marks.",
            powerschool="Data Export Manager: no quotation marks around field values.",
            campus="Data Extract Utilities: no quotation marks around text.",
            sql="Export wizard: Text qualifier <none>; PowerShell: -UseQuotes Never.",
        ),
        kinds=(file_rules.QUOTED_CELLS.id,),
        find=_find_quoted_cells,
    ),
    Cause(
        id="CAUSE-NULL-WORDS",
        text="A database or a program wrote a word such as NULL where there is nothing.",
        means="In names and other text the word was loaded as it stands; in dates, numbers and "
        "codes it was refused.",
        shown_by="NULL, None, NaN, \\N and the like in several cells.",
        fix="Leave such cells blank.",
        by_tool=by_tool(
            sql="SQL: COALESCE(column, ''); SSMS: Save Results As writes NULL, use the export "
            "wizard; pandas: to_csv(na_rep='').",
        ),
        kinds=(file_rules.NULL_WORD.id, *_WRONG),
        least=2,
        find=_cells_like(_NULLS, "hold a word for nothing", file_rules.NULL_WORD.id, share=0.0),
    ),
    Cause(
        id="CAUSE-NARROW-COLUMNS",
        text="The spreadsheet's columns were too narrow, so it saved ##### in place of the values.",
        means="The values are lost in this file.",
        shown_by="Cells of number signs.",
        fix=AS_IT_COMES,
        by_tool=by_tool(
            excel="Select all, double-click the line between two column heads, and save again.",
        ),
        kinds=(file_rules.SPREADSHEET_ERROR.id, *_WRONG),
        least=2,
        find=_cells_like(_NARROW, "hold number signs", file_rules.SPREADSHEET_ERROR.id, share=0.0),
    ),
    Cause(
        id="CAUSE-FORMULA-ERRORS",
        text="Formulas of the spreadsheet failed, such as look-ups that found nothing (#N/A).",
        means="The error was loaded as text in names; codes and dates were refused.",
        shown_by="#N/A, #NAME?, #REF! and the like in several cells.",
        fix=AS_IT_COMES,
        by_tool=by_tool(excel='=IFERROR(formula,""), then copy and Paste Special, Values.'),
        kinds=(file_rules.SPREADSHEET_ERROR.id, *_WRONG),
        least=2,
        find=_cells_like(
            _FORMULA, "hold the error of a formula", file_rules.SPREADSHEET_ERROR.id, share=0.0
        ),
    ),
    Cause(
        id="CAUSE-ENCODED-TWICE",
        text="The file was read as Windows text and written as UTF-8 once more: each accented "
        "letter became two or three signs.",
        means="Names were loaded as they stand, and are wrong.",
        shown_by="Pairs of signs such as Ã with another one, in several cells.",
        fix="Where the file is read between your student system and us, open it as UTF-8.",
        by_tool=by_tool(
            excel="Data, From Text/CSV, File Origin 65001: Unicode (UTF-8), instead of a "
            "double-click on the file.",
            sql="bcp -C 65001 or BULK INSERT ... CODEPAGE = '65001' where the text is read.",
        ),
        kinds=(file_rules.ENCODED_TWICE.id,),
        least=2,
        find=_many_cells(file_rules.ENCODED_TWICE.id, "hold letters that were encoded twice"),
    ),
    Cause(
        id="CAUSE-ENTITIES",
        text="Letters were written as web pages write them, such as &eacute;.",
        means="Names were loaded as they stand, and are wrong.",
        shown_by="An ampersand, a name and a semicolon, in several cells.",
        fix="Export text, not HTML; correct names that are already kept so.",
        by_tool=by_tool(
            campus="Data Extract Utilities: file extension CSV or TXT, not HTML.",
            sql="FOR XML PATH('') escapes letters: add TYPE and .value('.', 'nvarchar(max)').",
        ),
        kinds=(file_rules.ENTITY.id,),
        least=2,
        find=_many_cells(file_rules.ENTITY.id, "hold letters as web pages write them"),
    ),
    Cause(
        id="CAUSE-LOST-LETTERS",
        text="Accented letters were lost in an earlier export or import, which knew ASCII only.",
        means="Names were loaded with a question mark in place of the letter.",
        shown_by="A question mark or replacement sign within names, in several cells.",
        fix="Export and import in UTF-8; correct names that are already kept so.",
        by_tool=by_tool(
            powerschool="Data Export Manager: character set UTF-8.",
            sql="Use nvarchar and N'...' literals; varchar turns unknown letters into ?.",
        ),
        kinds=(file_rules.LOST_LETTER.id,),
        least=2,
        find=_many_cells(file_rules.LOST_LETTER.id, "have a sign where a letter was"),
    ),
    Cause(
        id="CAUSE-NAMES-IN-ONE",
        text="Last and first name stand together in one column, and the other column is blank.",
        means="Where both names are required, no line could be loaded.",
        shown_by="A comma between two names in most cells of one column, and a blank column.",
        fix="Export last name and first name as columns of their own.",
        by_tool=by_tool(
            excel="Data, Text to Columns, Delimited, Comma.",
            aeries="STU.LN and STU.FN, not a name that is put together.",
            powerschool="Last_Name and First_Name, not LastFirst.",
            campus="student.lastName and student.firstName, not a name that is put together.",
        ),
        kinds=(BLANK,),
        least=2,
        find=_find_names_in_one,
    ),
)
