"""Causes that show in codes and numbers: what a spreadsheet, a program or a person made of them.

Belongs here: cells of columns that have a form or a list of codes. Does not belong here: dates
(dates), words that stand in any column (words).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import polars as pl

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.spec import FeedSpec
from ccgi_pipeline.verification.causes.declaration import (
    AS_IT_COMES,
    AS_TEXT_IN_EXCEL,
    Cause,
    Found,
    by_tool,
)
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
from ccgi_pipeline.verification.causes.rule_kinds import CODE, FORM, LENGTH, OTHER_DISTRICT

_WRONG = (FORM, CODE, LENGTH)
_LEFT_OUT = (
    "A value was loaded only where its meaning is certain. Otherwise it was left out, and the "
    "line too where the column is required."
)


def digits_of(feed: FeedSpec | None, column: Column) -> int | None:
    """Returns how many digits the column's codes have, if each has that many and nothing else."""
    if feed is None:
        return None
    for check in feed.schema.columns[column.name].checks:
        pattern = (check.statistics or {}).get("pattern")
        found = re.fullmatch(r"\^\(\?:\[0-9\]\{([0-9]+)\}\)\$", str(pattern))
        if found:
            return int(found[1])
    return None


def _most_like(
    file: JudgedFile, condition: Callable[[WrongCells], pl.Expr | None], *kinds: str
) -> list[WrongCells]:
    """Returns by column the cells for which ``condition`` is true, if most wrong ones are so."""
    found = []
    for wrong in file.wrong_cells(*kinds):
        expected = condition(wrong)
        if expected is not None and are_most(len(like := wrong.where(expected)), len(wrong)):
            found.append(like)
    return found


def _found(found: Iterable[WrongCells], words: str, *kinds: str) -> Found | None:
    several = list(found)
    if not several:
        return None
    return Found(f"{counts_by_column(several)} {words}.", is_about(several, *kinds))


def _matching(pattern: str) -> Callable[[WrongCells], pl.Expr]:
    return lambda _: pl.col("cell").str.contains(pattern)


def _find_lost_zeros(file: JudgedFile) -> Found | None:
    told, found = [], []
    for wrong in file.wrong_cells(*_WRONG):
        digits = digits_of(file.feed, wrong.column)
        codes = wrong.column.codes
        if digits is not None:
            lost = pl.col("cell").str.contains(f"^[1-9][0-9]{{{digits - 2}}}$")
        elif codes is not None:
            lost = ("0" + pl.col("cell")).is_in(codes.values)
        else:
            continue
        like = wrong.where(lost)
        if are_most(len(like), len(wrong)):
            found.append(like)
            due = f"{digits - 1} digits in place of {digits}" if digits else "a 0 less than a code"
            told.append(f"{wrong.column.name}: {number_of(len(like))} with {due}")
    if not found:
        return None
    return Found(f"{'; '.join(told)}.", is_about(found, *_WRONG))


def _find_short_school_codes(file: JudgedFile) -> Found | None:
    def is_part(wrong: WrongCells) -> pl.Expr | None:
        if digits_of(file.feed, wrong.column) != _CDS:
            return None
        return pl.col("cell").str.contains("^[0-9]{6,7}$")

    return _found(_most_like(file, is_part, FORM), "with 6 or 7 digits in place of 14", FORM)


_CDS = 14


def _find_school_for_district(file: JudgedFile) -> Found | None:
    def is_school(wrong: WrongCells) -> pl.Expr | None:
        if digits_of(file.feed, wrong.column) != _CDS // 2:
            return None
        return pl.col("cell").str.contains("^[0-9]{14}$")

    return _found(_most_like(file, is_school, FORM), "with 14 digits in place of 7", FORM)


def _find_punctuation(file: JudgedFile) -> Found | None:
    def is_grouped(wrong: WrongCells) -> pl.Expr | None:
        digits = digits_of(file.feed, wrong.column)
        if digits is None:
            return None
        bare = pl.col("cell").str.replace_all(r"[-. /_,]", "")
        return bare.str.contains(f"^[0-9]{{{digits}}}$")

    return _found(
        _most_like(file, is_grouped, FORM), "have all their digits, with signs between them", FORM
    )


def _find_decimals(file: JudgedFile) -> Found | None:
    def is_decimal(wrong: WrongCells) -> pl.Expr | None:
        is_whole = wrong.column.type in {ColumnType.STRING, ColumnType.INTEGER, ColumnType.YEAR}
        return pl.col("cell").str.contains(r"^[0-9]+\.0+$") if is_whole else None

    return _found(_most_like(file, is_decimal, *_WRONG), "end in .0", *_WRONG)


_POWER = r"^-?[0-9](?:[.,][0-9]+)?[Ee]\+?[0-9]{1,3}$"


def _find_powers(file: JudgedFile) -> Found | None:
    kinds = (FORM, LENGTH, CODE, file_rules.POWER_OF_TEN.id)
    found = _most_like(file, _matching(_POWER), *kinds)
    return _found(found, "are powers of ten, such as a spreadsheet shows", *kinds)


def _find_text_marks(file: JudgedFile) -> Found | None:
    found = _most_like(file, _matching(r"""^(?:="|='?|['`"\x{2018}\x{2019}]).+$"""), *_WRONG)
    return _found(found, "begin with an apostrophe, or are formulas of text", *_WRONG)


def _find_local_ids(file: JudgedFile) -> Found | None:
    feed = file.feed
    if feed is None or feed.ssid is None:
        return None
    ssid = feed.ssid

    def is_short(wrong: WrongCells) -> pl.Expr | None:
        if wrong.column.name != ssid:
            return None
        return pl.col("cell").str.contains("^[0-9]{3,8}$")

    return _found(_most_like(file, is_short, FORM), "with 3 to 8 digits in place of 10", FORM)


def _find_cut_codes(file: JudgedFile) -> Found | None:
    found, told = [], []
    for wrong in file.wrong_cells(FORM):
        digits = digits_of(file.feed, wrong.column)
        lengths = wrong.cells["cell"].str.len_chars()
        if digits is None or lengths.is_empty():
            continue
        common = lengths.mode().sort().item(0)
        cut = wrong.where(
            (pl.col("cell").str.len_chars() == common) & pl.col("cell").str.contains("^[0-9]+$")
        )
        # As many digits as a field of that length holds, and none of the other causes' lengths.
        if common < digits and are_most(len(cut), len(wrong)):
            found.append(cut)
            told.append(f"{wrong.column.name}: {number_of(len(cut))} with exactly {common} digits")
    if not found:
        return None
    return Found(f"{'; '.join(told)}.", is_about(found, FORM))


def _find_descriptions(file: JudgedFile) -> Found | None:
    def is_name(wrong: WrongCells) -> pl.Expr | None:
        if wrong.column.codes is None:
            return None
        names = {code.name.lower() for code in wrong.column.codes.codes} | _WORDS
        cell = pl.col("cell").str.to_lowercase()
        begins = cell.str.contains(r"^[0-9a-z]{1,4} ?[-:.=] ?[a-z]{3}")
        return cell.is_in(names) | begins | cell.str.contains(r"^[a-z][a-z ,/'()-]{4,}$")

    return _found(_most_like(file, is_name, *_WRONG), "hold words in place of codes", *_WRONG)


_WORDS = {
    *("male", "female", "boy", "girl", "white", "black", "asian", "hispanic", "latino", "yes"),
    *("no", "freshman", "sophomore", "junior", "senior", "english", "spanish"),
}


def _find_grade_words(file: JudgedFile) -> Found | None:
    found = _most_like(
        file,
        _matching(r"(?i)^(?:grade ?)?[0-9]{1,2}(?:st|nd|rd|th)(?: grade)?$|^grade ?[0-9]+$"),
        CODE,
    )
    return _found(found, "are grades as one speaks of them, such as 9th", CODE)


def _find_decimal_commas(file: JudgedFile) -> Found | None:
    def is_comma(wrong: WrongCells) -> pl.Expr | None:
        if wrong.column.type is not ColumnType.DECIMAL:
            return None
        return pl.col("cell").str.contains("^-?[0-9]+,[0-9]+$")

    return _found(_most_like(file, is_comma, FORM), "have a comma in place of the point", FORM)


def _find_check_marks(file: JudgedFile) -> Found | None:
    def is_mark(wrong: WrongCells) -> pl.Expr | None:
        if wrong.column.type is not ColumnType.BOOLEAN:
            return None
        return pl.col("cell").str.contains(r"^(?i:x|t|f|on|off|checked|unchecked|-1|✓|✔|☑)$")

    return _found(_most_like(file, is_mark, FORM), "hold a mark in place of Y or N", FORM)


def _find_other_district(file: JudgedFile) -> Found | None:
    told = file.of(OTHER_DISTRICT)
    records = file.reading.records
    if records is None or told.height < max(SEVERAL, _NEARLY_ALL * file.lines):
        return None
    column = told.item(0, "column")
    codes = records.filter(pl.col("_line").is_in(told["line"].implode()))[column]
    districts = codes.str.head(_CDS // 2).n_unique()
    whose = "one and the same other district" if districts == 1 else f"{districts} districts"
    return Found(
        f"{number_of(told.height, 'line')} of {file.lines:,} have a code of {whose} in {column}.",
        pl.col(KIND) == OTHER_DISTRICT,
    )


_NEARLY_ALL = 0.9

CAUSES = (
    Cause(
        id="CAUSE-POWERS-OF-TEN",
        text="A spreadsheet turned long numbers into powers of ten, such as 1.23E+13: their last "
        "digits are lost for good.",
        means="A code that is a power of ten is not loaded; in other columns it stands as it was "
        "sent, and is wrong.",
        shown_by="Cells such as 1.23E+13 in columns of codes and ids.",
        fix=AS_IT_COMES,
        by_tool=by_tool(
            excel=AS_TEXT_IN_EXCEL,
            sql="Of a column of type float: CAST(CAST(column AS decimal(14,0)) AS varchar(14)).",
        ),
        kinds=(FORM, LENGTH, CODE, file_rules.POWER_OF_TEN.id),
        least=2,
        find=_find_powers,
    ),
    Cause(
        id="CAUSE-TEXT-MARKS",
        text='A spreadsheet\'s marks for text, such as an apostrophe or ="...", came along with '
        "the codes.",
        means=_LEFT_OUT,
        shown_by="Codes that begin with an apostrophe or an equals sign.",
        fix="Write the codes alone.",
        by_tool=by_tool(
            excel="Give the column the format Text instead of typing apostrophes or formulas.",
            sql="Take ='\"' + ... + '\"' out of the query.",
        ),
        kinds=_WRONG,
        least=2,
        find=_find_text_marks,
    ),
    Cause(
        id="CAUSE-DECIMALS",
        text="A program took the codes for decimal numbers, and wrote .0 behind them.",
        means=_LEFT_OUT,
        shown_by="Codes that end in .0.",
        fix="Export the columns as text.",
        by_tool=by_tool(
            excel="Give the column the format Text.",
            sql="SQL: CAST(CAST(column AS decimal(14,0)) AS varchar(14)); pandas: "
            "read_csv(dtype=str).",
        ),
        kinds=_WRONG,
        least=2,
        find=_find_decimals,
    ),
    Cause(
        id="CAUSE-LEADING-ZERO",
        text="A spreadsheet or a program took the codes for numbers, and left out the leading "
        "zero.",
        means=_LEFT_OUT,
        shown_by="Codes with one digit less than they have, such as 13 in place of 14.",
        fix=AS_IT_COMES,
        by_tool=by_tool(
            excel=AS_TEXT_IN_EXCEL,
            aeries="Use the CCGI extract's own file; in a query, codes keep their zeros as text.",
            powerschool="Send the report's own file. Map text fields, not numeric ones.",
            campus="Data Extract Utilities sends the file without a spreadsheet in between.",
            sql="Keep codes as text: RIGHT('00000000000000' + column, 14) mends a CDS code.",
        ),
        kinds=_WRONG,
        least=2,
        find=_find_lost_zeros,
    ),
    Cause(
        id="CAUSE-SCHOOL-CODES",
        text="School codes were sent without their county and district code in front.",
        means=_LEFT_OUT,
        shown_by="CDS codes with 6 or 7 digits in place of 14.",
        fix="Put the county code (2 digits) and district code (5 digits) in front of the school "
        "code (7 digits).",
        by_tool=by_tool(
            powerschool="Use the school's full CDS code, not its alternate school number.",
            campus="Use the state school number together with the district's number.",
            sql="county + district + RIGHT('0000000' + school, 7).",
        ),
        kinds=(FORM,),
        least=2,
        find=_find_short_school_codes,
    ),
    Cause(
        id="CAUSE-SCHOOL-FOR-DISTRICT",
        text="The code of the school was sent where the code of the district is due.",
        means=_LEFT_OUT,
        shown_by="Codes with 14 digits in place of 7.",
        fix="Send the first 7 digits of the CDS code.",
        by_tool=by_tool(sql="LEFT(cds_code, 7)."),
        kinds=(FORM,),
        least=2,
        find=_find_school_for_district,
    ),
    Cause(
        id="CAUSE-CODE-SIGNS",
        text="Codes were written with hyphens or blanks between their parts, to be read by people.",
        means=_LEFT_OUT,
        shown_by="Codes with all their digits and other signs between them.",
        fix="Write the digits alone.",
        by_tool=by_tool(
            excel="Set the column's format to Text; a special format with hyphens is saved too.",
            sql="REPLACE(column, '-', '').",
        ),
        kinds=(FORM,),
        least=2,
        find=_find_punctuation,
    ),
    Cause(
        id="CAUSE-LOCAL-IDS",
        text="The district's own student numbers were sent in place of the statewide SSID.",
        means="Lines whose SSID is required were not loaded.",
        shown_by="Numbers with 3 to 8 digits where an SSID with 10 is due.",
        fix="Export the statewide student identifier (SSID) into this column.",
        by_tool=by_tool(
            aeries="STU.CID is the SSID, STU.ID the local number.",
            powerschool="State_StudentNumber is the SSID, Student_Number the local number.",
            campus="student.stateID is the SSID, student.studentNumber the local number.",
        ),
        kinds=(FORM,),
        least=2,
        find=_find_local_ids,
    ),
    Cause(
        id="CAUSE-CUT-CODES",
        text="Codes were cut off at a fixed length, by a field of the export that is too short.",
        means=_LEFT_OUT,
        shown_by="Most wrong codes have one and the same number of digits, and too few.",
        fix="Make the export's field as long as the data dictionary says.",
        by_tool=by_tool(sql="CAST(... AS varchar(14)): varchar without a length cuts silently."),
        kinds=(FORM,),
        least=2,
        find=_find_cut_codes,
    ),
    Cause(
        id="CAUSE-GRADE-WORDS",
        text="Grades were written as one speaks of them, such as 9th or Grade 9.",
        means=_LEFT_OUT,
        shown_by="Grades with st, nd, rd or th behind the number, or the word Grade in front.",
        fix="Send the code of the grade, such as 09.",
        by_tool=by_tool(sql="RIGHT('0' + grade, 2)."),
        kinds=(CODE,),
        least=2,
        find=_find_grade_words,
    ),
    Cause(
        id="CAUSE-DESCRIPTIONS",
        text="The codes' descriptions were sent in place of the codes, such as Male for M.",
        means=_LEFT_OUT,
        shown_by="Words, or a code together with its meaning, in a column of codes.",
        fix="Export the code and not its description.",
        by_tool=by_tool(
            aeries="In queries leave out the question mark that turns a code into its description.",
            powerschool="Export the field itself, not the value that the page shows.",
            campus="Ad Hoc reporting: choose the field for the code, not the one for its name.",
            sql="Select the code column; leave out the join with the table of descriptions.",
        ),
        kinds=_WRONG,
        least=2,
        find=_find_descriptions,
    ),
    Cause(
        id="CAUSE-DECIMAL-COMMAS",
        text="Numbers have a comma in place of the decimal point, as other regions write them.",
        means=_LEFT_OUT,
        shown_by="Cells such as 3,85 in columns of numbers.",
        fix="Write a point.",
        by_tool=by_tool(
            excel="Windows Settings, Region, Additional settings: set Decimal symbol to a point.",
        ),
        kinds=(FORM,),
        least=2,
        find=_find_decimal_commas,
    ),
    Cause(
        id="CAUSE-CHECK-MARKS",
        text="Yes and no were written as marks, such as X or T.",
        means=_LEFT_OUT,
        shown_by="X, T, F, on, off, -1 or a tick in a column of yes and no.",
        fix="Write Y and N.",
        by_tool=by_tool(
            excel='=IF(cell="X","Y","N").',
            sql="CASE WHEN column = 'X' THEN 'Y' ELSE 'N' END.",
        ),
        kinds=(FORM,),
        least=2,
        find=_find_check_marks,
    ),
    Cause(
        id="CAUSE-OTHER-DISTRICT",
        text="This is another district's file, or it was put into another district's folder.",
        means="A district can send its own schools and students only; such lines were not loaded.",
        shown_by="Nearly all lines have a code of a district that is not the sender.",
        fix="Send the file from the account of its own district. If you send for several "
        "districts, make one file for each.",
        by_tool=by_tool(
            aeries="Look which district's database was open.",
            powerschool="Look which school or district is chosen in the context bar.",
            campus="Look which district is chosen in the toolbar.",
        ),
        kinds=(OTHER_DISTRICT,),
        least=2,
        find=_find_other_district,
    ),
)
