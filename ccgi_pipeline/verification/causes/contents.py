"""Causes that show in a file's first bytes: it is another thing than a file of text.

Belongs here: what a file is by its first bytes, if it is no table of text at all; its encoding.
Does not belong here: a text whose columns are separated or named in another way (headers).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable

import polars as pl

from ccgi_pipeline.encryption.openpgp import BEGINNING, Form, detect_form
from ccgi_pipeline.feeds import file_rules
from ccgi_pipeline.intake.encodings import decode
from ccgi_pipeline.verification.causes.declaration import AS_IT_COMES, Cause, Found, by_tool
from ccgi_pipeline.verification.causes.judged_file import (
    KIND,
    JudgedFile,
    number_of,
)

_UNREAD = (
    file_rules.ENCODING.id,
    file_rules.EMPTY.id,
    file_rules.HEADER.id,
    file_rules.UNRECOGNISED.id,
    file_rules.COLUMN_MISSING.id,
)
"""Rules that a file breaks of which nothing can be read."""
_EVERYTHING = pl.col("rule").str.starts_with("FILE-")
"""All that is wrong with the file itself; not what its package lacks."""
_NOTHING_READ = "Nothing of the file could be read, so nothing of it was loaded."
_FIRST_BYTES = "The first bytes of the file."


def _begins(*marks: bytes) -> Callable[[JudgedFile], bool]:
    return lambda file: file.beginning.startswith(marks)


def _matches(pattern: bytes) -> Callable[[JudgedFile], bool]:
    form = re.compile(pattern, re.IGNORECASE)
    return lambda file: form.match(_without_mark(file)) is not None


def _without_mark(file: JudgedFile) -> bytes:
    beginning = file.beginning
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in beginning[:4]:
        beginning = decode(beginning[:4096]).body or b""
    return beginning.removeprefix(b"\xef\xbb\xbf").lstrip()


def _members(file: JudgedFile) -> tuple[str, ...]:
    """The names in a file that is a zip, none if it is not one."""
    if not file.beginning.startswith(b"PK"):
        return ()
    try:
        with file.content.open() as packed, zipfile.ZipFile(packed) as package:
            return tuple(package.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return ("",)  # half a zip


def _told(what: str) -> Found:
    return Found(f"The file begins as {what} does.", _EVERYTHING)


_OLD_OFFICE = b"\xd0\xcf\x11\xe0"


def _find_workbook(file: JudgedFile) -> Found | None:
    parts = _members(file)
    is_new = any(part.startswith("xl/") for part in parts) or _is_open_document(
        file, b"spreadsheet"
    )
    is_old = file.beginning.startswith(_OLD_OFFICE) and not _is_word(file)
    cut = b"xl/" in file.beginning[:4096] and file.beginning.startswith(b"PK")
    return _told("a workbook of a spreadsheet") if is_new or is_old or cut else None


def _is_open_document(file: JudgedFile, kind: bytes) -> bool:
    """Returns whether the file is an OpenDocument file of this kind, which its begin tells."""
    return b"mimetypeapplication/vnd.oasis.opendocument." + kind in file.beginning[:200]


def _is_word(file: JudgedFile) -> bool:
    with file.content.open() as document:
        document.seek(max(0, file.size - _TAIL))
        tail = document.read()
    return "WordDocument".encode("utf-16-le") in tail + file.beginning


_TAIL = 1 << 16


def _find_document(file: JudgedFile) -> Found | None:
    parts = _members(file)
    is_word = any(part.startswith(("word/", "ppt/")) for part in parts) or _is_open_document(
        file, b"text"
    )
    is_old = file.beginning.startswith(_OLD_OFFICE) and _is_word(file)
    rich = file.beginning.startswith(b"{\\rtf")
    return _told("a document of a word processor") if is_word or is_old or rich else None


def _find_zip(file: JudgedFile) -> Found | None:
    parts = [part for part in _members(file) if not part.endswith("/")]
    if not parts:
        return None
    if parts == [""]:
        return Found("The file begins as a zip does, and its end is missing.", _EVERYTHING)
    return Found(f"The file is a zip that holds {number_of(len(parts), 'file')}.", _EVERYTHING)


def _find(
    what: str, recognises: Callable[[JudgedFile], bool]
) -> Callable[[JudgedFile], Found | None]:
    def find(file: JudgedFile) -> Found | None:
        return _told(what) if recognises(file) else None

    return find


def _is_pgp(file: JudgedFile) -> bool:
    """Returns whether the file is an OpenPGP message, with or without armor."""
    return detect_form(file.beginning[:BEGINNING]) is Form.MESSAGE


def _find_zeros(file: JudgedFile) -> Found | None:
    zeros = sum(part.count(0) for part in file.parts())
    if not zeros or zeros < file.size:
        return None
    return Found(f"All {zeros:,} bytes of the file are zero.", _EVERYTHING)


def _find_empty(file: JudgedFile) -> Found | None:
    if any(part.strip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00\x1a") for part in file.parts()):
        return None
    size = "The file has blank lines only" if file.size else "The file has 0 bytes"
    return Found(f"{size}.", _EVERYTHING)


def _find_utf16(file: JudgedFile) -> Found | None:
    kinds = [file_rules.UTF16.id, file_rules.BYTE_ORDER_MARK.id]
    return Found(
        f"All {number_of(file.size, 'byte')} of the file are UTF-16, two for each letter.",
        pl.col(KIND).is_in(kinds),
    )


def _find_old_encoding(file: JudgedFile) -> Found | None:
    kinds = [
        file_rules.WINDOWS_TEXT.id,
        file_rules.OLD_ENCODING.id,
        file_rules.LETTERS.id,
    ]
    cells = file.of(file_rules.LETTERS.id).height
    whole = file.of(file_rules.WINDOWS_TEXT.id, file_rules.OLD_ENCODING.id)
    if whole.is_empty():
        return None
    detail = whole.item(0, "detail")
    lost = f"; in {number_of(cells)} they cannot be told, and those were left out" if cells else ""
    return Found(
        f"All letters beyond ASCII are in an old encoding ({detail}){lost}.",
        pl.col(KIND).is_in(kinds),
    )


_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd")

CAUSES = (
    Cause(
        id="CAUSE-ZEROS",
        text="The file has room and no content: it was created, but never written.",
        means=_NOTHING_READ,
        shown_by="Every byte of the file is zero.",
        fix="Look whether the disk of the server that makes the export is full, and send the file "
        "again.",
        kinds=_UNREAD,
        find=_find_zeros,
    ),
    Cause(
        id="CAUSE-EMPTY",
        text="The export wrote nothing, or the upload ended before its first byte.",
        means="What was loaded before stays; nobody is ended by an empty file.",
        shown_by="The file has no bytes, or only blank ones.",
        fix="Open the file where it was made. If it is empty there, run the export again and look "
        "at its log; otherwise upload it again.",
        by_tool=by_tool(
            aeries="Look at the terms, schools and grades that were chosen before the extract ran.",
            powerschool="Look at the school and year in the context bar, and at the report's queue "
            "for an error.",
            campus="Data Extract Utilities: look at the extract's history; choose the year and "
            "school in the toolbar.",
            sql="Run the query by itself: an error, or a right that the account lacks, leaves an "
            "empty file behind.",
        ),
        kinds=(file_rules.EMPTY.id,),
        find=_find_empty,
    ),
    Cause(
        id="CAUSE-WORKBOOK",
        text="This is an Excel workbook, not a text file, whatever its name ends with.",
        means=_NOTHING_READ,
        shown_by=_FIRST_BYTES,
        fix="Send the text file that your student system makes. To give a workbook the ending .csv "
        "does not turn it into text.",
        by_tool=by_tool(
            excel="Only if there is no other way: set code columns to Text, then File, Save As, "
            "CSV UTF-8 (Comma delimited); for files with tabs Text (Tab delimited).",
            aeries="Download the files of the extract, not the result of a query as Excel.",
            powerschool="Data Export Manager: choose a text format with a field delimiter.",
            campus="Data Extract Utilities: file extension CSV; in Ad Hoc reporting choose CSV, "
            "not Excel.",
            sql="SSMS: Results to File, or the export wizard with Flat File Destination.",
        ),
        kinds=_UNREAD,
        find=_find_workbook,
    ),
    Cause(
        id="CAUSE-DOCUMENT",
        text="This is a document of a word processor, not a text file.",
        means=_NOTHING_READ,
        shown_by=_FIRST_BYTES,
        fix=AS_IT_COMES,
        kinds=_UNREAD,
        find=_find_document,
    ),
    Cause(
        id="CAUSE-ZIP",
        text="This is a zip, though its name says that it is a file of text.",
        means=_NOTHING_READ,
        shown_by="The file is a zip, and its name does not end with .zip; or the zip is cut off.",
        fix="Let the name end with .zip, or send the files of the zip themselves.",
        kinds=_UNREAD,
        find=_find_zip,
    ),
    Cause(
        id="CAUSE-COMPRESSED",
        text="The file was compressed by another program than zip.",
        means=_NOTHING_READ,
        shown_by="The first bytes are those of gzip, bzip2, xz, 7-Zip, RAR or Zstandard.",
        fix="Send the file itself, or a zip.",
        kinds=_UNREAD,
        find=_find("a file of gzip, 7-Zip or the like", _begins(*_COMPRESSED)),
    ),
    Cause(
        id="CAUSE-PGP",
        text="This file of a zip is an encrypted OpenPGP (PGP, GnuPG) message, and was not opened.",
        means=_NOTHING_READ,
        shown_by="The first bytes are those of an OpenPGP message.",
        fix="Put the files into the zip as they are, and encrypt the zip for CCGI's key. Without "
        "PGP, SFTP encrypts it on its way.",
        kinds=_UNREAD,
        find=_find("an OpenPGP message", _is_pgp),
    ),
    Cause(
        id="CAUSE-PDF",
        text="This is a PDF, a page to look at, not a text file.",
        means=_NOTHING_READ,
        shown_by=_FIRST_BYTES,
        fix="Export the data as text (CSV, or with tabs) instead of printing a report.",
        kinds=_UNREAD,
        find=_find("a PDF", _begins(b"%PDF-")),
    ),
    Cause(
        id="CAUSE-PICTURE",
        text="This is a picture, not a text file.",
        means=_NOTHING_READ,
        shown_by=_FIRST_BYTES,
        fix="Export the data as text (CSV, or with tabs).",
        kinds=_UNREAD,
        find=_find("a picture", _begins(b"\x89PNG", b"\xff\xd8\xff", b"GIF8")),
    ),
    Cause(
        id="CAUSE-DATABASE",
        text="This is a file of a database or an analysis program, not a text file.",
        means=_NOTHING_READ,
        shown_by="The first bytes are those of SQLite, Access, Parquet or SPSS.",
        fix="Export the table as text with a header line.",
        by_tool=by_tool(
            sql="Access: External Data, Text File, Delimited, with field names in the first row.",
        ),
        kinds=_UNREAD,
        find=_find(
            "a file of a database",
            _begins(b"SQLite format 3", b"\x00\x01\x00\x00Standard", b"PAR1", b"$FL2"),
        ),
    ),
    Cause(
        id="CAUSE-WEB-PAGE",
        text="This is a web page: a page of sign-in or of an error was saved, or a report as HTML.",
        means=_NOTHING_READ,
        shown_by="The file begins as HTML does.",
        fix="Open the file in a browser to see what it says. Sign in again, and export as text.",
        by_tool=by_tool(
            excel="A file that ends with .xls may be HTML too: open it, and save it as text.",
            campus="Data Extract Utilities: file extension CSV or TXT, not HTML.",
            sql="A script that downloads must sign in, and must check the status of the answer.",
        ),
        kinds=_UNREAD,
        find=_find(
            "a web page", _matches(rb"(?:<!--.*?-->\s*)?<(?:!doctype html|html|head|body|table)")
        ),
    ),
    Cause(
        id="CAUSE-XML",
        text="This is XML, not a text file with columns.",
        means=_NOTHING_READ,
        shown_by="The file begins as XML does.",
        fix="Export as text with separators.",
        by_tool=by_tool(excel="An XML Spreadsheet is a workbook: save it as CSV UTF-8."),
        kinds=_UNREAD,
        find=_find("XML", _matches(rb"<\?xml|<[A-Za-z][\w:.-]*[\s>]")),
    ),
    Cause(
        id="CAUSE-JSON",
        text="This is JSON, the answer of a programming interface, not a text file with columns.",
        means=_NOTHING_READ,
        shown_by="The file begins as JSON does.",
        fix="Export as text with separators.",
        by_tool=by_tool(
            sql="Write rows and columns: leave out FOR JSON, row_to_json and the like."
        ),
        kinds=_UNREAD,
        find=_find("JSON", _matches(rb'\{\s*"[^"]+"\s*:|\[\s*[{\[]|\[\s*\]\s*$|\{\s*\}\s*$')),
    ),
    Cause(
        id="CAUSE-ERROR-MESSAGE",
        text="The export failed: the file holds its error message in place of data.",
        means=_NOTHING_READ,
        shown_by="The first line is an error of SQL Server, Oracle, PostgreSQL, MySQL or a script.",
        fix="Open the file in an editor and read the message; mend the export, and send it again.",
        kinds=_UNREAD,
        find=_find(
            "the error of a program",
            _matches(
                rb"(?:msg [0-9]+, level|ora-[0-9]{5}|error[: ]|sp2-[0-9]{4}|psql: |sqlstate|"
                rb"sqlcmd: |bcp: |traceback \(most recent|warning: |fatal[: ]|exception[: ]|"
                rb"unhandled exception|access (?:is )?denied|timeout|login failed)"
            ),
        ),
    ),
    Cause(
        id="CAUSE-UTF-16",
        text="The file was saved as Unicode text (UTF-16), which takes two bytes for each letter.",
        means="The file was converted and read.",
        shown_by="The first bytes, or a zero beside each letter.",
        fix="Save it as UTF-8.",
        by_tool=by_tool(
            excel="Save As, CSV UTF-8 (Comma delimited) in place of Unicode Text.",
            powerschool="Data Export Manager: character set UTF-8.",
            sql="sqlcmd: leave out -u and add -f 65001; bcp: -c -C 65001 in place of -w; "
            "PowerShell: Export-Csv -Encoding utf8 in place of > or Out-File.",
        ),
        kinds=(file_rules.UTF16.id,),
        find=_find_utf16,
    ),
    Cause(
        id="CAUSE-OLD-ENCODING",
        text="The whole file is in an encoding of Windows, DOS or old Macintosh programs.",
        means="Accented letters were converted where they could be told; other cells lost theirs.",
        shown_by="All lines with accented letters are in that encoding, not single ones.",
        fix="Choose UTF-8 where the file is made.",
        by_tool=by_tool(
            excel="Save As, CSV UTF-8 (Comma delimited), not CSV (Comma delimited), CSV "
            "(Macintosh) or CSV (MS-DOS).",
            powerschool="Data Export Manager: character set UTF-8.",
            sql="sqlcmd -f 65001; bcp -C 65001; SSMS: Save Results As, Save with Encoding, UTF-8; "
            "SQL*Plus: NLS_LANG=.AL32UTF8.",
        ),
        kinds=(file_rules.WINDOWS_TEXT.id, file_rules.OLD_ENCODING.id),
        find=_find_old_encoding,
    ),
)
