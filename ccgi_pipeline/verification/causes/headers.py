"""Causes that show in a file's first lines: how its columns are separated, named and headed.

Belongs here: what keeps a header from being read, if the file is text. Does not belong here: files
that are no text (contents), the lines below a header that was read (lines).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.feeds.columns import Column, ColumnType
from ccgi_pipeline.feeds.registry import FEEDS
from ccgi_pipeline.feeds.spec import FeedSpec, fold
from ccgi_pipeline.verification.causes.declaration import Cause, Found, by_tool
from ccgi_pipeline.verification.causes.judged_file import (
    KIND,
    SEVERAL,
    JudgedFile,
    are_most,
    number_of,
)
from ccgi_pipeline.verification.causes.known_exports import KNOWN_EXPORTS
from ccgi_pipeline.verification.causes.rule_kinds import SEPARATOR

_OF_HEADERS = (
    file_rules.HEADER.id,
    file_rules.UNRECOGNISED.id,
    file_rules.COLUMN_MISSING.id,
)
_ALL_OF_HEADERS = (
    *_OF_HEADERS,
    file_rules.COLUMN_ABSENT.id,
    file_rules.COLUMN_UNKNOWN.id,
    file_rules.EXTRA_CELLS.id,
)
_EXPLAINS = pl.col(KIND).is_in(_ALL_OF_HEADERS)
_SEPARATOR_EXPLAINS = pl.col(KIND).is_in([*_ALL_OF_HEADERS, SEPARATOR])
_NO_HEADER_READ = "The column names could not be read, so nothing of the file was loaded."
_MOST = 0.6
"""The share of a feed's columns that a line must name to be taken for its header."""
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars", "^": "carets"}
_TITLE_LINES = 20


def _split(line: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=separator, strict=True), [])
    except csv.Error:
        cells = line.split(separator)
    return [cell.strip('" \ufeff\t') for cell in cells]


@dataclass(frozen=True, slots=True)
class _Fit:
    """How many of a line's cells name columns of a feed."""

    feed: FeedSpec
    named: int
    share: float


def _fit(cells: Sequence[str], feeds: Sequence[FeedSpec]) -> _Fit | None:
    """Returns the feed of which ``cells`` name the largest share of columns."""
    folded = {fold(cell) for cell in cells} - {""}
    best: _Fit | None = None
    for feed in feeds:
        names = {
            feed.columns_by_folded_name[f].name for f in folded & feed.columns_by_folded_name.keys()
        }
        wide = max(1, len(feed.columns) + len(folded) - len(names))
        fit = _Fit(feed, len(names), len(names) / wide)
        if len(names) > 1 and (best is None or fit.share > best.share):
            best = fit
    return best


def _feeds_of(file: JudgedFile) -> Sequence[FeedSpec]:
    return [file.feed] if file.feed else FEEDS


def _first(file: JudgedFile) -> str:
    return file.text[0] if file.text else ""


def _separated_by(separator: str) -> Callable[[JudgedFile], Found | None]:
    """Returns a search for files that are separated by ``separator``, and should not be."""

    def find(file: JudgedFile) -> Found | None:
        first = _first(file)
        cells = _split(first, separator)
        if len(cells) < len(first.split()) and len(cells) == 1:
            return None
        fit = _fit(cells, _feeds_of(file))
        if fit is None or fit.share < _MOST / 2 or separator == fit.feed.separators[0]:
            return None
        if separator in fit.feed.separators and not file.has(SEPARATOR):
            return None
        right = _NAMES[fit.feed.separators[0]]
        lines = [len(_split(line, separator)) == len(cells) for line in file.text[1:]]
        alike = f"; {sum(lines):,} of the next {len(lines):,} lines have as many cells"
        return Found(
            f"Split at {_NAMES[separator]}, line 1 names {fit.named} columns of {fit.feed.title}"
            f"{alike if len(lines) > 1 else ''}. The file's columns are due with {right}.",
            _SEPARATOR_EXPLAINS,
        )

    return find


def _find_fixed_width(file: JudgedFile) -> Found | None:
    first = _first(file)
    if any(mark in first for mark in _NAMES):
        return None
    cells = re.split(r" {2,}|(?<=\S) (?=\S)", first.strip())
    fit = _fit(cells, _feeds_of(file))
    if fit is None or fit.share < _MOST:
        return None
    widths = {len(line.rstrip("\r")) for line in file.text[:50]}
    return Found(
        f"Line 1 names {fit.named} columns with blanks between them; the first lines have "
        f"{number_of(len(widths), 'width')}.",
        _EXPLAINS,
    )


def _find_lines_in_quotes(file: JudgedFile) -> Found | None:
    first = _first(file).strip("\ufeff\r ")
    inner = re.fullmatch(r'"(.*)"[,;\t]*', first)
    if inner is None:
        return None
    for separator in _NAMES:
        fit = _fit(_split(inner[1].replace('""', '"'), separator), _feeds_of(file))
        if fit and fit.share >= _MOST and len(_split(first, separator)) <= 1 + first.count('"'):
            whole = [
                line.startswith('"') and line.rstrip("\r,;").endswith('"') for line in file.text
            ]
            if len(next(csv.reader([first]))[0].split(separator)) < fit.named:
                return None
            return Found(
                f"{sum(whole):,} of the first {number_of(len(whole), 'line')} are one cell in "
                f"quotation marks; within them are {fit.named} columns.",
                _EXPLAINS,
            )
    return None


def _find_title_lines(file: JudgedFile) -> Found | None:
    for number, line in enumerate(file.text[1:_TITLE_LINES], start=2):
        for separator in _NAMES:
            fit = _fit(_split(line, separator), _feeds_of(file))
            if fit and fit.share >= _MOST and separator in fit.feed.separators:
                above = number_of(number - 1, "line")
                stand = "stands" if number == SEVERAL else "stand"
                return Found(
                    f"The column names are in line {number}, below blank lines, if any; {above} "
                    f"{stand} above them.",
                    _EXPLAINS,
                )
    return None


def _find_other_feed(file: JudgedFile) -> Found | None:
    if file.feed is None:
        return None
    first = _first(file)
    for separator in _NAMES:
        cells = _split(first, separator)
        fit = _fit(cells, FEEDS)
        own = _fit(cells, [file.feed])
        if fit and fit.share >= _MOST and fit.share > (own.share if own else 0):
            return Found(
                f"Line 1 names {fit.named} columns of {fit.feed.title}, "
                f"and {own.named if own else 0} of {file.feed.title}.",
                _EXPLAINS,
            )
    return None


def _find_known_export(file: JudgedFile) -> Found | None:
    first = _first(file)
    for separator in _NAMES:
        folded = {fold(cell) for cell in _split(first, separator)}
        for export in KNOWN_EXPORTS:
            marks = folded & export.marks
            if len(marks) >= export.least:
                return Found(f"Line 1 has {len(marks)} column names of {export.title}.", _EXPLAINS)
    return None


def _find_foreign(file: JudgedFile) -> Found | None:
    feed = file.feed
    if feed is None or feed.headers is None:
        return None
    told = file.of(feed.headers.foreign.id)
    if told.is_empty():
        return None
    kinds = (
        *_ALL_OF_HEADERS,
        feed.headers.foreign.id,
        feed.headers.renamed.id,
        feed.headers.case.id,
    )
    return Found("The header has names that only School Data Sync uses.", pl.col(KIND).is_in(kinds))


def _find_old_version(file: JudgedFile) -> Found | None:
    if file.feed is None or file.feed.headers is None:
        return None
    told = file.of(file.feed.headers.renamed.id)
    if told.is_empty():
        return None
    return Found(
        "Columns with the name that they had in an older version: "
        f"{', '.join(told['column'].drop_nulls().unique().sort())}.",
        pl.col(KIND) == file.feed.headers.renamed.id,
    )


_FORMS = {
    ColumnType.DATE: r"[0-9]{1,4}[-/][0-9]{1,2}[-/][0-9]{1,4}",
    ColumnType.TIMESTAMP: r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*",
    ColumnType.INTEGER: r"-?[0-9]+",
    ColumnType.YEAR: r"[0-9]{4}",
    ColumnType.DECIMAL: r"-?[0-9]*\.?[0-9]+",
}


def _is_value_of(declared: Column, pattern: str | None, cell: str) -> bool | None:
    """Returns whether ``cell`` is a value of the column; None where any text is one."""
    if pattern is not None:
        return re.search(pattern, cell) is not None
    if declared.codes is not None:
        return cell in declared.codes.values
    if declared.type is ColumnType.BOOLEAN:
        return cell.upper() in (*declared.true_values, *declared.false_values)
    form = _FORMS.get(declared.type)
    return None if form is None else re.fullmatch(form, cell) is not None


def _find_no_header(file: JudgedFile) -> Found | None:
    feed = file.feed
    if feed is None:
        return None
    for separator in feed.separators:
        cells = _split(_first(file).rstrip("\r"), separator)
        if not len(feed.columns) * _MOST <= len(cells) <= len(feed.columns) + 1:
            continue
        answers = []
        for (name, declared), cell in zip(feed.columns.items(), cells, strict=False):
            checks = {check.name: check.statistics for check in feed.schema.columns[name].checks}
            pattern = checks.get("str_matches", {}).get("pattern")
            if cell:
                answers.append(_is_value_of(declared, pattern, cell))
        judged = [answer for answer in answers if answer is not None]
        if _fit(cells, [feed]) is not None:
            continue
        if are_most(sum(judged), len(judged)):
            return Found(
                f"Line 1 has {number_of(len(cells))}; {sum(judged)} of the {len(judged)} whose "
                "form can be told are values of the columns that are due in their places.",
                _EXPLAINS,
            )
        with_digits = sum(any(map(str.isdigit, cell)) for cell in cells)
        if len(cells) == len(feed.columns) and 2 * with_digits > sum(map(bool, cells)):
            return Found(
                f"Line 1 has as many cells as the file has columns, {len(cells)}, and digits in "
                f"{with_digits} of them, as no column names have.",
                _EXPLAINS,
            )
    return None


def _find_other_names(file: JudgedFile) -> Found | None:
    feed = file.feed
    if feed is None:
        return None
    for separator in feed.separators:
        cells = [cell for cell in _split(_first(file), separator) if cell]
        if len(cells) < max(2, len(feed.columns) // 3):
            continue
        if any(re.fullmatch(r"[-0-9./: ]+", cell) for cell in cells):
            continue  # a line with numbers is none of names
        named = sum(fold(cell) in feed.columns_by_folded_name for cell in cells)
        missing = sum(
            declared.requirement == "required"
            and not any(feed.columns_by_folded_name.get(fold(cell)) is declared for cell in cells)
            for declared in feed.columns.values()
        )
        if missing and len(cells) > named:
            return Found(
                f"Line 1 has {number_of(len(cells), 'column name')}, {named} of them known; the "
                f"number of required ones that are missing is {missing}.",
                _EXPLAINS,
            )
    return None


_FOREIGN = tuple(
    dict.fromkeys(feed.headers.foreign.id for feed in FEEDS if feed.headers is not None)
)


def _separator_cause(mark: str, name: str, text: str, **tools: str) -> Cause:
    return Cause(
        id=f"CAUSE-{name}",
        text=text,
        means="If the file may have no such separator, its column names could not be read, and "
        "nothing of it was loaded.",
        shown_by=f"Split at {_NAMES[mark]}, line 1 holds the column names.",
        fix="Export again with the separator that the data dictionary names for this file.",
        by_tool=by_tool(**tools),
        kinds=(*_OF_HEADERS, SEPARATOR),
        find=_separated_by(mark),
    )


CAUSES = (
    Cause(
        id="CAUSE-SCHOOL-DATA-SYNC",
        text="These files were made for Microsoft School Data Sync, not as OneRoster.",
        means="Nothing of the file was loaded: the same file names mean other columns there.",
        shown_by="Column names that only School Data Sync has.",
        fix="Export OneRoster 1.1 or 1.2 as CSV.",
        by_tool=by_tool(
            powerschool="Choose the OneRoster CSV export, not the one for School Data Sync.",
            campus="OneRoster Extract, not the Microsoft School Data Sync one.",
        ),
        kinds=_FOREIGN,
        find=_find_foreign,
    ),
    Cause(
        id="CAUSE-OLD-VERSION",
        text="The file was written by an older version of OneRoster than the set is of.",
        means="The columns were read under their names of today.",
        shown_by="Column names that only the older version has.",
        fix="Choose OneRoster 1.1 or 1.2 for all files of the set.",
        by_tool=by_tool(
            aeries="Look at the version of OneRoster that is chosen for the export.",
            powerschool="Look at the version of the OneRoster plugin or export template.",
            campus="OneRoster Extract: choose version 1.1 or 1.2.",
        ),
        kinds=tuple(
            dict.fromkeys(feed.headers.renamed.id for feed in FEEDS if feed.headers is not None)
        ),
        find=_find_old_version,
    ),
    _separator_cause(
        ";",
        "SEMICOLONS",
        "The columns are separated by semicolons, as Excel writes them on a computer that is set "
        "to another region.",
        excel="Windows Settings, Region, Additional settings: set List separator to a comma, then "
        "Save As CSV UTF-8 again. Better: send the file as your student system makes it.",
        powerschool="Data Export Manager: field delimiter comma (or tab, where it is due).",
        campus="Data Extract Utilities: column delimiter comma (or tab, where it is due).",
        sql='sqlcmd -s "," -W; bcp -t ","; export wizard: column delimiter.',
    ),
    _separator_cause(
        "\t",
        "TABS",
        "The columns are separated by tabs, where this file has commas.",
        excel="Save As CSV UTF-8 (Comma delimited), not Text (Tab delimited) or Unicode Text.",
        powerschool="Data Export Manager: field delimiter comma.",
        campus="Data Extract Utilities: column delimiter comma.",
        sql='bcp -t ","; export wizard: column delimiter comma, text qualifier ".',
    ),
    _separator_cause(
        "|",
        "PIPES",
        "The columns are separated by vertical bars (pipes).",
        excel="Excel does not write these by itself; look at the program that made the file.",
        powerschool="Data Export Manager: field delimiter comma (or tab, where it is due).",
        campus="Data Extract Utilities: column delimiter comma (or tab, where it is due).",
        sql="psql: \\copy (...) to 'file' csv header; sqlcmd -s \",\" -W; bcp -t.",
    ),
    _separator_cause(
        "^",
        "CARETS",
        "The columns are separated by carets (^), as CALPADS has them, where this file has none.",
        campus="Choose the format with tabs (or commas, where they are due), not the caret one.",
        sql='bcp -t "\\t"; export wizard: column delimiter tab.',
    ),
    _separator_cause(
        ",",
        "COMMAS",
        "The columns are separated by commas, where this file has tabs.",
        excel="Save As Text (Tab delimited).",
        powerschool="Data Export Manager: field delimiter tab.",
        campus="Data Extract Utilities: column delimiter tab, file extension TXT.",
        sql="bcp -c (tabs are its own separator); export wizard: column delimiter tab, text "
        "qualifier none.",
    ),
    Cause(
        id="CAUSE-FIXED-WIDTH",
        text="The columns are filled up with blanks to a fixed width, as a screen shows them.",
        means=_NO_HEADER_READ,
        shown_by="Line 1 holds the column names with blanks between them and no separator.",
        fix="Export with separators.",
        by_tool=by_tool(
            excel="Save As CSV UTF-8, not Formatted Text (Space delimited).",
            sql='sqlcmd -s "," -W; SQL*Plus: SET MARKUP CSV ON; psql: \\copy ... csv header.',
        ),
        kinds=_OF_HEADERS,
        find=_find_fixed_width,
    ),
    Cause(
        id="CAUSE-LINES-IN-QUOTES",
        text="Each line stands as a whole in one pair of quotation marks, so that it is one cell.",
        means=_NO_HEADER_READ,
        shown_by="Within the marks are the column names.",
        fix="Send the file from before it was opened: a text with commas was saved as one column.",
        by_tool=by_tool(
            excel="Data, From Text/CSV with the comma as delimiter splits the lines; do not double-"
            "click a file that shows everything in column A.",
            sql="Quote cells, not lines.",
        ),
        kinds=_OF_HEADERS,
        find=_find_lines_in_quotes,
    ),
    Cause(
        id="CAUSE-TITLE-LINES",
        text="A report's title stands above the column names.",
        means=_NO_HEADER_READ,
        shown_by="The column names are found in one of the first lines, but not in the first.",
        fix="Leave out titles, dates and blank rows above the column names.",
        by_tool=by_tool(
            excel="Delete the rows above the column names before saving.",
            aeries="Use an extract or a query without a report title.",
            powerschool="Use Data Export Manager, not a printed report.",
            campus="Ad Hoc reporting: Data Export without report headers.",
            sql="SET NOCOUNT ON, and no PRINT or USE before the query.",
        ),
        kinds=_OF_HEADERS,
        find=_find_title_lines,
    ),
    Cause(
        id="CAUSE-OTHER-FILE",
        text="These are the columns of another file: it has the wrong name, or the wrong export "
        "was chosen.",
        means="Nothing of the file was loaded.",
        shown_by="Line 1 names most columns of another file that CCGI knows.",
        fix="Give the file the name of what is in it, or choose the right export.",
        kinds=_OF_HEADERS,
        find=_find_other_feed,
    ),
    Cause(
        id="CAUSE-OTHER-EXPORT",
        text="These are the columns of an export that was made for somebody else.",
        means="Nothing of the file was loaded.",
        shown_by="Line 1 has column names of CALPADS, Clever, a grade book or an attendance list.",
        fix="Choose the export for CCGI.",
        by_tool=by_tool(
            aeries="Use the CCGI extract.",
            powerschool="State Reports: the CCGI files.",
            campus="California reporting: the CCGI extracts.",
        ),
        kinds=_OF_HEADERS,
        find=_find_known_export,
    ),
    Cause(
        id="CAUSE-NO-HEADER",
        text="The line with the column names is missing: the file begins with data.",
        means="Which cell is what could not be told, so nothing of the file was loaded.",
        shown_by="The cells of line 1 are values of the columns that are due in their places.",
        fix="Send the column names in line 1.",
        by_tool=by_tool(
            powerschool="Data Export Manager: tick Include Column Headers.",
            campus="Data Extract Utilities: include the header.",
            sql="bcp writes no header: use the export wizard with Column names in the first data "
            "row, sqlcmd without -h -1, or psql \\copy ... csv header.",
        ),
        kinds=_OF_HEADERS,
        names_help=True,
        find=_find_no_header,
    ),
    Cause(
        id="CAUSE-COLUMN-NAMES",
        text="The columns have other names than the specification gives them.",
        means="Required columns could not be found, so nothing of the file was loaded.",
        shown_by="Line 1 has names, some of which are unknown while required ones are missing.",
        fix="Name the columns as the data dictionary lists them; their order is free.",
        by_tool=by_tool(
            aeries="Use the CCGI extract; a query has its own headings unless each field is "
            "followed by its name.",
            powerschool="Data Export Manager: type the name into Labels Used on Export.",
            campus="Ad Hoc reporting: Output Formatting, column header.",
            sql="SELECT ... AS StateID, with the names of the data dictionary.",
        ),
        kinds=(file_rules.HEADER.id, file_rules.COLUMN_MISSING.id),
        names_help=True,
        find=_find_other_names,
    ),
)
